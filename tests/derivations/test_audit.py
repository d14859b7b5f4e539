"""`cnnframe audit`: what it says of survivors, equivalents, stale entries, and lost processes."""

from __future__ import annotations

import json
import textwrap
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import pytest

import cnnframe as cf
from cnnframe import DataError, RunError
from cnnframe.cli._app import make_app
from cnnframe_derivations.audit import _audit, audit
from cnnframe_derivations.audit._equivalent import BUILT_IN, Equivalent, assigned, equivalents
from cnnframe_derivations.audit._report import AuditReport, Outcome
from cnnframe_derivations.suite import Settings, _workers
from cnnframe_derivations.suite._mutants import mutants

OPS = cf.load().operations()

TRIPLED = '''
from dataclasses import dataclass

from cnnframe import Layer


@dataclass(frozen=True)
class Tripled(Layer):
    """3 x."""

    name = "tripled"
    inputs = {"x": "n i"}
    output = "n i"

    def forward(self, x):
        return 3 * x, None

    def backward(self, dy, saved):
        return {"x": 3 * dy}

    def formula(self, at, x):
        return 3 * x[at]
'''


class Workers:
    """The workers' door, in this process: the answers of some jobs are given, the rest survives."""

    Lost = _workers.Lost

    def __init__(self, given: dict[int, Any]):
        self.given = given

    def run(self, function, jobs, processes, limit):
        assert function == "cnnframe_derivations.audit._audit:judge"
        for position in range(len(jobs)):
            survived = {"killed": False, "by": "", "what": "gave another answer in 0 of 90 cases"}
            yield position, self.given.get(position, survived)


KILLED = {"killed": True, "by": "exact", "what": "entry (0, 0) is wrong"}


@pytest.fixture
def tripled(tmp_path):
    (tmp_path / "tripled.py").write_text(TRIPLED)
    with chdir(tmp_path):
        yield "tripled.py:Tripled"


def cls_of(name):
    from cnnframe_derivations._target import target

    return target(name, cf.load())


def here(*arguments):
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as done:
        make_app()(list(arguments), prog_name="cnnframe")
    return done.value.code or 0, out.getvalue(), err.getvalue()


def entry(mutant, **other):
    return Equivalent(**{"id": mutant.id, "before": mutant.before, "after": mutant.after, "why": "because", **other})


def written(path, *entries):
    path.write_text("\n".join("[[equivalent]]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in vars(e).items()) for e in entries))
    return path


def test_refuted_lost_and_surviving_copies_are_told_apart(monkeypatch, tripled):
    cls = cls_of(tripled)
    monkeypatch.setattr(
        _audit,
        "_workers",
        Workers({1: KILLED, 2: _workers.Lost("no answer within 60 s", "tripled:forward:L15"), 3: _workers.Lost("the process ended with exit code 3", "")}),
    )
    made = mutants(cls)
    told = []
    report = audit(cls, target=tripled, listed=[entry(made[3])], told=told.append)
    assert [outcome.state for outcome in report.outcomes[:5]] == ["killed", "killed", "killed", "equivalent", "survived"]
    assert [outcome.by for outcome in report.outcomes[:4]] == ["exact", "hung", "exited", "because"]
    assert [outcome.id for outcome in report.outcomes] == [mutant.id for mutant in made] == [outcome.id for outcome in told]
    assert report.killers() == {"exact": 1, "hung": 1, "exited": 1}
    assert not report.clean
    assert report.share == 3 / (len(made) - 1)


def test_an_entry_is_wrong_if_its_mutant_is_refuted_and_stale_if_there_is_none(monkeypatch, tripled):
    cls = cls_of(tripled)
    made = mutants(cls)
    monkeypatch.setattr(_audit, "_workers", Workers(dict.fromkeys(range(1, len(made) + 1), KILLED)))
    assert audit(cls).clean
    false, gone = entry(made[0]), entry(made[1], before="return 4 * x")
    report = audit(cls, listed=[false, gone, Equivalent("conv:backward:L1:alias:1", "a", "b", "another operation's")])
    assert (report.wrong, report.stale) == ((false,), (gone,))
    assert not report.clean


def test_what_is_refuted_as_it_is_cannot_be_audited(monkeypatch, tripled):
    monkeypatch.setattr(_audit, "_workers", Workers({0: KILLED}))
    with pytest.raises(RunError, match=r"tripled cannot be audited: it is refuted as it is, by exact: entry \(0, 0\) is wrong"):
        audit(cls_of(tripled))


def test_an_entry_follows_its_statement_to_another_line():
    made = mutants(OPS["relu"])
    mutant = next(m for m in made if m.line)
    moved = entry(mutant, id=mutant.id.replace(f":L{mutant.line}:", ":L1:"))
    assert assigned([moved], made) == ({mutant.id: moved}, ())
    twins = [m for m in mutants(OPS["dense"]) if m.operator == "down-cast" and m.method == "backward"]
    assert assigned([entry(twins[-1])], twins)[0] == {twins[-1].id: entry(twins[-1])}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[equivalent]\n", "cannot be read"),
        ('[[equivalent]]\nid = "a:b:L1:c:1"\n', "entry 1 must have the texts id, before, after, why"),
        ('[[equivalent]]\nid = "a"\nbefore = ""\nafter = ""\nwhy = "x"\n', "entry 1 needs an id"),
        ('[[equivalent]]\nid = "a:b:L1:c:1"\nbefore = ""\nafter = ""\nwhy = " "\n', "and a reason"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, text, message):
    path = tmp_path / "list.toml"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        equivalents(path)


def test_the_list_of_the_box_names_changes_that_there_are():
    entries = equivalents(BUILT_IN)
    for name in sorted({e.name for e in entries}):
        mine = [e for e in entries if e.name == name]
        assert assigned(mine, mutants(OPS[name]))[1] == (), name


def test_a_report_counts_by_operator():
    outcomes = [
        Outcome("a:backward:L1:alias:1", "alias", "backward", "a.py:1", "r = x.copy()", "r = x", "survived"),
        Outcome("a:backward:L0:zeros:1", "zeros", "backward", "a.py", "", "zeros: gradient of 'x'", "killed", "exact"),
    ]
    report = AuditReport("a", tuple(outcomes))
    assert report.by_operator() == {"alias": {"survived": 1}, "zeros": {"killed": 1}}
    assert [outcome.change for outcome in outcomes] == ["r = x.copy()  ->  r = x", "zeros: gradient of 'x'"]
    assert report.to_dict()["share"] == 0.5
    assert AuditReport("a", ()).share == 1.0


def test_the_command_shows_survivors_with_their_lines(monkeypatch, tripled, tmp_path):
    made = mutants(cls_of(tripled))
    given = dict.fromkeys(range(2, len(made) + 1), KILLED)
    monkeypatch.setattr(_audit, "_workers", Workers(given))
    code, out, _ = here("audit", tripled)
    assert code == 1
    assert f"tripled.py:{made[0].line}  survived: {made[0].id}" in out
    assert f"{made[0].before}  ->  {made[0].after}" in out
    # What is printed for a list is one, as it stands.
    proposed = tmp_path / "proposed.toml"
    proposed.write_text(out[out.index("[[equivalent]]") : out.index(f"\n\n{tripled}: " if f"\n\n{tripled}: " in out else "\n\ntripled: ")])
    assert [(e.id, e.before, e.after) for e in equivalents(proposed)] == [(made[0].id, made[0].before, made[0].after)]
    listed = written(tmp_path / "list.toml", entry(made[0]))
    code, out, _ = here("audit", tripled, "--equivalent", str(listed), "--json")
    assert (code, json.loads(out)["survived"], len(json.loads(out)["equivalent"])) == (0, [], 1)
    code, out, _ = here("audit", tripled, "--equivalent", str(written(listed, entry(made[0]), entry(made[1]), entry(made[2], after="gone"))))
    assert code == 1
    assert f"listed as equivalent, but refuted: {made[1].id}" in out
    assert f"listed as equivalent, but there is no such change now: {made[2].id}" in out


def test_mistakes_of_usage_are_told_in_one_line(tripled):
    assert here("audit", tripled, "--profile", "quik")[0] == 2
    assert "there is no profile 'quik'" in here("audit", tripled, "--profile", "quik")[2]
    assert here("audit", "no_such_operation")[0] == 2


def test_a_small_layer_is_audited_in_a_process_of_its_own(tripled):
    report = audit(cls_of(tripled), processes=1, run=Settings("smoke"), target=tripled)
    assert report.share > 0.8
    assert {"change-constant", "drop-factor", "zeros", "stale"} <= {outcome.operator for outcome in report.of("killed")}
    assert {outcome.operator for outcome in report.of("equivalent") if outcome.by == _audit.MOOT} >= {"first-saved"}


def test_a_class_that_cannot_be_made_counts_as_refuted(monkeypatch, tripled):
    def broken(cls, site):
        raise TypeError("no class")

    monkeypatch.setattr(_audit, "make", broken)
    answer = _audit.judge({"target": tripled, "number": 0, "profile": "smoke", "seed": 0}, lambda text: None)
    assert answer == {"killed": True, "by": "no class", "what": "TypeError: no class"}


def test_help_shows_an_example():
    code, out, _ = here("audit", "--help")
    assert code == 0
    assert "cnnframe audit my_module:MyLayer --equivalent" in " ".join(textwrap.dedent(out).split())
