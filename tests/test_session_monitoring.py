"""What is due at a chair, minute by minute and route by route; what makes a check done, missed, or due more often.

Minutes count from the start of the dose.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.due import Due
from adjunct.knowledge import Knowledge
from adjunct.session.monitoring import due_now, gaps
from sessions import Log, at

KNOWLEDGE = Knowledge.load()
ROUTES = ("esketamine-nasal", "ketamine-iv", "ketamine-im", "ketamine-sc")
WELL = {"systolic": 124, "diastolic": 78, "heart_rate": 70, "resp_rate": 14, "spo2": 98}
SYMPTOMS = ("chest_pain", "dyspnoea", "severe_headache", "new_headache", "visual_loss", "visual_disturbance")
SYMPTOMS += ("neurological_deficit", "confusion")


def session(treatment: str, *, ends: float | None = 40) -> Log:
    """A dose from minute 0 on; an infusion is ended at `ends`."""
    log = Log(KNOWLEDGE, treatment)
    if treatment == "esketamine-nasal":
        log.devices()
    elif treatment == "ketamine-iv":
        log.infusion()
        if ends is not None:
            log.add(ends, "dose-stopped", complete=True)
    else:
        log.add(-5, "dose-prepared", substance="ketamine", dose=35, prescriber="Dr Okoye", volume=0.7, concentration=50)
        log.put(-4, "dose-checked", {"prepared": log.events[-1].id, "agrees": True, "dose": 35}, by="Nurse Lund")
        log.add(0, "injection-given", dose=35)
    return log


def lines(log: Log, minute: float) -> tuple[Due, ...]:
    """What is due at `minute`, with what was known then."""
    then = Log(KNOWLEDGE, ready=False)
    then.events = [event for event in log.events if event.at <= at(minute)]
    return due_now(then.state, at(minute), KNOWLEDGE)


def line(log: Log, minute: float, what: str) -> str:
    """The line that asks for `what`; where none does yet, the next one that will."""
    found = [d for d in lines(log, minute) if d.step.what == what]
    asking = [d for d in found if d.state in ("open", "due", "overdue")] or [d for d in found if d.state == "waiting"]
    return f"{asking[0].state} {asking[0].step.id}" if asking else "nothing"


def stands(log: Log, minute: float, step: str) -> str:
    return next((d.state.value for d in lines(log, minute) if d.step.id == step), "not shown")


def missed(log: Log, minute: float, *, of: str = "") -> list[str]:
    return [d.step.id for d in gaps(log.state, at(minute), KNOWLEDGE) if d.step.id.startswith(of)]


# --- nobody measures anything: what is asked for, minute by minute ----------------------------------------------------

NASAL = [
    (1, "waiting nasal.pressure.40"),
    (34, "waiting nasal.pressure.40"),
    (35, "open nasal.pressure.40"),
    (39, "open nasal.pressure.40"),
    (40, "due nasal.pressure.40"),
    (42, "due nasal.pressure.40"),
    (43, "overdue nasal.pressure.40"),  # shown before it is lost at 55
    (54, "overdue nasal.pressure.40"),
    (55, "open nasal.pressure.60"),
    (60, "due nasal.pressure.60"),
    (63, "overdue nasal.pressure.60"),
    (85, "open nasal.pressure.90"),
    (90, "due nasal.pressure.90"),
    (93, "overdue nasal.pressure.90"),
    (115, "open nasal.pressure.120"),
    (120, "due nasal.pressure.120"),
    (145, "overdue leaving.pressure"),  # the shortest stay was over at 125
]
INFUSION = [
    (4, "waiting infusion.pressure.10"),
    (5, "open infusion.pressure.10"),
    (10, "due infusion.pressure.10"),
    (12, "due infusion.pressure.10"),
    (13, "overdue infusion.pressure.10"),
    (15, "open infusion.pressure.20"),
    (23, "overdue infusion.pressure.20"),
    (30, "due infusion.pressure.30"),
    (40, "due infusion.pressure.40"),
    (44, "overdue infusion.pressure.40"),  # ended at 40: the last one is still wanted
    (45, "waiting recovery.pressure.15"),
    (50, "open recovery.pressure.15"),
    (55, "due recovery.pressure.15"),
    (58, "overdue recovery.pressure.15"),
    (70, "due recovery.pressure.30"),
    (85, "due recovery.pressure.45"),
    (100, "due recovery.pressure.60"),
]
INJECTION = [
    (10, "due infusion.pressure.10"),  # it cannot be stopped: watched as closely as an infusion
    (40, "due infusion.pressure.40"),
    (55, "due recovery.pressure.15"),
]


@pytest.mark.parametrize(
    ("treatment", "minute", "asked"),
    [
        *(("esketamine-nasal", *row) for row in NASAL),
        *(("ketamine-iv", *row) for row in INFUSION),
        *((route, *row) for route in ("ketamine-im", "ketamine-sc") for row in INJECTION),
    ],
)
def test_pressure_minute_by_minute_while_nobody_measures(treatment: str, minute: float, asked: str) -> None:
    assert line(session(treatment), minute, "pressure") == asked


@pytest.mark.parametrize(
    ("treatment", "minute", "checks"),
    [
        ("esketamine-nasal", 40, "pressure pulse-oxygen breaths sedation dissociation"),
        ("ketamine-iv", 20, "pressure pulse-oxygen breaths sedation distress"),
        ("ketamine-iv", 40, "pressure pulse-oxygen breaths sedation distress dissociation"),  # the peak
        ("ketamine-iv", 55, "pressure pulse-oxygen breaths sedation distress"),
        ("ketamine-im", 40, "pressure pulse-oxygen breaths sedation distress dissociation"),
    ],
)
def test_what_each_round_asks_for_in_its_order(treatment: str, minute: float, checks: str) -> None:
    log = session(treatment)
    log.add(37, "dissociation", cadss6=9) if minute > 40 else None
    assert [d.step.what for d in lines(log, minute) if d.state == "due"] == checks.split()


def test_an_infusion_that_runs_on_is_measured_on() -> None:
    log = session("ketamine-iv", ends=None)
    assert line(log, 60, "pressure") == "due infusion.pressure.60"
    assert stands(log, 60, "recovery.pressure.15") == "not shown"
    log.add(22, "dose-paused", reason="nausea")
    assert line(log, 60, "pressure") == "due infusion.pressure.60"  # paused is not over


def test_after_the_first_hour_the_interval_is_longer_and_has_no_end() -> None:
    log = session("ketamine-iv")
    assert [stands(log, minute, "late.distress.90") for minute in (124, 125, 130, 133)] == [
        "waiting",
        "open",
        "due",
        "overdue",
    ]
    assert stands(log, 12 * 60 + 10, "late.distress.690") == "due"
    nasal = ["nasal.breaths.40", "nasal.breaths.60", "nasal.breaths.90", "nasal.breaths.120", "nasal.breaths.150"]
    assert missed(session("esketamine-nasal"), 175, of="nasal.breaths") == nasal


@pytest.mark.parametrize(
    ("minute", "data", "again"),
    [
        (None, {}, ["peak.dissociation.40", "peak.dissociation.60", "peak.dissociation.80"]),
        (40, {"cadss6": 3}, ["peak.dissociation.60", "peak.dissociation.80"]),
        (40, {"cadss6": 2}, []),
        (
            34,
            {"cadss6": 2},
            ["peak.dissociation.40", "peak.dissociation.60", "peak.dissociation.80"],
        ),  # before the peak
        (60, {"cadss6": 0}, ["peak.dissociation.40"]),
        (45, {"dissociation_resolved": True}, []),
        (45, {"dissociation_resolved": False}, ["peak.dissociation.60", "peak.dissociation.80"]),
    ],
)
def test_dissociation_is_rated_at_its_peak_and_until_it_has_settled(
    minute: float | None, data: dict[str, Any], again: list[str]
) -> None:
    log = session("ketamine-iv")
    if minute is not None:
        log.add(minute, "dissociation", **data)
    assert missed(log, 120, of="peak") == again


# --- what makes a check done ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minute", "state", "gap"),
    [
        (34, "overdue", True),  # too early
        (35, "done", False),
        (40, "done", False),
        (54, "done", False),  # late, and with its own time
        (55, "overdue", True),  # that is the reading of 60 minutes
    ],
)
def test_a_reading_counts_inside_its_window(minute: float, state: str, gap: bool) -> None:
    log = session("esketamine-nasal")
    log.add(minute, "vitals", systolic=131, diastolic=80)
    assert stands(log, 54.5, "nasal.pressure.40") == ("overdue" if minute == 55 else state)
    assert ("nasal.pressure.40" in missed(log, 56)) == gap


@pytest.mark.parametrize(
    ("check", "kind", "half", "whole"),
    [
        ("pressure", "vitals", {"systolic": 120}, {"systolic": 120, "diastolic": 80}),
        ("pulse-oxygen", "vitals", {"spo2": 97}, {"spo2": 97, "heart_rate": 70}),
        ("breaths", "vitals", {"spo2": 97}, {"resp_rate": 14}),
        ("sedation", "sedation", None, {"rass": 0}),
        ("sedation", "sedation", None, {"moaas": 5}),
        ("dissociation", "dissociation", None, {"cadss": 6}),
        ("dissociation", "dissociation", None, {"dissociation_resolved": True}),
        ("pulse-oxygen", "vitals", {"spo2": 120, "heart_rate": 70}, {"spo2": 97, "heart_rate": 70}),  # an artefact
    ],
)
def test_half_a_check_is_not_done(check: str, kind: str, half: dict[str, Any] | None, whole: dict[str, Any]) -> None:
    for data, state in ((half, "due"), (whole, "done")):
        log = session("esketamine-nasal")
        if data is not None:
            log.add(39, kind, **data)
            assert stands(log, 41, f"nasal.{check}.40") == state


def test_the_halves_may_come_one_after_the_other() -> None:
    log = session("esketamine-nasal")
    log.add(38, "vitals", systolic=120)
    log.add(41, "vitals", diastolic=80)
    found = next(d for d in lines(log, 42) if d.step.id == "nasal.pressure.40")
    assert (found.state.value, found.done and found.done.at) == ("done", at(41))


def test_no_box_can_be_ticked_for_a_measurement() -> None:
    log = session("esketamine-nasal")
    log.add(40, "action", what="pressure", step="nasal.pressure.40")
    assert stands(log, 41, "nasal.pressure.40") == "due"


@given(minute=st.integers(5, 44))
@settings(max_examples=40)
def test_every_reading_of_an_infusion_belongs_to_one_time(minute: int) -> None:
    log = session("ketamine-iv", ends=None)
    before = set(missed(log, 60, of="infusion.pressure"))
    log.add(minute, "vitals", **WELL)
    assert len(before - set(missed(log, 60, of="infusion.pressure"))) == 1


@given(minutes=st.lists(st.integers(-30, 240), max_size=8), treatment=st.sampled_from(ROUTES))
@settings(max_examples=60)
def test_one_more_reading_never_makes_a_gap(minutes: list[int], treatment: str) -> None:
    log, wider = session(treatment), session(treatment)
    for place, minute in enumerate(minutes):
        wider.add(minute, "vitals", **WELL)
        log.add(minute, "vitals", **WELL) if place else None
    assert set(missed(wider, 240)) <= set(missed(log, 240))


# --- before the dose --------------------------------------------------------------------------------------------------

BASELINE = ("pressure", "pulse-oxygen", "breaths", "temperature", "sedation", "mood", "nausea")


def waiting_for_dose(treatment: str = "esketamine-nasal") -> Log:
    return Log(KNOWLEDGE, treatment)  # checked in 40 minutes before 0


@pytest.mark.parametrize(("minute", "state"), [(-40, "due"), (-11, "due"), (-10, "overdue")])
@pytest.mark.parametrize("check", [*BASELINE, "suicide-questions", "fasting", "identity_confirmed", "emergency_kit"])
def test_the_baseline_is_due_from_check_in_on(minute: float, state: str, check: str) -> None:
    assert stands(waiting_for_dose(), minute, f"before.{check}") == state


@pytest.mark.parametrize(
    ("treatment", "asked"), [("esketamine-nasal", "not shown"), ("ketamine-iv", "due"), ("ketamine-sc", "due")]
)
def test_weight_is_asked_where_the_dose_follows_it(treatment: str, asked: str) -> None:
    assert stands(waiting_for_dose(treatment), -35, "before.weight") == asked


def test_consent_is_asked_once_however_it_is_recorded() -> None:
    log = Log(KNOWLEDGE, "ketamine-iv")
    assert [stands(log, minute, "before.consent") for minute in (-31, -30)] == ["due", "done"]


def test_what_a_prescriber_decided_to_go_on_without_is_not_asked_for() -> None:
    log = waiting_for_dose()
    log.add(-20, "readiness", fasting_food="2027-01-11T06:00:00+01:00")
    assert stands(log, -19, "before.fasting") == "due"
    log.add(-18, "override", item="fasting_fluid", prescriber="Dr Okoye", reason="a sip of water")
    assert stands(log, -17, "before.fasting") == "done"


@pytest.mark.parametrize(
    ("age", "step", "state"),
    [
        (0, "before.pressure", "done"),
        (24, "before.pressure", "done"),
        (25, "again", "open"),
        (30, "again", "due"),  # from now on it does not count for a dose
        (33, "again", "overdue"),
    ],
)
def test_vital_signs_that_grow_old_are_due_again(age: float, step: str, state: str) -> None:
    log = waiting_for_dose()
    log.add(-38, "vitals", **WELL, temperature=36.5)
    name = step if step != "again" else f"before.pressure.after-{at(-38)}"
    assert stands(log, -38 + age, name) == state
    assert stands(log, -38 + age, "before.temperature") == "done"  # it counts for longer


def test_a_dose_on_old_or_no_vital_signs_is_a_gap() -> None:
    log = session("ketamine-iv")
    assert {f"before.{check}" for check in BASELINE} <= set(missed(log, 1))
    log.add(-31, "vitals", **WELL, temperature=36.5)
    assert "before.pressure" in missed(log, 1)
    assert "before.temperature" not in missed(log, 1)
    log.add(-30, "vitals", **WELL)
    assert "before.pressure" not in missed(log, 1)


@pytest.mark.parametrize(
    ("systolic", "diastolic", "twice"), [(140, 90, False), (141, 80, True), (130, 91, True), (150, 95, True)]
)
def test_a_high_first_pressure_is_measured_twice(systolic: float, diastolic: float, twice: bool) -> None:
    log = waiting_for_dose()
    log.add(-30, "vitals", systolic=systolic, diastolic=diastolic)
    asked = [stands(log, minute, "pressure-second") for minute in (-29, -25, -22)]
    assert asked == (["waiting", "due", "overdue"] if twice else ["not shown"] * 3)
    log.add(-26, "vitals", systolic=130, diastolic=80)  # too soon after the first
    assert (stands(log, -25, "pressure-second") == "due") == twice
    log.add(-25, "vitals", systolic=130, diastolic=80)
    assert stands(log, -24, "pressure-second") == ("done" if twice else "not shown")


def test_nobody_has_checked_in_nothing_is_due() -> None:
    assert due_now(Log(KNOWLEDGE, ready=False).state, at(0), KNOWLEDGE) == ()


# --- the dose ---------------------------------------------------------------------------------------------------------


def test_a_prepared_dose_waits_for_a_second_person() -> None:
    log = waiting_for_dose("ketamine-iv")
    log.infusion()
    assert [stands(log, minute, "double-check") for minute in (-6, -5, -4)] == ["not shown", "due", "not shown"]
    assert "double-check" not in missed(log, 1)
    log.events = [event for event in log.events if event.type != "dose-checked"]
    assert stands(log, 1, "double-check") == "due"
    assert "double-check" in missed(log, 1)


def test_the_next_device_waits_for_its_rest() -> None:
    log = Log(KNOWLEDGE, "esketamine-nasal")
    log.devices(number=3)
    given = [e for e in log.events if e.type == "device-given"]
    log.events = [e for e in log.events if e not in given[1:]]
    assert [stands(log, m, "next-device") for m in (4, 5, 9, 10)] == ["waiting", "due", "due", "overdue"]
    found = next(d.step for d in lines(log, 4) if d.step.id == "next-device")
    assert found.title == "Device 2 of 3, from 09:05; else end the dose"
    log.events.append(given[1])
    assert next(d.step.title for d in lines(log, 6) if d.step.id == "next-device").startswith(
        "Device 3 of 3, from 09:10"
    )
    log.add(7, "dose-stopped", complete=False, reason="enough")
    assert stands(log, 11, "next-device") == "not shown"


def test_a_dose_of_which_nothing_more_is_prepared_is_to_be_ended() -> None:
    log = Log(KNOWLEDGE, "esketamine-nasal")
    log.add(0, "device-given", number=1, dose=28)
    assert (stands(log, 6, "next-device"), stands(log, 6, "no-more-devices")) == ("not shown", "due")


@pytest.mark.parametrize(
    ("change", "minute", "ends"),
    [
        (None, 20, 40),
        ({"rate": 60}, 20, 40 + 20 * (75 / 60 - 1)),  # slower for the second half
        ("pause", 25, None),
    ],
)
def test_when_the_infusion_will_end(change: Any, minute: float, ends: float | None) -> None:
    log = session("ketamine-iv", ends=None)
    if change == "pause":
        log.add(20, "dose-paused", reason="nausea")
    elif change:
        log.add(20, "rate-changed", **change)
    found = [d.step.window for d in lines(log, minute) if d.step.id == "infusion-end"]
    assert [(w.opens, w.due) for w in found] == ([] if ends is None else [(at(ends - 5), at(ends))])


# --- while an alarm stands --------------------------------------------------------------------------------------------


def alarmed(**vitals: float) -> Log:
    log = session("ketamine-iv", ends=None)
    log.add(-10, "vitals", **WELL)
    log.add(9, "vitals", **WELL)
    log.add(20, "vitals", **(WELL | vitals))
    return log


@pytest.mark.parametrize(
    ("vitals", "what", "windows"),
    [
        ({}, "pressure", None),  # no alarm: the round of 30 minutes is next
        ({"heart_rate": 131}, "pressure", (24, 25, 26)),
        ({"heart_rate": 131}, "pulse-oxygen", (24, 25, 26)),
        ({"systolic": 140, "diastolic": 90}, "pressure", None),
        ({"systolic": 160}, "pressure", (22, 23, 25)),  # three to five minutes
        ({"systolic": 165}, "breaths", (24, 25, 26)),
        ({"diastolic": 110}, "pressure", (22, 23, 25)),
    ],
)
def test_an_alarm_shortens_the_interval(
    vitals: dict[str, float], what: str, windows: tuple[int, int, int] | None
) -> None:
    found = {d.step.what: d.step for d in lines(alarmed(**vitals), 21) if d.step.id.startswith(("alarm", "infusion."))}
    if windows is None:
        assert found[what].id.startswith("infusion.")
    else:
        window = found[what].window
        assert (window.opens, window.due, window.overdue) == tuple(at(minute) for minute in windows)


def test_what_was_not_measured_lately_is_due_at_once_when_the_alarm_comes() -> None:
    log = alarmed(heart_rate=131)
    assert line(log, 20.5, "sedation") == "due alarm.sedation.first"
    assert line(log, 22, "sedation") == "overdue alarm.sedation.first"
    log.add(23, "sedation", moaas=5)
    assert [line(log, m, "sedation").split()[0] for m in (23, 27, 28, 29)] == ["waiting", "open", "due", "overdue"]


def test_a_check_of_the_probe_shortens_nothing() -> None:
    log = alarmed(spo2=120)
    assert not [d for d in lines(log, 21) if d.step.id.startswith("alarm")]


def test_the_symptoms_of_a_very_high_pressure_are_asked_for_each() -> None:
    log = alarmed(systolic=179, diastolic=100)
    assert stands(log, 21, "pressure-symptoms") == "not shown"
    log = alarmed(systolic=180)
    assert [stands(log, minute, "pressure-symptoms") for minute in (20, 21, 22)] == ["due", "due", "overdue"]
    for sign in SYMPTOMS[:-1]:
        log.add(21, "event", sign=sign, present=False)
    assert stands(log, 22, "pressure-symptoms") == "overdue"  # one was not asked
    log.add(22, "event", sign=SYMPTOMS[-1], present=False)
    assert stands(log, 23, "pressure-symptoms") == "done"


def test_stop_the_dose_until_it_is_stopped() -> None:
    log = alarmed(systolic=185)
    assert [stands(log, minute, "stop-dose") for minute in (19, 20, 20.9, 21)] == ["not shown", "due", "due", "overdue"]
    assert stands(log, 21, "infusion-end") == "not shown"
    log.add(22, "dose-stopped", complete=False, reason="pressure")
    assert stands(log, 23, "stop-dose") == "not shown"


# --- leaving ----------------------------------------------------------------------------------------------------------


def test_after_naloxone_the_person_is_transferred() -> None:
    log = session("ketamine-iv")
    log.add(50, "medication-given", substance="Narcan", dose="0.1 mg", route="intravenous")
    log.add(53, "medication-given", substance="naloxone", dose="0.1 mg", route="intravenous")
    found = next(d for d in lines(log, 55) if d.step.id == "transfer")
    assert (found.state.value, found.step.owner) == ("overdue", "prescriber")  # counted from the first
    log.add(56, "transferred", to="hospital", reason="naloxone")
    assert lines(log, 57) == ()


def test_before_leaving_what_the_gate_lacks_from_its_earliest_moment_on() -> None:
    log = session("esketamine-nasal")  # the second device at 5
    assert next(d for d in lines(log, 119) if d.step.id == "leaving").step.title == "Discharge check, from 11:05"
    assert [stands(log, minute, "leaving.escort") for minute in (119, 120, 125, 128)] == [
        "not shown",
        "open",
        "due",
        "overdue",
    ]
    log.add(129, "escort", present=True, fit=True, name="Sam Ruiz")
    assert stands(log, 130, "leaving.escort") == "not shown"
    assert stands(log, 130, "leaving.recovery") == "overdue"


def test_what_is_not_met_is_looked_at_again_later() -> None:
    log = session("esketamine-nasal")
    log.add(126, "vitals", systolic=150, diastolic=92)
    assert [stands(log, minute, "leaving.pressure") for minute in (127, 136, 139)] == ["open", "due", "overdue"]


def test_who_walked_out_is_called_and_the_prescriber_told() -> None:
    log = session("esketamine-nasal")
    log.add(60, "left-before-discharge", warned=True)
    found = {d.step.id: d for d in lines(log, 61)}
    assert set(found) == {"left-warn", "left-call-person", "left-call-escort", "left-tell-prescriber", "left-welfare"}
    assert found["left-warn"].state == "done"
    assert found["left-tell-prescriber"].step.window.overdue == at(75)
    for reached, state in ((False, "due"), (True, "done")):
        call = (at(62), {"what": "call", "step": "left-call-person", "reached": reached}, "Nurse Ito")
        duties = due_now(log.state.but(actions=(call,)), at(63), KNOWLEDGE)
        assert [d.state.value for d in duties if d.step.id == "left-call-person"] == [state]


def test_a_session_that_is_over_asks_for_nothing_and_keeps_its_gaps() -> None:
    log = session("ketamine-iv")
    log.add(60, "transferred", to="hospital", reason="chest pain")
    assert lines(log, 300) == ()
    assert missed(log, 300, of="recovery.pressure") == ["recovery.pressure.15"]
    assert not missed(log, 300, of="late")


def test_a_dose_that_should_not_have_been_is_watched_all_the_same() -> None:
    log = Log(KNOWLEDGE, "esketamine-nasal")
    log.add(-10, "event", sign="chest_pain", present=True)  # a hard stop
    log.add(0, "device-given", number=1, dose=28)
    log.add(1, "event", sign="chest_pain", present=False)
    assert log.state.dose.first is None
    assert line(log, 40, "dissociation") == "due nasal.dissociation.40"


# --- the words --------------------------------------------------------------------------------------------------------


@given(minute=st.integers(-40, 200), treatment=st.sampled_from(ROUTES), systolic=st.sampled_from([120, 165, 185]))
@settings(max_examples=80)
def test_every_line_has_words_an_owner_and_a_source(minute: int, treatment: str, systolic: int) -> None:
    log = session(treatment)
    log.add(minute - 1, "vitals", **(WELL | {"systolic": systolic}))
    for found in (*lines(log, minute), *gaps(log.state, at(minute), KNOWLEDGE)):
        step = found.step
        assert step.title
        assert "{" not in step.title
        assert step.owner in ("nurse", "prescriber")
        assert step.basis in KNOWLEDGE.sources
    assert not [d for d in lines(log, minute) if d.state == "missed"]  # what is lost is no task any more
    asked = [d.step.what for d in lines(log, minute) if d.state in ("open", "due", "overdue")]
    assert len(asked) == len(set(asked))  # one line for one thing to measure
