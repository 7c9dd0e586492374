"""What must hold of any course: direction, order, doubled entries, and above all what is not known."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adjunct.base import MS_PER_DAY, UNKNOWN, YES
from adjunct.instruments.change import improvement, percent_change
from adjunct.instruments.course import Course, course
from adjunct.instruments.ratings import Happened, Measured
from adjunct.knowledge.load import Knowledge

DOSE = 20_000 * MS_PER_DAY
NOW = DOSE + 1000 * MS_PER_DAY
MOST = 30
SOURCE = {"source": "uncited", "status": "proposed"}
INDEX = {"kind": "reliable", "sd": 4.0, "r": 0.8, "r_kind": "retest", **SOURCE}
IMPORTANT = {"kind": "important", "points": 2.0, "percent": 20, **SOURCE}


def scale(*, response: bool = True, **rest: Any) -> dict[str, Any]:
    """A scale of mood from 0 to 30: half less is a response, below 5 remission, 20 twice a relapse."""
    return {
        "id": "invented",
        "title": "Invented",
        "direction": "worse",
        "range": [0, MOST],
        "domain": "mood",
        "alert": [{"id": "item", "level": "suicide"}],
        "change": [INDEX, IMPORTANT],
        "status": [
            {"id": "remission", "name": "below 5", "when": "total < 5", **SOURCE},
            {"id": "relapse", "name": "20 or more", "when": "total >= 20", **SOURCE},
            *([{"id": "response", "name": "half less", **SOURCE}] if response else []),
        ],
        **rest,
    }


#: Without response nothing rests on the best score on record, which an unknown score could have beaten.
REMISSION_ONLY = scale(response=False)


@cache
def knowledge() -> Knowledge:
    return Knowledge.load()


def follow(raw: dict[str, Any], points: Sequence[Measured], events: Sequence[Happened] = ()) -> Course:
    return course(raw, points, first_dose_at=DOSE, now=NOW, knowledge=knowledge(), events=events)


def truths(found: Course) -> dict[tuple[str, str, str], int]:
    return {(j.id, j.variant, j.unit): j.holds for j in found.judgements}


days = st.one_of(st.integers(-20, 60), st.integers(-20, 400))
scores = st.integers(0, MOST).map(float)
items = st.sampled_from([0.0, 1.0, 2.0, math.nan])


@st.composite
def ratings(draw: st.DrawFn, values: st.SearchStrategy[float] = scores, least: int = 0) -> list[Measured]:
    """Ratings on different days, in any order, one of them before the first dose more often than not."""
    when = draw(st.lists(days, min_size=least, max_size=8, unique=True))
    return [Measured(DOSE + d * MS_PER_DAY, draw(values), f"r{d}", suicide_item=draw(items)) for d in when]


unknown_too = st.one_of(scores, scores, scores, st.just(math.nan))
happenings = st.lists(
    st.builds(lambda d: Happened(DOSE + d * MS_PER_DAY, "hospital-admission", f"e{d}"), st.integers(0, 400)), max_size=2
)


# --- arithmetic -------------------------------------------------------------------------------------------------------


@given(scores, scores)
def test_improvement_changes_sign_with_the_direction(before: float, after: float) -> None:
    assert improvement(before, after, "worse") == -improvement(before, after, "better")
    assert improvement(before, after, "worse") == improvement(after, before, "better")


@given(scores.filter(bool), scores, st.floats(0.01, 100))
def test_per_cent_does_not_depend_on_the_size_of_a_point(before: float, after: float, size: float) -> None:
    assert percent_change(before * size, after * size, "worse") == pytest.approx(
        percent_change(before, after, "worse"), abs=1e-9
    )


@given(ratings(unknown_too), happenings)
def test_a_scale_turned_round_is_judged_the_same(points: list[Measured], events: list[Happened]) -> None:
    """Scores from 1 to 31 and the same ones counted down from 31 to 1; neither starts at zero, so no per cent."""
    up = scale(
        range=[1, MOST + 1],
        direction="better",
        status=[
            {"id": "remission", "name": "below 5", "when": "total > 27", **SOURCE},
            {"id": "relapse", "name": "20 or more", "when": "total <= 12", **SOURCE},
            {"id": "response", "name": "half less", **SOURCE},
        ],
    )
    there = [replace(p, value=p.value + 1) for p in points]
    back = [replace(p, value=MOST + 2 - p.value) for p in there]
    left = follow(scale(range=[1, MOST + 1]), there, events)
    right = follow(up, back, events)
    assert truths(left) == truths(right)
    assert left.history == right.history
    assert left.returns == right.returns
    for a, b in zip(left.figures[1:], right.figures[1:], strict=True):
        assert a.value == pytest.approx(b.value, nan_ok=True)


# --- order and doubled entries ----------------------------------------------------------------------------------------


@given(ratings(unknown_too), happenings, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(points: list[Measured], events: list[Happened], random: Any) -> None:
    shuffled = [*points, *points[:2]]
    random.shuffle(shuffled)
    assert follow(scale(), shuffled, events).to_json() == follow(scale(), points, events).to_json()


@given(ratings(), st.integers(0, 7), scores)
def test_a_contradiction_is_the_same_whichever_came_first(points: list[Measured], which: int, other: float) -> None:
    assume(points)
    twin = replace(points[which % len(points)], value=other, reference="twin")
    assert follow(scale(), [*points, twin]).to_json() == follow(scale(), [twin, *points]).to_json()


# --- what is not known ------------------------------------------------------------------------------------------------


@given(ratings(unknown_too), happenings, st.integers(-20, 400))
def test_a_missing_rating_decides_nothing(points: list[Measured], events: list[Happened], day: int) -> None:
    """One more unknown leaves each judgement as it was or makes it unknown; never a no or an unknown into a yes."""
    missing = Measured(DOSE + day * MS_PER_DAY + MS_PER_DAY // 2, math.nan, "missing")
    without, with_it = truths(follow(scale(), points, events)), truths(follow(scale(), [*points, missing], events))
    assert without.keys() == with_it.keys()
    for key, holds in with_it.items():
        assert holds in (UNKNOWN, without[key]), key


@given(ratings(unknown_too), happenings, st.integers(-20, 400), scores)
def test_an_unknown_score_claims_nothing_that_some_score_would_refute(
    points: list[Measured], events: list[Happened], day: int, score: float
) -> None:
    at = DOSE + day * MS_PER_DAY + MS_PER_DAY // 2
    unknown = truths(follow(REMISSION_ONLY, [*points, Measured(at, math.nan, "x")], events))
    known = truths(follow(REMISSION_ONLY, [*points, Measured(at, score, "x", suicide_item=1.0)], events))
    for key, holds in unknown.items():
        if not key[0].startswith("deterioration"):  # those rest on the best score on record
            assert holds in (UNKNOWN, known[key]), key


@given(ratings(unknown_too), happenings, st.integers(-20, 400), st.integers(0, 40), st.floats(0, 1), scores)
def test_a_partial_date_claims_nothing_that_some_date_would_refute(
    points: list[Measured], events: list[Happened], day: int, length: int, share: float, score: float
) -> None:
    at, until = DOSE + day * MS_PER_DAY - MS_PER_DAY // 2, DOSE + (day + length) * MS_PER_DAY + MS_PER_DAY // 2
    true_time = DOSE + (day + round(share * length)) * MS_PER_DAY + MS_PER_DAY // 3
    some_time = truths(follow(REMISSION_ONLY, [*points, Measured(at, score, "x", until=until)], events))
    then = truths(follow(REMISSION_ONLY, [*points, Measured(true_time, score, "x")], events))
    for key, holds in some_time.items():
        if not key[0].startswith("deterioration"):
            assert holds in (UNKNOWN, then[key]), key


@given(ratings(unknown_too), happenings, st.integers(0, 400), st.integers(0, 40), st.floats(0, 1))
def test_a_partial_date_of_an_event_claims_nothing_either(
    points: list[Measured], events: list[Happened], day: int, length: int, share: float
) -> None:
    at, until = DOSE + day * MS_PER_DAY - MS_PER_DAY // 2, DOSE + (day + length) * MS_PER_DAY + MS_PER_DAY // 2
    true_time = DOSE + (day + round(share * length)) * MS_PER_DAY + MS_PER_DAY // 3
    some_time = truths(follow(scale(), points, [*events, Happened(at, "suicidal-act", "x", until=until)]))
    then = truths(follow(scale(), points, [*events, Happened(true_time, "suicidal-act", "x")]))
    for key, holds in some_time.items():
        assert holds in (UNKNOWN, then[key]), key


@given(ratings(unknown_too), happenings)
def test_whatever_is_unknown_says_why(points: list[Measured], events: list[Happened]) -> None:
    found = follow(scale(), points, events)
    assert [j.id for j in found.judgements if bool(j.why) != (j.holds == UNKNOWN)] == []
    assert [f.id for f in found.figures if bool(f.why) != math.isnan(f.value)] == []


@given(ratings(unknown_too), happenings)
def test_a_return_needs_something_to_come_back_from(points: list[Measured], events: list[Happened]) -> None:
    found = follow(scale(), points, events)
    first = next((s for s in found.history if s.state in ("remission", "response")), None)
    for back in found.returns:
        assert back.began <= back.confirmed
        assert back.holds != YES or (first is not None and first.since <= back.confirmed)


# --- two numbers that are never one -----------------------------------------------------------------------------------


@given(ratings(least=1), st.floats(0.5, 20), st.floats(0.5, 20))
def test_error_of_measurement_and_what_matters_are_two_numbers(points: list[Measured], sd: float, mid: float) -> None:
    def part(found: Course, id_: str) -> list[Any]:
        return [(j.holds, j.limit, j.definition) for j in found.judgements if j.id == id_]

    usual = follow(scale(), points)
    spread = follow(scale(change=[{**INDEX, "sd": sd}, IMPORTANT]), points)
    matters = follow(scale(change=[INDEX, {**IMPORTANT, "points": mid}]), points)
    assert part(spread, "important_change") == part(usual, "important_change")
    assert part(matters, "reliable_change") == part(usual, "reliable_change")
    assert not any(j.id == "reliable_change" and "matters" in j.definition for j in usual.judgements)


# --- nothing breaks it ------------------------------------------------------------------------------------------------

anything = st.builds(
    Measured,
    at=st.integers(-(10**15), 10**15),
    value=st.one_of(st.floats(allow_nan=True, allow_infinity=True), scores),
    reference=st.text(max_size=3),
    until=st.one_of(st.none(), st.integers(-(10**15), 10**15)),
    suicide_item=st.floats(allow_nan=True, allow_infinity=False),
)


@given(st.lists(anything, max_size=6))
def test_whatever_arrives_is_read_or_left_out_by_name(points: list[Measured]) -> None:
    found = follow(scale(), points)
    assert len(found.left_out) <= len(points)
    content = json.loads(found.to_json())
    assert {j["holds"] for j in content["judgements"]} <= {0, 1, 2}
