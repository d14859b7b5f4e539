"""Explicit SIMD vectors for generated source: Numba types over LLVM vectors, and what can be done with them.

All that touches Numba's internal interfaces is in this file and in `_compiler`. Memory is reached through typed
pointers, which a kernel reads from a table of addresses: `pointer(table, 3)`; indices count entries, and nothing is
wrapped or checked. Nothing has fast-math flags: what is rounded once is written `fma`, and sums have the order that
the source says.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

BYTES: Final = {"float32": 4, "float64": 8}
MANTISSA: Final = {"float32": 23, "float64": 52}
BIAS: Final = {"float32": 127, "float64": 1023}
Emit = Callable[..., Any]


@cache
def features() -> frozenset[str]:
    """The extensions of this CPU that LLVM knows of."""
    import llvmlite.binding as llvm

    return frozenset(name for name, there in llvm.get_host_cpu_features().items() if there)


def width(dtype: str) -> int:
    """How many entries a vector register holds; one of 16 bytes where the CPU is not known."""
    size = 64 if "avx512f" in features() else 32 if "avx2" in features() else 16
    return size // BYTES[dtype]


def registers() -> int:
    """How many vector registers there are to be counted on."""
    return 32 if "avx512f" in features() else 16


def _intrinsic(arity: int, sign: Callable[..., Any], emit: Emit) -> Any:
    """A Numba intrinsic of `arity` arguments: `sign` gives its signature, `emit(builder, values, signature, context)` its code."""
    from numba.extending import intrinsic

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = emit(builder, args, signature, context)
        return context.get_dummy_value() if made is None else made

    def one(_typing: Any, a: Any) -> Any:
        return sign(a), code

    def two(_typing: Any, a: Any, b: Any) -> Any:
        return sign(a, b), code

    def three(_typing: Any, a: Any, b: Any, c: Any) -> Any:
        return sign(a, b, c), code

    def four(_typing: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        return sign(a, b, c, d), code

    return intrinsic(prefer_literal=True)((one, two, three, four)[arity - 1])


class _Kit:
    """Element type, lanes, and the Numba and LLVM types of vectors and masks."""

    def __init__(self, dtype: str, lanes: int) -> None:
        from llvmlite import ir
        from numba.core import types
        from numba.extending import models, register_model

        self.ir, self.types, self.dtype, self.lanes = ir, types, dtype, lanes
        self.element = ir.FloatType() if dtype == "float32" else ir.DoubleType()
        self.integer = ir.IntType(8 * BYTES[dtype])
        self.shape, self.integers, self.bits = (ir.VectorType(kind, lanes) for kind in (self.element, self.integer, ir.IntType(1)))
        self.scalar = getattr(types, dtype)
        self.vector, self.mask = types.Type(f"{dtype}x{lanes}"), types.Type(f"mask_{dtype}x{lanes}")
        for kind, llvm_type in ((self.vector, self.shape), (self.mask, self.bits)):
            # Numba looks a data model up by the class of a type, so that each kind needs a class of its own.
            own = type(kind.name, (types.Type,), {"__init__": lambda this, name=kind.name: types.Type.__init__(this, name)})
            model = type(f"Model_{kind.name}", (models.PrimitiveModel,), {"__init__": _model(models, llvm_type)})
            register_model(own)(model)
            if kind is self.vector:
                self.vector = own()
            else:
                self.mask = own()

    def fill(self, builder: Any, value: Any) -> Any:
        undefined = self.ir.Constant(self.shape, self.ir.Undefined)
        first = builder.insert_element(undefined, value, self.ir.IntType(32)(0))
        return builder.shuffle_vector(first, undefined, self.numbers([0] * self.lanes))

    def numbers(self, listed: list[int]) -> Any:
        return self.ir.Constant(self.ir.VectorType(self.ir.IntType(32), len(listed)), listed)

    def constant(self, value: int) -> Any:
        return self.ir.Constant(self.integers, [value] * self.lanes)

    def function(self, module: Any, name: str, count: int) -> Any:
        """What LLVM calls `name`, of `count` vectors."""
        kind = self.ir.FunctionType(self.shape, [self.shape] * count)
        return _declared(module, kind, f"llvm.{name}.v{self.lanes}f{8 * BYTES[self.dtype]}")

    def call(self, name: str, count: int) -> Any:
        """An operation that LLVM calls `name`, on `count` vectors."""
        return _intrinsic(count, lambda *_: self.vector(*[self.vector] * count), lambda b, v, _s, _c: b.call(self.function(b.module, name, count), v))


def _declared(module: Any, kind: Any, name: str) -> Any:
    """A function of that name in a module."""
    from numba.core import cgutils

    declared: Any = cgutils.get_or_insert_function
    return declared(module, kind, name)


def _model(models: Any, llvm_type: Any) -> Any:
    def make(self: Any, manager: Any, kind: Any) -> None:
        models.PrimitiveModel.__init__(self, manager, kind, llvm_type)

    return make


@cache
def vectors(dtype: str, lanes: int) -> dict[str, Any]:
    """The functions that generated source calls, by name, for vectors of `lanes` entries of `dtype`."""
    kit = _Kit(dtype, lanes)
    return {**_pointers(kit), **_parts(kit), **_memory(kit), **_arithmetic(kit), **_bits(kit), **_across(kit)}


def _place(b: Any, p: Any, i: Any, kind: Any) -> Any:
    """p + i as a pointer to another type."""
    return b.bitcast(b.gep(p, [i]), kind.as_pointer())


def _pointers(kit: _Kit) -> dict[str, Any]:
    """Tables of addresses, pointers to entries, and single entries."""
    types, ir = kit.types, kit.ir
    at = types.intp

    def number(b: Any, v: Any, _s: Any, _c: Any) -> Any:
        return b.load(b.gep(b.inttoptr(v[0], ir.IntType(64).as_pointer()), [v[1]]))

    def call_at(b: Any, v: Any, _s: Any, _c: Any) -> None:
        # As Numba's functions are called: a place for the result, one for an exception, of which a kernel has none.
        integer = ir.IntType(64)
        results = [b.ptrtoint(b.alloca(integer), integer) for _ in range(2)]
        b.call(b.inttoptr(v[0], ir.FunctionType(ir.IntType(32), [integer] * 5).as_pointer()), [*results, *v[1:]])

    def pointer(b: Any, v: Any, _s: Any, _c: Any) -> Any:
        return b.inttoptr(number(b, v, _s, _c), kit.element.as_pointer())

    def behind(b: Any, v: Any, _s: Any, _c: Any) -> Any:
        return b.inttoptr(b.add(b.ptrtoint(v[0], ir.IntType(64)), v[1]), kit.element.as_pointer())

    def splat(b: Any, v: Any, s: Any, c: Any) -> Any:
        return kit.fill(b, c.cast(b, v[0], s.args[0], kit.scalar))

    return {
        # The k-th address of a table, as a pointer to entries; a number of a table.
        "pointer": _intrinsic(2, lambda *_: types.CPointer(kit.scalar)(types.int64, at), pointer),
        "number": _intrinsic(2, lambda *_: types.int64(types.int64, at), number),
        # A pointer so many bytes behind another.
        "behind": _intrinsic(2, lambda p, _i: p(p, at), behind),
        # Call a kernel at an address with its table and range.
        "call_at": _intrinsic(4, lambda *_: types.none(types.int64, types.int64, types.int64, types.int64), call_at),
        # p + i; p[i]; p[i] = s.
        "shift": _intrinsic(2, lambda p, _i: p(p, at), lambda b, v, _s, _c: b.gep(v[0], [v[1]])),
        "get": _intrinsic(2, lambda p, _i: kit.scalar(p, at), lambda b, v, _s, _c: b.load(b.gep(v[0], [v[1]]))),
        "put": _intrinsic(3, lambda p, _i, _v: types.none(p, at, kit.scalar), lambda b, v, _s, _c: _nothing(b.store(v[2], b.gep(v[0], [v[1]])))),
        # p[i], or a number rounded to the element type, in every lane.
        "spread": _intrinsic(2, lambda p, _i: kit.vector(p, at), lambda b, v, _s, _c: kit.fill(b, b.load(b.gep(v[0], [v[1]])))),
        "splat": _intrinsic(1, lambda s: kit.vector(s), splat),  # noqa: PLW0108 # Numba wants a signature, which a call of a type makes
    }


def _pieces(signature: Any) -> list[tuple[int, int]]:
    """Start and length of the powers of two that make up the literal last argument."""
    count, found, start = int(signature.args[-1].literal_value), [], 0
    for size in (16, 8, 4, 2, 1):
        if count & size:
            found.append((start, size))
            start += size
    return found


def _parts(kit: _Kit) -> dict[str, Any]:
    """Some lanes of a vector, and lanes that lie apart."""
    types, vector, ir = kit.types, kit.vector, kit.ir
    at, align = types.intp, BYTES[kit.dtype]

    def load_part(b: Any, v: Any, s: Any, _c: Any) -> Any:
        found = ir.Constant(kit.shape, None)
        for start, size in _pieces(s):
            part = ir.VectorType(kit.element, size)
            piece = b.load(_place(b, v[0], b.add(v[1], v[1].type(start)), part), align=align)
            wide = b.shuffle_vector(piece, ir.Constant(part, None), kit.numbers([min(lane, size) for lane in range(kit.lanes)]))
            chosen = [kit.lanes + lane - start if start <= lane < start + size else lane for lane in range(kit.lanes)]
            found = b.shuffle_vector(found, wide, kit.numbers(chosen))
        return found

    def store_part(b: Any, v: Any, s: Any, _c: Any) -> None:
        for start, size in _pieces(s):
            part = b.shuffle_vector(v[2], ir.Constant(kit.shape, ir.Undefined), kit.numbers(list(range(start, start + size))))
            b.store(part, _place(b, v[0], b.add(v[1], v[1].type(start)), part.type), align=align)

    def load_step(b: Any, v: Any, _s: Any, _c: Any) -> Any:
        found = ir.Constant(kit.shape, ir.Undefined)
        for lane in range(kit.lanes):
            offset = b.add(v[1], b.mul(v[2], v[2].type(lane)))
            found = b.insert_element(found, b.load(b.gep(v[0], [offset])), ir.IntType(32)(lane))
        return found

    def store_step(b: Any, v: Any, _s: Any, _c: Any) -> None:
        for lane in range(kit.lanes):
            offset = b.add(v[1], b.mul(v[3], v[3].type(lane)))
            b.store(b.extract_element(v[2], ir.IntType(32)(lane)), b.gep(v[0], [offset]))

    def leading(b: Any, v: Any, s: Any, _c: Any) -> Any:
        count = int(s.args[-1].literal_value)
        return b.shuffle_vector(v[0], ir.Constant(kit.shape, None), kit.numbers([lane if lane < count else kit.lanes + lane for lane in range(kit.lanes)]))

    return {
        # The first lanes, a literal number, of a vector, and else 0.
        "leading": _intrinsic(2, lambda _v, n: vector(vector, n), leading),
        # The first lanes, a literal number, from or to p[i:], and else 0; no other memory is touched.
        "load_part": _intrinsic(3, lambda p, _i, n: vector(p, at, n), load_part),
        "store_part": _intrinsic(4, lambda p, _i, _v, n: types.none(p, at, vector, n), store_part),
        # The entries p[i], p[i + step], ... of as many as there are lanes.
        "load_step": _intrinsic(3, lambda p, _i, _n: vector(p, at, at), load_step),
        "store_step": _intrinsic(4, lambda p, _i, _v, _n: types.none(p, at, vector, at), store_step),
    }


def _memory(kit: _Kit) -> dict[str, Any]:
    """Whole vectors at p[i:], and products that are added in one call, since each call of the source costs Numba a millisecond."""
    types, vector, at, align = kit.types, kit.vector, kit.types.intp, BYTES[kit.dtype]

    def load(b: Any, v: Any, _s: Any, _c: Any) -> Any:
        return b.load(_place(b, v[0], v[1], kit.shape), align=align)

    def store(b: Any, v: Any, _s: Any, _c: Any) -> None:
        b.store(v[2], _place(b, v[0], v[1], kit.shape), align=align)

    def madd(b: Any, v: Any, _s: Any, _c: Any) -> Any:
        entry = kit.fill(b, b.load(b.gep(v[2], [v[3]])))
        return b.call(kit.function(b.module, "fma", 3), [v[1], entry, v[0]])

    def madd_load(b: Any, v: Any, s: Any, c: Any) -> Any:
        return b.call(kit.function(b.module, "fma", 3), [v[1], load(b, v[2:], s, c), v[0]])

    return {
        "load": _intrinsic(2, lambda p, _i: vector(p, at), load),
        "store": _intrinsic(3, lambda p, _i, _v: types.none(p, at, vector), store),
        # a + x p[i], and a + x p[i:].
        "madd": _intrinsic(4, lambda _a, _x, p, _i: vector(vector, vector, p, at), madd),
        "madd_load": _intrinsic(4, lambda _a, _x, p, _i: vector(vector, vector, p, at), madd_load),
    }


def _nothing(_: Any) -> None:
    """Stores return nothing that an expression may use."""


def _arithmetic(kit: _Kit) -> dict[str, Any]:
    vector, mask = kit.vector, kit.mask

    def two(method: str) -> Any:
        return _intrinsic(2, lambda *_: vector(vector, vector), lambda b, v, _s, _c: getattr(b, method)(*v))

    def compare(sign: str, *, unordered: bool = False) -> Any:
        def emit(b: Any, v: Any, _s: Any, _c: Any) -> Any:
            return (b.fcmp_unordered if unordered else b.fcmp_ordered)(sign, *v)

        return _intrinsic(2, lambda *_: mask(vector, vector), emit)

    def logic(method: str) -> Any:
        return _intrinsic(2, lambda *_: mask(mask, mask), lambda b, v, _s, _c: getattr(b, method)(*v))

    names = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
    return {
        "add": two("fadd"),
        "sub": two("fsub"),
        "mul": two("fmul"),
        "div": two("fdiv"),
        "neg": _intrinsic(1, lambda *_: vector(vector), lambda b, v, _s, _c: b.fneg(v[0])),
        "fma": kit.call("fma", 3),
        "sqrt": kit.call("sqrt", 1),
        "absolute": kit.call("fabs", 1),
        "copysign": kit.call("copysign", 2),
        "round_even": kit.call("nearbyint", 1),
        "floor": kit.call("floor", 1),
        # As the hardware's: the second operand where either is a NaN.
        "smaller": _intrinsic(2, lambda *_: vector(vector, vector), lambda b, v, _s, _c: b.select(b.fcmp_ordered("<", *v), *v)),
        "larger": _intrinsic(2, lambda *_: vector(vector, vector), lambda b, v, _s, _c: b.select(b.fcmp_ordered(">", *v), *v)),
        # Comparisons that are false for a NaN, and (`or_nan`) those that are true.
        **{name: compare(sign) for name, sign in names.items()},
        **{f"{name}_or_nan": compare(sign, unordered=True) for name, sign in names.items()},
        "both": logic("and_"),
        "either": logic("or_"),
        "never": _intrinsic(1, lambda *_: mask(mask), lambda b, v, _s, _c: b.not_(v[0])),
        "select": _intrinsic(3, lambda *_: vector(mask, vector, vector), lambda b, v, _s, _c: b.select(*v)),
    }


def _bits(kit: _Kit) -> dict[str, Any]:
    """Powers of two and the parts of a number, by the bits of its encoding; a NaN gives some number."""
    vector, mantissa, bias = kit.vector, MANTISSA[kit.dtype], BIAS[kit.dtype]

    def power_of_two(b: Any, v: Any, _s: Any, _c: Any) -> Any:
        # An integer plus 1.5 * 2^mantissa has the integer in its lowest bits.
        magic = kit.fill(b, kit.element(1.5 * 2.0**mantissa))
        whole = b.bitcast(b.fadd(v[0], magic), kit.integers)
        return b.bitcast(b.shl(b.add(whole, kit.constant(bias)), kit.constant(mantissa)), kit.shape)

    def fraction(b: Any, v: Any, _s: Any, _c: Any) -> Any:
        low = b.and_(b.bitcast(v[0], kit.integers), kit.constant((1 << mantissa) - 1))
        return b.bitcast(b.or_(low, kit.constant(bias << mantissa)), kit.shape)

    def exponent(b: Any, v: Any, _s: Any, _c: Any) -> Any:
        return b.sitofp(b.sub(b.lshr(b.bitcast(v[0], kit.integers), kit.constant(mantissa)), kit.constant(bias)), kit.shape)

    one = {"power_of_two": power_of_two, "fraction": fraction, "exponent": exponent}
    return {name: _intrinsic(1, lambda *_: vector(vector), emit) for name, emit in one.items()}


def _across(kit: _Kit) -> dict[str, Any]:
    """What moves numbers between lanes."""
    vector, lanes = kit.vector, kit.lanes

    def total(b: Any, v: Any, _s: Any, _c: Any) -> Any:
        # Halves are added to halves, so that the order does not hang on what LLVM makes of a reduction.
        found, count = v[0], lanes
        while count > 1:
            count //= 2
            low = b.shuffle_vector(found, found, kit.numbers(list(range(count))))
            high = b.shuffle_vector(found, found, kit.numbers(list(range(count, 2 * count))))
            found = b.fadd(low, high)
        return b.extract_element(found, kit.ir.IntType(32)(0))

    def mixed(chosen: list[int]) -> Any:
        return _intrinsic(2, lambda *_: vector(vector, vector), lambda b, v, _s, _c: b.shuffle_vector(v[0], v[1], kit.numbers(chosen)))

    joined = list(range(2 * lanes))
    pairs = [lane for pair in zip(range(lanes), range(lanes, 2 * lanes), strict=True) for lane in pair]
    return {
        "total": _intrinsic(1, lambda *_: kit.scalar(vector), total),
        # Every second lane of two vectors, and two vectors lane by lane in turn.
        "evens": mixed(joined[::2]),
        "odds": mixed(joined[1::2]),
        "zip_low": mixed(pairs[:lanes]),
        "zip_high": mixed(pairs[lanes:]),
    }
