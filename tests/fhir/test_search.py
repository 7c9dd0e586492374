"""What a search means: a small record that a reader can keep in mind, what is asked of it, and what must be found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adjunct.fhir import criteria as ask
from adjunct.fhir import search
from adjunct.fhir.memory import MemoryRepository, compares
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Reader, Repository
from adjunct.fhir.rest import Rules
from adjunct.fhir.rest.metadata import statement
from adjunct.fhir.search.summary import elements_of, shorten
from stores import BACKENDS, put, store

BASE = "http://127.0.0.1:8000/fhir"
NOW = 1_795_305_600_000  # 2026-11-22
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"


def patient(id: str, family: str, first: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "name": [{"family": family, "given": [first]}], **more}


def observation(id: str, code: dict[str, Any], subject: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    of = {"reference": subject} if isinstance(subject, str) else subject
    return {"resourceType": "Observation", "id": id, "status": "final", "code": code, "subject": of, **more}


def loinc(code: str, display: str = "") -> dict[str, Any]:
    return {"coding": [{"system": LOINC, "code": code} | ({"display": display} if display else {})]}


def amount(value: float, code: str) -> dict[str, Any]:
    return {"value": value, "unit": code, "system": UCUM, "code": code}


def pressures(systolic: float, diastolic: float) -> list[dict[str, Any]]:
    both = (("8480-6", systolic), ("8462-4", diastolic))
    return [{"code": loinc(code), "valueQuantity": amount(value, "mm[Hg]")} for code, value in both]


RECORD = [
    {"resourceType": "Organization", "id": "clinic", "name": "North Clinic"},
    {"resourceType": "Organization", "id": "ward", "name": "Ward 3", "partOf": {"reference": "Organization/clinic"}},
    patient(
        "ana",
        "Müller-Lüd",
        "Ana",
        gender="female",
        birthDate="1991-05-14",
        identifier=[
            {
                "system": "urn:mrn",
                "value": "17",
                "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
            }
        ],
        managingOrganization={"reference": "Organization/ward"},
        meta={"tag": [{"system": "urn:tags", "code": "demo"}], "profile": ["http://p.example/person|2.0"]},
    ),
    patient("ben", "Muller", "Benedict", gender="male", birthDate="1985"),
    patient("eve", "Ortiz", "Eve", birthDate="1985-03"),
    {"resourceType": "Group", "id": "all", "type": "person", "actual": True},
    observation(
        "bp-ana",
        loinc("85354-9", "Blood pressure"),
        "Patient/ana",
        effectiveDateTime="2026-11-20T09:30:00+01:00",
        component=pressures(142, 88),
    ),
    observation(
        "bp-ben", loinc("85354-9"), f"{BASE}/Patient/ben", effectiveDateTime="2026-11", component=pressures(118, 92)
    ),
    observation(
        "weight",
        loinc("29463-7"),
        "Patient/ana",
        status="preliminary",
        effectivePeriod={"start": "2026-11-01"},
        valueQuantity=amount(62.5, "kg"),
    ),
    observation("dose-mg", {"text": "Dose given"}, "Patient/ana", valueQuantity=amount(250, "mg")),
    observation("dose-g", {"text": "dose, later"}, "Patient/eve", valueQuantity=amount(0.25, "g")),
    observation("crowd", loinc("1"), "Group/all", valueString="a,b|c$d\\e"),
    observation("far", loinc("1"), "http://far.example/fhir/Patient/ana", valueQuantity={"value": 250}),
    observation("named", loinc("2"), {"identifier": {"system": "urn:mrn", "value": "17"}}),
    {
        "resourceType": "RiskAssessment",
        "id": "risk",
        "status": "final",
        "subject": {"reference": "Patient/ben"},
        "prediction": [{"probabilityDecimal": 0.1}],
    },
    {"resourceType": "ValueSet", "id": "a", "url": "http://v.example/sets/a", "status": "active"},
    {"resourceType": "ValueSet", "id": "ab", "url": "http://v.example/sets/a/b", "status": "draft"},
    {"resourceType": "ValueSet", "id": "a2", "url": "http://v.example/sets/a2", "status": "draft"},
    {
        "resourceType": "QuestionnaireResponse",
        "id": "answers",
        "status": "completed",
        "questionnaire": "http://q.example/mood|1",
        "subject": {"reference": "Patient/ana"},
    },
    {
        "resourceType": "Provenance",
        "id": "prov",
        "target": [{"reference": "Observation/bp-ana"}, {"reference": "Patient/ben"}],
        "recorded": "2026-11-20T10:00:00Z",
        "agent": [{"who": {"reference": "Organization/ward"}}],
    },
]


def filled(documents: list[dict[str, Any]], into: Repository | None = None) -> Repository:
    ticks = count()
    repository = into or MemoryRepository(lambda: next(ticks) * 1000)
    for document in documents:
        put(repository, **json.loads(json.dumps(document)))
    return repository


@pytest.fixture(scope="module", params=BACKENDS)
def record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    ticks = count()
    folder = tmp_path_factory.mktemp("record")
    with store(request.param, folder, lambda: next(ticks) * 1000) as made, filled(RECORD, made).reading() as reader:
        yield reader


def asked(type: str, query: str, *, strict: bool = True, **more: Any) -> search.Asked:
    defaults: dict[str, Any] = {"now": NOW, "count": 50, "limit": 100, "base": BASE}
    return search.parse(type, search.pairs(query), strict=strict, **(defaults | more))


def answered(ask_it: Callable[[], search.Asked]) -> search.Asked | Refusal:
    try:
        return ask_it()
    except Refusal as refused:
        return refused


def ids(page: Any) -> list[str]:
    return [stored.id for stored in page.matches]


FOUND = [
    # what is asked of Patients                          who is found
    ("Patient", "gender=female", "ana"),
    ("Patient", "gender=http://hl7.org/fhir/administrative-gender|female", "ana"),
    ("Patient", "gender=http://hl7.org/fhir/administrative-gender|", "ana ben"),
    ("Patient", "gender=urn:other|female", ""),
    ("Patient", "gender=|female", "ana"),
    ("Patient", "gender=female,male", "ana ben"),
    ("Patient", "gender:not=female", "ben eve"),  # who has none is not female
    ("Patient", "gender:missing=true", "eve"),
    ("Patient", "gender:missing=false", "ana ben"),
    ("Patient", "gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", "ana ben"),
    ("Patient", "name=muller", "ana ben"),
    ("Patient", "name=MÜLLER-L", "ana"),
    ("Patient", "name=ller", ""),
    ("Patient", "name:contains=ller", "ana ben"),
    ("Patient", "family:exact=Muller", "ben"),
    ("Patient", "family:exact=muller", ""),
    ("Patient", "name=muller&gender=male", "ben"),
    ("Patient", "name=ortiz,bene", "ben eve"),
    ("Patient", "identifier=urn:mrn|17", "ana"),
    ("Patient", "identifier=17", "ana"),
    ("Patient", "identifier=urn:mrn|", "ana"),
    ("Patient", "identifier=|17", ""),
    ("Patient", "identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|17", "ana"),
    ("Patient", "identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|SS|17", ""),
    ("Patient", "_id=ana,eve,nobody", "ana eve"),
    ("Patient", "_id:not=ana", "ben eve"),
    ("Patient", "_tag=urn:tags|demo", "ana"),
    ("Patient", "_profile=http://p.example/person", "ana"),
    ("Patient", "_profile=http://p.example/person|2.0", "ana"),
    ("Patient", "_profile=http://p.example/person|3.0", ""),
    ("Patient", "_lastUpdated=lt1970-01-01T00:00:03Z", "ana"),
    ("Patient", "_lastUpdated=ge1970-01-01T00:00:03Z", "ben eve"),
    ("Patient", "organization:Organization.name=ward", "ana"),
    ("Patient", "organization.partof.name=north", "ana"),
    ("Patient", "organization.partof._id=clinic", "ana"),
    ("Patient", "_has:Observation:patient:code=85354-9", "ana"),  # the other blood pressure names an address
    ("Patient", "_has:Observation:subject:status:not=final", "ana"),
    ("QuestionnaireResponse", "questionnaire=http://q.example/mood", "answers"),
    ("Patient", "_has:Observation:patient:_has:Provenance:target:recorded=2026", "ana"),
    ("Patient", "_has:RiskAssessment:subject:probability=ge0.1", "ben"),
    # dates: a row must lie within what is asked; a year is not within its month
    ("Patient", "birthdate=1985", "ben eve"),
    ("Patient", "birthdate=1985-03", "eve"),
    ("Patient", "birthdate=ne1985-03", "ana ben"),
    ("Patient", "birthdate=gt1985-03", "ana ben"),  # the year goes on after March
    ("Patient", "birthdate=lt1985-03", "ben"),
    ("Patient", "birthdate=ge1985-03", "ana ben eve"),
    ("Patient", "birthdate=sa1985-03", "ana"),
    ("Patient", "birthdate=eb1991-05-14", "ben eve"),
    ("Patient", "birthdate=eb1985-04", "eve"),
    ("Patient", "birthdate=ap1987", "ben eve ana"),  # a tenth of almost 40 years to both sides
    ("Patient", "birthdate=ge1985&birthdate=lt1990", "ben eve"),
    ("Observation", "date=2026-11-20", "bp-ana"),
    ("Observation", "date=2026-11-20T08:30:00Z", "bp-ana"),
    ("Observation", "date=2026-11-20T08:30Z", "bp-ana"),
    ("Observation", "date=2026-11-20T09:30:00Z", ""),
    ("Observation", "date=gt2030", "weight"),  # it began and nobody said that it ended
    ("Observation", "date=2026", "bp-ana bp-ben"),
    # codes and words
    ("Observation", f"code={LOINC}|85354-9", "bp-ana bp-ben"),
    ("Observation", "code:text=blood", "bp-ana"),
    ("Observation", "code:text=dose", "dose-mg dose-g"),
    ("Observation", "code:missing=true", ""),  # said in words is not missing
    ("Observation", "status:not=final", "weight"),
    ("Observation", r"value-string=a\,b\|c\$d\\e", "crowd"),
    ("Observation", "value-string=a,b", "crowd"),
    ("Observation", r"value-string:exact=a\,b", ""),
    # amounts: 250 stands for 249.5 up to 250.5
    ("Observation", f"value-quantity=250|{UCUM}|mg", "dose-mg dose-g"),
    ("Observation", f"value-quantity=0.25|{UCUM}|g", "dose-mg dose-g"),
    ("Observation", f"value-quantity=250.4|{UCUM}|mg", ""),
    ("Observation", f"value-quantity=gt249|{UCUM}|mg", "weight dose-mg dose-g"),
    ("Observation", f"value-quantity=lt1|{UCUM}|kg", "dose-mg dose-g"),
    ("Observation", f"value-quantity=ap230|{UCUM}|mg", "dose-mg dose-g"),
    ("Observation", f"value-quantity=ap220|{UCUM}|mg", ""),
    ("Observation", "value-quantity=250", "dose-mg far"),
    ("Observation", "value-quantity=250||mg", "dose-mg"),
    ("Observation", f"value-quantity=250|{UCUM}|", "dose-mg"),
    ("Observation", "value-quantity:missing=false", "weight dose-mg dose-g far"),
    ("RiskAssessment", "probability=0.1", "risk"),
    ("RiskAssessment", "probability=0.10", "risk"),
    ("RiskAssessment", "probability=0.12", ""),
    ("RiskAssessment", "probability=1e-1", "risk"),
    ("RiskAssessment", "probability=gt0.1", ""),
    ("RiskAssessment", "probability=ge0.1", "risk"),
    ("RiskAssessment", "probability=sa0.1", ""),
    ("RiskAssessment", "probability=eb0.1", ""),
    ("RiskAssessment", "probability=ne0.1", ""),
    # composites: one component must answer both parts
    ("Observation", "component-code-value-quantity=8480-6$gt140", "bp-ana"),
    ("Observation", "component-code-value-quantity=8462-4$gt140", ""),
    ("Observation", f"component-code-value-quantity=8462-4$ge90|{UCUM}|mm[Hg]", "bp-ben"),
    ("Observation", "component-code-value-quantity=8480-6$gt140,8462-4$gt90", "bp-ana bp-ben"),
    # combined: what `code` or `component-code` finds
    ("Observation", "combo-code=8480-6", "bp-ana bp-ben"),
    ("Observation", "combo-code=8480-6,29463-7", "bp-ana bp-ben weight"),
    ("Observation", "combo-code=29463-7&component-code=8480-6", ""),
    ("Observation", "combo-code:not=8480-6,29463-7", "crowd dose-g dose-mg far named"),
    ("Observation", "combo-value-quantity:missing=true", "crowd named"),
    ("Observation", "combo-value-quantity:missing=false", "bp-ana bp-ben dose-g dose-mg far weight"),
    ("Observation", "component-code:missing=false", "bp-ana bp-ben"),
    ("Observation", "combo-code-value-quantity=8480-6$gt140", "bp-ana"),
    ("Observation", "combo-code-value-quantity=8462-4$gt140,29463-7$gt1", "weight"),
    ("Patient", "_has:Observation:patient:combo-code=8480-6", "ana"),
    ("Observation", f"code-value-quantity=29463-7$gt62|{UCUM}|kg", "weight"),
    ("Observation", "code-value-quantity=29463-7$gt63", ""),
    # references
    ("Observation", "subject=Patient/ana", "bp-ana weight dose-mg"),
    ("Observation", "subject=ana", "bp-ana weight dose-mg"),
    ("Observation", "patient=ana", "bp-ana weight dose-mg"),
    ("Observation", "subject:Group=all", "crowd"),
    ("Observation", "patient=all", ""),
    ("Observation", f"subject={BASE}/Patient/ana", "bp-ana weight dose-mg"),
    ("Observation", f"subject={BASE}/Patient/ben", "bp-ben"),
    ("Observation", "subject=http://far.example/fhir/Patient/ana", "far"),
    ("Observation", "subject:identifier=urn:mrn|17", "named"),
    ("Observation", "subject:missing=true", ""),
    ("Observation", "patient:missing=true", "crowd named"),
    ("Observation", "patient.gender=female&code=85354-9", "bp-ana"),
    ("Observation", "subject.name=ortiz", "dose-g"),
    ("Observation", "subject:Patient.name:contains=rti", "dose-g"),
    ("Observation", "patient.birthdate=lt1990", "dose-g"),
    ("Observation", "patient.organization.partof.name=north", "bp-ana weight dose-mg"),
    ("Observation", "patient._has:Provenance:target:recorded=2026", ""),
    ("Provenance", "target=Observation/bp-ana", "prov"),
    ("Provenance", "target=ben", "prov"),
    ("Provenance", "target:Observation.code=85354-9", "prov"),
    # addresses
    ("ValueSet", "url=http://v.example/sets/a", "a"),
    ("ValueSet", "url:below=http://v.example/sets/a", "a ab"),
    ("ValueSet", "url:below=http://v.example/sets/", "a ab a2"),
    ("ValueSet", "url:above=http://v.example/sets/a/b/c", "a ab"),
    # many types at once
    ("", "_id=ana,bp-ana", "ana bp-ana"),
    ("", "_type=Patient,ValueSet&_lastUpdated=gt1970-01-01T00:00:05Z", "a ab a2"),
    ("", "_type=Observation,RiskAssessment&patient=ben", "risk"),
    ("", "_type=Observation,Condition&code=85354-9", "bp-ana bp-ben"),
    ("", "_type=Observation,Condition&code:not=85354-9,1", "weight dose-mg dose-g named"),
    # order: without a value last, equals as written
    ("Patient", "_sort=birthdate", "ben eve ana"),
    ("Patient", "_sort=-birthdate", "ana ben eve"),
    ("Patient", "_sort=gender", "ana ben eve"),
    ("Patient", "_sort=-gender", "ben ana eve"),
    ("Patient", "_sort=-_id", "eve ben ana"),
    ("Patient", "_sort=-_lastUpdated", "eve ben ana"),
    ("Observation", "_sort=-status,-_lastUpdated&code=1,29463-7", "weight far crowd"),
    ("Observation", "_sort=value-quantity&value-quantity:missing=false", "dose-mg dose-g weight far"),
    ("Observation", "_sort=-value-quantity&value-quantity:missing=false", "weight dose-mg dose-g far"),
]


@pytest.mark.parametrize(("type", "query", "expected"), FOUND, ids=[f"{t}?{q}" for t, q, _ in FOUND])
def test_finds(record: Reader, type: str, query: str, expected: str) -> None:
    found = ids(record.search(asked(type, query).search))
    assert found == expected.split() if "_sort" in query else sorted(found) == sorted(expected.split())


INCLUDED = [
    ("Observation", "_id=bp-ana&_include=Observation:subject", "ana"),
    ("Observation", "_id=bp-ana,crowd&_include=Observation:subject:Patient", "ana"),
    ("Observation", "_id=bp-ana,crowd&_include=Observation:patient", "ana"),
    ("Observation", "_id=bp-ana,crowd&_include=Observation:*", "ana all"),
    ("Observation", "_id=bp-ana&_include=*", "ana"),
    ("Observation", "_id=bp-ana&_include=Observation:subject&_include=Patient:organization", "ana"),
    ("Observation", "_id=bp-ana&_include=Observation:subject&_include:iterate=Patient:organization", "ana ward"),
    ("Organization", "_id=clinic&_include:iterate=Organization:partof&_revinclude:iterate=Organization:partof", "ward"),
    ("Organization", "_id=clinic&_revinclude:iterate=Organization:partof&_revinclude:iterate=Patient:organization",
     "ward ana"),
    ("Patient", "_id=ben&_revinclude=Provenance:target", "prov"),
    ("Observation", "_id=bp-ana&_revinclude=Provenance:target:Patient", ""),
    ("Observation", "_id=bp-ana&_revinclude=Provenance:target:Observation", "prov"),
    ("Observation", "subject=Patient/ana&_include=Observation:subject", "ana"),
    ("QuestionnaireResponse", "_include=QuestionnaireResponse:*", "ana"),  # and not what its canonical names
]  # fmt: skip


@pytest.mark.parametrize(("type", "query", "expected"), INCLUDED, ids=[f"{t}?{q}" for t, q, _ in INCLUDED])
def test_includes(record: Reader, type: str, query: str, expected: str) -> None:
    page = record.search(asked(type, query).search)
    assert {stored.id for stored in page.included} == set(expected.split())


REFUSED = [
    # what is asked                                     code, expression
    ("Observation", "colour=red", "not-supported", "colour"),
    ("Observation", "_text=red", "not-supported", "_text"),
    ("Observation", "_type=Patient", "not-supported", "_type"),
    ("Observation", "code:above=1", "not-supported", "code:above"),
    ("Observation", "code:not-in=http://v", "not-supported", "code:not-in"),
    ("Observation", "code:exact=1", "not-supported", "code:exact"),
    ("Observation", "date:contains=1", "not-supported", "date:contains"),
    ("Observation", "code:in=http://nobody.example/set", "not-supported", "code:in"),
    ("Observation", "code-value-quantity:missing=true", "not-supported", "code-value-quantity:missing"),
    ("Observation", "_lastUpdated:missing=true", "not-supported", "_lastUpdated:missing"),
    ("Observation", "_id:exact=a", "not-supported", "_id:exact"),
    ("Observation", "code=", "not-supported", "code"),
    ("Observation", "code=a,,b", "invalid", "code"),
    ("Observation", "code=|", "invalid", "code"),
    ("Observation", "code=a|b|c", "invalid", "code"),
    ("Observation", "code:missing=yes", "invalid", "code:missing"),
    ("Observation", "date=2026-13", "invalid", "date"),
    ("Observation", "date=2026-02-30", "invalid", "date"),
    ("Observation", "date=yesterday", "invalid", "date"),
    ("Observation", "date=2026-11-20T09:30:00 01:00", "invalid", "date"),
    ("Observation", "value-quantity=much", "invalid", "value-quantity"),
    ("Observation", "value-quantity=1e999", "invalid", "value-quantity"),
    ("Observation", "value-quantity=5|mg", "invalid", "value-quantity"),
    ("Observation", f"value-quantity=5|{UCUM}|spoons", "value", "value-quantity"),
    ("Observation", "component-code-value-quantity=8480-6", "invalid", "component-code-value-quantity"),
    ("Observation", "component-code-value-quantity=8480-6$much", "invalid", "component-code-value-quantity"),
    ("Observation", "subject=Practitioner/1", "invalid", "subject"),
    ("Observation", "subject=Patient/1/_history/2", "invalid", "subject"),
    ("Observation", "subject:Practitioner=1", "invalid", "subject:Practitioner"),
    ("Observation", "subject:Nobody.name=x", "invalid", "subject:Nobody.name"),
    ("Observation", "subject.colour=x", "not-supported", "subject.colour"),
    ("Observation", "code.name=x", "invalid", "code.name"),
    ("Provenance", "target.code=x", "invalid", "target.code"),
    ("Observation", "patient.birthdate=soon", "invalid", "patient.birthdate"),
    ("Group", "_has:Observation:patient:code=x", "invalid", "_has:Observation:patient:code"),
    ("Patient", "_has:Observation:code=x", "invalid", "_has:Observation:code"),
    ("Patient", "_has:Nobody:patient:code=x", "invalid", "_has:Nobody:patient:code"),
    ("Patient", "_has:Observation:colour:code=x", "not-supported", "_has:Observation:colour:code"),
    ("Patient", "_has:Observation:patient:colour=x", "not-supported", "_has:Observation:patient:colour"),
    ("Patient", "name=%CC%81", "invalid", "name"),  # an accent on nothing
    ("Patient", "name=a%00b", "invalid", ""),
    ("ValueSet", "url:below=urn:oid:1.2", "invalid", "url:below"),
    ("QuestionnaireResponse", "questionnaire.status=active", "not-supported", "questionnaire.status"),
    ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status=completed", "not-supported",
     "_has:QuestionnaireResponse:questionnaire:status"),
    ("QuestionnaireResponse", "_include=QuestionnaireResponse:questionnaire", "not-supported", "_include"),
    ("Questionnaire", "_revinclude=QuestionnaireResponse:questionnaire", "not-supported", "_revinclude"),
    ("ConceptMap", "_include=ConceptMap:source", "not-supported", "_include"),  # uri or canonical
    ("Patient", "_count=ten", "invalid", "_count"),
    ("Patient", "_count=-1", "invalid", "_count"),
    ("Patient", "_count=1&_count=2", "invalid", "_count"),
    ("Patient", "_summary=short", "invalid", "_summary"),
    ("Patient", "_total=roughly", "invalid", "_total"),
    ("Patient", "_elements=name,colour", "invalid", "_elements"),
    ("Patient", "_sort=colour", "not-supported", "_sort"),
    ("Observation", "_sort=code-value-quantity", "invalid", "_sort"),
    ("Patient", "_include=Patient", "invalid", "_include"),
    ("Patient", "_include=Patient:name", "invalid", "_include"),
    ("Patient", "_include=Patient:colour", "not-supported", "_include"),
    ("Patient", "_include=Observation:subject:Practitioner", "invalid", "_include"),
    ("Patient", "_revinclude=*", "invalid", "_revinclude"),
    ("Patient", "_cursor=AAAA", "invalid", "_cursor"),
    ("Patient", "_cursor=%F0%9F%98%80", "invalid", "_cursor"),
    ("Patient", "_format=xml", "not-supported", "_format"),
    ("", "name=x", "not-supported", "name"),
    ("", "_type=Patient,Nobody", "invalid", "_type"),
    ("", "_type=Patient,Observation&_sort=date", "not-supported", "_sort"),
    ("", "_type=Condition,Observation&_sort=code", "invalid", "_sort"),
    ("Observation", "_sort=combo-code", "invalid", "_sort"),
    ("", "_has:Observation:patient:code=x", "invalid", "_has:Observation:patient:code"),
    ("Patient", "link:Patient.link:Patient.link:Patient.link:Patient.link:Patient.link:Patient.link:Patient._id=a",
     "too-costly", "link:Patient." * 7 + "_id"),
    ("Patient", "_sort=" + ",".join(["name"] * 11), "too-costly", "_sort"),
    ("Patient", "_id=" + ",".join("a" * 2001), "too-costly", "_id"),
    ("Patient", "&".join(["_include=Patient:organization"] * 101), "too-costly", "_include"),
    ("ActivityDefinition", "_include=*", "invalid", "_include"),  # all its references are canonical
    ("Patient", "&".join(["_id=a"] * 201), "too-costly", "_id"),
]  # fmt: skip


@pytest.mark.parametrize(("type", "query", "code", "where"), REFUSED, ids=[f"{t}?{q[:60]}" for t, q, *_ in REFUSED])
def test_refuses(type: str, query: str, code: str, where: str) -> None:
    with pytest.raises(Refusal) as refused:
        asked(type, query)
    issue = refused.value.issues[0]
    assert (refused.value.status, issue.code, issue.expression) == (406 if "_format" in query else 400, code, where)
    assert "\n" not in str(refused.value)


def test_what_is_said_to_be_included_is_what_can_be() -> None:
    for resource in statement(Rules(base=BASE, clock=lambda: NOW))["rest"][0]["resource"]:
        references = [p["name"] for p in resource["searchParam"] if p["type"] == "reference"]
        for name in references:
            path = f"{resource['type']}:{name}"
            if path in resource.get("searchInclude", ()):
                assert asked(resource["type"], f"_include={path}").search.includes
            else:
                with pytest.raises(Refusal, match="canonical"):
                    asked(resource["type"], f"_include={path}")


def test_what_a_client_asks_to_ignore_is_named_and_a_bad_value_is_refused_all_the_same() -> None:
    lenient = asked("Patient", "colour=red&gender=male&name=&_sort=colour&_include=Patient:colour", strict=False)
    assert lenient.ignored == ("colour", "name", "_sort", "_include")
    assert lenient.used == (("gender", "male"),)
    assert lenient.search == asked("Patient", "gender=male").search
    with pytest.raises(Refusal):
        asked("Patient", "birthdate=soon", strict=False)
    with pytest.raises(Refusal):
        asked("Patient", "gender:above=male", strict=False)  # R4: a modifier that is not known is never ignored


def test_how_to_answer() -> None:
    assert asked("Patient", "").search.count == 50
    assert asked("Patient", "_count=7").search.count == 7
    assert asked("Patient", "_count=1000").search.count == 100
    assert asked("Patient", "_count=0").counted
    assert asked("Patient", "_summary=count").counted
    assert not asked("Patient", "_summary=true").counted
    assert [asked("Patient", f"_total={t}").search.total for t in ("none", "estimate", "accurate")] == [
        "none",
        "accurate",
        "accurate",
    ]
    assert asked("Patient", "_format=application/fhir%2Bjson&_pretty=true").search == asked("Patient", "").search
    assert asked("", "_type=Group,Patient").search.types == ("Group", "Patient")
    assert asked("", "").search.types == ()


def test_whoever_needs_to_know_that_there_is_only_one_is_not_led_by_the_client() -> None:
    for query in ("gender=male&_count=0", "gender=male&_count=1", "gender=male&_cursor=x"):
        plain = search.parse("Patient", search.pairs(query), strict=True, now=NOW, count=2)
        assert plain.search == search.parse("Patient", [("gender", "male")], strict=True, now=NOW, count=2).search
        assert not plain.counted


def test_a_compartment_narrows_the_types_and_adds_its_condition(record: Reader) -> None:
    belongs = ask.InCompartment(
        type="Patient", id="ana", indexes=(asked("Observation", "subject=x").search.where[0].index,)
    )
    within = ask.Search(types=("Condition", "Observation"), where=(belongs,), count=0)
    assert ids(record.search(asked("", "", within=within).search)) == ["bp-ana", "weight", "dose-mg"]
    assert asked("", "_type=Observation", within=within).search.types == ("Observation",)
    assert asked("Observation", "code=x", within=within).search.types == ("Observation",)
    with pytest.raises(Refusal, match="in this compartment"):
        asked("", "_type=Group", within=within)


def test_a_value_set_of_the_record_serves_in() -> None:
    codes = {"http://v.example/pressures": frozenset({(LOINC, "85354-9")})}
    with filled(RECORD).reading() as record:
        found = record.search(asked("Observation", "code:in=http://v.example/pressures", expand=codes.get).search)
    assert ids(found) == ["bp-ana", "bp-ben"]


# --- intervals --------------------------------------------------------------------------------------------------------

DAYS = st.tuples(st.integers(0, 12), st.integers(1, 6)).map(lambda d: (d[0], d[0] + d[1]))


@given(DAYS, DAYS)
def test_prefixes_compare_what_lies_in_the_intervals(one: tuple[int, int], row: tuple[int, int]) -> None:
    """R4, 3.1.1.5.6 in its own words, about the moments in both."""
    wanted, there = set(range(*one)), set(range(*row))
    above, below = {m for m in there if m > max(wanted)}, {m for m in there if m < min(wanted)}
    said = {
        "eq": there <= wanted,  # the range of the search value fully contains that of the resource
        "ne": not there <= wanted,
        "gt": bool(above),  # the range above the search value intersects
        "lt": bool(below),
        "ge": bool(above) or there <= wanted,
        "le": bool(below) or there <= wanted,
        "sa": there == above,  # does not overlap, and the range above contains it
        "eb": there == below,
        "ap": bool(there & wanted),
    }
    for compare, expected in said.items():
        assert compares(ask.Span(compare, *one), *row) is expected, compare  # type: ignore[arg-type]


@given(st.decimals(-1000, 1000, places=3), st.integers(0, 3))
def test_a_number_stands_for_what_rounds_to_it(value: Any, places: int) -> None:
    written = round(value, places)
    span = search.parse(
        "RiskAssessment", [("probability", f"{written:f}")], strict=True, now=NOW, count=1
    ).search.where[0].any_of[0]  # fmt: skip
    half = 0.5 * 10**-places
    assume(abs(abs(float(value) - float(written)) - half) > 1e-9)  # at the very edge it depends on the side
    assert compares(span, float(value), float(value))
    assert not compares(span, float(written) + 1.001 * half, float(written) + 1.001 * half)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("100", (99.5, 100, 100.49), (99.49, 100.5)),
        ("100.00", (99.995, 100.0049), (99.99, 100.005)),
        ("1e2", (50, 149.9), (49.9, 150)),
        ("ap100", (91, 109), (89, 111)),
        ("ap0", (0, 0.4), (0.6,)),
        ("gt100", (100.01,), (100, 99)),
        ("sa100", (100.01,), (100, 99)),
        ("ge100", (100, 101), (99.9,)),
        ("le100", (100, 99), (100.1,)),
        ("lt100", (99.9,), (100,)),
        ("eb100", (99.9,), (100,)),
        ("ne100", (99, 101), (100.2,)),
        ("-5", (-5.4,), (-5.6, 5)),
    ],
)
def test_precision_of_a_number(text: str, inside: tuple[float, ...], outside: tuple[float, ...]) -> None:
    span = asked("RiskAssessment", f"probability={text}").search.where[0].any_of[0]
    assert all(compares(span, x, x) for x in inside)
    assert not any(compares(span, x, x) for x in outside)


# --- pages ------------------------------------------------------------------------------------------------------------

SORTS = ("", "birthdate", "-birthdate", "gender,-birthdate", "-gender,_id", "-_lastUpdated", "family,-_id")
PEOPLE = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.sampled_from(["", "male", "female"]),
        st.sampled_from(["", "1980", "1980-05", "1999-01-01"]),
    ),
    max_size=12,
)


def person(number: int, gender: str, born: str) -> dict[str, Any]:
    more = ({"gender": gender} if gender else {}) | ({"birthDate": born} if born else {})
    return patient(f"p{number}", "One" if number % 3 else "Two", "A", **more)


@given(PEOPLE, PEOPLE, st.sampled_from(SORTS), st.integers(1, 4))
def test_pages_neither_skip_nor_repeat_while_others_write(
    before: list[Any], meanwhile: list[Any], order: str, length: int
) -> None:
    repository = filled([person(*p) for p in before])
    query = f"_sort={order}&_count={length}" if order else f"_count={length}"
    with repository.reading() as record:
        whole = ids(record.search(asked("Patient", query.replace(f"_count={length}", "_count=100")).search))
    seen: list[str] = []
    cursor = ""
    for _ in range(len(whole) + 1):  # a broken store could go on for ever
        now_asked = asked("Patient", query + cursor)
        with repository.reading() as record:
            page = record.search(now_asked.search)
        seen += ids(page)
        if page.next is None:
            break
        cursor = f"&_cursor={now_asked.following(page.next)}"
        for number, gender, born in meanwhile:
            if gender:
                put(repository, **person(number, gender, born))
            else:
                repository.write(lambda unit, own=f"p{number}": unit.delete("Patient", own))  # type: ignore[misc]
    assert seen == whole


def test_a_cursor_is_good_for_its_own_search_only(record: Reader) -> None:
    first = asked("Patient", "_sort=birthdate&_count=1")
    page = record.search(first.search)
    assert page.next
    cursor = first.following(page.next)
    assert asked("Patient", f"_count=1&_sort=birthdate&_cursor={cursor}").search.cursor == page.next
    others = ["_sort=gender&_count=1", "_sort=-birthdate&_count=1", "_sort=birthdate&_count=1&gender=male", "_count=1"]
    further = first.following(page.next._replace(key=page.next.key + 1))
    mixed = cursor[: len("of12letters:")] + further[len("of12letters:") :]
    for query in (*(f"{other}&_cursor={cursor}" for other in others), f"_sort=birthdate&_count=1&_cursor={mixed}"):
        with pytest.raises(Refusal, match="not of this search"):
            asked("Patient", query)
    with pytest.raises(Refusal, match="not of this search"):
        asked("Person", f"_sort=birthdate&_count=1&_cursor={cursor}")


@given(st.lists(st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.none()), max_size=4))
def test_a_forged_cursor_is_refused_or_of_the_right_kind(forged: list[Any]) -> None:
    assume(all(not isinstance(v, int) or abs(v) < 2**63 for v in forged))
    snapshot, key, *after = (*forged, None, None)  # who knows the program can compute the check: it is against mistakes
    text = asked("Patient", "_sort=birthdate,family").following(ask.Cursor(snapshot, tuple(after), key))  # type: ignore[arg-type]
    understood = answered(lambda: asked("Patient", f"_sort=birthdate,family&_cursor={text}"))
    if isinstance(understood, search.Asked):
        cursor = understood.search.cursor
        assert cursor is not None
        born, family = cursor.after
        assert born is None or type(born) in (int, float)
        assert family is None or isinstance(family, str)


# --- anything at all --------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        "code", "date", "value-quantity", "subject", "patient", "_id", "_lastUpdated", "_sort", "_count", "_include",
        "_revinclude", "_has:Observation:subject:code", "patient.name", "subject:Patient.birthdate", "_cursor", "_type",
        "component-code-value-quantity", "_tag", "value-string", "status:in", "_elements", "_summary",
        "identifier:of-type", "subject:identifier", "patient._has:Provenance:target:recorded", "based-on.subject.name",
    ]
)  # fmt: skip
MODIFIERS = st.sampled_from(["", ":not", ":missing", ":exact", ":contains", ":text", ":in", ":below", ":Patient", ":x"])
TEXTS = st.text(st.sampled_from("abe019-+.:|,$\\/T Z%éß\u0301\U0001f600gtlesn"), max_size=12) | st.sampled_from(
    [
        "true",
        "2026-11-20",
        "gt2026",
        "5.4|http://unitsofmeasure.org|mg",
        "Patient/ana",
        "*",
        "Observation:subject",
        "-date",
    ]
)


@given(st.lists(st.tuples(st.tuples(NAMES | TEXTS, MODIFIERS).map("".join), TEXTS), max_size=3), st.booleans())
def test_any_query_is_answered_by_every_store_alike_or_refused(
    record: Reader, query: list[tuple[str, str]], strict: bool
) -> None:
    understood = answered(lambda: search.parse("Observation", query, strict=strict, now=NOW, count=10, base=BASE))
    if isinstance(understood, search.Asked):
        with SMALL.reading() as twin:
            assert record.search(understood.search) == twin.search(understood.search)
    else:
        assert understood.status in (400, 406)
        assert understood.issues[0].diagnostics


SMALL = filled(RECORD)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_any_query_string_can_be_taken_apart(text: str) -> None:
    understood = answered(lambda: search.parse("Patient", search.pairs(text), strict=True, now=NOW, count=10))
    assert isinstance(understood, search.Asked) or understood.status == 400


@pytest.mark.parametrize(
    "query",
    [
        "birthdate=zebra",
        "_lastUpdated=zebra",
        "gender=zebra|zebra|zebra",
        "general-practitioner=zebra/zebra/zebra",
        "gender:in=http://zebra",
        "gender:missing=zebra",
        "_has:Observation:patient:value-quantity=zebra",
        "_has:Observation:patient:value-quantity=1|http://unitsofmeasure.org|zebra",
        "_has:Observation:patient:code-value-quantity=zebra",
        "_elements=zebra",
        "_cursor=zebra",
        "_count=zebra",
        "_summary=zebra",
        "_total=zebra",
        "_format=zebra",
        "_include=zebra",
    ],
)
def test_a_refusal_never_repeats_a_value(query: str) -> None:
    with pytest.raises(Refusal) as refused:
        asked("Patient", query)
    assert "zebra" not in str(refused.value)


# --- less of a resource -----------------------------------------------------------------------------------------------

NOTED: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "n",
    "meta": {"versionId": "3"},
    "text": {"status": "generated", "div": "<div/>"},
    "status": "final",
    "_status": {"id": "s"},
    "code": {"text": "pain", "extension": [{"url": "u", "valueCode": "x"}]},
    "valueQuantity": {"value": 1, "unit": "cm"},
    "note": [{"text": "long"}],
    "component": [{"code": {"text": "left"}, "valueString": "v", "interpretation": [{"text": "high"}]}],
}
MARKED = {
    "versionId": "3",
    "tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}],
}
CUT = [
    # summary, elements, what is gone
    ("data", (), ["text"]),
    ("text", (), ["valueQuantity", "note", "component"]),
    ("true", (), ["text", "note"]),
    ("false", ("note",), ["text", "valueQuantity", "component"]),
    ("false", ("value", "component"), ["text", "note"]),
]


@pytest.mark.parametrize(("summary", "elements", "gone"), CUT)
def test_less_of_a_resource_says_so(summary: Any, elements: tuple[str, ...], gone: list[str]) -> None:
    left = search.apply_summary(NOTED, "Observation", summary, elements)
    assert set(left) == set(NOTED) - set(gone)
    assert left["meta"] == MARKED
    assert search.apply_summary(left, "Observation", summary, elements) == left  # marked once


def test_a_summary_reaches_into_the_parts() -> None:
    left = search.apply_summary(NOTED, "Observation", "true")
    assert left["code"] == {"text": "pain"}
    assert left["component"] == [{"code": {"text": "left"}, "valueString": "v"}]


def test_numbers_keep_their_digits_in_what_is_left() -> None:
    stored = (
        b'{"resourceType":"Observation","id":"n","status":"final","code":{},"valueQuantity":{"value":120.50},"note":[]}'
    )
    left = search.shortened(stored, "Observation", [("_elements", "value")])
    assert search.shortened(stored, "Observation", [("_elements", "valueQuantity")]) == left
    assert b"valueQuantity" not in search.shortened(stored, "Observation", [("_elements", "valueString")])
    assert b'"valueQuantity":{"value":120.50}' in left
    assert b"note" not in left
    assert search.shortened(stored, "Observation", [("_format", "json")]) is stored
    for bad in ([("_summary", "count")], [("_summary", "much")], [("_elements", "colour")]):
        with pytest.raises(Refusal):
            search.shortened(stored, "Observation", bad)


def test_one_name_may_be_an_element_here_and_one_of_its_types_there() -> None:
    """`effectivePeriod`: an element of Library, and what `effective` of Observation may be."""
    period = b'"effectivePeriod":{"start":"2026"}'
    for kind in (b"Library", b"Observation"):
        stored = b'{"resourceType":"%s","id":"a","status":"active",%s}' % (kind, period)
        for types in (("Library", "Observation"), ("Observation", "Library"), ()):
            wanted = elements_of("effectivePeriod", types)
            assert period in shorten(stored, "false", wanted)


def test_values_of_a_combined_parameter_count_once() -> None:
    codes = ",".join(str(number) for number in range(1500))
    for name in ("code", "combo-code", "combo-code:not"):
        assert asked("Observation", f"{name}={codes}").search.where
        with pytest.raises(Refusal, match="2000"):
            asked("Observation", f"{name}={codes},{codes}")


def test_elements_are_those_of_what_is_searched_not_of_what_is_included(record: Reader) -> None:
    wanted = asked("Observation", "_id=bp-ana&_include=Observation:subject&_elements=status")
    page = record.search(wanted.search)
    assert set(json.loads(wanted.shorten(page.matches[0]))) == {"resourceType", "id", "meta", "status", "code"}
    assert "name" in json.loads(wanted.shorten(page.included[0]))


# --- histories --------------------------------------------------------------------------------------------------------


def test_a_history_may_be_cut() -> None:
    plain = search.parse_history((), count=50, limit=100)
    assert (plain.since, plain.before, plain.count) == (None, None, 50)
    cut = search.parse_history(
        [("_since", "1970-01-01T00:00:01Z"), ("_count", "1000"), ("_before", "7")], count=50, limit=100
    )
    assert (cut.since, cut.before, cut.count) == (1000, 7, 100)
    for key, value in (("_since", "lately"), ("_before", "x"), ("_before", "9" * 30), ("_count", "x"), ("_at", "2026")):
        with pytest.raises(Refusal) as refused:
            search.parse_history([(key, value)], count=50, limit=100)
        assert refused.value.issues[0].expression == key
