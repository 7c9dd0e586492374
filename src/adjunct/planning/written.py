"""A plan as plain values: what `--json` prints. Instants are ISO 8601 with the offset of the clinic on that day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from adjunct.base import FAR, MS_PER_SECOND
from adjunct.due import Due, due
from adjunct.planning.model import CarePlan, Fact, Told, Visit
from adjunct.planning.person import Planned

MINUTE_MS = 60 * MS_PER_SECOND


def local_iso(ms: int, zone: str) -> str:
    """An instant as the clocks of a zone show it then."""
    return datetime.fromtimestamp(ms // MS_PER_SECOND, tz=UTC).astimezone(ZoneInfo(zone)).isoformat()


def to_dict(planned: Planned, messages: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
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
        "messages": list(messages),
    }


def to_json(planned: Planned, messages: Sequence[Mapping[str, Any]] = ()) -> str:
    """The JSON that the command prints."""
    return orjson.dumps(to_dict(planned, messages), option=orjson.OPT_INDENT_2, default=str).decode()


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
