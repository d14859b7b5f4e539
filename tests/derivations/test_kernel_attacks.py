"""False theorems and proofs that show nothing: the checker refuses each, whatever a proof says.

Terms are written with `term`; x, y, z are arrays, n, m integers that are at least 1, e an integer that is at
least 0, r a real number. Each attack is a theorem that is false, or has no meaning, with the steps that would prove
it if the checker did not look at what the attack is named after.
"""

from __future__ import annotations

import pytest
import sympy as sp

from cnnframe import FormulaError
from cnnframe_derivations.proofs import _kernel
from cnnframe_derivations.proofs._certificate import Certificate, read, text
from cnnframe_derivations.proofs._polynomial import parse
from cnnframe_derivations.proofs._statement import Definition, Refused, Term, Theorem, Theory
from cnnframe_derivations.proofs._translate import Translator


def term(body, *bound, ge=(), eq=()):
    """`bound` holds texts "index size"."""
    box = tuple((v, parse(size)) for v, size in (pair.split(" ", 1) for pair in bound))
    return Term(box, tuple(map(parse, ge)), tuple(map(parse, eq)), parse(body))


def box(*pairs):
    return term("1", *pairs).bound


def theory(definitions=(), facts=(), assume=(), integers=(), scalars=()):
    return Theory(
        frozenset({"n", "m", "e", *integers}),
        frozenset({"r", *scalars}),
        tuple(map(parse, ("n - 1", "m - 1", "e", *assume))),
        dict(definitions),
        dict(facts),
    )


def theorem(left, right, *free, **parts):
    return Theorem(theory(**parts), box(*free), tuple(left), tuple(right))


SUM = Definition((), (term("x[k]", "k n"),))
SUMS = {"y": Definition(box("i n"), SUM.terms)}
"""y[i] = the sum of x."""
NOTHING = Definition(box("i n"), ())


FACT = {"z": Definition(box("i n"), (term("z[i]"),))}
"""z[i] = 1."""


def step(rule, number=0, **parts):
    return {"rule": rule, "term": number, **parts}


def merge(into, number, there=None, back=None, proofs=()):
    return {"rule": "merge", "into": into, "term": number, "map": there or {}, "back": back or {}, "proofs": list(proofs)}


def empty(ge=(), eq=(), **parts):
    return step("empty", proof={"ge": list(ge), "eq": list(eq), **parts})


def same(*names, sizes=0, ge=0, eq=0):
    """What a merge by equal names needs: every bound is known at its place, every equation is one of the same."""
    one = [*range(2 * len(names) + ge), *({"eq": [["1", k]]} for k in range(eq)), *([{"eq": []}] * len(names))]
    return [*one, *one]


def by_name(into, number, *names, **counts):
    maps = {v: v for v in names}
    return merge(into, number, maps, maps, same(*names, **counts))


def test_the_checker_accepts_what_is_right():
    """The same tools with nothing wrong: else the refusals below would mean nothing."""
    right = theorem([term("y[0]")], [term("x[a]", "a n")], definitions=SUMS)
    proof = [step("unfold", entry="y[0]"), merge(2, 1, {"a": "k"}, {"k": "a"}, same("k"))]
    _kernel.check(right, proof)
    _kernel.check(theorem([term("x[0]", "a n", ge=["-a - 1"])], []), [empty([["1", [0]], ["1", [2]]])])
    _kernel.check(theorem([term("x[0]", "a n", eq=["a + 1"])], []), [empty([["1", [0]]], [["-1", 0]])])
    counted = step("count", symbol="a", proof={"ge": [["1", [0]], ["1", []]]})
    _kernel.check(theorem([term("x[0]", "a n")], [term("n*x[0]")]), [counted, merge(2, 1)])
    inserted = step("insert", fact="z", at=["0"], proofs=[{"ge": []}, 0])
    _kernel.check(theorem([term("x[0]")], [term("x[0]*z[0]")], facts=FACT), [inserted, merge(2, 1)])
    solved = [step("eliminate", symbol="a", eq=0), merge(2, 1, {}, {}, [{"ge": []}, 0])]
    _kernel.check(theorem([term("x[a]", "a n", eq=["a"])], [term("x[0]")]), solved)


A = {"a": "a"}
LAST = {"eq": []}
# Each is a theorem and its proof.
PROOFS = {
    # --- unfold
    "unfold with a factor": (
        theorem([term("y[0]")], [term("1/2*x[a]", "a n")], definitions=SUMS),
        [step("unfold", entry="2*y[0]"), merge(2, 1, {"a": "k"}, {"k": "a"}, same("k"))],
    ),
    "unfold a square": (
        theorem([term("y[0]^2")], [term("x[a]", "a n")], definitions=SUMS),
        [step("unfold", entry="y[0]^2"), merge(2, 1, {"a": "k"}, {"k": "a"}, same("k"))],
    ),
    "unfold a reciprocal": (
        theorem([term("y[0]^(-1)")], [term("x[a]", "a n")], definitions=SUMS),
        [step("unfold", entry="y[0]^(-1)"), merge(2, 1, {"a": "k"}, {"k": "a"}, same("k"))],
    ),
    "unfold a function that is named like an array": (
        theorem([term("exp(r)")], [term("r^2")], definitions={"exp": Definition(box("i n"), (term("i^2"),))}),
        [step("unfold", entry="exp(r)"), merge(2, 1)],
    ),
    "unfold what is not in the body": (
        theorem([term("z[0]")], [term("x[a]", "a n")], definitions=SUMS),
        [step("unfold", entry="y[0]"), merge(2, 1, {"a": "k"}, {"k": "a"}, same("k"))],
    ),
    "unfold inside a function": (
        theorem([term("exp(y[0])")], [term("exp(x[a])", "a n")], definitions=SUMS),
        [step("unfold", entry="y[0]"), merge(2, 1, {"a": "k"}, {"k": "a"}, same("k"))],
    ),
    "unfold by part of the indices": (theorem([term("y[0, 1]")], [], definitions={"y": NOTHING}), [step("unfold", entry="y[0, 1]")]),
    "unfold a sum of two entries": (theorem([term("y[0]")], [], definitions={"y": NOTHING}), [step("unfold", entry="y[0] + y[1]")]),
    "unfold one factor of a body that has become a sum": (
        theorem([term("(y[v] + z[v])^(1/2)*(y[0] + z[0])^(1/2)", "v n", eq=["v"])], [], definitions={"y": NOTHING}),
        [step("eliminate", symbol="v", eq=0), step("unfold", 1, entry="y[0]")],
    ),
    "unfold an operand": (theorem([term("x[0]")], [], definitions=SUMS), [step("unfold", entry="x[0]")]),
    "a definition that refers to itself": (
        theorem([term("y[0]")], [term("y[0]"), term("1")], definitions={"y": Definition(box("i n"), (term("y[i]"), term("1")))}),
        [step("unfold", entry="y[0]"), merge(3, 1), merge(4, 2)],
    ),
    "definitions that refer to each other": (
        theorem(
            [term("y[0]")],
            [term("y[0]"), term("1")],
            definitions={"y": Definition(box("i n"), (term("z[i]"), term("1"))), "z": Definition(box("i n"), (term("y[i]"),))},
        ),
        [step("unfold", entry="y[0]"), step("unfold", 3, entry="z[0]"), merge(4, 2), merge(5, 1)],
    ),
    "capture of a bound index": (
        theorem([term("x[k]*y[0]", "k n")], [term("x[k]^2", "k n")], definitions=SUMS),
        [step("unfold", entry="y[0]"), by_name(2, 1, "k")],
    ),
    "capture of a free index": (
        theorem([term("x[k]*y[0]")], [term("x[k]^2", "k n")], "k n", definitions=SUMS),
        [step("unfold", entry="y[0]"), by_name(2, 1, "k")],
    ),
    "capture of a real number": (
        theorem([term("k*y[0]")], [term("a*x[a]", "a n")], definitions=SUMS, scalars=["k"]),
        [step("unfold", entry="y[0]"), merge(2, 1, {"a": "k"}, {"k": "a"}, same("k"))],
    ),
    "capture by a fresh name": (
        theorem(
            [term("z[k]*y[0]", "k n")],
            [term("z[k]*a*x[a]", "k n", "a n")],
            definitions={"y": Definition(box("i n"), (term("k'*x[k]", "k n"),))},
            scalars=["k'"],
        ),
        [step("unfold", entry="y[0]"), merge(2, 1, {"k": "k", "a": "k'"}, {"k": "k", "k'": "a"}, same("k", "a"))],
    ),
    "capture by a second fresh name": (
        theorem(
            [term("x[k]*y[0]", "k n")], [term("x[k]^2*z[a]", "k n", "a n")], definitions={"y": Definition(box("i n"), (term("x[k]*z[k']", "k n", "k' n"),))}
        ),
        [step("unfold", entry="y[0]"), merge(2, 1, {"k": "k", "a": "k'"}, {"k": "k", "k'": "a"}, same("k", "a"))],
    ),
    "an index that is a number of the definition's": (
        theorem([term("y[k]")], [term("x[k]", "k n")], "k n", definitions={"y": Definition(box("i n"), (term("x[i]", "k n"),))}),
        [step("unfold", entry="y[k]"), by_name(2, 1, "k")],
    ),
    "a definition whose index is a size": (
        theorem([term("y[0]")], [], definitions={"y": Definition(box("n m"), (term("n*x[0]"),))}),
        [step("unfold", entry="y[0]")],
    ),
    "a definition with an unknown symbol": (
        theorem([term("y[0]")], [], "k n", definitions={"y": Definition(box("i n"), (term("k*x[0]"), term("-k*x[0]", "a 1"), term("x[0]")))}),
        [],
    ),
    # --- conditions and multipliers
    "divide by what is 0 in a multiplier": (theorem([term("x[v]", "v n", eq=["v"])], []), [empty(eq=[["-v^(-1)", 0]])]),
    "divide by what is 0 in an equation": (
        theorem([term("x[v]", "v n", eq=["v"])], []),
        [step("know", condition="1", equal=True, proof={"eq": [["v^(-1)", 0]]}), step("empty", 1, proof={"ge": [], "eq": [["-1", 1]]})],
    ),
    "divide by a square that is 0 in a multiplier": (
        theorem([term("x[v]", "v n", eq=["v^2"])], []),
        [empty(eq=[["-v^(-2)", 0]])],
    ),
    "a negative multiplier": (theorem([term("x[v]", "v n")], []), [empty([["-1", [0]], ["-1", [1]], ["1", []]])]),
    "a negative multiplier of nothing": (theorem([term("x[0]")], []), [empty([["-1", []]])]),
    "a multiplier that is no number": (theorem([term("x[0]")], []), [empty([["nan", []]])]),
    "an infinite multiplier": (theorem([term("x[0]")], []), [empty([["inf", []]])]),
    "an infinite float": (theorem([term("x[0]")], []), [empty([[float("-inf"), []]])]),
    "a huge multiplier": (theorem([term("x[0]")], []), [empty([["1e400", []], ["-1e400", []], ["-1", []]])]),
    "a multiplier over 0": (theorem([term("x[0]")], []), [empty([["1/0", []]])]),
    "a multiplier that is a polynomial": (theorem([term("x[v]", "v n")], []), [empty([["v - n", [0]]])]),
    "a multiplier that is a list": (theorem([term("x[0]")], []), [empty([[["-1"], []]])]),
    "a place out of range": (theorem([term("x[0]")], []), [empty([["1", [99]]])]),
    "a negative place": (theorem([term("x[0]")], []), [empty([["1", [-1]]])]),
    "a place that is text": (theorem([term("x[0]")], []), [empty([["1", "0"]])]),
    "a place of the goal without refuting": (theorem([term("x[v]", "v n")], []), [empty([["1", [5]]])]),
    "refute with -1": (theorem([term("x[v]", "v n")], []), [empty([["0", [5]]], refute=True)]),
    "no proof": (theorem([term("x[0]")], []), [step("empty")]),
    "a proof that is nothing": (theorem([term("x[0]")], []), [step("empty", proof=None)]),
    "a proof that is text": (theorem([term("x[0]")], []), [step("empty", proof="yes")]),
    "a proof that is true": (theorem([term("x[0]")], []), [step("empty", proof=True)]),
    "an equation shown from one side": (
        theorem([term("x[v]", "v n")], [term("x[0]")]),
        [step("know", condition="v", equal=True, proof=[0]), step("eliminate", 2, symbol="v", eq=0)],
    ),
    "a condition on an array": (
        theorem([term("x[0]")], []),
        [step("split", condition="x[0]"), step("empty", 1, proof=0), step("empty", 2, proof=0)],
    ),
    "a split at a half": (
        theorem([term("x[v]", "v n", ge=["1 - 2*v", "2*v - 1"])], []),
        [step("split", condition="v - 1/2"), step("empty", 1, proof=0), step("empty", 2, proof=0)],
    ),
    "a split at a real number": (theorem([term("x[0]")], []), [step("split", condition="r")]),
    "a split at the power -1": (theorem([term("x[v]", "v n")], []), [step("split", condition="v^(-1)")]),
    "a split at a condition that is 0 or 1": (theorem([term("x[0]")], []), [step("split", condition="is_zero(r)")]),
    "refute what is no integer": (
        theorem([term("x[v]", "v n", ge=["1 - 2*v", "2*v - 1"])], []),
        [step("know", condition="v - 1/2", equal=False, proof={"ge": [["2", [4]], ["2", [0]]], "refute": True})],
    ),
    # --- eliminate and count
    "solve for an index with factor 2": (
        theorem([term("x[a]*z[b]", "a n", "b n", eq=["2*a - b"])], [term("x[1/2*b]*z[b]", "b n")]),
        [step("eliminate", symbol="a", eq=0), by_name(2, 1, "b")],
    ),
    "solve a square": (theorem([term("x[a]", "a n", eq=["a^2 - a"])], [term("x[0]")]), [step("eliminate", symbol="a", eq=0), merge(2, 1)]),
    "solve for a size": (theorem([term("x[0]", eq=["n - m"])], [term("x[0]")]), [step("eliminate", symbol="n", eq=0), merge(2, 1)]),
    "forget the range of what is solved": (
        theorem([term("x[a]", "a n", eq=["a - m"])], [term("x[m]")]),
        [step("eliminate", symbol="a", eq=0), merge(2, 1, {}, {}, [{"ge": [["1", [1]], ["1", []]]}, 0])],
    ),
    "forget the equation for a free index": (
        theorem([term("x[0]", eq=["p - m"])], [term("x[0]")], "p n"),
        [step("eliminate", symbol="p", eq=0), merge(2, 1, {}, {}, [{"eq": []}])],
    ),
    "count a size that may be negative": (
        theorem([term("x[0]", "a n - m")], [term("n*x[0]"), term("-m*x[0]")]),
        [step("count", symbol="a", proof={"ge": [["1", [0]], ["1", [1]], ["1", []]]})],
    ),
    "count by what the index itself says": (
        theorem([term("x[0]", "a n - m")], [term("n*x[0]"), term("-m*x[0]")]),
        [step("count", symbol="a", proof={"ge": [["1", [0]], ["1", [1]], ["1", []]]}), merge(3, 1), merge(4, 2)],
    ),
    "count an index that a condition names": (
        theorem([term("x[0]", "a n", ge=["a - 1"])], [term("n*x[0]")]),
        [step("count", symbol="a", proof={"ge": [["1", [1]], ["1", []]]}), merge(2, 1)],
    ),
    "count an index in a function": (
        theorem([term("exp(x[a])", "a n")], [term("n*exp(x[0])")]),
        [step("count", symbol="a", proof={"ge": [["1", [0]], ["1", []]]}), merge(2, 1)],
    ),
    "count an index that another size names": (
        theorem([term("x[0]", "a n", "b a")], [term("n*x[0]", "b n")]),
        [step("count", symbol="a", proof={"ge": [["1", [2]], ["1", []]]})],
    ),
    "count a free index": (theorem([term("x[0]")], [term("n*x[0]")], "p n"), [step("count", symbol="p", proof=0), merge(2, 1)]),
    "the mean over nothing": (
        theorem([term("e^(-1)", "a e")], [term("1")]),
        [step("count", symbol="a", proof=2), merge(2, 1)],
    ),
    # --- merge
    "merge a term with itself": (theorem([term("x[0]")], []), [merge(0, 0)]),
    "merge a term with itself by another name": (theorem([term("x[0]")], []), [merge(0, False)]),
    "merge by a map that is not onto": (
        theorem([term("x[0]", "a n")], [term("x[0]", "a n + 1")]),
        [merge(0, 1, {"a": "a"}, {"a": "a"}, [0, {"ge": [["1", [1]], ["1", []]]}, {"eq": []}, 0, 1, {"eq": []}])],
    ),
    "merge by a map that folds": (
        theorem([term("x[0]", "a n", "b n")], [term("x[0]", "a n")]),
        [merge(0, 1, {"a": "a"}, {"a": "a", "b": "0"}, [0, 1, {"eq": []}, {"eq": []}, 0, 1, {"ge": []}, 2, {"eq": []}])],
    ),
    "merge by halves": (
        theorem([term("x[0]", "a 2*n")], [term("x[0]", "a n")]),
        [merge(0, 1, {"a": "1/2*a"}, {"a": "2*a"}, same("a"))],
    ),
    "merge by a map with a size over a size": (
        theorem([term("x[0]", "a n")], [term("x[0]", "a m")]),
        [merge(0, 1, {"a": "a*m*n^(-1)"}, {"a": "a*n*m^(-1)"}, same("a"))],
    ),
    "merge by a map that reads an array": (theorem([term("x[0]", "a n")], [term("x[0]", "a n")]), [merge(0, 1, {"a": "x[a]"}, {"a": "x[a]"}, same("a"))]),
    "merge without a map": (theorem([term("x[0]", "a n")], [term("x[0]", "a m")]), [merge(0, 1)]),
    "merge with a map of something else": (
        theorem([term("x[0]", "a n")], [term("x[0]", "a m")]),
        [merge(0, 1, {"b": "a"}, {"b": "a"}, same("a"))],
    ),
    "merge with a map that moves a free index": (
        theorem([term("x[p]")], [term("x[0]")], "p n"),
        [merge(0, 1, {"p": "0"}, {}, [])],
    ),
    "merge with too few proofs": (theorem([term("x[0]", "a n")], [term("x[0]", "a m")]), [merge(0, 1, {"a": "a"}, {"a": "a"}, [0])]),
    "merge another body": (theorem([term("x[a]", "a n")], [term("z[a]", "a n")]), [by_name(0, 1, "a")]),
    "merge without a guard": (theorem([term("x[a]", "a n", ge=["a - 1"])], [term("x[a]", "a n")]), [merge(0, 1, A, A, [0, 1, LAST, 0, 1, 0, LAST])]),
    "merge an unknown term": (theorem([term("x[0]")], []), [merge(0, 7)]),
    "merge a list": (theorem([term("x[0]")], []), [merge(0, [1])]),
    # --- insert
    "insert out of range": (
        theorem([term("x[0]")], [term("x[0]*z[m]")], facts=FACT),
        [step("insert", fact="z", at=["m"], proofs=[{"ge": [["1", [1]], ["1", []]]}, 0]), merge(2, 1)],
    ),
    "insert with too few proofs": (
        theorem([term("x[0]")], [term("x[0]*z[m]")], facts=FACT),
        [step("insert", fact="z", at=["m"], proofs=[]), merge(2, 1)],
    ),
    "insert with too few indices": (
        theorem([term("x[0]")], [term("x[0]*z[m]")], facts=FACT),
        [step("insert", fact="z", at=[], proofs=[])],
    ),
    "insert at what is no integer": (
        theorem([term("x[0]")], [term("x[0]*z[1/2]")], facts=FACT),
        [step("insert", fact="z", at=["1/2"], proofs=[{"ge": [["1/2", []]]}, {"ge": [["1", [0]], ["1/2", []]]}])],
    ),
    "insert a number instead of text": (
        theorem([term("x[0]")], [term("x[0]*z[0]")], facts=FACT),
        [step("insert", fact="z", at=[0], proofs=[0, 0])],
    ),
    "insert a fact whose range names the place": (
        theorem(
            [term("x[v]", "v n", "a n", ge=["a - v"])],
            [term("x[v]*z[0, v]", "v n", "a n", ge=["a - v"])],
            facts={"z": Definition(box("a n", "b a + 1"), (term("z[a, b]"),))},
        ),
        [
            step("insert", fact="z", at=["0", "v"], proofs=[{"ge": []}, {"ge": [["1", [5]]]}, 0, 4]),
            by_name(2, 1, "v", "a", ge=1),
        ],
    ),
    # --- the statement
    "a box that is not finite": (
        theorem([term("x[0]", "a a + 1")], [term("x[0]", "a a + 1"), term("x[0]")]),
        [
            step("split", condition="a - 1"),
            merge(1, 3, {"a": "a + 1"}, {"a": "a - 1"}, [{"ge": [["1", [0]], ["1", []]]}, {"ge": []}, 0, LAST, 2, {"ge": []}, LAST]),
            step("know", 4, condition="a", equal=True, proof=[0, 2]),
            step("eliminate", 5, symbol="a", eq=0),
            merge(6, 2, {}, {}, [{"ge": []}, {"ge": []}, {"ge": []}]),
        ],
    ),
    "a size that names a later index": (
        theorem([term("x[0]", "a b + 1", "b a + 1")], [term("x[0]", "a b + 1", "b a + 1")]),
        [by_name(0, 1, "a", "b")],
    ),
    "a free index within a bound one": (
        theorem([term("x[p]*z[b]", "b n", ge=["b - p - 1"])], [term("x[p]*z[b]", "b n")], "p b"),
        [merge(0, 1, {"b": "b"}, {"b": "b"}, [2, 3, LAST, 2, 3, 1, LAST])],
    ),
    "a symbol that is free and bound": (theorem([term("x[n]", "n m")], [term("x[n]", "n m")]), [by_name(0, 1, "n")]),
    "a symbol that is bound twice": (theorem([term("x[a]", "a n", "a m")], [term("x[a]", "a n", "a m")]), [by_name(0, 1, "a", "a")]),
    "a bound index that is a real number": (theorem([term("x[r]", "r n")], [term("x[r]", "r n")]), [by_name(0, 1, "r")]),
    "a free index that is a real number": (theorem([term("x[r]")], [term("x[r]")], "r n"), [merge(0, 1)]),
    "an array that is named like a size": (theorem([term("n[0]")], [term("n")]), [merge(0, 1)]),
    "a symbol that is nothing": (theorem([term("x[q]")], [term("x[q]")]), [merge(0, 1)]),
    "an index with no range": (theorem([term("x[q]", eq=["q"])], [term("x[q]", eq=["q"])]), [by_name(0, 1, eq=1)]),
    "an assumption on a real number": (theorem([term("x[0]")], [], assume=["r", "-r - 1"]), [empty([["1", [3]], ["1", [4]]])]),
    "an assumption on nothing that is known": (theorem([term("x[0]")], [], assume=["q", "-q - 1"]), [empty([["1", [3]], ["1", [4]]])]),
    "an assumption on halves": (theorem([term("x[0]")], [], assume=["1/2*n - 1"]), []),
    # --- steps
    "no steps": (theorem([term("x[0]")], [term("z[0]")]), []),
    "an unknown rule": (theorem([term("x[0]")], []), [step("believe")]),
    "a rule that is a list": (theorem([term("x[0]")], []), [step(["empty"])]),
    "a step that is nothing": (theorem([term("x[0]")], []), [None]),
    "a step without a rule": (theorem([term("x[0]")], []), [{}]),
    "a term that is gone": (theorem([term("x[0]", ge=["-1"])], [term("z[0]")]), [empty([["1", [0]]]), empty([["1", [0]]])]),
    "a polynomial that is none": (theorem([term("x[0]")], []), [step("split", condition="n +")]),
    "a polynomial that is too deep": (theorem([term("x[0]")], []), [step("split", condition="(" * 5000 + "n" + ")" * 5000)]),
    "a condition that is a number": (theorem([term("x[0]")], []), [step("split", condition=1)]),
    "0 to the power -1": (theorem([term("x[v]", "v n", eq=["v"])], []), [empty(eq=[["0^(-1)", 0]])]),
}


@pytest.mark.parametrize("attack", PROOFS)
def test_the_checker_refuses(attack):
    claim, proof = PROOFS[attack]
    with pytest.raises(Refused):
        _kernel.check(claim, proof)


SHAPES = {"x": (parse("n"),), "z": (parse("n"), parse("m"))}
# Reads and what would show them within range.
READS = {
    "an index of a half": (theorem([term("x[i - 1/2]")], [], "i n"), [{"ge": [["2", [0]], ["2", [5]]], "refute": True}, {"ge": [["1", [1]], ["1/2", []]]}]),
    "an index that is a real number": (theorem([term("x[r]")], []), [0, 0]),
    "an index over a size": (theorem([term("x[i*n^(-1)]")], [], "i n"), [{"ge": [["1", [0]]]}, 1]),
    "an index that is an entry": (theorem([term("x[x[0]]")], []), [0, 0, {"ge": []}, 0]),
    "an entry without a proof": (theorem([term("x[i]*x[i + 1]")], [], "i n"), [0, 1]),
    "an entry within an index": (theorem([term("x[0*x[n]]*x[i]")], [term("x[i]")], "i n"), [{"ge": []}, 2]),
    "an entry within a function": (theorem([term("exp(x[n])")], []), []),
    "an entry within a power": (theorem([term("(x[0] + x[n])^(1/2)")], []), [{"ge": []}, 0]),
    "one past the end": (theorem([term("x[i + 1]")], [], "i n"), [{"ge": [["1", [0]], ["1", []]]}, 1]),
    "one before the start": (theorem([term("x[i - 1]")], [], "i n"), [0, {"ge": [["1", [1]], ["1", []]]}]),
    "an array that is not there": (theorem([term("w[0]")], []), []),
    "an axis too few": (theorem([term("z[0]")], []), [{"ge": []}, 0]),
    "an axis too many": (theorem([term("x[0, 0]")], []), [{"ge": []}, 0, {"ge": []}, 0]),
    "no number": (theorem([term("x[0]")], []), [{"ge": []}, "yes"]),
    "divide by what is 0": (theorem([term("x[n]", eq=["n - 1"])], []), [{"ge": []}, {"ge": [], "eq": [["-(n - 1)^(-1)", 0]]}]),
}


@pytest.mark.parametrize("attack", READS)
def test_the_checker_refuses_reads(attack):
    claim, proofs = READS[attack]
    with pytest.raises(Refused):
        _kernel.bounded(claim, SHAPES, proofs)


def test_the_checker_accepts_reads_within_range():
    _kernel.bounded(theorem([term("x[i]*z[i, 0]")], [], "i n"), SHAPES, [0, 1, 0, 1, {"ge": []}, 3])


ODD = theorem([term("x[0]")], [], assume=["2*n - 3", "3 - 2*n"])
ONE_POINT = theorem([term("x[a]", "a n", ge=["a - 1"])], [])
# A theorem, sizes and a point for each of its terms.
WITNESSES = {
    "half a size": (ODD, {"n": "3/2", "m": 1, "e": 0}, [{}]),
    "a float": (ODD, {"n": 1.5, "m": 1, "e": 0}, [{}]),
    "half an index": (theorem([term("x[a]", "a n", ge=["2*a - 1", "1 - 2*a"])], []), {"n": 2, "m": 1, "e": 0}, [{"a": "1/2"}]),
    "other sizes at the point": (theorem([term("x[a]", "a n", ge=["a - 1"])], []), {"n": 1, "m": 1, "e": 0}, [{"a": 1, "n": 2}]),
    "a point out of range": (ONE_POINT, {"n": 1, "m": 1, "e": 0}, [{"a": 1}]),
    "a point that a guard forbids": (ONE_POINT, {"n": 2, "m": 1, "e": 0}, [{"a": 0}]),
    "a point that an equation forbids": (theorem([term("x[a]", "a n", eq=["a - 1"])], []), {"n": 2, "m": 1, "e": 0}, [{"a": 0}]),
    "sizes that are not assumed": (theorem([], []), {"n": 0, "m": 1, "e": 0}, []),
    "no point": (ONE_POINT, {"n": 2, "m": 1, "e": 0}, []),
    "no index": (ONE_POINT, {"n": 2, "m": 1, "e": 0}, [{}]),
    "no size": (ONE_POINT, {"m": 1, "e": 0}, [{"a": 1}]),
    "no number": (ONE_POINT, {"n": float("nan"), "m": 1, "e": 0}, [{"a": 1}]),
    "infinity": (ONE_POINT, {"n": float("inf"), "m": 1, "e": 0}, [{"a": 1}]),
    "text": (ONE_POINT, {"n": "many", "m": 1, "e": 0}, [{"a": 1}]),
}


@pytest.mark.parametrize("attack", WITNESSES)
def test_the_checker_refuses_witnesses(attack):
    claim, sizes, points = WITNESSES[attack]
    with pytest.raises(Refused):
        _kernel.witnessed(claim, sizes, points)


def test_the_checker_accepts_a_witness():
    _kernel.witnessed(ONE_POINT, {"n": 2, "m": 1, "e": 0}, [{"a": 1}])


# --- certificates


def certificate(right, **parts):
    """The certificate that x[p] is `right`, whose proof is a merge by names."""
    known = theory()
    claim = Theorem(known, box("p n"), (term("x[p]"),), (term(right),))
    points = {"x": [{"p": 0}, {"p": 0}], "closed_x": [{"p": 0}]}
    sizes = {"n": 1, "m": 1, "e": 0}
    whole = {
        "structure": {},
        "theory": known,
        "shapes": SHAPES,
        "reads": {},
        "gradients": {"x": claim},
        "steps": {"x": [merge(0, 1)]},
        "ranges": {"x": [0, 1]},
        "claimed": ("x",),
        "unproved": {},
        "witness": sizes,
        "points": points,
    }
    return Certificate(**whole | parts)


def test_a_right_certificate_is_accepted():
    found = certificate("x[p]")
    assert found.check() == read(text("mine", [found]), "mine")[0].check() == 2


CERTIFICATES = {
    "a false claim": certificate("2*x[p]"),
    "no steps": certificate("2*x[p]", steps={}),
    "no steps and nothing wrong": certificate("x[p]", steps={}),
    "steps of something else": certificate("2*x[p]", steps={"closed_x": []}),
    "steps for what is read": certificate("x[p + 1]", steps={"x": [merge(0, 1)], "closed_x": []}),
    "no ranges": certificate("x[p]", ranges={}),
    "ranges of something else": certificate("x[p]", ranges={"x": [1, 0]}),
    "no witness": certificate("x[p]", witness={}),
    "no points": certificate("x[p]", points={}),
    "a point out of range": certificate("x[p]", points={"closed_x": [{"p": 1}]}),
}


@pytest.mark.parametrize("attack", CERTIFICATES)
def test_a_certificate_is_refused(attack):
    with pytest.raises(Refused):
        CERTIFICATES[attack].check()
    with pytest.raises(Refused):
        read(text("mine", [CERTIFICATES[attack]]), "mine")[0].check()


CHANGED = {
    "the claim": ('"x[p]"', '"2*x[p]"'),
    "the hash": ('"sha256": "', '"sha256": "0'),
    "a key twice": ('"proof": {', '"proof": {}, "proof": {'),
    "a space": ('"proof": {', '"proof":  {'),
    "another operation": ('"mine"', '"yours"'),
    "another format": ('"format": 1', '"format": 2'),
    "no end": ("]}", "]"),
    "no number": ('"n": 1', '"n": NaN'),
}


@pytest.mark.parametrize("attack", CHANGED)
def test_a_changed_file_is_refused(attack):
    content = text("mine", [certificate("x[p]")])
    old, new = CHANGED[attack]
    assert old in content
    with pytest.raises(Refused):
        read(content.replace(old, new, 1), "mine")[0].check()


# --- functions


def test_functions_whose_names_differ_in_case_are_different_functions():
    """Li(x) is li(x) - li(2)."""
    x = sp.Symbol("x", real=True)
    read_in = Translator({x})
    found = []
    for function in (sp.Li, sp.li):
        try:
            found.append(read_in.polynomial(function(x), {}))
        except FormulaError:
            found.append(function)
    assert found[0] != found[1]
