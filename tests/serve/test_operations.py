"""What a server can do beyond FHIR: `$assess` answers as the command does, `$export` as Bulk Data says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.bundles import person
from tests.fhir.test_rest import BASE, Answer, Client

import adjunct
import adjunct.fhir.export
import adjunct.serve.exports
from adjunct.base import BadInput, Instant
from adjunct.fhir.export import Export
from adjunct.fhir.rest import Request, handle
from adjunct.fhir.search import pairs
from adjunct.serve import assessing, records
from adjunct.serve.exports import AT_ONCE, KEPT, KEPT_MS, POLL_MS, Exports
from adjunct.serve.service import with_exports
from stores import NOW, Clock, store

AT = Instant(NOW).iso()
SECRET = "Zaphodsecret"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fhir(tmp_path: Path, clock: Clock) -> Iterator[Client]:
    with store("sqlite", tmp_path, clock) as repository:
        client = Client(repository, clock=clock, operations=assessing.operations())
        with with_exports(client.service) as service:
            client.service = service
            yield client


# --- $assess ----------------------------------------------------------------------------------------------------------


CHEST_PAIN = {
    "resourceType": "Observation",
    "id": "chest",
    "status": "final",
    "code": {"coding": [{"system": "urn:adjunct:concept", "code": "chest_pain"}]},
    "subject": {"reference": "Patient/p"},
    "effectiveDateTime": AT,
    "valueBoolean": True,
}


def told(**more: Any) -> dict[str, Any]:
    return person(age=44, sex="F", takes=["sertraline 150 mg"], measures={"systolic": 190}, at=AT, **more)


def asked(treatment: str = "ketamine-iv", **more: str) -> dict[str, Any]:
    values = {"treatment": treatment, **more}
    return {"resourceType": "Parameters", "parameter": [{"name": n, "valueCode": v} for n, v in values.items()]}


def test_assess_answers_as_the_command_does(fhir: Client) -> None:
    records.keep(fhir.service, told())
    answer = fhir("POST", "Patient/p/$assess", asked(at=AT, country="us"))
    assert answer.status == 200
    held = records.bundle_of(fhir.service.repository, "p")
    said = adjunct.assess(held, treatment="ketamine-iv", at=AT, country="US")
    assert answer.body == orjson.loads(said.to_json())
    assert answer.body["findings"]
    assert fhir("POST", "Patient/p/$assess?treatment=ketamine-iv&country=us").body == answer.body  # now is the clock's
    other = fhir("POST", "Patient/p/$assess", asked("none", at=AT))
    assert other.body["question"] != answer.body["question"]


def test_assess_keeps_what_it_publishes_once_and_only_if_told_so(fhir: Client) -> None:
    records.keep(fhir.service, told())
    looked = fhir("POST", "Patient/p/$assess", asked(at=AT), accept="application/fhir+json")
    assert (looked.status, looked.body["resourceType"]) == (200, "Bundle")
    assert fhir.found("GuidanceResponse") == []
    fhir("POST", "Patient/p/$assess", asked(at=AT, keep="true"))
    (kept,) = fhir.found("GuidanceResponse?patient=p")
    assert fhir.found("DetectedIssue?patient=p")
    with fhir.service.repository.reading() as record:
        before = record.newest_key()
    again = fhir("POST", "Patient/p/$assess", asked(at=AT, keep="true"), accept="application/fhir+json")
    assert (again.status, fhir.found("GuidanceResponse")) == (200, [kept])
    with fhir.service.repository.reading() as record:
        assert record.newest_key() == before  # word for word the same: nothing was written again


@pytest.mark.parametrize(
    ("address", "body", "status", "issue"),
    [
        ("Patient/p/$assess", None, 400, ("value", "treatment")),
        ("Patient/p/$assess?treatment=aspirin", None, 400, ("value", "treatment")),
        ("Patient/p/$assess?treatment=none&phase=never", None, 400, ("value", "phase")),
        ("Patient/p/$assess?treatment=none&country=USA", None, 400, ("value", "country")),
        ("Patient/p/$assess?treatment=none&keep=maybe", None, 400, ("value", "keep")),
        ("Patient/p/$assess?treatment=none&at=yesterday", None, 400, ("invalid", "at")),
        (f"Patient/p/$assess?treatment=none&{SECRET}=1", None, 400, ("not-supported", "parameter")),
        ("Patient/p/$assess?treatment=none", asked("none"), 400, ("not-supported", "treatment")),
        ("Patient/p/$assess", {"resourceType": "Bundle"}, 400, ("structure", "$")),
        ("Patient/p/$assess", asked() | {"parameter": [{"name": "at", "valueInteger": 1}]}, 400,
         ("value", "Parameters.parameter")),
        ("Patient/p/$assess", b"{", 400, None),
        ("Patient/nobody/$assess?treatment=none", None, 404, ("not-found", "id")),
        ("Patient/$assess?treatment=none", None, 404, None),
        ("Observation/p/$assess?treatment=none", None, 404, None),
    ],
)  # fmt: skip
def test_what_assess_refuses(fhir: Client, address: str, body: Any, status: int, issue: tuple[str, str] | None) -> None:
    records.keep(fhir.service, told())
    answer = fhir("POST", address, body)
    assert answer.status == status
    assert issue in (None, answer.issue)
    assert SECRET not in str(answer.body)
    assert fhir("GET", "Patient/p/$assess?treatment=none").status == 405


def test_a_record_that_cannot_be_answered_still_tells_its_red_flags(fhir: Client) -> None:
    bundle = told(extra=[CHEST_PAIN])
    bundle["entry"][0]["resource"]["birthDate"] = "2040-01-01"
    records.keep(fhir.service, bundle)
    answer = fhir("POST", "Patient/p/$assess", asked(at=AT))
    assert (answer.status, answer.issue) == (422, ("business-rule", "Patient.birthDate"))
    assert "2040" not in str(answer.body)
    with pytest.raises(BadInput) as refused:
        adjunct.assess(bundle, treatment="ketamine-iv", at=AT)
    assert refused.value.advice
    assert [i["diagnostics"] for i in answer.body["issue"][1:]] == list(refused.value.advice)


# --- $export ----------------------------------------------------------------------------------------------------------

ANA, BO, CY = ({"resourceType": "Patient", "id": name} for name in ("ana", "bo", "cy"))
DOCTOR = {"resourceType": "Practitioner", "id": "dr"}
ASYNC = {"prefer": "respond-async"}


def pulse(id: str, who: str) -> dict[str, Any]:  # noqa: A002
    subject = {"reference": f"Patient/{who}"}
    return {"resourceType": "Observation", "id": id, "status": "final", "code": {"text": SECRET}, "subject": subject}


def group(*members: tuple[str, bool]) -> dict[str, Any]:
    listed = [{"entity": {"reference": f"Patient/{who}"}, "inactive": gone} for who, gone in members]
    return {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": listed}


def exports_of(fhir: Client) -> Exports:
    found = fhir.service.rules.operations["system", "$export"].handler.__self__  # type: ignore[attr-defined]
    assert isinstance(found, Exports)
    return found


def finish(fhir: Client) -> None:
    """Until nothing is being written."""
    for thread in exports_of(fhir)._threads:
        thread.join()


def begun(fhir: Client, address: str, method: str = "GET") -> str:
    answer = fhir(method, address, **ASYNC)
    assert answer.status == 202, answer.body
    place = answer.header("content-location")
    assert place.startswith(f"{BASE}/$export-status?job=")
    return place.removeprefix(f"{BASE}/")


def manifest(fhir: Client, address: str, method: str = "GET") -> Answer:
    place = begun(fhir, address, method)
    finish(fhir)
    answer = fhir("GET", place)
    assert answer.status == 200, answer.body
    return answer


def lines(fhir: Client, part: dict[str, Any]) -> list[Any]:
    path, _, query = part["url"].removeprefix(f"{BASE}/").partition("?")
    reply = handle(Request("GET", path, pairs(query)), fhir.service)
    assert (reply.status, dict(reply.headers)[b"content-type"]) == (200, b"application/fhir+ndjson")
    found = [orjson.loads(line) for line in reply.body.splitlines()]
    assert len(found) == part["count"]
    return found


def exported(fhir: Client, address: str, which: str = "output") -> set[str]:
    found = set()
    for part in manifest(fhir, address).body[which]:
        for resource in lines(fhir, part):
            if which == "deleted":
                assert (resource["resourceType"], resource["type"]) == ("Bundle", "transaction")
                (entry,) = resource["entry"]
                assert entry["request"]["method"] == "DELETE"
                found.add(entry["request"]["url"])
            else:
                assert resource["resourceType"] == part["type"]
                found.add(f"{part['type']}/{resource['id']}")
    return found


@pytest.fixture
def filled(fhir: Client) -> Client:
    fhir.put(ANA, BO, CY, DOCTOR, pulse("a", "ana"), pulse("b", "bo"), pulse("c", "cy"))
    fhir.put(group(("ana", False), ("bo", True)))
    return fhir


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("$export?_type=Patient,Practitioner,Group,Media", "Patient/ana Patient/bo Patient/cy Practitioner/dr Group/g"),
        ("$export?_type=Observation, Practitioner", "Observation/a Observation/b Observation/c Practitioner/dr"),
        ("$export?_type=Media", ""),
        ("Patient/$export", "Patient/ana Patient/bo Patient/cy Observation/a Observation/b Observation/c Group/g"),
        ("Patient/$export?patient=Patient/bo,cy&_type=Patient,Observation",
         "Patient/bo Patient/cy Observation/b Observation/c"),
        ("Group/g/$export?_type=Patient,Observation", "Patient/ana Observation/a"),
        ("Group/g/$export?patient=bo", ""),
    ],
)  # fmt: skip
def test_who_and_what_is_exported(filled: Client, address: str, found: str) -> None:
    assert exported(filled, address) == set(found.split())


def test_the_manifest_and_the_life_of_an_export(filled: Client, clock: Clock) -> None:
    place = begun(filled, "Patient/$export?_type=Patient", "POST")
    finish(filled)
    answer = filled("GET", place)
    assert answer.header("content-type") == "application/json"
    (part,) = answer.body["output"]
    assert answer.body == {
        "transactionTime": "2026-11-09T00:00:00.000Z",
        "request": f"{BASE}/Patient/$export",
        "requiresAccessToken": False,
        "output": [{"type": "Patient", "url": part["url"], "count": 3}],
        "deleted": [],
        "error": [],
    }
    file = part["url"].removeprefix(f"{BASE}/")
    clock.ms += KEPT_MS
    assert len(lines(filled, part)) == 3
    clock.ms += 1
    for address in (place, file):  # its time is over
        assert (filled("GET", address).status, filled("GET", address).issue) == (404, ("not-found", "job"))


def test_since_brings_what_changed_and_what_was_deleted(filled: Client, clock: Clock) -> None:
    clock.ms += 1000
    since = "_since=2026-11-09T00:00:00.500Z"
    filled.put(pulse("a", "ana"), pulse("a2", "ana"), pulse("again", "bo"))
    for address in ("Observation/b", "Observation/a2", "Observation/again", "Practitioner/dr"):
        assert filled("DELETE", address).status == 204
    filled.put(pulse("again", "bo"))  # what is there again was not deleted
    assert exported(filled, f"$export?{since}") == {"Observation/a", "Observation/again"}
    assert exported(filled, f"$export?{since}", "deleted") == {"Observation/b", "Observation/a2", "Practitioner/dr"}
    assert exported(filled, f"Patient/$export?{since}&patient=bo", "deleted") == {"Observation/b"}
    assert exported(filled, f"$export?{since}&_type=Practitioner", "deleted") == {"Practitioner/dr"}
    assert exported(filled, "$export", "deleted") == set()


def test_many_lines_are_several_files(filled: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adjunct.fhir.export, "PART", 2)
    parts = manifest(filled, "$export?_type=Patient").body["output"]
    assert [part["count"] for part in parts] == [2, 1]
    assert [r["id"] for part in parts for r in lines(filled, part)] == ["ana", "bo", "cy"]


def test_what_is_written_meanwhile_is_not_in_it(filled: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = adjunct.serve.exports.export

    def late(repository: Any, wanted: Any, folder: Path, **said: Any) -> Export:
        def progress(kind: str, count: int) -> None:
            if count == 1:
                filled.put(pulse("meanwhile", "ana"), {**ANA, "active": True})

        return inner(repository, wanted, folder, **{**said, "progress": progress})

    monkeypatch.setattr(adjunct.serve.exports, "export", late)
    (part, other) = manifest(filled, "$export?_type=Observation,Patient").body["output"]
    assert [r["id"] for r in lines(filled, part)] == ["a", "b", "c"]
    assert [r["meta"]["versionId"] for r in lines(filled, other)] == ["1", "1", "1"]


# --- what an export refuses, and its ends -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "headers", "status", "issue"),
    [
        ("$export", {}, 400, ("not-supported", "Prefer")),
        ("$export?_type=Nothing", ASYNC, 400, ("value", "_type")),
        ("Patient/$export?_type=Practitioner", ASYNC, 400, ("value", "_type")),
        ("$export?_since=yesterday", ASYNC, 400, None),
        ("$export?_outputFormat=text/csv", ASYNC, 400, ("not-supported", "_outputFormat")),
        ("$export?_typeFilter=x", ASYNC, 400, ("not-supported", "_typeFilter")),
        ("$export?_type=Patient&_type=Group", ASYNC, 400, ("invalid", "_type")),
        ("$export?patient=ana", ASYNC, 400, ("not-supported", "patient")),
        ("Patient/$export?patient=Patient/nobody", ASYNC, 404, ("not-found", "id")),
        ("Group/nobody/$export", ASYNC, 404, ("not-found", "id")),
        ("Observation/$export", ASYNC, 404, None),
        ("$export-status?job=unknown", {}, 404, ("not-found", "job")),
        ("$export-status", {}, 404, ("not-found", "job")),
        ("$export-file?job=unknown&name=Patient.1.ndjson", {}, 404, ("not-found", "job")),
    ],
)
def test_what_an_export_refuses(
    filled: Client, address: str, headers: dict[str, str], status: int, issue: tuple[str, str] | None
) -> None:
    answer = filled("GET", address, **headers)
    assert answer.status == status
    assert issue in (None, answer.issue)


def test_an_export_may_be_asked_for_in_a_body(filled: Client) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueReference": {"reference": "Patient/ana"}},
            {"name": "_type", "valueString": "Patient"},
        ],
    }
    begun = filled("POST", "Patient/$export", body, **ASYNC)
    assert begun.status == 202, begun.body


def test_lenient_ignores_what_it_does_not_know(filled: Client) -> None:
    answer = filled("GET", "$export?_typeFilter=x", prefer="respond-async, handling=lenient")
    assert answer.status == 202


@pytest.mark.parametrize("name", ["../record.db", "/etc/passwd", "Patient.1.ndjson/../x", "", ".", "Patient.2.ndjson"])
def test_only_its_own_files_are_sent(filled: Client, name: str) -> None:
    place = begun(filled, "$export?_type=Patient")
    finish(filled)
    address = f"{place.replace('status', 'file')}&name={name}"
    assert (filled("GET", address).status, filled("GET", address).issue) == (404, ("not-found", "name"))


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Exports that wait until they are let go."""
    go, inner = threading.Event(), adjunct.serve.exports.export

    def waiting(*args: Any, **said: Any) -> Export:
        assert go.wait(30)
        return inner(*args, **said)

    monkeypatch.setattr(adjunct.serve.exports, "export", waiting)
    yield go
    go.set()


def test_an_export_is_asked_after_and_not_too_often(filled: Client, clock: Clock, held: threading.Event) -> None:
    place = begun(filled, "$export")
    first = filled("GET", place)
    assert (first.status, first.header("x-progress"), first.header("retry-after")) == (202, "begun", "1")
    often = filled("GET", place)
    assert (often.status, often.issue, often.header("retry-after")) == (429, ("throttled", ""), "1")
    clock.ms += POLL_MS
    assert filled("GET", place).status == 202
    address = f"{place.replace('status', 'file')}&name=Patient.1.ndjson"
    assert filled("GET", address).status == 404
    held.set()
    finish(filled)
    assert filled("GET", place).status == 200


def test_no_more_exports_at_once_than_the_server_bears(filled: Client, held: threading.Event) -> None:
    places = [begun(filled, "$export") for _ in range(AT_ONCE)]
    refused = filled("GET", "$export", **ASYNC)
    assert (refused.status, refused.issue) == (429, ("throttled", ""))
    assert filled("DELETE", places[0]).status == 202
    held.set()
    finish(filled)
    assert filled("GET", places[0]).status == 404
    assert filled("GET", places[1]).status == 200


def test_a_cancelled_export_leaves_no_file(filled: Client, held: threading.Event) -> None:
    exports = exports_of(filled)
    ended, running = begun(filled, "$export?_type=Patient"), begun(filled, "$export?_type=Patient")
    assert filled("DELETE", running).status == 202
    held.set()
    finish(filled)
    assert len(list(exports._folder.iterdir())) == 1
    assert filled("DELETE", ended).status == 202
    assert list(exports._folder.iterdir()) == []
    assert filled("DELETE", ended).status == 404


def test_an_export_that_fails_says_so_without_a_value(filled: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> Export:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(adjunct.serve.exports, "export", failing)
    place = begun(filled, "$export")
    finish(filled)
    answer = filled("GET", place)
    assert (answer.status, answer.issue) == (500, ("exception", ""))
    assert SECRET not in str(answer.body)


def test_the_oldest_goes_when_there_are_too_many_and_all_go_with_the_server(fhir: Client, clock: Clock) -> None:
    places = []
    for _ in range(KEPT + 1):
        places.append(begun(fhir, "$export?_type=Patient"))
        finish(fhir)
        clock.ms += 1
    assert fhir("GET", places[1]).status == 200
    assert fhir("GET", places[0]).status == 404
    exports = exports_of(fhir)
    assert exports._folder.stat().st_mode & 0o077 == 0
    exports.close()
    assert not exports._folder.exists()
