"""The worked cases: the decision, every meaning that has to be in the answer, and nothing that must not be in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import pytest

import adjunct
from adjunct.assessment import Assessment
from adjunct.demo import PEOPLE, bundle_path
from bundles import LOCAL, NOW, RXNORM, SUBJECT, coding, knowledge
from cases.worked_cases import CASES, D01, D20, NEIGHBOURS, NEVER, UNATTESTED, Case, Must

LATER = {"D20": "2026-11-21T13:00:00-06:00"}  # the dose was this morning; the question comes at midday
DENIAL = re.compile(
    r"\b(not?|never|none|nothing|without|neither|nor|cannot|least of all)\b[^.;:]{0,60}$", re.IGNORECASE
)


def answer_to(case: Case) -> Assessment:
    return adjunct.assess(
        case.bundle,
        treatment=case.treatment,
        phase=case.phase,
        at=LATER.get(case.id, NOW),
        country=case.country,
        knowledge=knowledge(),
    )


def texts(result: Assessment) -> dict[str, list[str]]:
    """What the answer says, by the id that a meaning may be bound to."""
    found: dict[str, list[str]] = {}
    for finding in result.findings:
        found.setdefault(finding.id, []).append(f"{finding.title}. {finding.says} {finding.tell}")
        found.setdefault("because", []).extend(f"{r.concept} {r.value} {r.unit}" for r in finding.because)
    for gap in result.gaps:
        for fact in re.split(r", | \(", gap.fact):
            found.setdefault(fact, []).append(f"{gap.why} {gap.ask}")
    for contact in result.contacts:
        found.setdefault(f"contact:{contact.purpose}", []).append(contact.text)
    return found


def missing(case: Case, result: Assessment) -> list[str]:
    found = texts(result)
    return [must.meaning for must in case.must_have if not _carried(must, found)]


def _carried(must: Must, found: dict[str, list[str]]) -> bool:
    said = (text for name in must.ids.split() for text in found.get(name, ()))
    return any(re.search(must.text, text, re.DOTALL) for text in said)


def forbidden(case: Case, result: Assessment) -> list[str]:
    ids = {f.id for f in result.findings}
    wrong = [name for name in case.must_not.split() if name in ids]
    spoken = [
        *result.headline.values(),
        *(text for f in result.findings for text in (f.title, f.says, f.tell)),
        *(gap.ask for gap in result.gaps),
    ]
    return wrong + list(_affirmed((*NEVER, *case.never), spoken))


def _affirmed(patterns: Iterable[str], spoken: Iterable[str]) -> Iterable[str]:
    """Each pattern that stands in a text and is not denied there."""
    for text in spoken:
        for pattern in patterns:
            for hit in re.finditer(pattern, text):
                if not DENIAL.search(text[: hit.start()]):
                    yield f"{hit.group(0)!r} in {text!r}"


@pytest.mark.parametrize("case", [*CASES, *NEIGHBOURS], ids=lambda c: c.id)
def test_worked_case(case: Case) -> None:
    result = answer_to(case)
    assert result.verdict == case.decision, [(f.id, f.verdict) for f in result.findings] + [g.ask for g in result.gaps]
    assert missing(case, result) == []
    assert forbidden(case, result) == []
    if case.complete is not None:
        assert result.complete is case.complete, [g.ask for g in result.gaps if g.blocks]


@pytest.mark.parametrize("case", UNATTESTED, ids=lambda c: c.id)
def test_without_an_attestation_nobody_is_eligible(case: Case) -> None:
    result = answer_to(case)
    assert result.verdict == "DEFER"
    assert not result.complete
    open_ = {fact for gap in result.gaps if gap.blocks for fact in gap.fact.split(", ")}
    assert open_ & {"history_reviewed", "reconciled", "allergies_asked"}


def test_every_named_finding_exists() -> None:
    """An id that no rule carries would make a `must_not` pass for ever."""
    known = set(knowledge().rules) | set(knowledge().concepts) | {"because", "record", "text"}
    named = {name for case in (*CASES, *NEIGHBOURS) for must in case.must_have for name in must.ids.split()}
    named |= {name for case in (*CASES, *NEIGHBOURS) for name in case.must_not.split()}
    assert {name for name in named - known if not name.startswith("contact:")} == set()


def test_a_prescription_dated_by_the_day_is_in_use() -> None:
    """`authoredOn` without a time is when it was written, not a period that is over."""
    phenelzine = {
        "resourceType": "MedicationRequest",
        "id": "rx",
        "status": "active",
        "intent": "order",
        "subject": SUBJECT,
        "authoredOn": "2026-11-03",
        "medicationCodeableConcept": coding(RXNORM, "8123", "phenelzine"),
    }
    facts = [*(fact for fact in D20.facts if fact["id"] != "med-phenelzine"), phenelzine]
    assert "phenelzine-heart-failure" in {f.id for f in answer_to(replace(D20, facts=facts)).findings}


def test_a_dose_that_was_not_given_is_no_use() -> None:
    skipped = {
        "resourceType": "MedicationAdministration",
        "id": "given",
        "status": "not-done",
        "subject": SUBJECT,
        "effectiveDateTime": "2026-11-21T07:00:00-06:00",
        "medicationCodeableConcept": coding(LOCAL, "kratom-leaf", "kratom"),
    }
    result = answer_to(replace(D01, facts=[*D01.facts, skipped]))
    assert [f.id for f in result.findings if "kratom" in f.id] == []


@pytest.mark.parametrize(
    ("person", "verdict", "leading"),
    [
        ("ana-first-visit.json", "ELIGIBLE", "suicide-low"),
        ("ben-kratom-this-morning.json", "DEFER", "kratom-same-day"),
        ("carla-two-antidepressants.json", "DEFER", "maoi-with-serotonergic-antidepressant"),
    ],
)
def test_the_people_that_come_with_adjunct(person: str, verdict: str, leading: str) -> None:
    who = next(p for p in PEOPLE if p.file == person)
    result = adjunct.assess(
        bundle_path(who.file),
        treatment=who.treatment,
        phase=who.phase,
        at=who.at,
        country=who.country,
        knowledge=knowledge(),
    )
    assert (result.verdict, result.findings[0].id) == (verdict, leading)
