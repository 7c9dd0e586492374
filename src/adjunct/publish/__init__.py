"""Results -> FHIR R4, for the record system that asked: assessments, questionnaires, scores, follow-up, plans."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from adjunct.publish.assessment import to_fhir
from adjunct.publish.follow_up import follow_up_to_fhir
from adjunct.publish.measures import score_to_fhir
from adjunct.publish.questionnaire import questionnaire

if TYPE_CHECKING:
    from adjunct.publish.own_forms import own_questionnaire
    from adjunct.publish.plan import plan_to_fhir
    from adjunct.publish.protocols import protocol_to_fhir
    from adjunct.publish.session import session_to_fhir

__all__ = [
    "follow_up_to_fhir",
    "own_questionnaire",
    "plan_to_fhir",
    "protocol_to_fhir",
    "questionnaire",
    "score_to_fhir",
    "session_to_fhir",
    "to_fhir",
]
LATE = {
    "own_questionnaire": "own_forms",
    "plan_to_fhir": "plan",
    "protocol_to_fhir": "protocols",
    "session_to_fhir": "session",
}


def __getattr__(name: str) -> Any:
    if name in LATE:  # imported late: they bring follow-up and plans with them
        return getattr(import_module(f"adjunct.publish.{LATE[name]}"), name)
    raise AttributeError(f"module 'adjunct.publish' has no attribute {name!r}")
