"""What `import cnnframe` costs beside `import numpy`: interleaved runs, median and spread of the ratio.

python benchmarks/import_time.py --rounds 21
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

STATEMENTS = {
    "import cnnframe": "import cnnframe",
    "... and load a graph, an executor and the plugins": "import cnnframe; cnnframe.Graph, cnnframe.Executor, cnnframe.load()",
}


def seconds(statement: str) -> float:
    """The wall time of a Python that runs a statement."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Run the rounds and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    for label, statement in STATEMENTS.items():
        seconds(statement)
        pairs = [(seconds(statement), seconds("import numpy")) for _ in range(rounds)]
        ratios = sorted(ours / theirs for ours, theirs in pairs)
        ours, theirs = (statistics.median(part) * 1e3 for part in zip(*pairs, strict=True))
        quarter = len(ratios) // 4
        spread = f"{statistics.median(ratios):.2f} [{ratios[quarter]:.2f} .. {ratios[-1 - quarter]:.2f}]"
        print(f"{label}: {ours:.0f} ms beside {theirs:.0f} ms for numpy; ratio {spread}")


if __name__ == "__main__":
    main()
