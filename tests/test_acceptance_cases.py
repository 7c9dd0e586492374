"""Bundles of an outside integrator: verdict, whether it is complete, what was found and asked, and what must not be.

The protocol decides what is expected. `finds`, `asks` and `never` are ids; of ids joined by `|` one is enough.
"""

from __future__ import annotations

import re

import pytest

import adjunct
from adjunct.assessment import Assessment
from bundles import NOW, knowledge
from cases.acceptance_cases import CASES, Case


def answer_to(case: Case) -> Assessment:
    return adjunct.assess(
        case.bundle, treatment=case.treatment, phase=case.phase, at=NOW, country="US", knowledge=knowledge()
    )


def wrong(case: Case, result: Assessment) -> list[str]:
    found = {finding.id for finding in result.findings}
    asked = {fact for gap in result.gaps for fact in re.split(r", | \(", gap.fact)}
    said = [f"verdict {result.verdict}"] if result.verdict not in case.verdict.split("|") else []
    said += [f"not found: {ids}" for ids in case.finds.split() if not found & set(ids.split("|"))]
    said += [f"not asked: {ids}" for ids in case.asks.split() if not asked & set(ids.split("|"))]
    said += [f"found: {ids}" for ids in case.never.split() if ids in found]
    if case.complete is not None and result.complete is not case.complete:
        said.append(f"complete {result.complete}")
    return said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_acceptance(case: Case) -> None:
    result = answer_to(case)
    seen = (
        [(f.id, f.verdict) for f in result.findings if f.action != "inform"],
        [(g.fact, g.blocks) for g in result.gaps],
    )
    assert wrong(case, result) == [], f"{case.title}: {seen}"


def test_each_case_has_a_name_of_its_own() -> None:
    assert len({case.id for case in CASES}) == len(CASES)


def test_every_named_finding_exists() -> None:
    """An id that no rule carries would make a `never` pass for ever."""
    rules, concepts = set(knowledge().rules), set(knowledge().concepts)
    named = {i for case in CASES for ids in f"{case.finds} {case.never}".split() for i in ids.split("|")}
    asked = {i for case in CASES for ids in case.asks.split() for i in ids.split("|")}
    assert (named - rules, asked - concepts) == (set(), set())


@pytest.mark.parametrize("case", [c for c in CASES if c.treatment == "none"], ids=lambda c: c.id)
def test_no_treatment_is_never_not_eligible(case: Case) -> None:
    assert answer_to(case).verdict != "NOT_ELIGIBLE"


@pytest.mark.parametrize("case", [c for c in CASES if c.phase == "during"], ids=lambda c: c.id)
def test_a_session_is_never_deferred(case: Case) -> None:
    assert answer_to(case).verdict not in ("DEFER", "NOT_ELIGIBLE")


@pytest.mark.parametrize("case", [c for c in CASES if c.verdict == "ESCALATE"], ids=lambda c: c.id)
def test_without_a_country_no_number_of_one_country_is_given(case: Case) -> None:
    """911 and 988 are never a default."""
    result = adjunct.assess(case.bundle, treatment=case.treatment, phase=case.phase, at=NOW, knowledge=knowledge())
    assert result.contacts
    assert not [c.text for c in result.contacts if re.search(r"\b(911|988)\b", c.text)]
