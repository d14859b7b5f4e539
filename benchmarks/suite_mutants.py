"""Mutate the suite's own modules, and see its tests kill what was changed.

    python benchmarks/suite_mutants.py --sample 150 --seed 1 --resume found.jsonl

Each mutant is one small change of one module that judges: a condition the other way round, a check that is not
called, a bound of infinity. It is written into a copy of the package, and the tests are run against that copy,
those first that are likely to kill it. A mutant that hangs, or uses up memory, is killed too. What survives is
either listed in `suite_mutants.toml`, with the reason why it changes no verdict, or shows what no test looks at.
"""

from __future__ import annotations

import argparse
import compileall
import gc
import hashlib
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from suite_changes import MODULES, PACKAGE, ROOT, Mutant, mutants, sample

HELD = ("cnnframe", "cnnframe_plugins", "scipy.special", "mpmath", "sympy", "hypothesis", "pytest", "_pytest.pytester", "_pytest.junitxml")
"""What the tests and the package need, but for the package itself: imported once, so that each mutant begins in a copy of this process."""

_SUITE = ("calls", "cases", "contract", "differences", "extremes", "kinds", "numbers", "oracle", "symbolic", "symbols", "values", "verdicts")
_CHAINS = ("rounding", "truth", "cases", "choice", "bench")
PARTS = ("rounding", *(f"suite_{part}" for part in _SUITE), "derive", "symbolic", "curvature", "chains", *(f"chains_{part}" for part in _CHAINS))
"""Files of tests of the suite's parts."""
FILES = (*PARTS, "mutants", "suite", "evidence", "kernels")
"""And of the whole, which take longer."""


class Traced:
    """Notes which lines of the judging modules each test runs, and how long it takes; all that is cached is forgotten before."""

    def __init__(self, package: Path, every: int) -> None:
        self.files = {str(package / f"{module}.py"): module for module in MODULES}
        self.every = every
        self.found: dict[str, Any] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        kernels = [item for item in items if item.path.name == "test_kernels.py"]
        kept = {id(item) for item in kernels[:: self.every] if "hangs" not in item.name}
        items[:] = [item for item in items if item not in kernels or id(item) in kept]

    def _line(self, frame: Any, event: str, argument: object) -> Any:
        if event == "line":
            self.lines.add((self.files[frame.f_code.co_filename], frame.f_lineno))
        return self._line

    def _call(self, frame: Any, event: str, argument: object) -> Any:
        return self._line if frame.f_code.co_filename in self.files else None

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        if item.path.name != "test_kernels.py":
            for name, module in list(sys.modules.items()):
                for value in vars(module).values() if name.startswith("cnnframe_derivations") else ():
                    if hasattr(value, "cache_clear"):
                        value.cache_clear()
        self.lines: set[tuple[str, int]] = set()
        start = time.monotonic()
        sys.settrace(self._call)
        yield
        sys.settrace(None)
        self.found[item.nodeid] = {"seconds": time.monotonic() - start, "lines": sorted(self.lines)}


class Chosen:
    """Runs these tests in this order, and notes the first that fails."""

    def __init__(self, tests: list[str], note: Path) -> None:
        self.order = {test: number for number, test in enumerate(tests)}
        self.note = note

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self.order), key=lambda item: self.order[item.nodeid])

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.note.exists():
            self.note.write_text(report.nodeid)

    pytest_collectreport = pytest_runtest_logreport


def run(copy: Path, files: Iterable[str], plugin: object, *options: str) -> int:
    """Run tests against the copy in this process, which must not have imported the package; return pytest's exit status."""
    os.chdir(ROOT)
    os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "XDG_CACHE_HOME": str(copy / "cache")}
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(copy))
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    # Who fails is all that is asked: no assertion is taken apart, and nothing is looked for that Python could not raise.
    quick = ["--assert=plain", "-p", "no:unraisableexception", "-p", "no:threadexception"]
    quiet = ["-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore::pytest.PytestAssertRewriteWarning", "-q"]
    return pytest.main([*quick, *quiet, *options, *files], plugins=[plugin])


def apart(copy: Path, tests: list[str], limit: float) -> tuple[str, str]:
    """Run tests in a process of their own: "killed" and the test, "timeout", or "survived"."""
    note = copy / "first.txt"
    note.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        os.setsid()
        out = os.open(copy / "out.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        # A shell that runs this in the background has it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = 99
        try:
            status = int(run(copy, sorted({test.partition("::")[0] for test in tests}), Chosen(tests, note), "-x"))
        finally:
            os._exit(status)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done and status == 0:
            return "survived", ""
        if done and os.WIFEXITED(status) and not note.exists():
            raise RuntimeError((copy / "out.txt").read_text()[-3000:])
        if done:
            return "killed", note.read_text() if note.exists() else f"signal {os.WTERMSIG(status)}"
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout", tests[0]


def copied(folder: Path) -> Path:
    """This process's own copy of the package."""
    copy = folder / str(os.getpid())
    if not copy.exists():
        shutil.copytree(PACKAGE, copy / PACKAGE.name)
        compileall.compile_dir(copy, quiet=2)
    return copy


def judge(mutant: Mutant, folder: Path, traced: dict[str, Any], most: float, limit: float, end: float) -> dict[str, Any] | None:
    """Put one mutant to the tests that run its lines, the quickest first; what runs at import time to all. None after `end`."""
    start = time.monotonic()
    if start > end:
        return None
    copy = copied(folder)
    touched = {(mutant.module, line) for line in mutant.lines}
    met = [test for test, found in traced.items() if not mutant.within or touched & set(map(tuple, found["lines"]))]
    # A module's constants are used by itself and by others: each have their share of the time.
    near = {test for test in met if any(module == mutant.module for module, _ in traced[test]["lines"])}
    tests: list[str] = []
    for group in (near, set(met) - near):
        total = 0.0
        for test in sorted(group, key=lambda test: (traced[test]["seconds"], test)):
            total += traced[test]["seconds"]
            tests += [test] if total < most else []
    target = copy / PACKAGE.name / f"{mutant.module}.py"
    source = (PACKAGE / f"{mutant.module}.py").read_bytes()
    target.write_bytes(source[: mutant.start] + mutant.text.encode() + source[mutant.end :])
    for compiled in (target.parent / "__pycache__").glob(f"{target.stem}.*"):
        compiled.unlink()
    result, by = "survived", ""
    # The files that import every planted kernel come second.
    for late in (False, True):
        some = [test for test in tests if ("_kernels.py" in test or "_evidence.py" in test) == late]
        if some and result == "survived":
            result, by = apart(copy, some, limit)
    target.write_bytes(source)
    kept = {"id": mutant.id, "module": mutant.module, "line": mutant.source, "operator": mutant.operator, "made": mutant.text}
    return {**kept, "result": result, "by": by, "tests": len(tests), "seconds": round(time.monotonic() - start, 1)}


def trace(folder: Path, every: int, file: str) -> dict[str, Any]:
    """Which tests of a file run which lines."""
    copy, kept = copied(folder), folder / "traced.json"
    child = os.fork()
    if not child:
        plugin = Traced(copy / PACKAGE.name, every)
        status = 99
        try:
            status = int(run(copy, [file], plugin))
            kept.write_text(json.dumps(plugin.found))
        finally:
            os._exit(status)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise RuntimeError(f"the tests of {file} must pass on the package as it is")
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def coverage(folder: Path, every: int, names: Iterable[str], kept: Path | None) -> dict[str, Any]:
    """Which tests run which lines: what `kept` holds of files that are as they were, and the rest found anew, file by file."""
    held: dict[str, Any] = json.loads(kept.read_text()) if kept is not None and kept.exists() else {}
    package = hashlib.sha256(b"".join((PACKAGE / f"{module}.py").read_bytes() for module in MODULES)).hexdigest()
    for name in names:
        file = f"tests/derivations/test_{name}.py"
        stamp = hashlib.sha256((ROOT / file).read_bytes()).hexdigest() + package
        if held.get(file, {}).get("stamp") != stamp:
            held[file] = {"stamp": stamp, "tests": trace(folder, every, file)}
            if kept is not None:
                kept.write_text(json.dumps(held))
    return {test: found for name in names for test, found in held[f"tests/derivations/test_{name}.py"]["tests"].items()}


def equivalent() -> Callable[[Mutant], bool]:
    """Whether a change is known to change no verdict.

    An entry of the list has a module, one or more lines of it and a reason; without an operator, or what it makes, it
    stands for all changes of those lines.
    """
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["equivalent"]
    by_line: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in listed:
        for line in entry["lines"]:
            by_line.setdefault((entry["module"], line), []).append(entry)
    there = {(module, mutant.source) for module in {entry["module"] for entry in listed} for mutant in mutants(module)}
    if gone := by_line.keys() - there:
        raise SystemExit(f"these lines are listed, and in no module: {sorted(gone)}")

    def known(mutant: Mutant) -> bool:
        entries = by_line.get((mutant.module, mutant.source), [])
        return any(entry.get("operator", mutant.operator) == mutant.operator and mutant.text in entry.get("made", [mutant.text]) for entry in entries)

    return known


def main() -> None:
    """Run the mutants that are asked for, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=0, help="how many mutants, spread over the modules; 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("--module", action="append", help="only those of this module, such as suite/exact; may be given again")
    parser.add_argument("--id", action="append", help="only this mutant; may be given again")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--resume", type=Path, help="a file of results, a line each: what it has is not run again, what is found is added")
    parser.add_argument("--whole", action="store_true", help="the tests of whole runs and of planted kernels as well")
    parser.add_argument("--every", type=int, default=4, help="one in this many of the tests of planted kernels is run")
    parser.add_argument("--limit", type=float, default=240.0, help="seconds after which a mutant is taken to hang")
    parser.add_argument("--map", type=Path, help="a file of which tests run which lines; what has changed is found anew")
    parser.add_argument("--most", type=float, default=60.0, help="seconds of tests that a mutant is put to, the quickest first")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no mutant after so many; with --resume the next run goes on")
    parser.add_argument("--listed", action="store_true", help="run what is listed as equivalent instead: what is killed is listed wrongly")
    parser.add_argument("--list", action="store_true", help="show the mutants, and run none")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    chosen = [m for module in MODULES if module in (arguments.module or MODULES) for m in mutants(module)]
    if arguments.sample:
        chosen = sample(chosen, arguments.sample, arguments.seed)
    if arguments.id:
        chosen = [m for m in chosen if m.id in arguments.id]
    if arguments.list:
        print("\n".join(f"{m.id}  {m.source}  ->  {m.text}" for m in chosen))
        return
    for module in HELD:
        importlib.import_module(module)
    compileall.compile_dir(ROOT / "tests", quiet=2)
    gc.freeze()
    equal = equivalent()
    known = (lambda mutant: not equal(mutant)) if arguments.listed else equal
    held = arguments.resume.read_text().splitlines() if arguments.resume and arguments.resume.exists() else []
    done = {found["id"]: found for found in map(json.loads, held)}
    waiting = [m for m in chosen if m.id not in done and not known(m)]
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(arguments.jobs, get_context("fork")) as pool:
        traced = coverage(Path(folder), arguments.every, FILES if arguments.whole else PARTS, arguments.map)
        put = partial(judge, folder=Path(folder), traced=traced, most=arguments.most, limit=arguments.limit, end=end)
        for one in filter(None, pool.map(put, waiting)):
            print(f"{one['result']:9} {one['seconds']:6.1f} s  {one['id']}  {one['line']}  ->  {one['made']}  {one['by']}", flush=True)
            done[one["id"]] = one
            if arguments.resume:
                with arguments.resume.open("a") as file:
                    file.write(json.dumps(one) + "\n")
        killers = sorted({one["by"] for one in done.values() if one["by"] in traced}, key=lambda test: traced[test]["seconds"])
        if killers and time.monotonic() < end and apart(copied(Path(folder)), killers, 10 * arguments.limit)[0] != "survived":
            raise RuntimeError("the tests that kill must pass on the package as it is, in that order too")
    same = [m for m in chosen if known(m)]
    found = [done[m.id] for m in chosen if m.id in done and not known(m)]
    for module in (*dict.fromkeys(m.module for m in chosen), ""):
        counts = Counter(one["result"] for one in found if module in ("", one["module"]))
        judged, killed = counts.total(), counts["killed"] + counts["timeout"]
        left = sum(m.module == module or not module for m in same)
        print(f"{module or 'all':20} {judged:5} judged, {killed:5} killed ({counts['timeout']} by time), {left:3} left out, {killed / max(judged, 1):.1%}")


if __name__ == "__main__":
    main()
