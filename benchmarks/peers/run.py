"""Training steps of cnnframe beside those of other libraries, in turns, as ratios.

    python benchmarks/peers/run.py [--threads 2] [--rows "bouvrie:50;lenet5:1"] [--python eager=/path/to/python ...]
    python benchmarks/peers/run.py --memory [...]
    python benchmarks/peers/run.py --report

Every contestant has a process of its own, with as many processors as threads, and waits while others run. Before it is timed, its
loss and gradients are compared with those of the operations' own code in float64. A round times each once, one after the other;
the ratio of a round is a contestant's time by that of PyTorch at its best in the same round. Rounds in which other programs took
the processors are left out, where enough remain; the ratio of processor time stands beside that of the wall clock, since other programs disturb it less.
A contestant whose library is not installed says so. Results are kept in results.json, row by row;
`--report` writes README.md and the plot from it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from jobs import JOBS, ROWS, operations  # noqa: E402 # found beside this file, wherever it is called from

CONTESTANTS = ("fused", "numpy", "eager", "channels_last", "compiled", "jax", "autograd", "textbook")
OURS, TORCH = ("fused", "numpy"), ("eager", "channels_last", "compiled")
PROCESSES = 5
"""How many are asked for the memory that a contestant takes."""
CLOSE = 2e-3
"""Largest difference of gradients by their largest entry: one maximum in a pooling window that float32 decides otherwise changes as much."""


class Child:
    """A contestant in a process of its own."""

    def __init__(self, name, threads, python):
        count = str(threads)
        held = {"OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count, "MKL_NUM_THREADS": count}
        command = [python, str(HERE / "child.py"), name, count]
        self.name = name
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **held}
        )

    def hear(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": f"its process ended with exit code {self.process.wait()}"}

    def ask(self, **what):
        try:
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"error": f"its process ended with exit code {self.process.wait()}"}
        return self.hear()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def machine():
    """What the ratios of a row are true of."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    wide = "AVX-512" if any("avx512f" in line for line in lines) else "AVX2" if any("avx2" in line for line in lines) else "neither AVX2 nor AVX-512"
    return f"{model}, {os.cpu_count()} processors, {wide}, {platform.system()}, Python {platform.python_version()}"


def ticks(children=()):
    try:
        fields = [int(v) for v in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        own = sum(sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])) for pid in (os.getpid(), *children))
    except OSError:
        return None
    return sum(fields) - fields[3] - fields[4], own, sum(fields)


def difference(found, true):
    """The largest difference of an array by the largest entry, over all arrays; infinity where shapes differ."""
    if found.keys() != true.keys():
        return float("inf")
    worst = 0.0
    for name, array in true.items():
        if found[name].shape != array.shape or not np.isfinite(found[name]).all():
            return float("inf")
        worst = max(worst, float(np.abs(found[name] - array).max() / max(np.abs(array).max(), 1e-30)))
    return worst


def entered(names, row, options):
    """The contestants of a row that compute the right thing, and what is known of the others."""
    job, batch = row
    children, known = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        true = None
        for name in ("reference", *names):
            child = Child(name, options.threads, options.python.get(name, sys.executable))
            told = child.hear()
            found = told if "missing" in told or "error" in told else child.ask(do="make", job=job, batch=batch, answer=f"{folder}/{name}.npz")
            known[name] = {**told, **found}
            if "first" not in found:
                child.end()
                continue
            known[name]["process"] = time.perf_counter() - child.began
            got = dict(np.load(f"{folder}/{name}.npz"))
            if name == "reference":
                true = got
                child.end()
                continue
            known[name]["difference"] = difference(got, true)
            if known[name]["difference"] <= CLOSE:
                children[name] = child
            else:
                known[name]["error"] = f"gradients differ by {known[name]['difference']:.1e} of the largest"
                child.end()
    del known["reference"]
    return children, known


def measured(row, options):
    """Rounds of a row."""
    children, known = entered([name for name in CONTESTANTS if name in options.contestants], row, options)
    gemm = Child("gemm", options.threads, sys.executable)
    for child in (*children.values(), gemm):
        child.ask(do="time", seconds=options.seconds)
    rounds = []
    everybody = {**children, "gemm": gemm}
    for number in range(options.rounds):
        took = {}
        # Another one begins each round, since who comes after whom matters.
        begin = number % len(everybody)
        for name, child in [*everybody.items()][begin:] + [*everybody.items()][:begin]:
            # Threads of libraries wait in a loop for a while after their work, which the next one would pay for.
            time.sleep(0.1)
            pids = [other.process.pid for other in everybody.values()]
            before = ticks(pids)
            took[name] = child.ask(do="time", seconds=options.seconds)
            after = ticks(pids)
            busy = (after[0] - before[0] - (after[1] - before[1])) / max(after[2] - before[2], 1) if before and after else 0.0
            took[name]["others"] = max(0.0, busy)
        rounds.append(took)
    for child in children.values():
        child.end()
    gemm.end()
    return known, rounds


def remembered(row, options):
    """How much memory each contestant of a row takes, in processes that have done nothing else: the median."""
    found = {}
    for name in (name for name in CONTESTANTS if name in options.contestants):
        told = []
        for _ in range(PROCESSES):
            child = Child(name, options.threads, options.python.get(name, sys.executable))
            if "version" in child.hear():
                told.append(child.ask(do="memory", job=row[0], batch=row[1]).get("bytes"))
            child.end()
        if told:
            found[name] = {"bytes": None if None in told else statistics.median(told)}
    return found


def summed_up(row, known, rounds, options):
    quiet = [took for took in rounds if max(entry["others"] for entry in took.values()) < options.others]
    used = quiet if len(quiet) >= 3 else rounds
    found = {
        "job": row[0],
        "batch": row[1],
        "threads": options.threads,
        "machine": machine(),
        "rounds": len(used),
        "quiet": used is quiet,
        "contestants": known,
    }
    best = [min((took[name]["wall"] for name in TORCH if name in took), default=None) for took in used]
    flops = operations(JOBS[row[0]], row[1])
    found["gemm"] = statistics.median(2 * 1024**3 / took["gemm"]["wall"] for took in used) / 1e9
    for name in list(known):
        if name not in used[0]:
            continue
        walls = [took[name]["wall"] for took in used]
        known[name]["wall"] = statistics.median(walls)
        known[name]["spread"] = [min(walls), max(walls)]
        known[name]["of_gemm"] = statistics.median(flops / took[name]["wall"] * took["gemm"]["wall"] / (2 * 1024**3) for took in used)
        if best[0] is not None:
            ratios = [wall / peer for wall, peer in zip(walls, best, strict=True)]
            known[name]["ratio"] = [statistics.median(ratios), min(ratios), max(ratios)]
            cpu = [took[name]["cpu"] / min(took[peer]["cpu"] for peer in TORCH if peer in took) for took in used]
            known[name]["cpu_ratio"] = [statistics.median(cpu), min(cpu), max(cpu)]
        if "jax" in used[0]:
            known[name]["of_jax"] = [statistics.median(took[name][what] / took["jax"][what] for took in used) for what in ("wall", "cpu")]
    return found


def shown(found):
    for name, entry in found["contestants"].items():
        if "wall" not in entry:
            print(f"  {name:14} {entry.get('missing') or entry.get('error')}")
            continue
        ratio = "{:.3f} [{:.3f}..{:.3f}], of processor time {:.3f}".format(*entry["ratio"], entry["cpu_ratio"][0]) if "ratio" in entry else "-"
        memory = f"{entry['bytes'] / 2**20:7.1f} MiB" if entry.get("bytes") is not None else ""
        print(
            f"  {name:14} {entry['wall'] * 1e3:9.3f} ms  of PyTorch {ratio:24} of GEMM {entry['of_gemm']:.2f}  first {entry['first']:6.2f} s {memory}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.15, help="how long each contestant runs in a round")
    parser.add_argument("--others", type=float, default=0.1, help="the share of the processors that others may take in a round")
    parser.add_argument("--rows", help="such as 'bouvrie:50;lenet5:1'; all if left out")
    parser.add_argument("--contestants", default=",".join(CONTESTANTS))
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH", help="the interpreter that has a contestant's library")
    parser.add_argument("--memory", action="store_true", help="add to rows that were timed how much memory they take, which other programs do not disturb")
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    parser.add_argument("--report", action="store_true", help="write README.md and the plot from the results that there are")
    options = parser.parse_args()
    options.python = dict(pair.split("=", 1) for pair in options.python)
    options.contestants = options.contestants.split(",")
    if not options.report:
        rows = ROWS if options.rows is None else [(name, int(batch)) for name, batch in (row.rsplit(":", 1) for row in options.rows.split(";"))]
        for row in rows:
            print(f"{row[0]}, batch {row[1]}, {options.threads} thread{'s' if options.threads > 1 else ''}", flush=True)
            if options.memory:
                add(options.results, row, options.threads, remembered(row, options))
                continue
            found = summed_up(row, *measured(row, options), options)
            shown(found)
            keep(options.results, found)
    else:
        from report import write

        write(options.results, HERE)


def keep(path, found):
    """Put a row in its place: what was measured before of the same row on the same machine is forgotten."""
    kept = json.loads(path.read_text()) if path.exists() else []
    which = ("job", "batch", "threads", "machine")
    kept = [row for row in kept if any(row[key] != found[key] for key in which)]
    path.write_text(json.dumps([*kept, found], indent=1) + "\n")


def add(path, row, threads, known):
    """Add to what is known of a row."""
    kept = json.loads(path.read_text()) if path.exists() else []
    for entry in kept:
        if (entry["job"], entry["batch"], entry["threads"], entry["machine"]) == (*row, threads, machine()):
            for name, more in known.items():
                entry["contestants"].setdefault(name, {}).update(more)
    path.write_text(json.dumps(kept, indent=1) + "\n")
    print("  memory:", ", ".join(f"{name} {more['bytes'] / 2**20:.1f} MiB" for name, more in known.items() if more["bytes"] is not None), flush=True)


if __name__ == "__main__":
    main()
