"""Formulas written out entry by entry, with nothing of the derivations: numbers for sizes, a symbol for each entry of each array."""

from __future__ import annotations

import copy
import itertools
from types import SimpleNamespace

import numpy as np
import sympy as sp

from cnnframe._symbols import Defined, Guarded, Logistic, Softplus


class Written:
    """The outputs of one operation at one point, as expressions of symbols for the entries of its arguments."""

    def __init__(self, op, arrays):
        self.op, self.arrays = op, {name: np.asarray(array) for name, array in arrays.items()}
        self.tables = {}
        if hasattr(op, "links"):
            links, self.op = op.links, copy.copy(op)
            self.tables = {f"links_{end}": getattr(links, end) for end in ("source", "target")}
            named = {end: sp.IndexedBase(f"links_{end}", shape=getattr(links, end).shape) for end in ("source", "target")}
            object.__setattr__(self.op, "links", SimpleNamespace(count=links.count, inputs=links.inputs, outputs=links.outputs, **named))
        self.symbols = {
            name: np.array([sp.Symbol(f"{name}_{k}", real=True) for k in range(a.size)], object).reshape(a.shape) for name, a in self.arrays.items()
        }
        self.point = {s: sp.Rational(float(v)) for n, a in self.arrays.items() for s, v in zip(self.symbols[n].flat, a.flat, strict=True)}
        self.inner = {}
        self.outputs = {name: np.empty(shape, object) for name, shape in op.output_shapes(op.sizes({n: a.shape for n, a in self.arrays.items()})).items()}
        given = {name: _Array(name, shape=a.shape) if a.shape else _Array(name, shape=(1,))[0] for name, a in self.arrays.items()}
        for name, entries in self.outputs.items():
            for at in np.ndindex(entries.shape):
                where = {other: at if other == name else (0,) * entries_.ndim for other, entries_ in self.outputs.items()}
                answer = self.op.formula(at if op.single else where, **given)
                entries[at] = self.value(sp.sympify(answer if op.single else answer[name]))

    def number(self, e):
        return e.xreplace(self.point)

    def value(self, e):
        """An expression without sums, guards and intermediates; where it branches on values, the branch that is taken."""
        if isinstance(e, sp.Sum):
            ranges = [range(int(low), int(high) + 1) for _, low, high in e.limits]
            return sp.Add(*(self.value(e.function.xreplace(dict(zip(e.variables, map(sp.Integer, at), strict=True)))) for at in itertools.product(*ranges)))
        if isinstance(e, Guarded):
            return self.value(e.args[0]) if all(bool(c) for c in e.args[1:]) else sp.Integer(0)
        if isinstance(e, sp.Indexed):
            return self.entry(e)
        if isinstance(e, sp.Piecewise):
            return next(self.value(branch) for branch, condition in e.args if self.holds(condition))
        if isinstance(e, (Logistic, Softplus)):
            x = self.value(e.args[0])
            return 1 / (1 + sp.exp(-x)) if isinstance(e, Logistic) else sp.log(1 + sp.exp(x))
        return e.func(*map(self.value, e.args)) if e.args else e

    def holds(self, condition):
        if condition in (True, False, sp.true, sp.false):
            return bool(condition)
        if isinstance(condition, (sp.And, sp.Or, sp.Not)):
            return bool(condition.func(*(sp.sympify(self.holds(part)) for part in condition.args)))
        return bool(condition.func(*(self.number(self.value(side)) for side in condition.args)))

    def entry(self, e):
        base, at = e.base, tuple(int(i) for i in e.indices)
        if not isinstance(base, Defined):
            table = base.label.name
            if table in self.tables:
                return sp.Integer(int(self.tables[table][at]))
            return self.symbols[table][at if self.symbols[table].ndim else ()]
        if (base.label, at) not in self.inner:
            found = self.value(base.body.xreplace(dict(zip(base.index, map(sp.Integer, at), strict=True))))
            self.inner[base.label, at] = self.number(found) if base.locally_constant else found
        return self.inner[base.label, at]

    def slopes(self, output, name):
        """The derivatives of an output by an argument, at the point: a matrix (entries of the one, entries of the other)."""
        rows = [[float(self.number(sp.diff(e, s))) for s in self.symbols[name].flat] for e in self.outputs[output].flat]
        return np.array(rows).reshape(self.outputs[output].size, self.arrays[name].size)

    def seconds(self, output, name):
        """The second derivatives of a number by each entry of an argument, at the point."""
        (e,) = self.outputs[output].flat
        return np.array([float(self.number(sp.diff(e, s, 2))) for s in self.symbols[name].flat]).reshape(self.arrays[name].shape)

    def numbers(self, output):
        return np.array([float(self.number(e)) for e in self.outputs[output].flat]).reshape(self.outputs[output].shape)


class _Array(sp.IndexedBase):
    """An array whose indices may be symbols."""
