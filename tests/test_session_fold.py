"""The treatment day as a fold: what fits, what is flagged, and what holds for every sequence of events."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.knowledge import Knowledge
from adjunct.session import History, State, advance
from adjunct.session.alarms import standing
from adjunct.session.discharge import gate, left
from adjunct.session.model import Phase
from adjunct.session.pump import so_far
from sessions import MINUTE, Log, at


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


# --- what does not fit ------------------------------------------------------------------------------------------------


def before_check_in(day: Log) -> None:
    day.events.clear()
    day.add(0, "vitals", spo2=98)


def double_start(day: Log) -> None:
    day.infusion()
    day.add(5, "infusion-started", rate=75, concentration=0.7, volume=50)


def start_after_stop(day: Log) -> None:
    day.infusion()
    day.add(10, "dose-stopped", complete=False)
    day.add(12, "infusion-started", rate=75, concentration=0.7, volume=50)


def injection_after_stop(day: Log) -> None:
    day.infusion()
    day.add(10, "dose-stopped", complete=False)
    day.add(12, "injection-given", dose=20)


def start_after_pause(day: Log) -> None:
    day.infusion()
    day.add(10, "dose-paused", reason="nausea")
    day.add(60, "infusion-started", rate=75, concentration=0.7, volume=50)


def injection_beside_infusion(day: Log) -> None:
    day.infusion()
    day.add(5, "injection-given", dose=10)


def rate_without_infusion(day: Log) -> None:
    day.devices(number=2)
    day.events.pop()
    day.add(1, "dose-paused", reason="nausea")
    day.add(2, "dose-resumed", rate=50)
    day.add(3, "dose-paused", reason="nausea")


def dose_after_emergency(day: Log) -> None:
    day.add(-2, "event", sign="seizure", present=True)
    day.add(-1, "event", sign="seizure", present=False)
    day.infusion()


def resume_after_alarm(day: Log) -> None:
    day.infusion()
    day.add(5, "vitals", systolic=185, diastolic=95)
    day.add(6, "dose-paused", reason="pressure")
    day.add(20, "vitals", systolic=140, diastolic=80)
    day.add(21, "dose-resumed")


def devices_too_soon(day: Log) -> None:
    day.devices(number=1)
    day.add(2, "device-given", number=2, dose=28)


def second_injection(day: Log) -> None:
    day.add(0, "injection-given", dose=35)
    day.add(1, "injection-given", dose=35)


def not_checked(day: Log) -> None:
    day.add(0, "infusion-started", rate=75, concentration=0.7, volume=50)


def checked_alone(day: Log) -> None:
    name = day.add(0, "dose-prepared", substance="ketamine", dose=35, prescriber="Dr Okoye")
    day.add(1, "dose-checked", prepared=name, agrees=True, dose=35)


def without_consent(day: Log) -> None:
    day.add(-20, "consent", confirmed=False)
    day.infusion()


def foreign_monitor(day: Log) -> None:
    day.put(0, "vitals", {"spo2": 98}, by="monitor-9", source="monitor-9")


def ties_itself(day: Log) -> None:
    day.put(0, "device-assigned", {"device": "monitor-9"}, by="monitor-9", source="chair")


def twice_checked_in(day: Log) -> None:
    day.add(0, "checked-in", patient="Patient/2", treatment="ketamine-iv")


def discharge_at_once(day: Log) -> None:
    day.infusion()
    day.add(40, "dose-stopped", complete=True)
    day.add(41, "discharged", signed_by="Dr Okoye", role="prescriber")


def after_the_end(day: Log) -> None:
    day.infusion()
    day.add(10, "transferred", to="emergency department", reason="seizure")
    day.add(11, "vitals", spo2=98)


def treated_after_all(day: Log) -> None:
    day.infusion()
    day.add(10, "not-treated", reason="changed mind")


def pump_disagrees(day: Log) -> None:
    day.infusion()
    day.add(40, "dose-stopped", complete=True, volume=20)


def clock_ahead(day: Log) -> None:
    day.put(10, "vitals", {"spo2": 98}, late=-5)


def another_lot(day: Log) -> None:
    name = day.add(0, "dose-prepared", substance="esketamine", dose=28, devices=1, prescriber="Dr Okoye", lot="S1")
    day.put(1, "dose-checked", {"prepared": name, "agrees": True, "dose": 28}, by="Nurse Lund")
    day.add(2, "device-given", number=1, dose=28, lot="S9")


def expired_device(day: Log) -> None:
    day.add(0, "device-given", number=1, dose=28, expiry="2026-12")


def three_in_one(day: Log) -> None:
    day.add(0, "device-given", number=1, dose=84)


def against_an_answer(day: Log) -> None:
    day.add(-8, "readiness", intoxication=True)
    day.infusion()


def corrects_a_correction(day: Log) -> None:
    day.put(0, "vitals", {"spo2": 97}, name="v")
    day.put(1, "correction", {"corrects": "v", "reason": "typed wrong", "data": {"spo2": 96}}, name="c")
    day.put(2, "correction", {"corrects": "c", "reason": "no", "withdrawn": True})


def signed_by_an_escort(day: Log) -> None:
    day.infusion()
    day.add(40, "dose-stopped", complete=True)
    day.add(200, "discharged", signed_by="Sam", role="escort")


def prepared_too_late(day: Log) -> None:
    day.infusion()
    day.add(40, "dose-stopped", complete=True)
    day.add(50, "override", item="escort", prescriber="Dr Okoye", reason="late")


FLAGGED: list[tuple[Callable[[Log], None], str, str]] = [
    (before_check_in, "ketamine-iv", "before-check-in"),
    (twice_checked_in, "ketamine-iv", "double-check-in"),
    (double_start, "ketamine-iv", "double-start"),
    (start_after_stop, "ketamine-iv", "dose-after-stop"),
    (start_after_pause, "ketamine-iv", "double-start"),
    (injection_beside_infusion, "ketamine-iv", "beside-infusion"),
    (rate_without_infusion, "esketamine-nasal", "pump-not-running"),
    (injection_after_stop, "ketamine-im", "dose-after-stop"),
    (dose_after_emergency, "ketamine-iv", "dose-after-alarm"),
    (resume_after_alarm, "ketamine-iv", "resume-refused"),
    (devices_too_soon, "esketamine-nasal", "device-too-soon"),
    (second_injection, "ketamine-im", "second-injection"),
    (not_checked, "ketamine-iv", "not-double-checked"),
    (checked_alone, "ketamine-iv", "check-same-person"),
    (without_consent, "ketamine-iv", "no-consent"),
    (foreign_monitor, "ketamine-iv", "device-not-tied"),
    (ties_itself, "ketamine-iv", "not-confirmed"),
    (discharge_at_once, "ketamine-iv", "discharge-refused"),
    (after_the_end, "ketamine-iv", "after-end"),
    (treated_after_all, "ketamine-iv", "was-treated"),
    (pump_disagrees, "ketamine-iv", "pump-differs"),
    (clock_ahead, "ketamine-iv", "clock-ahead"),
    (another_lot, "esketamine-nasal", "other-lot"),
    (expired_device, "esketamine-nasal", "expired"),
    (three_in_one, "esketamine-nasal", "device-dose"),
    (against_an_answer, "ketamine-iv", "dose-against-answer"),
    (corrects_a_correction, "ketamine-iv", "corrects-nothing"),
    (signed_by_an_escort, "ketamine-iv", "discharge-refused"),
    (prepared_too_late, "ketamine-iv", "unusual-moment"),
]


@pytest.mark.parametrize(("happens", "treatment", "code"), FLAGGED, ids=[f.__name__ for f, _, _ in FLAGGED])
def test_what_does_not_fit_is_flagged(knowledge: Knowledge, happens: Any, treatment: str, code: str) -> None:
    day = Log(knowledge, treatment)
    happens(day)
    assert code in day.codes()


def test_a_day_that_fits_has_no_flag(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion()
    day.add(40, "dose-stopped", complete=True, volume=50)
    nasal = Log(knowledge, "esketamine-nasal")
    nasal.devices(number=3)
    assert (day.codes(), nasal.codes()) == ([], [])
    assert nasal.state.phase is Phase.OBSERVING  # the last device that was ordered ends the dose


def test_a_danger_before_check_in_is_judged(knowledge: Knowledge) -> None:
    day = Log(knowledge, ready=False)
    day.add(0, "vitals", spo2=78)
    day.add(0, "event", sign="seizure", present=True)
    state = day.state
    assert "spo2" not in state.readings
    found = {a.alarm for a in standing(state, at(0), day.day.table)}
    assert found == {"respiratory-depression", "seizure"}


# --- the dose ---------------------------------------------------------------------------------------------------------


def test_pump_arithmetic_over_changes_and_a_pause(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion()  # 75 mL/h of 0.7 mg/mL: 0.875 mg a minute
    day.add(10, "rate-changed", rate=37.5)
    day.add(20, "dose-paused", reason="nausea")
    day.add(30, "dose-resumed")
    state = day.state
    given = [so_far(state.dose, at(minute)) for minute in (0, 10, 20, 30, 40)]
    assert given == pytest.approx([0, 8.75, 13.125, 13.125, 17.5])


def test_a_prescriber_may_go_on_after_a_stop_that_is_over(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    resume_after_alarm(day)
    day.add(22, "dose-resumed", prescriber="Dr Okoye", reason="pressure settled, no symptoms")
    assert day.state.phase is Phase.DOSING


def test_after_a_hard_stop_nobody_may(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion()
    day.add(5, "event", sign="seizure", present=True)
    day.add(6, "dose-paused", reason="seizure")
    day.add(20, "event", sign="seizure", present=False)
    day.add(30, "dose-resumed", prescriber="Dr Okoye", reason="over")
    assert day.state.phase is Phase.PAUSED


def test_the_stay_is_counted_from_the_last_device_ever_written(knowledge: Knowledge) -> None:
    day = Log(knowledge, "esketamine-nasal")
    day.devices(number=2)
    wrong = day.events[-1].id
    day.add(20, "correction", corrects=wrong, reason="was earlier", at="2027-01-11T09:01:00+01:00")
    assert day.state.dose.watch_from == at(5)


@pytest.mark.parametrize(
    ("witness", "counts"), [("", True), ("Nurse Ito", True), ("nurse  ito", True), ("Dr Okoye", False)]
)
def test_a_dose_is_taken_back_only_by_two(knowledge: Knowledge, witness: str, counts: bool) -> None:
    day = Log(knowledge, "esketamine-nasal")
    name = day.add(0, "device-given", number=1, dose=28)
    second = {"witness": witness} if witness else {}
    day.add(3, "correction", corrects=name, reason="other person", withdrawn=True, **second)
    assert day.state.dose.given == ()
    assert (day.state.dose.watch_from is not None) == counts


def test_another_dose_needs_another_check(knowledge: Knowledge) -> None:
    day = Log(knowledge, "esketamine-nasal")
    day.devices(number=2)
    day.add(4, "dose-prepared", substance="esketamine", dose=56, devices=2, prescriber="Dr Okoye")
    assert day.codes() == ["not-double-checked"]


def test_after_an_alarm_the_next_device_is_not_of_the_plan(knowledge: Knowledge) -> None:
    day = Log(knowledge, "esketamine-nasal")
    day.devices(number=2)
    last = day.events[-1]
    day.add(1, "vitals", systolic=185, diastolic=95)
    assert "dose-after-alarm" in day.codes()
    assert (day.state.dose.refused, day.state.dose.watch_from) == ((last.id,), at(5))


def test_an_alarm_that_is_over_before_the_dose_does_not_keep_it_back(knowledge: Knowledge) -> None:
    day = Log(knowledge, "esketamine-nasal")
    day.add(-20, "vitals", systolic=185, diastolic=95)
    day.add(-10, "vitals", systolic=130, diastolic=80)
    day.devices(number=1)
    assert (day.codes(), day.state.stop_called) == ([], None)


@pytest.mark.parametrize(("seconds", "called"), [(29, False), (30, True), (90, True)], ids=["below", "at", "above"])
def test_an_alarm_that_stood_for_a_moment_stops_the_dose(knowledge: Knowledge, seconds: int, called: bool) -> None:
    day = Log(knowledge)
    day.infusion()
    day.add(5, "vitals", spo2=93)
    day.add(5 + seconds / 60, "vitals", spo2=98)
    state = day.state
    assert (state.stop_called is not None) == called
    assert not called or state.stop_called == (at(5.5), "hypoxia", False)


def test_what_had_no_time_to_be_an_alarm_is_none_in_the_end(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", spo2=93)
    day.add(0.2, "not-treated", reason="changed mind")
    assert day.state.past is None


def test_who_goes_before_any_dose_was_not_treated(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "left-before-discharge", warned=True)
    assert day.state.phase is Phase.NOT_TREATED


def test_a_hard_alarm_has_the_word_and_the_first_of_several(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion()
    day.add(4, "vitals", systolic=185, diastolic=95)
    assert day.state.stop_called == (at(4), "hypertension-severe", False)
    day.add(5, "event", sign="seizure", present=True)
    day.add(6, "event", sign="allergic_signs", present=True)
    called = day.state.stop_called
    assert called is not None
    assert (called[0], called[2]) == (at(5), True)


def test_what_was_done_after_the_end_may_be_taken_back(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion()
    day.add(30, "left-before-discharge", warned=True)
    name = day.add(35, "action", what="called", step="left-call-person", reached=True)
    done = [d for d in left(day.state, at(40), knowledge) if d.id == "left-call-person"]
    day.add(36, "correction", corrects=name, reason="another person", withdrawn=True)
    now = [d for d in left(day.state, at(40), knowledge) if d.id == "left-call-person"]
    assert [d.state for d in (*done, *now)] == ["done", "open"]


def test_a_dose_before_anybody_checked_in_counts_for_the_stay(knowledge: Knowledge) -> None:
    day = Log(knowledge, "esketamine-nasal")
    day.add(-60, "device-given", number=1, dose=28)
    assert (day.state.dose.watch_from, day.codes()) == (at(-60), ["before-check-in"])


def test_a_monitor_that_is_left_on_is_told_once(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "not-treated", reason="changed mind")
    for minute in range(1, 5):
        day.put(minute, "vitals", {"spo2": 98}, by="monitor-1", source="monitor-1")
    assert day.codes() == ["after-end"]


def test_who_is_taken_away_had_what_the_pump_gave_until_then(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion()
    day.add(10, "transferred", to="hospital", reason="pressure")
    dose = day.state.dose
    assert ([part.mg for part in dose.given], dose.rate) == ([pytest.approx(8.75)], None)


def test_a_silence_that_is_over_before_it_begins_is_said(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(1, "silenced", until="2027-01-11T09:00:30+01:00")
    assert day.codes() == ["silence-limited"]


def third_of_two(day: Log) -> None:
    day.devices(number=2)
    day.add(10, "device-given", number=3, dose=28)


def misnumbered(day: Log) -> None:
    day.devices(number=2)
    last = day.events.pop()
    day.add(5, "device-given", number=3, dose=last.data["dose"])


def on_another_route(day: Log) -> None:
    day.add(0, "injection-given", dose=35)


def infused_on_another_route(day: Log) -> None:
    day.infusion()


def pump_set_otherwise(day: Log) -> None:
    day.infusion()
    last = day.events.pop()
    day.add(0, "infusion-started", **{**last.data, "rate": 100})


def dosed_on_more_than_measured(day: Log) -> None:
    day.add(-10, "readiness", weight=60)
    day.add(-5, "dose-prepared", substance="ketamine", dose=35, prescriber="Dr Okoye", weight=70, per_kg=0.5)


@pytest.mark.parametrize(
    ("happens", "treatment", "code"),
    [
        (third_of_two, "esketamine-nasal", "more-than-ordered"),
        (misnumbered, "esketamine-nasal", "device-number"),
        (on_another_route, "esketamine-nasal", "other-route"),
        (infused_on_another_route, "esketamine-nasal", "other-route"),
        (pump_set_otherwise, "ketamine-iv", "pump"),
        (dosed_on_more_than_measured, "ketamine-iv", "weight"),
    ],
)
def test_what_was_given_is_held_against_what_was_ordered(
    knowledge: Knowledge, happens: Callable[[Log], None], treatment: str, code: str
) -> None:
    day = Log(knowledge, treatment)
    happens(day)
    assert code in day.codes()


def test_devices_go_on_until_the_order_is_given(knowledge: Knowledge) -> None:
    day = Log(knowledge, "esketamine-nasal")
    day.devices(number=3)
    phases = [day.history().before(e.id).phase for e in day.events[-2:]]
    assert (phases, day.state.phase) == ([Phase.DOSING, Phase.DOSING], Phase.OBSERVING)


def test_nobody_goes_on_while_the_alarm_stands(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion()
    day.add(5, "vitals", systolic=185, diastolic=95)
    day.add(6, "dose-paused", reason="pressure")
    day.add(7, "dose-resumed", prescriber="Dr Okoye", reason="well enough")
    assert (day.state.phase, day.codes()) == (Phase.PAUSED, ["resume-refused"])


def test_who_went_on_may_be_stopped_and_go_on_again(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    resume_after_alarm(day)
    day.add(22, "dose-resumed", prescriber="Dr Okoye", reason="settled", rate=30)
    assert (day.state.stop_called, day.state.dose.rate) == (None, 30)
    day.add(23, "dose-paused", reason="toilet")
    day.add(24, "dose-resumed")
    assert (day.state.phase, day.state.dose.rate) == (Phase.DOSING, 30)


def test_the_baseline_is_of_before_the_first_of_the_dose(knowledge: Knowledge) -> None:
    day = Log(knowledge, "esketamine-nasal")
    day.add(-6, "vitals", systolic=120, diastolic=80)
    day.devices(number=2)
    day.add(4, "vitals", systolic=150, diastolic=90)
    assert day.state.baseline["systolic"].value == 120


def test_the_lot_is_known_of_every_stretch(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion()
    day.add(10, "rate-changed", rate=30)
    day.add(40, "dose-stopped", complete=True)
    assert {part.lot for part in day.state.dose.given} == {"K1"}


def test_what_was_given_after_an_alarm_and_stopped_is_watched(knowledge: Knowledge) -> None:
    day = Log(knowledge, "ketamine-im")
    day.add(-2, "event", sign="seizure", present=True)
    day.add(0, "injection-given", dose=35)
    day.add(1, "dose-stopped", complete=False)
    assert day.state.phase is Phase.OBSERVING


@pytest.mark.parametrize(("happens", "minute"), [(start_after_stop, 12), (start_after_pause, 60)])
def test_a_start_that_should_not_be_counts_for_the_stay(knowledge: Knowledge, happens: Any, minute: int) -> None:
    day = Log(knowledge)
    happens(day)
    assert day.state.dose.watch_from == at(minute)
    assert day.state.dose.rate is None


def test_a_dose_is_not_over_while_the_pump_runs(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    injection_beside_infusion(day)
    state = day.state
    assert (state.phase, state.dose.complete) == (Phase.DOSING, None)
    assert next(i for i in gate(state, at(200), knowledge).items if i.id == "dose").state == "not-met"
    day.add(6, "dose-paused", reason="too much")
    day.add(7, "injection-given", dose=1)
    assert day.state.phase is Phase.PAUSED


def test_a_device_is_no_pump(knowledge: Knowledge) -> None:
    day = Log(knowledge, "esketamine-nasal")
    rate_without_infusion(day)
    assert [part.mg for part in day.state.dose.given] == [28]


@pytest.mark.parametrize(
    ("witness", "data", "counts"),
    [
        ("", {"withdrawn": True}, True),
        ("Nurse Ito", {"withdrawn": True}, True),
        ("Dr Okoye", {"withdrawn": True}, False),
        ("", {"data": {"substance": "ondansetron", "dose": "4 mg", "route": "iv"}}, True),
        ("Dr Okoye", {"data": {"substance": "ondansetron", "dose": "4 mg", "route": "iv"}}, False),
    ],
)
def test_nobody_takes_naloxone_back_alone(knowledge: Knowledge, witness: str, data: Any, counts: bool) -> None:
    day = Log(knowledge)
    name = day.add(0, "medication-given", substance="naloxone", dose="0.1 mg", route="iv")
    second = {"witness": witness} if witness else {}
    day.add(1, "correction", corrects=name, reason="was another one", **data, **second)
    assert ("naloxone_given" in day.state.yes) == counts


# --- corrections ------------------------------------------------------------------------------------------------------


def test_a_correction_keeps_what_was_seen_and_changes_what_counts(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    wrong = day.add(0, "vitals", spo2=70)
    day.add(2, "correction", corrects=wrong, reason="typed 70 for 97", data={"spo2": 97})
    history = day.history()
    assert history.state.readings["spo2"].value == 97
    assert [e.alarm for e in history.state.past or ()] == ["respiratory-depression", "hypoxia"]  # it did sound
    assert standing(history.state, at(2), day.day.table) == ()
    (kept,) = [e for e in history.events if e.id == wrong]
    assert kept.was is not None
    assert kept.was.data["spo2"] == 70


def test_a_correction_that_shows_a_danger_raises_it(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    wrong = day.add(0, "vitals", spo2=97)
    day.add(2, "correction", corrects=wrong, reason="typed 97 for 79", data={"spo2": 79})
    assert [a.alarm for a in standing(day.state, at(2), day.day.table)] == ["respiratory-depression"]
    day.add(1, "vitals", spo2=98)  # it was over when it was found out
    assert standing(day.state, at(2), day.day.table) == ()
    assert "danger-not-seen" in day.codes()


@pytest.mark.parametrize(
    ("data", "stands"),
    [
        ({"sign": "chest_pain", "present": True, "text": "left side"}, True),
        ({"sign": "chest_pain", "present": False}, False),
        ({"sign": "fall", "present": True}, False),
    ],
    ids=["only the words", "was absent", "was something else"],
)
def test_a_corrected_sign(knowledge: Knowledge, data: Any, stands: bool) -> None:
    day = Log(knowledge)
    wrong = day.add(0, "event", sign="chest_pain", present=True, text="rigth side")
    day.add(1, "correction", corrects=wrong, reason="typing", data=data)
    state = day.state
    names = [a.alarm for a in standing(state, at(1), day.day.table)]
    assert ("hypertensive-emergency" in names) == stands
    assert ("fall" in names) == (data["sign"] == "fall")
    assert stands or [e.alarm for e in state.past or ()] == ["hypertensive-emergency"]  # it did sound


def test_a_withdrawn_sign_was_seen(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    wrong = day.add(0, "event", sign="chest_pain", present=True)
    assert standing(day.state, at(0), day.day.table)
    day.add(1, "correction", corrects=wrong, reason="other person", withdrawn=True)
    assert standing(day.state, at(1), day.day.table) == ()
    assert [e.alarm for e in day.state.past or ()] == ["hypertensive-emergency"]


def deeply_sedated_and_high(day: Log) -> str:
    day.add(0, "vitals", systolic=190, diastolic=100)
    name = day.add(1, "sedation", moaas=1)
    day.add(3, "vitals", systolic=120, diastolic=80)
    day.add(4, "sedation", moaas=5)
    return name


def seizure(day: Log) -> str:
    name = day.add(1, "event", sign="seizure", present=True)
    day.add(4, "event", sign="seizure", present=False)
    return name


@pytest.mark.parametrize(
    ("happens", "change", "closed"),
    [
        (deeply_sedated_and_high, {"data": {"moaas": "bad"}}, True),
        (deeply_sedated_and_high, {"data": {"moaas": 1}}, True),
        (deeply_sedated_and_high, {"data": {"moaas": 5}}, False),
        (deeply_sedated_and_high, {"withdrawn": True}, False),
        (seizure, {"data": {"sign": "seizure", "present": True, "text": "in the chair"}}, True),
        (seizure, {"data": {"sign": "fall", "present": True}}, False),
        (seizure, {"withdrawn": True}, False),
    ],
    ids=["unreadable", "the same", "another value", "not of this person", "more words", "another sign", "withdrawn"],
)
def test_only_a_correction_that_takes_an_emergency_back_opens_its_gate(
    knowledge: Knowledge, happens: Callable[[Log], str], change: dict[str, Any], closed: bool
) -> None:
    day = Log(knowledge)
    day.add(5, "correction", corrects=happens(day), reason="looked again", **change)
    (item,) = [i for i in gate(day.state, at(200), knowledge).items if i.id == "emergency"]
    assert (item.state == "not-met") == closed, item


@pytest.mark.parametrize("change", [{"withdrawn": True}, {"data": {"sign": "fall", "present": False}}])
def test_who_takes_back_that_a_sign_was_over_has_the_sign_again(knowledge: Knowledge, change: dict[str, Any]) -> None:
    day = Log(knowledge)
    day.add(0, "event", sign="seizure", present=True)
    wrong = day.add(1, "event", sign="seizure", present=False)
    day.add(2, "correction", corrects=wrong, reason="other person", **change)
    assert [a.alarm for a in standing(day.state, at(2), day.day.table)] == ["seizure"]


@pytest.mark.parametrize("change", [{"withdrawn": True}, {"data": {"heart_rate": 80}}])
def test_who_takes_back_a_good_value_has_the_one_before_it_again(knowledge: Knowledge, change: dict[str, Any]) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", spo2=80)
    wrong = day.add(1, "vitals", spo2=98)
    day.add(2, "correction", corrects=wrong, reason="other person", **change)
    assert [a.alarm for a in standing(day.state, at(2), day.day.table)] == ["respiratory-depression"]


@pytest.mark.parametrize(
    ("corrects", "data", "why"),
    [
        ("nothing", {"spo2": 97}, "not in this log"),
        ("e002", {"spo2": "good"}, "spo2"),
        ("e002", {"colour": 1}, "colour"),
    ],
)
def test_what_cannot_be_read_corrects_nothing(knowledge: Knowledge, corrects: str, data: Any, why: str) -> None:
    day = Log(knowledge)
    assert day.add(0, "vitals", spo2=93) == "e002"
    day.add(1, "correction", corrects=corrects, reason="wrong", data=data)
    history = day.history()
    assert history.state.readings["spo2"].value == 93
    assert why in next(reason for _, reason in history.unread())


def test_a_no_to_another_question_ends_no_sign(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    name = day.add(0, "discharge-check", cssrs_q4=True)
    day.add(1, "discharge-check", cssrs_q5=False)
    assert "suicidal_intent" in day.state.bands
    day.add(2, "correction", corrects=name, reason="all of them", data={"cssrs_q4": True, "cssrs_q1": True})
    assert "suicidal_intent" in day.state.bands


def test_a_sign_that_is_over_does_not_come_back_with_any_correction(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "discharge-check", cssrs_q4=True)
    day.add(1, "event", sign="suicidal_intent", present=False)
    other = day.add(2, "vitals", spo2=97)
    day.add(3, "correction", corrects=other, reason="typing", data={"spo2": 98})
    assert day.state.bands == {}


def test_a_sign_of_a_rating_ends_with_its_own_no(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "nausea", nausea_score=3, vomiting=True)
    assert "vomiting" in day.state.bands
    day.add(5, "nausea", nausea_score=1, vomiting=False)
    assert day.state.bands == {}


def test_naloxone_was_given_whatever_is_corrected_of_it(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    given_ = {"substance": "naloxone", "route": "nasal"}
    name = day.add(0, "medication-given", dose="4 mg", **given_)
    day.add(1, "correction", corrects=name, reason="typing", data={"dose": "2 mg", **given_})
    assert "naloxone" in day.state.bands
    assert day.state.yes["naloxone_given"].at == at(0)


def test_the_last_correction_counts_in_whatever_order_they_come(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    name = day.add(0, "vitals", spo2=70)
    day.add(2, "correction", corrects=name, reason="second", data={"spo2": 97})
    day.add(1, "correction", corrects=name, reason="first", data={"spo2": 79})
    assert day.state.readings["spo2"].value == 97


def test_what_was_later_than_written_is_folded_anew_from_where_it_stood(knowledge: Knowledge) -> None:
    day = Log(knowledge, "esketamine-nasal")
    day.devices(number=1)
    name = day.events[-1].id
    day.add(5, "vitals", spo2=97)
    day.add(12, "vitals", spo2=97)
    day.add(30, "correction", corrects=name, reason="was later", at="2027-01-11T09:10:00+01:00")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adjunct.session.history._APART", 1)
        assert [part.at for part in day.state.dose.given] == [at(10)]


def test_a_correction_is_not_corrected_and_says_no_time_to_come(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.put(0, "vitals", {"spo2": 70}, name="v")
    day.put(1, "correction", {"corrects": "v", "reason": "x", "data": {"spo2": 97}}, name="c1")
    day.put(2, "correction", {"corrects": "c1", "reason": "x", "withdrawn": True}, name="c2")
    day.put(3, "correction", {"corrects": "v", "reason": "x", "at": "2027-01-11T09:30:00+01:00"}, name="c3")
    log = day.history()
    assert (log.state.readings["spo2"].value, log.state.readings["spo2"].at) == (97, at(0))
    assert {event.id: why.split(":")[0] for event, why in log.unread()} == {
        "c2": "a correction is not corrected",
        "c3": "it says that the event was after the correction",
    }


@pytest.mark.parametrize("turn", [1, -1])
def test_two_corrections_of_one_id_are_one_and_the_one_received_first(knowledge: Knowledge, turn: int) -> None:
    day = Log(knowledge)
    day.put(0, "vitals", {"spo2": 70}, name="v")
    day.put(0, "vitals", {"heart_rate": 60}, name="w")
    day.put(2, "correction", {"corrects": "v", "reason": "x", "data": {"spo2": 97}}, name="c", late=1)
    day.put(2, "correction", {"corrects": "w", "reason": "x", "data": {"heart_rate": 90}}, name="c", late=2)
    log = History(day.day)
    for event in [*day.events[:-2], *day.events[-2:][::turn]]:
        log.add(event)
    assert (log.state.readings["spo2"].value, log.state.readings["heart_rate"].value) == (97, 60)
    assert [held.event for held in log.held] == [day.events[-1]]


# --- what is kept of the values ---------------------------------------------------------------------------------------


def test_a_value_that_is_hardly_possible_is_no_reading(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", heart_rate=70)
    day.add(1, "vitals", heart_rate=900)
    assert (day.state.readings["heart_rate"].value, day.state.artefacts) == (70, 1)


def test_the_course_holds_one_value_a_minute_and_the_extremes_all(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion(-1)
    values = [(0.5, 72), (0.95, 50), (1.05, 71), (1.5, 90), (3, 70)]
    for minute, value in values:
        day.add(minute, "vitals", heart_rate=value)
    assert day.state.track["heart_rate"] == ((at(0.5), 72), (at(1.05), 71), (at(3), 70))
    assert day.state.peak["heart_rate"] == (50, 90)


def test_data_that_are_missing_stay_missing_while_one_measure_is(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(-1, "device-assigned", device="m")
    day.put(0, "vitals", {"spo2": 98, "heart_rate": 70}, by="m", source="m")
    day.put(2, "vitals", {"heart_rate": 70}, by="m", source="m")
    (alarm,) = standing(day.state, at(2), day.day.table)
    assert (alarm.alarm, alarm.raised, [what for what, _ in alarm.by]) == ("no-data", at(0.5), ["spo2"])
    assert [e.raised for e in day.state.past or ()] == [at(-0.5)]  # the one before the first value


# --- order, repeats ---------------------------------------------------------------------------------------------------


def test_the_same_event_twice_counts_once(knowledge: Knowledge) -> None:
    day = Log(knowledge, "esketamine-nasal")
    day.devices(number=1)
    history = day.history()
    history.add(day.events[-1]._replace(received=day.events[-1].received + MINUTE))
    assert (len(history.state.dose.given), history.timing.repeated) == (1, 1)


def test_one_id_for_two_things_keeps_both(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.put(0, "vitals", {"spo2": 97}, name="m1")
    other = day.events[-1]._replace(data={"spo2": 80.0}, received=at(1))
    history = day.history()
    history.add(other)
    assert history.state.readings["spo2"].value == 97
    assert [held.event for held in history.held] == [other]
    backwards = History(day.day)
    for event in (*day.events[:-1], other, day.events[-1]):
        backwards.add(event)
    assert backwards.state == history.state
    assert [held.event for held in backwards.held] == [other]


@pytest.mark.parametrize(("ahead", "moved"), [(1, False), (2, False), (3, True)], ids=["below", "at", "above"])
def test_a_clock_may_be_a_little_ahead(knowledge: Knowledge, ahead: int, moved: bool) -> None:
    day = Log(knowledge)
    day.put(10, "vitals", {"spo2": 98}, late=-ahead / 60)
    arrived = at(10) - ahead * MINUTE // 60
    assert day.state.readings["spo2"].at == (arrived if moved else at(10))


EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("vitals", {"spo2": 97, "heart_rate": 72}),
    ("vitals", {"spo2": 92}),
    ("vitals", {"spo2": 85}),
    ("vitals", {"systolic": 125, "diastolic": 80}),
    ("vitals", {"systolic": 186, "diastolic": 112}),
    ("vitals", {"systolic": 120, "diastolic": 130}),
    ("vitals", {"spo2": 130}),
    ("sedation", {"moaas": 5}),
    ("sedation", {"moaas": 2}),
    ("event", {"sign": "seizure", "present": True}),
    ("event", {"sign": "seizure", "present": False}),
    ("event", {"sign": "vomiting", "present": True}),
    ("infusion-started", {"rate": 75, "concentration": 0.7, "volume": 50}),
    ("device-given", {"number": 1, "dose": 28}),
    ("injection-given", {"dose": 35}),
    ("rate-changed", {"rate": 30}),
    ("dose-paused", {"reason": "x"}),
    ("dose-resumed", {}),
    ("dose-resumed", {"prescriber": "Dr Okoye", "reason": "x"}),
    ("dose-stopped", {"complete": True}),
    ("medication-given", {"substance": "naloxone", "dose": "0.4 mg", "route": "iv"}),
    ("substance-disclosed", {"text": "kratom tea"}),
    ("acknowledged", {"alarm": "hypoxia"}),
    ("silenced", {"until": "2027-01-11T09:30:00+01:00"}),
    ("device-assigned", {"device": "monitor-1"}),
    ("device-released", {"device": "monitor-1"}),
    ("escort", {"present": True, "fit": True, "name": "Sam"}),
    ("discharge-check", {"aldrete": 10}),
    ("discharged", {"signed_by": "Dr Okoye", "role": "prescriber"}),
    ("left-before-discharge", {"warned": True}),
    ("transferred", {"to": "hospital", "reason": "x"}),
    ("not-treated", {"reason": "x"}),
    ("correction", {"corrects": "e004", "reason": "x", "data": {"spo2": 96}}),
    ("correction", {"corrects": "e005", "reason": "x", "withdrawn": True}),
    ("correction", {"corrects": "e003", "reason": "x", "at": "2027-01-11T08:59:00+01:00"}),
    ("correction", {"corrects": "e003", "reason": "x", "at": "2027-01-11T09:20:00+01:00"}),
    ("note", {"text": "x"}),
    ("checked-in", {"patient": "Patient/1", "treatment": "esketamine-nasal"}),
]
TREATMENTS = ["esketamine-nasal", "ketamine-iv", "ketamine-im", "ketamine-sc"]
SEQUENCES = st.lists(st.tuples(st.integers(0, 180), st.sampled_from(EVENTS)), max_size=25)


def folded(knowledge: Knowledge, treatment: str, sequence: list[tuple[int, Any]]) -> Log:
    day = Log(knowledge, treatment)
    for minute, (type_, data) in sequence:
        day.put(minute, type_, data, late=1)
    return day


def states(day: Log, history: History) -> list[State]:
    """The state after each event, in order of true time."""
    found = [State()]
    for event in history.events:
        found.append(advance(found[-1], event, day.day))
    return found


@given(st.sampled_from(TREATMENTS), SEQUENCES, st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_the_order_of_arrival_does_not_matter(
    knowledge: Knowledge, treatment: str, sequence: list[Any], dice: random.Random
) -> None:
    day = folded(knowledge, treatment, sequence)
    shuffled = History(day.day)
    arrivals = [*day.events, *day.events[::3]]
    dice.shuffle(arrivals)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "adjunct.session.history._APART", 2
        )  # so that a late event of a short log starts from a kept state
        for event in arrivals:
            shuffled.add(event)
    straight = day.history()
    assert shuffled.events == straight.events
    assert plain(shuffled.state) == plain(straight.state) == plain(states(day, straight)[-1])


def plain(state: State) -> dict[str, Any]:
    chains = {"flags": list(state.flags or ()), "past": list(state.past or ())}
    return {**state.__dict__, **chains}


@given(st.sampled_from(TREATMENTS), SEQUENCES)
@settings(max_examples=150)
def test_nothing_is_given_after_the_end_or_a_hard_stop(
    knowledge: Knowledge, treatment: str, sequence: list[Any]
) -> None:
    day = folded(knowledge, treatment, sequence)
    for before, after in zip(states(day, history := day.history()), states(day, history)[1:], strict=False):
        hard = before.stop_called is not None and before.stop_called[2]
        if before.dose.stopped is not None or hard or before.ended is not None:
            now = after.at
            assert after.phase is not Phase.DOSING or before.phase is Phase.DOSING
            assert len(after.dose.given) == len(before.dose.given) or before.dose.rate is not None
            assert (so_far(after.dose, now) or 0) <= (so_far(before.dose, now) or 0) + 1e-9


@given(st.sampled_from(TREATMENTS), SEQUENCES)
@settings(max_examples=150)
def test_nobody_is_discharged_before_everything_is_there(
    knowledge: Knowledge, treatment: str, sequence: list[Any]
) -> None:
    state = folded(knowledge, treatment, sequence).state
    assert state.phase is not Phase.DISCHARGED  # none of these logs holds all that the gate asks


@given(st.sampled_from(TREATMENTS), SEQUENCES)
@settings(max_examples=150)
def test_corrections_never_erase(knowledge: Knowledge, treatment: str, sequence: list[Any]) -> None:
    day = folded(knowledge, treatment, sequence)
    history = day.history()
    assert {e.id: e for e in history.sent} == {e.id: e for e in day.events}
    for event in history.events:
        original = event.was or event
        assert original == next(e for e in day.events if e.id == event.id)
