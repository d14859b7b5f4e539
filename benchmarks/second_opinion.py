"""Ask Z3 what it thinks of every inequality and equation that the proofs rest on.

    pip install -e ".[second-opinion]"
    python benchmarks/second_opinion.py --seconds 1

Each obligation that the checker accepts (goal >= 0 or goal == 0, from what is known at the points of a term) goes to
Z3 as a problem in integers: its negation must have no solution. What the search gave up on goes there too: a solution
is a counterexample, sizes included; none means that the search lacks something. Products of sizes make some problems
nonlinear, and Z3 may answer nothing. A disagreement makes the exit code 1.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from contextlib import contextmanager

try:
    import z3
except ImportError:
    sys.exit('this needs Z3: pip install -e ".[second-opinion]"')

import cnnframe
from cnnframe._hyper import hyperparameters
from cnnframe_derivations.proofs import _kernel, _state
from cnnframe_derivations.proofs._arithmetic import why_at_least_0
from cnnframe_derivations.proofs._search import search
from cnnframe_derivations.proofs._theorems import subject


@contextmanager
def listening(module, name, heard):
    """Note the arguments and the result of every call of a function in a module."""
    original = getattr(module, name)

    def noted(*args):
        result = original(*args)
        heard(args, result)
        return result

    setattr(module, name, noted)
    try:
        yield
    finally:
        setattr(module, name, original)


def structures(cls):
    """Every choice that decides the formula."""
    options = []
    for name, h in hyperparameters(cls).items():
        if h.choices is not None:
            options.append([(name, value) for value in h.choices])
        elif h.optional:
            options.append([(name, None), (name, ...)])
    return itertools.product(*options)


def obligations(cls, dims):
    """What the checker accepts and what the search gives up on, over all proofs of one operation."""
    accepted, refused = {}, {}

    def into(where, equal):
        return lambda args, result: where.setdefault((tuple(args[0]), tuple(args[1]), args[2], equal)) if where is accepted or result is None else None

    for chosen in structures(cls):
        if dict(chosen).get("dims", 1) > dims:
            continue
        said = subject(cls, chosen)
        for theorem in said.gradients.values():
            with listening(_state, "why_at_least_0", into(refused, equal=False)), listening(_state, "why_0", into(refused, equal=True)):
                found = search(theorem, [d.name for d in said.derivation.adjoints])
            if found.live:
                continue
            with listening(_kernel, "at_least_0", into(accepted, equal=False)), listening(_kernel, "equals_0", into(accepted, equal=True)):
                _kernel.check(theorem, found.steps)
        for theorem in said.reads.values():
            for t, goal in _kernel.accesses(theorem, said.shapes):
                known = tuple(theorem.known(t))
                where = accepted if why_at_least_0(known, t.eq, goal) is not None else refused
                where.setdefault((known, t.eq, goal, False))
    return accepted, refused


def integer(p, names):
    """A polynomial as Z3's."""
    total = z3.IntVal(0)
    for monomial, c in p.items:
        product = z3.IntVal(int(c))
        for a, e in monomial:
            for _ in range(e):
                product = product * names.setdefault(a[1], z3.Int(a[1]))
        total = total + product
    return total


def near(goal, ge, eq):
    """What is said about the goal's symbols, and about theirs: leaving out the rest can only make Z3 less sure."""
    reach = goal.symbols()
    while True:
        more = reach.union(*(p.symbols() for p in (*ge, *eq) if p.symbols() & reach))
        if more == reach:
            return [p for p in ge if p.symbols() & reach], [p for p in eq if p.symbols() & reach]
        reach = more


def ask(obligation, seconds):
    """Whether the obligation follows: "yes", "no" or "unknown", and a counterexample."""
    ge, eq, goal, equal = obligation
    for some, others in (near(goal, ge, eq), (ge, eq)):
        names, solver = {}, z3.Solver()
        solver.set("timeout", int(1000 * seconds))
        solver.set("random_seed", 0)
        for p in some:
            solver.add(integer(p, names) >= 0)
        for p in others:
            solver.add(integer(p, names) == 0)
        wanted = integer(goal, names)
        solver.add(wanted != 0 if equal else wanted < 0)
        answer = solver.check()
        if answer == z3.unsat:
            return "yes", {}
        if answer == z3.unknown:
            return "unknown", {}
    model = solver.model()
    return "no", {name: model.eval(v, model_completion=True).as_long() for name, v in names.items()}


def main():
    """Ask, and count agreement by operation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1, help="for each obligation")
    parser.add_argument("--dims", type=int, default=2, help="the most dimensions")
    parser.add_argument("--only", nargs="*", help="operations")
    parser.add_argument("--refused", type=int, default=20, help="how many obligations that the search gave up on are asked for, for each operation")
    arguments = parser.parse_args()
    start, all_counts, seen = time.perf_counter(), Counter(), set()
    for name, cls in cnnframe.load().operations().items():
        if arguments.only and name not in arguments.only:
            continue
        counts = Counter()
        accepted, refused = obligations(cls, arguments.dims)
        for obligation in [o for o in accepted if o not in seen]:
            answer, at = ask(obligation, arguments.seconds)
            counts["proved: " + {"yes": "agree", "no": "DISAGREE", "unknown": "unknown"}[answer]] += 1
            if answer == "no":
                print(f"DISAGREE: {written(obligation)} at {at}", flush=True)
        for obligation in itertools.islice((o for o in refused if o not in seen), arguments.refused):
            answer, at = ask(obligation, arguments.seconds)
            counts["refused: " + {"yes": "follows all the same", "no": "counterexample", "unknown": "unknown"}[answer]] += 1
            if answer == "yes":
                print(f"follows all the same: {name}: {written(obligation)}", flush=True)
        seen |= accepted.keys() | refused.keys()
        all_counts += counts
        print(f"{name:24}", ", ".join(f"{v} {k}" for k, v in sorted(counts.items())) or "nothing new", flush=True)
    print(f"{'all':24}", ", ".join(f"{v} {k}" for k, v in sorted(all_counts.items())), f"in {time.perf_counter() - start:.0f} s")
    sys.exit(1 if all_counts["proved: DISAGREE"] else 0)


def written(obligation):
    """An obligation on one line."""
    ge, eq, goal, equal = obligation
    some, others = near(goal, ge, eq)
    return f"{goal} {'==' if equal else '>='} 0 from " + ", ".join([*(f"{p} >= 0" for p in some), *(f"{p} == 0" for p in others)])


if __name__ == "__main__":
    main()
