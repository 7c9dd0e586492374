"""Scoring against a slow and obvious reading of the same rules, and what must hold for every instrument."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.base import NO, UNKNOWN, YES
from adjunct.instruments import Instrument, instrument, score, score_many
from adjunct.instruments.reading import read_instrument
from adjunct.knowledge.conditions import Columns, condition
from adjunct.knowledge.load import HERE, Knowledge

IDS = sorted(path.stem for path in (HERE / "data" / "instruments").glob("*.toml"))
_LOADED: list[Knowledge] = []


def knowledge() -> Knowledge:
    if not _LOADED:
        _LOADED.append(Knowledge.load())
    return _LOADED[0]


# --- the oracle: one person, one rule after the other, plain Python ---------------------------------------------------

Answer = float | str | None  # a number, "na", or nothing


def counts(item: dict[str, Any], answer: Answer) -> float | str:
    """What an answer counts: a number, or "missing", "na", "refused"."""
    if answer is None:
        return "missing"
    if answer == "na":
        return "na" if item["applies"] else "refused"
    allowed = item.get("allowed") or range(item["least"], item["most"] + 1)
    if answer not in allowed:
        return "refused"
    assert isinstance(answer, float | int)
    return min(allowed) + max(allowed) - answer if item["reverse"] else answer


def oracle(step: dict[str, Any], parts: list[float | str]) -> tuple[float | None, str]:
    """The score and the note of one step made of items."""
    rule = step["missing"]
    known = [p for p in parts if not isinstance(p, str)]
    skipped = [p for p in parts if p == "na" and rule["na"] == "skip"]
    gone = [n for n, p in enumerate(parts) if p == "missing" or (p == "na" and rule["na"] != "skip")]
    barred = [n for n in gone if step["of"][n] not in rule.get("only", step["of"])]
    most = 0 if rule["how"] == "none" else rule["most"]
    if gone and (len(gone) > most or barred or not known):
        return None, "open"
    if "refused" in parts or not known:
        return None, ""
    if step["how"] == "most":
        value = max(known)
    elif step["how"] == "mean":
        value = sum(known) / len(known)
    else:
        value = sum(known) if step["how"] == "sum" else sum(p >= step["least"] for p in known)
        if rule["how"] == "prorate":
            value = value * (len(parts) - len(skipped)) / len(known)
    return value, "filled" if gone else ""


@st.composite
def scales(draw: st.DrawFn) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    for n in range(draw(st.integers(1, 6))):
        least = draw(st.integers(-2, 1))
        span = {"least": least, "most": least + draw(st.integers(1, 4))}
        listed = {"allowed": draw(st.lists(st.integers(-3, 6), min_size=1, max_size=4, unique=True))}
        kind = {"reverse": draw(st.booleans()), "applies": draw(st.booleans())}
        items.append(
            {"id": f"i{n}", "label": f"Item {n}", "kind": "choice", **draw(st.sampled_from([span, listed])), **kind}
        )
    names = [item["id"] for item in items]
    of = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    rule: dict[str, Any] = {
        "how": draw(st.sampled_from(["none", "prorate", "answered"])),
        "most": draw(st.integers(0, 4)),
        "na": draw(st.sampled_from(["missing", "skip"])),
        "note": "filled",
        "refused": "open",
    }
    if draw(st.booleans()):
        rule["only"] = draw(st.lists(st.sampled_from(of), min_size=1, unique=True))
    how = draw(st.sampled_from(["sum", "mean", "most", "count"]))
    step = {"id": "total", "how": how, "of": of, "missing": rule, "least": draw(st.integers(-1, 3))}
    return {
        "id": "any", "title": "Any", "version": 1, "direction": "worse", "sources": [], "item": items, "score": [step],
    }  # fmt: skip


answer = st.one_of(st.integers(-3, 6), st.none(), st.just("na"))


@given(st.data())
def test_scores_mean_what_the_rules_say(data: st.DataObject) -> None:
    entry = data.draw(scales())
    made = read_instrument(entry, knowledge())
    people = data.draw(st.lists(st.lists(answer, min_size=len(made.items), max_size=len(made.items)), max_size=5))
    for given_ in people:
        parts = dict(zip((i["id"] for i in entry["item"]), map(counts, entry["item"], given_), strict=True))
        step = entry["score"][0]
        total, note = oracle(step, [parts[name] for name in step["of"]])
        got = score(made, given_)
        assert (got.total is None) == (total is None)
        assert total is None or got.total == round(total, 2)
        assert set(got.alerts) == {note} - {""} | {
            f"value_not_allowed_item_{n}" for n, part in enumerate(parts.values(), 1) if part == "refused"
        }
        if got.possible is not None:
            assert got.total is None
            assert got.possible[0] <= got.possible[1]


@given(st.data())
def test_many_are_each_alone_in_any_order(data: st.DataObject) -> None:
    made = read_instrument(data.draw(scales()), knowledge())
    cell = st.one_of(st.integers(-3, 6).map(float), st.just(math.nan))
    table = np.array(
        data.draw(st.lists(st.lists(cell, min_size=len(made.items), max_size=len(made.items)), min_size=1))
    )
    order = data.draw(st.permutations(range(len(table))))
    whole, turned = score_many(made, table), score_many(made, table[order])
    assert np.array_equal(whole.total[order], turned.total, equal_nan=True)
    for n, row in enumerate(table):
        alone = score(made, list(row))
        assert alone.total == (None if np.isnan(whole.total[n]) else round(float(whole.total[n]), 2))


# --- every instrument -------------------------------------------------------------------------------------------------


def some_answers(made: Instrument, *, gaps: bool) -> st.SearchStrategy[list[Any]]:
    """Answers that may be written, for every item."""
    cells: list[st.SearchStrategy[Any]] = []
    for item in made.items:
        free = st.floats(max(item.least, 0), min(item.most, 20)).map(lambda x, step=item.step: round(x) if step else x)
        cell: st.SearchStrategy[Any] = st.sampled_from(item.allowed) if item.allowed else free
        cells.append(st.one_of(cell, st.none()) if gaps else cell)
    return st.tuples(*cells).map(list)


@pytest.mark.parametrize("name", IDS)
@settings(max_examples=10)
@given(data=st.data())
def test_every_total_lies_in_its_range_and_has_a_band(name: str, data: st.DataObject) -> None:
    made = instrument(knowledge(), name)
    for form in made.forms or (None,):
        got = score(made, data.draw(some_answers(made, gaps=False)), form=form)
        if got.total is not None:
            assert made.range is not None
            assert made.range[0] <= got.total <= made.range[1]
            assert got.refused == got.missing == ()


@pytest.mark.parametrize("name", IDS)
@settings(max_examples=15)
@given(data=st.data())
def test_what_is_possible_holds_whatever_the_open_answers_are(name: str, data: st.DataObject) -> None:
    made = instrument(knowledge(), name)
    form = next(iter(made.forms), None)
    partial = data.draw(some_answers(made, gaps=True))
    open_ = score(made, partial, form=form)
    rest = data.draw(some_answers(made, gaps=False))
    full = score(made, [b if a is None else a for a, b in zip(partial, rest, strict=True)], form=form)
    if open_.possible is not None and full.total is not None:
        assert open_.possible[0] <= full.total <= open_.possible[1]
    if open_.at_least is not None and full.band in made.bands:
        here, least = made.bands.index(full.band), made.bands.index(open_.at_least)
        assert here == least if made.direction == "better" else here <= least
    said = {alert.alert for alert in open_.says}
    certain = {a.id for plan in made.plans.values() for a in plan.alerts if not any(q for q, _ in a.when.asks)}
    assert said & certain - _of_scores(made) <= set(full.alerts)


def _of_scores(made: Instrument) -> set[str]:
    """Alerts that rest on scores, which a missing answer may raise or lower."""
    items = {item.id for item in made.items}
    alerts = [alert for plan in made.plans.values() for alert in plan.alerts]
    return {alert.id for alert in alerts if any(name not in items for _, name in alert.when.asks)}


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=2),
    st.lists(st.none()),
)


@pytest.mark.parametrize("name", IDS)
@settings(max_examples=10)
@given(data=st.data())
def test_no_answer_whatever_breaks_a_score(name: str, data: st.DataObject) -> None:
    made = instrument(knowledge(), name)
    got = score(made, data.draw(st.lists(anything, min_size=len(made.items), max_size=len(made.items))))
    assert got.total is None or math.isfinite(got.total)
    assert got.to_json()


# --- conditions -------------------------------------------------------------------------------------------------------

atom = st.sampled_from(["a >= 2", "b < 1", "c == 1", "a != b", "0 < c <= 2", "yes(d)", "no(d)", "na(a)", "missing(b)"])
expression = st.recursive(
    atom,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=6,
)
value = st.one_of(st.sampled_from([0.0, 1.0, 2.0, 3.0]), st.just(math.nan))


def truth(text: str, values: dict[str, float]) -> bool:
    """The same text read by Python itself, with every value known."""
    words = {"yes": lambda x: x >= 1, "no": lambda x: x < 1, "na": lambda x: False, "missing": lambda x: False}
    return bool(eval(text, {"__builtins__": {}}, words | values))


@given(expression, st.fixed_dictionaries(dict.fromkeys("abcd", value)))
def test_a_condition_is_certain_only_if_every_value_that_may_be_agrees(text: str, values: dict[str, float]) -> None:
    column = {name: np.array([v]) for name, v in values.items()}
    (found,) = condition(text, values).over(Columns(column)).tolist()
    if not any(math.isnan(v) for v in values.values()):
        assert found == (YES if truth(text, values) else NO)
    elif found != UNKNOWN and "missing" not in text:
        open_ = [name for name, v in values.items() if math.isnan(v)]
        for each in (0.0, 1.0, 2.0, 3.0):
            assert truth(text, values | dict.fromkeys(open_, each)) == (found == YES)
