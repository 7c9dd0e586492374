"""The routine: who may do what and how much today; the person chooses; nothing that is unknown counts as absent."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.base import MS_PER_DAY, NO, BadInput, Instant, instant, iso
from adjunct.due import State as DueState
from adjunct.due import due
from adjunct.fhir import read_bundle
from adjunct.followup.cover import Cover
from adjunct.record import Record, from_bundle
from adjunct.routine import Choices, Effect, Entry, Kind, Routine, State, choices_of, routine, sheet
from bundles import NOW, knowledge, person

TABLE = Path(__file__).parent / "cases" / "routine.csv"
COVER = Cover(zone="America/Chicago")
NOW_MS = instant(NOW).ms  # a Saturday, 09:00
HABITS = sorted(e["id"] for e in knowledge().selfcare.values() if e["kind"] == "habit")
CONDITIONS = [c["id"] for c in knowledge().content["routine"]["condition"]]
HOUR = MS_PER_DAY // 24


def when(days: float) -> str:
    """An instant some days from now; negative before."""
    return iso(NOW_MS + round(days * MS_PER_DAY), timedelta(hours=-6))


@cache
def record(has: str = "", takes: str = "", says: str = "", reviewed: bool = True) -> Record:
    bundle = person(
        age=44,
        has=has.split(";") if has else (),
        takes=takes.split(";") if takes else (),
        says=dict(pair.split("=") for pair in says.split(";")) if says else None,
        reviewed=reviewed,
        reconciled=reviewed,
    )
    return from_bundle(read_bundle(bundle), knowledge(), now=instant(NOW), phase="intake")


def chose(activity: str, days: float = -10, **how: Any) -> dict[str, Any]:
    return {"activity": activity, "at": when(days), "by": "Dana", **how}


def yes(activity: str, about: str) -> dict[str, Any]:
    return {"activity": activity, "about": about, "at": when(-1), "by": "Dr Ito"}


def noted(activity: str, days: float, done: str = "yes", note: str = "") -> dict[str, Any]:
    return {"activity": activity, "at": when(days), "done": done, "note": note}


def ask_all(**answers: str) -> dict[str, str]:
    return dict.fromkeys(CONDITIONS, "no") | answers


def read(section: Mapping[str, Any]) -> tuple[Choices, tuple[Entry, ...]]:
    return choices_of(section, knowledge())


def made(section: Mapping[str, Any], who: Record | None = None, at: int = NOW_MS, **how: Any) -> Routine:
    choices, log = read({"answers": ask_all(), **section})
    now = Instant(at, timedelta(hours=-6))
    return routine(who or record(), knowledge(), choices=choices, log=log, now=now, cover=COVER, **how)


# --- persons and activities -------------------------------------------------------------------------------------------


def rows() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("row", rows(), ids=lambda r: f"{r['who']}: {r['activity']}")
def test_what_a_person_may_do(row: dict[str, str]) -> None:
    asked = row["asked"] == "yes"
    answers = ask_all() if asked else {}
    answers |= dict(pair.split("=") for pair in row["answers"].split(";")) if row["answers"] else {}
    high, _, low = row["pressure"].partition("/")
    top = len(knowledge().selfcare[row["activity"]]["step"])
    found = made(
        {"chosen": [chose(row["activity"], step=top)], "answers": answers},
        record(row["has"], row["takes"], row["says"], asked),
        last_bp=(float(high), float(low)) if high else None,
    )
    (habit,) = (*found.habits, *found.waiting, *found.paused)
    small = habit.state == State.ACTIVE and habit.activity.dose.step == 0
    assert ("small" if small else habit.state.value) == row["gives"]
    conditions = {limit.condition for limit in habit.activity.limits}
    assert not row["because_of"] or row["because_of"] in conditions
    if habit.state != State.ACTIVE:
        assert habit.activity not in [h.activity for h in found.habits]
        assert not [s for s in found.steps if row["activity"] in s.id]
        assert habit.because


def test_every_limit_of_every_activity_can_be_reached_and_can_be_absent() -> None:
    """Each condition answered yes holds every limit that names it; answered no, none of them."""
    for name in CONDITIONS:
        for truth in ("yes", "no"):
            found = made({"chosen": [chose(h) for h in HABITS], "answers": ask_all(**{name: truth})})
            for habit in (*found.habits, *found.waiting, *found.paused):
                named = any(limit["if"] == name for limit in knowledge().selfcare[habit.activity.id].get("limit", ()))
                held = name in {limit.condition for limit in habit.activity.limits}
                assert held == (named and truth == "yes"), (habit.activity.id, name, truth)


def test_an_unknown_condition_asks_and_never_excludes() -> None:
    found = made({"chosen": [chose(h) for h in HABITS], "answers": {}}, record(reviewed=False))
    assert not found.paused
    assert {limit.effect for h in found.waiting for limit in h.activity.limits} >= {Effect.ASK}
    assert found.questions
    asked = knowledge().content["routine"]["condition"]
    private = {c["ask"]["en"] for c in asked if "private" in c}
    assert {line.text for line in found.ask_privately} == private
    page = sheet(found, knowledge())
    assert not [text for text in private if text in page.text()], "a page may be read by others"


def test_an_answer_never_undoes_what_is_on_record() -> None:
    found = made({"chosen": [chose("meditation")]}, record(has="psychosis"))
    assert [h.activity.id for h in found.paused] == ["meditation"]


def test_a_clinician_clears_what_had_to_be_asked_and_not_what_is_excluded() -> None:
    cleared = {"cleared": [yes("food", "eating-disorder"), yes("meditation", "psychosis")]}
    section = {"chosen": [chose("food"), chose("meditation")], **cleared}
    found = made(section, record("eating_disorder;psychosis"))
    assert [h.activity.id for h in found.habits] == ["food"]
    assert [h.activity.id for h in found.paused] == ["meditation"]
    later = made(section, record("eating_disorder", takes="phenelzine"))
    assert "food" in [h.activity.id for h in later.waiting], "a yes to one limit is no yes to what came later"


# --- the person chooses -----------------------------------------------------------------------------------------------


def test_nothing_is_agreed_that_nobody_chose() -> None:
    found = made({})
    assert not [*found.habits, *found.waiting, *found.paused, *found.agreed, *found.steps]
    assert len(found.offers) == 3


def test_a_fourth_new_habit_waits_and_comes_when_one_is_established_or_ended() -> None:
    four = [chose(name, -30 - n) for n, name in enumerate(("journal", "food", "walk", "breathing"))]
    found = made({"chosen": four})
    assert [h.activity.id for h in found.habits] == ["breathing", "walk", "food"]
    assert [h.activity.id for h in found.waiting] == ["journal"]
    assert not found.offers, "no more is offered while there are three"
    ended = made({"chosen": four, "stopped": [{"activity": "walk", "at": when(-1), "by": "Dana"}]})
    assert {h.activity.id for h in ended.habits} == {"breathing", "food", "journal"}
    kept = [noted("breathing", -n) for n in range(1, 28)]
    grown = made({"chosen": four, "log": kept})
    assert {h.activity.id: h.new for h in grown.habits}["breathing"] is False
    assert len(grown.habits) == 4


@pytest.mark.parametrize(("days", "new"), [(-27, True), (-28, False), (-40, False)], ids=["below", "at", "above"])
def test_a_habit_is_established_after_the_time_of_the_fact(days: float, new: bool) -> None:
    log = [noted("breathing", -n) for n in range(27)]
    (habit,) = made({"chosen": [chose("breathing", days)], "log": log}).habits
    assert habit.new is new


def test_what_is_declined_is_not_offered_again_unless_asked_for() -> None:
    first = [o.id for o in made({}).offers]
    declined = {"declined": [{"activity": first[0], "at": when(-5), "by": "Dana"}]}
    again = made(declined)
    assert first[0] not in [o.id for o in again.offers]
    assert again.declined == (first[0],)
    assert any("not offered again" in line for line in again.agreed)
    asked = made({**declined, "asked": [{"activity": first[0], "at": when(-1), "by": "Dana"}]})
    assert asked.offers[0].id == first[0], "what the person asks for comes first"


def test_own_words_stand_where_they_were_written_and_every_change_is_a_version() -> None:
    section = {
        "chosen": [chose("walk", goal="see the river", cue="after lunch", dose="once round the pond")],
        "edited": [{"activity": "walk", "at": when(-2), "by": "Dana", "cue": "before lunch"}],
    }
    found = made(section)
    (habit,) = found.habits
    assert (habit.activity.goal.text, habit.activity.cue.text) == ("see the river", "before lunch")
    assert habit.activity.dose.text.text == "once round the pond"
    assert [(v.number, v.kind) for v in found.versions] == [(1, Kind.CHOSEN), (2, Kind.EDITED)]
    assert "see the river" in found.agreed[0]
    assert "version 2" in found.agreed[0]
    limited = made(section, last_bp=(170, 90))
    assert limited.habits[0].activity.dose.step == 0


def test_offers_fit_the_person() -> None:
    sleepless = made({"answers": ask_all(**{"poor-sleep": "yes"})})
    assert sleepless.offers[0].id == "sleep"
    tired = made({}, energy=2)
    assert all(knowledge().selfcare[o.id]["effort"] == "low" for o in tired.offers)
    hurting = made({}, pain=8)
    assert not any(knowledge().selfcare[o.id]["body"] for o in hurting.offers)
    assert all(o.dose.minutes == 5 for o in sleepless.offers), "every offer is the five-minute version"


# --- how much today ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("energy", "step"), [(2, 0), (3, 0), (4, 2), (None, 2)], ids=["below", "at", "above", "unknown"]
)
def test_low_energy_is_the_five_minute_version(energy: int | None, step: int) -> None:
    (habit,) = made({"chosen": [chose("walk", step=3)]}, energy=energy).habits
    assert habit.activity.dose.step == step
    assert habit.agreed.step == 2


@pytest.mark.parametrize(("pain", "step"), [(6, 2), (7, 0), (8, 0), (None, 2)], ids=["below", "at", "above", "unknown"])
def test_much_pain_makes_the_body_small_and_leaves_the_rest(pain: int | None, step: int) -> None:
    found = made({"chosen": [chose("walk", step=3), chose("journal", step=3)]}, pain=pain)
    steps = {h.activity.id: h.activity.dose.step for h in found.habits}
    assert steps == {"walk": step, "journal": 2}


WEEK = [  # notes of the last week (y, n, - for no note) for a daily habit on step 2 -> step today, next step offered
    ("-------", 1, False),
    ("nnn----", 1, False),
    ("nnnn---", 0, False),
    ("nnnnnnn", 0, False),
    ("nnnnyyy", 0, False),
    ("nnnyyyy", 1, False),
    ("yyyyy--", 1, False),
    ("yyyyyy-", 1, True),
    ("yyyyyyy", 1, True),
]


@pytest.mark.parametrize(("week", "step", "grows"), WEEK, ids=[w for w, *_ in WEEK])
def test_the_last_seven_days_make_a_step_smaller_or_offer_the_next(week: str, step: int, grows: bool) -> None:
    log = [noted("breathing", -n, "yes" if c == "y" else "no") for n, c in enumerate(week) if c != "-"]
    (habit,) = made({"chosen": [chose("breathing", step=2)], "log": log}).habits
    assert habit.activity.dose.step == step
    assert (habit.next is not None) is grows


def test_a_day_on_which_it_was_done_after_all_is_a_done_day() -> None:
    log = [noted("breathing", -n, done) for n in range(7) for done in ("no", "yes")]
    (habit,) = made({"chosen": [chose("breathing")], "log": log}).habits
    assert habit.adherence is not None
    assert (habit.adherence.done, habit.adherence.most) == (7, 1)


def test_who_finds_it_hard_is_not_offered_more_unless_they_ask() -> None:
    section = {"chosen": [chose("walk")], "log": [noted("walk", -n, "no") for n in range(7)]}
    assert made({"chosen": section["chosen"]}).offers
    assert not made(section).offers
    asked = made({**section, "asked": [{"activity": "journal", "at": when(-1), "by": "Dana"}]})
    assert [o.id for o in asked.offers] == ["journal"]
    assert asked.habits[0].activity.dose.step == 0


def test_in_part_counts_as_done() -> None:
    log = [noted("breathing", -n, "part") for n in range(7)]
    (habit,) = made({"chosen": [chose("breathing")], "log": log}).habits
    assert habit.adherence is not None
    assert habit.adherence.least == 1


SESSION = [  # hours since the session (negative: to come) -> vigorous, journal and walk: rests, or step shown
    (-3, "rests", "2", "0"),
    (1, "rests", "rests", "0"),
    (5, "rests", "2", "0"),
    (11, "rests", "2", "rests"),
    (12, "rests", "2", "2"),
    (23, "rests", "2", "2"),
    (24, "2", "2", "2"),
    (30, "2", "2", "2"),
]


@pytest.mark.parametrize(("hours", "vigorous", "journal", "walk"), SESSION)
def test_a_session_day_is_for_rest(hours: int, vigorous: str, journal: str, walk: str) -> None:
    chosen = [chose(name, step=3) for name in ("vigorous", "journal", "walk")]
    found = made({"chosen": chosen}, session_at=NOW_MS - hours * HOUR, last_bp=(120, 80))
    shown = {h.activity.id: "rests" if h.resting else str(h.activity.dose.step) for h in found.habits}
    assert shown == {"vigorous": vigorous, "journal": journal, "walk": walk}


def test_sessions_on_record_are_rest_days_and_count_for_nobody_s_adherence() -> None:
    doses = [
        {
            "resourceType": "MedicationAdministration",
            "id": f"adm-{n}",
            "status": "completed",
            "subject": {"reference": "Patient/p"},
            "effectiveDateTime": when(-days),
            "medicationCodeableConcept": {"coding": [{"system": "urn:adjunct:concept", "code": "esketamine"}]},
        }
        for n, days in enumerate((1, 4))
    ]
    bundle = person(age=44, reviewed=True, reconciled=True, extra=doses)
    who = from_bundle(read_bundle(bundle), knowledge(), now=instant(NOW), phase="intake")
    section = {"chosen": [chose("meditation", step=3)], "log": [noted("meditation", -n) for n in (0, 2, 3, 5, 6)]}
    (habit,) = made(section, who).habits
    assert habit.adherence is not None
    assert (habit.adherence.done, habit.adherence.planned, habit.adherence.unknown) == (5, 5, 0)
    (other,) = made(section).habits
    assert other.adherence is not None
    assert (other.adherence.done, other.adherence.planned, other.adherence.unknown) == (5, 7, 2)


@pytest.mark.parametrize(("answers", "rests"), [(ask_all(), False), ({}, True)], ids=["normal", "unknown"])
def test_exertion_waits_longer_after_a_session_when_the_pressure_is_unknown(
    answers: dict[str, str], rests: bool
) -> None:
    limits = (limit["if"] for limit in knowledge().selfcare["vigorous"]["limit"])
    cleared = {"cleared": [yes("vigorous", name) for name in limits]}
    section = {"chosen": [chose("vigorous")], "answers": answers, **cleared}
    (habit,) = made(section, session_at=NOW_MS - 30 * HOUR).habits
    assert habit.resting is rests


# --- what is surfaced -------------------------------------------------------------------------------------------------


def test_a_red_flag_in_a_note_is_surfaced_whatever_the_habit() -> None:
    log = [noted("walk", -1, "no", "I want to end my life"), noted("walk", -2, "yes", "nice and sunny")]
    found = made({"chosen": [chose("walk")], "log": log}, country="US")
    (alert,) = found.alerts
    assert alert.level == "emergency"
    assert "911" in alert.tell or "988" in alert.tell
    page = sheet(found, knowledge())
    assert page.parts[0].kind == "warning"
    assert page.parts[0].lines[0].text == alert.tell


def test_steps_stay_the_same_whenever_they_are_made_and_are_never_overdue() -> None:
    section = {"chosen": [chose("walk"), chose("breathing", step=2)], "log": [noted("walk", -0.1)]}
    early, late = made(section), made(section, at=NOW_MS + HOUR)
    assert {s.id: s for s in early.steps} == {s.id: s for s in late.steps}
    states = {d.step.id: d.state for d in due(late.steps, late.done, now=NOW_MS + HOUR)}
    assert states["routine.walk.2026-W47.1"] == DueState.DONE
    assert states["routine.walk.2026-W47.2"] == DueState.DUE
    assert DueState.OVERDUE not in states.values()
    assert len({s.id for s in early.steps}) == len(early.steps)


def test_no_step_before_it_was_chosen_nor_on_a_session_day() -> None:
    chosen = {"chosen": [chose("breathing", -2, step=2), chose("meditation", -2, step=3)]}
    found = made(chosen, session_at=NOW_MS - 20 * HOUR)
    days = {name: [s.id[-10:] for s in found.steps if f".{name}." in s.id] for name in ("breathing", "meditation")}
    assert days["breathing"][:3] == ["2026-11-19", "2026-11-20", "2026-11-21"]
    assert days["meditation"][:2] == ["2026-11-19", "2026-11-21"]


def test_a_week_over_the_change_of_clocks_has_each_day_once() -> None:
    found = made({"chosen": [chose("breathing", step=2)]}, at=instant("2027-03-12T09:00:00-06:00").ms)
    days = [s for s in found.steps if s.id.startswith("routine.breathing.2027-03")]
    assert [b.window.opens for b in days[1:]] == [a.window.closes for a in days[:-1]]
    assert min(s.window.closes - s.window.opens for s in days) == 23 * HOUR


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_page_says_how_sure_it_is_and_when_to_stop(language: str) -> None:
    found = made({"chosen": [chose("walk", cue="a las tres", dose="once round the pond")]}, language=language)
    page = sheet(found, knowledge())
    text = page.text()
    grade = knowledge().content["routine"]["grade"]["A"][language]
    assert any(grade in line.sure for part in page.parts for line in part.lines)
    assert knowledge().selfcare["walk"]["stop"][language] in text
    assert "{" not in text
    assert all(line.language == language for part in page.parts for line in part.lines)
    assert page.language == language
    assert "a las tres" in text
    assert ("minutos" in text) is (language == "es")
    json.dumps(found.to_dict())


# --- bad input --------------------------------------------------------------------------------------------------------

WRONG: list[tuple[Mapping[str, Any], str]] = [
    ({"chosen": [chose("kratom")]}, r"routine.chosen\[1\].activity"),
    ({"chosen": [chose("walk", goal="a little kratom, then out")]}, r"routine.chosen\[1\].goal"),
    ({"chosen": [chose("walk", cue="after 7-OH")]}, r"routine.chosen\[1\].cue"),
    ({"chosen": [chose("walk", dose="x" * 161)]}, r"routine.chosen\[1\].dose"),
    ({"chosen": [chose("walk", step=0)]}, r"routine.chosen\[1\].step"),
    ({"chosen": [chose("walk", step=6)]}, "from 1 to 5"),
    ({"chosen": [chose("rest")]}, "part of the treatment"),
    ({"chosen": [{"activity": "walk", "at": when(-1)}]}, r"routine.chosen\[1\].by"),
    ({"chosen": [{"activity": "walk", "at": "yesterday", "by": "Dana"}]}, r"routine.chosen\[1\].at"),
    ({"chosen": {"activity": "walk"}}, r"\[\[routine.chosen\]\]"),
    ({"edited": [chose("walk")]}, "without having been chosen"),
    ({"chosen": [chose("walk")], "stopped": [{"activity": "walk", "at": when(-20), "by": "D"}]}, "routine.stopped"),
    ({"cleared": [yes("walk", "weather")]}, r"routine.cleared\[1\].about"),
    ({"log": [{"activity": "walk", "at": when(-1), "done": "perhaps"}]}, r"routine.log\[1\].done"),
    ({"answers": {"trauma": "perhaps"}}, "routine.answers.trauma"),
    ({"answers": {"weather": "no"}}, "routine.answers"),
    ({"energy": 11}, "routine.energy"),
    ({"pain": "much"}, "routine.pain"),
    ({"wishes": []}, "no such key"),
]


@pytest.mark.parametrize(("section", "says"), WRONG, ids=[says for _, says in WRONG])
def test_bad_input_says_where_and_nothing_of_the_person(section: Mapping[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as error:
        read(section)
    assert "\n" not in str(error.value)
    assert "a little" not in str(error.value)


def test_energy_beyond_its_scale_is_refused() -> None:
    with pytest.raises(BadInput, match="energy"):
        made({}, energy=11)


def test_no_pages_in_a_language_that_nobody_wrote() -> None:
    with pytest.raises(BadInput, match="language"):
        made({}, language="fr")


# --- for all ----------------------------------------------------------------------------------------------------------

ACTS = st.lists(
    st.tuples(
        st.sampled_from(["chosen", "declined", "asked", "cleared"]),
        st.sampled_from(HABITS),
        st.integers(0, 60),
        st.integers(1, 2),
    ),
    max_size=12,
)
ANSWERS = st.dictionaries(st.sampled_from(CONDITIONS), st.sampled_from(["yes", "no", "unknown"]), max_size=8)
NOTES = st.lists(
    st.tuples(st.sampled_from(HABITS), st.integers(0, 40), st.sampled_from(["yes", "part", "no"])), max_size=20
)


def section_of(acts: Sequence[tuple[str, str, int, int]], notes: Sequence[tuple[str, int, str]]) -> dict[str, Any]:
    section: dict[str, Any] = {"log": [noted(a, -d, done) for a, d, done in notes]}
    for kind, activity, days, step in acts:
        first = next(iter(knowledge().selfcare[activity].get("limit", ())), None)
        if kind == "cleared" and first is None:
            continue
        extra: dict[str, Any] = {"step": step} if kind == "chosen" else {}
        extra |= {"about": first["if"]} if kind == "cleared" and first else {}
        section.setdefault(kind, []).append({"activity": activity, "at": when(-days), "by": "Dana"} | extra)
    return section


@settings(max_examples=60, deadline=None)
@given(acts=ACTS, answers=ANSWERS, notes=NOTES, energy=st.none() | st.integers(0, 10))
def test_whatever_was_chosen(acts: Any, answers: Any, notes: Any, energy: int | None) -> None:
    found = made({**section_of(acts, notes), "answers": answers}, record(), energy=energy)
    assert sum(h.new for h in found.habits) <= 3
    assert len(found.offers) + sum(h.new for h in found.habits) <= 3
    excluded = {
        e["id"]
        for e in knowledge().selfcare.values()
        if any(lim["effect"] == "exclude" and answers.get(lim["if"]) == "yes" for lim in e.get("limit", ()))
    }
    assert not excluded & {h.activity.id for h in found.habits}
    assert not excluded & {o.id for o in found.offers}
    assert not set(found.declined) & {o.id for o in found.offers}
    chosen = {h.activity.id for h in (*found.habits, *found.waiting, *found.paused)}
    assert not chosen & {o.id for o in found.offers}
    assert all(0 <= h.activity.dose.step <= h.agreed.step for h in found.habits)


@settings(max_examples=60, deadline=None)
@given(notes=NOTES, day=st.integers(0, 8), answers=ANSWERS)
def test_doing_it_once_more_never_makes_the_step_smaller(notes: Any, day: int, answers: Any) -> None:
    section = {"chosen": [chose("walk", step=3)], "answers": ask_all(**answers)}
    mine = [("walk", d, done) for _, d, done in notes]
    before = made(section | section_of((), mine))
    after = made(section | section_of((), [*mine, ("walk", day, "yes")]))
    for one, two in zip(before.habits, after.habits, strict=True):
        assert two.activity.dose.step >= one.activity.dose.step >= 0


@settings(max_examples=30, deadline=None)
@given(acts=ACTS, notes=NOTES, answers=ANSWERS)
def test_both_languages_say_the_same_at_the_same_places(acts: Any, notes: Any, answers: Any) -> None:
    section = {**section_of(acts, notes), "answers": answers}
    english, spanish = (made(section, language=code) for code in ("en", "es"))
    assert english.agreed == spanish.agreed
    first, second = (sheet(r, knowledge()) for r in (english, spanish))
    assert [(p.id, p.kind, len(p.lines)) for p in first.parts] == [(p.id, p.kind, len(p.lines)) for p in second.parts]


def test_the_future_has_not_happened() -> None:
    section = {"chosen": [chose("walk", 1)], "log": [noted("walk", 2)]}
    found = made(section)
    assert not found.habits
    assert not found.done
    assert read(section)[0].answers.get("trauma", NO) == NO
