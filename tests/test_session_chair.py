"""Low own saturation, consent taken back, a pump that runs on, turns that never go back, checks that are asked for."""

from __future__ import annotations

import pytest

from adjunct.knowledge import Knowledge
from adjunct.session.alarms import standing
from adjunct.session.monitoring import due_now
from sessions import Log, at


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


def running(knowledge: Knowledge, **first: float) -> Log:
    day = Log(knowledge)
    usual = {"systolic": 120, "diastolic": 75, "heart_rate": 72, "spo2": 98, "resp_rate": 14, "temperature": 36.6}
    day.add(-20, "vitals", **(usual | first))
    day.infusion(0)
    return day


def told(day: Log, minutes: float) -> list[str]:
    return [a.alarm for a in standing(day.state, at(minutes), day.day.table)]


@pytest.mark.parametrize(
    ("usual", "value", "alarms"),
    [
        (None, 93, ["hypoxia"]),
        (92, 92, []),
        (92, 91, ["hypoxia"]),
        (92, 89, ["respiratory-depression"]),
        (97, 93, ["hypoxia"]),
        (97, 94, []),
    ],
)
def test_a_low_usual_saturation(knowledge: Knowledge, usual: int | None, value: int, alarms: list[str]) -> None:
    day = Log(knowledge)
    if usual is not None:
        day.add(-25, "readiness", spo2_baseline=float(usual))
    day.add(-20, "vitals", spo2=float(value))
    assert told(day, -19) == alarms
    day.infusion(0)
    day.add(10, "vitals", spo2=float(value))
    assert told(day, 11) == alarms


def test_back_at_the_usual_value_it_is_over(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(-25, "readiness", spo2_baseline=92.0)
    day.infusion(0)
    for minute, value in ((10, 90), (11, 92)):
        day.add(minute, "vitals", spo2=value)
    assert told(day, 11.4) == []


def test_consent_taken_back_stops_the_dose(knowledge: Knowledge) -> None:
    day = running(knowledge)
    day.add(10, "consent", confirmed=False)
    assert told(day, 10) == ["asked-to-stop"]
    assert day.state.stop_called is not None
    assert "stop-dose" in [d.step.id for d in due_now(day.state, at(10), knowledge)]
    day.add(12, "consent", confirmed=True)
    assert told(day, 12) == []


def test_a_pump_that_runs_on_after_a_stop_is_flagged(knowledge: Knowledge) -> None:
    day = running(knowledge)
    day.add(10, "event", sign="chest_pain", present=True)
    day.add(11, "rate-changed", rate=100)
    assert "dose-after-alarm" in day.codes()
    assert day.state.dose.rate == 100


def test_the_turn_never_goes_back(knowledge: Knowledge) -> None:
    day = running(knowledge)
    day.add(10, "vitals", systolic=165, diastolic=90)
    turns = [who for _, who in standing(day.state, at(30), day.day.table)[0].turns]
    assert turns == ["nurse", "charge nurse", "prescriber"]
    day = running(knowledge)
    day.add(10, "vitals", spo2=92)
    turns = [who for _, who in standing(day.state, at(30), day.day.table)[0].turns]
    assert turns == ["nurse", "charge nurse", "emergency service", "everybody on site"]


def test_a_slow_pulse_of_an_athlete_asks_for_no_closer_rounds(knowledge: Knowledge) -> None:
    day = running(knowledge, heart_rate=47)
    day.add(5, "vitals", heart_rate=47)
    assert told(day, 8) == ["slow-pulse"]
    assert not [d for d in due_now(day.state, at(8), knowledge) if d.step.id.startswith("alarm.")]


def test_before_the_dose_a_high_pressure_is_measured_again_and_nothing_else(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(-20, "vitals", systolic=170, diastolic=95)
    assert {d.step.what for d in due_now(day.state, at(-15), knowledge) if d.step.id.startswith("alarm.")} == {
        "pressure"
    }


def test_a_paused_dose_is_stopped_until_a_prescriber_decides(knowledge: Knowledge) -> None:
    day = running(knowledge)
    day.add(10, "vitals", systolic=185, diastolic=95)
    day.add(11, "dose-paused", reason="pressure")
    assert "stop-dose" not in [d.step.id for d in due_now(day.state, at(12), knowledge)]


def test_what_an_answered_alarm_covers_does_not_call_for_somebody_when_it_is_uncovered(knowledge: Knowledge) -> None:
    day = running(knowledge)
    day.add(10, "vitals", resp_rate=7)
    day.add(10.5, "acknowledged", alarm="respiratory-depression")
    day.add(11, "sedation", moaas=2)
    day.add(16, "vitals", resp_rate=12)
    (alarm,) = standing(day.state, at(16), day.day.table)
    assert (alarm.alarm, alarm.to, alarm.acknowledged_by) == ("sedation-deep", "nurse", "Nurse Ito")
    later = running(knowledge)
    later.add(10, "vitals", resp_rate=7)
    later.add(11, "sedation", moaas=2)
    later.add(16, "vitals", resp_rate=12)
    (alarm,) = standing(later.state, at(16), later.day.table)
    assert (alarm.to, alarm.acknowledged) == ("prescriber", None)


def test_a_dose_that_begins_while_an_alarm_asks_it_to_wait_is_flagged(knowledge: Knowledge) -> None:
    for sign in ("told", "spo2"):
        day = Log(knowledge)
        day.add(-20, "vitals", spo2=91 if sign == "spo2" else 98)
        if sign == "told":
            day.add(-10, "substance-disclosed", text="kratom extract", last_use="2027-01-11T06:00:00+01:00")
        day.infusion(0)
        assert {"dose-with-alarm", "dose-after-alarm"} & set(day.codes())
    assert "dose-with-alarm" not in running(knowledge).codes()


def test_the_wish_to_stop_is_fulfilled_when_the_dose_has_ended(knowledge: Knowledge) -> None:
    day = running(knowledge)
    day.add(10, "event", sign="wants_to_stop", present=True)
    assert told(day, 10) == ["asked-to-stop"]
    day.add(11, "dose-stopped", complete=False, reason="asked")
    assert told(day, 11) == []
