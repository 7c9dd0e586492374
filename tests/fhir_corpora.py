"""Records that others wrote, as Bundles of one person: the official R4 examples (npm) and generated US Core patients.

`node_modules/hl7.fhir.r4.examples` comes with `npm ci` (see package.json); without it the tests that need it are
skipped with one line, except in CI, where missing examples are an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

Json = dict[str, Any]

EXAMPLES = Path(__file__).parent.parent / "node_modules" / "hl7.fhir.r4.examples"
PATIENT_ELEMENTS = ("subject", "patient", "for", "individual", "beneficiary")
# What describes FHIR itself rather than a person: nine of ten files, none of them part of a record.
DEFINITIONS = frozenset(
    "CapabilityStatement CodeSystem CompartmentDefinition ConceptMap GraphDefinition ImplementationGuide "
    "MessageDefinition NamingSystem OperationDefinition SearchParameter StructureDefinition StructureMap "
    "TerminologyCapabilities TestReport TestScript ValueSet".split()
)


class Example(NamedTuple):
    """One official example. `as_is`: the example was a Bundle itself and may be anything that R4 allows."""

    name: str
    bundle: Json
    as_is: bool


def examples_folder() -> Path:
    """Where the official examples are; skips the calling test, or fails it in CI, when they are not."""
    if (EXAMPLES / "package.json").is_file():
        return EXAMPLES
    missing = "the official FHIR R4 examples are not there: run `npm ci`"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def official_examples(*, definitions: bool = False) -> Iterator[Example]:
    """Each official example as one person's Bundle; with `definitions` also what describes FHIR itself."""
    for path in sorted(examples_folder().glob("*-*.json")):
        kind = path.name.partition("-")[0]
        if kind in DEFINITIONS and not definitions:
            continue
        resource = orjson.loads(path.read_bytes())
        if "resourceType" not in resource:
            continue
        if resource["resourceType"] == "Bundle":
            yield Example(path.stem, resource, as_is=True)
        else:
            yield Example(path.stem, one_person(resource), as_is=False)


def one_person(resource: Json) -> Json:
    """The resource with its patient: itself, the official example it names, or a made-up one under that name."""
    entries: list[Json] = [{"resource": resource}]
    if resource["resourceType"] != "Patient":
        entries.insert(0, _patient_entry(_subject(resource)))
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _subject(resource: Json) -> str:
    for name in PATIENT_ELEMENTS:
        values = resource.get(name)
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, dict) and "Patient/" in str(value.get("reference", "")):
                return str(value["reference"]).partition("/_history/")[0]
    return "Patient/nobody-named"


def _patient_entry(reference: str) -> Json:
    own = reference.rpartition("/")[2]
    patient = _official_patients().get(own) or {"resourceType": "Patient", "id": own, "birthDate": "1980"}
    return {"resource": patient} | ({"fullUrl": reference} if "://" in reference else {})


@cache
def _official_patients() -> dict[str, Json]:
    found = [orjson.loads(path.read_bytes()) for path in examples_folder().glob("Patient-*.json")]
    return {patient["id"]: patient for patient in found}


def us_core_patients(n: int, seed: int) -> Iterator[Json]:
    """`n` generated US Core 6.1.0 patients, of every clinical profile there is; the same for the same seed."""
    import carebundle

    profiles = list(carebundle.PROFILES)
    for i in range(n):
        profile, sex = profiles[i % len(profiles)], "FM"[(i // len(profiles)) % 2]
        bundle = carebundle.generate_bundle(profile=profile, seed=seed + i, sex=sex)
        yield json.loads(carebundle.to_json(bundle))
