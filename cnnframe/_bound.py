"""A kernel that is called as planners may call it, so that whoever judges its answers sees what it relies on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np

from ._arena import aligned
from ._axes import Shape
from ._errors import ContractError
from ._kernel import Arrays, Chain, Kernel
from ._memory import PLAIN, Call, MemoryLayout, address
from ._op import Array
from ._ways import Lies, ways

THREADS = 3
"""How many share a call that can be shared."""

_Vector = tuple[Array, list[tuple[dict[str, Array], str, Array]]]
"""A vector, and which array of which group lies where in it."""


class Bound:
    """A kernel bound to arrays of its own, which lie as `given` and have been used for another step before.

    What it may not rely on is spoiled, so that whoever judges its answers sees it: what is in memory that it was not the last to
    write to, and between its forward and its backward the inputs and outputs that it does not `keep`. The parameters of one that
    `follows` lie elsewhere in every run, and so do their gradients. Whatever else it offers, such as gradients that lie where the input
    lay, or outputs as the next kernel takes them, must lead to the same bits.

    Raises:
        ContractError: it wrote to arrays that are given, or something else where it was called or bound in another way that it offers.
    """

    def __init__(self, kernel: type[Kernel], chain: Chain, given: MemoryLayout, arrays: Sequence[Mapping[str, Array]], lies: Lies | None = None) -> None:
        self.kernel = kernel
        self.chain = chain
        # As planners ask; what it answers was heard before, but it must not raise.
        kernel.declines(chain)
        usual, *others = ways(kernel, chain, given)
        self._lies = lies or usual
        self._handed = lies is not None
        self._other: Bound | None = None
        self._first = frozenset(chain.ops[0].declaration.inputs)
        self._meant = [{name: np.array(array, order="C") for name, array in own.items()} for own in arrays]
        self._held = [
            {name: np.empty(self._layout(number, name).shape(array.shape), array.dtype) for name, array in own.items()}
            for number, own in enumerate(self._meant)
        ]
        self._made = {name: np.empty(self._lies[1].shape(shape), chain.dtype) for name, shape in chain.outputs.items()}
        self._cotangents = {name: np.empty_like(array) for name, array in self._made.items()} if chain.learns else {}
        self._gradients = [
            {name: np.empty(self._layout(number, name).shape(chain.given[number][name]), chain.dtype) for name in sorted(wanted)}
            for number, wanted in enumerate(chain.wanted)
        ]
        made = kernel(chain, *self._lies)
        if not made.ready():
            made.prepare()
        self._kept = made.kept()
        asked = made.buffers()
        self._buffers = {name: np.empty(buffer.shape, buffer.dtype) for name, buffer in asked.items()}
        self._scratch = [self._buffers[name] for name, buffer in asked.items() if not buffer.kept]
        # Each in its turn: where a kernel is bound, where it rehearses, and where its answers count.
        self._places = [self._vectors() for _ in range(3)] if kernel.follows else []
        self._moved = np.zeros(2, np.int64) if kernel.follows else None
        self._begins = [address(vector) for vector, _ in self._places[0]] if self._places else []
        self._move()
        self._calls = self._bind(self._held, self._made, self._gradients, self._moved)
        self._rehearse()
        if others and not self._handed:
            self._other = Bound(kernel, chain, given, arrays, *others)

    def _layout(self, number: int, name: str) -> MemoryLayout:
        """How an argument of one of the operations lies, and its gradient."""
        return self._lies[0] if number == 0 and name in self._first else PLAIN

    def _vectors(self) -> list[_Vector]:
        """Memory for parameters and for their gradients."""
        found = []
        for groups in (self._held, self._gradients):
            mine = [(own, name) for op, own in zip(self.chain.ops, groups, strict=True) for name in own if name in op.params]
            vector = np.empty(sum(own[name].size for own, name in mine), self.chain.dtype)
            ends = list(accumulate((own[name].size for own, name in mine), initial=0))
            found.append((vector, [(own, name, vector[slice(*ends)].reshape(own[name].shape)) for (own, name), ends in zip(mine, pairwise(ends), strict=True)]))
        return found

    def _move(self) -> None:
        """Bring parameters and their gradients to other memory, and leave nothing where they were."""
        if self._moved is None:
            return
        here, before = self._places[0], self._places[-1]
        self._places.append(self._places.pop(0))
        self._moved[:] = [address(vector) - begin for (vector, _), begin in zip(here, self._begins, strict=True)]
        for vector, _ in (*here, *before):
            _spoil(vector)
        for _, views in here:
            for own, name, view in views:
                own[name] = view

    def _rehearse(self) -> None:
        """Go forward and back with the same entries in other places."""
        meant = self._meant
        self._meant = [{name: np.flip(array).copy() for name, array in own.items()} for own in meant]
        self.forward()
        if self.chain.learns:
            ones = {name: np.ones(shape, self.chain.dtype) for name, shape in self.chain.outputs.items()}
            self._added(self.backward(ones), ones)
            self._over(ones)
        self._meant = meant

    def _over(self, cotangents: Mapping[str, Array]) -> None:
        """Let the gradient of an input lie where planners may let it: over that if it is the only one, or, if all is read first, across whatever came in."""
        wanted, late = self._first & self._gradients[0].keys(), self.kernel.writes_last
        if len(wanted) != 1 or not (late or (self.kernel.replaces and len(self._first) == 1)):
            return
        (name,) = wanted
        for source in sorted(self._first | self.chain.ops[0].declaration.constants.keys()) if late else (name,):
            self._across(name, source, cotangents)

    def _across(self, name: str, source: str, cotangents: Mapping[str, Array]) -> None:
        """Let the gradient of an input lie where another, or itself, lies; if all is read first, from its middle on, and across the first output."""
        x, over, (output, y) = self._held[0][name], self._held[0][source], next(iter(self._made.items()))
        start = over.size // 2 * over.itemsize if self.kernel.writes_last else 0
        behind = -(-over.nbytes // 8) * 8
        # Twice the same place in a vector, since some sums depend on that.
        block, other = (aligned(max(behind + y.nbytes, start + x.nbytes)) for _ in range(2))
        held = [{**self._held[0], source: _laid(block, 0, over)}, *self._held[1:]]
        made = {**self._made, output: _laid(block, behind, y)}

        def made_in(place: Array) -> list[dict[str, Array]]:
            gradients = [{**self._gradients[0], name: _laid(place, start, x)}, *self._gradients[1:]]
            return self._otherwise(held, made, gradients, cotangents)

        beside, there = made_in(other), made_in(block)
        if any(own[key].tobytes() != array.tobytes() for own, mine in zip(beside, there, strict=True) for key, array in mine.items()):
            flag = "writes_last" if self.kernel.writes_last else "replaces"
            raise ContractError(
                f"kernel {self.kernel.name!r} makes something else where the gradient of {name!r} lies where {source!r} lay; as it declares `{flag}`, "
                "it must have read what it writes over"
            )

    def _added(self, found: list[dict[str, Array]], cotangents: Mapping[str, Array]) -> None:
        """Let gradients of parameters be added, to nothing and to what is no number."""
        for start in (0.0, np.nan) if self.kernel.follows else ():
            gradients = [{name: np.full_like(array, start) for name, array in own.items()} for own in self._gradients]
            again = self._otherwise(self._held, self._made, gradients, cotangents, adds=True)
            for op, mine, own in zip(self.chain.ops, again, found, strict=True):
                for name in own.keys() & op.params:
                    if not np.array_equal(mine[name], start + own[name], equal_nan=True):
                        raise ContractError(
                            f"kernel {self.kernel.name!r} does not add the gradient of {name!r} to what is there where it is asked to; as it declares "
                            "`follows`, it must add what it would write"
                        )

    def _otherwise(
        self,
        held: Sequence[Mapping[str, Array]],
        made: Mapping[str, Array],
        gradients: Sequence[Mapping[str, Array]],
        cotangents: Mapping[str, Array],
        *,
        adds: bool = False,
    ) -> list[dict[str, Array]]:
        """The gradients, as users see them, of a kernel that is bound to other arrays."""
        forward, backward = self._bind(held, made, gradients, None if self._moved is None else np.zeros_like(self._moved), adds=adds)
        for array in (*self._buffers.values(), *made.values()):
            _spoil(array)
        self._give(held)
        forward()
        self._slope(cotangents)
        for array in self._scratch:
            _spoil(array)
        if backward is not None:
            backward()
        return self._users(gradients)

    def _bind(
        self,
        held: Sequence[Mapping[str, Array]],
        made: Mapping[str, Array],
        gradients: Sequence[Mapping[str, Array]],
        moved: Array | None,
        *,
        adds: bool = False,
    ) -> tuple[Call, Call | None]:
        given, into = (tuple(map(dict, groups)) for groups in (held, gradients))
        return self.kernel(self.chain, *self._lies).bind(Arrays(given, made, self._cotangents, into, self._buffers, moved=moved, adds=adds))

    def forward(self) -> dict[str, Array]:
        """The outputs by name, as their users see them."""
        for array in (*self._buffers.values(), *self._made.values()):
            _spoil(array)
        self._move()
        self._give(self._held)
        self._run(self._calls[0], list(self._made.values()))
        self._unchanged()
        outputs = {name: np.empty(shape, self.chain.dtype) for name, shape in self.chain.outputs.items()}
        for name, array in outputs.items():
            self._lies[1].unpack(self._made[name], array)
            if self._handed:
                packed = np.empty_like(self._made[name])
                self._lies[1].pack(array, packed)
                self._agrees(self._made, {name: packed})
        if self._other is not None:
            self._agrees(self._other.forward(), outputs)
        if "outputs" not in self._kept:
            for array in self._made.values():
                _spoil(array)
        return outputs

    def backward(self, cotangents: Mapping[str, Array]) -> list[dict[str, Array]]:
        """For each operation the wanted gradients by name; as often as it is called."""
        self._slope(cotangents)
        # Another stage may have used the scratch in between.
        for array in (*self._scratch, *(array for own in self._gradients for array in own.values())):
            _spoil(array)
        if "inputs" not in self._kept:
            for name in self._first:
                _spoil(self._held[0][name])
        call = self._calls[1]
        if call is not None:
            self._run(call, [array for own in self._gradients for array in own.values()])
        if "inputs" not in self._kept:
            self._give(self._held)
        self._unchanged()
        for name, array in self._cotangents.items():
            self._same(self._lies[1], array, np.asarray(cotangents[name]), f"the cotangent of {name!r}")
        found = self._users(self._gradients)
        if self._other is not None:
            for mine, own in zip(self._other.backward(cotangents), found, strict=True):
                self._agrees(mine, own)
        return found

    def _agrees(self, mine: Mapping[str, Array], wanted: Mapping[str, Array]) -> None:
        for name, array in wanted.items():
            if not np.array_equal(mine[name], array, equal_nan=array.dtype.kind == "f"):
                raise ContractError(
                    f"kernel {self.kernel.name!r} makes something else of {name!r} where it leaves its outputs as the next kernel takes them; what it `leaves` "
                    "must be what that layout packs, and gradients the same"
                )

    def _users(self, gradients: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
        """Gradients as their users see them."""
        return [
            {name: self._plain(self._layout(number, name), array, self.chain.given[number][name]) for name, array in own.items()}
            for number, own in enumerate(gradients)
        ]

    def _slope(self, cotangents: Mapping[str, Array]) -> None:
        """Write cotangents to where the kernel reads them."""
        for name, array in self._cotangents.items():
            self._lies[1].pack_gradient(np.ascontiguousarray(cotangents[name]), array)

    def _run(self, call: Call, made: Sequence[Array]) -> None:
        """Make a call; where it can be shared by threads, so that the last may be the first, before that."""
        shares = call.shares(THREADS) if hasattr(call, "shares") else [call]
        if len(shares) > 1:
            for share in reversed(shares):
                share()
            shared = [array.tobytes() for array in made]
            for array in made:
                _spoil(array)
        call()
        if len(shares) > 1 and shared != [array.tobytes() for array in made]:
            who = f"kernel {self.kernel.name!r}"
            raise ContractError(f"{who} makes something else where its work is shared by threads; the shares of a call must do what it does, bit for bit")

    def _give(self, held: Sequence[Mapping[str, Array]]) -> None:
        """Write what is given to where the kernel reads it."""
        for number, own in enumerate(self._meant):
            for name, array in own.items():
                self._layout(number, name).pack(array, held[number][name])

    def _unchanged(self) -> None:
        for number, own in enumerate(self._meant):
            for name, array in own.items():
                self._same(self._layout(number, name), self._held[number][name], array, f"{name!r} of {self.chain.nodes[number]!r}")

    def _same(self, layout: MemoryLayout, held: Array, meant: Array, what: str) -> None:
        if self._plain(layout, held, meant.shape).tobytes() != meant.tobytes():
            raise ContractError(f"kernel {self.kernel.name!r} wrote to {what}; it may write to outputs, gradients and buffers alone")

    @staticmethod
    def _plain(layout: MemoryLayout, held: Array, shape: Shape) -> Array:
        found = np.empty(shape, held.dtype)
        layout.unpack(held, found)
        return found


def _laid(block: Array, start: int, like: Array) -> Array:
    """An array like another, so many bytes behind the beginning of a block."""
    return block[start : start + like.nbytes].view(like.dtype).reshape(like.shape)


def _spoil(array: Array) -> None:
    """Leave what others may leave in memory."""
    array.fill(np.nan if array.dtype.kind == "f" else 1)
