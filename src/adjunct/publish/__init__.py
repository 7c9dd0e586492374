"""Results -> FHIR R4, for the record system that asked: assessments, questionnaires and scores, follow-up."""

from __future__ import annotations

from adjunct.publish.assessment import to_fhir
from adjunct.publish.follow_up import follow_up_to_fhir
from adjunct.publish.measures import score_to_fhir
from adjunct.publish.own_questionnaire import own_questionnaire
from adjunct.publish.questionnaire import questionnaire

__all__ = ["follow_up_to_fhir", "own_questionnaire", "questionnaire", "score_to_fhir", "to_fhir"]
