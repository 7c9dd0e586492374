"""What comes in from outside: hostile, broken, foreign and merely untidy Bundles."""

from __future__ import annotations

import io
import json
import math
import os
import string
import time
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adjunct.base import BadInput
from adjunct.fhir import Bundle, read_bundle, wire
from fhir_corpora import EXAMPLES, official_examples, us_core_patients

SECRET = "Zebrafish-1985"  # stands for health data: no message may repeat it
ANA = {"resourceType": "Patient", "id": "ana", "birthDate": "1991"}
BP = {
    "resourceType": "Observation",
    "id": "bp",
    "status": "final",
    "subject": {"reference": "Patient/ana"},
    "code": {"text": SECRET},
    "valueQuantity": {"value": 120.50, "unit": "mm[Hg]"},
}


def bundle_of(*resources: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]} | more


def with_ana(*resources: Any, **more: Any) -> dict[str, Any]:
    return bundle_of(ANA, *resources, **more)


def entries(*entry: Any, **more: Any) -> dict[str, Any]:
    return bundle_of(**more) | {"entry": [{"resource": ANA}, *entry]}


def text(value: object) -> bytes:
    return json.dumps(value).encode()


def codes(found: Bundle) -> Counter[str]:
    return Counter(p.code for p in found.problems)


def test_an_ordinary_record_is_read_whole() -> None:
    found = read_bundle(text(with_ana(BP)))
    assert found.patient == ANA
    assert found.patient_reference == "Patient/ana"
    assert [e.reference for e in found.resources] == ["Patient/ana", "Observation/bp"]
    assert [e.at for e in found.of("Observation")] == ["Bundle.entry[1].resource"]
    assert found.problems == ()


@pytest.mark.parametrize(
    "source", [text, lambda v: text(v).decode(), dict, MappingProxyType, lambda v: io.BytesIO(text(v))]
)
def test_every_kind_of_source_says_the_same(source: Any) -> None:
    assert [e.resource for e in read_bundle(source(with_ana(BP))).resources] == [ANA, BP]


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "ana.json"
    file.write_bytes(wire.UTF8_BOM + text(with_ana(BP)))  # the byte order mark of Windows editors changes nothing
    assert read_bundle(file).patient == ANA


# --- refused: what, where, what to do ---------------------------------------------------------------------------------

DEEP = '{"a":' * 5_000 + "1" + "}" * 5_000
NESTED = '{"resourceType":"Bundle","a":' + "[" * 100 + "]" * 100 + "}"
LONG_NUMBER = '{"resourceType":"Bundle","x":' + "9" * 6_000 + "}"

NOT_JSON = [
    # source, in the message, at
    (b"", "empty", ""),
    (b" \n\t ", "empty", ""),
    (b"\xef\xbb\xbf", "empty", ""),
    (b"hello", "not JSON", "line 1, column 1"),
    ("patient.json", "not JSON", "line 1"),
    (b'{"resourceType": "Bundle",\n "type": }', "not JSON", "line 2, column 10"),
    (b'{"resourceType": "Bundle"', "not JSON", "line 1, column"),
    (b"{'resourceType': 'Bundle'}", "not JSON", "line 1, column 2"),
    (b'<Bundle xmlns="http://hl7.org/fhir"/>', "XML", "line 1"),
    (b"\x1f\x8b\x08\x00 zip", "compressed", "line 1"),
    (b"PK\x03\x04", "compressed", "line 1"),
    ('{"a":1}'.encode("utf-16"), "UTF-8", "line 1"),
    ('{"a":1}'.encode("utf-32"), "UTF-8", "line 1"),
    (b'{"a":\n"\xff"}', "not valid UTF-8", "line 2, byte 2"),
    (b'{"a":"\xed\xa0\x80"}', "not valid UTF-8", "line 1"),
    (b'{"a":"\\ud800"}', "not JSON", "line 1"),
    ('{"a":"\ud800"}', "character pair", ""),
    (b'{"a": NaN}', "not a finite number", "line 1, column 7"),
    (b'{"a": -Infinity}', "not a finite number", "line 1"),
    (b'{"a": 1e999}', "not a finite number", "line 1"),
    (LONG_NUMBER, "finite|not JSON|no", ""),
    (b'{"a": "x\x00y"}', "not JSON", "line 1"),
    (b'{"a": "x\x1by"}', "not JSON", "line 1"),
    (b'{"resourceType":"Patient"}\n{"resourceType":"Condition"}', "NDJSON", "line 2, column 1"),
    (DEEP, "levels deep", ""),
    (NESTED, "levels deep", ""),
    (b'{"resourceType":"Bundle","type":"collection","type":"history"}', "twice", "Bundle"),
    (b'{"resourceType":"Bundle","entry":[{"resource":{"a":1,"a":1}}]}', "twice", "Bundle.entry[0].resource"),
    (b'{"resourceType":"Bundle","x":"\\u0022","y":{"b":1,"\\u0062":2}}', "twice", "Bundle.y"),
    (b'{"resourceType":"Bundle","x":"a\\u0000"}', "control character", "Bundle.x"),
    (b'{"resourceType":"Bundle","x":["\\u001b[2J"]}', "control character", "Bundle.x[0]"),
    (b'{"resourceType":"Bundle","x":{"\\b":1}}', "control character", "Bundle.x"),
]


@pytest.mark.parametrize(("source", "says", "at"), NOT_JSON)
def test_what_is_not_json_is_refused(source: bytes | str, says: str, at: str) -> None:
    refused(source, says, at)


def refused(source: Any, says: str, at: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        read_bundle(source)
    message = str(caught.value)
    assert caught.value.at.startswith(at), message
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) < 300
    assert SECRET not in message
    assert caught.value.exit_code == 2
    assert caught.value.__cause__ is None


def change(resource: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {k: v for k, v in (resource | changed).items() if v is not ...}


def typed(kind: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": kind, "subject": {"reference": "Patient/ana"}} | more


E1 = "Bundle.entry[1].resource"
R5 = "R5, not R4"
OLD = "STU3 or older, not R4"
DRUG = {"concept": {"text": SECRET}}

NOT_A_RECORD = [
    # document, in the message, at
    ([], "a list: wrap", "$"),
    (3, "a single value: wrap", "$"),
    (None, "a single value", "$"),
    ({}, "no resourceType", "$.resourceType"),
    ({"resourceType": 5}, "no resourceType", "$.resourceType"),
    ({"resourceType": SECRET}, "not a resourceType of FHIR R4", "$.resourceType"),
    (ANA, "a lone Patient, not a Bundle: wrap it", "Patient"),
    (BP, "a lone Observation", "Observation"),
    (bundle_of(), "no Patient: add", "Bundle.entry"),
    ({"resourceType": "Bundle", "type": "collection"}, "no Patient: add", "Bundle.entry"),
    (bundle_of(BP), "no Patient: add", "Bundle.entry"),
    (with_ana(type="history"), "several versions", "Bundle.type"),
    (with_ana(type="batch-response"), "outcomes", "Bundle.type"),
    (with_ana(type="subscription-notification"), "perhaps R5", "Bundle.type"),
    (with_ana(type=SECRET), "not a Bundle type", "Bundle.type"),
    (with_ana(type=["collection"]), "not a Bundle type", "Bundle.type"),
    (with_ana(implicitRules="http://example.org/rules"), "rules unknown", "Bundle.implicitRules"),
    (with_ana(link=[{"relation": "self"}, {"relation": "next", "url": SECRET}]), "one page", "Bundle.link[1]"),
    (with_ana(total="many"), "expected", "Bundle.total"),
    (with_ana(entry={}), "entry is not a list", "Bundle.entry"),
    (with_ana(entry=None), "entry is not a list", "Bundle.entry"),
    (entries(7), "not an object", "Bundle.entry[1]"),
    (entries([]), "not an object", "Bundle.entry[1]"),
    (entries({"resource": SECRET}), "resource is not an object", E1),
    (entries({"resource": [BP]}), "resource is not an object", E1),
    (entries({"resource": {}}), "no resourceType", f"{E1}.resourceType"),
    (entries({"resource": {"resourceType": None}}), "no resourceType", f"{E1}.resourceType"),
    (entries({"resource": {"resourceType": SECRET}}), "not a resourceType of FHIR R4", f"{E1}.resourceType"),
    (entries({"resource": {"resourceType": "observation"}}), "not a resourceType of FHIR R4", f"{E1}.resourceType"),
    (entries({"resource": BP, "fullUrl": 3}), "fullUrl is not a string", "Bundle.entry[1].fullUrl"),
    # another release
    (with_ana(typed("NutritionIntake")), "of FHIR R5, not of R4", f"{E1}.resourceType"),
    (with_ana(typed("MedicationOrder")), "of FHIR STU3 or older, not of R4", f"{E1}.resourceType"),
    (with_ana(typed("MedicationStatement", status="recorded", medication=DRUG)), R5, f"{E1}.medication"),
    (with_ana(typed("MedicationRequest", medication=DRUG)), R5, f"{E1}.medication"),
    (with_ana(typed("Encounter", **{"class": [{"text": "x"}]})), R5, f"{E1}.class"),
    (with_ana(typed("Encounter", actualPeriod={})), R5, f"{E1}.actualPeriod"),
    (with_ana(typed("Procedure", occurrenceDateTime="2026")), R5, f"{E1}.occurrenceDateTime"),
    (with_ana({"resourceType": "AllergyIntolerance", "type": {"text": "x"}}), R5, f"{E1}.type"),
    (with_ana(typed("MedicationStatement", taken="y")), OLD, f"{E1}.taken"),
    (with_ana(typed("MedicationStatement", wasNotTaken=True)), OLD, f"{E1}.wasNotTaken"),
    (with_ana(typed("Condition", clinicalStatus="active")), OLD, f"{E1}.clinicalStatus"),
    (with_ana(typed("Procedure", notDone=True)), OLD, f"{E1}.notDone"),
    (with_ana(change(BP, comment=SECRET)), OLD, f"{E1}.comment"),
    (
        with_ana(change(BP, meta={"profile": ["http://hl7.org/fhir/StructureDefinition/Observation|5.0.0"]})),
        "profile of FHIR 5.0, not R4",
        f"{E1}.meta.profile[0]",
    ),
    (
        with_ana(change(BP, meta={"profile": ["x", "http://hl7.org/fhir/3.0/StructureDefinition/Observation"]})),
        "profile of FHIR 3.0, not R4",
        f"{E1}.meta.profile[1]",
    ),
    # another person
    (bundle_of(ANA, change(ANA, id="bob")), "a second Patient", E1),
    (bundle_of(ANA, change(ANA, birthDate="1950")), "two different resources with one id", f"{E1}.id"),
    (with_ana(change(BP, subject={"reference": "Patient/bob"})), "another patient", f"{E1}.subject.reference"),
    (with_ana(change(BP, subject={"reference": "urn:uuid:b0b"})), "another patient", f"{E1}.subject.reference"),
    (with_ana(change(BP, subject={"reference": SECRET})), "another patient", f"{E1}.subject.reference"),
    (
        with_ana({"resourceType": "Consent", "patient": {"reference": "Patient/bob"}}),
        "another patient",
        f"{E1}.patient",
    ),
    (with_ana({"resourceType": "Task", "for": {"reference": "Patient/bob"}}), "another patient", f"{E1}.for"),
    (
        entries({"resource": change(BP, subject={"reference": "http://b.example/fhir/Patient/ana"})})
        | {
            "entry": [
                {"fullUrl": "http://a.example/fhir/Patient/ana", "resource": ANA},
                {"resource": change(BP, subject={"reference": "http://b.example/fhir/Patient/ana"})},
            ]
        },
        "another patient",
        f"{E1}.subject.reference",
    ),
    # the same twice, but not the same
    (
        entries({"fullUrl": "urn:uuid:1", "resource": BP}, {"fullUrl": "urn:uuid:1", "resource": change(BP, id="c")}),
        "two different resources under one fullUrl",
        "Bundle.entry[2].fullUrl",
    ),
    (with_ana(BP, change(BP, status="amended")), "two different resources with one id", "Bundle.entry[2].resource.id"),
]


@pytest.mark.parametrize(("document", "says", "at"), NOT_A_RECORD)
def test_what_is_not_one_persons_r4_record_is_refused(document: Any, says: str, at: str) -> None:
    refused(text(document), says, at)
    if isinstance(document, dict):
        refused(document, says, at)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (math.nan, "finite"),
        (math.inf, "finite"),
        (Decimal("NaN"), "finite"),
        (10**400, "finite"),
        ({1, 2}, "not JSON"),
        (b"x", "not JSON"),
        (object(), "not JSON"),
        ("\x07", "control character"),
        ("\ud800", "control character"),
        ({1: 2}, "not a plain string"),
    ],
)
def test_parsed_json_is_held_to_json(value: object, says: str) -> None:
    refused(with_ana(change(BP, valueInteger=value)), says, f"{E1.replace('resource', 'resource.valueInteger')}")


def test_a_circle_of_python_objects_ends() -> None:
    circle: dict[str, Any] = {}
    circle["extension"] = [circle]
    refused(with_ana(change(BP, extension=[circle])), "levels deep", f"{E1}.extension")


def test_shared_python_objects_do_not_explode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_VALUES", 10_000)
    bomb: Any = []
    for _ in range(40):
        bomb = [bomb, bomb]
    refused(with_ana(change(BP, note=bomb)), "more than 10000 values", "")


def test_a_file_too_large_is_refused_before_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    giant = tmp_path / "giant.json"
    with giant.open("wb") as stream:
        stream.truncate(1 << 30)  # one gigabyte that takes no room on the disk

    def never(*_: object, **__: object) -> None:
        pytest.fail("the file was opened")

    monkeypatch.setattr(Path, "open", never)
    refused(giant, "larger than", str(giant))


class Endless(io.RawIOBase):
    """A sender that never stops."""

    sent = 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "asked for everything"
        self.sent += size
        return b" " * size


def test_an_endless_stream_is_read_to_the_limit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_BYTES", 1000)
    stream = Endless()
    refused(stream, "larger than 1000 bytes", "")
    assert stream.sent == 1001
    refused(b" " * 1001, "larger than", "")
    refused(" " * 1001, "larger than", "")


@pytest.mark.parametrize("name", ["missing.json", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="name a readable Bundle file"):
        read_bundle(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="needs a named pipe")
def test_a_pipe_has_no_size_but_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.write(write, b" " * 2000)
    os.close(write)
    monkeypatch.setattr(wire, "MAX_BYTES", 1000)
    with os.fdopen(read, "rb") as stream:
        refused(stream, "larger than", "")


def test_what_is_no_source_at_all_is_refused() -> None:
    refused(3.5, "cannot be read from a float", "")
    refused(None, "cannot be read from a NoneType", "")


# --- one resource set aside, the rest read ----------------------------------------------------------------------------

ASIDE = [
    # resource, code, blocks, at
    (change(BP, code=SECRET), "malformed", True, ".code"),
    (change(BP, valueQuantity=[]), "malformed", True, ".valueQuantity"),
    (change(BP, valueQuantity={"value": "120"}), "malformed", True, ".valueQuantity.value"),
    (change(BP, valueString=SECRET), "malformed", True, ".value[x]"),
    (change(BP, component=[[1]]), "malformed", True, ".component[0]"),
    (change(BP, note=[None]), "malformed", True, ".note[0]"),
    (change(BP, contained=[{"resourceType": SECRET}]), "malformed", True, ".contained[0]"),
    (change(BP, modifierExtension=[{"url": "http://example.org/not"}]), "modifier", True, ".modifierExtension"),
    (
        change(BP, component=[{"code": {}, "modifierExtension": [{"url": "http://example.org/not"}]}]),
        "modifier",
        True,
        ".component[0].modifierExtension",
    ),
    (change(BP, implicitRules="http://example.org/rules"), "modifier", True, ".implicitRules"),
    (
        change(BP, contained=[{"resourceType": "Device", "id": "d", "implicitRules": "http://example.org"}]),
        "modifier",
        True,
        ".contained[0].implicitRules",
    ),
    (
        change(BP, subject={"reference": "#p"}, contained=[{"resourceType": "Patient", "id": "p"}]),
        "unproven-subject",
        True,
        ".subject",
    ),
    (change(BP, subject={"reference": "#gone"}), "unproven-subject", True, ".subject"),
    (change(BP, subject={"identifier": {"system": "urn:x", "value": SECRET}}), "unproven-subject", True, ".subject"),
    (change(BP, subject={"reference": "Group/herd"}), "not-about-person", False, ".subject"),
    (change(BP, subject={"type": "Device", "display": "x"}), "not-about-person", False, ".subject"),
    (change(BP, focus=[{"reference": "Patient/unborn"}]), "not-about-person", False, ".focus[0]"),
    ({"resourceType": "Bundle", "type": "collection"}, "nested-bundle", True, ""),
]


@pytest.mark.parametrize(("resource", "code", "blocks", "at"), ASIDE)
def test_a_resource_that_cannot_be_used_is_set_aside_and_said(
    resource: dict[str, Any], code: str, blocks: bool, at: str
) -> None:
    other = change(BP, id="other")
    found = read_bundle(text(with_ana(resource, other)))
    assert found.resources[1].uninterpretable
    assert [e.reference for e in found.of("Observation")] == ["Observation/other"]
    problem = next(p for p in found.problems if p.code == code)
    assert problem.blocks is blocks
    assert problem.at == E1 + at
    assert SECRET not in str(found.problems)
    assert SECRET not in repr(found)


def test_of_a_patient_under_a_modifier_only_the_name_tag_is_read() -> None:
    strange = change(ANA, modifierExtension=[{"url": "http://example.org/animal"}])
    found = read_bundle(bundle_of(strange, BP))
    assert found.patient == {"resourceType": "Patient", "id": "ana"}
    assert [p.blocks for p in found.problems] == [True]
    assert [e.reference for e in found.of("Patient", "Observation")] == ["Observation/bp"]


def test_an_entry_under_a_modifier_is_set_aside() -> None:
    strange = {"resource": BP, "modifierExtension": [{"url": "http://example.org/x"}]}
    found = read_bundle(entries(strange))
    assert codes(found) == {"modifier": 1}
    assert not list(found.of("Observation"))


# --- untidy, and read -------------------------------------------------------------------------------------------------

UNTIDY = [
    # document, code, blocks, at
    (change(with_ana(BP), type=...), "invalid", False, "Bundle.type"),
    (with_ana(change(BP, effectiveDateTime="2026-13-01")), "invalid", False, f"{E1}.effectiveDateTime"),
    (with_ana(change(BP, unheardOf=SECRET)), "invalid", False, f"{E1}.unheardOf"),
    (with_ana(change(BP, **{f"{SECRET} !": 1})), "invalid", False, E1),
    (with_ana(change(BP, status=...)), "invalid", False, f"{E1}.status"),
    (with_ana(change(BP, status=None)), "invalid", False, f"{E1}.status"),
    (with_ana(change(BP, subject=...)), "no-subject", False, E1),
    (with_ana(change(BP, subject={"display": SECRET})), "no-subject", False, E1),
    (with_ana(change(BP, id="not an id")), "bad-id", False, f"{E1}.id"),
    (
        with_ana(change(BP, performer=[{"reference": "Practitioner/x"}])),
        "dangling-reference",
        False,
        f"{E1}.performer[0]",
    ),
    (with_ana(change(BP, device={"reference": "#x"})), "dangling-reference", False, f"{E1}.device"),
    (with_ana(change(BP, device={"reference": "urn:uuid:1"})), "dangling-reference", False, f"{E1}.device"),
    (
        with_ana(change(BP, meta={"profile": ["http://hl7.org/fhir/4.3/StructureDefinition/Observation"]})),
        "other-release",
        False,
        f"{E1}.meta.profile[0]",
    ),
    (with_ana(BP, total=9, type="searchset"), "incomplete-search", True, "Bundle.total"),
    (
        with_ana(BP, {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "security"}]}),
        "source-error",
        True,
        "Bundle.entry[2].resource",
    ),
    (
        with_ana(BP, {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "security"}]}),
        "source-error",
        False,
        "Bundle.entry[2].resource",
    ),
    (
        {"resourceType": "Bundle", "type": "batch", "entry": [{"resource": ANA}, {"resource": BP}, {"request": {}}]},
        "no-resource",
        False,
        "Bundle.entry[2]",
    ),
    (with_ana(BP, BP), "duplicate", False, "Bundle.entry[2].resource"),
    (
        with_ana(BP, change(BP, meta={"lastUpdated": "2026-01-01T00:00:00Z"})),
        "duplicate",
        False,
        "Bundle.entry[2].resource",
    ),
    (bundle_of(ANA, BP, change(ANA, meta={"versionId": "2"})), "duplicate", False, "Bundle.entry[2].resource"),
]


@pytest.mark.parametrize(("document", "code", "blocks", "at"), UNTIDY)
def test_what_is_untidy_is_said_and_read(document: dict[str, Any], code: str, blocks: bool, at: str) -> None:
    found = read_bundle(text(document))
    problem = next(p for p in found.problems if p.code == code)
    assert problem.at.startswith(at)
    assert problem.blocks is blocks
    assert len([e for e in found.of("Observation") if e.reference]) == 1
    assert len(list(found.of("Patient"))) == 1
    assert SECRET not in str(found.problems)


def test_an_extension_from_another_release_is_only_an_extension() -> None:
    url = "http://hl7.org/fhir/5.0/StructureDefinition/extension-MedicationStatement.adherence"
    found = read_bundle(with_ana(change(BP, extension=[{"url": url, "valueString": "x"}])))
    assert found.problems == ()
    assert len(list(found.of("Observation"))) == 1


@pytest.mark.parametrize(
    "escaped", [r"tab\tline\nreturn\r", r"back\\u0000slash", r"a\\b", r"a \" b", r"\u0022quoted\u0022"]
)
def test_harmless_escapes_are_read(escaped: str) -> None:
    raw = text(with_ana(change(BP, code={"text": "HERE"}))).replace(b"HERE", escaped.encode())
    assert [e.resource["code"]["text"] for e in read_bundle(raw).of("Observation")] == [json.loads(f'"{escaped}"')]


# --- references -------------------------------------------------------------------------------------------------------

SERVER = "https://a.example/fhir/"
DRUG_1 = {"resourceType": "Medication", "id": "m", "code": {"text": "one"}}
REQUEST = {
    "resourceType": "MedicationRequest",
    "id": "r",
    "status": "active",
    "intent": "order",
    "subject": {"reference": "Patient/ana"},
    "contained": [DRUG_1 | {"id": "inside"}],
}
RESOLVES = [
    # full URL of the target, full URL of the base, reference, whether it resolves
    (None, None, "Medication/m", True),
    (None, None, "Medication/m/_history/3", True),
    (None, SERVER + "MedicationRequest/r", "Medication/m", True),
    (None, None, SERVER + "Medication/m", True),
    (None, None, "Medication/other", False),
    (None, None, "Medication/", False),
    (None, None, "m", False),
    (None, None, "", False),
    (None, None, "Medication?identifier=x", False),
    ("urn:uuid:1", None, "urn:uuid:1", True),
    ("urn:uuid:1", None, "urn:uuid:2", False),
    ("urn:uuid:1", None, "Medication/m", True),
    (SERVER + "Medication/m", None, "Medication/m", True),
    (SERVER + "Medication/m", SERVER + "MedicationRequest/r", "Medication/m", True),
    (SERVER + "Medication/m", "https://b.example/MedicationRequest/r", "Medication/m", False),
    (SERVER + "Medication/m", None, SERVER + "Medication/m/_history/1", True),
    (SERVER + "Medication/m", None, "https://b.example/Medication/m", False),
]


@pytest.mark.parametrize(("target_url", "base_url", "reference", "resolves"), RESOLVES)
def test_references_resolve_as_fhir_says(
    target_url: str | None, base_url: str | None, reference: str, resolves: bool
) -> None:
    made = [(None, ANA), (target_url, DRUG_1), (base_url, REQUEST)]
    listed = [{"resource": r} | ({"fullUrl": url} if url else {}) for url, r in made]
    found = read_bundle(bundle_of() | {"entry": listed})
    base = next(found.of("MedicationRequest"))
    for asked in (reference, {"reference": reference}):
        got = found.resolve(asked, base)
        assert (got is not None) is resolves
        if got:
            assert got.resource["code"]["text"] == "one"


def test_contained_resources_resolve_only_at_home() -> None:
    found = read_bundle(with_ana(REQUEST, BP))
    base = next(found.of("MedicationRequest"))
    inside = found.resolve("#inside", base)
    assert inside is not None
    assert inside.reference == "MedicationRequest/r#inside"
    assert found.resolve("#inside", inside) == inside
    assert found.resolve("#", inside) is base
    assert found.resolve("Patient/ana", inside) is next(found.of("Patient"))
    assert found.resolve("#inside", next(found.of("Observation"))) is None
    assert found.resolve("#inside") is None
    for nothing in (None, 3, [], {}, {"reference": 3}):
        assert found.resolve(nothing, base) is None


def test_a_copy_is_found_under_each_of_its_addresses() -> None:
    found = read_bundle(
        bundle_of()
        | {
            "entry": [
                {"resource": ANA},
                {"fullUrl": "urn:uuid:1", "resource": ANA},
                {"resource": change(BP, subject={"reference": "urn:uuid:1"})},
            ]
        }
    )
    assert codes(found) == {"duplicate": 1}
    assert len(list(found.of("Observation"))) == 1


def test_circles_of_references_end() -> None:
    def part(name: str, *others: str) -> dict[str, Any]:
        refs = [{"reference": f"Observation/{o}"} for o in others]
        return change(
            BP,
            id=name,
            hasMember=refs,
            derivedFrom=refs,
            contained=[change(BP, id="c", hasMember=[{"reference": "#"}])],
        )

    found = read_bundle(with_ana(part("a", "b"), part("b", "a"), part("c", "c")))
    assert found.problems == ()
    assert len(list(found.of("Observation"))) == 3


def test_the_patient_may_be_named_by_identifier() -> None:
    named = change(ANA, identifier=[{"system": "urn:x", "value": "1"}])
    found = read_bundle(bundle_of(named, change(BP, subject={"identifier": {"system": "urn:x", "value": "1"}})))
    assert found.problems == ()
    assert len(list(found.of("Observation"))) == 1


def test_time_grows_with_the_size_and_not_with_its_square() -> None:
    many = 20_000  # a list searched once for each of its references would take half a minute
    crowd = change(
        BP,
        contained=[{"resourceType": "Device", "id": f"d{i}"} for i in range(many)],
        performer=[{"reference": f"#d{i}"} for i in range(many)],
    )
    start = time.process_time()
    assert read_bundle(text(with_ana(crowd))).problems == ()
    assert time.process_time() - start < 10


def test_nothing_of_the_callers_is_shared() -> None:
    mine = with_ana(json.loads(text(BP)))
    found = read_bundle(mine)
    mine["entry"][1]["resource"]["status"] = "entered-in-error"
    assert next(found.of("Observation")).resource["status"] == "final"


# --- anything at all --------------------------------------------------------------------------------------------------

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is not a failure
KEYS = st.sampled_from(
    "resourceType type entry resource fullUrl id meta profile subject patient reference code coding contained link "
    "modifierExtension implicitRules extension url status valueQuantity value identifier focus search total".split()
)
WORDS = st.sampled_from(
    ["Bundle", "Patient", "Observation", "Condition", "collection", "searchset", "Patient/ana", "ana", "#x", "#", ""]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | WORDS
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)


def outcome(source: Any) -> Bundle | None:
    try:
        return read_bundle(source)
    except BadInput as refusal:
        said = str(refusal)
    assert "\n" not in said
    return None


@UNHURRIED
@given(ANYTHING)
def test_anything_is_read_or_refused(value: Any) -> None:
    outcome(value if isinstance(value, dict) else json.dumps(value))
    outcome(json.dumps(value))
    outcome(with_ana(value))
    outcome(entries(value))


@UNHURRIED
@given(st.binary(max_size=200) | st.text(alphabet=string.printable + '{}[]":,\\', max_size=200))
def test_any_bytes_are_read_or_refused(source: bytes | str) -> None:
    assert outcome(source) is None


@UNHURRIED
@given(st.data())
def test_a_good_record_with_one_thing_replaced_is_read_or_refused(data: st.DataObject) -> None:
    document = json.loads(text(with_ana(BP, REQUEST)))
    node: Any = document
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not node[key] or not isinstance(node[key], dict | list) or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = data.draw(ANYTHING)
    found = outcome(document)
    if found:
        assert all(entry.reference for entry in found.resources)
        assert found.resolve(found.patient_reference) in found.resources


@UNHURRIED
@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_a_good_record_with_broken_bytes_is_read_or_refused(where: int, what: bytes) -> None:
    raw = bytearray(text(with_ana(BP)))
    where = min(where, len(raw) - 1)
    raw[where : where + len(what)] = what
    outcome(bytes(raw))


# --- records that others wrote ----------------------------------------------------------------------------------------


def test_every_official_example_is_read() -> None:
    """The specification's own records. Those that are Bundles may be refused, but only for the reasons listed."""
    read, refused_as_record, refusals = 0, [], Counter[str]()
    for name, document, as_is in official_examples():
        try:
            found = read_bundle(document)
        except BadInput as refusal:
            refusals[str(refusal).partition(":")[0].partition(" (")[0]] += 1
            refused_as_record += [] if as_is else [f"{name}: {refusal}"]
            continue
        assert not [p for p in found.problems if p.code in ("malformed", "other-release", "bad-id")], name
        read += 1
    assert not refused_as_record
    assert read > 650
    assert set(refusals) <= {
        "no Patient",
        "a second Patient",
        "one page of several",
        "two different resources under one fullUrl",
        "a response holds outcomes, not the record",
    }


def test_generated_us_core_patients_are_read_without_a_problem() -> None:
    for document in us_core_patients(50, seed=20261121):
        found = read_bundle(document)
        assert found.problems == ()
        assert len(found.resources) == len(document["entry"])
        for a, b in pairwise(found.resources):
            assert a.reference != b.reference


def test_the_same_seed_gives_the_same_patients() -> None:
    assert list(us_core_patients(3, seed=7)) == list(us_core_patients(3, seed=7))


def test_examples_come_from_the_lock_without_an_address() -> None:
    lock = json.loads((EXAMPLES.parent.parent / "package-lock.json").read_text())
    assert not [p for p in lock["packages"].values() if "resolved" in p]
