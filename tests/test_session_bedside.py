"""What a nurse reads at the chair: orders in the right order, one voice at a time, no alarm that stands for ever."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from adjunct.knowledge import Knowledge
from adjunct.session.alarms import Table, log, standing
from sessions import Log, at

with (Path(__file__).parent / "cases" / "session_bedside.csv").open(encoding="utf-8") as rows:
    CASES = list(csv.DictReader(rows))


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["alarm"])
def test_an_alarm_asks_for_what_the_protocol_asks_and_in_its_order(case: dict[str, str], knowledge: Knowledge) -> None:
    row = Table.of_knowledge(knowledge).rows[case["alarm"]]
    assert (row.level, row.dose, row.hard) == (case["level"], case["dose"], case["hard"] == "yes")
    text, place = " / ".join(row.first).casefold(), 0
    for words in case["words in this order"].split("|"):
        place = text.find(words.casefold(), place) + 1
        assert place, f"{words!r} is not there, or not in its turn: {text}"


@pytest.mark.parametrize("alarm", [case["alarm"] for case in CASES])
def test_an_order_is_short(alarm: str, knowledge: Knowledge) -> None:
    """Nobody reads a paragraph beside somebody who does not breathe."""
    row = Table.of_knowledge(knowledge).rows[alarm]
    assert len(row.first) <= 5
    assert all(len(text) <= 190 for text in row.first)


def told(day: Log, minutes: float) -> list[str]:
    return [alarm.alarm for alarm in standing(day.state, at(minutes), day.day.table)]


def running(knowledge: Knowledge, treatment: str = "ketamine-iv") -> Log:
    day = Log(knowledge, treatment)
    day.add(-20, "vitals", systolic=120, diastolic=75, heart_rate=72, spo2=98, resp_rate=14, temperature=36.6)
    if treatment == "ketamine-iv":
        day.infusion(0)
    else:
        day.devices(0)
    return day


def test_in_a_seizure_the_airway_is_read_first(knowledge: Knowledge) -> None:
    day = running(knowledge)
    day.add(10, "event", sign="seizure", present=True)
    day.add(10, "vitals", systolic=190, diastolic=100)
    assert told(day, 10) == ["seizure"]
    assert "hypertensive-emergency" in [a.alarm for a in log(day.state, at(10), day.day.table)]


def test_anaphylaxis_speaks_of_adrenaline_and_not_of_a_fast_heart(knowledge: Knowledge) -> None:
    day = running(knowledge)
    day.add(10, "event", sign="allergic_signs", present=True)
    day.add(10, "vitals", systolic=72, diastolic=40, heart_rate=140, spo2=96)
    assert told(day, 11) == ["allergic-reaction"]


def test_a_faint_with_a_slow_heart_is_no_chorus(knowledge: Knowledge) -> None:
    day = running(knowledge)
    day.add(10, "event", sign="collapse", present=True)
    day.add(10, "vitals", systolic=72, diastolic=40, heart_rate=42)
    assert told(day, 11) == ["collapse", "slow-heart-in-shock"]


def test_thoughts_that_the_screen_asked_for_raise_nothing_more(knowledge: Knowledge) -> None:
    """Many come because of them. Readiness and gate weigh the answers; an alarm that says "ask" would stand all day."""
    day = Log(knowledge)
    answers = {f"cssrs_q{n}": n in (1, 2, 3) for n in range(1, 7)}
    day.add(-20, "readiness", **answers)
    assert told(day, -10) == []
    day.add(5, "event", sign="suicidal_thoughts", present=True)
    assert told(day, 5) == ["suicidal-thoughts"]


def test_intent_that_the_screen_finds_is_an_alarm(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(-20, "readiness", cssrs_q4=True)
    assert told(day, -20) == ["suicidal-intent"]


def test_who_asks_to_stop_gets_no_further_device(knowledge: Knowledge) -> None:
    day = Log(knowledge, "esketamine-nasal")
    day.add(-5, "dose-prepared", substance="esketamine", dose=84, devices=3, prescriber="Dr Okoye")
    day.add(0, "device-given", number=1, dose=28)
    day.add(3, "event", sign="wants_to_stop", present=True)
    day.add(6, "device-given", number=2, dose=28)
    assert "dose-after-alarm" in day.codes()
    assert [part.mg for part in day.state.dose.given] == [28]


def test_one_low_value_of_a_moving_hand_is_no_fall_of_oxygen(knowledge: Knowledge) -> None:
    day = running(knowledge)
    for second, value in ((0, 99), (10, 99), (20, 94), (30, 99), (60, 99)):
        day.add(10 + second / 60, "vitals", spo2=value)
    assert log(day.state, at(20), day.day.table) == ()
