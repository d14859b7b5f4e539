"""Count false alarms: run the suite over all installed operations with many seeds, and refute none of them.

    python benchmarks/false_alarms.py --seeds 1000 --jobs 2

Each seed is one run of every kind of evidence over every operation, with the profile `smoke`, whose cases
differ from seed to seed. Any refutation, and any disagreement among the suite's own oracles, is printed with
the line that reproduces it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import cnnframe
from cnnframe_derivations.suite import Settings, verify


def one_seed(seed: int) -> tuple[Counter[str], list[str]]:
    """Judge every operation once; return counts and what went wrong."""
    counts: Counter[str] = Counter()
    alarms = []
    for name, cls in cnnframe.load().operations().items():
        report = verify(cls, Settings("smoke", seed))
        counts["runs"] += 1
        counts["checks"] += report.checks
        counts["cases"] += sum(e.cases for e in report.evidence)
        if report.finding:
            counts["refuted"] += 1
            alarms.append(f"seed {seed}: {report}")
        for evidence in report.evidence:
            if evidence.doubt and not evidence.doubt.startswith(("too few cases", "never compared", "no check applied")):
                counts["doubts"] += 1
                alarms.append(f"seed {seed}: {name}: {evidence.kind}: {evidence.doubt}")
    return counts, alarms


def main() -> None:
    """Run the seeds and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="differently seeded runs of every operation")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    start = time.perf_counter()
    with ProcessPoolExecutor(arguments.jobs) as pool:
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        for counts, alarms in pool.map(one_seed, seeds, chunksize=5):
            total += counts
            for alarm in alarms:
                print(alarm, flush=True)
    operations = total["runs"] // max(arguments.seeds, 1)
    print(
        f"{arguments.seeds} seeds, {operations} operations: {total['runs']} runs, {total['cases']} cases, {total['checks']} checks, "
        f"{total['refuted']} refuted, {total['doubts']} doubts, {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
