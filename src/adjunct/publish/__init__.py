"""Results -> FHIR R4, for the record system that asked: assessments, questionnaires and scores, follow-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adjunct.publish.assessment import to_fhir
from adjunct.publish.follow_up import follow_up_to_fhir
from adjunct.publish.measures import score_to_fhir
from adjunct.publish.questionnaire import questionnaire

if TYPE_CHECKING:
    from adjunct.publish.own_forms import own_questionnaire

__all__ = ["follow_up_to_fhir", "own_questionnaire", "questionnaire", "score_to_fhir", "to_fhir"]


def __getattr__(name: str) -> Any:
    if name == "own_questionnaire":  # imported late: it brings all of follow-up with it
        from adjunct.publish.own_forms import own_questionnaire

        return own_questionnaire
    raise AttributeError(f"module 'adjunct.publish' has no attribute {name!r}")
