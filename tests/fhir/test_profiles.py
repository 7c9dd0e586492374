"""Profiles: our own against what we publish, and those of others by the same engine."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
import pytest

import adjunct
from adjunct.base import BadInput
from adjunct.fhir import definitions
from adjunct.fhir.outcome import Issue
from adjunct.fhir.profiles import Profile, check, contains, known
from adjunct.fhir.validation import validate
from adjunct.instruments import instrument, score
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import LOCAL
from adjunct.publish import check_to_fhir, score_to_fhir
from adjunct.publish.assessment import SUBSTANCE
from adjunct.session.resources import ITEM, VITALS
from fhir_corpora import examples_folder
from test_session_fhir import DAYS, published

Json = dict[str, Any]
KNOWLEDGE = Knowledge.load()
NOW = "2026-11-22T09:30:00+01:00"
OURS = "urn:adjunct:profile:"


def lacks(resource: Json, profile: str) -> list[tuple[str, str]]:
    """Place and words of every error under one of our profiles."""
    found = validate(resource, orjson.dumps(resource), profile=[OURS + profile])
    return [(i.expression, i.diagnostics) for i in found if i.severity == "error"]
