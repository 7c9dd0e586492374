"""An assessment as FHIR: valid R4 by two readings, whole, repeatable, and never more certain than the assessment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import fhirkit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.base import BadInput
from adjunct.fhir import read_bundle
from adjunct.publish import to_fhir
from fhir_corpora import examples_folder

NOW = "2026-11-22T09:30:00+01:00"
ANA = "Patient/ana"
Json = dict[str, Any]


def finding(**changed: Any) -> Json:
    return {
        "id": "maoi-with-esketamine",
        "title": "MAO inhibitor with esketamine",
        "severity": "high",
        "action": "contraindicated",
        "kind": "pharmacodynamic",
        "about": "bp",
        "involves": ["phenelzine"],
        "says": "Do not start < before review & a plan.",
        "tell": "Please wait.",
        "why": "Blood pressure may rise.",
        "grade": "B",
        "status": "verified",
        "sources": [
            {"id": "label", "citation": "US label", "locator": "section 7", "url": "https://example.org/label"}
        ],
        "because": [
            {
                "reference": "MedicationRequest/m",
                "concept": "substance",
                "value": "phenelzine",
                "unit": None,
                "at": NOW,
            },
            {
                "reference": "Observation/bp",
                "concept": "systolic",
                "value": 170.0,
                "unit": "mm[Hg]",
                "at": "2026-11-22",
            },
            {"reference": "Observation/bp", "concept": "diastolic", "value": 95.0, "unit": "mm[Hg]", "at": None},
        ],
        "rule": "maoi-with-esketamine@2",
    } | changed


def result(*findings: Json, gaps: Any = (), **changed: Any) -> Json:
    return {
        "knowledge": {"version": "2026.11.21+3f9a", "as_of": "2026-11-21"},
        "question": "esketamine-nasal",
        "phase": "pre-dose",
        "verdict": "ESCALATE" if findings else "ELIGIBLE",
        "complete": not gaps,
        "findings": list(findings),
        "gaps": list(gaps),
        "contacts": [{"purpose": "crisis", "name": "Crisis line", "contact": "988", "expired": False, "text": ""}],
    } | changed


GAP = {"fact": "hcg", "why": "No pregnancy test today.", "ask": "Do a urine pregnancy test.", "blocks": True}
SOFT = {"fact": "phq9", "why": "No score this month.", "ask": "Ask the PHQ-9.", "blocks": False}
SUICIDE = finding(title="Thoughts of ending life", about="suicide", kind="red-flag", action="emergency")
CHECK = result(
    finding(because=[{"reference": "items[0]", "concept": "substance", "value": "sertraline", "unit": "", "at": None}]),
    question="none",
    phase="any",
    items=[
        {"text": "sertraline 100 mg daily", "match": "known", "substance": "sertraline", "status": "current"},
        {"text": "feel free shot", "match": "known", "substance": "kava+kratom-leaf", "status": "planned"},
        {"text": "penicillin", "match": "unknown", "substance": None, "status": "allergy"},
        {"text": "zzz", "match": "unknown", "substance": None, "status": "stopped"},
        {"text": "yyy", "match": "unknown", "status": "not-taken"},
        {"text": "xxx"},
    ],
)

RESULTS = {
    "nothing found": result(),
    "one finding": result(finding()),
    "a gap": result(gaps=[GAP, SOFT]),
    "a red flag": result(SUICIDE, finding(severity="moderate", action="monitor"), gaps=[GAP]),
    "a check": CHECK,
    "bare": {},
    "half filled": result({"title": "x"}, {}, gaps=[{}, {"blocks": True}], contacts=["988", {}], knowledge=None),
    "odd text": result(
        finding(title="a\x00b", says="", why=None, involves=["", None], because=[{"reference": ""}, {}])
    ),
    "odd references": result(
        finding(
            because=[
                {"reference": r, "concept": "systolic", "value": 1, "unit": "1", "at": None}
                for r in (
                    "urn:uuid:x",
                    "Bundle.entry[3].resource",
                    "Observation/x#y",
                    "https://a.example/fhir/Observation/1",
                )
            ]
        )
    ),
    "doi only": result(finding(sources=[{"id": "s", "citation": "c", "locator": "", "doi": "10.1000/xyz"}])),
}


def publish(made: Json, patient: str | None = ANA) -> Json:
    return to_fhir(made, now_iso=NOW, patient_reference=patient, software_version="0.1.0")


def of(bundle: Json, kind: str) -> list[Json]:
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


def nodes(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(child)


# --- valid R4, by someone else's reading ------------------------------------------------------------------------------


@pytest.mark.parametrize("patient", [ANA, None])
@pytest.mark.parametrize("name", RESULTS)
def test_the_bundle_has_the_structure_of_r4(name: str, patient: str | None) -> None:
    assert [str(i) for i in fhirkit.validate(publish(RESULTS[name], patient))] == []


@pytest.mark.parametrize("name", RESULTS)
def test_required_codes_are_those_of_the_specification(name: str) -> None:
    bundle = publish(RESULTS[name])
    for resource in [bundle, *(e["resource"] for e in bundle["entry"])]:
        for path, allowed in required_codes(resource["resourceType"]):
            for code in at_path(resource, path.split(".")[1:]):
                assert code in allowed, f"{path}: {code}"


@cache
def required_codes(kind: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """The coded elements with a required binding, and their codes, as the official definitions list them."""
    found = []
    for element in official("StructureDefinition", kind)["snapshot"]["element"]:
        binding = element.get("binding", {})
        if binding.get("strength") == "required" and element["type"][0]["code"] == "code":
            codes = _codes(binding["valueSet"].partition("|")[0].rpartition("/")[2])
            if codes:
                found.append((element["path"], codes))
    return tuple(found)


def _codes(value_set: str) -> frozenset[str]:
    codes: set[str] = set()
    for part in (official("ValueSet", value_set) or {}).get("compose", {}).get("include", ()):
        listed = part.get("concept") or (official("CodeSystem", part["system"].rpartition("/")[2]) or {}).get(
            "concept", ()
        )
        codes |= {c["code"] for c in nodes(list(listed)) if "code" in c}
    return frozenset(codes)


def official(kind: str, name: str) -> Any:
    path = examples_folder() / f"{kind}-{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def at_path(value: Any, path: list[str]) -> Iterator[Any]:
    for one in value if isinstance(value, list) else [value]:
        if not path:
            yield one
        elif isinstance(one, dict) and path[0] in one:
            yield from at_path(one[path[0]], path[1:])


def test_the_check_of_codes_has_something_to_check() -> None:
    assert dict(required_codes("DetectedIssue"))["DetectedIssue.severity"] == {"high", "moderate", "low"}
    assert "data-required" in dict(required_codes("GuidanceResponse"))["GuidanceResponse.status"]


def test_hl7_codes_carry_their_official_names() -> None:
    bundles = [publish(r) for r in RESULTS.values()]
    bundles.append(publish(result(*(finding(about=a, kind=k) for a in ABOUT for k in KINDS))))
    checked = 0
    for node in nodes(bundles):
        if str(node.get("system", "")).startswith("http://terminology.hl7.org/CodeSystem/"):
            known = official("CodeSystem", node["system"].rpartition("/")[2])
            names = {c["code"]: c.get("display") for c in nodes(known["concept"]) if "code" in c}
            assert node["code"] in names
            assert node.get("display", names[node["code"]]) == names[node["code"]]
            checked += 1
    assert checked > 100


ABOUT = (
    "serotonin cns_depression bp seizure qt bleeding liver opioid_antagonism withdrawal attenuation pk mania psychosis "
    "suicide pregnancy electrolytes toxicity anticholinergic duplicate condition legal data"
).split()
KINDS = "red-flag condition pharmacodynamic pharmacokinetic legal data".split()
ISSUES = [
    # about, kind, HL7 code
    ("serotonin", "pharmacodynamic", "DRG"),
    ("pk", "pharmacokinetic", "DRG"),
    ("attenuation", "pharmacodynamic", "DACT"),
    ("duplicate", "pharmacodynamic", "DUPTHPY"),
    ("pregnancy", "condition", "PREG"),
    ("bp", "condition", "COND"),
    ("suicide", "red-flag", "OBSA"),
    ("legal", "legal", None),
    ("data", "data", None),
]


@pytest.mark.parametrize(("about", "kind", "code"), ISSUES)
def test_the_kind_of_finding_becomes_the_kind_of_issue(about: str, kind: str, code: str | None) -> None:
    (issue,) = of(publish(result(finding(about=about, kind=kind))), "DetectedIssue")
    hl7 = [c["code"] for c in issue["code"]["coding"] if "v3-ActCode" in c["system"]]
    assert hl7 == ([code] if code else [])
    assert issue["code"]["text"] == "MAO inhibitor with esketamine"


# --- whole and repeatable ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patient", [ANA, None])
@pytest.mark.parametrize("name", RESULTS)
def test_every_reference_resolves_or_is_the_callers(name: str, patient: str | None) -> None:
    bundle = publish(RESULTS[name], patient)
    inside = {e["fullUrl"] for e in bundle["entry"]}
    assert len(inside) == len(bundle["entry"])
    given = {b.get("reference") for f in RESULTS[name].get("findings", ()) for b in f.get("because", ())} | {ANA}
    for entry in bundle["entry"]:
        assert entry["fullUrl"] == f"urn:uuid:{entry['resource']['id']}"
        contained = {f"#{c['id']}" for c in entry["resource"].get("contained", ())}
        for node in nodes(entry["resource"]):
            reference = node.get("reference")
            if isinstance(reference, str) and entry["resource"].get("reference") != reference:
                assert reference in inside | contained | given


def test_the_same_answer_is_the_same_resources() -> None:
    assert publish(result(SUICIDE, gaps=[GAP])) == publish(json.loads(json.dumps(result(SUICIDE, gaps=[GAP]))))
    other = publish(result(SUICIDE))
    assert publish(result(SUICIDE, gaps=[GAP]))["id"] != other["id"]
    assert publish(result(SUICIDE), "Patient/bob")["id"] != other["id"]


def test_the_assessment_is_not_changed() -> None:
    before = json.dumps(CHECK)
    publish(CHECK)
    assert json.dumps(CHECK) == before


def test_what_is_published_can_be_read_again() -> None:
    bundle = publish(CHECK)
    bundle["entry"].append({"resource": {"resourceType": "Patient", "id": "ana"}})
    found = read_bundle(bundle)
    assert [p for p in found.problems if p.blocks] == []
    assert len(list(found.of("MedicationStatement"))) == 5


@pytest.mark.parametrize("now", ["2026-11-22T09:30:00", "2026-11-22", "", "yesterday"])
def test_an_instant_without_an_offset_is_refused(now: str) -> None:
    with pytest.raises(BadInput):
        to_fhir(result(), now_iso=now, patient_reference=ANA)


@pytest.mark.parametrize("patient", ["", "ana", "Patient/", "javascript:alert(1)", "Patient/a b", "Patient/a\n"])
def test_a_patient_that_is_no_reference_is_refused(patient: str) -> None:
    with pytest.raises(BadInput, match="not a reference to a patient"):
        publish(result(), patient)


# --- what it says -----------------------------------------------------------------------------------------------------


def test_a_finding_keeps_its_reasons_and_its_grade() -> None:
    (issue,) = of(publish(result(finding())), "DetectedIssue")
    assert issue["severity"] == "high"
    assert issue["status"] == "preliminary"
    assert issue["implicated"] == [{"reference": "MedicationRequest/m"}, {"reference": "Observation/bp"}]
    assert [e["code"][0]["text"] for e in issue["evidence"]] == [
        f"substance: phenelzine ({NOW})",
        "systolic: 170.0 mm[Hg] (2026-11-22); diastolic: 95.0 mm[Hg]",
    ]
    assert issue["detail"] == (
        "Do not start < before review & a plan. Blood pressure may rise. Action: contraindicated. "
        "Evidence grade B, verified. Sources: US label, section 7."
    )
    assert issue["reference"] == "https://example.org/label"
    assert issue["identifier"] == [{"system": "urn:adjunct:rule", "value": "maoi-with-esketamine@2"}]
    assert "Do not start &lt; before review &amp; a plan." in issue["text"]["div"]


def test_no_source_is_said_and_a_doi_becomes_a_link() -> None:
    (issue,) = of(publish(result(finding(sources=[]))), "DetectedIssue")
    assert issue["detail"].endswith("No source read.")
    assert "reference" not in issue
    (issue,) = of(publish(RESULTS["doi only"]), "DetectedIssue")
    assert issue["reference"] == "https://doi.org/10.1000/xyz"


def test_a_finding_that_rests_on_a_guess_says_so() -> None:
    doubtful = finding(only_if=[{"reference": "items[1]", "is": ["kratom-extract", "7-hydroxymitragynine"]}])
    (issue,) = of(publish(result(doubtful)), "DetectedIssue")
    assert issue["detail"].startswith("Only if items[1] is kratom-extract or 7-hydroxymitragynine: Do not start")


def test_a_source_that_disagrees_or_was_not_opened_is_said() -> None:
    unread = {"citation": "A trial", "locator": "Table 2", "read_as": "not-read"}
    disputed = {"citation": "EU guide", "locator": "4.4", "says": "150/90 from 65 years."}
    (issue,) = of(publish(result(finding(sources=[unread], disputed=[disputed]))), "DetectedIssue")
    assert "Sources: A trial, Table 2, not read by us." in issue["detail"]
    assert issue["detail"].endswith("Disputed by: EU guide, 4.4: 150/90 from 65 years.")


def test_a_contact_keeps_the_words_that_say_it_is_old() -> None:
    old = {"name": "Line", "contact": "1", "expired": True, "text": "Line: 1 (not checked since 2024)"}
    (guidance,) = of(publish(result(contacts=[old])), "GuidanceResponse")
    assert [n["text"] for n in guidance["note"]] == ["Contact: Line: 1 (not checked since 2024)"]


def test_a_blocking_gap_is_required_data() -> None:
    (guidance,) = of(publish(result(gaps=[GAP, SOFT])), "GuidanceResponse")
    assert guidance["status"] == "data-required"
    assert guidance["moduleCanonical"] == "urn:adjunct:knowledge|2026.11.21+3f9a"
    assert guidance["reasonCode"][0]["text"] == "esketamine-nasal"
    assert guidance["dataRequirement"] == [
        {
            "type": "Observation",
            "codeFilter": [
                {
                    "path": "code",
                    "code": [{"system": "urn:adjunct:concept", "code": "hcg", "display": "Do a urine pregnancy test."}],
                }
            ],
        }
    ]
    notes = [n["text"] for n in guidance["note"]]
    assert notes == [
        "Contact: Crisis line, 988",
        "Missing, and needed: No pregnancy test today. Do a urine pregnancy test.",
        "Not known: No score this month. Ask the PHQ-9.",
    ]


def parameters(guidance: Json) -> Json:
    return {p["name"]: p.get("valueString", p.get("valueBoolean")) for p in guidance["contained"][0]["parameter"]}


def test_success_only_when_complete() -> None:
    (guidance,) = of(publish(result()), "GuidanceResponse")
    assert guidance["status"] == "success"
    assert parameters(guidance) == {"verdict": "ELIGIBLE", "phase": "pre-dose", "complete": True}
    for unsure in ({"complete": False}, {"complete": None}, {"complete": "yes"}, {"gaps": [GAP], "complete": True}):
        (guidance,) = of(publish(result(**unsure)), "GuidanceResponse")
        assert guidance["status"] == "data-required"
        assert parameters(guidance)["complete"] is False


def test_risk_is_said_in_words_and_never_as_a_likelihood() -> None:
    bundle = publish(result(SUICIDE, finding(), finding(about="mania", severity="moderate")))
    suicide, mania = of(bundle, "RiskAssessment")
    assert suicide["prediction"][0]["qualitativeRisk"] == {
        "coding": [{"system": "urn:adjunct:severity", "code": "high"}],
        "text": "high severity; likelihood not estimated",
    }
    assert mania["prediction"][0]["qualitativeRisk"]["coding"][0]["code"] == "moderate"
    assert suicide["basis"] == [{"reference": "MedicationRequest/m"}, {"reference": "Observation/bp"}]
    for node in nodes([suicide, mania]):
        assert not {"probabilityDecimal", "probabilityRange", "relativeRisk"} & set(node)
    assert of(publish(result(finding())), "RiskAssessment") == []


@pytest.mark.parametrize(
    ("changed", "flags"),
    [
        ({}, 1),
        ({"severity": "moderate"}, 0),
        ({"action": "defer"}, 0),  # too high today is not a standing alert
        ({"action": "emergency"}, 1),
        ({"only_if": [{"reference": "items[0]", "is": ["kratom-extract"]}]}, 0),
    ],
)
def test_only_what_is_severe_and_lasting_is_flagged(changed: Json, flags: int) -> None:
    found = of(publish(result(finding(**changed))), "Flag")
    assert len(found) == flags
    for flag in found:
        assert flag["status"] == "active"
        assert flag["period"] == {"start": NOW}


def test_provenance_names_software_knowledge_and_inputs() -> None:
    bundle = publish(result(SUICIDE, gaps=[GAP]))
    (provenance,) = of(bundle, "Provenance")
    (device,) = of(bundle, "Device")
    (library,) = of(bundle, "Library")
    assert provenance["recorded"] == NOW
    assert provenance["agent"][0]["who"]["reference"] == f"urn:uuid:{device['id']}"
    assert {v["type"]["text"]: v["value"] for v in device["version"]} == {
        "software": "0.1.0",
        "knowledge": "2026.11.21+3f9a",
    }
    assert [e["what"]["reference"] for e in provenance["entity"]] == [
        f"urn:uuid:{library['id']}",
        "MedicationRequest/m",
        "Observation/bp",
    ]
    made = {e["fullUrl"] for e in bundle["entry"]} - {f"urn:uuid:{r['id']}" for r in (device, library, provenance)}
    assert {t["reference"] for t in provenance["target"]} == made


def test_items_become_statements_as_the_person_made_them() -> None:
    bundle = publish(CHECK)
    statements = of(bundle, "MedicationStatement")
    assert [(s["medicationCodeableConcept"]["text"], s["status"]) for s in statements] == [
        ("sertraline 100 mg daily", "active"),
        ("feel free shot", "intended"),
        ("zzz", "stopped"),
        ("yyy", "not-taken"),
        ("xxx", "unknown"),
    ]
    assert [c["code"] for c in statements[1]["medicationCodeableConcept"]["coding"]] == ["kava", "kratom-leaf"]
    (allergy,) = of(bundle, "AllergyIntolerance")
    assert allergy["code"]["text"] == "penicillin"
    (issue,) = of(bundle, "DetectedIssue")
    assert issue["implicated"] == [{"reference": f"urn:uuid:{statements[0]['id']}"}]


UUID = "urn:uuid:e1035ac9-ce0a-5989-b4ae-0a0c4351ff62"


def test_a_patient_known_by_uuid_only_is_named_and_not_addressed() -> None:
    bundle = publish(result(SUICIDE), UUID)
    assert of(bundle, "DetectedIssue")[0]["patient"] == {"identifier": {"system": "urn:ietf:rfc:3986", "value": UUID}}
    assert [str(i) for i in fhirkit.validate(bundle)] == []


def test_a_patient_without_any_name_is_words() -> None:
    bundle = publish(result(SUICIDE), "Bundle.entry[0].resource")
    assert of(bundle, "RiskAssessment")[0]["subject"]["display"] == "the person asked about"


def test_without_a_patient_the_subject_is_words() -> None:
    bundle = publish(result(SUICIDE), None)
    assert "patient" not in of(bundle, "DetectedIssue")[0]
    assert "reference" not in of(bundle, "RiskAssessment")[0]["subject"]


WORDS = st.none() | st.text(max_size=8) | st.sampled_from(["high", "defer", "suicide", "items[0]", "Observation/1"])
LIST = st.lists(
    st.dictionaries(st.sampled_from(["reference", "concept", "value", "id", "citation"]), WORDS), max_size=3
)
ODD = st.fixed_dictionaries(
    {},
    optional={
        k: LIST if k in ("because", "sources") else st.lists(WORDS, max_size=2) if k == "involves" else WORDS
        for k in finding()
    },
)


@settings(deadline=None)  # a busy machine is not a failure
@given(st.lists(ODD, max_size=3), st.lists(st.dictionaries(st.sampled_from(list(GAP)), WORDS), max_size=3), WORDS)
def test_whatever_was_concluded_is_published_validly(findings: list[Json], gaps: list[Json], word: str | None) -> None:
    made = result(*findings, gaps=gaps, verdict=word, question=word, items=[{"text": word, "substance": word}])
    assert [str(i) for i in fhirkit.validate(publish(made))] == []
