"""The synthetic clinic: the same every time, FHIR R4 by three readings, plainly invented, and readable by the house."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import fhirkit
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adjunct
from adjunct.base import BadInput, duration_ms, instant, partial_date
from adjunct.clinic import Clinic
from adjunct.demo import QUESTIONS, dated, seed_record
from adjunct.fhir import definitions, read_bundle
from adjunct.fhir.memory import MemoryRepository
from adjunct.fhir.rest import Request, Service, handle
from adjunct.fhir.rest.call import Rules
from adjunct.fhir.validation import validate
from adjunct.instruments import instrument, score
from adjunct.knowledge import Knowledge
from adjunct.synthetic import HTEST, clinic, stories
from adjunct.synthetic.course import AFTERWARDS, CAME, MISSED, Contact, Step, contacts, first_opening, withdrawal
from adjunct.synthetic.visits import filled

Json = dict[str, Any]
KNOWLEDGE = Knowledge.load()
OWN = KNOWLEDGE.content["synthetic"]
AT = "2026-11-22T12:00:00-06:00"
NOW = instant(AT)
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
SEED, PEOPLE = 7, 60 if THOROUGH else 16
NODE = shutil.which("node")
SECOND = Path(__file__).parent / "fhir" / "second_opinion.mjs"
NPM = Path(__file__).parent.parent / "node_modules" / "fhir"


def made(people: int, seed: int = SEED, *, light: bool = True) -> list[Json]:
    return list(clinic(seed, people, KNOWLEDGE, now=NOW, light=light))


@cache
def everybody() -> list[Json]:
    """The clinic of the demonstration (a part of it, unless there is time), without days that are played."""
    return made(PEOPLE)


@cache
def a_few() -> list[Json]:
    """As many as there are stories, with played days."""
    return made(len(OWN["story"]), light=False)


def resources(bundle: Mapping[str, Any], *types: str) -> list[Json]:
    every = [entry["resource"] for entry in bundle["entry"]]
    return [r for r in every if r["resourceType"] in types] if types else every


def people(bundles: list[Json], *ids: str) -> list[Json]:
    """The records of those with one of these stories."""
    told = stories(OWN["story"], len(bundles) - 2, SEED)
    return [bundle for bundle, story in zip(bundles[1:-1], told, strict=True) if story["id"] in ids]


def digest(bundles: list[Json]) -> str:
    return hashlib.sha256(orjson.dumps(bundles)).hexdigest()


# --- the same every time --------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_bytes_in_another_process_and_another_seed_is_not() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); from test_synthetic import digest, made; "
        "print(digest(made(1, light=False)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    assert done.stdout.decode().strip() == digest(made(1, light=False))
    assert digest(made(1)) != digest(made(1, seed=SEED + 1))


def test_a_clinic_has_somebody() -> None:
    for count, months in ((0, 18), (5, 0)):
        with pytest.raises(BadInput, match="at least 1"):
            next(clinic(SEED, count, KNOWLEDGE, now=NOW, months=months))


@given(count=st.integers(1, 400), seed=st.integers(0, 9))
@settings(max_examples=40)
def test_every_story_has_its_share(count: int, seed: int) -> None:
    told = OWN["story"]
    found = Counter(story["id"] for story in stories(told, count, seed))
    assert found.total() == count
    if count >= len(told):
        assert found.keys() == {story["id"] for story in told}
        assert all(abs(found[s["id"]] - 1 - s["share"] * (count - len(told))) < 1 for s in told)


def test_the_shares_are_parts_of_one() -> None:
    assert sum(story["share"] for story in OWN["story"]) == pytest.approx(1)


# --- what it is made of ---------------------------------------------------------------------------------------------


def test_all_of_it_says_that_it_is_test_data_and_has_a_name_of_its_own() -> None:
    every = [r for bundle in a_few() for r in resources(bundle)]
    assert all(r["meta"]["tag"] == [HTEST] for r in every)
    names = Counter(f"{r['resourceType']}/{r['id']}" for r in every)
    assert names.most_common(1)[0][1] == 1
    assert {r["name"][0]["family"].split("-")[0] for r in every if r["resourceType"] == "Patient"} <= set(
        OWN["person"]["family"]
    )


def test_every_reference_leads_to_somebody_or_something_of_the_clinic() -> None:
    every = [r for bundle in a_few() for r in resources(bundle)]
    names = {f"{r['resourceType']}/{r['id']}" for r in every}

    def told(node: Any, inside: frozenset[str]) -> set[str]:
        if isinstance(node, list):
            return set().union(*(told(child, inside) for child in node))
        if not isinstance(node, dict):
            return set()
        own = inside | {f"#{c['id']}" for c in node.get("contained", ())}
        found = {node["reference"]} - own if isinstance(node.get("reference"), str) else set()
        return found.union(*(told(child, own) for child in node.values()))

    assert told(every, frozenset()) <= names


def test_nothing_is_later_than_now_but_what_is_booked() -> None:
    for bundle in everybody():
        for resource in resources(bundle):
            if (when := dated(resource)) and partial_date(when, NOW.offset)[0] > NOW.ms:
                raise AssertionError(f"{resource['id']} is of {when}")
    states = Counter(r["status"] for b in everybody() for r in resources(b, "Appointment") if r["start"] > AT[:10])
    assert set(states) == {"booked"}


def test_it_is_valid_by_our_own_rules_and_by_the_structure() -> None:
    for bundle in a_few():
        assert not [i for i in fhirkit.validate(orjson.dumps(bundle)) if str(i.severity).lower().endswith("error")]
    for bundle in a_few()[:4]:
        for resource in resources(bundle):
            wrong = [i for i in validate(resource, orjson.dumps(resource)) if i.severity in ("error", "fatal")]
            assert wrong == [], resource["id"]


@pytest.mark.skipif(not (NODE and NPM.is_dir()), reason="needs node and the npm package fhir")
def test_another_validator_finds_nothing_either() -> None:
    sample: dict[tuple[str, str], Json] = {}
    for bundle in a_few():
        for r in resources(bundle):
            code = r["code"] if isinstance(r.get("code"), dict) else {}
            sample.setdefault((r["resourceType"], code.get("text", "")), r)
    lines = b"\n".join(orjson.dumps(r) for r in sample.values())
    done = subprocess.run([str(NODE), str(SECOND)], input=lines, capture_output=True, check=True, timeout=60)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(sample)
    assert {key: said for key, said in zip(sample, found, strict=True) if said} == {}


def test_a_person_goes_into_a_store_as_one_transaction() -> None:
    service = Service(MemoryRepository(lambda: NOW.ms), Rules(base="http://localhost/fhir", clock=lambda: NOW.ms))
    smallest = min(everybody()[1:-1], key=lambda bundle: len(bundle["entry"]))
    for bundle in (everybody()[0], smallest):
        reply = handle(Request("POST", "", body=orjson.dumps(bundle)), service)
        assert reply.status == 200, reply.body[:500]
    (patient,) = resources(smallest, "Patient")
    within = definitions.patient_compartment()
    found: Counter[str] = Counter()
    query: tuple[tuple[str, str], ...] = (("_count", "1000"),)
    page = orjson.loads(handle(Request("GET", f"Patient/{patient['id']}/$everything", query), service).body)
    found.update(e["resource"]["resourceType"] for e in page["entry"])
    asked = Counter(r["resourceType"] for r in resources(smallest) if r["resourceType"] in (*within, "Patient"))
    assert {kind: found[kind] for kind in asked} == dict(asked)


# --- how it goes ----------------------------------------------------------------------------------------------------


@given(name=st.sampled_from([m["id"] for m in OWN["measure"]]), target=st.floats(-5, 70), seed=st.integers(0, 2**32))
def test_answers_add_up_to_the_score_that_is_wanted(name: str, target: float, seed: int) -> None:
    known = instrument(KNOWLEDGE, name)
    found = score(known, filled(known.items, target, Random(seed)))
    assert found.range is not None
    low, high = found.range
    steps = [b - a for item in known.items for a, b in pairwise(item.points)]
    wanted = min(max(target, low), high)
    assert found.total is not None
    assert wanted - max(steps) < found.total <= max(wanted, low)


def test_withdrawal_follows_a_step_down_and_no_step_up() -> None:
    taken = (Step(0, 12.0), Step(10, 8.0), Step(20 * 86_400_000, 11.0))
    days = {
        day: withdrawal(KNOWLEDGE, taken, 0.5, round(day * 86_400_000) + 10) for day in (-0.0000001, 2.5, 5, 10, 15, 21)
    }
    assert days == pytest.approx({-0.0000001: 0, 2.5: 0.25, 5: 0.5, 10: 0.25, 15: 0, 21: 0})


def test_the_assessment_answers_for_everybody_and_finds_the_kratom() -> None:
    for bundle in everybody()[1:-1]:
        found = adjunct.assess(bundle, treatment="none", phase="follow-up", at=AT, country="US", knowledge=KNOWLEDGE)
        assert found.verdict in ("DEFER", "CAUTION", "ELIGIBLE")
        told = [r for r in resources(bundle, "MedicationStatement") if "kratom" in r["id"]]
        found_in = {substance for finding in found.findings for substance in finding.involves}
        if not told or told[-1]["status"] == "active":  # who stopped lately may hear of it all the same
            assert ("kratom-leaf" in found_in) is bool(told)


def test_follow_up_sees_every_relapse_that_was_written() -> None:
    relapsed = people(everybody(), "nasal-relapse", "infusion-relapse")
    assert len(relapsed) >= 2
    for bundle in relapsed:
        found = adjunct.follow(bundle, at=AT, country="US", knowledge=KNOWLEDGE)
        assert [a["id"] for a in found.alerts if a["id"].endswith(":relapse")], bundle["entry"][0]["resource"]["id"]
        given = len(resources(bundle, "MedicationAdministration"))
        assert found.to_dict()["surveillance"]["exposure"]["doses"] == given


def went(name: str) -> list[list[Contact]]:
    """Forty courses of one story, begun ten months ago."""
    place = Clinic.of({"cover": {"zone": OWN["clinic"]["zone"]}}, KNOWLEDGE)
    (story,) = (s for s in OWN["story"] if s["id"] == name)
    start = first_opening(place, NOW.ms - duration_ms("300 d"))
    return [contacts(KNOWLEDGE, place, story, Random(n), start=start, now=NOW.ms)[0] for n in range(40)]


@pytest.mark.parametrize("story", ["nasal", "infusion"])
def test_some_are_helped_and_some_are_not_and_those_do_not_go_on(story: str) -> None:
    courses = [[c for c in made if c.state == CAME] for made in went(story)]
    least = [min(c.severity for c in course) / course[0].severity for course in courses]
    assert 0.3 < sum(share <= 0.5 for share in least) / len(least) < 0.9
    assert max(least) > 0.75
    doses = [max(c.number for c in course) for course in courses]
    assert max(doses) > 2 * min(doses)


def test_a_relapse_is_worse_for_good() -> None:
    for made in went("nasal-relapse"):
        course = [c.severity for c in made if c.state == CAME]
        assert min(course) <= 0.5 * course[0]
        assert course[-1] > min(course) + 5


def test_visits_are_missed_above_all_by_those_who_miss_them_and_who_leaves_comes_no_more() -> None:
    def missed(story: str) -> float:
        states = Counter(c.state for made in went(story) for c in made)
        return states[MISSED] / states.total()

    assert 0 < missed("nasal") < 0.1 < missed("nasal-misses")
    assert not [c for made in went("nasal-leaves") for c in made if c.phase == AFTERWARDS]


@pytest.mark.parametrize(("story", "ups"), [("reduction", {0}), ("reduction-slips", {1})])
def test_kratom_goes_down_in_steps_and_up_again_only_for_those_who_slip(story: str, ups: set[int]) -> None:
    found = set()
    for bundle in people(everybody(), story):
        told = [r for r in resources(bundle, "MedicationStatement") if "kratom" in r["id"]]
        grams = [r["dosage"][0]["doseAndRate"][0]["doseQuantity"]["value"] for r in told]
        assert grams[-1] < grams[0] or len(grams) < 4
        found.add(sum(after > before for before, after in pairwise(grams)))
    assert found == ups


def test_an_adverse_event_happens_in_a_session_and_is_told_with_its_treatment() -> None:
    (bundle,) = people(a_few(), "infusion-adverse")
    (event,) = resources(bundle, "AdverseEvent")
    (treatment,) = resources(bundle, "Procedure")
    assert event["suspectEntity"] == [{"instance": {"reference": f"Procedure/{treatment['id']}"}}]
    assert "high" in {r["severity"] for r in resources(bundle, "DetectedIssue")}
    meals = [r for r in resources(bundle, "Observation") if "valueDateTime" in r]
    assert meals
    for told in meals:  # when the person last ate and drank
        ago = instant(told["effectiveDateTime"]).ms - instant(told["valueDateTime"]).ms
        assert 0 < ago < duration_ms("1 d")
    period = treatment["performedPeriod"]
    assert period["start"] < event["date"] < period["end"]


def test_each_record_is_one_persons() -> None:
    for bundle in a_few()[1:-1]:
        read = read_bundle(orjson.dumps(bundle))
        assert not [p for p in read.problems if p.blocks]
        assert not [e for e in read.resources if e.uninterpretable]


# --- the demonstration ----------------------------------------------------------------------------------------------


def test_the_record_of_the_demo_answers_its_questions_and_takes_nobody_else(tmp_path: Path) -> None:
    from adjunct.serve.service import open_service

    database = f"sqlite:///{tmp_path}/clinic.db"

    def seeded() -> int:
        return seed_record(database, KNOWLEDGE, people=3, seed=SEED, clock=lambda: NOW.ms)

    stored = seeded()
    assert stored > 1000  # more than one commit
    assert seeded() == 0  # it is there already
    service = open_service(database, "http://localhost/fhir", clock=lambda: NOW.ms)
    try:
        for question in QUESTIONS:
            path, _, query = question.search.partition("?")
            pairs = tuple(tuple(part.split("=", 1)) for part in query.split("&"))
            reply = handle(Request("GET", path, pairs), service)  # type: ignore[arg-type]
            assert reply.status == 200, reply.body
        with service.repository.reading() as record:
            assert record.newest_key() == stored
        other = open_service(f"sqlite:///{tmp_path}/other.db", "http://localhost/fhir", clock=lambda: NOW.ms)
        body = b'{"resourceType": "Patient"}'
        assert (
            handle(Request("POST", "Patient", headers={"content-type": "application/json"}, body=body), other).status
            == 201
        )
        other.repository.close()
    finally:
        service.repository.close()
    with pytest.raises(BadInput, match="one of their own"):
        seed_record(f"sqlite:///{tmp_path}/other.db", KNOWLEDGE, people=3, seed=SEED, clock=lambda: NOW.ms)
