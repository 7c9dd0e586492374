"""A plan as plain values: what `--json` prints. Instants are ISO 8601 with the offset of the clinic on that day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from adjunct.base import FAR, MS_PER_SECOND
from adjunct.due import Due, State, due
from adjunct.planning.model import CarePlan, Fact, Told, Visit
from adjunct.planning.outgoing import Outgoing
from adjunct.planning.person import Planned
from adjunct.planning.team import notification
from adjunct.sheet import ENGLISH

MINUTE_MS = 60 * MS_PER_SECOND


def local_iso(ms: int, zone: str) -> str:
    """An instant as the clocks of a zone show it then."""
    return datetime.fromtimestamp(ms // MS_PER_SECOND, tz=UTC).astimezone(ZoneInfo(zone)).isoformat()


def to_dict(planned: Planned) -> dict[str, Any]:
    """The whole plan: what is open, the visits, every step with where it stands now, and the facts behind them."""
    plan = planned.plan
    zone = plan.zone
    return {
        "knowledge": dict(plan.knowledge),
        "at": plan.at.iso(),
        "protocol": {"id": plan.protocol, "version": plan.protocol_version, "title": plan.protocol_title},
        "status": plan.status.value,
        "verdict": plan.verdict,
        "complete": planned.assessment.complete,
        "override": None if plan.override is None else asdict(plan.override),
        "version": plan.version,
        "zone": zone,
        "language": plan.language,
        "told": list(plan.told),
        "contacts": [asdict(c) for c in planned.assessment.contacts],
        "open": _all(plan.open),
        "visits": [_visit(v, zone) for v in plan.visits],
        "steps": [_step(d, zone) for d in standing(planned)],
        "missed": _all(plan.missed),
        "reviews": _all(plan.reviews),
        "stops": _all(plan.stops),
        "timeline": [_fact(f, zone) for f in plan.timeline],
        "settings": [asdict(s) for s in plan.settings],
        "changes": [asdict(c) | {"at": local_iso(c.at, zone)} for c in plan.changes],
        "notes": _all(plan.notes),
        "consent": _consent(planned),
        "routine": _routine(planned),
        "contact": asdict(planned.beside.preferences),
        "notifications": _notifications(planned),
        "messages": [_message(m, zone) for m in planned.messages],
    }


def to_json(planned: Planned) -> str:
    """The JSON that the command prints."""
    return orjson.dumps(to_dict(planned), option=orjson.OPT_INDENT_2, default=str).decode()


def standing(planned: Planned) -> tuple[Due, ...]:
    """Every step of the plan with where it stands: what is open first, then as they fall due."""
    plan: CarePlan = planned.plan
    found = {d.step.id: d for d in due(plan.steps, planned.acts, now=plan.at.ms)}
    return tuple(found[s.id] for s in plan.steps)


def _all(told: Iterable[Told]) -> list[dict[str, Any]]:
    return [asdict(t) for t in told]


def _visit(visit: Visit, zone: str) -> dict[str, Any]:
    window = visit.window
    return {
        "id": visit.id,
        "number": visit.number,
        "phase": visit.phase,
        "kind": visit.kind,
        "title": visit.title,
        "state": visit.state.value,
        "opens": local_iso(window.opens, zone),
        "starts": local_iso(visit.starts, zone),
        "ends": local_iso(visit.ends, zone),
        "closes": local_iso(window.closes, zone),
        "given_at": None if visit.given_at is None else local_iso(visit.given_at, zone),
        "booked": visit.booked,
        "observe_min": visit.observe_ms // MINUTE_MS,
        "facts": _all(visit.facts),
        "prerequisites": list(visit.prerequisites),
        "measures": list(visit.measures),
    }


def _step(entry: Due, zone: str) -> dict[str, Any]:
    step, window = entry.step, entry.step.window
    return {
        "id": step.id,
        "what": step.what,
        "title": step.title,
        "domain": step.domain,
        "owner": step.owner,
        "state": entry.state.value,
        "opens": local_iso(window.opens, zone),
        "due": local_iso(window.due, zone),
        "overdue": local_iso(window.overdue, zone) if window.overdue < FAR else None,
        "closes": local_iso(window.closes, zone) if window.closes < FAR else None,
        "basis": step.basis,
    }


def _fact(fact: Fact, zone: str) -> dict[str, Any]:
    times = {
        name: None if at is None else local_iso(at, zone)
        for name, at in (("opens", fact.opens), ("closes", fact.closes))
    }
    return asdict(fact) | times


def _consent(planned: Planned) -> dict[str, Any] | None:
    """The version of the form that counts now, and where consent to it stands; None where nothing is written of it."""
    form, state = planned.beside.form, planned.beside.consent
    if form is None:
        return None
    return {
        "form": form.version,
        "status": None if state is None else state.status.value,
        "open": [] if state is None else [s.value for s in state.open],
    }


def _routine(planned: Planned) -> dict[str, Any] | None:
    """What was agreed, what is offered, what must be asked first."""
    found = planned.beside.routine
    if found is None:
        return None
    return {
        "habits": [h.activity.id for h in found.habits],
        "waiting": [h.activity.id for h in found.waiting],
        "paused": [h.activity.id for h in found.paused],
        "offers": [o.id for o in found.offers],
        "declined": list(found.declined),
        "agreed": list(found.agreed),
        "questions": [q.text for q in found.questions],
        "alerts": [asdict(a) for a in found.alerts],
    }


def _message(message: Outgoing, zone: str) -> dict[str, Any]:
    times = {name: getattr(message, name) for name in ("not_before", "send_by", "expires")}
    return asdict(message) | {name: local_iso(at, zone) if at < FAR else None for name, at in times.items()}


def _notifications(planned: Planned) -> list[dict[str, str]]:
    """Who of the team has a message to read, in words that tell nothing of it."""
    knowledge = planned.case.knowledge
    what = knowledge.content["team"]["acknowledge"]["what"]
    waiting = (d.step.owner for d in standing(planned) if d.step.what == what and d.state is not State.DONE)
    return [{"to": owner, "text": notification(knowledge, ENGLISH)} for owner in dict.fromkeys(waiting)]
