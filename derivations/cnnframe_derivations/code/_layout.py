"""From statements to the text of a function."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import sympy as sp

from ._pieces import INDEX, Piece, Read
from ._writer import Sizes, Statement, Writer, words

WIDTH = 160
IMPORTS = {
    "np": "import numpy as np",
    "sliding_window_view": "from numpy.lib.stride_tricks import sliding_window_view",
    "expit": "from scipy.special import expit",
}


def laid_out(
    operation: str,
    writer: Writer,
    sizes: Sizes,
    arguments: Mapping[str, str],
    cotangents: Mapping[str, str],
    gradients: Sequence[str],
    *,
    flat: Sequence[str],
) -> str:
    """The function, with the statements that one gradient needs under its name and those that several need before."""
    _inline(writer)
    users = writer.users(gradients)
    single = len(gradients) == 1
    body = [] if single else ["gradients = {}"]
    ordered = sorted((k for k in users if users[k]), key=lambda k: (-len(users[k]), min(gradients.index(g) for g in users[k])))
    current: frozenset[str] = frozenset(gradients)
    for k in ordered:
        statement, who = writer.statements[k], users[k]
        if who != current and not single:
            current = who
            if len(who) < len(gradients):
                listed = ", ".join(f'"{g}"' for g in gradients if g in who)
                body.append(f"if {listed} in wanted:" if len(who) == 1 else f"if {{{listed}}} & set(wanted):")
        indent = "" if single or len(who) == len(gradients) else "    "
        body += [indent + line for line in _lines(statement, single=single)]
    if not single:
        body.append("return gradients")
    code = [line for line in body if not line.lstrip().startswith("#")]
    used = {word for line in code for word in words(line)}
    head = _head(used, sizes, arguments, cotangents, flat=flat)
    used |= {word for line in head for word in words(line)}
    names = ", ".join(f'"{g}"' for g in gradients)
    imports = [line for name, line in IMPORTS.items() if name in used]
    lines = [
        *imports,
        *(["", ""] if imports else []),
        f"def backward(self, dy, saved, wanted=frozenset({{{names}}})):",
        f'    """Return the {"gradient" if single else "wanted gradients"} of `{operation}`; `saved` holds what forward was given."""',
    ]
    lines += [f"    {line}" for line in [*head, *body]]
    return "\n".join(lines) + "\n"


def _inline(writer: Writer) -> None:
    """A gradient that is only another name for one line says that line."""
    uses = Counter(word for s in writer.statements for line in s.lines for word in words(line) if word != s.name)
    simple = {s.name: s for s in writer.statements if s.name and len(s.lines) == 1 and uses[s.name] == 1 and not s.comments}
    for k, s in enumerate(writer.statements):
        if s.gradient and s.lines[0] in simple:
            source = simple[s.lines[0]]
            writer.statements[k] = replace(s, lines=(source.lines[0].removeprefix(f"{source.name} = "),))


def _lines(statement: Statement, *, single: bool) -> Iterable[str]:
    for comment in statement.comments:
        yield from textwrap.wrap(comment, WIDTH - 12, subsequent_indent="#   ", break_long_words=False)
    if not statement.gradient:
        yield from statement.lines
    elif single:
        yield f'return {{"{statement.gradient}": {statement.lines[0]}}}'
    else:
        yield f'gradients["{statement.gradient}"] = {statement.lines[0]}'


def _together(wanted: Sequence[str], sizes: Sizes) -> list[str]:
    """Sizes from one source in one line."""
    groups: dict[str, list[str]] = {}
    for name in wanted:
        value = sizes.lines[name]
        source = value.partition("[")[0] if value.endswith("]") else value
        groups.setdefault(source, []).append(name)
    lines = []
    for source, names in groups.items():
        values = [sizes.lines[name] for name in names]
        lines.append(f"{', '.join(names)} = {source if _whole(source, values, sizes) else ', '.join(values)}")
    return lines


def _whole(source: str, values: Sequence[str], sizes: Sizes) -> bool:
    """Whether the values are all that a hyperparameter has."""
    everything = [value for value in sizes.lines.values() if value.startswith(f"{source}[")]
    return source.startswith("self.") and len(values) > 1 and sorted(values) == sorted(everything)


def _head(used: set[str], sizes: Sizes, arguments: Mapping[str, str], cotangents: Mapping[str, str], *, flat: Sequence[str]) -> list[str]:
    """What the arguments, sizes and the element type are."""
    wanted: list[str] = []
    waiting = sorted(used & set(sizes.lines))
    while waiting:
        name = waiting.pop(0)
        if name not in wanted:
            wanted.append(name)
            waiting += sorted(words(sizes.lines[name]) & set(sizes.lines))
    wanted = sorted(wanted, key=lambda name: (bool(words(sizes.lines[name]) & set(sizes.lines)), sizes.lines[name].startswith("self."), name))
    lines = _together(wanted, sizes)
    used = used | {word for line in lines for word in words(line)}
    unpacked = [own if own in used else f"_{own}" for own in arguments.values()]
    several = [f'{own} = dy["{name.removeprefix("d_")}"]' for name, own in cotangents.items() if own in used and own != "dy"]
    first = next(iter(cotangents.values()))
    kind = []
    if "real" in used:
        kind = ["real = dy.dtype.type" if first == "dy" else f'real = dy["{next(iter(cotangents)).removeprefix("d_")}"].dtype.type']
    head = [f"{', '.join(unpacked)}{',' if len(unpacked) == 1 else ''} = saved"] if any(own in used for own in arguments.values()) else []
    if len(unpacked) == 1 and head:
        head = [f"({unpacked[0]},) = saved"]
    flattened = [f"{own} = {own}.reshape(-1)" for own in flat if own in used]
    return [*head, *several, *kind, *flattened, *lines]


def said(found: Sequence[Piece], name: str) -> str:
    """The gradient in one line."""
    parts = []
    for piece in found:
        over = [v for v in piece.loops if v not in dict(piece.free)]
        values = {s: sp.Symbol(_entry(read)) for factor in piece.factors for s, read in factor.reads}
        body = sp.Mul(*piece.scalars, *(sp.Symbol(str(c)) for c in piece.counts), *(f.template.xreplace(values) for f in piece.factors))
        where = [f"{v} = {e}" for v, e in piece.named.items()]
        parts.append((f"sum over {', '.join(over)} of " if over else "") + str(body) + (f" where {', '.join(where)}" if where else ""))
    index = ", ".join(v for v, _ in found[0].free) if found else ""
    return f"d{name}[{index}] = {' + '.join(parts) or '0'}"


def _entry(read: Read) -> str:
    """An entry of an array, or an index, as text."""
    return str(read.at[0]) if read.array.startswith(INDEX) else f"{read.array}[{', '.join(map(str, read.at))}]"
