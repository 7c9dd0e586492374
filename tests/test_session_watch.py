"""The day as it runs: what is new at each instant, several chairs, monitors of nobody; and that all readers agree."""

from __future__ import annotations

from itertools import chain
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adjunct
from adjunct.base import Instant
from adjunct.fhir import read_bundle
from adjunct.knowledge import Knowledge
from adjunct.record import from_bundle
from adjunct.session import Event, Held, Shape, log_line, read_items, replay, watch
from adjunct.session.alarms import log, standing
from adjunct.session.events import read_event
from adjunct.session.resources import entries
from adjunct.session.watch import Item, Tick
from sessions import MINUTE, SECOND, Log, at


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


def arrivals(day: Log) -> list[Event]:
    return sorted(day.events, key=lambda e: e.received)


def looked(day: Log, minutes: int, knowledge: Knowledge) -> list[Tick]:
    clock = range(at(-40), at(minutes), 10 * SECOND)
    return list(watch(arrivals(day), clock, knowledge))


def news(ticks: list[Tick]) -> list[tuple[str, str]]:
    return [(n.kind, n.what) for tick in ticks for n in tick.news if n.kind not in ("due", "overdue", "phase")]


def test_an_alarm_is_raised_escalates_is_answered_and_is_over(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion(-20)
    day.add(0, "vitals", systolic=185, diastolic=100)
    day.add(3, "acknowledged", alarm="hypertension-severe")
    day.add(4, "silenced", until="2027-01-11T09:05:00+01:00")
    day.add(6, "vitals", systolic=140, diastolic=80)
    assert news(looked(day, 10, knowledge)) == [
        ("raised", "hypertension-severe"),
        ("turn", "hypertension-severe"),
        ("turn", "hypertension-severe"),
        ("acknowledged", "hypertension-severe"),
        ("silenced", "hypertension-severe"),
        ("sounds", "hypertension-severe"),
        ("cleared", "hypertension-severe"),
    ]


def test_due_before_overdue(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion(0)
    found = [n for tick in looked(day, 15, knowledge) for n in tick.news if n.what == "pressure" and n.at > at(0)]
    assert [n.kind for n in found][:2] == ["due", "overdue"]
    assert found[0].at < found[1].at


def test_the_same_arrivals_and_clock_give_the_same_day(knowledge: Knowledge) -> None:
    one, other = (
        [repr(t) for t in watch(adjunct.rehearse("three-chairs", seed=3), range(at(0), at(60), MINUTE), knowledge)]
        for _ in range(2)
    )
    assert one == other


def test_several_chairs_are_several_folds(knowledge: Knowledge) -> None:
    days = [Log(knowledge), Log(knowledge)]
    days[0].add(0, "vitals", spo2=85)
    days[1].add(0, "vitals", spo2=98)
    items = [e._replace(session=name) for name, day in zip("ab", days, strict=True) for e in day.events]
    told = replay(items, knowledge).to_dict()
    assert {s["session"]: s["verdict"] for s in told["sessions"]} == {"a": "ESCALATE", "b": "DEFER"}
    assert {alarm["session"] for alarm in told["alarms"]} == {"a"}


# --- of nobody --------------------------------------------------------------------------------------------------------


def test_a_monitor_of_nobody_is_judged_until_it_is_tied(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    loose = {"id": "m1", "type": "vitals", "by": "monitor 3", "source": "monitor 3", "data": {"spo2": 78}}
    moment = "2027-01-11T09:00:00+01:00"
    event = read_event({**loose, "at": moment, "received": moment}, day.shape)
    assert isinstance(event, Event)
    day.add(1, "device-assigned", device="monitor 3")
    items: list[Item] = [*day.events[:-1], Held("MSH|", "message", "not tied", at(0), event), day.events[-1]]
    ticks = list(watch(items, [], knowledge))
    said = [[found.says for found in tick.loose] for tick in ticks]
    assert said == [[], [], ["unassigned monitor 3: SpO2 78 %"], []]
    assert [n.level for n in ticks[2].news if n.kind == "raised"] == ["emergency"]


def test_what_was_held_is_in_the_log_and_comes_back(knowledge: Knowledge) -> None:
    shape = Shape.of(knowledge)
    items = list(read_items([b'{"id": "x", "data": {"spo2": 78}, "at": "2027-01-11T09:00:00Z"}', b"half a li"], shape))
    assert all(isinstance(item, Held) for item in items)
    again = list(read_items([log_line(item, shape) for item in items], shape))
    assert again == items


# --- readers agree ----------------------------------------------------------------------------------------------------


def test_a_replay_of_a_rehearsal_is_that_rehearsal(knowledge: Knowledge) -> None:
    shape = Shape.of(knowledge)
    items = tuple(adjunct.rehearse("hypertensive-surge", seed=2))
    lines = [log_line(item, shape) for item in items]
    straight, back = replay(items, knowledge), adjunct.replay("\n".join(lines).encode())
    assert straight.to_json() == back.to_json()


def test_a_replay_at_an_instant_knows_what_had_arrived(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", spo2=98)
    day.put(5, "vitals", {"spo2": 85}, late=20)
    seen = [
        replay(day.events, knowledge, at=at(minute)).to_dict()["state"]["readings"]["spo2"]["value"]
        for minute in (24, 25)
    ]
    assert seen == [98, 85]


def test_what_was_asked_before_the_dose_stays_asked(knowledge: Knowledge) -> None:
    """The same question at discharge does not make it a gap of before."""
    day = Log(knowledge)
    for minute in (-20, 60):
        day.add(
            minute, "readiness" if minute < 0 else "discharge-check", cssrs_q1=False, cssrs_q2=False, cssrs_q6=False
        )
    day.infusion()
    day.add(40, "dose-stopped", complete=True)
    told = replay(day.events, knowledge).to_dict()
    assert not [gap for gap in told["gaps"] if "C-SSRS" in gap["title"]]


def test_before_the_dose_nothing_is_better_than_defer_and_after_the_end_nothing_is_said(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    verdicts = [replay(day.events, knowledge).to_dict()["sessions"][0]["verdict"]]
    day.infusion()
    verdicts.append(replay(day.events, knowledge).to_dict()["sessions"][0]["verdict"])
    day.add(5, "transferred", to="hospital", reason="fell")
    verdicts.append(replay(day.events, knowledge).to_dict()["sessions"][0]["verdict"])
    assert verdicts == ["DEFER", "ELIGIBLE", None]


def test_a_log_that_ends_with_what_was_held_is_looked_at_from_there(knowledge: Knowledge) -> None:
    shape = Shape.of(knowledge)
    day = Log(knowledge)
    line = (
        b'{"id":"x","at":"2027-01-11T09:00:00+01:00","received":"2027-01-11T09:00:00+01:00","type":"vitals","by":"m3",'
    )
    line += b'"source":"m3","data":{"spo2":75,"colour":1}}'
    told = replay([*day.events, *read_items([line], shape)], knowledge).to_dict()
    assert [found["level"] for found in told["loose"]] == ["emergency"]


VALUES: dict[str, Any] = {
    "systolic": st.integers(60, 220),
    "diastolic": st.integers(30, 58),
    "heart_rate": st.integers(30, 160),
    "resp_rate": st.integers(4, 24),
    "spo2": st.integers(80, 100),
}
RATED = {
    "sedation": {"moaas": st.integers(0, 5), "rass": st.integers(-5, 4)},
    "nausea": {"nausea_score": st.integers(0, 10)},
    "distress": {"distress": st.integers(0, 10)},
    "dissociation": {"bprs_item_max": st.integers(1, 7)},
}


@given(st.data())
@settings(max_examples=60)
def test_alarms_and_the_assessment_say_the_same(knowledge: Knowledge, data: st.DataObject) -> None:
    """What `adjunct assess --phase during` finds in the last values, the alarms find at the bedside."""
    day = Log(knowledge)
    day.add(-20, "vitals", **{name: 60 if name == "diastolic" else 100 for name in VALUES if name != "spo2"}, spo2=98)
    day.infusion(-10)
    day.add(0, "vitals", **{name: data.draw(value, name) for name, value in VALUES.items()})
    for type_, scores in RATED.items():
        day.add(0, type_, **{name: data.draw(value, name) for name, value in scores.items()})
    for sign in data.draw(st.sets(st.sampled_from(["chest_pain", "severe_headache", "collapse", "seizure", "fall"]))):
        day.add(0, "event", sign=sign, present=True)
    state, now = day.state, Instant(at(1))
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": {"resourceType": "Patient", "id": "1"}}],
    }
    bundle["entry"] += entries(state, knowledge, patient="Patient/1")
    record = from_bundle(read_bundle(orjson.dumps(bundle)), knowledge, now=now, phase="during")
    from adjunct.assessment import assess

    found = {f.id for f in assess(record, knowledge, treatment="ketamine-iv").findings}
    raised = {a.because for a in log(state, now.ms, day.day.table)} | {"session-bp-high", "session-bp-severe"}
    rules = {row.rule for row in day.day.table.rows.values()}
    # a rule that another one replaces is not told by the assessment; the alarm behind it still is
    assert found & rules <= raised | {"session-naloxone-opioid-possible"}
    urgent = {f for f in found if knowledge.rules[f].action == "emergency"}
    worst = {a.level for a in standing(state, now.ms, day.day.table)}
    assert ("emergency" in worst) == bool(urgent)


# --- the worked cases -------------------------------------------------------------------------------------------------


def test_d15_hypertensive_emergency(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(-10, "vitals", systolic=132, diastolic=80, heart_rate=74)
    day.infusion(0)
    day.add(35, "vitals", systolic=186, diastolic=112, heart_rate=96)
    for sign in ("severe_headache", "visual_disturbance"):
        day.add(35, "event", sign=sign, present=True)
    state = day.state
    first = standing(state, at(35), day.day.table)[0]
    said = " ".join((*first.says, *first.tell.values()))
    assert (first.alarm, first.level, first.dose, first.hard) == ("hypertensive-emergency", "emergency", "stop", True)
    for words in (
        "emergency number of the clinic settings",
        "ECG",
        "neurological examination",
        "on hold",
        "No immediate-release nifedipine",
    ):
        assert words in said
    day.add(50, "dose-paused", reason="alarm")
    day.add(60, "dose-resumed", prescriber="Dr Okoye", reason="better")
    assert "resume-refused" in day.codes()


def test_d16_hypoxia_after_kratom(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion(0)
    day.add(20, "vitals", spo2=88, resp_rate=8)
    day.add(20, "sedation", moaas=2)
    day.add(20, "substance-disclosed", text="kratom extract this morning")
    names = [a.alarm for a in standing(day.state, at(20), day.day.table)]
    assert names[:2] == ["respiratory-depression", "kratom-disclosed"]
    first = standing(day.state, at(20), day.day.table)[0]
    said = " ".join(first.says)
    assert said.index("ventilate") < said.index("naloxone")
    assert "titrate to breathing, not to waking; repeat" in said
    day.add(22, "medication-given", substance="naloxone", dose="0.1 mg", route="iv")
    day.add(300, "discharged", signed_by="Dr Okoye", role="prescriber")
    assert "discharge-refused" in day.codes()


def test_every_scenario_can_be_played_and_read_back(knowledge: Knowledge) -> None:
    from adjunct.devices.simulator import scenarios

    for name in scenarios(knowledge):
        told = adjunct.replay(tuple(adjunct.rehearse(name))).to_dict()
        assert told["sessions"], name
        assert chain(told["alarms"], told["due"])


def test_every_duty_is_written_with_when_and_by_whom_it_was_done(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.infusion()
    day.add(30, "left-before-discharge", warned=True)
    duties = {d["id"]: d for d in replay(day.events, knowledge).to_dict()["sessions"][0]["duties"]}
    assert duties["left-warn"]["done"] == {"at": "2027-01-11T09:30:00+01:00", "by": "Nurse Ito"}
    assert duties["left-call-person"]["done"] is None
    assert duties["left-call-person"]["due"] == "2027-01-11T09:45:00+01:00"


def test_a_replay_and_the_screen_ask_for_the_same_while_data_are_missing(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(-10, "device-assigned", device="m")
    day.infusion()
    day.put(1, "vitals", {"spo2": 98, "heart_rate": 70}, by="m", source="m")
    (seen,) = list(watch(arrivals(day), [at(5)], knowledge))[-1].seen
    written = replay(day.events, knowledge, at=at(5)).to_dict()
    assert [a["alarm"] for a in written["alarms"] if a["standing"]] == ["no-data"] == [a.alarm for a in seen.alarms]
    assert [d["step"] for d in written["due"]] == [d.step.id for d in seen.due]
