"""Count false alarms: run the suite over all installed operations with many seeds, and refute none of them.

    python benchmarks/false_alarms.py --seeds 1000 --jobs 2 --log runs.jsonl

Each seed is one run of every kind of evidence that depends on a seed over every operation, in float32 and float64, with
a profile whose few cases differ from seed to seed. Any refutation, and any disagreement among the suite's own oracles,
is printed with the line that reproduces it. With --log, every ten seeds become a line of the file, so that a run that
is cut short counts too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cnnframe
from cnnframe_derivations.suite import BUDGETS, Settings, verify

CHUNK = 10
SILENT = ("too few cases", "never compared", "no check applied")
"""What a profile of few cases says of itself."""


def some_seeds(profile: str, seeds: range) -> tuple[Counter[str], list[str]]:
    """Judge every operation once for each seed; return counts and what went wrong."""
    operations = cnnframe.load().operations()
    counts: Counter[str] = Counter(seeds=len(seeds))
    alarms = []
    for seed in seeds:
        for name, cls in operations.items():
            report = verify(cls, Settings(profile, seed))
            counts["runs"] += 1
            counts["checks"] += report.checks
            counts["cases"] += sum(e.cases for e in report.evidence)
            if report.finding:
                counts["refuted"] += 1
                alarms.append(f"seed {seed}: {report}")
            for evidence in report.evidence:
                if evidence.doubt and not evidence.doubt.startswith(SILENT):
                    counts["doubts"] += 1
                    alarms.append(f"seed {seed}: {name}: {evidence.kind}: {evidence.doubt}")
    return counts, alarms


def main() -> None:
    """Run the seeds and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="differently seeded runs of every operation")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--profile", choices=list(BUDGETS), default="glance", help="how many cases a run has")
    parser.add_argument("--log", type=Path, help="a file to add counts to")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    start = time.perf_counter()
    last = arguments.first + arguments.seeds
    chunks = [range(first, min(first + CHUNK, last)) for first in range(arguments.first, last, CHUNK)]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for chunk, (counts, alarms) in zip(chunks, pool.map(some_seeds, [arguments.profile] * len(chunks), chunks), strict=True):
            total += counts
            for alarm in alarms:
                print(alarm, flush=True)
            if arguments.log:
                line = {"profile": arguments.profile, "first": chunk.start, **counts, "alarms": alarms}
                with arguments.log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    print(
        f"{total['seeds']} seeds, {total['runs'] // max(total['seeds'], 1)} operations: {total['runs']} runs, {total['cases']} cases, "
        f"{total['checks']} checks, {total['refuted']} refuted, {total['doubts']} doubts, {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
