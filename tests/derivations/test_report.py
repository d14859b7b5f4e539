"""Reports as files: what they say, that nothing strangers wrote gets out of its place, and that what is promised of their form holds."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser

import jsonschema
import pytest

import cnnframe as cf
from cnnframe_derivations import suite
from cnnframe_derivations.report import document, junit, page, schema
from cnnframe_derivations.report._arrays import COLUMNS, ROWS, arrays
from cnnframe_derivations.report._histogram import histogram
from cnnframe_derivations.report._words import KINDS, STATES, entry, order, rounded_up, visible
from cnnframe_derivations.suite._verdict import DECADES, Drawn, Evidence, Finding, Report

OPS = cf.load().operations()
HOSTILE = "<script>alert('x')</script> \"&amp; </pre> ]]> \x00\x1b[31m \u202e \udc80 \ufffe"
HARMLESS = "plain text"
VOID = {"meta", "br", "use", "line", "rect", "circle", "path"}


def evidence(kind, **given):
    found = Evidence(kind, cases=3, asked={"output", "gradient of 'x'"}, **given)
    if not (found.absent or found.doubt or found.finding):
        found.passed("output", 1200)
        found.passed("gradient of 'x' (complex step)", 30)
        found.passed("same bits twice", 4)
    return found


def verified(name="relu"):
    bounded = evidence("bounded", skipped=Counter({"within rounding": 2}), notes=["a note"])
    bounded.errors = {"output": [900, 0, 0, 0, 40, 7, 1, 0], "gradient of 'x'": [0] * DECADES}
    bounded.power = {"output, float64": 1.21e-12, "gradient of 'x', float64": 3e-13, "output, float32": 1e-4}
    return Report(name, (evidence("canaries"), evidence("exact"), bounded, evidence("kinks", absent="no kinks")), name, ("x",))


def refuted(text="entry (1, 0) of the gradient of 'x' must be 2; got nan", name="dense"):
    shape = (2, 2)
    drawn = (
        Drawn("x", shape, (1.0, -2.0, 0.5, -0.0)),
        Drawn("dy", (), (3.0,)),
        Drawn("expected", shape, (1.0, 2.0, 2.0, 0.1 + 0.2), (1, 0)),
        Drawn("got", shape, (1.0, math.inf, math.nan, -math.inf), (1, 0)),
    )
    finding = Finding("exact", text, (text, "x = ..."), '{"seed": 1}', text, drawn)
    return Report(name, (evidence("contract"), evidence("exact", finding=finding)), name, ("x", "W", "b"))


def inconclusive(text="RuntimeError: no", name="softmax"):
    doubtful = Evidence("exact", cases=1, asked={text}, skipped=Counter({text: 2}), notes=[text], doubt=text)
    doubtful.compared[text] = 1
    doubtful.errors = {text: [1] * DECADES}
    doubtful.power = {f"{text}, float64": math.inf}
    return Report(name, (doubtful, Evidence("independent", absent=text), Evidence(text)), text, (text,), text)


def never_compared():
    return Report("flatten", (Evidence("exact", absent="not exact"), evidence("contract")), "flatten", ("x",))


def everything(text=HARMLESS):
    return [verified(), refuted(text), inconclusive(text, text), never_compared()]


class Reader(HTMLParser):
    """Checks that tags close in the order in which they open; keeps tags, attributes, and the text of each element of a class."""

    def __init__(self):
        HTMLParser.__init__(self)
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@cache
def shown(text=HARMLESS):
    return page(everything(text), OPS, skipped_plugins=[text], about={"profile": "quick", text: text})


def parsed(text):
    return ET.fromstring(text)  # noqa: S314 # our own text, of which a test has to know that it is XML


def section(text, name):
    return next(part for part in text.split("<section ") if f"<h2>{name} " in part)


def test_the_page_stands_alone():
    reader = read(shown())
    assert "script" not in reader.tags and not {"link", "img", "iframe", "object", "base", "form"} & set(reader.tags)
    for _, attributes in reader.attributes:
        assert not {"src", "srcset", "style"} & attributes.keys() and not [key for key in attributes if key.startswith("on")]
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"https?:|url\(|@import", shown())


def test_links_lead_somewhere_and_names_are_unique():
    reader = read(shown())
    names = [attributes["id"] for _, attributes in reader.attributes if "id" in attributes]
    assert len(names) == len(set(names))
    assert {attributes["href"][1:] for _, attributes in reader.attributes if "href" in attributes} <= set(names)


def test_strangers_texts_change_nothing_but_the_text():
    assert read(shown(HOSTILE)).tags == read(shown()).tags
    shown(HOSTILE).encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ufffe]", shown(HOSTILE))
    assert r"<script>alert('x')</script>" in "".join(read(shown(HOSTILE)).text) and "<script" not in shown(HOSTILE)


def test_long_texts_are_cut():
    assert visible("a" * 5000) == "a" * 2000 + " ... 3000 more characters"
    assert visible("\ud800\x07\u200b") == r"\ud800\x07\u200b"


def test_every_mark_has_a_text():
    text = shown()
    for match in re.finditer(r'<svg class="mark (\w+)"([^>]*)>(.*?)</svg>(.{0,60})', text):
        state, attributes, inside, after = match.groups()
        if "aria-hidden" in attributes:
            assert re.sub("<[^>]*>", " ", after).split()[0].startswith(state) or state in after
        else:
            assert f'aria-label="{state}' in attributes and f"<title>{state}" in inside
    assert set(re.findall(r'class="mark (\w+)"', text)) == set(STATES)


def test_marks_differ_in_more_than_colour():
    drawings = re.findall(r'<symbol id="mark-\w+"[^>]*>(.*?)</symbol>', shown())
    assert len(set(drawings)) == len(STATES)


def test_the_overview_has_a_row_for_each_report_and_a_column_for_each_kind():
    table = re.search(r'<table class="overview">(.*?)</table>', shown(), re.DOTALL)[1]
    assert table.count("<tr>") == 1 + len(everything())
    heads = re.findall(r'class="kind"><span>([^<]*)</span>', table)
    assert heads == ["contract", "exact", "bounded", "independent", "kinks", "canaries", HARMLESS, "comparisons"]
    assert "not gathered" in table


def test_kinds_come_in_their_order_and_strange_ones_last():
    assert order(["new", "canaries", "contract", "new"]) == ["contract", "canaries", "new"]


def test_every_kind_of_the_suite_is_explained():
    assert set(suite.KINDS) <= set(KINDS)


def test_the_mathematics_is_there_and_folded():
    text = section(shown(), "dense")
    formula, _, derivation = text.partition('<details class="derivation">')
    assert "<math" in formula and 'encoding="application/x-tex"' in formula
    assert "proved: x, W, b" in derivation and "What is assumed" in derivation and "<h1" not in text


def test_a_class_that_is_not_there_and_one_that_cannot_be_derived_say_so():
    class Broken:
        name = "relu"

        def __init_subclass__(cls):
            raise RuntimeError

    assert "The class is not at hand" in page([verified()], {})
    text = page([verified()], {"relu": Broken})
    assert "The mathematics could not be derived" in text and "Comparisons that held" in text


def test_a_docstring_stays_a_text():
    @dataclass(frozen=True)
    class Square(cf.Activation):
        name = "square"

        def f(self, x):
            return x * x

        def df(self, x, y):
            return 2 * x

        def expr(self, x):
            return x * x

    Square.__doc__ = HOSTILE
    text = page([verified("square")], {"square": Square})
    assert "&lt;script&gt;" in text and "<script" not in text and r"\x00\x1b[31m \u202e \udc80" in text and "<math" in text


def test_classes_are_found_by_target_first():
    own = Report("relu", verified().evidence, "my.py:Mine", ("x",))
    assert "tanh" in page([own], {"my.py:Mine": OPS["scaled_tanh"], "relu": OPS["relu"]})


def test_counts_of_comparisons():
    text = section(shown(), "relu")
    rows = {re.sub("<[^>]*>", "", row.partition("</th>")[0]): re.findall("<td[^>]*>([^<]*)", row) for row in text.split("<tr")[1:]}
    cells = {re.sub("^[^>]*>", "", name): values for name, values in rows.items()}
    assert cells["output"] == ["1\u202f200"] * 3 + ["1.3 \u00d7 10", "1 \u00d7 10"]
    assert cells["gradient of &#x27;x&#x27;"][:3] == ["30"] * 3
    assert cells["all"][:3] == ["1\u202f234"] * 3


def test_what_should_have_been_compared_and_was_not_is_marked():
    assert section(shown(), "dense").count("although it should have been compared") == 2


def test_the_statement_of_power_claims_no_more_than_the_number():
    text = re.sub("<[^>]*>", "", section(shown(), "relu"))
    assert "For each of the output and the gradient of x there was a case in float64 in which a relative error of more than 1.3 \u00d7 10\u221212" in text
    assert "would have been seen" not in section(shown(), "dense") + section(shown(), HARMLESS) + section(shown(), "flatten")


def test_an_array_without_power_is_named():
    report = verified()
    del report.evidence[2].power["gradient of 'x', float64"]
    text = re.sub("<[^>]*>", "", page([report], {}))
    assert "For the output there was a case" in text and "For the gradient of x there is no such figure." in text


@pytest.mark.parametrize(
    ("number", "said"), [(1.21e-12, "1.3e-12"), (9.99e-12, "1e-11"), (1e-11, "1e-11"), (2.0**-52, "2.3e-16"), (0.5, "0.5"), (123.0, "130")]
)
def test_numbers_are_rounded_up(number, said):
    assert rounded_up(number) == said and float(said) >= number


@pytest.mark.parametrize(("number", "said"), [(3.0, "3"), (-0.0, "-0"), (0.25, "0.25"), (1 / 3, "0.33333"), (math.nan, "nan"), (-math.inf, "-inf")])
def test_entries_are_short(number, said):
    assert entry(number) == said


def test_a_refutation_says_what_why_and_how_to_see_it_again():
    text = page([refuted("it is so")], {})
    assert "<b>Refuted by exact:</b> it is so" in text and "Because it is so." in text
    assert "cnnframe verify dense --case &#x27;{&quot;seed&quot;: 1}&#x27;" in text
    assert text.index("expected") < text.index("got") < text.index("<b>dy</b>")


def test_of_several_refutations_the_first_is_open():
    one, other = refuted("this").finding, refuted("that").finding
    report = Report("dense", (evidence("kinks", finding=other), evidence("exact", finding=one)), "dense", ("x",))
    shown_first, _, folded = page([report], {}).partition("<section ")[2].partition("<details><summary><b>Refuted")
    assert "</b> this" in shown_first and "</b> that" not in shown_first and "that" in folded


def test_a_replay_line_can_be_pasted():
    report = refuted()
    stranger = Report(report.name, report.evidence, "my file's.py:Op; echo", ("x",))
    assert "cnnframe verify &#x27;my file&#x27;&quot;&#x27;&quot;&#x27;s.py:Op; echo&#x27;" in page([stranger], {})


def cells(text):
    return re.findall(r'<td class="([^"]+)"[^>]*>([^<]*)', text)


def test_entries_are_coloured_by_sign_and_size_and_the_one_in_question_is_marked():
    pair, given = arrays(refuted().finding.arrays).split("\n")
    assert cells(pair)[:4] == [("above3", "1"), ("above5", "2"), ("above5 entry", "2"), ("above1", "0.3")]
    assert cells(pair)[4:] == [("above3", "1"), ("odd", "inf"), ("odd entry", "nan"), ("odd", "-inf")]
    assert cells(given) == [("above3", "1"), ("below5", "\u22122"), ("above2", "0.5"), ("zero", "\u22120"), ("above5", "3")]
    assert pair.count("the entry in question") == 2 and 'title="0.30000000000000004"' in pair


def test_the_entry_in_question_is_written_in_full():
    text = arrays([Drawn("got", (2,), (0.1 + 0.2, 1.0), (0,))])
    assert cells(text)[0] == ("above2 entry", "0.30000000000000004")


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 2, 3), (2, 1, 2, 3), (0, 2), (1, 2, 1, 2, 2)])
def test_arrays_of_any_number_of_axes(shape):
    size = math.prod(shape)
    at = tuple(n - 1 for n in shape) if size else None
    text = arrays([Drawn("got", shape, tuple(map(float, range(1, size + 1))), at)])
    read(text)
    assert [int(number) for _, number in cells(text)] == list(range(1, size + 1))
    assert [number for kinds, number in cells(text) if "entry" in kinds] == ([str(size)] if size else [])
    assert text.count("<table>") == (math.prod(shape[:-2]) if size else 0)


def test_large_arrays_are_cut_around_the_entry():
    shape, at = (9, 30, 40), (7, 21, 39)
    size = math.prod(shape)
    place = (at[0] * shape[1] + at[1]) * shape[2] + at[2]
    text = arrays([Drawn("got", shape, tuple(map(float, range(size))), at), Drawn("expected", shape, (0.0,) * size)])
    assert [number for kinds, number in cells(text) if "entry" in kinds] == ["0", str(place)]
    assert text.count("<table>") == 12 and f"... {size - 6 * ROWS * COLUMNS:,} more".replace(",", "\u202f") in text


def test_an_array_whose_shape_does_not_fit_is_a_list():
    assert [n for _, n in cells(arrays([Drawn("x", (5, 5), (1.0, 2.0), (4, 4))]))] == ["1", "2"]


def test_the_picture_of_errors():
    drawn = parsed(re.search("<svg.*</svg>", histogram("output", [900, 0, 0, 0, 40, 7, 1, 0]))[0])
    assert "900 below 1e-7, 40 from 1e-4 to 1e-3, 7 from 1e-3 to 1e-2, 1 from 1e-2 to 1e-1" in drawn.get("aria-label")
    heights = [float(bar.get("height")) for bar in drawn.iter("rect")]
    assert heights == sorted(heights, reverse=True) and len(heights) == 4
    words = {"".join(element.itertext()) for element in drawn.iter("text")}
    assert {"error \u00f7 bound", "entries", "bound", "10\u22127"} <= words
    assert "<figure" in section(shown(), "relu") and section(shown(), "relu").count('<figure class="errors"') == 1


def test_a_skip_is_told_and_counts_for_nothing():
    text = section(shown(), "relu")
    assert "What each kind did (2 skipped)" in text and "skipped 2: within rounding" in text and ": no kinks" in text


def test_a_report_of_nothing_is_a_page():
    text = page([], {})
    read(text)
    assert "<b>0</b>comparisons in all" in text and text.count('<li class="none"><b>0</b>') == 3


def test_a_page_of_what_was_read_back_is_the_same():
    reports = [verified(), refuted(), never_compared()]
    held = json.loads(json.dumps(document(reports, version="0", suite=1, profile="quick", seed=0), allow_nan=False))
    assert page([Report.from_dict(r) for r in held["reports"]], {}) == page(reports, {})


# JUnit


def test_junit_counts_add_up():
    root = parsed(junit(everything(), skipped_plugins=["gone"]))
    for element in [root, *root]:
        cases = list(element.iter("testcase"))
        assert int(element.get("tests")) == len(cases)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.get(attribute)) == sum(case.find(tag) is not None for case in cases)
    assert [root.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["13", "1", "2", "4"]
    assert [suite.get("name") for suite in root] == ["relu", "dense", HARMLESS, "flatten", "plugins"]


def test_junit_cases_are_named_by_operation_kernel_and_kind():
    root = parsed(junit([verified()]))
    assert [(case.get("classname"), case.get("name")) for case in root.iter("testcase")] == [
        ("relu.reference", kind) for kind in ("canaries", "exact", "bounded", "kinks")
    ]
    assert not [element for element in root.iter() if {"time", "timestamp"} & set(element.keys())]


def test_junit_says_what_the_finding_says():
    report = refuted()
    failure = parsed(junit([report])).find(".//failure")
    assert failure.text == "\n".join(report.finding.lines("dense", "dense")) and failure.get("message") == report.finding.what


def test_what_is_not_verified_is_never_green():
    for report in everything():
        root = parsed(junit([report]))
        assert (int(root.get("failures")) + int(root.get("errors")) == 0) == (report.verdict == "verified")
    assert parsed(junit([never_compared()])).find(".//testcase[@name='verdict']/error").get("message").startswith("exact, bounded: never compared")


def test_two_operations_of_one_name_are_told_apart():
    one, other = verified(), Report("relu", verified().evidence, "my.py:ReLU", ("x",))
    root = parsed(junit([one, other, Report("relu", one.evidence, "relu", ("x",), "Fast")]))
    assert len(root) == 1
    assert list(dict.fromkeys(case.get("classname") for case in root.iter("testcase"))) == ["relu[relu].reference", "relu[my.py:ReLU].reference", "relu.Fast"]


def test_junit_holds_hostile_texts():
    text = junit(everything(HOSTILE), skipped_plugins=[HOSTILE], about={HOSTILE: HOSTILE})
    harmless = junit(everything(), skipped_plugins=[HARMLESS], about={HARMLESS: HARMLESS})
    hostile = parsed(text.encode("utf-8"))
    assert [element.tag for element in hostile.iter()] == [element.tag for element in parsed(harmless).iter()]
    assert hostile.find(".//error").get("message") == visible(HOSTILE)


# JSON


def written(reports):
    return document(reports, version="0.1", suite=1, profile="quick", seed=0, skipped_plugins=["gone"])


@cache
def real():
    return suite.verify(OPS["relu"], suite.Settings("smoke"))


@pytest.mark.parametrize("text", [HARMLESS, HOSTILE], ids=["harmless", "hostile"])
def test_documents_fit_the_schema(text):
    made = json.loads(json.dumps(written([*everything(text), real()]), allow_nan=False))
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(made, schema())


def test_what_the_suite_gives_as_plain_data_fits_the_schema():
    jsonschema.validate(json.loads(json.dumps(written([real()]), allow_nan=False)), schema())
    read(page([real()], OPS))
    parsed(junit([real()]))


def test_numbers_that_json_lacks_are_words_that_float_reads():
    (made,) = written([refuted()])["reports"]
    got = made["evidence"][1]["finding"]["arrays"][3]["entries"]
    assert got == [1.0, "inf", "nan", "-inf"] and math.isnan(float(got[2]))


def objects(part):
    if isinstance(part, dict):
        if "properties" in part:
            yield part
        for value in part.values():
            yield from objects(value)
    elif isinstance(part, list):
        for value in part:
            yield from objects(value)


def test_the_schema_describes_every_field_and_lets_no_other_pass():
    found = list(objects(schema()))
    assert len(found) == 5
    for part in found:
        assert part["required"] == list(part["properties"]) and part["additionalProperties"] is False
        assert all(len(field["description"]) > 10 for field in part["properties"].values())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("seed"),
        lambda d: d.update(extra=1),
        lambda d: d["reports"][0].update(verdict="passed"),
        lambda d: d["reports"][0]["evidence"][0].update(state="green"),
        lambda d: d["reports"][0]["evidence"][0].update(checks=-1),
        lambda d: d["reports"][0]["evidence"][2]["errors"].update(output=[1]),
        lambda d: d["reports"][0]["evidence"][2]["power"].update(output="large"),
    ],
)
def test_the_schema_refuses(spoil):
    made = json.loads(json.dumps(written([verified()])))
    spoil(made)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made, schema())
