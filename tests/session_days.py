"""Treatment days written short, for tests of what is made from them: `day(at(minute, type, ...), ...)`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import adjunct
from adjunct.base import Instant, instant, iso
from adjunct.knowledge import Knowledge
from adjunct.session.day import Day
from adjunct.session.events import Shape, read_event
from adjunct.session.history import History
from adjunct.session.model import Event, State

KNOWLEDGE = Knowledge.load()
NINE = instant("2026-11-24T09:00:00-06:00")
NURSE, SECOND, PRESCRIBER = "Nora Weiss", "Paul Adeyemi", "Dr Iris Maas"


class Whole(NamedTuple):
    """A day as it stands after its last event."""

    state: State
    events: tuple[Event, ...]
    now: Instant


def clock(minute: float) -> str:
    """Minutes after nine, as it is written in a log."""
    return iso(NINE.ms + round(minute * 60_000), NINE.offset)


def at(minute: float, kind: str, by: str = NURSE, **data: Any) -> dict[str, Any]:
    """One event. Its id is its minute and type."""
    name = data.pop("id", f"{minute:06.1f}-{kind}")
    return {
        "id": name,
        "at": clock(minute),
        "received": clock(minute),
        "type": kind,
        "by": by,
        "source": "chair",
        "data": data,
        "session": "s-1",
    }


def day(*log: dict[str, Any], until: float = 0) -> Whole:
    """The log taken in as it stands here; `until` minutes after nine is now, else the last event."""
    shape, history = Shape.of(KNOWLEDGE), History(Day.of(KNOWLEDGE))
    for sent in log:
        event = read_event(sent, shape)
        assert isinstance(event, Event), event
        history.add(event)
    now = max(history.state.at, NINE.ms + round(until * 60_000))
    return Whole(history.state, history.events, Instant(now, NINE.offset))


def arrival(treatment: str = "esketamine-nasal", **more: Any) -> list[dict[str, Any]]:
    """Checked in, consent confirmed, ready."""
    return [
        at(0, "checked-in", patient="Patient/p", treatment=treatment, number=2, chair="2", **more),
        at(1, "consent", confirmed=True),
        at(5, "vitals", systolic=128, diastolic=80, heart_rate=72, spo2=98, resp_rate=14, temperature=36.6),
        at(6, "sedation", moaas=5),
        at(6.5, "mood", mood10=3),
    ]


def nasal_dose() -> list[dict[str, Any]]:
    """56 mg as two devices, checked by a second person."""
    return [
        at(
            10,
            "dose-prepared",
            substance="esketamine",
            dose=56,
            prescriber=PRESCRIBER,
            devices=2,
            lot="ESK-77",
            expiry="2028-03",
            id="prep",
        ),
        at(12, "dose-checked", SECOND, prepared="prep", agrees=True, dose=56),
        at(15, "device-given", number=1, dose=28, lot="ESK-77", expiry="2028-03", id="device-1"),
        at(21, "device-given", number=2, dose=28, lot="ESK-78", expiry="2028-04", id="device-2"),
    ]


def course(readings: Sequence[tuple[float, float, float, float, float]]) -> list[dict[str, Any]]:
    """Vital signs: minute, systolic, diastolic, heart rate, saturation."""
    return [
        at(m, "vitals", systolic=s, diastolic=d, heart_rate=h, spo2=o, resp_rate=14, oxygen=0)
        for m, s, d, h, o in readings
    ]


SEEN = ("oriented", "walks_steadily", "aftercare_given", "safety_plan_copy", "no_driving_told", "phone_contact")
ASKED = ("cssrs_q1", "cssrs_q2", "cssrs_q6", "cssrs_q6_recent")


def settled() -> list[dict[str, Any]]:
    """All that the gate asks for, two hours after the last device, and the signature."""
    return [
        *course([(60, 138, 84, 80, 97), (130, 128, 80, 72, 98), (142, 126, 78, 70, 98)]),
        at(141, "escort", present=True, fit=True, name="Sam Ruiz"),
        at(142.1, "sedation", moaas=5),
        at(142.2, "dissociation", cadss6=0),
        at(
            142.5,
            "discharge-check",
            **dict.fromkeys(SEEN, True),
            **dict.fromkeys(ASKED, False),
            aldrete=10,
        ),
    ]


def signed() -> dict[str, Any]:
    return at(143, "discharged", PRESCRIBER, signed_by=PRESCRIBER, role="prescriber")


def infusion() -> list[dict[str, Any]]:
    """35 mg of ketamine in 50 mL, slowed, paused and stopped early."""
    return [
        at(
            10,
            "dose-prepared",
            substance="ketamine",
            dose=35,
            prescriber=PRESCRIBER,
            weight=70,
            per_kg=0.5,
            concentration=0.7,
            volume=50,
            rate=75,
            duration=40,
            lot="KET-1",
            expiry="2027-12",
            id="prep",
        ),
        at(12, "dose-checked", SECOND, prepared="prep", agrees=True, dose=35, volume=50, rate=75),
        at(15, "infusion-started", rate=75, concentration=0.7, volume=50, id="start"),
        at(25, "rate-changed", rate=60, id="slower"),
        at(35, "dose-paused", reason="nausea", id="pause"),
        at(40, "dose-resumed", rate=60, id="resume"),
        at(45, "dose-stopped", complete=False, reason="the person wants to stop", id="stop"),
    ]


@cache
def rehearsed(name: str) -> Whole:
    """A day of the simulator, played once for all tests that look at it."""
    replayed = adjunct.replay(tuple(adjunct.rehearse(name, seed=1, knowledge=KNOWLEDGE)), knowledge=KNOWLEDGE)
    (history,) = replayed.floor.sessions.values()
    return Whole(history.state, history.events, replayed.now)
