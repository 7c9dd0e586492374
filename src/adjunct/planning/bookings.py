"""The visits of a plan as they are asked of the clinic's timetable: how long, in which window, with whom."""

from __future__ import annotations

from typing import Any

from adjunct.clinic.explain import minutes
from adjunct.planning.course import DOSE
from adjunct.planning.model import OVER, Status, Visit
from adjunct.planning.person import Planned
from adjunct.planning.written import local_iso


def visit_requests(planned: Planned) -> list[dict[str, Any]]:
    """Plain values for `clinic.requests`: every visit to come of a plan that may be carried out, in order.

    A plan that waits for something open asks for no place: a chair kept for it would be lost.
    """
    if planned.plan.status is not Status.ACTIVE:
        return []
    return [_request(planned, visit) for visit in planned.plan.visits if visit.state not in OVER]


def _request(planned: Planned, visit: Visit) -> dict[str, Any]:
    zone, person = planned.plan.zone, planned.plan.patient or "person"
    needs = planned.case.knowledge.content["plan"]["booking"]
    needed = needs[planned.case.protocol.treatment if visit.kind == DOSE else visit.kind]
    dose = visit.kind == DOSE
    return {
        "id": f"{person}:{visit.id}",
        "person": person,
        "kind": needed["kind"],
        "duration": minutes(visit.ends - visit.starts - visit.observe_ms),
        "observe": minutes(visit.observe_ms),
        "opens": local_iso(max(visit.window.opens, planned.plan.at.ms), zone),
        "closes": local_iso(visit.window.closes, zone),
        "wanted": local_iso(visit.starts, zone),
        "escort": needed["escort"],
        "needs": [dict(need) for need in needed["needs"]],
        "asked": planned.plan.at.iso(),
    } | ({"order": visit.number, "least_gap": minutes(visit.least_gap_ms)} if dose else {})
