"""The extracts of R4 say what the published definitions say, and nothing that a release beside R4 says."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from adjunct.fhir import definitions as r4
from adjunct.fhir.indexing import identifier_index, text_index, type_index

ROOT = Path(__file__).resolve().parents[2]
OFFICIAL = ROOT / "node_modules" / "hl7.fhir.r4.examples"
needs_npm = pytest.mark.skipif(not OFFICIAL.exists(), reason="npm ci has not been run")

# path, types (first ones), many, required, choice, binding, targets (first ones), children, summary
ELEMENTS = [
    ("Observation.status", ["code"], False, True, False, "observation-status", [], "", True),
    ("Observation.value", ["Quantity", "CodeableConcept"], False, False, True, "", [], "", True),
    ("Observation.subject", ["Reference"], False, False, False, "", ["Device", "Group"], "", True),
    ("Observation.focus", ["Reference"], True, False, False, "", [], "", True),  # Reference(Any)
    ("Observation.component", ["Observation.component"], True, False, False, "", [], "Observation.component", True),
    ("Observation.component.referenceRange", ["Observation.referenceRange"], True, False, False, "", [],
     "Observation.referenceRange", False),
    ("Questionnaire.item.item", ["Questionnaire.item"], True, False, False, "", [], "Questionnaire.item", False),
    ("QuestionnaireResponse.questionnaire", ["canonical"], False, False, False, "", ["Questionnaire"], "", True),
    ("Patient.id", ["string"], False, False, False, "", [], "", True),  # R4 types it so; FHIR itself says id
    ("Patient.contained", ["Resource"], True, False, False, "", [], "", False),
    ("Timing.repeat.bounds", ["Duration", "Range", "Period"], False, False, True, "", [], "", True),
    ("Extension.url", ["uri"], False, True, False, "", [], "", False),
    ("Age.value", ["decimal"], False, False, False, "", [], "", True),  # inherited from Quantity
    ("Bundle.entry.link", ["Bundle.link"], True, False, False, "", [], "Bundle.link", True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "types", "many", "required", "choice", "binding", "targets", "children", "summary"), ELEMENTS
)
def test_an_element_is_as_published(path, types, many, required, choice, binding, targets, children, summary):
    parent, _, name = path.rpartition(".")
    element = r4.elements(parent)[name]
    assert list(element.types[: len(types)]) == types
    assert (element.name, element.many, element.required, element.choice) == (name, many, required, choice)
    assert element.binding == (f"http://hl7.org/fhir/ValueSet/{binding}" if binding else "")
    assert list(element.targets[: len(targets)]) == targets
    assert bool(targets) == bool(element.targets)
    assert (element.children, element.summary) == (children, summary)


def test_only_the_types_of_r4_are_there():
    assert len(r4.resource_types()) == 146
    assert {"Resource", "DomainResource", "SubscriptionStatus", "Bot"}.isdisjoint(r4.resource_types())
    inherited, own = {"id", "extension"}, {"versionId", "lastUpdated", "source", "profile", "security", "tag"}
    assert set(r4.elements("Meta")) == inherited | own
    assert r4.elements("string") == {} == r4.elements("NoSuchType")
    assert len(r4.primitive_types()) == 20


@pytest.mark.parametrize(
    ("type_name", "base", "said"),
    [
        ("Age", "Quantity", True),
        ("Quantity", "Age", False),
        ("code", "string", True),
        ("url", "uri", True),
        ("positiveInt", "integer", True),
        ("Patient", "DomainResource", True),
        ("Bundle", "DomainResource", False),
        ("Observation.component", "BackboneElement", True),
        ("Timing.repeat", "Element", True),
        ("NoSuchType", "Element", False),
    ],
)
def test_subtypes(type_name, base, said):
    assert r4.is_subtype(type_name, base) is said


# type, name, kind, expression, targets, only
PARAMETERS = [
    ("Observation", "code", "token", "Observation.code", (), ""),
    ("Observation", "patient", "reference", "Observation.subject", ("Patient",), "Patient"),
    ("AllergyIntolerance", "patient", "reference", "AllergyIntolerance.patient", ("Patient",), ""),  # no Group there
    ("Condition", "onset-age", "quantity", "Condition.onset.ofType(Age) | Condition.onset.ofType(Range)", (), ""),
    ("MedicationStatement", "medication", "reference", "MedicationStatement.medication.ofType(Reference)",
     ("Medication",), ""),
    ("Patient", "email", "token", "Patient.telecom.where(system='email')", (), ""),
    ("Patient", "_tag", "token", "Resource.meta.tag", (), ""),
    ("InsurancePlan", "name", "string", "InsurancePlan.name | InsurancePlan.alias", (), ""),
    ("Observation", "focus", "reference", "Observation.focus", (), ""),
    ("Encounter", "discharge-disposition", "token", "Encounter.hospitalization.dischargeDisposition", (), ""),
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "name", "kind", "expression", "targets", "only"), PARAMETERS)
def test_a_search_parameter_of_one_type(type_name, name, kind, expression, targets, only):
    parameter = r4.parameters(type_name)[name]
    assert (parameter.type, parameter.expression) == (kind, expression)
    assert (parameter.targets, parameter.only) == (targets, only)


def test_what_is_not_served_has_a_reason():
    assert "_text" not in r4.parameters("Patient")
    assert "phonetic" not in r4.parameters("Patient")
    assert set(r4.unserved("Patient")) == {"_content", "_filter", "_query", "_text", "phonetic"}
    assert "near" in r4.unserved("Location")
    assert "_text" not in r4.unserved("Bundle")


def test_every_index_means_one_thing():
    means = defaultdict(set)
    for type_name in r4.resource_types():
        for parameter in r4.parameters(type_name).values():
            means[parameter.index].add((parameter.base, parameter.type, parameter.expression))
            for component in parameter.components:
                context = "" if component.rooted else f"{parameter.expression} : "
                means[component.index].add((parameter.base, component.type, context + component.expression))
    for index in list(means):
        for beside in (text_index, identifier_index, type_index):
            means[beside(index)].add((beside.__name__, index))
    assert [said for said in means.values() if len(said) > 1] == []
    assert len(means) > 6000


def test_an_index_stays_what_it_is():
    """Stored rows carry these numbers: a change of how they are made would lose every row that there is."""
    assert r4.parameters("Observation")["code"].index == 3240383892
    assert r4.parameters("Patient")["_tag"].index == r4.parameters("Bundle")["_tag"].index == 897802849


def test_parameters_of_one_expression_share_their_rows():
    said = r4.parameters("Observation")
    assert said["patient"].index == said["subject"].index != said["performer"].index
    by_name = {c.name: c for c in said["code-value-quantity"].components}
    assert by_name["code"].rooted
    assert by_name["code"].index == said["code"].index
    own = {c.name: c for c in said["component-code-value-quantity"].components}
    assert not own["component-code"].rooted
    assert own["component-code"].index != said["component-code"].index
    assert own["component-code"] == said["component-code-value-concept"].components[0]


def test_a_rooted_part_of_a_composite_has_the_rows_of_a_parameter():
    parts = [
        (said[part.name], part)
        for said in map(r4.parameters, r4.resource_types())
        for composite in said.values()
        for part in composite.components
        if part.rooted
    ]
    assert len(parts) == 8
    assert all((named.index, named.type) == (part.index, part.type) for named, part in parts)


def test_the_patient_compartment():
    by_type = r4.patient_compartment()
    assert set(by_type["Observation"]) == {r4.parameters("Observation")[n].index for n in ("subject", "performer")}
    assert "Practitioner" not in by_type
    assert "Questionnaire" not in by_type
    assert [p.name for p in r4.compartment("Encounter")["Observation"]] == ["encounter"]
    assert {t for t, found in r4.compartment("Patient").items() if not found} == set()


def test_codes():
    status = r4.codes("http://hl7.org/fhir/ValueSet/observation-status|4.0.1")
    assert ("http://hl7.org/fhir/observation-status", "final") in status
    assert len(status) == 8
    assert r4.codes("http://hl7.org/fhir/ValueSet/ucum-units") is None  # a grammar, no list
    assert r4.codes("http://hl7.org/fhir/ValueSet/animal-breeds") is None  # SNOMED CT is not ours to copy
    assert r4.codes("http://example.org/no-such-set") is None


def test_every_required_binding_can_be_checked_but_these():
    bound = {e.binding for path in r4.paths() for e in r4.elements(path).values() if e.binding}
    assert len(bound) > 200
    assert {url for url in bound if r4.codes(url) is None} == {
        "http://hl7.org/fhir/ValueSet/currencies",
        "http://hl7.org/fhir/ValueSet/mimetypes",
        "http://hl7.org/fhir/ValueSet/ucum-units",
        "http://loinc.org/vs/LL379-9",
    }


def test_invariants_come_with_those_of_the_base():
    assert [rule.key for rule in r4.invariants("Age")] == ["ele-1", "qty-3", "age-1"]
    assert {"dom-3", "obs-6", "obs-7"} <= {rule.key for rule in r4.invariants("Observation")}
    assert [rule.key for rule in r4.invariants("Bundle.entry")] == ["ele-1", "bdl-5", "bdl-8"]
    assert [rule.severity for rule in r4.invariants("Patient") if rule.key == "dom-6"] == ["warning"]


@needs_npm
def test_the_extracts_are_what_the_tool_writes():
    spec = importlib.util.spec_from_file_location("r4_definitions", ROOT / "tools" / "r4_definitions.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for name, text in tool.extracts().items():
        assert (tool.OUT / name).read_text("utf-8") == text, f"run python tools/r4_definitions.py ({name})"
        json.loads(text)
    assert sum(path.stat().st_size for path in tool.OUT.iterdir()) < 2_500_000


def test_a_check_of_medicines_reads_none_of_it():
    program = (
        "import sys; from adjunct import check; check(['sertraline 50 mg daily'], at='2026-11-22T09:00:00+00:00');"
        "print('adjunct.fhir.definitions' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
