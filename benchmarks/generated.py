"""Generated backward beside the one written by hand: interleaved runs, median and spread of the ratio.

python benchmarks/generated.py --rounds 31
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

import cnnframe as cf
from cnnframe_derivations.code import backward_function

CASES = {
    "conv, first layer of LeNet": ("conv", {"maps": 6, "size": 5}, (32, 1, 28, 28)),
    "conv, second layer of LeNet": ("conv", {"maps": 16, "size": 5}, (32, 6, 12, 12)),
    "conv, padded": ("conv", {"maps": 16, "size": 3, "padding": 1}, (32, 8, 14, 14)),
    "conv, stride 2": ("conv", {"maps": 16, "size": 3, "stride": 2, "padding": 1}, (32, 8, 14, 14)),
    "dense": ("dense", {"units": 84}, (64, 120)),
    "dense, wide": ("dense", {"units": 120}, (64, 400)),
    "subsample": ("subsample", {"size": 2}, (32, 6, 24, 24)),
    "combine": ("combine", {"maps": 16, "size": 5}, (32, 6, 12, 12)),
}


def case(name: str, given: dict, shape: tuple, dtype: str) -> tuple:
    """The two functions with their arguments."""
    op = cf.load().make(name, **given)
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=shape).astype(dtype)}
    arrays |= {n: rng.normal(size=s).astype(dtype) for n, s in op.parameter_shapes(op.sizes({"x": shape})).items()}
    y, saved = op.forward(**arrays)
    dy = rng.normal(size=y.shape).astype(dtype)
    generated = backward_function(op)
    given_to_forward = tuple(arrays[n] for n in op.declaration.arguments)
    return lambda: generated(dy, given_to_forward), lambda: op.backward(dy, saved)


def seconds(call, repeats: int) -> float:
    """The time of one call, over several."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    """Run the rounds and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--dtype", default="float32")
    chosen = parser.parse_args()
    for label, (name, given, shape) in CASES.items():
        ours, theirs = case(name, given, shape, chosen.dtype)
        for got, wanted in zip(ours().values(), (theirs()[n] for n in ours()), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-2, atol=1e-2)
        repeats = max(1, int(0.01 / seconds(theirs, 3)))
        pairs = [(seconds(ours, repeats), seconds(theirs, repeats)) for _ in range(chosen.rounds)]
        ratios = sorted(a / b for a, b in pairs)
        quarter = len(ratios) // 4
        mine, hand = (statistics.median(part) * 1e3 for part in zip(*pairs, strict=True))
        spread = f"{statistics.median(ratios):.2f} [{ratios[quarter]:.2f} .. {ratios[-1 - quarter]:.2f}]"
        print(f"{label}: {mine:.3f} ms beside {hand:.3f} ms by hand; ratio {spread}")


if __name__ == "__main__":
    main()
