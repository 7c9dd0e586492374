"""A session in plain values, for people and programs: every instant with its offset, every number with its unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from typing import Any

import orjson

from adjunct.base import FAR, Instant, Verdict, iso
from adjunct.due import Due
from adjunct.knowledge import Knowledge
from adjunct.session import pump
from adjunct.session.alarms import log, standing, verdict
from adjunct.session.discharge import Duty, Gate, gate
from adjunct.session.discharge import left as duties
from adjunct.session.history import History
from adjunct.session.model import Alarm, Answer, Held, Phase, Reading, State
from adjunct.session.monitoring import due_now, gaps
from adjunct.session.watch import Floor, Item, Loose, summary

Json = dict[str, Any]
_SCORE = "{score}"


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a log comes to at one instant; `to_json` is what the command prints."""

    now: Instant
    floor: Floor
    knowledge: Knowledge

    def to_dict(self) -> Json:
        """One session's `state`, `alarms`, `due`, `gaps` stand on top; of several, each in `sessions` with its name."""
        sessions = [self._session(name, history) for name, history in self.floor.sessions.items()]
        alone = sessions[0] if len(sessions) == 1 else None
        return {
            "knowledge": {"version": self.knowledge.version, "as_of": self.knowledge.as_of},
            "at": self.now.iso(),
            "state": alone["state"] if alone else {s["session"]: s["state"] for s in sessions},
            **{
                key: [{**one, **_named(s, alone)} for s in sessions for one in s[key]]
                for key in ("alarms", "due", "gaps")
            },
            "sessions": sessions,
            "loose": [_loose(x, self.now.offset) for x in self.floor.loose(self.now.ms)],
            "held": [held(h, self.now.offset) for h in self.floor.held],
            "timing": dict(summary(self.floor)),
        }

    def to_json(self) -> str:
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2).decode()

    def _session(self, name: str, history: History) -> Json:
        state, table = history.state, self.floor.day.table
        return {
            "session": name,
            "verdict": _verdict(state, standing(state, self.now.ms, table)),
            "state": written(state, self.knowledge, now=self.now.ms),
            "alarms": [alarm(a, state.zone, standing=a.cleared is None) for a in log(state, self.now.ms, table)],
            "due": [_due(d, state.zone) for d in due_now(state, self.now.ms, self.knowledge)],
            "gaps": [_due(d, state.zone) for d in gaps(state, self.now.ms, self.knowledge)],
            "gate": gate_(gate(state, self.now.ms, self.knowledge), state.zone) if _watched(state) else None,
            "duties": [_duty(d, state.zone) for d in duties(state, self.now.ms, self.knowledge)],
            "corrections": [
                {"event": e, "correction": c, "at": iso(at, state.zone), "by": by, "reason": reason}
                for e, c, at, by, reason in state.corrections
            ],
            "unread": [{"correction": event.id, "why": why} for event, why in history.unread()],
            "timing": history.timing._asdict(),
        }


def replay(items: Iterable[Item], knowledge: Knowledge, *, at: int | None = None, emergency: str = "") -> Replayed:
    """Take in a log and look at it at `at`, with what had arrived by then, or at the last instant that it speaks of."""
    floor = Floor(knowledge, emergency)
    for item in items:
        if at is None or item.received is None or item.received <= at:
            floor.take(item)
    events = [e for history in floor.sessions.values() for e in history.sent]
    last = max((*(e.received for e in events), *(h.received for h in floor.held if h.received is not None)), default=0)
    offset = events[-1].offset if events else timedelta(0)
    return Replayed(now=Instant(last if at is None else at, offset), floor=floor, knowledge=knowledge)


def _verdict(state: State, alarms: Iterable[Alarm]) -> str | None:
    """What a session comes to as it stands; before the dose at best DEFER, as `readiness` decides."""
    if state.ended is not None:
        return None
    found = verdict(alarms)
    return (found if state.dose.began is not None else max(found, Verdict.DEFER)).name


def _named(session: Json, alone: Json | None) -> Json:
    return {} if alone else {"session": session["session"]}


def _watched(state: State) -> bool:
    return state.phase is Phase.OBSERVING or state.dose.watch_from is not None


def written(state: State, knowledge: Knowledge, *, now: int) -> Json:
    """The state of one session."""
    zone, dose = state.zone, state.dose
    so_far = pump.so_far(dose, now)
    ends = pump.ends(dose)
    return {
        "session": state.session,
        "phase": state.phase.value,
        "patient": state.patient,
        "treatment": state.treatment,
        "visit": state.visit,
        "number": state.number,
        "chair": state.chair,
        "checked_in": _time(state.checked_in, zone),
        "last_event": _time(state.at or None, zone),
        "events": state.count,
        "readings": {name: _reading(name, r, knowledge, zone) for name, r in sorted(state.readings.items())},
        "baseline": {name: _reading(name, r, knowledge, zone) for name, r in sorted(state.baseline.items())},
        "extremes": {
            name: {"least": low, "greatest": high, "unit": _unit(name, knowledge)}
            for name, (low, high) in sorted(state.peak.items())
        },
        "answers": {name: _answer(a, zone) for name, a in sorted(state.answers.items())},
        "overrides": {
            item: {"prescriber": who, "reason": why, "at": _time(at, zone)}
            for item, (who, why, at) in sorted(state.overrides.items())
        },
        "dose": {
            "prepared": dict(dose.prepared) if dose.prepared is not None else None,
            "prepared_by": dose.prepared_by,
            "checked_by": dose.checked_by,
            "parts": [
                {"from": _time(g.at, zone), "until": _time(g.until, zone), "mg": g.mg, "event": g.event, "lot": g.lot}
                for g in dose.given
            ],
            "so_far_mg": so_far,
            "rate_ml_h": dose.rate,
            "ends": _time(ends, zone),
            "first": _time(dose.first, zone),
            "last": _time(dose.last, zone),
            "stay_counts_from": _time(dose.watch_from, zone),
            "stopped": _time(dose.stopped, zone),
            "complete": dose.complete,
            "not_to_be_given": list(dose.refused),
        },
        "stop_called": None
        if state.stop_called is None
        else {"at": _time(state.stop_called[0], zone), "alarm": state.stop_called[1], "hard": state.stop_called[2]},
        "devices": {name: _time(since, zone) for name, since in sorted(state.devices.items())},
        "medications": [{"at": _time(at, zone), **data, "event": event} for at, data, event in state.medications],
        "disclosed": [
            {"text": text, "last_use": _time(last, zone), "at": _time(at, zone)} for text, last, at in state.substances
        ],
        "actions": [{"at": _time(at, zone), **data, "by": by} for at, data, by in state.actions],
        "flags": [
            {"event": f.event, "at": _time(f.at, zone), "code": f.code, "says": f.says}
            for f in reversed(list(state.flags or ()))
        ],
        "artefacts": state.artefacts,
        "ended": None
        if state.ended is None
        else {
            "as": state.ended.phase.value,
            "at": _time(state.ended.at, zone),
            "by": state.ended.by,
            **state.ended.data,
        },
    }


def alarm(a: Alarm, zone: timedelta, *, standing: bool) -> Json:
    """One alarm: what raised it, what to do, whose turn it was, how it ended."""
    return {
        "alarm": a.alarm,
        "level": a.level,
        "title": a.title,
        "standing": standing,
        "since": _time(a.since, zone),
        "raised": _time(a.raised, zone),
        "by": [{"what": what, "value": _number(value)} for what, value in a.by],
        "do": list(a.says),
        "tell": dict(a.tell),
        "dose": a.dose,
        "hard": a.hard,
        "to": a.to,
        "turns": [{"at": _time(at, zone), "to": to} for at, to in a.turns],
        "acknowledged": _time(a.acknowledged, zone),
        "acknowledged_by": a.acknowledged_by,
        "silent_until": _time(a.silent_until, zone),
        "cleared": _time(a.cleared, zone),
        "rule": a.because,
    }


def held(h: Held, zone: timedelta) -> Json:
    """What was kept aside, without its content: that may be of anybody."""
    return {"where": h.where, "why": h.why, "received": _time(h.received, zone), "characters": len(h.raw)}


def gate_(found: Gate, zone: timedelta) -> Json:
    """The gate with its evidence."""
    return _plain(found._asdict(), zone)


def _duty(d: Duty, zone: timedelta) -> Json:
    done = None if d.done is None else {"at": _time(d.done[0], zone), "by": d.done[1]}
    return _plain(d._asdict(), zone) | {"done": done}


def _loose(found: Loose, zone: timedelta) -> Json:
    return {"source": found.source, "says": found.says, "why": found.why, **alarm(found.alarm, zone, standing=True)}


def _due(found: Due, zone: timedelta) -> Json:
    step = found.step
    return {
        "step": step.id,
        "what": step.what,
        "title": step.title,
        "owner": step.owner,
        "state": found.state.value,
        "due": _time(step.window.due, zone),
        "overdue": _time(step.window.overdue, zone),
        "basis": step.basis,
        "done": _time(found.done.at, zone) if found.done else None,
    }


def _reading(name: str, r: Reading, knowledge: Knowledge, zone: timedelta) -> Json:
    return {
        "value": r.value,
        "unit": _unit(name, knowledge),
        "at": _time(r.at, zone),
        "by": r.by,
        "source": r.source,
        "event": r.event,
    }


def _unit(name: str, knowledge: Knowledge) -> str:
    concept = knowledge.concepts.get(name)
    return "" if concept is None or concept.unit == _SCORE else concept.unit or ""


def _answer(a: Answer, zone: timedelta) -> Json:
    return {"value": a.value, "at": _time(a.at, zone), "by": a.by, "event": a.event}


def _number(value: float | str) -> float | str | None:
    return None if isinstance(value, float) and not isfinite(value) else value


def _time(at: int | None, zone: timedelta) -> str | None:
    return None if at is None or at >= FAR else iso(at, zone)


_TIMES = frozenset({"at", "until", "due", "may_leave_from"})


def _plain(fields: Mapping[str, Any], zone: timedelta) -> Json:
    """A named tuple's fields, its instants written out."""

    def plain(name: str, value: Any) -> Any:
        if name in _TIMES and value is not None:
            return _time(value, zone)
        if hasattr(value, "_asdict"):
            return _plain(value._asdict(), zone)
        return [plain("", one) for one in value] if isinstance(value, tuple) else value

    return {name: plain(name, value) for name, value in fields.items()}
