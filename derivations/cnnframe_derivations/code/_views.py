"""Arrays as they are read: a view with one axis for each index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..proofs._polynomial import ONE, ZERO, Polynomial, symbol
from ._pieces import INDEX, CodeError, Piece, Read, Rules, radix
from ._writer import Sizes, Writer, bracketed, cut, tuple_text


@dataclass(frozen=True)
class Operand:
    """A piece of code for an array with an index for each axis.

    Attributes:
        text: the code.
        labels: the index of each axis.
        fresh: it shares no memory with an argument.
        mask: it holds truth values.
        whole: the text binds tightly enough to be indexed.
        windows: it is a view with more entries than its array.
        linear: it is an entry or a product of entries, and no function of any.
    """

    text: str
    labels: tuple[str, ...]
    fresh: bool = False
    mask: bool = False
    whole: bool = True
    windows: bool = False

    def indexed(self, inside: str) -> str:
        """The text with an index behind it."""
        return f"{self.text if self.whole else f'({self.text})'}[{inside}]"


@dataclass
class Views:
    """Writes the views of one piece."""

    rules: Rules
    sizes: Sizes
    writer: Writer
    arrays: Mapping[str, str]
    bare: frozenset[str]
    given: frozenset[str]
    piece: Piece

    def view(self, read: Read) -> Operand:
        """The array as it is read."""
        name = read.array
        if name.startswith(INDEX):
            return self._counting(read)
        if name in self.bare:
            return Operand(self.arrays[name], ())
        shape, text = self.rules.shapes[name], self.arrays[name]
        offsets, text = self._padded(read, text, shape)
        parts = [self.rules.affine(e, self.piece.loops) for e in read.at]
        selected, axes, changed = [], [], False
        for k, ((_, factors), offset) in enumerate(zip(parts, offsets, strict=True)):
            if not factors:
                selected.append(self.sizes.text(offset))
                changed = True
                continue
            padded = (read, k) in self.piece.pads
            digits = None if padded or offset != ZERO else radix(read.at[k], self.piece.loops, shape[k])
            axes.append((factors, digits))
            taken = self._taken(offset, factors, shape[k], whole=digits is not None, padded=padded)
            changed |= taken != ":"
            selected.append(taken)
        if changed:
            text = f"{text}[{', '.join(selected)}]"
        text, labels = self._opened(name, text, axes)
        windows = any(len(factors) > 1 and digits is None for factors, digits in axes)
        found = Operand(text, tuple(labels), name not in self.given, windows=windows)
        return self._diagonal(found)

    def _counting(self, read: Read) -> Operand:
        """The numbers that an index runs through."""
        (e,) = read.at
        offset, factors = self.rules.affine(e, self.piece.loops)
        if len(factors) != 1:
            raise CodeError(f"the index {e} is used as a number and has more than one part")
        ((v, factor),) = factors.items()
        text = f"np.arange({self.sizes.text(self.piece.loops[v])})"
        if factor != ONE:
            text = f"{bracketed(self.sizes.text(factor))} * {text}"
        return Operand(text if offset == ZERO else f"({self.sizes.text(offset)} + {text})", (v,), fresh=True, whole=factor == ONE)

    def _padded(self, read: Read, text: str, shape: Sequence[Polynomial]) -> tuple[list[Polynomial], str]:
        """Offsets of the indices within the array, and the array with zeros around it where an index leaves it."""
        offsets, widths = [], []
        for k, (e, size) in enumerate(zip(read.at, shape, strict=True)):
            offset, _ = self.rules.affine(e, self.piece.loops)
            before = after = "0"
            if (read, k) in self.piece.pads:
                low, high = self.rules.extremes(e, self.piece.loops)
                if not self.rules.at_least_0(low):
                    before = self.writer.let(f"before{k}", f"max(0, {self.sizes.text(-low)})") if not self.rules.at_least_0(-low) else self.sizes.text(-low)
                    # The width is a number of its own where it is not the offset itself.
                    offset += symbol(before) if not self.rules.at_least_0(-low) else -low
                beyond = high - size + ONE
                after = "0" if self.rules.at_least_0(-beyond) else self.writer.short(f"after{k}", f"max(0, {self.sizes.text(beyond)})")
            offsets.append(offset)
            widths.append(f"({before}, {after})")
        if all(width == "(0, 0)" for width in widths):
            return offsets, text
        return offsets, self.writer.let(f"{text}_padded", f"np.pad({text}, ({', '.join(widths)}))")

    def _taken(self, offset: Polynomial, factors: Mapping[str, Polynomial], size: Polynomial, *, whole: bool, padded: bool) -> str:
        """The slice of an axis between the least and the largest index."""
        if whole:
            return ":"
        low, high = offset, offset
        for v, factor in factors.items():
            if self.rules.at_least_0(factor):
                high += factor * (self.piece.loops[v] - ONE)
            else:
                low += factor * (self.piece.loops[v] - ONE)
        ((v, factor), *others) = factors.items()
        if others or not self.rules.at_least_0(factor):
            full = not padded and low == ZERO and high == size - ONE
            return ":" if full else cut("" if low == ZERO else self._short(low), "" if high == size - ONE and not padded else self._short(high + ONE), "")
        count = self.piece.loops[v]
        if factor == ONE:
            full = not padded and low == ZERO and count == size
            return ":" if full else cut("" if low == ZERO else self._short(low), "" if low + count == size and not padded else self._short(low + count), "")
        # Past the end of the array a slice stops by itself; the last step is cut so.
        return cut("" if low == ZERO else self._short(low), self._short(low + factor * count), self.sizes.text(factor))

    def _opened(self, name: str, text: str, axes: Sequence[tuple[Mapping[str, Polynomial], list[str] | None]]) -> tuple[str, list[str]]:
        """Axes at which several indices are read, as one axis for each index."""
        loops = self.piece.loops
        if any(digits for _, digits in axes):
            sizes = [self._extent(factors) if digits is None else [loops[v] for v in digits] for factors, digits in axes]
            text = self.writer.let(f"{self.arrays[name]}_parts", f"{text}.reshape({', '.join(self._short(n) for group in sizes for n in group)})")
            flat = [({v: ONE}, None) for factors, digits in axes for v in (digits or [])] if all(d for _, d in axes) else None
            axes = flat or [pair for factors, digits in axes for pair in ([({v: ONE}, None) for v in digits] if digits else [(factors, None)])]
        labels, steps, reach, places = [], [], [], []
        later: list[tuple[str, str]] = []
        for place, (factors, _) in enumerate(axes):
            ordered = sorted(factors, key=lambda v: (loops[v].symbols() <= set(self.rules.hypers), not self.rules.at_least_0(factors[v])))
            first, *others = ordered
            labels.append(first)
            alone = not others and self.rules.at_least_0(factors[first])
            steps.append("" if alone else self._step(factors[first]))
            for v in others:
                reach.append(self._short(self._length(factors[v], loops[v])))
                places.append(place)
                later.append((v, self._step(factors[v])))
        if reach:
            window, axis = (reach[0], places[0]) if len(reach) == 1 else (tuple_text(reach), tuple_text(places))
            text = self.writer.let(f"{self.arrays[name]}_windows", f"sliding_window_view({text}, {window}, axis={axis})")
        slices = [f"::{step}" if step.lstrip("-").isidentifier() else f":: {step}" if step else ":" for step in (*steps, *(step for _, step in later))]
        slices = ["::-1" if part == ":: -1" else part for part in slices]
        if any(part != ":" for part in slices):
            while slices[-1] == ":":
                slices.pop()
            text = f"{text}[{', '.join(slices)}]"
        return text, [*labels, *(v for v, _ in later)]

    def _short(self, p: Polynomial) -> str:
        return self.writer.short("reach", self.sizes.text(p))

    def _extent(self, factors: Mapping[str, Polynomial]) -> list[Polynomial]:
        total = ONE
        for v, factor in factors.items():
            total += self._length(factor, self.piece.loops[v]) - ONE
        return [total]

    def _length(self, factor: Polynomial, count: Polynomial) -> Polynomial:
        step = factor if self.rules.at_least_0(factor) else -factor
        return step * (count - ONE) + ONE

    def _step(self, factor: Polynomial) -> str:
        if factor == ONE:
            return ""
        if self.rules.at_least_0(factor):
            return self.sizes.text(factor)
        text = self.sizes.text(-factor)
        return f"-{bracketed(text)}"

    def _diagonal(self, found: Operand) -> Operand:
        """Where one index is read at two axes, the diagonal."""
        once = list(dict.fromkeys(found.labels))
        if len(once) == len(found.labels):
            return found
        return replace(found, text=self.writer.let("diagonal", f'np.einsum("{spec([found.labels], once)}", {found.text})'), labels=tuple(once), fresh=True)


def spec(inputs: Iterable[Sequence[str]], output: Sequence[str]) -> str:
    """An einsum specification with a letter for each index, in the order in which they come."""
    letters: dict[str, str] = {}
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def word(labels: Sequence[str]) -> str:
        return "".join(letters.setdefault(v, alphabet[len(letters)]) for v in labels)

    return f"{','.join([word(labels) for labels in inputs])}->{word(output)}"


def aligned(operand: Operand, order: Sequence[str]) -> Operand:
    """The operand so that its axes broadcast against those of `order`."""
    present = [v for v in order if v in operand.labels]
    text, whole = operand.text, operand.whole
    if tuple(present) != operand.labels:
        text = f"{text if whole else f'({text})'}.transpose({', '.join(str(operand.labels.index(v)) for v in present)})"
        whole = True
        if present == list(reversed(operand.labels)):
            text = text.removesuffix(f".transpose({', '.join(str(k) for k in reversed(range(len(present))))})") + ".T"
    first = next((k for k, v in enumerate(order) if v in present), len(order))
    rest = list(order[first:])
    if len(rest) > len(present):
        gaps = [":" if v in present else "None" for v in rest]
        if len(gaps) > 1 and all(g == "None" for g in gaps[1:]) and len(gaps) == 2:
            pass
        text = f"{text if whole else f'({text})'}[{', '.join(gaps)}]"
        whole = True
    return replace(operand, text=text, labels=tuple(v for v in order if v in present), whole=whole)
