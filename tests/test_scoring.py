"""Answers -> scores: published and worked examples row by row, then every rule of the engine on one small scale."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adjunct.base import UNKNOWN, YES, BadInput
from adjunct.instruments import Instrument, instrument, score, score_many
from adjunct.instruments.reading import read_instrument
from adjunct.instruments.scoring import BLOCK, UNSCORED
from adjunct.knowledge.load import HERE, Knowledge

EXAMPLES = Path(__file__).parent / "cases" / "scoring_examples.csv"
# Which form a row of the table means, where its `version` column does not say it in the words of the file.
FORMS = {("DSM5SUD", "kratom; criteria 1-11"): "not prescribed"}
NAN = math.nan


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


def rows() -> list[Any]:
    with EXAMPLES.open(encoding="utf-8", newline="") as lines:
        found = list(enumerate(csv.DictReader(lines), start=2))
    present = {path.stem for path in (HERE / "data" / "instruments").glob("*.toml")}
    return [pytest.param(r, id=f"{n}-{r['instrument_id']}") for n, r in found if r["instrument_id"].lower() in present]


def form_of(scale: Instrument, row: dict[str, str]) -> str | None:
    """The form that the words of the version column name."""
    said = FORMS.get((row["instrument_id"], row["version"]), row["version"].lower())
    words = set(said.replace(";", " ").replace(",", " ").split())
    return next((form for form in scale.forms if set(form.lower().split()) <= words), None)


@pytest.mark.parametrize("row", rows())
def test_every_worked_example_comes_out(knowledge: Knowledge, row: dict[str, str]) -> None:
    scale = instrument(knowledge, row["instrument_id"])
    got = score(scale, row["answers"].split(";"), form=form_of(scale, row))
    assert got.total == (float(row["total"]) if row["total"] else None)
    assert got.band == row["band"]
    assert {k: f"{v:g}" if isinstance(v, float) else v for k, v in got.subscales.items()} == dict(
        pair.split("=") for pair in row["subscales"].split("|") if pair
    )
    assert sorted(got.alerts) == sorted(alert for alert in row["alerts"].split("|") if alert)


def test_every_instrument_of_the_table_has_its_file() -> None:
    with EXAMPLES.open(encoding="utf-8", newline="") as lines:
        assert len(rows()) == len(list(csv.DictReader(lines)))


# --- one small scale, one rule at a time ------------------------------------------------------------------------------


def four(**more: Any) -> list[dict[str, Any]]:
    """Four items, each 0 to 3."""
    return [{"id": f"i{n}", "label": f"Item {n}", "kind": "choice", "least": 0, "most": 3} | more for n in (1, 2, 3, 4)]


def scale(knowledge: Knowledge, **parts: Any) -> Instrument:
    """A scale of four items and their sum, with some parts changed; a part that is None is left out."""
    total = {"id": "total", "how": "sum", "of": ["i1", "i2", "i3", "i4"]}
    entry: dict[str, Any] = {
        "id": "little",
        "title": "Little scale",
        "version": 3,
        "form": "4 items",
        "direction": "worse",
        "range": [0, 12],
        "sources": [],
        "item": four(),
        "score": [total | parts.pop("total", {})],
        "band": [{"name": "high", "when": "total >= 6"}, {"name": "low", "when": "total >= 0"}],
    }
    return read_instrument({k: v for k, v in (entry | parts).items() if v is not None}, knowledge)


def step(name: str, how: str, of: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "how": how, "of": of.split()} | more


MISSING = [
    # rule, answers, total, notes
    ({}, "1 2 3 0", 6, ""),
    ({}, "1 2 3 -", None, ""),
    ({"refused": "open"}, "1 2 3 -", None, "open"),
    ({"refused": "open"}, "1 2 3 9", None, "value_not_allowed_item_4"),
    ({"most": 1, "how": "prorate", "note": "filled", "refused": "open"}, "1 2 3 0", 6, ""),
    ({"most": 1, "how": "prorate", "note": "filled", "refused": "open"}, "1 2 2 -", 6.67, "filled"),
    ({"most": 1, "how": "prorate", "note": "filled", "refused": "open"}, "1 2 - -", None, "open"),
    ({"most": 2, "how": "prorate", "note": "filled", "refused": "open"}, "1 2 - -", 6, "filled"),
    ({"most": 2, "how": "prorate", "note": "filled"}, "1 2 - 9", None, "value_not_allowed_item_4"),
    ({"most": 4, "how": "prorate", "note": "filled", "refused": "open"}, "- - - -", None, "open"),
    ({"most": 1, "how": "answered", "note": "less"}, "1 2 3 -", 6, "less"),
    ({"most": 1, "how": "answered", "refused": "open"}, "1 2 - -", None, "open"),
    ({"most": 1, "how": "answered", "only": ["i4"], "refused": "open"}, "1 2 3 -", 6, ""),
    ({"most": 1, "how": "answered", "only": ["i4"], "refused": "open"}, "- 2 3 1", None, "open"),
    ({"most": 1, "how": "answered"}, "1 2 3 na", 6, ""),
    ({}, "1 2 3 na", None, ""),
    ({"na": "skip", "note": "less", "refused": "open"}, "1 2 3 na", 6, ""),
    ({"na": "skip", "note": "less", "refused": "open"}, "1 2 - na", None, "open"),
    ({"na": "skip", "most": 1, "how": "prorate", "note": "filled"}, "1 2 - na", 4.5, "filled"),
    ({"na": "skip", "refused": "open"}, "na na na na", None, ""),
]


@pytest.mark.parametrize(("rule", "answers", "total", "notes"), MISSING)
def test_what_is_missing_follows_the_rule(
    knowledge: Knowledge, rule: dict[str, Any], answers: str, total: float | None, notes: str
) -> None:
    got = score(scale(knowledge, item=four(applies=True), total={"missing": rule}), answers.split())
    assert (got.total, got.alerts) == (total, tuple(notes.split()))
    assert (got.band == "unscorable", bool(got.reason)) == (total is None, total is None)


HOW = [
    # what the total is made of, answers, total
    (step("total", "mean", "i1 i2 i3"), "1 2 2 0", 1.67),
    (step("total", "mean", "i1 i2 i3", missing={"most": 1, "how": "prorate"}), "1 2 - 0", 1.5),
    (step("total", "mean", "i1 i2 i3", missing={"most": 1, "how": "answered"}), "1 2 - 0", 1.5),
    (step("total", "most", "i1 i2 i4"), "1 2 3 0", 2),
    (step("total", "most", "i1 i2", missing={"most": 1, "how": "answered"}), "- 0 3 3", 0),
    (step("total", "most", "i1 i2", missing={"most": 1, "how": "prorate"}), "- 2 3 3", 2),
    (step("total", "count", "i1 i2 i3 i4"), "1 2 3 0", 3),
    (step("total", "count", "i1 i2 i3 i4", least=2), "1 2 3 0", 2),
    (step("total", "count", "i1 i2 i3 i4", least=0, missing={"most": 1, "how": "answered"}), "1 2 - 0", 3),
    (step("total", "count", "i1 i2 i3 i4", least=2, missing={"most": 2, "how": "prorate"}), "2 0 - -", 2),
    (step("total", "count", "i1 i2 i3 i4", least=2), "2 0 - 1", None),
    (step("total", "copy", "i3"), "1 2 3 0", 3),
    (step("total", "linear", "i3", times=4), "1 2 3 0", 12),
    (step("total", "linear", "i3", times=100, plus=-50, over=8), "1 2 3 0", 31.25),
    (step("total", "linear", "i3"), "1 2 - 0", None),
    (step("total", "table", "i3", table=[[0, 38.2], [2, 47.5], [1, 44.7]]), "0 0 2 0", 47.5),
    (step("total", "table", "i3", table=[[0, 38.2], [2, 47.5], [1, 44.7]]), "0 0 0 0", 38.2),
    (step("total", "table", "i3", table=[[0, 38.2], [2, 47.5], [1, 44.7]]), "0 0 3 0", None),
    (step("total", "table", "i3", table=[[0, 38.2]]), "0 0 - 0", None),
    (step("total", "bins", "i3", bins=[[0, 5], [2, 7]]), "0 0 1 0", 5),
    (step("total", "bins", "i3", bins=[[0, 5], [2, 7]]), "0 0 2 0", 7),
    (step("total", "bins", "i3", bins=[[0, 5], [2, 7]], below=True), "0 0 2 0", 5),
    (step("total", "bins", "i3", bins=[[0, 5], [2, 7]], below=True), "0 0 0 0", None),
    (step("total", "bins", "i3", bins=[[0, 5], [2, 7, True], [3, 1]]), "0 0 2 0", 5),
    (step("total", "bins", "i3", bins=[[0, 5], [2, 7, True], [3, 1]]), "0 0 3 0", 1),
    (step("total", "bins", "i3", bins=[[1, 5], [2, 7]]), "0 0 0 0", None),
    (step("total", "bins", "i3", bins=[[0, 5]]), "0 0 - 0", None),
    (step("total", "share", "i1 i2"), "1 3 0 0", 33.33),
    (step("total", "share", "i1 i2"), "1 0 0 0", None),
    (step("total", "hours", "i1 i2"), "1 3 0 0", 2),
    (step("total", "hours", "i1 i2"), "3 1 0 0", 22),
    (step("total", "sum", "i4 i1"), "1 2 3 0", 1),
    (step("total", "sum", "i1 i2 i3 i4", cap=5), "1 2 3 0", 5),
    (step("total", "sum", "i1 i2 i3 i4", cap=5), "1 2 1 0", 4),
    (step("total", "sum", "i1 i2 i3 i4", cap=5), "1 2 - 0", None),
]


@pytest.mark.parametrize(("how", "answers", "total"), HOW)
def test_each_way_of_scoring(knowledge: Knowledge, how: dict[str, Any], answers: str, total: float | None) -> None:
    assert score(scale(knowledge, score=[how]), answers.split()).total == total


def test_a_score_of_scores_passes_on_what_is_unknown_and_what_was_refused(knowledge: Knowledge) -> None:
    pair = {"missing": {"most": 1, "how": "answered"}, "show": False}
    steps = [
        step("a", "most", "i1 i2", **pair),
        step("b", "copy", "i3"),
        step("c", "linear", "i4", times=2, out_of=6),
        step("total", "sum", "a b c", missing={"most": 2, "how": "answered", "note": "less", "refused": "open"}),
    ]
    made = scale(knowledge, score=steps)
    full = score(made, [1, 2, 3, 1])
    assert (full.total, full.subscales, full.alerts) == (7, {"b": 3, "c": "2/6"}, ())
    half = score(made, [None, 2, None, 1])
    assert (half.total, half.subscales, half.alerts) == (4, {"b": None, "c": "2/6"}, ("less",))
    for broken in ([9, 2, 3, 1], [1, 2, 9, 1], [1, 2, 3, 9]):
        got = score(made, broken)
        assert got.total is None
        assert got.alerts == (f"value_not_allowed_item_{broken.index(9) + 1}",)
    assert score(made, [None, None, None, None]).alerts == ("open",)


@pytest.mark.parametrize("how", ["copy", "linear"])
def test_a_single_value_that_is_missing_is_noted_and_one_that_is_refused_is_not(knowledge: Knowledge, how: str) -> None:
    made = scale(knowledge, score=[step("total", how, "i3", missing={"refused": "needed"})])
    assert score(made, [0, 0, None, 0]).alerts == ("needed",)
    assert score(made, [0, 0, 9, 0]).alerts == ("value_not_allowed_item_3",)
    assert score(made, [0, 0, 3, 0]).alerts == ()
    many = score_many(made, np.array([[0, 0, NAN, 0], [0, 0, 9, 0], [0, 0, 3, 0], [9, 0, 1, NAN]]))
    assert many.alerts["needed"].tolist() == [YES, 0, 0, 0]


def test_a_refused_answer_reaches_through_every_kind_of_score(knowledge: Knowledge) -> None:
    """What is made of a refused answer is refused too, and no rule for missing answers fills it."""
    rule = {"missing": {"most": 1, "how": "answered", "note": "less"}}
    for first in (step("a", "linear", "i1"), step("a", "hours", "i1 i2"), step("a", "sum", "i1 i2")):
        made = scale(knowledge, score=[first, step("b", "copy", "a"), step("total", "sum", "b i3", **rule)])
        many = score_many(made, np.array([[9, 0, 2, 0], [NAN, 0, 2, 0], [1, 0, 2, 9], [1, 0, NAN, 9]]))
        assert np.isnan(many.total).tolist() == [True, False, False, False]
        assert many.alerts["less"].tolist() == [0, YES, 0, YES]
    zero = scale(knowledge, score=[step("a", "share", "i1 i2"), step("total", "sum", "a i3", **rule)])
    many = score_many(zero, np.array([[1, 0, 2, 0], [9, 0, 2, 0], [1, 2, 9, 0]]))
    assert np.array_equal(many.total, [2, NAN, NAN], equal_nan=True)


# --- what may be written ----------------------------------------------------------------------------------------------

OPTIONS = [
    {"value": 0, "text": "Not at all", "loinc": "LA6568-5"},
    {"value": 1, "short": "SD", "label": "Some of the time"},
    {"value": 3, "text": "Not assessed here", "score": 0},
    {"value": 4, "text": "Most"},
    {"value": 9, "text": "Not rated", "na": True},
]
WRITTEN = [
    # item, answer, what it counts: a number, "missing", "na" or "refused"
    ({}, 2, 2),
    ({}, 2.0, 2),
    ({}, np.int64(2), 2),
    ({}, np.float64(2), 2),
    ({}, "2", 2),
    ({}, " 2 ", 2),
    ({}, "2.0", 2),
    ({}, "+2", 2),
    ({}, 0, 0),
    ({}, 3, 3),
    ({}, None, "missing"),
    ({}, "", "missing"),
    ({}, "-", "missing"),
    ({}, " – ", "missing"),
    ({}, "—", "missing"),
    ({}, NAN, "missing"),
    ({}, np.nan, "missing"),
    ({}, -1, "refused"),
    ({}, 4, "refused"),
    ({}, 1.5, "refused"),
    ({}, "1.5", "refused"),
    ({}, math.inf, "refused"),
    ({}, -math.inf, "refused"),
    ({}, 10**400, "refused"),
    ({}, "nan", "refused"),
    ({}, "1e0", "refused"),
    ({}, "1_0", "refused"),
    ({}, "२", "refused"),
    ({}, "often", "refused"),
    ({}, True, "refused"),
    ({}, [1], "refused"),
    ({}, b"1", "refused"),
    ({}, "na", "refused"),
    ({}, "1-2", "refused"),
    ({}, "yes", "refused"),
    ({"applies": True}, "na", "na"),
    ({"applies": True}, " N/A ", "na"),
    ({"applies": True}, 1, 1),
    ({"reverse": True}, 1, 2),
    ({"reverse": True}, 3, 0),
    ({"reverse": True}, 4, "refused"),
    ({"reverse": True}, None, "missing"),
    ({"least": 1, "most": 5, "reverse": True}, 1, 5),
    ({"step": 0.5}, 1.5, 1.5),
    ({"step": 0.5}, 1.25, "refused"),
    ({"least": -5, "most": 4}, "-3", -3),
    ({"least": -5, "most": 4}, "\u22123", -3),
    ({"least": -5, "most": 4}, -6, "refused"),
    ({"least": 0.5, "most": 2.5}, 1.5, 1.5),
    ({"least": 0.5, "most": 2.5}, 1, "refused"),
    ({"least": 0.25, "most": 3.25}, 1.25, 1.25),
    ({"allowed": [0, 1, 2, 4]}, 4, 4),
    ({"allowed": [4, 2, 1, 0]}, 2, 2),
    ({"allowed": [0, 1, 2, 4]}, 3, "refused"),
    ({"allowed": [0, 1, 2, 4]}, 5, "refused"),
    ({"allowed": [0, 1, 2, 4]}, -1, "refused"),
    ({"allowed": [0, 1, 2, 4]}, None, "missing"),
    ({"allowed": [0, 1, 2, 4], "reverse": True}, 4, 0),
    ({"allowed": [0, 1, 2, 4], "reverse": True}, 1, 3),
    ({"answers": "list"}, "not at ALL", 0),
    ({"answers": "list"}, "la6568-5", 0),
    ({"answers": "list"}, "LA6568-5", 0),
    ({"answers": "list"}, "sd", 1),
    ({"answers": "list"}, "Some of the time", 1),
    ({"answers": "list"}, "Not assessed here", 0),
    ({"answers": "list"}, 3, 0),
    ({"answers": "list"}, 4, 4),
    ({"answers": "list"}, 2, "refused"),
    ({"answers": "list"}, 9, "na"),
    ({"answers": "list"}, "Not rated", "na"),
    ({"answers": "list", "reverse": True}, 4, 0),
    ({"answers": "list", "reverse": True}, 3, 4),
    ({"answers": "list", "reverse": True}, 9, "na"),
    ({"kind": "yes-no"}, "Y", 1),
    ({"kind": "yes-no"}, "yes", 1),
    ({"kind": "yes-no"}, "N", 0),
    ({"kind": "yes-no"}, "No", 0),
    ({"kind": "yes-no"}, True, 1),
    ({"kind": "yes-no"}, np.False_, 0),
    ({"kind": "yes-no"}, "true", 1),
    ({"kind": "yes-no"}, "false", 0),
    ({"kind": "yes-no"}, "1", 1),
    ({"kind": "yes-no"}, 2, "refused"),
    ({"kind": "yes-no"}, "unknown", "missing"),
    ({"kind": "yes-no"}, "unsure", "refused"),
    ({"kind": "yes-no", "reverse": True}, "N", 1),
    ({"kind": "yes-no", "reverse": True}, "Y", 0),
    ({"kind": "count"}, 133, 133),
    ({"kind": "count"}, 0, 0),
    ({"kind": "count"}, -1, "refused"),
    ({"kind": "count"}, 1.5, "refused"),
    ({"kind": "count"}, math.inf, "refused"),
    ({"kind": "count", "most": 20}, 21, "refused"),
    ({"kind": "number"}, -1.25, -1.25),
    ({"kind": "number"}, "5.5", 5.5),
    ({"kind": "number"}, math.inf, "refused"),
    ({"kind": "number", "least": 0}, -0.5, "refused"),
    ({"kind": "number", "least": 0, "step": 0.25}, 0.75, 0.75),
    ({"kind": "number", "least": 0, "step": 0.25}, 0.8, "refused"),
    ({"kind": "number", "ranges": True}, "5-6", 5.5),
    ({"kind": "number", "ranges": True}, "5 – 6.5", 5.75),
    ({"kind": "number"}, "5-6", "refused"),
    ({"kind": "percent"}, "40 %", 40),
    ({"kind": "percent"}, 100, 100),
    ({"kind": "percent"}, 100.5, "refused"),
    ({"kind": "percent"}, -1, "refused"),
    ({"kind": "number"}, "40 %", "refused"),
    ({"kind": "clock"}, "23:00", 23),
    ({"kind": "clock"}, "7:30", 7.5),
    ({"kind": "clock"}, "07:45:00", 7.75),
    ({"kind": "clock"}, "00:00", 0),
    ({"kind": "clock"}, 23.5, 23.5),
    ({"kind": "clock"}, "24:00", "refused"),
    ({"kind": "clock"}, "23:60", "refused"),
    ({"kind": "clock"}, 24, "refused"),
    ({"kind": "clock"}, "-1:30", "refused"),
    ({"kind": "number"}, "23:00", "refused"),
]


@pytest.mark.parametrize(("item", "answer", "counts"), WRITTEN)
def test_what_is_written_and_what_it_counts(
    knowledge: Knowledge, item: dict[str, Any], answer: object, counts: object
) -> None:
    if "answers" in item:  # an option list takes the place of least and most
        only = [{"id": "i1", "label": "Item", "kind": "choice"} | item]
    else:
        only = [
            {"id": "i1", "label": "Item", "kind": "choice"} | ({} if "kind" in item else {"least": 0, "most": 3}) | item
        ]
    made = scale(
        knowledge,
        item=only,
        score=[step("total", "copy", "i1")],
        answers=[{"id": "list", "options": OPTIONS}],
        band=None,
    )
    got = score(made, [answer])
    shape = (got.total, got.missing, got.not_applicable, got.refused)
    assert shape == {
        "missing": (None, ("i1",), (), ()),
        "na": (None, (), ("i1",), ()),
        "refused": (None, (), (), ("i1",)),
    }.get(str(counts), (counts, (), (), ()))
    assert got.alerts == (("value_not_allowed_item_1",) if counts == "refused" else ())


def test_answers_may_be_given_by_item_or_by_code(knowledge: Knowledge) -> None:
    items = four()
    items[1]["loinc"] = "44250-9"
    made = scale(knowledge, item=items, total={"missing": {"most": 2, "how": "answered"}})
    assert score(made, {"I4": 1, "44250-9": 2}).subscales == {}
    got = score(made, {"I4": 1, "44250-9": 2})
    assert (got.total, got.missing) == (3, ("i1", "i3"))
    with pytest.raises(BadInput, match=r"^Little scale has no item 'i5'; its items are i1, i2, i3, i4"):
        score(made, {"i5": 1})
    with pytest.raises(BadInput, match=r"^Little scale: item i2 is answered twice"):
        score(made, {"i2": 1, "44250-9": 2})


def test_an_optional_item_at_the_end_is_never_scored_and_never_missing(knowledge: Knowledge) -> None:
    made = scale(knowledge, item=[*four(), {"id": "extra", "label": "Difficulty", "kind": "count", "extra": True}])
    assert (score(made, [1, 1, 1, 1]).total, score(made, [1, 1, 1, 1]).missing) == (4, ())
    assert score(made, [1, 1, 1, 1, 3]).total == 4
    assert score(made, [1, 1, 1, 1, None]).missing == ()
    assert score(made, [1, 1, 1, 1, -3]).refused == ("extra",)
    assert score(made, [1, 1, 1, 1, -3]).total == 4


# --- bands, alerts, forms ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "band"),
    [("2 2 1 0", "low"), ("2 2 2 0", "high"), ("2 2 2 1", "high"), ("0 0 0 0", "low"), ("2 2 2 -", "unscorable")],
)
def test_the_first_band_from_the_top_that_holds(knowledge: Knowledge, answers: str, band: str) -> None:
    assert score(scale(knowledge), answers.split()).band == band


def test_a_band_above_that_is_unknown_leaves_the_band_unknown(knowledge: Knowledge) -> None:
    bands = [{"name": "both", "when": "total >= 4 and i4 >= 2"}, {"name": "one", "when": "total >= 4"}]
    made = scale(knowledge, total={"of": ["i1", "i2", "i3"]}, band=bands)
    assert score(made, [2, 2, 0, 2]).band == "both"
    assert score(made, [2, 2, 0, 1]).band == "one"
    open_ = score(made, [2, 2, 0, None])
    assert (open_.total, open_.band, open_.reason) == (4, None, "no band without: item 4 (Item 4)")
    low = score(made, [1, 0, 0, None])
    assert (low.total, low.band, low.reason) == (1, None, "no band without: item 4 (Item 4)")
    assert score(made, [1, 0, 0, 0]).reason == "no band is published for this"


def test_a_band_carries_what_it_means(knowledge: Knowledge) -> None:
    made = scale(knowledge, band=[{"name": "any", "when": "total >= 0", "says": "Look at {bp.defer.none} again."}])
    assert score(made, [0, 0, 0, 0]).band_says.startswith("Look at")
    assert score(made, [0, 0, 0, None]).band_says == ""


def alarm(when: str, level: str = "suicide", **more: Any) -> dict[str, Any]:
    return {"id": "alarm", "when": when, "level": level, "says": "Ask now.", "tell": "Talk to somebody."} | more


@pytest.mark.parametrize(
    ("when", "answers", "raised"),
    [
        ("i4 >= 1", "0 0 0 0", False),
        ("i4 >= 1", "0 0 0 1", True),
        ("i4 >= 1", "0 0 0 2", True),
        ("i4 >= 1", "0 0 0 -", False),
        ("i4 >= 1", "- - - 1", True),
        ("i4 >= 1", "9 - x 1", True),
        ("i4 >= 1", "0 0 0 9", False),
        ("total >= 1", "1 1 1 -", False),
        ("missing(i4)", "0 0 0 -", True),
        ("missing(i4)", "0 0 0 9", True),
    ],
)
def test_an_alarm_rests_on_what_did_arrive(knowledge: Knowledge, when: str, answers: str, raised: bool) -> None:
    got = score(scale(knowledge, alert=[alarm(when, ask="cssrs", source="project-default")]), answers.split())
    assert ("alarm" in got.alerts) is raised
    assert [(s.alert, s.level, s.says, s.tell, s.ask, s.source.id, s.status) for s in got.says] == (
        [("alarm", "suicide", "Ask now.", "Talk to somebody.", "cssrs", "project-default", "proposed")]
        if raised
        else []
    )


def two_forms(knowledge: Knowledge, **more: Any) -> Instrument:
    """Bands and one score by form, as in AUDIT-C and in the count of criteria for a prescribed medicine."""
    parts: dict[str, Any] = {
        "forms": ["woman", "man"],
        "score": [
            step("few", "sum", "i1 i2"),
            step("only", "copy", "i1", form="man"),
            step("total", "sum", "few i3 i4", form="woman"),
            step("total", "sum", "few i3", form="man"),
        ],
        "band": [
            {"name": "positive", "when": "total >= 3", "form": "woman"},
            {"name": "positive", "when": "total >= 4", "form": "man"},
            {"name": "negative", "when": "total >= 0"},
        ],
        "alert": [alarm("total >= 3", "review", form="woman"), alarm("i1 >= 3", id="both")],
    }
    return scale(knowledge, **(parts | more))


def test_each_form_has_its_own_scores_bands_and_alerts(knowledge: Knowledge) -> None:
    made = two_forms(knowledge)
    woman, man = (score(made, [1, 1, 1, 1], form=form) for form in ("woman", " MAN "))
    assert (woman.form, woman.total, woman.band, woman.subscales, woman.alerts) == (
        "woman", 4, "positive", {"few": 2}, ("alarm",),
    )  # fmt: skip
    assert (man.form, man.total, man.band, man.subscales, man.alerts) == (
        "man", 3, "negative", {"few": 2, "only": 1}, (),
    )  # fmt: skip
    with pytest.raises(BadInput, match=r"Little scale has no form 'child': choose woman, man"):
        score(made, [1, 1, 1, 1], form="child")
    with pytest.raises(BadInput, match=r"^Little scale has no form 'woman': give none, there is one"):
        score(scale(knowledge), [1, 1, 1, 1], form="woman")
    with pytest.raises(BadInput, match=r"has no form ''"):
        score(scale(knowledge), [1, 1, 1, 1], form="")


def test_without_a_form_only_what_all_agree_on_is_known(knowledge: Knowledge) -> None:
    made = two_forms(knowledge)
    same = score(made, [3, 3, 3, 0])
    assert (same.form, same.total, same.band, same.reason) == ("4 items", 9, "positive", "")
    assert same.bands == {"woman": "positive", "man": "positive"}
    assert (same.subscales, same.alerts) == ({"few": 6}, ("both",))
    total = score(made, [1, 1, 0, 1])
    assert (total.total, total.band) == (None, "unscorable")
    assert total.reason == "the total depends on the form: say which (woman, man)"
    band = score(made, [1, 1, 1, 0])
    assert (band.total, band.band, band.bands) == (3, None, {"woman": "positive", "man": "negative"})
    assert band.reason == "the band depends on the form: say which (woman, man)"
    assert band.alerts == ()


def test_an_alert_of_one_form_is_certain_only_when_the_form_is(knowledge: Knowledge) -> None:
    many = score_many(two_forms(knowledge), np.array([[1.0, 1, 1, 0], [0, 0, 0, 0], [3, 0, 0, 0]]))
    assert many.alerts["alarm"].tolist() == [UNKNOWN, 0, UNKNOWN]
    assert many.alerts["both"].tolist() == [0, 0, YES]
    assert [many.bands["man"][0], many.band_names[many.bands["man"][0]]] == [1, "negative"]


def test_an_instrument_without_a_total_gives_a_reason_and_never_an_error(knowledge: Knowledge) -> None:
    guide = scale(knowledge, item=None, score=None, band=None, range=None, no_score="an interview guide")
    assert (score(guide, []).total, score(guide, []).reason) == (None, "an interview guide")
    assert score(guide, [1, 2]).band is None
    flat = scale(
        knowledge, score=[step("few", "sum", "i1 i2")], band=[{"name": "some", "when": "few >= 1"}], range=None
    )
    got = score(flat, [1, 0, None, None])
    assert (got.total, got.band, got.subscales, got.reason) == (None, "some", {"few": 1}, "Little scale gives no total")
    assert score(flat, [None, 0, 0, 0]).band is None
    assert score(flat, [0, 0, 0, 0]).band is None


# --- what cannot be read, and what is still certain -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "version", "fault"),
    [
        ([1, 1, 1], None, r"Little scale takes 4 answers and 3 came: send one an item, - where one is missing"),
        ([1, 1, 1, 1, 1], None, r"takes 4 answers and 5 came"),
        ([], None, r"takes 4 answers and 0 came"),
        ("1111", None, r"^Little scale takes a list of answers"),
        (
            [1, 1, 1, 1],
            2,
            r"^these are answers to version '2' of Little scale, and known here is version 3 \(4 items\)",
        ),
        ([1, 1, 1, 1], "8 items", r"answers to version '8 items'"),
    ],
)
def test_one_clear_error_says_what_to_do(knowledge: Knowledge, answers: Any, version: Any, fault: str) -> None:
    with pytest.raises(BadInput, match=fault):
        score(scale(knowledge), answers, version=version)


@pytest.mark.parametrize("version", [None, 3, "3", "4 items", "4-ITEMS"])
def test_the_edition_at_hand_is_known_by_number_and_by_form(knowledge: Knowledge, version: Any) -> None:
    assert score(scale(knowledge), [1, 1, 1, 1], version=version).total == 4
    with pytest.raises(BadInput, match=r"version 3: score"):
        score(scale(knowledge, form=None), [1, 1, 1, 1], version="")


def test_optional_items_widen_the_number_of_answers(knowledge: Knowledge) -> None:
    made = scale(knowledge, item=[*four(), {"id": "extra", "label": "Difficulty", "kind": "count", "extra": True}])
    with pytest.raises(BadInput, match=r"takes 4 to 5 answers and 3 came"):
        score(made, [1, 1, 1])


ADVICE = [
    # answers that are refused for their number, their names, their version or their form; and whether they alarm
    ([0, 0, 0, 1, 0], {}, True),  # one too many: the alarm item is the fourth from the front
    ([0, 0, 0, 0, 1], {}, True),  # or the last
    ([0, 0, 1], {}, True),  # one was left out, and the last is the alarm item
    ([1, 0, 0], {}, False),
    ([0, 0, 0], {}, False),
    ([], {}, False),
    ("0001", {}, False),
    ({"i4": 1, "nonsense": 2}, {}, True),
    ({"i4": 0, "nonsense": 2}, {}, False),
    ([0, 0, 0, 1], {"version": 9}, True),
    ([0, 0, 0, 0], {"version": 9}, False),
    ([0, 0, 0, 1], {"form": "child"}, True),
]


@pytest.mark.parametrize(("answers", "more", "raised"), ADVICE)
def test_a_refusal_never_silences_an_alarm(knowledge: Knowledge, answers: Any, more: Any, raised: bool) -> None:
    for level, loud in (("suicide", True), ("urgent", True), ("review", False), ("info", False)):
        made = scale(knowledge, alert=[alarm("i4 >= 1", level), alarm("i4 >= 1", level, id="twin")])
        with pytest.raises(BadInput) as caught:
            score(made, answers, **more)
        assert caught.value.advice == (("Talk to somebody.",) if raised and loud else ())


def test_advice_falls_back_on_the_words_for_the_clinician(knowledge: Knowledge) -> None:
    with pytest.raises(BadInput) as caught:
        score(scale(knowledge, alert=[alarm("i4 >= 1", tell="")]), [1])
    assert caught.value.advice == ("Ask now.",)


def test_reasons_name_the_items(knowledge: Knowledge) -> None:
    made = scale(knowledge, item=four(applies=True))
    assert score(made, "1 - na 2".split()).reason == "too little is answered; open: item 2 (Item 2), item 3 (Item 3)"
    assert score(made, "1 - 9 2".split()).reason == "not an answer that may stand there: item 3 (Item 3)"
    nothing = scale(knowledge, score=[step("total", "share", "i1 i2")])
    assert score(nothing, [1, 0, 0, 0]).reason == "not computable from these"
    assert score(made, [1, 1, 1, 1]).reason == ""


POSSIBLE = [
    # parts of the scale, answers, the total that is possible, the band that is certain even so
    ({}, "2 2 - 1", (5, 8), None),
    ({}, "3 2 1 -", (6, 9), "high"),
    ({}, "3 2 9 1", (6, 9), "high"),
    ({}, "- - - -", (0, 12), None),
    ({}, "1 1 1 1", None, None),
    ({"direction": "better"}, "2 2 - 1", (5, 8), None),
    ({"direction": "better"}, "2 2 - 2", (6, 9), "high"),
    ({"direction": "better"}, "1 1 - 0", (2, 5), "low"),
    ({"direction": "neither"}, "2 2 - 2", (6, 9), None),
    (
        {"band": [{"name": "high", "when": "total >= 6"}, {"name": "none", "when": "total < 3"}]},
        "2 - 1 1",
        (4, 7),
        None,
    ),
    ({"band": [{"name": "low", "when": "total < 6"}, {"name": "none", "when": "total < 0"}]}, "2 2 - 1", (5, 8), None),
    ({"item": four(applies=True)}, "3 3 na 1", None, None),
    ({"item": four(applies=True), "total": {"of": ["i1", "i2"]}}, "2 - na 1", (2, 5), None),
    ({"item": four(reverse=True)}, "0 0 0 -", (9, 12), "high"),
    ({"item": four(kind="count", most=3)}, "3 3 - 1", None, None),
    ({"total": {"how": "mean"}}, "3 3 - 3", (2.25, 3), None),
    ({"score": [step("a", "linear", "i1", times=2), step("total", "sum", "a i2")]}, "- 1 0 0", (1, 7), None),
    ({"score": [step("a", "linear", "i1", times=-2), step("total", "sum", "a i2")]}, "- 1 0 0", None, None),
    ({"score": [step("a", "linear", "i1", over=-2), step("total", "sum", "a i2")]}, "- 1 0 0", None, None),
    ({"score": [step("a", "linear", "i1", times=0), step("total", "sum", "a i2")]}, "- 1 0 0", (1, 1), None),
    (
        {"score": [step("a", "bins", "i1", bins=[[0, 0], [2, 5]]), step("total", "sum", "i2 a")]},
        "- 1 0 0",
        (1, 6),
        None,
    ),
    ({"score": [step("a", "bins", "i1", bins=[[0, 5], [2, 0]]), step("total", "sum", "i2 a")]}, "- 1 0 0", None, None),
    (
        {"score": [step("a", "bins", "i1", bins=[[0, 5], [2, 5]]), step("total", "sum", "i2 a")]},
        "- 1 0 0",
        (6, 6),
        "high",
    ),
    ({"score": [step("a", "share", "i1 i2"), step("total", "sum", "a i3")]}, "- 1 0 0", None, None),
    ({"score": [step("a", "hours", "i1 i2"), step("total", "sum", "a i3")]}, "- 1 0 0", None, None),
    ({"score": [step("total", "table", "i1", table=[[0, 1], [2, 5]])]}, "- 1 0 0", None, None),
    ({"score": [step("few", "sum", "i1 i2")], "band": None, "range": None}, "- 1 0 0", None, None),
    ({"forms": ["a", "b"]}, "3 3 - 1", None, None),
]


@pytest.mark.parametrize(("parts", "answers", "possible", "band"), POSSIBLE)
def test_what_is_certain_of_a_total_that_is_not_known(
    knowledge: Knowledge, parts: dict[str, Any], answers: str, possible: Any, band: str | None
) -> None:
    got = score(scale(knowledge, **parts), answers.split())
    assert (got.possible, got.at_least) == (possible, band)


def test_a_prorated_total_is_never_rounded_up_to_a_band(knowledge: Knowledge) -> None:
    rule = {"missing": {"most": 1, "how": "prorate"}}
    got = score(scale(knowledge, total=rule, band=[{"name": "high", "when": "total >= 7"}]), [1, 2, 2, None])
    assert (got.total, got.band) == (6.67, None)
    edge = scale(knowledge, total=rule, band=[{"name": "high", "when": "total >= 6.67"}])
    assert score(edge, [1, 2, 2, None]).band is None  # 6.666... is shown as 6.67, and is less


def test_the_answer_as_text_says_all_of_it(knowledge: Knowledge) -> None:
    import orjson

    got = score(instrument(knowledge, "phq-9"), [1, 2, 1, 0, 2, 1, 0, 0, 1])
    text = orjson.loads(got.to_json())
    assert (text["instrument"], text["total"], text["band"], text["alerts"]) == ("phq9", 8, "mild", ["suicide_item"])
    assert (text["unit"], text["direction"], text["range"], text["recall"]) == ("{score}", "worse", [0, 27], "2 wk")
    assert text["says"][0]["ask"] == "cssrs"
    assert text["sources"]
    assert text["version"] == 1
    assert text == orjson.loads(orjson.dumps(got.to_dict()))


# --- many people ------------------------------------------------------------------------------------------------------


def test_many_people_are_scored_as_each_alone(knowledge: Knowledge) -> None:
    made = scale(
        knowledge,
        item=four(applies=True),
        score=[
            step("few", "most", "i1 i2", missing={"most": 1, "how": "answered", "note": "one"}),
            step(
                "total", "sum", "few i3 i4", missing={"most": 1, "how": "prorate", "note": "filled", "refused": "open"}
            ),
        ],
        alert=[alarm("i4 >= 3")],
    )
    people = BLOCK + 3  # into a second block
    table = np.tile([1.0, 2, 3, 1], (people, 1))
    table[1] = [1, NAN, 3, 1]
    table[2] = [1, 2, NAN, NAN]
    table[BLOCK] = [1, 2, NAN, 3]
    table[BLOCK + 1] = [1, 2, 7, 3]
    table[BLOCK + 2] = [1, 2, 0, NAN]
    na = np.zeros(table.shape, dtype=np.bool_)
    na[BLOCK + 2, 3] = True
    before = table.copy()
    many = score_many(made, table, not_applicable=na)
    assert np.array_equal(before, table, equal_nan=True)
    assert len(many) == people
    chosen = [0, 1, 2, BLOCK, BLOCK + 1, BLOCK + 2]
    alone = [score(made, ["na" if na[n, i] else table[n, i] for i in range(4)]) for n in chosen]
    assert [a.total for a in alone] == [6, 5, None, 7.5, None, 3]
    assert [None if np.isnan(many.total[n]) else many.total[n] for n in chosen] == [a.total for a in alone]
    names = [many.band_names[many.band[n]] if many.band[n] != UNSCORED else "unscorable" for n in chosen]
    assert names == [a.band for a in alone]
    assert set(many.alerts) == {"alarm", "one", "filled", "open"}
    assert all(len(truth) == people for truth in many.alerts.values())
    for n, single in zip(chosen, alone, strict=True):
        raised = {name for name, truth in many.alerts.items() if truth.values[n] == YES}
        assert raised == {alert for alert in single.alerts if not alert.startswith("value")}
        assert many.subscales["few"][n] == single.subscales["few"]
    assert many.refused is not None
    assert np.argwhere(many.refused).tolist() == [[2, BLOCK + 1]]
    assert many.not_applicable is not None
    assert np.argwhere(many.not_applicable).tolist() == [[3, BLOCK + 2]]


def cohort(rows: list[str]) -> tuple[Any, Any]:
    """Rows of answers as a table, and where they say "na"."""
    cells = [row.split() for row in rows]
    return np.array([[NAN if c in ("-", "na") else float(c) for c in row] for row in cells]), np.array(cells) == "na"


ROWS = sorted({answers for _, answers, *_ in [*MISSING, *HOW]})


@pytest.mark.parametrize(
    "parts",
    [{"total": {"missing": rule}} for rule, *_ in MISSING] + [{"score": [how]} for how, *_ in HOW],
    ids=str,
)
def test_a_mixed_cohort_is_scored_as_each_alone(knowledge: Knowledge, parts: dict[str, Any]) -> None:
    made = scale(knowledge, item=four(applies=True), **parts)
    table, na = cohort(ROWS)
    many = score_many(made, table, not_applicable=na)
    notes = [name for name in many.alerts if name != "alarm"]
    for n, row in enumerate(ROWS):
        alone = score(made, row.split())
        assert alone.total == (None if np.isnan(many.total[n]) else round(float(many.total[n]), 2))
        assert {a for a in alone.alerts if a in notes} == {a for a in notes if many.alerts[a].values[n] == YES}


def test_a_cohort_without_a_form_is_scored_as_each_alone(knowledge: Knowledge) -> None:
    made = two_forms(knowledge)
    table = np.array([[3.0, 3, 3, 0], [1, 1, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0], [1, 1, NAN, 0], [3, 3, 3, 3]])
    many = score_many(made, table)
    for n, row in enumerate(table):
        alone = score(made, list(row))
        assert alone.total == (None if np.isnan(many.total[n]) else many.total[n])
        assert (alone.band in made.bands) == (many.band[n] != UNSCORED)
    assert many.band.tolist() == [0, -1, -1, 1, -1, -1]


def test_a_note_of_two_scores_is_due_if_either_is(knowledge: Knowledge) -> None:
    rule = {"missing": {"most": 1, "how": "answered", "note": "less"}}
    made = scale(knowledge, score=[step("a", "most", "i1 i2", **rule), step("total", "most", "i3 i4", **rule)])
    many = score_many(made, np.array([[1, NAN, 1, 1], [1, 1, NAN, 1], [1, 1, 1, 1], [NAN, 1, 1, NAN]]))
    assert many.alerts["less"].tolist() == [YES, YES, 0, YES]


def test_the_greatest_of_negative_values_is_no_zero(knowledge: Knowledge) -> None:
    rule = {"missing": {"most": 3, "how": "answered"}}
    made = scale(knowledge, item=four(least=-5), score=[step("total", "most", "i1 i2 i3 i4", **rule)])
    assert score(made, [-3, None, -2, None]).total == -2


def test_what_a_file_leaves_out_is_empty(knowledge: Knowledge) -> None:
    got = score(scale(knowledge, form=None), [1, 1, 1, 1])
    assert (got.recall, got.form, got.unit, got.confidence, got.band_says) == ("", "", "{score}", "proposed", "")
    assert score(
        scale(knowledge, forms=["a", "b"], band=[{"name": "x", "when": "total > 9"}]), [1, 1, 1, 1]
    ).reason == ("no band is published for this")


def test_a_whole_cohort_of_refused_and_of_nobody(knowledge: Knowledge) -> None:
    none = score_many(scale(knowledge), np.empty((0, 4)))
    assert (len(none), none.refused, none.not_applicable) == (0, None, None)
    assert len(score_many(two_forms(knowledge), np.empty((0, 4)))) == 0
    assert score_many(scale(knowledge), np.ones((2, 4))).refused is None
    odd = score_many(scale(knowledge, item=four(allowed=[0, 1, 2, 4])), np.array([[0, 1, 2, 4], [0, 1, 2, 3.0]]))
    assert odd.total[0] == 7
    assert np.isnan(odd.total[1])
    assert odd.refused is not None
    assert odd.refused.tolist() == [[False, False]] * 3 + [[False, True]]


@pytest.mark.parametrize("shape", [(2, 3), (2, 6), (4,), (1, 1, 4)])
def test_a_table_of_another_shape_is_refused(knowledge: Knowledge, shape: tuple[int, ...]) -> None:
    made = scale(knowledge, item=[*four(), {"id": "extra", "label": "Difficulty", "kind": "count", "extra": True}])
    with pytest.raises(BadInput, match=r"Little scale takes 4 answers a person, one a column"):
        score_many(made, np.ones(shape))
    assert score_many(made, np.ones((2, 4))).total.tolist() == [4, 4]
    wide, narrow = (np.zeros((2, n), dtype=np.bool_) for n in (5, 4))
    assert score_many(made, np.ones((2, 5)), not_applicable=wide).total.tolist() == [4, 4]
    narrow[1, 3] = True
    assert np.array_equal(score_many(made, np.ones((2, 4)), not_applicable=narrow).total, [4, NAN], equal_nan=True)


def test_an_instrument_is_found_by_any_of_its_names_and_read_once(knowledge: Knowledge) -> None:
    assert instrument(knowledge, "PHQ-9") is instrument(knowledge, "phq9") is instrument(knowledge, "Phq 9")
    assert instrument(knowledge, "Patient Health Questionnaire 9").id == "phq9"
    with pytest.raises(BadInput, match=r"no instrument is called 'phq-19'; there is phq9"):
        instrument(knowledge, "phq-19")
    with pytest.raises(BadInput, match=r"there is .*aldrete, .*phq9"):
        instrument(knowledge, "zzzz")
