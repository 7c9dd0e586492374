"""A treatment day played minute by minute on the simulator, as it is published: for some days of some people."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from adjunct.base import Instant, instant
from adjunct.devices.simulator import Chair, Script, day, scenarios, script
from adjunct.knowledge import Knowledge
from adjunct.publish.session import session_to_fhir
from adjunct.session import Event, History
from adjunct.session.day import Day
from adjunct.synthetic.chart import SOFTWARE

MONITOR = "monitor-"  # whose every reading is folded; into the record go the rounds with a blood pressure
CUFF = "systolic"
BY_WEIGHT = frozenset({"weight", "dose", "volume", "rate"})


def played(
    knowledge: Knowledge, name: str, *, seed: str, session: str, start: int, offset: timedelta, kg: float, patient: str
) -> dict[str, Any]:
    """One scenario as a session of this person that began at `start`: the Bundle that `publish` makes of it."""
    figures, history = knowledge.content["scenarios"], History(Day.of(knowledge))
    plan = _fitted(script(scenarios(knowledge)[name], knowledge), kg / figures["person"]["weight"])
    later = start - instant(figures["start"]).ms
    for sent in day(plan, seed, Chair(session=session), knowledge):
        history.add(_moved(sent.event, later, offset))
    kept = [e for e in history.events if not e.source.startswith(MONITOR) or CUFF in e.data]
    now = Instant(history.state.at, offset)
    return session_to_fhir(history.state, kept, knowledge, now=now, patient=patient, software_version=SOFTWARE)


def _moved(event: Event, later: int, offset: timedelta) -> Event:
    """The event on another day. A whole number in its data is an instant, a measure is a fraction."""
    data = {k: v + later if type(v) is int else v for k, v in event.data.items()}
    return event._replace(at=event.at + later, received=event.received + later, offset=offset, data=data)


def _fitted(plan: Script, share: float) -> Script:
    """An infusion for a person of another weight; devices hold what they hold."""
    if plan.treatment.endswith("-nasal"):
        return plan
    events = tuple(
        {
            **e,
            "data": {
                k: round(v * share, 2) if k in BY_WEIGHT and not isinstance(v, str) else v
                for k, v in e.get("data", {}).items()
            },
        }
        for e in plan.events
    )
    return replace(plan, events=events)
