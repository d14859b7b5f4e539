"""The small changes that `suite_mutants.py` makes to the modules that judge: which there are, and what is left alone."""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "derivations" / "cnnframe_derivations"
BESIDE = ("_derive", "_evaluate", "_numbers", "_rounding")
JUDGES = (
    "contract", "exact", "bounded", "symbolic", "proved", "exhaustive", "independent", "kinks", "extremes", "composed", "curvature", "canaries",
    "_oracle", "_bench", "_box", "_cases", "_values", "_calls", "_state", "_refusals", "_coverage", "_run", "_verdict", "_twin", "_curved", "_scalar", "_ring",
    "_carried", "_joined", "_joined_cases", "_joined_oracle", "_chains", "_chain_bench",
)  # fmt: skip
MODULES = (*BESIDE, *(f"suite/{name}" for name in JUDGES))

TEXTS = frozenset(("__repr__", "__str__", "_repr_latex_", "lines", "show_op", "_short", "command", "why"))
"""Functions whose answer is text for people."""

BUDGETS = frozenset((
    "_SHARES", "BUDGETS", "ROUNDS", "SIMPLEST", "TRIES", "MOST_ENTRIES", "MOST_WORK", "MOST_SYMBOLS", "MOST_DRAWN", "MOST_PRODUCTS", "CONFIRMED",
    "ENTRIES", "MANTISSAS", "CHUNK", "SUITE_VERSION", "DECADES", "DIGITS", "OFTEN", "FAR", "MANY", "LARGEST_KERNEL_AXES", "SMALL_SHAPES",
    "LARGE_SHAPES", "SCALES", "TABLES", "PRIMES", "FINE", "pool",
    "BATCHES", "WIDE", "PATIENCE", "POOL", "COMPILED", "VALUES", "SMALLER", "MOST", "LONGEST", "LEVEL", "FITS", "TAKEN", "MISSES",
))  # fmt: skip
"""Module constants that say how much is drawn, in how many digits, how large: another number is another budget, not another judgement."""

DRAWS = frozenset(("choose", "default_rng", "integers", "_settings", "integers_in", "_sample"))
"""Calls whose numbers say what is drawn, or seed it: another number is another draw, and so is what is drawn the other way round."""

BOUNDS = frozenset(("bound", "error", "slack", "slope", "own", "reach", "room", "most", "least", "size", "spread", "doubt", "near", "limit"))
"""Variables that hold a bound: infinity forgives all, and 0 nothing."""

SWAPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: bytes `start` to `end` of a module are replaced by `text`.

    `lines` are those of the statement, which a test must run to see it; not `within` a function, all tests do.
    """

    module: str
    line: int
    operator: str
    number: int
    start: int
    end: int
    text: str
    source: str
    lines: tuple[int, ...]
    within: bool

    @property
    def id(self) -> str:
        return f"{self.module}:{self.line}:{self.operator}:{self.number}"


Change = tuple[ast.AST, str, str]


def changes(node: ast.AST, returns: str) -> Iterator[Change]:  # noqa: C901, PLR0912 # one case for each operator
    """What is changed in this node itself: the part that is replaced, the operator's name, and the new text."""
    match node:
        case ast.BinOp() if ".budget[" in ast.unparse(node):
            # Another number is another budget.
            return
        case ast.Raise():
            yield node, "drop-raise", "pass"
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()) | ast.AugAssign() | ast.Continue() | ast.Break():
            yield node, "drop-statement", "pass"
        case ast.For(iter=over):
            yield over, "skip-first", f"__import__('itertools').islice({ast.unparse(over)}, 1, None)"
            yield over, "only-first", f"__import__('itertools').islice({ast.unparse(over)}, 1)"
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in BOUNDS:
            yield from _bounds(value)
        case ast.Call(func=ast.Name(id="Truth" | "Rounded" | "Near" | "_Estimate"), args=[_, value, *_]):
            yield from _bounds(value)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            for wide, text in (("bool", "True"), ("bool", "False"), ("float", "0.0"), ("float", "float('inf')"), ("| None", "None")):
                if returns == wide or (wide == "| None" and returns.endswith(wide)):
                    yield value, "return", text
        case ast.Compare(ops=[ast.LtE() | ast.Lt() | ast.Gt() | ast.GtE()], comparators=[ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name))]) if (
            name in BUDGETS
        ):
            # One more or one less is another budget.
            return
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            yield node, "comparison", ast.unparse(ast.Compare(left, [SWAPS[type(op)]()], [right]))
        case ast.Compare(ops=ops):
            for number, op in enumerate(ops):
                yield node, "comparison", ast.unparse(ast.Compare(node.left, [*ops[:number], SWAPS[type(op)](), *ops[number + 1 :]], node.comparators))
        case ast.BoolOp(values=values):
            for number in range(len(values)):
                rest = values[:number] + values[number + 1 :]
                yield node, "drop-operand", ast.unparse(rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest))
        case ast.BinOp(left=left, op=ast.Add() | ast.Mult() | ast.BitAnd() | ast.BitOr(), right=right) if not (_is_text(left) or _is_text(right)):
            yield from ((node, "drop-operand", ast.unparse(kept)) for kept in (left, right))
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand) if not _is_draw(operand):
            yield node, "negate", ast.unparse(operand)
        case ast.Name(id="any" | "all" as name):
            yield node, "any-all", {"any": "all", "all": "any"}[name]
        case ast.Attribute(value=value, attr="any" | "all" as name):
            yield node, "any-all", f"{ast.unparse(value)}.{ {'any': 'all', 'all': 'any'}[name] }"
        case ast.Constant(value=bool() as value):
            yield node, "constant", str(not value)
        case ast.Constant(value=int() as value):
            yield from ((node, "constant", str(value + step)) for step in (1, -1))
        case ast.Constant(value=float() as value):
            yield from ((node, "constant", text) for text in ([repr(2 * value), "0.0"] if value else ["1.0"]))
    for test in [node.test] if isinstance(node, (ast.If, ast.IfExp, ast.While)) else node.ifs if isinstance(node, ast.comprehension) else []:
        # What another operator turns round already is left to it.
        turned = isinstance(test, ast.UnaryOp) or (isinstance(test, ast.Compare) and not isinstance(test.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE)))
        if not turned and not _is_draw(test):
            yield test, "negate", f"not ({ast.unparse(test)})"


def _bounds(value: ast.expr) -> Iterator[Change]:
    yield value, "bound", f"({ast.unparse(value)}) + float('inf')"
    if not isinstance(value, ast.Constant) or value.value:
        yield value, "bound", f"0 * ({ast.unparse(value)})"


def _is_draw(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in DRAWS


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def parts(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node in which a change can matter to a verdict: no messages, annotations, budgets, draws or texts."""
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target) if all(getattr(t, "id", "") in BUDGETS for t in getattr(target, "elts", [target])):
            return
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in DRAWS:
            return
        case ast.Slice(upper=ast.Constant(value=int() as most)) if most >= 60:
            # It cuts a text.
            return
        case ast.keyword(arg="strict"):
            # It guards what is of one length.
            return
        case ast.BinOp() if ".budget[" in ast.unparse(node):
            return
    left_out = {"annotation", "returns", "decorator_list", "ctx", "op", "ops"}
    for name, value in ast.iter_fields(node):
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST) and name not in left_out and not (isinstance(part, ast.FunctionDef) and part.name in (TEXTS | DRAWS)):
                yield part


def mutants(module: str) -> list[Mutant]:
    """All mutants of a module, in the order of its lines."""
    source = (PACKAGE / f"{module}.py").read_bytes()
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found: list[Mutant] = []
    counts: Counter[tuple[int, str]] = Counter()

    def add(node: Any, operator: str, text: str) -> None:
        counts[node.lineno, operator] += 1
        start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        new = text if isinstance(node, ast.stmt) else f"({text})"
        shown = lines[node.lineno - 1].decode().strip()
        found.append(Mutant(module, node.lineno, operator, counts[node.lineno, operator], start, end, new, shown, lines_of[-1], len(lines_of) > 1))

    lines_of: list[tuple[int, ...]] = [()]

    def walk(node: ast.AST, returns: str) -> None:
        if isinstance(node, ast.stmt) and len(lines_of) > 1 and not isinstance(node, ast.FunctionDef):
            body = getattr(node, "body", None)
            lines_of[-1] = tuple(range(node.lineno, max(node.lineno + 1, body[0].lineno if body else (node.end_lineno or 0) + 1)))
        if isinstance(node, ast.FunctionDef):
            lines_of.append(tuple(range(node.lineno, (node.end_lineno or 0) + 1)))
            returns = ast.unparse(node.returns) if node.returns else ""
            body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
            if returns == "None" and body and node.name != "__init__":
                first: Any = body[0]
                whole = ast.Pass(lineno=first.lineno, col_offset=first.col_offset, end_lineno=body[-1].end_lineno, end_col_offset=body[-1].end_col_offset)
                add(whole, "empty", "return")
        for change in changes(node, returns):
            add(*change)
        for part in parts(node):
            walk(part, returns)
        if isinstance(node, ast.FunctionDef):
            lines_of.pop()

    walk(ast.parse(source), "")
    return sorted(found, key=lambda m: (m.line, m.start, m.operator, m.number))


def sample(every: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """One mutant of each of `count` equal stretches of the list, so that modules have their share."""
    rng = random.Random(seed)  # noqa: S311 # a sample, no secret
    count = min(count, len(every))
    return [every[int((number + rng.random()) * len(every) / count)] for number in range(count)]
