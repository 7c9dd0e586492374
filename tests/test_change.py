"""Change, response, remission, relapse: the arithmetic against published numbers, and courses of invented people."""

from __future__ import annotations

import csv
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from adjunct.base import MS_PER_DAY, NO, UNKNOWN, YES, BadInput, instant
from adjunct.instruments.change import (
    above,
    at_least,
    clinical_cut,
    improvement,
    percent_change,
    reliable_change,
    reliable_change_index,
)
from adjunct.instruments.course import Course, course
from adjunct.instruments.ratings import Happened, Measured
from adjunct.knowledge.load import Knowledge

COURSES = Path(__file__).parent / "cases" / "courses.csv"
DOSE = instant("2026-03-02T10:00:00+00:00").ms
LATER = DOSE + 400 * MS_PER_DAY
TRUTHS = {"no": NO, "unknown": UNKNOWN, "yes": YES}
SOURCE = {"source": {"id": "uncited", "locator": "invented for this test"}, "status": "proposed"}
RETEST = {"kind": "reliable", "sd": 5.5, "r": 0.84, "r_kind": "retest", "origin": "a clinic", **SOURCE}
SCALES: dict[str, dict[str, Any]] = {
    "phq9": {
        "title": "PHQ-9",
        "direction": "worse",
        "range": [0, 27],
        "domain": "mood",
        "alert": [{"id": "suicide_item", "level": "suicide"}],
        "change": [
            RETEST,
            {"kind": "reliable", "sd": 5.5, "r": 0.737, "r_kind": "retest", **SOURCE},
            {"kind": "published-reliable", "points": 6, "origin": "a national service", **SOURCE},
            {"kind": "important", "points": 1.7, "percent": 20, "level": "group", **SOURCE},
        ],
        "norm": [
            {"group": "patients", "mean": 15.4, "sd": 5.5, **SOURCE},
            {"group": "general population", "mean": 2.9, "sd": 3.5, **SOURCE},
        ],
        "status": [
            {"id": "remission", "name": "below 5", "when": "total < 5", "default": True, **SOURCE},
            {"id": "response", "name": "half less", "needs_baseline": 10, "default": True, **SOURCE},
        ],
    },
    "madrs": {
        "title": "MADRS",
        "direction": "worse",
        "range": [0, 60],
        "domain": "mood",
        "change": [{"kind": "reliable", "sd": 8.3, "r": 0.93, "r_kind": "icc", **SOURCE}],
        "status": [
            *(
                {"id": "remission", "name": f"{n} or less", "when": f"total <= {n}", "default": n == 10, **SOURCE}
                for n in (12, 10, 9, 7)
            ),
            {"id": "response", "name": "half less", "needs_baseline": 20, **SOURCE},
        ],
    },
    "who5": {
        "title": "WHO-5",
        "direction": "better",
        "range": [0, 100],
        "domain": "wellbeing",
        "change": [{"kind": "reliable", "sd": 20, "r": 0.81, "r_kind": "retest", **SOURCE}],
    },
    "rass": {"title": "RASS", "direction": "neither", "range": [-5, 4], "domain": "sedation"},
    "pcl5": {
        "title": "PCL-5",
        "direction": "worse",
        "range": [0, 80],
        "domain": "trauma",
        "status": [{"id": "response", "name": "fall of 10", "points": 10, **SOURCE}],
    },
    "cgis": {
        "title": "CGI-S",
        "direction": "worse",
        "range": [1, 7],
        "domain": "mood",
        "status": [{"id": "response", "name": "half less", **SOURCE}],
    },
    "cows": {
        "title": "COWS",
        "direction": "worse",
        "range": [0, 48],
        "domain": "withdrawal",
        "status": [{"id": "remission", "name": "below 5", "when": "total < 5", **SOURCE}],
    },
}


@cache
def knowledge() -> Knowledge:
    return Knowledge.load()


def scale(name: str) -> dict[str, Any]:
    return {"id": name, "unit": "{score}", **SCALES[name]}


def measured(text: str, number: int) -> Measured:
    """`7:12` day and score · `7:?` no score · `7:12@1` with suicide item · `20..50:10` some time between two days."""
    when, _, what = text.partition(":")
    value, _, item = what.partition("@")
    first, _, last = when.partition("..")
    at, until = (DOSE + round(float(day) * MS_PER_DAY) for day in (first, last or first))
    return Measured(
        at=at,
        value=math.nan if value == "?" else float(value),
        reference=f"Observation/{number}",
        until=until,
        suicide_item=float(item) if item else math.nan,
    )


def event(text: str) -> Happened:
    """`25:hospital-admission` day and kind · `20..50:suicidal-act` some time between two days."""
    when, _, kind = text.partition(":")
    first, _, last = when.partition("..")
    at, until = (DOSE + round(float(day) * MS_PER_DAY) for day in (first, last or first))
    return Happened(at, kind, f"Encounter/{when}", until=until)


def follow(name: str, ratings: str, events: str = "", *, dose: int | None = DOSE, **rest: Any) -> Course:
    points = [measured(text, number) for number, text in enumerate(ratings.split())]
    happened = [event(text) for text in events.split()]
    return course(
        scale(name), points, first_dose_at=dose, knowledge=knowledge(), events=happened, **{"now": LATER, **rest}
    )


# --- arithmetic -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sd", "r", "index"),
    [  # outcome mathematics, section 2: the table and its acceptance vectors
        (5.5, 0.84, 6.10),
        (5.5, 0.89, 5.06),
        (5.5, 0.737, 7.82),
        (8.3, 0.93, 6.09),
        (8.3, 0.84, 9.20),
        (7.0, 0.91, 5.82),
        (4.3, 0.86, 4.46),
        (4.7, 0.83, 5.37),
        (15, 0.84, 16.63),
        (8, 0.89, 7.35),
        (8, 0.73, 11.52),
        (20, 0.81, 24.16),
        (3.6, 0.83, 4.11),
    ],
)
def test_the_published_indices_are_rebuilt(sd: float, r: float, index: float) -> None:
    assert reliable_change_index(sd, r, knowledge().number("outcome.reliable.z")) == pytest.approx(index, abs=0.006)


def test_reliable_change_counts_standard_errors_of_a_difference() -> None:
    assert reliable_change(20, 20 - reliable_change_index(5.5, 0.84, 1.96), 5.5, 0.84) == pytest.approx(-1.96)
    assert reliable_change(10, 10, 5.5, 0.84) == 0


@pytest.mark.parametrize(("sd", "r"), [(0, 0.8), (-1, 0.8), (5, 1), (5, -0.1), (5, math.nan), (math.nan, 0.8)])
def test_an_index_without_spread_or_reliability_is_refused(sd: float, r: float) -> None:
    with pytest.raises(BadInput, match="SD above 0"):
        reliable_change_index(sd, r, 1.96)


@pytest.mark.parametrize(
    ("before", "after", "direction", "percent"),
    [  # section 8, rows 1 and 4
        (20, 9, "worse", 55.0),
        (29.9, 16.4, "worse", 45.2),
        (25.1, 12.7, "worse", 49.4),
        (20, 30, "better", 50.0),
        (52, 26, "better", -50.0),
        (0, 5, "worse", math.nan),
    ],
)
def test_per_cent_is_to_the_better(before: float, after: float, direction: str, percent: float) -> None:
    assert percent_change(before, after, direction) == pytest.approx(percent, abs=0.06, nan_ok=True)


def test_a_scale_without_a_better_has_no_improvement() -> None:
    assert math.isnan(improvement(-3, 0, "neither"))


def test_the_clinical_cut_lies_nearer_to_the_narrower_group() -> None:
    assert clinical_cut((15.4, 5.5), (2.9, 3.5)) == pytest.approx((3.5 * 15.4 + 5.5 * 2.9) / 9)
    assert clinical_cut((10, 1), (0, 9)) == pytest.approx(9)


@pytest.mark.parametrize(
    ("value", "least", "more"), [(0.3 - 0.1, YES, NO), (0.19, NO, NO), (0.21, YES, YES), (math.nan, UNKNOWN, UNKNOWN)]
)
def test_a_limit_that_is_met_exactly_is_met(value: float, least: int, more: int) -> None:
    assert (at_least(value, 0.2), above(value, 0.2)) == (least, more)


# --- courses ----------------------------------------------------------------------------------------------------------


def rows() -> list[dict[str, str]]:
    with COURSES.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, strict=True))


def day(ms: int) -> int:
    return round((ms - DOSE) / MS_PER_DAY)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["who"])
def test_a_course_is_read_as_a_clinician_would(row: dict[str, str]) -> None:
    found = follow(row["scale"], row["ratings"], row["events"])
    if row["baseline"][0].isdigit():
        assert found.baseline.value == float(row["baseline"])
    else:
        assert math.isnan(found.baseline.value)
        assert row["baseline"] in found.baseline.why
    assert (found.state.name if found.state else "") == row["state"]
    assert [spell.state for spell in found.history] == row["states"].split()
    returns = [
        f"{r.kind if r.holds == YES else 'possible'}/{r.by}/{day(r.began)}-{day(r.confirmed)}" for r in found.returns
    ]
    assert returns == row["returns"].split()
    expected = dict(text.split("=") for text in row["judgements"].split())
    assert {id_: found.judgement(id_).holds for id_ in expected} == {k: TRUTHS[v] for k, v in expected.items()}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["who"])
def test_every_number_has_a_definition_and_every_unknown_a_reason(row: dict[str, str]) -> None:
    found = follow(row["scale"], row["ratings"], row["events"])
    for judgement in found.judgements:
        assert "{" not in judgement.definition.replace("{score}", "")
        assert judgement.sources, judgement.id
        assert all(source.id in knowledge().sources for source in judgement.sources), judgement.id
        assert judgement.status in ("proposed", "reported", "verified"), judgement.id
        assert bool(judgement.why) == (judgement.holds == UNKNOWN), judgement.id
    for figure in found.figures:
        assert bool(figure.why) == math.isnan(figure.value), figure.id
        assert "{" not in figure.definition
    assert not {"cured", "safe"} & set(found.to_json().lower().split())


# --- one definition at a time -----------------------------------------------------------------------------------------


def holds(found: Course, id_: str, variant: str) -> int:
    return next(j.holds for j in found.judgements if j.id == id_ and j.variant == variant)


@pytest.mark.parametrize(
    ("score", "met"),
    [
        (13, []),
        (12, ["12 or less"]),
        (10, ["12 or less", "10 or less"]),
        (9, ["12 or less", "10 or less", "9 or less"]),
        (7, ["12 or less", "10 or less", "9 or less", "7 or less"]),
    ],
)
def test_remission_is_shown_by_every_published_definition(score: int, met: list[str]) -> None:
    found = follow("madrs", f"-1:34 7:{score}")
    assert [j.variant for j in found.judgements if j.id == "remission" and j.holds == YES] == met
    assert found.judgement("remission").variant == "10 or less"


def test_a_definition_is_chosen_by_name() -> None:
    chosen = follow("madrs", "-1:34 7:12", variants={"remission": "12 or less"})
    assert chosen.judgement("remission").holds == YES
    assert chosen.state is not None
    assert chosen.state.state == "remission"
    usual = follow("madrs", "-1:34 7:12")
    assert usual.judgement("remission").holds == NO
    assert usual.state is not None
    assert usual.state.state == "response"
    assert follow("phq9", "-1:20 7:4", variants={"recovery": "4 MONTHS"}).judgement("recovery").variant == "4 months"


@pytest.mark.parametrize("variants", [{"remission": "8 or less"}, {"cure": "always"}])
def test_a_definition_that_nobody_published_is_refused(variants: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="choose from"):
        follow("madrs", "-1:34 7:12", variants=variants)


def test_reliable_change_is_shown_under_every_assumption() -> None:
    found = follow("phq9", "-1:20 7:13")
    shown = [(j.variant, j.holds, round(j.limit, 1), j.chosen) for j in found.judgements if j.id == "reliable_change"]
    assert shown == [
        ("SD 5.5, r 0.84 (retest)", YES, 6.1, True),
        ("SD 5.5, r 0.737 (retest)", NO, 7.8, False),
        ("as published: 6 points", YES, 6, False),
    ]
    assert "a clinic" in found.judgement("reliable_change").definition


@pytest.mark.parametrize(
    ("after", "computed", "published"), [(15, NO, NO), (14, NO, YES), (13, YES, YES), (26, NO, YES)]
)
def test_a_published_index_is_met_at_its_number_and_a_computed_one_beyond(
    after: int, computed: int, published: int
) -> None:
    found = follow("phq9", f"-1:20 7:{after}")
    assert holds(found, "reliable_change", "SD 5.5, r 0.84 (retest)") == computed
    assert holds(found, "reliable_change", "as published: 6 points") == published


@pytest.mark.parametrize(
    ("after", "points", "percent"), [("18.4", NO, NO), ("18.3", YES, NO), ("16.1", YES, NO), ("16", YES, YES)]
)
def test_the_important_difference_is_its_own_number(after: str, points: int, percent: int) -> None:
    important = [j for j in follow("phq9", f"-1:20 7:{after}").judgements if j.id == "important_change"]
    assert [(j.holds, j.limit, j.unit) for j in important] == [(points, 1.7, "{score}"), (percent, 20, "%")]
    assert all("group" in j.definition for j in important)


@pytest.mark.parametrize(
    ("before", "after", "significant"),
    [
        (20, 13, NO),  # reliable, but still among the ill
        (20, 8, NO),  # the cut is 7.76
        (20, 7, YES),
        (9, 5, NO),  # crossed, but within measurement error
        (7, 0, NO),  # reliable, but never among the ill
    ],
)
def test_clinically_significant_is_reliable_and_across_the_cut(before: int, after: int, significant: int) -> None:
    found = follow("phq9", f"-1:{before} 7:{after}").judgement("clinically_significant")
    assert found.holds == significant
    assert found.limit == pytest.approx(7.76, abs=0.005)


def test_without_norms_there_is_no_clinical_cut() -> None:
    assert "clinically_significant" not in {j.id for j in follow("madrs", "-1:34 7:5").judgements}


def test_response_by_points_where_the_scale_has_it_so() -> None:
    assert follow("pcl5", "-1:50 7:41").judgement("response").holds == NO
    at = follow("pcl5", "-1:50 7:40").judgement("response")
    assert (at.holds, at.value, at.limit, at.unit) == (YES, 10, 10, "{score}")


def test_per_cent_needs_a_scale_that_starts_at_zero() -> None:
    found = follow("cgis", "-1:6 7:2")
    assert found.judgement("response").holds == UNKNOWN
    assert "does not start at zero" in found.judgement("response").why
    assert [f.value for f in found.figures][:2] == [-4, 4]
    assert math.isnan(found.figures[2].value)


def test_what_has_no_episodes_has_a_target_and_no_relapse() -> None:
    found = follow("cows", "-1:20 7:5")
    assert not {"response", "remission", "relapse", "recovery"} & {j.id for j in found.judgements}
    assert found.judgement("target").holds == NO
    assert follow("cows", "-1:20 7:4").judgement("target").holds == YES
    assert found.history == ()
    assert [f.value for f in found.figures] == [-15, 15, 75]


def test_a_scale_with_no_better_has_raw_change_only() -> None:
    found = follow("rass", "-1:-3 0.1:0")
    assert found.judgements == ()
    assert found.figures[0].value == 3
    assert [math.isnan(f.value) and "no direction" in f.why for f in found.figures[1:]] == [True, True]


def test_both_directions_show_improvement_as_positive() -> None:
    assert [f.value for f in follow("who5", "-1:20 7:52").figures] == [32, 32, 160]
    assert [f.value for f in follow("phq9", "-1:20 7:12").figures] == [-8, 8, 40]


@pytest.mark.parametrize(
    ("weeks", "stable"),
    [  # MADRS in the last four weeks, oldest first; 12 is the limit
        ("12 12 12 12", YES),
        ("13 12 12 12", YES),
        ("12 12 13 12", YES),
        ("? 12 12 12", YES),
        ("13 12 13 12", NO),
        ("13 ? 12 12", UNKNOWN),
        ("? ? 12 12", UNKNOWN),
        ("13 13 ? 12", NO),
        ("12 12 12 ?", UNKNOWN),
    ],
)
def test_stable_remission_allows_one_week_above_or_missing(weeks: str, stable: int) -> None:
    ratings = " ".join(f"{7 * n + 7}:{value}" for n, value in enumerate(weeks.split()))
    assert follow("madrs", f"-1:34 {ratings}").judgement("stable_remission").holds == stable


def test_a_week_with_one_bad_rating_is_no_good_week() -> None:
    ratings = "7:12 14:12 18:13 21:12 25:13 28:12"
    assert follow("madrs", f"-1:34 {ratings}").judgement("stable_remission").holds == NO
    assert follow("madrs", f"-1:34 {ratings.replace('25:13', '25:12')}").judgement("stable_remission").holds == YES


@pytest.mark.parametrize(("before", "shown"), [(9, False), (10, True)])
def test_per_cent_is_shown_from_the_least_score_before_the_dose(before: int, shown: bool) -> None:
    found = follow("phq9", f"-1:{before} 7:9")
    assert math.isnan(found.figures[2].value) != shown
    assert found.judgement("partial_response").holds == (NO if shown else UNKNOWN)
    assert ("below 10" in found.judgement("non_response").why) != shown


def test_recovery_has_two_published_lengths() -> None:
    found = follow("phq9", "-1:20 " + " ".join(f"{n}:3" for n in range(7, 140, 30)))
    assert holds(found, "recovery", "4 months") == NO  # 120 d
    longer = follow("phq9", "-1:20 " + " ".join(f"{n}:3" for n in range(7, 160, 30)))
    assert holds(longer, "recovery", "4 months") == YES
    assert holds(longer, "recovery", "6 months") == NO


# --- what is left out, and what contradicts itself --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rating", "why"),
    [
        (Measured(LATER + 1, 3, "Observation/x"), "future"),
        (Measured(-1, 3, "Observation/x"), "before 1970"),
        (Measured(DOSE + 9, 3, "Observation/x", until=DOSE + 8), "ends before"),
        (Measured(DOSE + 9, 28, "Observation/x"), "outside the range"),
        (Measured(DOSE + 9, -1, "Observation/x"), "outside the range"),
        (Measured(DOSE + 9, math.inf, "Observation/x"), "outside the range"),
    ],
)
def test_what_cannot_be_is_left_out_by_name(rating: Measured, why: str) -> None:
    good = [measured("-1:20", 0), measured("7:12", 1)]
    args: dict[str, Any] = {"first_dose_at": DOSE, "now": LATER, "knowledge": knowledge()}
    found = course(scale("phq9"), [*good, rating], **args)
    assert [(o.reference, why in o.why) for o in found.left_out] == [("Observation/x", True)]
    assert found.judgements == course(scale("phq9"), good, **args).judgements


def test_an_event_in_the_future_is_left_out_by_name() -> None:
    found = follow("phq9", "-1:20 7:4", "401:suicidal-act")
    assert [o.reference for o in found.left_out] == ["Encounter/401"]
    assert found.judgement("relapse_event").holds == NO


def test_two_baselines_are_both_named_and_neither_wins() -> None:
    for ratings in ("-1:20 -1:14 7:4", "-1:14 -1:20 7:4"):
        found = follow("phq9", ratings).baseline
        assert found.values == (14, 20)
        assert "14, 20" in found.why
        assert len(found.because) == 1
        assert set(found.because[0].split()) == {"Observation/0", "Observation/1"}


def test_scores_of_two_days_do_not_contradict_each_other() -> None:
    assert follow("phq9", "-2:20 -1:14 7:4").baseline.value == 14


def test_the_day_is_that_of_the_person() -> None:
    """Scores at 23:30 and 00:30 in Berlin are of two days there, and of one day in UTC."""
    from datetime import timedelta

    midnight = instant("2026-03-01T00:00:00+01:00").ms
    points = [Measured(midnight - 1_800_000, 20, "a"), Measured(midnight + 1_800_000, 14, "b")]
    args: dict[str, Any] = {"first_dose_at": DOSE, "now": LATER, "knowledge": knowledge()}
    assert course(scale("phq9"), points, offset=timedelta(hours=1), **args).baseline.value == 14
    assert math.isnan(course(scale("phq9"), points, **args).baseline.value)


def test_without_a_dose_there_is_no_baseline_and_the_course_is_still_read() -> None:
    found = follow("phq9", "-1:20 7:4", dose=None)
    assert "no first dose" in found.baseline.why
    assert found.state is not None
    assert found.state.state == "remission"
    assert found.judgement("response").holds == UNKNOWN


def test_a_score_at_the_moment_of_the_dose_is_from_before_it() -> None:
    assert follow("phq9", "0:20 7:4").baseline.value == 20


def test_best_and_latest_and_the_last_known_state() -> None:
    found = follow("phq9", "-1:20 7:4 14:9 21:?")
    assert found.best is not None
    assert found.best.reference == "Observation/1"
    assert found.latest is not None
    assert math.isnan(found.latest.value)
    assert found.last_known is not None
    assert found.last_known.name == "response, day 8"
    assert found.to_dict()["latest"]["value"] is None


def test_a_number_for_one_form_is_not_used_for_another() -> None:
    both = {**scale("phq9"), "change": [{**RETEST, "form": "short", "sd": 2.0}, {**RETEST, "form": "long"}]}
    args: dict[str, Any] = {"first_dose_at": DOSE, "now": LATER, "knowledge": knowledge()}
    points = [measured("-1:20", 0), measured("7:12", 1)]
    assert course(both, points, form="long", **args).judgement("reliable_change").limit == pytest.approx(6.1, abs=0.01)
    assert course(both, points, form="short", **args).judgement("reliable_change").limit < 3
    assert "reliable_change" not in {j.id for j in course(both, points, **args).judgements}
    assert "no reliable change index" in course(both, points, **args).judgement("deterioration").why


def test_a_judgement_is_never_surer_than_what_it_rests_on() -> None:
    found = follow("madrs", "-1:34 7:20")
    assert found.judgement("relapse_score").status == "proposed"
    assert found.judgement("relapse").status == "proposed"
    assert found.judgement("relapse_event").status == "reported"


def test_the_shipped_instruments_can_be_followed() -> None:
    """Whatever a file says of change is read: no number without source, no condition that cannot be asked."""
    assert knowledge().instruments
    for raw in knowledge().instruments.values():
        span = raw.get("range", [0, 10])
        points = [Measured(DOSE - MS_PER_DAY, span[1], "a"), Measured(DOSE + MS_PER_DAY, span[0], "b")]
        for form in raw.get("forms", [""]):
            found = course(raw, points, first_dose_at=DOSE, now=LATER, knowledge=knowledge(), form=form)
            assert all(j.sources for j in found.judgements), (
                raw["id"],
                [j.id for j in found.judgements if not j.sources],
            )
            assert not {j.id for j in found.judgements} & {"response"} or raw["direction"] != "neither"
