"""Instrument files: what a condition may ask, and which faults `adjunct knowledge check` names."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from adjunct.base import BadInput, Refused
from adjunct.instruments.reading import instrument, read_instrument, spelling
from adjunct.knowledge.conditions import Columns, condition
from adjunct.knowledge.instruments_lint import faults, instrument_faults
from adjunct.knowledge.load import Knowledge
from adjunct.knowledge.scales import points, source_of

NAN = float("nan")
NO, UNKNOWN, YES = 0, 1, 2


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


# --- conditions -------------------------------------------------------------------------------------------------------

COLUMNS = Columns(
    {
        "x": np.array([NAN, 0.0, 1.0, 2.0, 3.0]),
        "y": np.array([2.0, NAN, 1.0, 1.0, 0.0]),
        "r": np.array([0, 1, 0, 1, NAN]),
    },
    {"x": np.array([True, False, False, False, False])},
    frozenset({"r"}),
)
CONDITIONS = [
    ("x >= 2", [UNKNOWN, NO, NO, YES, YES]),
    ("x > 2", [UNKNOWN, NO, NO, NO, YES]),
    ("x < 1", [UNKNOWN, YES, NO, NO, NO]),
    ("x <= 1", [UNKNOWN, YES, YES, NO, NO]),
    ("x == 1", [UNKNOWN, NO, YES, NO, NO]),
    ("x != 1", [UNKNOWN, YES, NO, YES, YES]),
    ("x > -1", [UNKNOWN, YES, YES, YES, YES]),
    ("x >= 1.5", [UNKNOWN, NO, NO, YES, YES]),
    ("2 > x", [UNKNOWN, YES, YES, NO, NO]),
    ("x > y", [UNKNOWN, UNKNOWN, NO, YES, YES]),
    ("1 <= x < 3", [UNKNOWN, NO, YES, YES, NO]),
    ("x >= 2 and y >= 1", [UNKNOWN, NO, NO, YES, NO]),
    ("x >= 2 and y >= 1 and x < 9", [UNKNOWN, NO, NO, YES, NO]),
    ("x >= 2 or y >= 1", [YES, UNKNOWN, YES, YES, YES]),
    ("x >= 9 or y >= 9 or x == 0", [UNKNOWN, YES, NO, NO, NO]),
    ("not x >= 2", [UNKNOWN, YES, YES, NO, NO]),
    ("not (x >= 2 or y >= 1)", [NO, UNKNOWN, NO, NO, NO]),
    ("yes(x)", [UNKNOWN, NO, YES, YES, YES]),
    ("no(x)", [UNKNOWN, YES, NO, NO, NO]),
    ("yes(r)", [YES, NO, YES, NO, UNKNOWN]),  # counts 1 for no
    ("no(r)", [NO, YES, NO, YES, UNKNOWN]),
    ("r >= 1", [NO, YES, NO, YES, UNKNOWN]),
    ("answered(x)", [NO, YES, YES, YES, YES]),
    ("answered(y)", [YES, NO, YES, YES, YES]),
    ("missing(x)", [NO, NO, NO, NO, NO]),
    ("missing(y)", [NO, YES, NO, NO, NO]),
    ("na(x)", [YES, NO, NO, NO, NO]),
    ("na(y)", [NO, NO, NO, NO, NO]),
    ("  na(x)\n", [YES, NO, NO, NO, NO]),
]


@pytest.mark.parametrize(("text", "truths"), CONDITIONS)
def test_what_a_condition_means(text: str, truths: list[int]) -> None:
    assert condition(text, COLUMNS.values).over(COLUMNS).tolist() == truths


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "^not a condition: '' .invalid syntax"),
        ("x >", "not a condition"),
        ("x >= 1; y", "not a condition"),
        ("\0", "not a condition"),
        ("(" * 5000 + "x" + ")" * 5000, "not a condition"),
        ("z >= 1", "'z' is neither an item nor a score here"),
        ("yes(z)", "'z' is neither"),
        ("x", "expected a comparison"),
        ("x + y >= 1", "expected an item, a score or a number"),
        ("x >= 'a'", "expected an item, a score or a number"),
        ("x >= True", "expected an item, a score or a number"),
        ("x >= -y", "expected an item, a score or a number"),
        ("x >= +1", "expected an item, a score or a number"),
        ("x >= 1" + "0" * 400, "not a condition"),
        ("1 >= 2", "at least one item or score"),
        ("x in y", "only < <= > >= == != compare"),
        ("-x", "expected a comparison"),
        ("yes(x, y)", "expected a comparison"),
        ("yes(x=1)", "expected a comparison"),
        ("yes(1)", "expected a comparison"),
        ("open(x)", "expected a comparison"),
        ("x.y >= 1", "expected an item"),
        ("__import__('os')", "expected a comparison"),
        ("x if y else x", "expected a comparison"),
    ],
)
def test_what_a_condition_may_not_say(text: str, fault: str) -> None:
    with pytest.raises(Refused, match=fault) as caught:
        condition(text, {"x", "y"}, "little.toml, band low")
    assert caught.value.at == "little.toml, band low"


def test_a_condition_tells_what_it_asks() -> None:
    asked = condition("yes(x) and total >= 3", {"x", "total"}).asks
    assert set(asked) == {("yes", "x"), ("", "total")}


# --- items ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "counted"),
    [
        ({"kind": "choice", "least": 0, "most": 3}, {0: 0, 1: 1, 2: 2, 3: 3}),
        ({"kind": "choice", "least": 1, "most": 2, "step": 0.5}, {1: 1, 1.5: 1.5, 2: 2}),
        ({"kind": "choice", "least": 0, "most": 0.3, "step": 0.1}, {0: 0, 0.1: 0.1, 0.2: 0.2, 0.3: 0.3}),
        ({"kind": "choice", "least": 1, "most": 3, "reverse": True}, {1: 3, 2: 2, 3: 1}),
        ({"kind": "choice", "allowed": [4, 0, 1]}, {0: 0, 1: 1, 4: 4}),
        ({"kind": "choice", "allowed": [4, 0, 1], "reverse": True}, {0: 4, 1: 3, 4: 0}),
        ({"kind": "choice", "answers": "a"}, {0: 0, 3: 1}),
        ({"kind": "choice", "answers": "a", "reverse": True}, {0: 1, 3: 0}),
        ({"kind": "yes-no"}, {0: 0, 1: 1}),
        ({"kind": "count", "most": 3}, {}),
    ],
)
def test_what_each_answer_counts(item: dict[str, Any], counted: dict[float, float]) -> None:
    lists = {"a": [{"value": 3, "score": 1}, {"value": 0}]}
    found = points({"id": "i"} | item, lists)
    assert found == counted
    assert list(found) == sorted(counted)


def test_an_item_without_answers_and_a_score_without_parts_are_refused(knowledge: Knowledge) -> None:
    with pytest.raises(Refused, match=r"^item i needs answers, or allowed, or least and most"):
        points({"id": "i", "kind": "choice", "least": 0}, {})
    for of, name in (("i1 nothing", "total"), ("i1", "i2"), ("total", "total")):
        broken = little(score=[{"id": name, "how": "sum", "of": of.split()}])
        with pytest.raises(Refused, match=f"^score {name}: `of` names items and earlier scores, and its id is its own"):
            read_instrument(broken, knowledge)


def test_a_fault_of_a_file_is_found_by_file_instrument_and_place(knowledge: Knowledge) -> None:
    for part, place in (("band", "band high"), ("alert", "alert alarm")):
        entry = little()
        entry[part][0]["when"] = "nothing >= 1"
        with pytest.raises(Refused) as caught:
            read_instrument(entry, knowledge)
        assert caught.value.at == f"instruments/little.toml, little, {place}"
    broken = little(score=[{"id": "total", "how": "sum", "of": ["x"]}])
    del broken["file"]
    with pytest.raises(Refused) as caught:
        read_instrument(broken, knowledge)
    assert caught.value.at == "instruments, little"


def test_what_a_file_leaves_out_has_its_default(knowledge: Knowledge) -> None:
    made = read_instrument(little(), knowledge)
    assert (made.unit, made.confidence, made.range, made.forms) == ("{score}", "proposed", (0, 9), ())
    assert (made.has_total, made.scored_items, made.turned, made.bands) == (True, 3, frozenset(), ("high", "low"))
    (step,) = made.plans[""].steps
    assert (step.title, step.most_missing, step.prorate, step.skip_na, step.show) == ("total", 0, False, False, False)
    assert (step.least, step.times, step.plus, step.over, step.cap) == (1, 1, 0, 1, float("inf"))
    assert (step.note, step.refused, step.out_of, step.range, step.rows) == ("", "", None, None, slice(0, 3))
    (alert,) = made.plans[""].alerts
    assert (alert.tell, alert.ask, alert.source.id, alert.status) == ("", "", "uncited", "proposed")
    assert [(band.says, band.tell) for band in made.plans[""].bands] == [("", ""), ("", "")]
    item = made.items[0]
    assert (item.applies, item.extra, item.ranges, item.reverse, item.number) == (False, False, False, False, 1)


def test_what_a_file_says_is_kept(knowledge: Knowledge) -> None:
    said = {"tell": "Tell.", "ask": "cssrs", "source": "a", "status": "reported"}
    entry = little(
        unit="h", confidence="reported", alert=[little()["alert"][0] | said],
        band=[{"name": "any", "when": "total >= 0", "says": "Says.", "tell": "Told."}],
    )  # fmt: skip
    entry |= total(
        title="Sum", range=[0, 9], show=True, out_of=9, times=2, plus=3, over=4, least=5, missing={"most": 2}
    )
    made = read_instrument(entry, knowledge)
    assert (made.unit, made.confidence) == ("h", "reported")
    (step,), (alert,), (band,) = made.plans[""].steps, made.plans[""].alerts, made.plans[""].bands
    assert (step.title, step.range, step.show, step.out_of, step.most_missing) == ("Sum", (0, 9), True, 9, 0)
    assert (step.times, step.plus, step.over, step.least) == (2, 3, 4, 5)
    assert (alert.tell, alert.ask, alert.source.id, alert.status) == ("Tell.", "cssrs", "a", "reported")
    assert (band.says, band.tell) == ("Says.", "Told.")


@pytest.mark.parametrize(
    ("of", "rows"),
    [
        ("i1 i2 i3", slice(0, 3)),
        ("i2 i3", slice(1, 3)),
        ("i3", slice(2, 3)),
        ("i3 i2", None),
        ("i1 i3", None),
        ("a i1", None),
    ],
)
def test_neighbours_are_summed_without_a_copy(knowledge: Knowledge, of: str, rows: slice | None) -> None:
    first = {"id": "a", "how": "copy", "of": ["i1"]}
    entry = little(score=[first, {"id": "total", "how": "sum", "of": of.split()}])
    assert read_instrument(entry, knowledge).plans[""].steps[1].rows == rows


@pytest.mark.parametrize(
    ("item", "regular"),
    [
        ({}, True),
        ({"reverse": True}, True),
        ({"least": 1, "reverse": True}, True),
        ({"least": 1, "most": 2, "step": 0.5}, True),
        ({"kind": "yes-no", "reverse": True}, True),
        ({"kind": "clock"}, True),
        ({"allowed": [1, 2, 3]}, True),
        ({"allowed": [0, 2, 4]}, False),
        ({"allowed": [1, 2, 4]}, False),
        ({"answers": "a"}, False),
        ({"answers": "a", "reverse": True}, False),
    ],
)
def test_even_steps_that_count_what_is_written_are_scored_at_once(
    knowledge: Knowledge, item: dict[str, Any], regular: bool
) -> None:
    entry = little(**with_item(**item), answers=[{"id": "a", "options": [{"value": 0}, {"value": 1, "score": 3}]}])
    made = read_instrument(entry, knowledge)
    assert made.items[0].regular is regular
    assert len(made.sheet.odd) == (not regular)
    assert made.turned == ({"i1"} if item == {"kind": "yes-no", "reverse": True} else set())
    assert made.sheet.whole is (regular and "step" not in item and item.get("kind") != "clock")


def test_a_source_is_an_id_or_an_id_with_its_place() -> None:
    assert source_of({}).id == "uncited"
    assert (
        source_of({"source": "a", "locator": "p. 2"}).id,
        source_of({"source": "a", "locator": "p. 2"}).locator,
    ) == ("a", "p. 2")
    assert source_of({"source": {"id": "a", "locator": "Table 1"}}).locator == "Table 1"
    assert (source_of({"source": "a"}).locator, source_of({"source": {"id": "a"}}).locator) == ("", "")
    assert source_of({"source": {"id": "a", "says": "Other"}}).says == "Other"
    assert source_of({"source": {"id": "a"}}).says == ""


def test_names_are_compared_by_letters_and_digits() -> None:
    assert spelling(" AUDIT – C! ") == "auditc"
    assert spelling("Ménière 2") == "meniere2"


def test_an_edition_without_instruments_says_so(knowledge: Knowledge) -> None:
    empty = Knowledge({**knowledge.content, "instruments": []})
    with pytest.raises(BadInput, match=r"^no instrument is called 'phq9'; none is known"):
        instrument(empty, "phq9")


# --- the lint ---------------------------------------------------------------------------------------------------------


def test_every_shipped_instrument_is_without_fault(knowledge: Knowledge) -> None:
    assert list(faults(knowledge)) == []


def little(**parts: Any) -> dict[str, Any]:
    """A small instrument without a fault."""
    items = [{"id": f"i{n}", "label": "Item", "kind": "choice", "least": 0, "most": 3} for n in (1, 2, 3)]
    return {
        "id": "little",
        "title": "Little scale",
        "version": 1,
        "form": "3 items",
        "direction": "worse",
        "range": [0, 9],
        "sources": [{"id": "project-default"}],
        "licence": {"class": "free", "text": "none"},
        "file": "instruments/little.toml",
        "item": items,
        "score": [{"id": "total", "how": "sum", "of": ["i1", "i2", "i3"]}],
        "band": [{"name": "high", "when": "total >= 5"}, {"name": "low", "when": "total <= 4"}],
        "alert": [{"id": "alarm", "when": "i3 >= 1", "level": "suicide", "says": "Ask."}],
    } | parts


def total(**more: Any) -> dict[str, Any]:
    return {"score": [{"id": "total", "how": "sum", "of": ["i1", "i2", "i3"]} | more]}


def with_item(**more: Any) -> dict[str, Any]:
    made = copy.deepcopy(little()["item"])
    made[0] = {key: value for key, value in (made[0] | more).items() if value is not None}
    return {"item": made}


def options(*listed: dict[str, Any]) -> dict[str, Any]:
    return with_item(answers="a") | {"answers": [{"id": "a", "options": list(listed)}]}


FREE = {"class": "free", "text": "shipped", "source": "project-default"}
RANGE = {"kind": "choice", "least": 0, "most": 3}
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    (with_item(least=None), "its items cannot be read: "),
    (with_item(answers="b"), "its items cannot be read: 'b'"),
    ({"item": [*little()["item"], little()["item"][0]], "form": ""}, "item i1 stands twice"),
    ({"form": "4 items"}, "the form has 4 items and the file 3"),
    ({"form": "SR16"}, ""),
    (with_item(extra=True) | {"form": "2 items"}, "optional items stand after the scored ones"),
    (with_item(loinc="44250-9"), ""),
    (with_item(loinc="44250-8"), "44250-8 is no LOINC code: its check digit is wrong"),
    ({"loinc": {"panel": "44249-1", "total": "44261-6"}}, ""),
    ({"loinc": {"panel": "44249-2"}}, "44249-2 is no LOINC code"),
    ({"loinc": {"total": "442616"}}, "442616 is no LOINC code"),
    ({"answers": [{"id": "a", "options": [{"value": 1}]}]}, "no item uses the answers a"),
    (options(*({"value": n, "label": "same"} for n in range(4))), "answers a: 'same' stands for two values"),
    (options(*({"value": n, "label": str(n)} for n in range(4))), ""),
    (total(of=["i1", "i2", "i4"]), "score total: i4 is neither an item nor an earlier score"),
    (total(id="i1"), "score i1: the id is taken"),
    (total(how="copy"), "score total: copy is made of 1"),
    (total(how="share"), "score total: share is made of 2"),
    (total(how="table", of=["i1"]), "score total: its table is not there"),
    (total(how="bins", of=["i1"]), "score total: its bins is not there"),
    (
        total(missing={"how": "answered", "most": 1, "only": ["i9"]}),
        "score total: only what it is made of may be missing",
    ),
    (total(missing={"how": "answered", "most": 4}), "score total: more may be missing than there is"),
    (total(missing={"how": "answered", "most": 3}), ""),
    (total(missing={"how": "answered"}), "score total: `missing` needs both how and most, or neither"),
    (total(missing={"most": 1}), "score total: `missing` needs both how and most, or neither"),
    (total(missing={"how": "answered", "na": "skip"}), ""),
    ({"band": [{"name": "any", "when": "totl >= 0"}]}, "'totl' is neither an item nor a score here"),
    ({"alert": [{"id": "a", "when": "i1 >", "says": ""}]}, "not a condition"),
    ({"alert": [{"id": "a", "when": "yes(i1)", "says": ""}]}, "alert a: yes(i1) asks what is no yes-no item"),
    ({"alert": [{"id": "a", "when": "no(total)", "says": ""}]}, "alert a: no(total) asks what is no yes-no item"),
    ({"alert": [{"id": "a", "when": "na(i1)", "says": ""}]}, "alert a: na(i1) can never be"),
    (with_item(applies=True) | {"alert": [{"id": "a", "when": "na(i1)", "says": ""}]}, ""),
    (options({"value": 0}, {"value": 3}, {"value": 9, "na": True}) | {"alert": [{"id": "a", "when": "na(i1)"}]}, ""),
    ({"alert": little()["alert"] * 2}, "alert alarm stands twice"),
    (
        {"status": [{"id": "remission", "name": "low", "when": "tot < 3", "source": "project-default"}]},
        "'tot' is neither",
    ),
    (with_item(asked="yes(i2)"), "item i1: yes(i2) asks what is no yes-no item"),
    (
        {"band": [{"name": "high", "when": "total >= 5"}, {"name": "low", "when": "total < 4"}]},
        "no band holds a total of 4",
    ),
    ({"band": [{"name": "high", "when": "total > 1"}]}, "no band holds a total of 0, 1"),
    ({"band": [{"name": "some", "when": "i1 >= 2"}, {"name": "high", "when": "total >= 5"}]}, ""),
    (total(missing={"how": "prorate", "most": 1}), "no band holds a total of 4.5"),
    (with_item(step=0.5), "no band holds a total of 4.5"),
    ({"range": [0, 10]}, "score total: its range says 0 to 10, its items give 0 to 9"),
    (total(range=[1, 9]), "score total: its range says 1 to 9, its items give 0 to 9"),
    ({"range": [0, 8]}, "score total: its range says 0 to 8, its items give 0 to 9"),
    (total(cap=8) | {"range": [0, 8]}, ""),
    (total(how="mean") | {"range": [0, 3], "band": []}, ""),
    (total(how="most") | {"range": [0, 3], "band": []}, ""),
    (total(how="count") | {"range": [0, 3], "band": []}, ""),
    (total(how="count", least=0) | {"range": [3, 3], "band": []}, ""),
    (total(how="copy", of=["i1"]) | {"range": [0, 3], "band": []}, ""),
    (total(how="linear", of=["i1"], times=-4, plus=2, over=2) | {"range": [-5, 1], "band": []}, ""),
    (total(how="table", of=["i1"], table=[[0, 7], [3, 2]]) | {"range": [2, 7], "band": []}, ""),
    (total(how="bins", of=["i1"], bins=[[0, 2], [2, 7]]) | {"range": [2, 7], "band": []}, ""),
    (total(how="hours", of=["i1", "i2"]) | {"range": [0, 24], "band": []}, ""),
    (total(how="share", of=["i1", "i2"]) | {"range": [0, 1], "band": []}, ""),
    (with_item(kind="count") | {"range": [0, 9]}, ""),
    (with_item(kind="number", least=None, most=None) | {"range": [0, 1], "band": []}, ""),
    ({"range": None, "score": total()["score"]}, "a total needs a range"),
    (total(id="few"), "a range stands there without a total"),
    ({"licence": FREE | {"class": "fee"}}, "wording is shipped, and the licence is fee"),
    ({"licence": FREE}, "wording is shipped, and these items have none: i1, i2, i3"),
    (
        {"licence": FREE | {"source": "uncited", "status": "reported"}},
        "wording is shipped, and no source for the licence was read",
    ),
    ({"licence": FREE | {"source": "phq-none", "status": "verified"}}, "licence: unknown source phq-none"),
    (with_item(text="How are you?"), "publisher's wording stands there and may not be shipped: use labels"),
    ({"instruction": "Over two weeks"}, "publisher's wording stands there and may not be shipped: use labels"),
    (options({"value": 0, "text": "Never"}, {"value": 3}), "publisher's wording stands there"),
    ({"sources": [{"id": "nowhere"}]}, "unknown source nowhere"),
    ({"confidence": "verified"}, "its confidence is verified, and none of its sources was read"),
    ({"confidence": "reported"}, ""),
    ({"loinc": {"panel": "44249-1", "source": "nowhere"}}, "loinc: unknown source nowhere"),
    ({"loinc": {"source": "uncited", "status": "reported"}}, "loinc: reported, and uncited is no publication"),
    ({"loinc": {"source": "uncited", "status": "verified"}}, "loinc: verified, and the source uncited was not read"),
    ({"loinc": {"source": "uncited", "status": "proposed"}}, ""),
    ({"alert": [little()["alert"][0] | {"ask": "nothing"}]}, "alert alarm: there is no instrument nothing to ask"),
    ({"alert": [little()["alert"][0] | {"ask": "cssrs"}]}, ""),
    ({"alert": [little()["alert"][0] | {"form": "man"}]}, "alert alarm: man is none of the forms"),
    ({"forms": ["man"], "band": [{"name": "all", "when": "total >= 0", "form": "man"}]}, ""),
    ({"forms": ["man", "woman"], "band": [{"name": "all", "when": "total >= 0", "form": "man"}]}, ""),
    (
        {"change": [{"kind": "reliable", "sd": 5, "source": "uncited"}]},
        "change reliable: it needs sd above 0 and r between 0 and 1",
    ),
    ({"change": [{"kind": "reliable", "sd": 5, "r": 1, "source": "uncited"}]}, "change reliable: it needs sd"),
    ({"change": [{"kind": "reliable", "sd": 0, "r": 0.8, "source": "uncited"}]}, "change reliable: it needs sd"),
    ({"change": [{"kind": "reliable", "sd": 5, "r": 0.8, "source": "uncited"}]}, ""),
    ({"change": [{"kind": "important", "source": "uncited"}]}, "change important: it needs points or percent"),
    ({"change": [{"kind": "important", "percent": 20, "source": "uncited"}]}, ""),
    ({"status": [{"id": "remission", "name": n, "default": True} for n in "ab"]}, "status remission has 2 defaults"),
    ({"status": [{"id": "remission", "name": n, "default": n == "a"} for n in "ab"]}, ""),
]


@pytest.mark.parametrize(("parts", "fault"), FAULTS, ids=[fault or f"sound-{n}" for n, (_, fault) in enumerate(FAULTS)])
def test_a_fault_is_named(knowledge: Knowledge, parts: dict[str, Any], fault: str) -> None:
    entry = {key: value for key, value in little(**parts).items() if value is not None}
    found = list(instrument_faults(entry, knowledge))
    assert any(fault in line for line in found) if fault else found == []


def test_faults_name_the_file_and_a_name_belongs_to_one(knowledge: Knowledge) -> None:
    twins = [little(), little(id="other", title="LITTLE-scale", file="instruments/other.toml", form="4 items")]
    found = list(faults(Knowledge({**knowledge.content, "instruments": twins})))
    assert found == [
        "instruments/other.toml, instrument other: the form has 4 items and the file 3",
        "instruments/other.toml, instrument other: the name 'littlescale' also means little",
    ]
