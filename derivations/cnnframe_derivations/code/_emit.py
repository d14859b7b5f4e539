"""The code of one definition: the sum of its pieces."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from ..proofs._polynomial import ONE, ZERO, Polynomial, number, symbol
from ._contract import ROOM, Contraction, loop_name, over, real
from ._pieces import CodeError, Factor, Piece, Rules, radix
from ._pointwise import ADD, MULTIPLY, Pointwise, mask, risky
from ._views import Operand, Views, aligned
from ._writer import LONG, OWN, Sizes, Writer, bracketed, cut, tuple_text

QUIET = 'with np.errstate(all="ignore"):'


@dataclass
class Emitter:
    """Writes definitions.

    Attributes:
        arrays: how each array is called in the code.
        bare: arrays of one entry that have no axes in the code.
        given: arrays that belong to the caller.
        truths: arrays that hold truth values.
        nominal: what each size is on most days.
    """

    rules: Rules
    sizes: Sizes
    writer: Writer
    arrays: dict[str, str]
    bare: set[str]
    given: set[str]
    truths: set[str]
    nominal: Mapping[str, float]
    symbols: Mapping[str, Any]

    def definition(self, pieces: Sequence[Piece], hint: str, shape: str, *, bare: bool = False, flat: bool = False) -> Operand:
        """Code for the sum of the pieces, over the output's axes in their order; `shape` is code for the output's shape."""
        free = [v for v, _ in pieces[0].free] if pieces and not bare else []
        parts = [self.piece(piece, hint, shape) for piece in pieces]
        if not parts:
            return Operand(f"np.zeros({shape}, real)", (), fresh=True)
        texts = [aligned(part, free) for part in parts]
        if sum(len(part.text) for part in texts) > ROOM and len(texts) > 1:
            texts = [part if part.whole and len(part.text) < LONG else replace(part, text=self.writer.let("term", part.text), whole=True) for part in texts]
        text = texts[0].text
        for part in texts[1:]:
            negative = part.text.startswith("-")
            text += f" {'-' if negative else '+'} {part.text.removeprefix('-')}"
        labels = tuple(v for v in free if any(v in part.labels for part in parts))
        whole = len(parts) == 1 and texts[0].whole
        found = Operand(text, labels, fresh=len(parts) > 1 or parts[0].fresh, mask=len(parts) == 1 and parts[0].mask, whole=whole)
        found = real(found)
        if len(labels) < len(free):
            found = Operand(f"np.broadcast_to({found.text}, {shape})", tuple(free))
        if flat:
            found = replace(found, text=f"{bracketed(found.text) if not found.whole else found.text}.reshape({shape})", whole=True)
        return found

    def piece(self, piece: Piece, hint: str, shape: str) -> Operand:
        """Code for one piece."""
        views = Views(self.rules, self.sizes, self.writer, self.arrays, frozenset(self.bare), frozenset(self.given), piece)
        keep = {v for v, _ in piece.free if v in piece.loops} | {v for e in piece.named.values() for v in e.symbols() & set(piece.loops)}
        order = list(piece.loops)
        pointwise = Pointwise(self._names(), lambda text: self.writer.let("value", text))
        operands = [self._operand(factor, views, order, pointwise, single=set(piece.loops) <= keep and not piece.scattered) for factor in piece.factors]
        texts = {v: self.sizes.text(size) for v, size in piece.loops.items()}
        nominal = {v: self.nominal_size(size) for v, size in piece.loops.items()}
        scattered = piece.scattered
        taps = {v for p in scattered for v in self._taps(piece, p)}
        taps |= {v for v, size in piece.loops.items() if size.symbols() <= set(self.rules.hypers) and any(self._window(piece, f, v) for f in piece.factors)}
        laid = [d for v, size in piece.free for d in ((radix(piece.named[v], piece.loops, size) or []) if v in piece.named else [v])]
        wanted = [*laid, *(v for v in order if v in keep and v not in laid)]
        left = Contraction(self.sizes, self.writer, nominal, texts, taps, self._small(piece)).run(operands, wanted)
        if scattered:
            return self._scatter(piece, left, hint, shape)
        found = self._product(piece, left, wanted, pointwise)
        return self._laid_out(piece, found, shape, hint)

    def _small(self, piece: Piece) -> set[str]:
        """Indices that run over what a hyperparameter counts: the entries of a window or a block."""
        return {v for v, size in piece.loops.items() if size.symbols() and size.symbols() <= set(self.rules.hypers)}

    def _window(self, piece: Piece, factor: Factor, v: str) -> bool:
        return any(v in e.symbols() and len(e.symbols() & set(piece.loops)) > 1 for _, read in factor.reads for e in read.at)

    def _names(self) -> dict[Any, str]:
        """How sizes and hyperparameters are written in bodies."""
        return {s: self.sizes.text(symbol(name)) if name in self.sizes.texts else name for name, s in self.symbols.items()}

    def nominal_size(self, size: Polynomial) -> float:
        """What a size is on most days."""
        value = size.substitute({name: number(int(self.nominal[name])) for name in size.symbols() if name in self.nominal})
        return max(1.0, float(value.number if value.number is not None else 8))

    def _operand(self, factor: Factor, views: Views, order: Sequence[str], pointwise: Pointwise, *, single: bool) -> Operand:
        reads = [(s, views.view(read), read) for s, read in factor.reads]
        if factor.template.is_Symbol:
            return replace(reads[0][1], mask=reads[0][2].array in self.truths)
        widest = max((o for _, o, _ in reads), key=lambda o: len(o.labels)).labels
        labels = [*widest, *(v for v in order if v not in widest and any(v in o.labels for _, o, _ in reads))]
        texts = {s: aligned(real(o) if r.array in self.truths else o, labels).text for s, o, r in reads}
        template = _without_empty(factor.template, pointwise)
        condition = mask(template)
        if condition is not None:
            pointwise.arrays |= set(texts)
            text = pointwise.condition(condition, {**pointwise.names, **texts})
            return Operand(text, tuple(labels), fresh=True, mask=True, whole=False)
        text = pointwise.text(template, texts, MULTIPLY + 1 if single else ADD)
        if risky(template):
            return Operand(self.writer.let("value", QUIET, f"    {OWN} = {text}"), tuple(labels), fresh=True)
        return Operand(text if single else self.writer.let("value", text), tuple(labels), fresh=True, whole=not single or closed(text))

    def _product(self, piece: Piece, operands: Sequence[Operand], order: Sequence[str], pointwise: Pointwise) -> Operand:
        """The product of what is left with the factors that are no arrays; 0 where a mask does not hold, whatever else is there."""
        labels = tuple(v for v in order if any(v in o.labels for o in operands))
        masks = [aligned(o, labels) for o in operands if o.mask]
        arrays = sorted((aligned(o, labels) for o in operands if not o.mask), key=lambda o: len(o.labels))
        scalars = list(piece.scalars)
        if len(arrays) == 1 and not scalars and not piece.counts:
            text, whole, fresh = arrays[0].text, arrays[0].whole, arrays[0].fresh
        else:
            stand_in = {sp.Dummy(f"a{k:02}", real=True): o.text if o.whole else f"({o.text})" for k, o in enumerate(arrays)}
            counts = {sp.Dummy(f"b{k}", real=True): bracketed(self.sizes.text(p)) for k, p in enumerate(piece.counts)}
            scalar = _without_empty(sp.Mul(*scalars), pointwise)
            below = [part.base for part in sp.Mul.make_args(scalar) if part.is_Pow and part.exp == -1]
            if len(below) > 1:
                # One division rounds once.
                whole_size = sp.Dummy("b", real=True)
                pointwise.names = {**pointwise.names, whole_size: f"({' * '.join(pointwise.text(part, {}, MULTIPLY + 1) for part in below)})"}
                scalar = scalar * sp.Mul(*below) / whole_size
            product = sp.Mul(scalar, *counts, *stand_in)
            pointwise.names = {**pointwise.names, **counts}
            text = pointwise.text(product, stand_in) if stand_in else f"real({pointwise.text(product, {})})"
            whole, fresh = not stand_in, True
        if masks:
            condition = " & ".join(f"({m.text})" if len(masks) > 1 else m.text for m in masks)
            text, whole, fresh = f"np.where({condition}, {text}, 0)" if arrays else f"np.where({condition}, {text}, real(0))", True, True
        return Operand(text, labels, fresh=fresh, whole=whole)

    def _laid_out(self, piece: Piece, found: Operand, shape: str, hint: str) -> Operand:
        """With the digits of an index of the output as that index."""
        if not piece.named:
            return found
        sizes = dict(piece.free)
        order, widths = [], []
        for v, size in piece.free:
            digits = radix(piece.named[v], piece.loops, sizes[v]) if v in piece.named else [v]
            order += digits or []
            widths += [self.sizes.text(piece.loops[d] if v in piece.named else size) for d in digits or []]
        laid = aligned(found, order)
        text = laid.text if laid.whole else f"({laid.text})"
        missing = [v for v in order if v not in found.labels]
        if missing and set(missing) <= self._small(piece):
            names = {v: loop_name(v, self.writer, self.sizes) for v in missing}
            value = aligned(found, [v for v in order if v not in missing])
            inside = ", ".join(names.get(v, ":") for v in order)
            lines = [f"{OWN} = np.empty({tuple_text(widths)}, real)", over(list(names.values()), [self.sizes.text(piece.loops[v]) for v in missing])]
            share = value.text if value.whole else self.writer.let("share", value.text)
            text = self.writer.let(hint, *lines, f"    {OWN}[{inside}] = {share}")
        elif missing:
            text = f"np.broadcast_to({laid.text}, {tuple_text(widths)})"
        final = shape if shape.endswith(".shape") else tuple_text(self.sizes.text(size) for _, size in piece.free)
        return Operand(f"{text}.reshape({final})", tuple(v for v, _ in piece.free), fresh=found.fresh or len(found.labels) < len(order))

    def _taps(self, piece: Piece, p: str) -> list[str]:
        """The indices of a scattered one that are looped over: all but the one that runs along the map."""
        _, factors = self.rules.affine(piece.named[p], piece.loops)
        along = sorted(factors, key=lambda v: (not self.rules.at_least_0(factors[v]), piece.loops[v].symbols() <= set(self.rules.hypers)))
        if not factors or not self.rules.at_least_0(factors[along[0]]):
            raise CodeError(f"no index runs upwards along {p} = {piece.named[p]}")
        return along[1:]

    def _scatter(self, piece: Piece, operands: Sequence[Operand], hint: str, shape: str) -> Operand:
        """Add what each tap gives where it belongs, then crop."""
        taps = list(dict.fromkeys(v for p in piece.scattered for v in self._taps(piece, p)))
        own = {v: loop_name(v, self.writer, self.sizes) for v in taps}
        order, widths, slices, crops = [], [], [], []
        starts: dict[int, str] = {}
        for p, size in piece.free:
            if p not in piece.named:
                order.append(p)
                widths.append(self.sizes.text(size))
                slices.append(":")
                crops.append(":")
            elif (digits := radix(piece.named[p], piece.loops, size)) is not None:
                order += digits
                widths += [self.sizes.text(piece.loops[v]) for v in digits]
                slices += [":"] * len(digits)
                crops += [":"] * len(digits)
            else:
                along, width, piece_slice, crop = self._axis(piece, p, size, own)
                order.append(along)
                starts[len(slices)] = self.sizes.text(self.rules.affine(piece.named[p], piece.loops)[1][along] * piece.loops[along])
                widths.append(width)
                slices.append(piece_slice)
                crops.append(crop)
        plain = [o for o in operands if not set(o.labels) & set(taps)]
        moving = [o for o in operands if set(o.labels) & set(taps)]
        pointwise = Pointwise(self._names(), lambda text: self.writer.let("value", text))
        bodies = []
        if plain or piece.scalars or piece.counts or not moving:
            share = self._product(piece, plain, order, pointwise)
            bodies.append(share if share.whole or (not moving and not taps) else replace(share, text=self.writer.let("share", share.text), whole=True))
        bodies += [self._at_tap(o, own) for o in moving]
        inside = self._product(replace(piece, scalars=(), counts=()), bodies, order, pointwise)
        text = self.writer.let(
            hint, *self._additions(aligned(inside, order).text, [(own[v], self.sizes.text(piece.loops[v])) for v in taps], widths, slices, starts)
        )
        if any(crop != ":" for crop in crops):
            text = f"{text}[{', '.join(crops)}]"
        if any(p in piece.named and p not in piece.scattered for p, _ in piece.free):
            final = shape if shape.endswith(".shape") else tuple_text(self.sizes.text(size) for _, size in piece.free)
            text = f"{text}.reshape({final})"
        return Operand(text, tuple(v for v, _ in piece.free), fresh=True)

    def _additions(self, add: str, taps: Sequence[tuple[str, str]], widths: Sequence[str], places: Sequence[str], spans: Mapping[int, str]) -> list[str]:
        """The lines that add where each tap belongs; `taps` are names with sizes, `spans` how far each slice reaches."""
        slices, starts = list(places), spans
        widths = [self.writer.short("width", width) for width in widths]
        lines = [f"{OWN} = np.zeros({tuple_text(widths)}, real)"]
        if taps:
            lines.append(over([name for name, _ in taps], [size for _, size in taps]))
        for k, part in enumerate(slices):
            start, colon, rest = part.partition(" : ")
            if len(part) > 2 * LONG and taps and colon:
                span = self.writer.let("span", starts[k]) if len(starts) > 2 else starts[k]
                count = " : ".join([f"at{k} + {span}", *rest.split(" : ")[1:]])
                lines.append(f"    at{k} = {start}")
                slices[k] = f"at{k} : {count}"
        if len(add) + sum(len(part) + 2 for part in slices) > ROOM and taps:
            added = self.writer.name("added")
            lines.append(f"    {added} = {add}")
            add = added
        lines.append(f"{'    ' if taps else ''}{OWN}[{', '.join(slices)}] {'+=' if taps else '='} {add}")
        return lines

    def _axis(self, piece: Piece, p: str, size: Polynomial, own: Mapping[str, str]) -> tuple[str, str, str, str]:
        """The index that runs along a scattered axis, how wide the axis is before it is cropped, where a tap adds, what is kept."""
        e = piece.named[p]
        offset, factors = self.rules.affine(e, piece.loops)
        (along,) = set(factors) - set(self._taps(piece, p))
        low, high = self.rules.extremes(e, piece.loops)
        shift = ZERO
        if not self.rules.at_least_0(low):
            shift = -low if self.rules.at_least_0(-low) else symbol(self.writer.let("shift", f"max(0, {self.sizes.text(-low)})"))
        fits = self.rules.at_least_0(size - ONE - high)
        width = self.sizes.text(size + shift) if fits else f"max({self.sizes.text(size + shift)}, {self.sizes.text(high + ONE + shift)})"
        start = offset + shift
        for v in own:
            if v in factors:
                start += factors[v] * symbol(own[v])
        step = factors[along]
        stop = start + step * piece.loops[along]
        where = cut("" if start == ZERO else self.sizes.text(start), self.sizes.text(stop), "" if step == ONE else self.sizes.text(step))
        crop = ":" if shift == ZERO and fits else cut("" if shift == ZERO else self.sizes.text(shift), self.sizes.text(shift + size), "")
        return along, width, where, crop

    def _at_tap(self, o: Operand, own: Mapping[str, str]) -> Operand:
        """The operand's slice for one tap."""
        base = o if o.whole else replace(o, text=self.writer.let("part", o.text), whole=True)
        inside = [own.get(v, ":") for v in base.labels]
        while inside and inside[-1] == ":":
            inside.pop()
        return replace(base, text=base.indexed(", ".join(inside)), labels=tuple(v for v in o.labels if v not in own))


def closed(text: str) -> bool:
    """Whether a piece of code is one name, call or bracket, that an index may follow."""
    depth = 0
    start = re.match(r"[\w.]*", text)
    rest = text[start.end() if start else 0 :]
    for k, sign in enumerate(rest):
        depth += (sign in "([") - (sign in ")]")
        if depth == 0 and k < len(rest) - 1:
            return False
    return depth == 0


def _without_empty(e: Any, pointwise: Pointwise) -> Any:
    """With max(n, 1) in the place of a batch n that something is divided by: an empty batch has no entries to divide."""
    values = {}
    for power in e.atoms(sp.Pow):
        if power.base.is_Symbol and power.base.is_integer and not power.base.is_positive and power.exp.is_negative and power.base in pointwise.names:
            stand_in = sp.Dummy("n", positive=True)
            pointwise.names = {**pointwise.names, stand_in: f"max({pointwise.names[power.base]}, 1)"}
            values[power] = stand_in**power.exp
    return e.xreplace(values) if values else e
