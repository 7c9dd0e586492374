"""Short logs for the tests of the treatment day: one line an event, minutes from nine o'clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from adjunct.base import duration_ms, instant
from adjunct.knowledge import Knowledge
from adjunct.session import Day, Event, History, Shape, State
from adjunct.session.events import read_event

NINE = instant("2027-01-11T09:00:00+01:00")
SECOND, MINUTE = duration_ms("1 s"), duration_ms("1 min")


def at(minutes: float) -> int:
    return NINE.ms + round(minutes * MINUTE)


class Log:
    """Writes events as a nurse would, checks them as the reader does, and folds them."""

    def __init__(self, knowledge: Knowledge, treatment: str = "ketamine-iv", *, ready: bool = True) -> None:
        self.knowledge, self.shape, self.day = knowledge, Shape.of(knowledge), Day.of(knowledge)
        self.events: list[Event] = []
        if ready:
            self.add(-40, "checked-in", patient="Patient/1", treatment=treatment, chair="1")
            self.add(-30, "consent", confirmed=True)

    def add(self, minutes: float, type_: str, **data: Any) -> str:
        return self.put(minutes, type_, data)

    def put(
        self,
        minutes: float,
        type_: str,
        data: Mapping[str, Any],
        *,
        by: str = "Nurse Ito",
        source: str = "chair",
        name: str = "",
        late: float = 0,
    ) -> str:
        name = name or f"e{len(self.events):03d}"
        moment = NINE.ms + round(minutes * MINUTE)
        sent = {
            "id": name,
            "at": _iso(moment),
            "received": _iso(moment + round(late * MINUTE)),
            "type": type_,
            "by": by,
            "source": source,
            "data": dict(data),
        }
        event = read_event(sent, self.shape)
        assert isinstance(event, Event), event
        self.events.append(event)
        return name

    def infusion(self, minutes: float = 0, *, rate: float = 75) -> None:
        """A prepared, double-checked infusion of 35 mg in 50 mL over 40 minutes."""
        name = self.add(
            minutes - 5,
            "dose-prepared",
            substance="ketamine",
            dose=35,
            prescriber="Dr Okoye",
            concentration=0.7,
            volume=50,
            rate=rate,
            duration=40,
            lot="K1",
            expiry="2028-01",
        )
        checked = {"prepared": name, "agrees": True, "dose": 35, "volume": 50, "rate": rate}
        self.put(minutes - 4, "dose-checked", checked, by="Nurse Lund")
        self.add(minutes, "infusion-started", rate=rate, concentration=0.7, volume=50)

    def devices(self, minutes: float = 0, *, number: int = 2) -> None:
        """Nasal devices with their rests, prepared and counted by two."""
        name = self.add(
            minutes - 5,
            "dose-prepared",
            substance="esketamine",
            dose=28 * number,
            devices=number,
            prescriber="Dr Okoye",
        )
        self.put(minutes - 4, "dose-checked", {"prepared": name, "agrees": True, "dose": 28 * number}, by="Nurse Lund")
        for device in range(number):
            self.add(minutes + 5 * device, "device-given", number=device + 1, dose=28, lot="S1")

    def history(self) -> History:
        history = History(self.day)
        for event in self.events:
            history.add(event)
        return history

    @property
    def state(self) -> State:
        return self.history().state

    def codes(self) -> list[str]:
        return sorted(flag.code for flag in self.state.flags or ())


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone(NINE.offset)).isoformat()
