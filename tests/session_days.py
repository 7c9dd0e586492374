"""Treatment days written short, for tests of what is made from them: a list of `at(minute, type, ...)` folded into a state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from adjunct.base import Instant, instant
from adjunct.knowledge import Knowledge
from adjunct.session.events import Shape, read_event
from adjunct.session.fold import Day, advance
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
    from adjunct.base import iso

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
    """The log folded in order of time; `until` minutes after nine is now, else the last event."""
    shape, rules = Shape.of(KNOWLEDGE), Day.of(KNOWLEDGE)
    events = [read_event(e, shape) for e in log]
    assert all(isinstance(e, Event) for e in events), [e for e in events if not isinstance(e, Event)]
    state, done = State(), sorted(e for e in events if isinstance(e, Event))
    for event in sorted(done, key=lambda e: (e.at, e.id)):
        state = advance(state, event, rules)
    last = max(state.at, NINE.ms + round(until * 60_000))
    return Whole(state, tuple(sorted(done, key=lambda e: (e.at, e.id))), Instant(last, NINE.offset))


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
