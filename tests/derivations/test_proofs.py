"""Proofs for all sizes: what is proved, what is refused and how, and certificates that cannot be bent."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from cnnframe import Layer, at_least, between, load
from cnnframe.algebra import conv2, crop, define, exp, indices, inside, plane, rot180, sum_all, total, unproved
from cnnframe_derivations.proofs import _certificate, _kernel
from cnnframe_derivations.proofs._prove import PROVED, REFUSED, UNPROVED, Proof, proof, structures
from cnnframe_derivations.proofs._statement import Refused

OPERATIONS = load(entry_points=True).operations()
PROOFS = Path(_kernel.__file__).parent


class Plain(Layer):
    """The methods that a proof does not look at."""

    def forward(self, **arrays):
        raise NotImplementedError

    def backward(self, dy, saved):
        raise NotImplementedError


def only(cls):
    (report,) = proof(cls).reports
    return report


# What is proved


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_gradient_of_every_operation_is_proved_anew(name):
    found = proof(OPERATIONS[name]).reports
    assert [r.formula.reason for r in found if r.formula.verdict != PROVED] == []
    assert [o for r in found for o in r.gradients.values() if o.verdict != PROVED] == []
    assert all(set(r.gradients) == set(r.certificate.claimed) for r in found)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_stored_certificate_says_what_a_fresh_one_says(name):
    stored = _certificate.read(_certificate.path(OPERATIONS[name]).read_text(encoding="utf-8"), name)
    fresh = [r.certificate for r in proof(OPERATIONS[name]).reports]
    assert [c.digest() for c in stored] == [c.digest() for c in fresh]
    assert all(c.check() for c in stored)


def test_all_dimensions_and_choices_are_covered():
    assert len(structures(OPERATIONS["conv"])) == 6
    assert len(structures(OPERATIONS["combine"])) == 6
    assert [dict(s)["dims"] for s in structures(OPERATIONS["max_pool"])] == [1, 2, 3]


def test_without_a_claim_the_closed_form_is_found():
    @dataclass(frozen=True)
    class Causal(Plain):
        size: Annotated[int, at_least(1)]
        name = "causal"
        inputs = {"x": "n t"}
        params = {"w": "size"}
        output = "n t"

        def formula(self, at, x, w):
            n, t = at
            (a,) = indices("a")
            return total(w[a] * x[n, t - a], (a, self.size), where=[t - a >= 0])

    report = only(Causal)
    assert report.verdict == PROVED and set(report.gradients) == {"x", "w"}
    assert report.certificate.claimed == ()
    (right,) = report.certificate.gradients["w"].right
    assert right.eq == () and {a[1] for a, _ in right.body.items[0][0]} == {"d_y", "x"}


# What is refused


@dataclass(frozen=True)
class Kernel(Plain):
    """A valid convolution in one dimension."""

    size: Annotated[int, at_least(1)]
    name = "kernel"
    inputs = {"x": "n h"}
    params = {"k": "size"}
    output = "n h-size+1"

    def formula(self, at, x, k):
        n, u = at
        (a,) = indices("a")
        return total(x[n, u + self.size - 1 - a] * k[a], (a, self.size))


def right_x(self, at, dy, x, k):
    n, p = at["x"]
    return conv2(plane(dy, n), rot180(plane(k)), "full")[p]


def right_k(self, at, dy, x, k):
    (m,) = indices("m")
    return total(rot180(conv2(plane(x, m), rot180(plane(dy, m)), "valid"))[at["k"]], (m, x.shape[0]))


def no_rotation(self, at, dy, x, k):
    n, p = at["x"]
    return conv2(plane(dy, n), plane(k), "full")[p]


def one_off(self, at, dy, x, k):
    n, p = at["x"]
    (a,) = indices("a")
    return total(dy[n, p - a - 1] * k[self.size - 1 - a], (a, self.size), where=inside(p - a - 1, x.shape[1] - self.size + 1))


def no_batch(self, at, dy, x, k):
    return rot180(conv2(plane(x, 0), rot180(plane(dy, 0)), "valid"))[at["k"]]


def doubled(self, at, dy, x, k):
    return 2 * right_k(self, at, dy, x, k)


def transposed(self, at, dy, x, k):
    (m,) = indices("m")
    return total(conv2(plane(x, m), rot180(plane(dy, m)), "valid")[at["k"]], (m, x.shape[0]))


def test_right_claims_are_proved():
    class Right(Kernel):
        name = "right"

        def claims(self, at, dy, x, k):
            return {"x": right_x(self, at, dy, x, k), "k": right_k(self, at, dy, x, k)}

    assert only(dataclass(frozen=True)(Right)).verdict == PROVED


@pytest.mark.parametrize(("gradient", "claim"), [("x", no_rotation), ("x", one_off), ("k", no_batch), ("k", doubled), ("k", transposed)])
def test_a_wrong_claim_is_refused_with_sizes_an_entry_and_what_is_left(gradient, claim):
    class Wrong(Kernel):
        name = "wrong"

        def claims(self, at, dy, x, k):
            return {gradient: claim(self, at, dy, x, k)}

    report = only(dataclass(frozen=True)(Wrong))
    outcome = report.gradients[gradient]
    assert outcome.verdict == REFUSED and report.certificate is None
    if "is wrong at" in outcome.reason:
        assert "entry (" in outcome.reason and "what is left of derivative - claim:" in outcome.reason
    else:
        assert claim is no_batch and "reads" in outcome.reason, "an empty batch has no entry 0"


def test_the_counterexample_is_small():
    class Turned(Kernel):
        name = "turned"

        def claims(self, at, dy, x, k):
            return {"x": no_rotation(self, at, dy, x, k)}

    reason = only(dataclass(frozen=True)(Turned)).gradients["x"].reason
    assert "is wrong at h = 2, n = 1, size = 2: entry (0, 0)" in reason


def test_the_author_may_say_that_there_is_no_proof():
    class Shy(Kernel):
        name = "shy"

        def claims(self, at, dy, x, k):
            return {"x": unproved("it is in a book"), "k": right_k(self, at, dy, x, k)}

    report = only(dataclass(frozen=True)(Shy))
    assert report.gradients["x"].verdict == UNPROVED and report.gradients["x"].reason == "it is in a book"
    assert report.certificate.unproved == {"x": "it is in a book"} and set(report.certificate.gradients) == {"k"}
    assert Proof("shy", (report,)).counts == {PROVED: 1, UNPROVED: 1}


def test_a_formula_that_reads_out_of_range_names_the_access_the_assumption_and_a_shape():
    @dataclass(frozen=True)
    class Wide(Plain):
        size: Annotated[int, at_least(1)]
        name = "wide"
        inputs = {"x": "n h"}
        output = "n h"

        def formula(self, at, x):
            n, u = at
            (a,) = indices("a")
            return total(x[n, u + a], (a, self.size))

    reason = only(Wide).formula.reason
    assert "wide.formula reads x[n', a + j], whose axis 1 has size h" in reason
    assert "h - a - j - 1 >= 0 does not follow" in reason
    assert "fails at h = 1, n = 1, size = 2 for" in reason


def test_a_claim_that_reads_out_of_range_is_refused():
    class Far(Kernel):
        name = "far"

        def claims(self, at, dy, x, k):
            n, p = at["x"]
            (a,) = indices("a")
            return {"x": total(dy[n, p - a] * k[a], (a, self.size))}

    outcome = only(dataclass(frozen=True)(Far)).gradients["x"]
    assert outcome.verdict == REFUSED and "far.claims reads d_y" in outcome.reason


def test_contradictory_assumptions_are_refused():
    @dataclass(frozen=True)
    class Nowhere(Plain):
        size: Annotated[int, at_least(3), between(0, 2)]
        name = "nowhere"
        inputs = {"x": "n size"}
        output = "n size"

        def formula(self, at, x):
            return 2 * x[at]

        def claims(self, at, dy, x):
            return {"x": 7 * dy[at["x"]]}

    report = only(Nowhere)
    assert report.verdict == REFUSED
    assert "the assumptions contradict each other: size - 3 >= 0; 2 - size >= 0" in report.formula.reason


def test_a_domain_that_is_always_empty_is_refused():
    @dataclass(frozen=True)
    class Hollow(Plain):
        name = "hollow"
        inputs = {"x": "n h"}
        output = "n h"

        def formula(self, at, x):
            n, u = at
            (a,) = indices("a")
            return total(x[n, a], (a, x.shape[1]), where=[a >= u + 1, a <= u - 1])

    assert "has no point at any sizes that were tried" in only(Hollow).formula.reason


def test_a_symbol_free_and_bound_is_refused():
    @dataclass(frozen=True)
    class Both(Plain):
        name = "both"
        inputs = {"x": "n h"}
        params = {"w": "h"}
        output = "n h"

        def formula(self, at, x, w):
            n, u = at
            return x[n, u] * total(w[u], (u, w.shape[0]))

    assert "sums over j, which is an index of the entry itself" in only(Both).formula.reason


def test_an_index_that_nothing_runs_over_is_refused():
    @dataclass(frozen=True)
    class Stray(Plain):
        name = "stray"
        inputs = {"x": "n h"}
        params = {"w": "h"}
        output = "n"

        def formula(self, at, x, w):
            (i,) = indices("i")
            return x[at[0], i] * total(w[i], (i, w.shape[0]))

    assert "nothing runs over the index i" in only(Stray).formula.reason


def test_division_and_functions_are_compared_for_what_they_are():
    @dataclass(frozen=True)
    class Shares(Plain):
        name = "shares"
        inputs = {"x": "n c"}
        output = "n c"

        def formula(self, at, x):
            n, j = at
            (c,) = indices("c")
            e = define("e", x.shape, lambda m, i: exp(x[m, i]))
            Z = define("Z", (x.shape[0],), lambda m: total(e[m, c], (c, x.shape[1])))
            return e[n, j] / Z[n]

        def claims(self, at, dy, x):
            # The sum over c is missing.
            y = self.formula(at["x"], x)
            return {"x": y * dy[at["x"]] * (1 - y)}

    outcome = only(Shares).gradients["x"]
    assert outcome.verdict == REFUSED and "c = 2" in outcome.reason


# Certificates


@pytest.fixture(scope="module")
def certificate():
    return _certificate.path(OPERATIONS["subsample"]).read_text(encoding="utf-8")


def test_a_certificate_reads_as_it_was_written(certificate):
    assert _certificate.text("subsample", _certificate.read(certificate, "subsample")) == certificate


def check_all(content):
    for one in _certificate.read(content, "subsample"):
        one.check()


def test_a_certificate_with_one_byte_changed_is_refused(certificate):
    for place in range(1, len(certificate), len(certificate) // 400):
        byte = certificate[place]
        for other in {"0" if byte != "0" else "1", "a" if byte != "a" else "b"}:
            changed = certificate[:place] + other + certificate[place + 1 :]
            with pytest.raises(Refused):
                check_all(changed)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "null", '{"format": 1, "operation": "subsample"}', '{"format": 2, "operation": "subsample", "certificates": []}']
)
def test_a_file_that_is_no_certificate_is_refused(content):
    with pytest.raises(Refused, match="certificate"):
        _certificate.read(content, "subsample")


def test_a_certificate_of_another_operation_is_refused(certificate):
    with pytest.raises(Refused, match="wanted 'conv'"):
        _certificate.read(certificate, "conv")


def test_a_proof_for_another_gradient_is_refused(certificate):
    data = json.loads(certificate)["certificates"][0]
    data["proof"]["steps"]["b"] = data["proof"]["steps"]["beta"]
    one = _certificate._certificate(data)
    with pytest.raises(Refused):
        one.check()


# The checker


def test_the_checker_is_short_and_imports_nothing_that_searches():
    lines = (PROOFS / "_kernel.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 300
    for module in ("_kernel.py", "_statement.py", "_polynomial.py"):
        tree = ast.parse((PROOFS / module).read_text(encoding="utf-8"))
        names = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)] + [
            a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names
        ]
        assert {name.split(".")[0] for name in names} <= {
            "__future__", "collections", "dataclasses", "fractions", "functools", "itertools", "re", "typing", "_kernel", "_statement", "_polynomial", "_latex",
        }  # fmt: skip


def test_the_checker_runs_without_sympy_numpy_and_scipy():
    code = (
        "import sys\n"
        "for name in ('sympy', 'numpy', 'scipy'): sys.modules[name] = None\n"
        "import importlib.util, types\n"
        f"package = types.ModuleType('p'); package.__path__ = [{str(PROOFS)!r}]; sys.modules['p'] = package\n"
        "import p._kernel\n"
        "print('ok')\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "ok\n"


# The command


PLUGIN = '''
from dataclasses import dataclass
from cnnframe import Layer
from cnnframe.algebra import indices, total


@dataclass(frozen=True)
class Gate(Layer):
    """The product of an entry and a gain for its column."""

    name = "gate"
    inputs = {"x": "n c"}
    params = {"g": "c"}
    output = "n c"

    def forward(self, x, g):
        return x * g, (x, g)

    def backward(self, dy, saved):
        x, g = saved
        return {"x": dy * g, "g": (dy * x).sum(axis=0)}

    def formula(self, at, x, g):
        return x[at] * g[at[1]]

    def claims(self, at, dy, x, g):
        (m,) = indices("m")
        (c,) = at["g"]
        return {"x": dy[at["x"]] * g[at["x"][1]], "g": total(dy[m, c] * x[m, c], (m, x.shape[0]))}
'''


@pytest.fixture
def plugin(tmp_path):
    file = tmp_path / "gate.py"
    file.write_text(PLUGIN, encoding="utf-8")
    return file


def run(*arguments):
    """Run the command line in a process of its own."""
    done = subprocess.run([sys.executable, "-c", "from cnnframe.cli import main; main()", *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_plugin_author_proves_writes_and_rechecks(plugin):
    target = f"{plugin}:Gate"
    code, out = run("prove", target)
    assert code == 0 and "gradients: 2 proved, 0 unproved" in out and not (plugin.parent / "certificates").exists()
    code, out = run("prove", target, "--recheck")
    assert code == 2 and "there is no certificate at" in out
    code, out = run("prove", target, "--write")
    stored = plugin.parent / "certificates" / "gate.json"
    assert code == 0 and str(stored) in out.replace("\n", "")
    assert [p.name for p in stored.parent.iterdir()] == ["gate.json"]
    code, out = run("prove", target, "--recheck")
    assert code == 0 and "by the checker alone" in out


def test_a_changed_formula_does_not_keep_an_old_certificate(plugin):
    run("prove", f"{plugin}:Gate", "--write")
    other = plugin.with_name("other.py")
    other.write_text(
        PLUGIN.replace("return x[at] * g[at[1]]", "return 2 * x[at] * g[at[1]]").replace('"x": dy[at["x"]]', '"x": 2 * dy[at["x"]]'), encoding="utf-8"
    )
    code, out = run("prove", f"{other}:Gate", "--recheck")
    assert code == 1 and "belongs to an older formula or claim" in out and "--write" in out


def test_a_wrong_claim_writes_nothing(plugin):
    run("prove", f"{plugin}:Gate", "--write")
    stored = plugin.parent / "certificates" / "gate.json"
    before = stored.read_text(encoding="utf-8")
    other = plugin.with_name("other.py")
    other.write_text(PLUGIN.replace('{"x": dy[at["x"]]', '{"x": -dy[at["x"]]'), encoding="utf-8")
    code, out = run("prove", f"{other}:Gate", "--write")
    assert code == 1 and "gradient of 'x' refused" in out and stored.read_text(encoding="utf-8") == before


def test_the_stored_certificates_of_all_that_is_installed_hold():
    code, out = run("prove", "--recheck", "--json")
    rows = json.loads(out)
    assert code == 0 and {row["name"] for row in rows} >= set(OPERATIONS) and {row["verdict"] for row in rows} == {PROVED}


@pytest.mark.parametrize("arguments", [("no_such",), ("--write", "--recheck")])
def test_wrong_input_is_refused_in_a_sentence(arguments):
    code, out = run("prove", *arguments)
    assert code == 2 and "Traceback" not in out


def test_sum_all_and_crop_are_part_of_what_a_claim_may_say():
    class Cropped(Kernel):
        name = "cropped"

        def claims(self, at, dy, x, k):
            n, p = at["x"]
            (m,) = indices("m")
            full = conv2(plane(dy, n), rot180(plane(k)), "full")
            both = total(sum_all(plane(dy, m) * plane(dy, m)), (m, x.shape[0]))
            return {"x": crop(full, (0,), x.shape[1:])[p] + both - both}

    assert only(dataclass(frozen=True)(Cropped)).gradients["x"].verdict == PROVED
