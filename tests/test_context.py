"""Notes beside the scores: they say what else happened and when, and they take nothing away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import pytest

from adjunct.base import MS_PER_DAY, instant
from adjunct.due import Due, State, Step, Window
from adjunct.fhir import read_bundle
from adjunct.followup.context import Annotation, beside, context
from adjunct.instruments.ratings import Measured
from adjunct.record import from_bundle
from bundles import LOCAL, NOW, SUBJECT, UCUM, knowledge, number, observation, person

NOW_MS = instant(NOW).ms
HOUR = MS_PER_DAY // 24


def at(days_ago: float) -> int:
    return NOW_MS - round(days_ago * MS_PER_DAY)


def ago(days: float) -> str:
    return instant(NOW).__class__(at(days)).iso()


def notes(
    *resources: Mapping[str, Any], due: Sequence[Due] = (), **series: Sequence[tuple[float, float]]
) -> tuple[Annotation, ...]:
    """The notes of a record at now; a series is (days ago, score)."""
    bundle = read_bundle(person(extra=resources))
    record = from_bundle(bundle, knowledge(), now=instant(NOW), phase="follow-up")
    points = {name: [Measured(at(d), v, f"{name}-{d:g}") for d, v in rows] for name, rows in series.items()}
    return context(record, knowledge(), points, due=due)


def kinds(found: Sequence[Annotation], *wanted: str) -> list[str]:
    return [a.kind for a in found if not wanted or a.kind in wanted]


def reduced(days: float | str) -> dict[str, Any]:
    when = days if isinstance(days, str) else ago(days)
    return observation({"system": LOCAL, "code": "kratom_reduced"}, when, valueBoolean=True)


def entry(
    substance: str, start: str, end: str = "", mg: float | None = None, view: str = "MedicationStatement", n: int = 0
) -> dict[str, Any]:
    """One line of a medicine list."""
    period = {"start": start} | ({"end": end} if end else {})
    found: dict[str, Any] = {
        "resourceType": view,
        "id": f"{substance}-{view}-{n}",
        "status": "completed" if end else "active",
        "subject": SUBJECT,
        "medicationCodeableConcept": {"coding": [{"system": LOCAL, "code": substance}], "text": substance},
    }
    dose: dict[str, Any] = {}
    if mg is not None:
        quantity = {"value": mg, "unit": "mg", "system": UCUM, "code": "mg"}
        dose = {"doseAndRate": [{"doseQuantity": quantity}]}
    repeat = {"frequency": 1, "period": 1, "periodUnit": "d"}
    if view == "MedicationRequest":
        dosage = {"timing": {"repeat": repeat | {"boundsPeriod": period}}, **dose}
        return found | {"intent": "order", "dosageInstruction": [dosage]}
    return found | {"effectivePeriod": period, "dosage": [{"timing": {"repeat": repeat}, **dose}]}


# --- kratom -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reduced_ago", "scored_ago", "noted"),
    [
        (20, 20.1, False),  # scored before the reduction
        (20, 20, True),
        (20, 19, True),
        (20, 6, True),  # the fourteenth day
        (20, 5.9, False),
    ],
)
def test_a_rise_within_fourteen_days_of_a_reduction_is_possible_withdrawal(
    reduced_ago: float, scored_ago: float, noted: bool
) -> None:
    found = notes(reduced(reduced_ago), phq9=[(30, 8), (scored_ago, 12)])
    here = [a for a in found if a.kind == "possible-withdrawal"]
    assert len(here) == noted
    if noted:
        assert here[0].title == "Possible withdrawal"
        assert here[0].certain == (at(scored_ago), at(scored_ago))
        assert "PHQ-9 rose by 4" in here[0].says
        for clock in ("item 9", "deterioration", "C-SSRS", "replaces nothing", "raises the risk"):
            assert clock in here[0].says


@pytest.mark.parametrize(
    ("scores", "count"),
    [
        ([(30, 8), (10, 8)], 0),  # no rise
        ([(30, 8), (10, 5)], 0),
        ([(10, 20)], 0),  # nothing to have risen from
        ([(30, 8), (10, 9)], 1),
        ([(30, 8), (12, 12), (10, 10)], 2),  # falling again, and still above the last before the reduction
        ([(30, 12), (12, 8), (10, 10)], 1),  # fell, then rose, and still below the last before the reduction
        ([(30, 8), (12, 12), (10, float("nan"))], 1),
    ],
)
def test_a_rise_is_over_the_score_before_or_over_the_last_before_the_reduction(
    scores: list[tuple[float, float]], count: int
) -> None:
    assert len(kinds(notes(reduced(15), phq9=scores), "possible-withdrawal")) == count


def test_without_a_recorded_reduction_nothing_is_called_withdrawal() -> None:
    assert notes(phq9=[(30, 8), (10, 20)]) == ()


def test_a_reduction_known_by_its_month_makes_the_note_possible_and_says_so() -> None:
    found = notes(reduced("2026-11"), phq9=[(40, 8), (2, 12)])
    assert [a.title for a in found if a.kind == "possible-withdrawal"] == ["Possible withdrawal (the dates allow it)"]
    acute = next(a for a in found if a.kind == "withdrawal-acute")
    assert acute.certain is None
    assert acute.possible[0] < acute.possible[1]


def test_a_reduction_without_a_date_is_asked_about_and_explains_nothing() -> None:
    undated = {k: v for k, v in reduced(5).items() if k != "effectiveDateTime"}
    found = notes(undated, phq9=[(40, 8), (2, 12)])
    assert kinds(found) == ["reduction"]
    assert "ask when" in found[0].says
    assert found[0].to_dict()["from"] is None


def test_the_windows_of_withdrawal_are_ranges_with_their_source() -> None:
    found = {a.kind: a for a in notes(reduced(30))}
    start = at(30)
    acute, peak, tail = (found[f"withdrawal-{name}"] for name in ("acute", "peak", "tail"))
    assert acute.begins == (start + 6 * HOUR, start + 48 * HOUR)
    assert acute.ends == (start + 3 * MS_PER_DAY, start + 10 * MS_PER_DAY)
    assert acute.certain == (start + 48 * HOUR, start + 3 * MS_PER_DAY)
    assert peak.possible == (start + MS_PER_DAY, start + 5 * MS_PER_DAY)
    assert peak.certain is None
    assert tail.possible[1] == start + 84 * MS_PER_DAY
    assert all(a.sources and a.status in ("proposed", "reported") for a in (acute, peak, tail))


def test_a_concentrate_may_begin_at_once() -> None:
    found = notes(entry("7-hydroxymitragynine", "2026-01-01", ago(20)))
    acute = next(a for a in found if a.kind == "withdrawal-acute")
    assert acute.begins[0] == at(20)
    assert "within hours" in acute.says


@pytest.mark.parametrize(
    ("entries", "cuts"),
    [
        ([entry("kratom-leaf", "2026-01-01", ago(20))], 1),  # stopped
        ([entry("kratom-leaf", "2026-01-01", ago(20), 9000), entry("kratom-leaf", ago(19), mg=6000, n=1)], 1),  # less
        ([entry("kratom-leaf", "2026-01-01", ago(20), 6000), entry("kratom-leaf", ago(19), mg=9000, n=1)], 0),  # more
        ([entry("kratom-leaf", "2026-01-01", mg=6000)], 0),
        ([entry("kratom-leaf", "2026-01-01", ago(20)), reduced(20)], 1),  # told twice
        ([entry("sertraline", "2026-01-01", ago(20))], 0),
    ],
)
def test_a_stop_or_a_smaller_amount_is_a_reduction(entries: list[dict[str, Any]], cuts: int) -> None:
    assert len(kinds(notes(*entries), "reduction")) == cuts


# --- a note takes nothing away ----------------------------------------------------------------------------------------


def test_signals_come_out_as_they_went_in_whatever_stands_beside_them() -> None:
    alarm, worse = {"alert": "suicide_item", "level": "suicide"}, {"signal": "deterioration"}
    found = notes(reduced(15), phq9=[(30, 8), (10, 20)])
    signals = [(at(10), alarm), (at(10), worse), (at(100), alarm)]
    with_notes, without = beside(signals, found), beside(signals, ())
    assert [s for s, _ in with_notes] == [s for s, _ in without] == [alarm, worse, alarm]
    assert all(a is b for (a, _), (_, b) in zip(with_notes, signals, strict=True))
    assert "possible-withdrawal" in [n.kind for n in with_notes[0][1]]
    assert with_notes[2][1] == ()


def test_a_note_has_no_field_that_could_silence_anything() -> None:
    assert {f.name for f in fields(Annotation)} == {
        *("id", "kind", "begins", "ends", "title", "says", "tell", "reference", "sources", "status")
    }


def test_the_rules_of_danger_fire_with_the_note_as_without_it() -> None:
    from adjunct.assessment import assess

    def fired(*more: Mapping[str, Any]) -> set[str]:
        scores = [{**number("phq9", v, "{score}", ago(d)), "id": f"phq9-{d}"} for d, v in ((9, 8), (2, 15))]
        item = number("phq9_item9", 2, "{score}", ago(2))
        bundle = read_bundle(person(extra=[*scores, item, *more]))
        record = from_bundle(bundle, knowledge(), now=instant(NOW), phase="follow-up")
        return {f.id for f in assess(record, knowledge(), treatment="none").findings}

    alone, with_reduction = fired(), fired(reduced(5))
    assert {"phq9-deterioration", "suicide-item-trigger"} <= alone
    assert alone < with_reduction
    assert "kratom-reduction-note" in with_reduction


# --- medicines --------------------------------------------------------------------------------------------------------


def test_start_stop_and_washout_of_a_medicine() -> None:
    found = notes(entry("fluoxetine", "2026-02-01", ago(10), 20))
    assert kinds(found) == ["medicine-start", "medicine-stop", "washout"]
    washout = found[-1]
    assert washout.possible == (at(10), at(10) + 35 * MS_PER_DAY)
    assert "5 weeks" in washout.says
    assert "an MAO inhibitor" in washout.says
    assert washout.sources == ("fluoxetine-ch-label",)


def test_every_washout_names_a_set_a_length_and_what_waits() -> None:
    for line in knowledge().content["context"]["washout"]:
        assert knowledge().sets[line["set"]], line
        assert knowledge().number(line["fact"]) > 0
    both = [(a["set"], a["fact"]) for a in knowledge().content["context"]["washout"]]
    assert len(both) == len(set(both))
    stops = {
        s: notes(entry(s, "2026-02-01", ago(10))) for s in ("sertraline", "venlafaxine", "duloxetine", "bupropion")
    }
    lengths = {s: [(a.ends[0] - a.begins[0]) // MS_PER_DAY for a in n if a.kind == "washout"] for s, n in stops.items()}
    assert lengths == {"sertraline": [14], "venlafaxine": [7], "duloxetine": [5], "bupropion": [14]}


def test_a_new_amount_is_a_change_and_no_stop() -> None:
    found = notes(entry("sertraline", "2026-02-01", ago(10), 50), entry("sertraline", ago(9), mg=100, n=1))
    assert kinds(found) == ["medicine-start", "medicine-change"]
    assert "50 to 100 mg" in found[1].says


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (50, 50, ["medicine-start"]),  # renewed
        (50, None, ["medicine-start", "medicine-change"]),  # which amount, is not said
    ],
)
def test_an_entry_that_follows_another(first: float | None, second: float | None, expected: list[str]) -> None:
    found = notes(entry("sertraline", "2026-02-01", ago(10), first), entry("sertraline", ago(9), mg=second, n=1))
    assert kinds(found) == expected
    assert not any("None" in a.says for a in found)


def test_a_long_gap_is_a_stop_and_a_new_start() -> None:
    found = notes(entry("sertraline", "2026-02-01", ago(60), 50), entry("sertraline", ago(9), mg=50, n=1))
    assert kinds(found, "medicine-start", "medicine-stop") == ["medicine-start", "medicine-stop", "medicine-start"]


def test_an_order_and_a_statement_of_one_medicine_tell_once() -> None:
    found = notes(
        entry("sertraline", "2026-02-01", ago(10), 50),
        entry("sertraline", "2026-02-01", ago(10), 50, view="MedicationRequest"),
    )
    assert kinds(found, "medicine-start", "medicine-stop") == ["medicine-start", "medicine-stop"]


# --- events -----------------------------------------------------------------------------------------------------------


def test_doses_sleep_and_life_events_stand_at_their_time() -> None:
    dose = {
        "resourceType": "MedicationAdministration",
        "id": "adm",
        "status": "completed",
        "subject": SUBJECT,
        "effectiveDateTime": ago(5),
        "medicationCodeableConcept": {"coding": [{"system": LOCAL, "code": "esketamine"}], "text": "esketamine"},
    }
    sleep = number("sleep_hours", 3.5, "h", ago(4))
    event = observation({"system": LOCAL, "code": "life_event"}, ago(3), valueBoolean=True)
    found = notes(dose, sleep, event)
    assert [(a.kind, a.begins[0]) for a in found] == [("dose", at(5)), ("sleep", at(4)), ("life-event", at(3))]
    assert found[1].title == "Slept 3.5 h"


def test_what_was_denied_is_no_event() -> None:
    assert notes(observation({"system": LOCAL, "code": "life_event"}, ago(3), valueBoolean=False)) == ()


def test_a_missed_check_in_is_shown_from_when_it_was_due() -> None:
    window = Window(opens=at(9), due=at(8), overdue=at(7), closes=at(6))
    plan = {"title": "Check-in, day 3", "domain": "check-in", "owner": "person", "window": window}
    missed = Due(step=Step(id="c.3", what="checkin", **plan), state=State.MISSED)
    others = [
        Due(step=Step(id="c.4", what="checkin", **plan), state=State.OVERDUE),
        Due(step=Step(id="x.1", what="lft", **plan), state=State.MISSED),
    ]
    found = notes(due=[missed, *others])
    assert [(a.title, a.possible) for a in found] == [("Missed: Check-in, day 3", (at(8), at(6)))]


def test_the_order_of_the_record_changes_nothing() -> None:
    resources = [
        reduced(15),
        entry("fluoxetine", "2026-02-01", ago(10), 20),
        entry("kratom-leaf", "2026-01-01", ago(2)),
    ]
    assert notes(*resources, phq9=[(20, 5), (10, 9)]) == notes(*reversed(resources), phq9=[(10, 9), (20, 5)])
