"""Records that nobody here wrote: no traceback, no verdict that the data do not carry, every reason traceable.

Nobody in these corpora was reconciled or has a reviewed history, so no answer may be complete and none may be ELIGIBLE.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import fhirkit
import orjson
import pytest

import adjunct
from adjunct.base import BadInput
from adjunct.fhir import read_bundle
from adjunct.knowledge.entries import fold
from adjunct.publish import to_fhir
from bundles import NOW, RXNORM, knowledge, medicine
from fhir_corpora import Example, official_examples, us_core_patients

Json = dict[str, Any]
Faults = dict[str, list[str]]

PATIENTS, SEED, CHUNKS, PARTS = 1000, 2026, 10, 3
QUESTIONS = [(phase, treatment) for phase in ("intake", "pre-dose") for treatment in ("ketamine-iv", "none")]
PUBLISHED_EACH = 10

# DESIGN, section 5: what every assessment carries; and what this edition adds to it.
TOP = set("knowledge question phase verdict complete findings gaps".split()) | {"headline", "contacts", "at"}
FINDING = set(
    "id title severity action kind about involves says tell why grade status sources because rule".split()
) | {"urgency", "certainty", "disputed", "verdict", "hard", "only_if", "exposure"}
GAP = set("fact why ask blocks".split()) | {"reference"}
BECAUSE = set("reference concept value unit at".split())
SOURCE = set("id citation locator".split()) | {"read_as", "url", "says"}
WORDS = {
    "severity": "high moderate low",
    "action": "emergency contraindicated avoid defer adjust monitor inform",
    "kind": "red-flag condition pharmacodynamic pharmacokinetic legal data",
    "about": "serotonin cns_depression bp seizure qt bleeding liver opioid_antagonism withdrawal attenuation pk mania "
    "psychosis suicide pregnancy electrolytes toxicity anticholinergic duplicate condition legal data",
    "grade": "A B C D X",
    "status": "verified reported proposed",
}
ALLOWED = {key: frozenset(words.split()) for key, words in WORDS.items()}
VERDICTS = {"ESCALATE", "NOT_ELIGIBLE", "DEFER", "CAUTION", "ELIGIBLE"}
GRAVE = ("ESCALATE", "NOT_ELIGIBLE")
OF_MEDICINES = ("MedicationStatement", "MedicationRequest", "MedicationAdministration", "MedicationDispense")


def assess(bundle: Json, phase: str, treatment: str) -> adjunct.assessment.Assessment:  # type: ignore[name-defined]
    return adjunct.assess(orjson.dumps(bundle), treatment=treatment, phase=phase, at=NOW, knowledge=knowledge())


# --- what must hold of any answer -------------------------------------------------------------------------------------


def faults_of(bundle: Json, answer: Json) -> Iterator[tuple[str, str]]:
    """`(what is wrong, details)` of one answer about somebody who was never reconciled."""
    if answer["verdict"] == "ELIGIBLE":
        yield "ELIGIBLE without an attestation", answer["headline"]["says"][:60]
    if answer["complete"] is not False:
        yield "complete without an attestation", answer["verdict"]
    yield from _shape(answer)
    known = resources_of(bundle)
    grave = [f for f in answer["findings"] if f["verdict"] in GRAVE]
    if answer["verdict"] in GRAVE and answer["verdict"] not in {f["verdict"] for f in grave}:
        yield "a grave verdict without a finding that carries it", answer["verdict"]
    for finding in answer["findings"]:
        named = [r["reference"].partition("#")[0] for r in finding["because"]]
        if dangling := [r for r in named if r not in known]:
            yield "a because.reference leads nowhere", f"{finding['id']}: {dangling}"
        found = [known[r] for r in named if r in known]
        if finding in grave and not any(is_coded(r) for r in found):
            yield "a grave finding rests on nothing coded", finding["id"]
        medicines = [r for r in found if r["resourceType"] in OF_MEDICINES]
        for substance in finding["involves"]:
            if not any(states(r, substance, bundle) for r in medicines):
                yield "a substance that no medication resource states", f"{finding['id']}: {substance}"
        if finding["verdict"] == "NOT_ELIGIBLE" and answer["question"] == "none":
            yield "NOT_ELIGIBLE without a treatment", finding["id"]


def _shape(answer: Json) -> Iterator[tuple[str, str]]:
    parts = [("answer", TOP, [answer]), ("finding", FINDING, answer["findings"]), ("gap", GAP, answer["gaps"])]
    parts.append(("knowledge", {"version", "as_of"}, [answer["knowledge"]]))
    for finding in answer["findings"]:
        parts += [("because", BECAUSE, finding["because"]), ("source", SOURCE, finding["sources"])]
    for name, keys, objects in parts:
        for one in objects:
            if set(one) != keys:
                yield f"the keys of a {name} are not those of the contract", str(sorted(set(one) ^ keys))
    if answer["verdict"] not in VERDICTS:
        yield "a verdict of another vocabulary", answer["verdict"]
    for finding in answer["findings"]:
        for key, allowed in ALLOWED.items():
            if finding[key] not in allowed:
                yield f"{key} of another vocabulary", f"{finding['id']}: {finding[key]}"
        if not finding["sources"]:
            yield "a finding without a source", finding["id"]
    for gap in answer["gaps"]:
        if not (gap["why"] and gap["ask"]):
            yield "a gap without its question", gap["fact"]


def resources_of(bundle: Json) -> dict[str, Json]:
    """Each resource under every name by which it may be cited; read without the engine's help."""
    found: dict[str, Json] = {}
    for i, entry in enumerate(bundle["entry"]):
        resource = entry.get("resource")
        if resource is None:
            continue
        names = {
            f"Bundle.entry[{i}].resource",
            f"{resource['resourceType']}/{resource.get('id')}",
            entry.get("fullUrl"),
        }
        found.update(dict.fromkeys(filter(None, names), resource))
    return found


def is_coded(resource: Json) -> bool:
    """A birth date is as good as a code."""
    return '"coding"' in json.dumps(resource) or resource["resourceType"] == "Patient"


def states(resource: Json, substance: str, bundle: Json) -> bool:
    """Whether a medication resource, or the Medication it points to, says this substance by code or by a name."""
    link = resource.get("medicationReference", {}).get("reference", "")
    contained = [c for c in resource.get("contained", ()) if f"#{c.get('id')}" == link]
    texts = json.dumps([resource, contained, resources_of(bundle).get(link.partition("/_history")[0])])
    known = knowledge().substances[substance]
    codes = [code.partition("|")[2] for code in known.codes]
    names = [r["text"] for r in knowledge().content["names"] if substance in r["substance"].split("+")]
    return any(f'"{code}"' in texts for code in codes) or any(fold(name) in fold(texts) for name in names)


def weigh(bundle: Json, name: str, number: int, faults: Faults) -> None:
    """Ask every question about one bundle and note what is wrong with the answers."""
    for phase, treatment in QUESTIONS:
        result = assess(bundle, phase, treatment)
        where = f"{name}, {phase}, {treatment}"
        answer = json.loads(result.to_json())
        for what, detail in faults_of(bundle, answer):
            faults[what].append(f"{where}: {detail}")
        if number % PUBLISHED_EACH == 0:
            made = to_fhir(result.to_dict(), now_iso=result.at, patient_reference=result.patient or None)
            if issues := [str(i) for i in fhirkit.validate(made)]:
                faults["the published Bundle is not R4"].append(f"{where}: {issues[:2]}")


def summary(faults: Faults) -> dict[str, str]:
    """Each fault once, counted, with its first places."""
    return {what: f"{len(places)} times, first {places[:3]}" for what, places in faults.items()}


# --- the official examples --------------------------------------------------------------------------------------------


def why_refused(example: Example) -> str:
    """Why a Bundle cannot be one person's record; empty when it can. A second opinion, not the engine's."""
    entries = [e for e in example.bundle.get("entry", ()) if "resource" in e]
    patients = {
        json.dumps(e["resource"], sort_keys=True) for e in entries if e["resource"]["resourceType"] == "Patient"
    }
    by_url: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        by_url[entry.get("fullUrl", "")].add(json.dumps(entry["resource"], sort_keys=True))
    by_url.pop("", None)
    if example.bundle["type"] in ("history", "transaction-response", "batch-response"):
        return "not a record"
    if any(link["relation"] == "next" for link in example.bundle.get("link", ())):
        return "one page of several"
    if any(len(versions) > 1 for versions in by_url.values()):
        return "one address, two resources"
    return "" if len(patients) == 1 else f"{len(patients)} patients"


@pytest.mark.parametrize("part", range(PARTS))
def test_official_examples_are_answered_or_rightly_refused(part: int) -> None:
    faults: Faults = defaultdict(list)
    answered = refused = 0
    for number, example in enumerate(islice(official_examples(), part, None, PARTS)):
        why = why_refused(example)
        try:
            read_bundle(orjson.dumps(example.bundle))
        except BadInput as error:
            refused += 1
            if not why:
                faults["refused without a reason"].append(f"{example.name}: {error}")
            continue
        answered += 1
        if why:
            faults["read although it is no one person's record"].append(f"{example.name}: {why}")
        weigh(example.bundle, example.name, number, faults)
    assert summary(faults) == {}
    assert answered > 200
    assert refused < answered / 10


# --- generated patients -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_generated_patients_are_answered_with_nothing_made_up(chunk: int) -> None:
    faults: Faults = defaultdict(list)
    each = PATIENTS // CHUNKS
    for number, bundle in enumerate(us_core_patients(each, SEED + chunk * each)):
        weigh(bundle, f"patient {SEED + chunk * each + number}", number, faults)
    assert summary(faults) == {}


def test_a_dangerous_pair_added_to_a_generated_record_is_found_and_traced_to_the_added_entries() -> None:
    faults: Faults = defaultdict(list)
    for number, bundle in enumerate(us_core_patients(30, SEED)):
        patient = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
        subject = {"reference": patient["fullUrl"]}
        for code, name in (("36437", "sertraline"), ("8123", "phenelzine")):
            added = medicine(code, name, 50, system=RXNORM) | {"subject": subject}
            bundle["entry"].append({"resource": added, "fullUrl": f"urn:example:{name}"})
        answer = json.loads(assess(bundle, "intake", "ketamine-iv").to_json())
        for what, detail in faults_of(bundle, answer):
            faults[what].append(f"patient {number}: {detail}")
        pairs = [f for f in answer["findings"] if {"sertraline", "phenelzine"} <= set(f["involves"])]
        grave = [f for f in pairs if f["action"] == "contraindicated" and f["severity"] == "high"]
        cited = {r["reference"] for f in grave for r in f["because"]}
        if not {"MedicationStatement/med-sertraline", "MedicationStatement/med-phenelzine"} <= cited:
            faults["the added pair was not found"].append(f"patient {number}: {cited}")
    assert summary(faults) == {}


# --- the checks above can fail ----------------------------------------------------------------------------------------


def test_the_checks_notice_what_they_are_there_for() -> None:
    bundle = next(us_core_patients(1, SEED))
    sound = json.loads(assess(bundle, "intake", "ketamine-iv").to_json())
    invented = sound["findings"][0] | {
        "verdict": "NOT_ELIGIBLE",
        "involves": ["phenelzine"],
        "kind": "hunch",
        "because": [{"reference": "Observation/none", "concept": "bp", "value": "1", "unit": "", "at": ""}],
    }
    wrong = sound | {"verdict": "ELIGIBLE", "complete": True, "question": "none", "findings": [invented], "extra": 1}
    assert {what for what, _ in faults_of(bundle, wrong)} == {
        "ELIGIBLE without an attestation",
        "complete without an attestation",
        "the keys of a answer are not those of the contract",
        "kind of another vocabulary",
        "a because.reference leads nowhere",
        "a grave finding rests on nothing coded",
        "a substance that no medication resource states",
        "NOT_ELIGIBLE without a treatment",
    }
    assert {what for what, _ in faults_of(bundle, sound | {"verdict": "ESCALATE"})} == {
        "a grave verdict without a finding that carries it"
    }
    assert datetime.fromisoformat(sound["at"]).astimezone(UTC) == datetime.fromisoformat(NOW).astimezone(UTC)
