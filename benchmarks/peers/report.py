"""The page and the plot of what `run.py` measured."""

from __future__ import annotations

import json

from jobs import ROWS
from run import CONTESTANTS, TORCH

NAMES = {
    "fused": "cnnframe, compiled",
    "numpy": "cnnframe, NumPy",
    "eager": "PyTorch",
    "channels_last": "PyTorch, channels last",
    "compiled": "torch.compile",
    "jax": "JAX, jit",
    "autograd": "HIPS autograd",
    "textbook": "textbook NumPy",
}
HEAD = """# Training steps beside those of other libraries

Written by `python benchmarks/peers/run.py --report` from what `run.py` measured; nothing here is typed by hand.

A step is forward, backward and a step of gradient descent in float32; for a single convolution the loss is the sum of products with fixed
numbers, and the gradient of the input is wanted too, unless it is an image. cnnframe runs through its public executor. Contestants have a
process each, with as many processors as threads, and take turns; before a contestant is timed, its loss and gradients are held to those of the
operations' own code in float64.
A **ratio** is a contestant's time by that of PyTorch at its best (eager, channels last, compiled, as far as they were run) in the same round: below 1
is faster. Where other programs were busy in too many rounds a row is marked "never quiet"; then its ratios of processor time are the better ones, though
threads that wait in a loop for each other make them too large. Given are the median over the rounds and, in brackets, the least and the largest.
*Of GEMM* is the share of the speed of a product of matrices of 1024 by 1024 in NumPy, measured in the same rounds. *Memory* is the peak above a
process that is warm from a batch of one, whose arrays are freed and given back to the system, and that holds the inputs, targets and parameters
that everybody is given: the median of five processes, which differ by hundredths of a MiB, PyTorch's in some rows by several.
*First* is the first step with its compiling, from disk where it was kept. Rows of one machine may have been measured with an earlier cnnframe than those of
another, and memory was then not measured.
"""


def mebibytes(count):
    return f"{count / 2**20:.{1 if count >= 2**20 else 2}f}"


def ordered(rows):
    places = {row: number for number, row in enumerate(ROWS)}
    return sorted(rows, key=lambda row: (row["machine"], row["threads"], places.get((row["job"], row["batch"]), len(places))))


def table(rows):
    lines = ["| job, batch | contestant | ms a step | ratio | of processor time | of GEMM | first, s | memory, MiB |"]
    lines.append("| --- " * 8 + "|")
    for row in rows:
        label = f"{row['job']}, {row['batch']}" + ("" if row["quiet"] else " (never quiet)")
        for name in CONTESTANTS:
            entry = row["contestants"].get(name)
            if entry is None:
                continue
            if "wall" in entry:
                ratio = "{:.2f} [{:.2f}..{:.2f}]".format(*entry["ratio"]) if "ratio" in entry else ""
                memory = mebibytes(entry["bytes"]) if entry.get("bytes") is not None else ""
                cpu = "{:.2f} [{:.2f}..{:.2f}]".format(*entry["cpu_ratio"]) if "cpu_ratio" in entry else ""
                cells = (label, NAMES[name], f"{1e3 * entry['wall']:.3f}", ratio, cpu, f"{entry['of_gemm']:.2f}", f"{entry['first']:.2f}", memory)
                lines.append(f"| {' | '.join(cells)} |")
            else:
                lines.append(f"| {label} | {NAMES[name]} | {entry.get('missing') or entry.get('error')} | | | | | |")
            label = ""
    return lines


def lost(rows):
    """Where PyTorch at its best is faster, or needs less memory."""
    slower, larger = [], []
    for row in rows:
        entry = row["contestants"].get("fused", {})
        where = f"{row['job']}, batch {row['batch']}"
        ratio = entry.get("ratio" if row["quiet"] else "cpu_ratio", [0])[0]
        if ratio > 1:
            slower.append(f"{where} ({ratio:.2f})")
        theirs = [row["contestants"][name].get("bytes") for name in TORCH if name in row["contestants"]]
        least = min((number for number in theirs if number is not None), default=None)
        if least is not None and entry.get("bytes") is not None and entry["bytes"] > least:
            larger.append(f"{where} ({mebibytes(entry['bytes'])} MiB against {mebibytes(least)})")
    return slower, larger


def title(row):
    """On what a row was measured."""
    return f"{row['machine'].split(',')[0]}, {row['threads']} thread{'s' if row['threads'] > 1 else ''}"


def draw(rows, path):
    """Ratios as bars, on a logarithmic scale: left of the line is faster than PyTorch."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = ("fused", "numpy", "jax", "textbook", "autograd")
    colours = dict(zip(shown, ("#1b6ca8", "#7fb3d5", "#c0792a", "#9a9a9a", "#cfcfcf"), strict=True))
    parts = {}
    for row in rows:
        parts.setdefault(title(row), []).insert(0, row)
    most = max(map(len, parts.values()))
    figure, axes = plt.subplots(1, len(parts), figsize=(6.2 * len(parts), 0.62 * most + 1.6), squeeze=False, layout="constrained")
    for axis, (label, mine) in zip(axes[0], parts.items(), strict=True):
        for place, row in enumerate(mine):
            kind = "ratio" if row["quiet"] else "cpu_ratio"
            there = [name for name in shown if kind in row["contestants"].get(name, {})]
            for number, name in enumerate(there):
                middle, low, high = row["contestants"][name][kind]
                height = 0.8 / len(there)
                at = place + 0.4 - height * (number + 0.5)
                axis.barh(at, middle, height * 0.9, color=colours[name], label=NAMES[name])
                axis.plot([low, high], [at, at], color="#333333", linewidth=0.8)
        axis.axvline(1, color="#333333", linewidth=1)
        axis.set_xscale("log")
        axis.set_yticks(range(len(mine)), [f"{row['job']}, {row['batch']}" + ("" if row["quiet"] else "\n(processor time)") for row in mine])
        axis.set_title(label, fontsize=10)
        axis.set_xlabel("time by that of PyTorch at its best", fontsize=9)
        axis.grid(axis="x", color="#dddddd")
        axis.set_axisbelow(True)
    handles = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def write(results, folder):
    rows = ordered(json.loads(results.read_text()))
    text = [HEAD, "![Ratios](ratios.png)", ""]
    for label in dict.fromkeys(map(title, rows)):
        mine = [row for row in rows if title(row) == label]
        versions = sorted({entry["version"] for row in mine for entry in row["contestants"].values() if "version" in entry})
        slower, larger = lost(mine)
        gemm = sorted(row["gemm"] for row in mine)
        measured = any("bytes" in entry for row in mine for entry in row["contestants"].values())
        text += [
            f"## {label}",
            "",
            f"Machine: {mine[0]['machine']}. Versions: {'; '.join(versions)}.",
            f"Matrix products reached {gemm[0]:.0f} to {gemm[-1]:.0f} GFLOP/s, by row.",
            "",
            f"PyTorch is faster: {'; '.join(slower) or 'in no row'}.",
            "",
            f"PyTorch takes less memory: {'; '.join(larger) or ('in no row' if measured else 'not measured here')}.",
            "",
            *table(mine),
            "",
        ]
    (folder / "README.md").write_text("\n".join(text), encoding="utf-8")
    try:
        draw(rows, folder / "ratios.png")
    except ImportError:
        print("no plot: Matplotlib is not installed")
