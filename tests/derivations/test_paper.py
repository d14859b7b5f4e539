"""The audit of the paper: everything in it is there, every verdict is held by something that ran, and altered claims are refused."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import mpmath
import numpy as np
import pytest
import sympy as sp
from rich.console import Console
from scipy.optimize import brentq, minimize_scalar
from scipy.signal import convolve2d

from cnnframe.algebra import absolute, conv2, define, down, indices, kron, ones, plane, rot180, spread, sum_all, total
from cnnframe_derivations import paper
from cnnframe_derivations.paper import (
    _penalties,
    combination_forward,
    conv_bias,
    conv_delta,
    epsilon,
    eq01_squared_error,
    eq04_recurrence,
    eq06_update,
    eq07_kernel_gradient,
    eq09_chain_rule,
    maximum_nonlinearity,
    ones_convolution,
    output_delta,
    penalised_gradient,
    softmax_weights,
    subsampling_bias,
    subsampling_delta,
    subsampling_forward,
    tanh_at_one,
    up_is_kron,
)
from cnnframe_derivations.paper._finding import proved, refuted
from cnnframe_derivations.paper._plain import plain
from cnnframe_derivations.paper._speech import Setting, f, slope
from cnnframe_derivations.paper._values import Values
from cnnframe_derivations.proofs import _kernel
from cnnframe_derivations.proofs._search import search
from cnnframe_derivations.proofs._statement import Refused

FINDINGS = paper.said()
BY_WHERE = {finding.where: finding for finding in FINDINGS}
PROOFS = [pytest.param(proof, id=f"{finding.where}-{name}") for finding in FINDINGS for name, proof in finding.proofs.items()]
REFUSALS = {(finding.where, name): refusal for finding in FINDINGS for name, refusal in finding.refusals.items()}
EACH_PROOF = pytest.mark.parametrize("proof", PROOFS)

# --- everything is there

NUMBERED = [f"({n})" for n in range(1, 15)]
DISPLAYS = {
    "the error E^N": "2.1",
    "the logistic function": "2.1",
    "the hyperbolic tangent": "2.1",
    "f(±1) = ±1": "2.1",
    "maximum nonlinearity": "2.1",
    "the output delta": "2.2",
    "the convolution layer": "3.1",
    "one unit above": "3.1.1",
    "the delta of a convolution layer": "3.1.1",
    "up": "3.1.1",
    "the bias of a convolution layer": "3.1.1",
    "the MATLAB line for a kernel": "3.1.1",
    "the subsampling layer": "3.2",
    "the delta of a subsampling layer": "3.2.1",
    "the remark on borders": "3.2.1",
    "footnote 2": "3.2.1",
    "the bias of a subsampling layer": "3.2.1",
    "the downsampled map": "3.2.1",
    "the gradient of beta": "3.2.1",
    "combinations of maps": "3.3",
    "the constraints": "3.3",
    "softmax": "3.3",
    "the gradient of alpha": "3.3",
    "the penalised gradient": "3.3.1",
    "kron for up-sampling": "3.4",
    "ones-convolution for down-sampling": "3.4",
    "four times as many outputs": "3.4",
    "the finite difference formula": "4.4",
    "epsilon": "4.4",
    "the cost of finite differences": "4.4",
}
"""Every display without a number and every claim in words that can be checked, with its section."""
WRONG = {"maximum nonlinearity", "(5)", "the delta of a subsampling layer", "the remark on borders", "epsilon"}
VACUOUS = {"(11)", "(13)", "(14)"}
CONDITIONAL = {
    "translation",
    "the logistic function",
    "the hyperbolic tangent",
    "f(±1) = ±1",
    "one unit above",
    "the delta of a convolution layer",
    "(7)",
    "the subsampling layer",
    "footnote 2",
    "combinations of maps",
    "ones-convolution for down-sampling",
    "four times as many outputs",
    "the cost of finite differences",
}


def test_every_number_and_every_display_is_there_once_and_in_order():
    assert len(BY_WHERE) == len(FINDINGS)
    assert [f.where for f in FINDINGS if f.where.startswith("(")] == NUMBERED
    assert {f.where: f.section for f in FINDINGS if f.where in DISPLAYS} == DISPLAYS
    assert set(BY_WHERE) == {*NUMBERED, *DISPLAYS, "translation"}
    sections = [tuple(map(int, f.section.split("."))) for f in FINDINGS]
    assert sections == sorted(sections)


def test_the_verdicts():
    for finding in FINDINGS:
        where = finding.where
        wanted = "wrong" if where in WRONG else "vacuous" if where in VACUOUS else "right under a condition" if where in CONDITIONAL else "right"
        assert finding.verdict == wanted, where


def test_each_file_is_listed():
    files = {path.stem for path in Path(paper.__file__).parent.glob("[a-z]*.py")}
    assert files == {*paper.ORDER}


# --- each verdict is held by something that ran


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.where)
def test_each_verdict_is_held(finding):
    true, false = [f for f in finding.facts if f.holds], [f for f in finding.facts if not f.holds]
    assert finding.proofs or true
    assert finding.how
    if finding.verdict == "wrong":
        assert finding.corrected and (finding.refusals or false)
    if finding.verdict != "right":
        assert finding.condition
    if finding.verdict == "vacuous":
        assert len(finding.proofs) >= 2


@EACH_PROOF
def test_the_checker_accepts_each_proof_and_nothing_less(proof):
    proof.check()
    with pytest.raises(Refused):
        _kernel.check(proof.theorem, proof.steps[:-1])


def test_proofs_are_reached_by_name():
    named = paper.proofs()
    assert len(named) == len(PROOFS)
    for theorem, steps in named.values():
        _kernel.check(theorem, json.loads(json.dumps(steps)))


def numbers_and_arrays(claim, seed):
    """Random numbers for whatever a theorem does not define."""
    theorem, rng = claim.theorem, np.random.default_rng(seed)
    numbers = {**claim.example, **{name: rng.normal() for name in sorted(theorem.theory.scalars)}}
    shape = {name: [int(Values(theorem, numbers, {}).value(n, numbers)) for n in dims] for name, dims in claim.shapes.items()}
    return numbers, {name: rng.normal(size=dims) for name, dims in shape.items() if name not in theorem.theory.definitions}, shape


@EACH_PROOF
def test_both_sides_of_a_proved_theorem_are_equal_in_numbers(proof):
    numbers, arrays, _ = numbers_and_arrays(proof.claim, 0)
    entries = list(Values(proof.theorem, numbers, arrays).entries())
    assert entries
    for at, left, right in entries:
        assert float(left) == pytest.approx(float(right), rel=1e-9, abs=1e-9), at


@pytest.mark.parametrize("proof", [p for p in PROOFS if p.values[0].claim.of])
def test_a_derivative_is_the_difference_quotient_of_the_forward_formula(proof):
    """The forward definitions alone are evaluated here, not what was derived from them."""
    theorem = proof.theorem
    numbers, arrays, shapes = numbers_and_arrays(proof.claim, 1)
    output, sensitivity = proof.claim.behind

    def error(changed):
        values = Values(theorem, numbers, {**arrays, **changed})
        return sum((arrays[sensitivity][at] if sensitivity else 1.0) * float(values.entry(output, at)) for at in np.ndindex(*shapes[output]))

    h = 1e-5
    for at, _, said in list(Values(theorem, numbers, arrays).entries())[::3]:
        quotient = 0.0
        for side in (1, -1):
            moved = arrays[proof.claim.of].copy()
            moved[at] += side * h
            quotient += side * error({proof.claim.of: moved}) / (2 * h)
        assert quotient == pytest.approx(float(said), rel=1e-5, abs=1e-6), at


# --- counterexamples, by other means


def conv(x, k, border="valid"):
    return convolve2d(x, k, border)


def turned(m):
    return m[::-1, ::-1]


def counterexamples():
    """By place and name: what is derived and what is printed, from the arrays of the counterexample, with NumPy and SciPy."""

    def softmax(c):
        return np.exp(c) / np.exp(c).sum(axis=0)

    def jacobian(c):
        a = softmax(c)[:, 0]
        return np.diag(a) - np.outer(a, a)

    def acting(penalty):
        def derived(a):
            h = 1e-6
            moves = [h * np.eye(2)[:, [i]] for i in range(2)]
            return np.array([[(penalty(softmax(a["c"] + m)) - penalty(softmax(a["c"] - m))) / (2 * h)] for m in moves])

        return derived, lambda a: np.zeros((2, 1))

    ones2 = np.ones((2, 2))
    return {
        ("translation", "within blocks"): (lambda a: a["x"][1:, 1:].sum().reshape(1, 1), lambda a: a["x"][:2, :2].sum().reshape(1, 1)),
        ("(3)", "one of many"): (lambda a: a["deltas"].sum(axis=0), lambda a: a["deltas"][0]),
        ("(5)", "printed"): (lambda a: np.outer(a["delta"], a["x"]), lambda a: np.outer(a["x"], a["delta"])),
        ("the convolution layer", "unturned"): (
            lambda a: conv(a["x"][0], a["k"][0, 0])[None],
            lambda a: (a["x"][0] * a["k"][0, 0]).sum().reshape(1, 1, 1),
        ),
        ("one unit above", "always one"): (lambda a: np.array([1, 1, 0]), lambda a: np.ones(3)),
        # E is delta times the one entry of the convolution, which is linear in k: its gradient is its values at unit kernels.
        ("(7)", "image"): (
            lambda a: np.array([conv(a["x"][0], e.reshape(2, 2))[0, 0] for e in np.eye(4)]).reshape(1, 1, 2, 2),
            lambda a: a["x"][None],
        ),
        ("the MATLAB line for a kernel", "not back"): (
            lambda a: np.array([conv(a["x"][0], e.reshape(2, 2))[0, 0] for e in np.eye(4)]).reshape(1, 1, 2, 2),
            lambda a: conv(a["x"][0], turned(a["delta"][0]))[None, None],
        ),
        ("the subsampling layer", "picked"): (lambda a: np.array([[1, 0], [0, 0]]), lambda a: np.kron(a["g"], ones2)),
        # One pixel for each map, and f'(0) = 1 for the activation of the examples.
        ("the delta of a subsampling layer", "printed"): (
            lambda a: (a["k"][:, :, 0, 0] @ a["delta"][:, 0, 0])[:, None, None],
            lambda a: (np.diag(a["k"][:, :, 0, 0]) * a["delta"][:, 0, 0])[:, None, None],
        ),
        ("the remark on borders", "outputs"): (lambda a: np.convolve(np.ones(3), a["k"]), lambda a: np.full(4, a["k"].sum())),
        ("footnote 2", "as one"): (
            lambda a: np.array([[a["delta"][0, 0]], [0], [a["delta"][1, 0]]]),
            lambda a: np.vstack([conv(a["delta"], turned(a["k"]), "full"), [[0]]]),
        ),
        ("combinations of maps", "one map"): (
            lambda a: (a["alpha"] @ a["delta"][:, 0]).reshape(1, 1, 1) * a["x"],
            lambda a: a["alpha"][:1, :1].reshape(1, 1, 1) * a["delta"][:1] * a["x"],
        ),
        ("combinations of maps", "as in (7)"): (
            lambda a: (a["alpha"] @ a["delta"][:, 0]).reshape(1, 1, 1) * a["x"],
            lambda a: a["delta"].sum().reshape(1, 1, 1) * a["x"],
        ),
        ("(8)", "diagonal"): (lambda a: jacobian(a["c"]).T @ a["g"], lambda a: np.diag(jacobian(a["c"]))[:, None] * a["g"]),
        ("(10)", "unmixed"): (
            lambda a: jacobian(a["c"]).T @ (a["x"] * a["k"])[:, :, 0] * a["delta"][0, 0, 0],
            lambda a: softmax(a["c"]) * (a["x"] * a["k"])[:, :, 0] * a["delta"][0, 0, 0],
        ),
        ("(11)", "squares"): acting(lambda w: -(w**2).sum()),
        ("(11)", "entropy"): acting(lambda w: -(w * np.log(w)).sum()),
        ("(11)", "roots"): acting(lambda w: np.sqrt(w).sum()),
        ("kron for up-sampling", "order"): (
            lambda a: np.kron(a["x"], ones2),
            lambda a: np.kron(ones2, a["x"]),
        ),
        ("ones-convolution for down-sampling", "full"): (
            lambda a: a["x"].sum().reshape(1, 1),
            lambda a: conv(a["x"], ones2, "full")[::2, ::2][:1, :1],
        ),
    }


OTHERWISE = counterexamples()


def test_each_refusal_is_looked_at_otherwise():
    assert OTHERWISE.keys() == REFUSALS.keys()


@pytest.mark.parametrize("where", REFUSALS, ids="-".join)
def test_a_counterexample_is_confirmed_otherwise(where):
    refusal = REFUSALS[where]
    example = refusal.counterexample
    arrays = {name: np.asarray(a, dtype=float) for name, a in example.arrays.items()}
    for said, computed in zip((example.derived, example.printed), OTHERWISE[where], strict=True):
        np.testing.assert_allclose(said.astype(float), computed(arrays), rtol=1e-7, atol=1e-7)
    assert example.derived[example.entry] != example.printed[example.entry]
    assert refusal.left_over


# --- altered claims

k, v = indices("k v")


def beside(module, name, array, said):
    """Another closed form for a gradient of one of the paper's layers."""
    return getattr(module, name).gradient(getattr(module, array), said)


def unlike_4():
    """W delta where W is square, in place of its transpose."""
    s = Setting()
    n = s.sizes(n=2)
    W, u, delta = s.array("W", n, n), s.array("u", n), s.array("delta", n)
    layer = s.given(define("next", (n,), lambda j: total(W[j, k] * f(u[k]), (k, n))), delta)
    return layer.gradient(u, lambda i: total(W[i, k] * delta[k], (k, n)) * slope(u[i]))


def unlike_12():
    """lambda alone, as if no weight were negative."""
    s = Setting()
    n, strength = s.sizes(n=3), s.real("lambda")
    a = s.array("a", n)
    return s.error(strength * total(absolute(a[k]), (k, n))).gradient(a, lambda i: strength)


def unlike_1():
    s = eq01_squared_error.s
    t, y, c = eq01_squared_error.t, eq01_squared_error.y, eq01_squared_error.c
    return s.same(lambda z: total((t[k] - y[k]) ** 2, (k, c)) / 2, lambda z: total((t[k] - y[k]) ** 2, (k, c)), (1,))


def unlike_down():
    """y = x(2:2:end, 2:2:end) of the 'valid' convolution."""
    m = ones_convolution
    return m.s.same(lambda p, q: down(plane(m.x), (m.n, m.n))[p, q], lambda p, q: m.smoothed("valid")[m.n * p + 1, m.n * q + 1], (m.h, m.w))


seven, soft, nine, comb, sub, beta = eq07_kernel_gradient, softmax_weights, eq09_chain_rule, combination_forward, subsampling_delta, subsampling_bias
four, six, out, last = eq04_recurrence, eq06_update, output_delta, penalised_gradient
ALTERED = {
    "(1) without the half": unlike_1,
    "(1) sign": lambda: beside(eq01_squared_error, "loss", "y", lambda i: eq01_squared_error.t[i] - eq01_squared_error.y[i]),
    "(4) without transpose": unlike_4,
    "(4) without slope": lambda: beside(four, "layer", "u", lambda i: total(four.W[k, i] * four.delta[k], (k, four.m))),
    "output delta, sign": lambda: beside(out, "loss", "u", lambda i: slope(out.u[i]) * (out.t[i] - out.y[i])),
    "(6) uphill": lambda: beside(six, "along", "step", lambda z: six.eta * total(six.G[k, v] ** 2, (k, six.m), (v, six.n))),
    "conv bias, one entry": lambda: beside(conv_bias, "layer", "b", lambda j: conv_bias.delta[j, 0, 0]),
    "line without inner rot180": lambda: beside(seven, "layer", "k", lambda i, j, *a: rot180(conv2(plane(seven.x, i), plane(seven.delta, j), "valid"))[a]),
    "line without both": lambda: beside(seven, "layer", "k", lambda i, j, *a: conv2(plane(seven.x, i), plane(seven.delta, j), "valid")[a]),
    "line, maps exchanged": lambda: beside(seven, "layer", "k", lambda i, j, *a: rot180(conv2(plane(seven.x, j), rot180(plane(seven.delta, i)), "valid"))[a]),
    "conv delta without up": lambda: beside(conv_delta, "rest", "v", lambda j, p, q: conv_delta.beta[j] * slope(conv_delta.v[j, p, q])),
    "conv delta without slope": lambda: beside(
        conv_delta, "rest", "v", lambda j, *p: conv_delta.beta[j] * kron(plane(conv_delta.delta, j), ones((conv_delta.n, conv_delta.n)))[p]
    ),
    "subsampling delta without rot180": lambda: beside(
        sub, "layer", "u", lambda i, *p: slope(sub.u[(i, *p)]) * total(conv2(plane(sub.delta, k), plane(sub.k, i, k), "full")[p], (k, sub.M))
    ),
    "subsampling delta without slope": lambda: beside(
        sub, "layer", "u", lambda i, *p: total(conv2(plane(sub.delta, k), rot180(plane(sub.k, i, k)), "full")[p], (k, sub.M))
    ),
    "links forgotten": lambda: beside(
        sub, "linked", "u", lambda i, *p: slope(sub.u[(i, *p)]) * total(conv2(plane(sub.delta, k), rot180(plane(sub.k, i, k)), "full")[p], (k, sub.M))
    ),
    "beta without d": lambda: beside(beta, "layer", "beta", lambda j: sum_all(plane(beta.delta, j))),
    "beta, sums apart": lambda: beside(beta, "layer", "beta", lambda j: sum_all(plane(beta.delta, j)) * sum_all(plane(beta.d, j))),
    "blocks picked": lambda: beside(
        subsampling_forward, "blocks", "x", lambda *p: spread(plane(subsampling_forward.g), (subsampling_forward.n, subsampling_forward.n))[p]
    ),
    "up, doubled": lambda: beside(up_is_kron, "blocks", "big", lambda *p: 2 * kron(plane(up_is_kron.g), ones((up_is_kron.n, up_is_kron.n)))[p]),
    "input of a combination without the sum": lambda: beside(
        comb, "layer", "x", lambda i, *p: comb.alpha[i, 0] * conv2(plane(comb.delta, 0), rot180(plane(comb.k, i)), "full")[p]
    ),
    "alpha without convolution": lambda: beside(comb, "layer", "alpha", lambda i, j: sum_all(plane(comb.delta, j))),
    "(8) sign": lambda: beside(soft, "layer", "c", lambda i, j: soft.alpha[i, j] * (soft.g[i, j] + total(soft.g[k, j] * soft.alpha[k, j], (k, soft.N)))),
    "(8) over all maps": lambda: beside(
        soft, "layer", "c", lambda i, j: soft.alpha[i, j] * (soft.g[i, j] - total(soft.g[k, v] * soft.alpha[k, v], (k, soft.N), (v, soft.M)))
    ),
    "(10) mean without alpha": lambda: beside(nine, "layer", "c", lambda i, j: nine.alpha[i, j] * (nine.G[i, j] - total(nine.G[k, j], (k, nine.N)))),
    "(12) without sign": unlike_12,
    "(14) sign": lambda: _penalties.norm.gradient(
        soft.c, lambda i, j: soft.lam * (absolute(soft.alpha[i, j]) + soft.alpha[i, j] * total(absolute(soft.alpha[k, j]), (k, soft.N)))
    ),
    "(14) for another penalty": lambda: _penalties.anything.gradient(soft.c, lambda i, j: 0),
    "penalised, without mean": lambda: beside(last, "penalised", "c", lambda i: last.alpha[i] * last.G[i]),
    "down, next entry": unlike_down,
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_claim_is_refused_by_the_search_and_by_numbers(name):
    claim = ALTERED[name]()
    assert search(claim.theorem, claim.adjoints).live
    with pytest.raises(Refused):
        proved(name, claim).check()
    numbers, arrays, _ = numbers_and_arrays(claim, 2)
    assert any(abs(float(left) - float(right)) > 1e-6 for _, left, right in Values(claim.theorem, numbers, arrays).entries())


@pytest.mark.parametrize("proof", PROOFS[::7])
def test_a_true_claim_cannot_be_refuted(proof):
    with pytest.raises(ValueError, match="proved"):
        refuted("no", proof.claim).check()


def test_contradictory_assumptions_prove_nothing():
    s = Setting()
    m, n = s.sizes(m=1, n=2)
    with pytest.raises(TypeError, match="assumption"):
        s.assume(n <= 0)
    s.assume(n <= m - 1, m <= n - 1)
    x = s.array("x", n)
    with pytest.raises(Refused):
        proved("anything", s.same(lambda i: x[i], lambda i: 2 * x[i], (n,))).check()


def test_a_formula_that_reads_beyond_an_array_is_refused():
    s = Setting()
    n = s.sizes(n=2)
    x = s.array("x", n)
    with pytest.raises(Refused):
        proved("the next entry is itself", s.same(lambda i: x[i + 1], lambda i: x[i + 1], (n,))).check()


def test_a_sensitivity_must_have_the_shape_of_what_it_belongs_to():
    s = Setting()
    m, n = s.sizes(m=2, n=3)
    x = s.array("x", m)
    with pytest.raises(ValueError, match="shape"):
        s.given(define("u", (m,), lambda i: x[i]), s.array("delta", n))


@pytest.mark.parametrize(
    "alteration",
    [
        {"proofs": {}},
        {"refusals": {}},
        {"corrected": ""},
        {"verdict": "right"},
    ],
)
def test_a_verdict_that_nothing_holds_is_refused(alteration):
    with pytest.raises(ValueError, match="holds"):
        replace(BY_WHERE["(5)"], **alteration)


# --- numbers, by other means


def test_the_value_of_tanh_at_1():
    assert 1.7159 * math.tanh(2 / 3) == pytest.approx(1 - float(mpmath.mpf(tanh_at_one.SHORT.a)), abs=1e-15)
    assert float(tanh_at_one.EXACT_A) == pytest.approx(brentq(lambda a: a * np.tanh(2 / 3) - 1, 1, 2, xtol=1e-15), abs=1e-12)
    assert mpmath.mpf(tanh_at_one.SHORT.b) - mpmath.mpf(tanh_at_one.SHORT.a) < mpmath.mpf("1e-40")


def test_the_point_of_maximum_nonlinearity():
    def bend(x, b=2 / 3):
        t = np.tanh(b * x)
        return 2 * b * b * t * (1 - t * t)

    peak = minimize_scalar(lambda x: -bend(x), bounds=(0.5, 1.5), method="bounded", options={"xatol": 1e-10})
    assert float(maximum_nonlinearity.PEAK) == pytest.approx(peak.x, abs=1e-6)
    assert float(maximum_nonlinearity.RATIO) == pytest.approx(bend(1) / -peak.fun, abs=1e-9)
    best = float(maximum_nonlinearity.BEST_B)
    other = minimize_scalar(lambda x: -bend(x, best), bounds=(0.5, 1.5), method="bounded", options={"xatol": 1e-10})
    assert other.x == pytest.approx(1, abs=1e-6)
    assert math.sqrt(3) * math.tanh(best) == pytest.approx(1, abs=1e-12)
    finding = BY_WHERE["maximum nonlinearity"]
    assert f"{peak.x:.5f}" in finding.condition and f"{best:.6f}" in finding.corrected
    assert f"{100 * (1 - bend(1) / bend(peak.x)):.3f} percent" in finding.condition


def test_the_best_step_of_finite_differences():
    """The model against a search in numbers, and the network against complex steps."""
    unit = np.finfo(float).eps / 2
    central = minimize_scalar(lambda e: unit / math.exp(e) + math.exp(2 * e) / 6, bounds=(-20, -3), method="bounded")
    assert math.exp(central.x) == pytest.approx((3 * unit) ** (1 / 3), rel=1e-3)
    assert 6e-6 < math.exp(central.x) < 8e-6
    x, weights, t = epsilon.network()
    exact = np.zeros_like(weights)
    for at in np.ndindex(weights.shape):
        moved = weights.astype(complex)
        moved[at] += 1e-30j
        exact[at] = epsilon.error(moved, x, t).imag / 1e-30
    np.testing.assert_allclose(epsilon.gradient(weights, x, t), exact, rtol=1e-12, atol=1e-14)
    assert epsilon.off(1e-8) > 100 * epsilon.off(7e-6)
    assert epsilon.off(7e-6) < 3 * min(epsilon.CENTRAL.values())
    assert epsilon.off(1e-8, one_sided=True) < 10 * min(epsilon.ONE_SIDED.values())
    assert epsilon.off(7e-6) == epsilon.BETTER


def test_the_steps_of_both_formulas_are_of_the_orders_that_are_said():
    assert epsilon.off(1e-2) / epsilon.off(1e-3) == pytest.approx(100, rel=0.05)
    assert epsilon.off(1e-4, one_sided=True) / epsilon.off(1e-5, one_sided=True) == pytest.approx(10, rel=0.05)


def test_the_outputs_of_the_convolution_with_ones():
    for border, wanted in (("valid", 7**2 / 4**2), ("same", 4), ("full", 9**2 / 4**2)):
        assert convolve2d(np.ones((8, 8)), np.ones((2, 2)), border).size / 16 == wanted
    (fact,) = [fact for fact in BY_WHERE["four times as many outputs"].facts if not fact.holds]
    assert fact.value == "49/16 times for h = 4"


def test_the_two_lines_for_down_sampling():
    x = np.arange(30.0).reshape(5, 6)
    blocks = np.array([[x[2 * p : 2 * p + 2, 2 * q : 2 * q + 2].sum() for q in range(3)] for p in range(2)])
    np.testing.assert_array_equal(convolve2d(x, np.ones((2, 2)), "valid")[::2, ::2], blocks)
    np.testing.assert_array_equal(convolve2d(x, np.ones((2, 2)))[1::2, 1::2][:2], blocks)
    assert convolve2d(x, np.ones((2, 2)))[1::2, 1::2].shape == (3, 3)


def test_what_penalties_lead_to():
    start = np.exp(_penalties.START) / np.exp(_penalties.START).sum()
    np.testing.assert_allclose(_penalties.descended(np.sign), start, atol=1e-12)
    for _, penalty, derivative in _penalties.ACTING.values():
        w, h = np.array([0.2, 0.5]), 1e-6
        values = [float(penalty(sp.Float(v + d))) for v in w for d in (h, -h)]
        np.testing.assert_allclose([(values[0] - values[1]) / (2 * h), (values[2] - values[3]) / (2 * h)], derivative(w), rtol=1e-6)
        assert _penalties.descended(derivative).max() > 0.99


def test_what_is_counted():
    facts = {fact.says: fact for finding in FINDINGS for fact in finding.facts if fact.how == "counted"}
    assert np.kron(np.ones((5 // 2, 1)), np.ones((2, 1))).shape == (4, 1)
    assert facts["up(delta) has as many rows as u for n = 2 and 5 rows"].value == "4 rows and 5"
    assert facts["the output is n times smaller for n = 2 and 5 rows"].value == f"{len(range(5)[1::2])} rows"


# --- what is shown


class Tags(HTMLParser):
    """Refuses tags that are not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.ids, self.maths = [], [], set(), 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs[key] for key in ("href", "src") if key in attrs]
        self.ids |= {attrs["id"]} if "id" in attrs else set()
        self.maths += tag == "math"
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_shows_every_finding():
    page = paper.page()
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert all(link.startswith("#") and link[1:] in tags.ids for link in tags.links)
    assert len(tags.links) == len(FINDINGS)
    assert "http" not in page
    assert tags.maths > 5 * len(FINDINGS)
    for finding in FINDINGS:
        assert escape(finding.printed) in page and escape(finding.corrected) in page
        assert escape(finding.where) in page


def test_the_table_shows_every_finding_without_latex():
    console = Console(width=220, record=True, file=io.StringIO())
    console.print(paper.table())
    text = console.export_text()
    assert "\\" not in text and "$" not in text
    for finding in FINDINGS:
        assert finding.where.split()[-1] in text


def test_latex_is_put_plainly():
    assert plain(r"\frac{\partial E}{\partial k_{ij}} = \sum_j \delta_j \, \mathrm{rot180}(x^{\ell-1})") == "∂E/∂k_ij = Σ_j δ_j rot180(x^(\u2113-1))"
    assert plain(r"\left(\frac{1}{\sqrt{3}}\right)") == "(1/√3)"


def test_there_is_no_machine_in_the_texts():
    for finding in FINDINGS:
        text = " ".join([finding.words, finding.condition, *(fact.says for fact in finding.facts)])
        assert text.count("$") % 2 == 0
        assert "/" + "work" not in text
