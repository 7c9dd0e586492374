"""What a client may try that wants more than an answer: memory, time, the writer, or somebody else's request."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest
from tests.fhir.test_rest import ANA, Client, entry, transaction
from tests.serve.test_server import FHIR, PATIENT, issue, server

import adjunct.fhir.export
import adjunct.fhir.load
import adjunct.fhir.rest
import adjunct.serve.app
import adjunct.serve.running
from adjunct.fhir.export import Cancelled, Wanted, export
from adjunct.fhir.load import load_file
from adjunct.fhir.outcome import Issue
from adjunct.fhir.rest import Operation, Reply, Request
from adjunct.fhir.rest.call import Call
from adjunct.fhir.validation import validate
from stores import NOW, Clock, delete, store

JSON_PATCH = "application/json-patch+json"


@pytest.fixture
def fhir(tmp_path: Path) -> Iterator[Client]:
    with store("sqlite", tmp_path) as repository:
        yield Client(repository)


# --- patches ----------------------------------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    return {"a": nested(depth - 1)} if depth else 1


TOO_DEEP = [
    {"op": "add", "path": f"/x{'/a' * level}", "value": nested(50)} for level in range(0, 300, 50)
]  # each of them no deeper than a body may be
DOUBLING = [{"op": "add", "path": "/a", "value": [["x" * 1000]]}]
DOUBLING += [{"op": "copy", "from": "/a", "path": "/a/-"} for _ in range(40)]


@pytest.mark.parametrize(
    ("patch", "status", "code", "at"),
    [
        (TOO_DEEP[:2], 400, "invalid", "Resource"),
        (TOO_DEEP, 422, "structure", "$"),
        (DOUBLING, 413, "too-costly", "[11]"),
    ],
)
def test_a_patch_cannot_build_what_no_body_may_hold(fhir: Client, patch: Any, status: int, code: str, at: str) -> None:
    fhir.put(ANA)
    answer = fhir("PATCH", "Patient/ana", patch, content_type=JSON_PATCH)
    assert (answer.status, *answer.issue) == (status, code, at), answer.body
    assert fhir("GET", "Patient/ana").body["meta"]["versionId"] == "1"


def test_a_patch_is_worked_out_before_the_writer_is_asked_and_again_if_somebody_was_sooner(tmp_path: Path) -> None:
    threads: list[str] = []

    def check(document: Any, raw: bytes) -> tuple[Issue, ...]:
        threads.append(threading.current_thread().name)
        if len(threads) == 1:
            other("PUT", "Patient/ana", ANA | {"active": True})
        return validate(document, raw)

    with store("sqlite", tmp_path) as repository:
        other = Client(repository)
        other.put(ANA)
        add = [{"op": "add", "path": "/gender", "value": "female"}]
        answer = Client(repository, check=check)("PATCH", "Patient/ana", add, content_type=JSON_PATCH)
    assert threads == ["MainThread", "record writer"]
    assert [answer.body[name] for name in ("active", "gender")] == [True, "female"]  # neither was lost


# --- criteria ---------------------------------------------------------------------------------------------------------


def test_criteria_cannot_begin_behind_a_match(fhir: Client) -> None:
    """A cursor would leave one of several: that one would be deleted as if it were the only one."""
    fhir.put(ANA, ANA | {"id": "ben"})
    (following,) = (
        link["url"]
        for link in fhir("GET", "Patient?birthdate=1985&_count=1").body["link"]
        if link["relation"] == "next"
    )
    answer = fhir("DELETE", f"Patient?{following.partition('?')[2]}")
    assert (answer.status, *answer.issue) == (412, "multiple-matches", "Patient")
    assert len(fhir.found("Patient")) == 2


# --- Bundles ----------------------------------------------------------------------------------------------------------


class Late(Clock):
    """A clock on which a second goes by with every look."""

    def __call__(self) -> int:
        self.ms += 1000
        return self.ms


def test_of_a_batch_nothing_more_is_begun_when_its_time_is_over(tmp_path: Path) -> None:
    with store("memory", tmp_path) as repository:
        fhir = Client(repository, clock=Late(), seconds=2)
        batch = transaction(*[entry("PUT", f"Patient/p{i}", ANA | {"id": f"p{i}"}) for i in range(4)])
        answer = fhir("POST", "", batch | {"type": "batch"})
        assert [e["response"]["status"] for e in answer.body["entry"]] == ["201", "201", "503", "503"]
        assert answer.body["entry"][3]["response"]["outcome"]["issue"][0]["code"] == "timeout"
        assert fhir.found("Patient") == ["Patient/p0", "Patient/p1"]


@pytest.mark.parametrize("seconds", range(1, 14))
def test_a_transaction_that_takes_too_long_is_undone(tmp_path: Path, seconds: int) -> None:
    """Wherever it is then, the writer is free again, and nothing of it is stored."""
    with store("sqlite", tmp_path) as repository:
        fhir = Client(repository, clock=Late(), seconds=seconds)
        writes = [entry("PUT", f"Patient/p{i}", ANA | {"id": f"p{i}"}) for i in range(2)]
        answer = fhir("POST", "", transaction(*writes, entry("GET", "Patient/p0")))
        assert (answer.status, answer.issue[0]) == (503, "timeout")
        assert fhir.found("Patient") == []
        done = Client(repository, clock=Late(), seconds=60)("POST", "", transaction(*writes))
        assert done.status == 200


def test_conditions_on_a_bundle_are_not_those_of_its_entries(fhir: Client) -> None:
    fhir.put(ANA)
    batch = transaction(entry("POST", "Patient", ANA), entry("GET", "Patient/ana"), entry("PUT", "Patient/ana", ANA))
    for kind in ("batch", "transaction"):
        answer = fhir(
            "POST", "", batch | {"type": kind}, if_none_exist="_id=ana", if_none_match='W/"1"', if_match='W/"9"'
        )
        assert [e["response"]["status"] for e in answer.body["entry"]] == ["201", "200", "200"]


def test_lines_do_not_stand_in_a_bundle(tmp_path: Path) -> None:
    """They would not be JSON any more, or worse, would be."""

    def lines(_: Call, __: object) -> Reply:
        return Reply(200, ((b"content-type", b"application/fhir+ndjson"),), b'{"a":1}}\n{"b":2}\n')

    with store("memory", tmp_path) as repository:
        fhir = Client(repository, operations={("system", "$lines"): Operation(lines, ("GET",))})
        ask = transaction(entry("GET", "$lines"))
        answer = fhir("POST", "", ask | {"type": "batch"})
        assert answer.body["entry"][0]["response"]["status"] == "406"
        answer = fhir("POST", "", ask)
        assert (answer.status, *answer.issue) == (406, "not-supported", "Bundle.entry[0].request.url")


# --- on the wire ------------------------------------------------------------------------------------------------------


def test_a_host_that_comes_twice_is_refused_and_other_headers_are_put_together(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        twice = running.raw(
            b"GET /fhir/Patient HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        assert twice.startswith(b"HTTP/1.1 400 ")
        prefer = [("prefer", "handling=lenient"), ("prefer", "return=minimal")]
        assert running.client.get("/fhir/Patient?colour=red", headers=prefer).status_code == 200


def test_a_head_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = b"GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nX: "
    monkeypatch.setattr(adjunct.serve.running, "HEAD_BYTES", 4096)
    with server(tmp_path) as running:
        assert running.raw(start + b"x" * 5000).startswith(b"HTTP/1.1 431 ")
        assert running.raw(start + b"x" * 1000 + b"\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    monkeypatch.setattr(adjunct.serve.running, "HEAD_S", 0.05)
    with server(tmp_path) as running:
        assert running.raw(b"") == running.raw(start) == b""  # neither silence nor half a head is waited for
        assert running.client.get("/fhir/Patient").status_code == 200


def test_of_large_bodies_only_a_few_are_worked_on_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: Queue[int] = Queue()
    go_on = threading.Semaphore(0)

    def slow(request: Request, _: object) -> Reply:
        begun.put(len(request.body))
        go_on.acquire()
        return Reply(200, ((b"content-type", b"application/fhir+json"),), b"{}")

    monkeypatch.setattr(adjunct.serve.app, "handle", slow)
    monkeypatch.setattr(adjunct.serve.app, "LARGE", 2000)
    monkeypatch.setattr(adjunct.serve.app, "LARGE_AT_ONCE", 1)
    with server(tmp_path) as running:

        def send(size: int) -> threading.Thread:
            def post() -> None:
                httpx.post(f"{running.address}/fhir", content=b"x" * size, headers=FHIR)

            thread = threading.Thread(target=post)
            thread.start()
            return thread

        first = send(3000)
        assert begun.get() == 3000
        second = send(3001)
        small = send(100)
        assert begun.get() == 100
        assert begun.empty()
        for _ in range(3):
            go_on.release()
        assert begun.get() == 3001
        for thread in (first, second, small):
            thread.join()


def test_a_refused_large_body_gives_its_place_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adjunct.serve.app, "LARGE", 2000)
    monkeypatch.setattr(adjunct.serve.app, "LARGE_AT_ONCE", 1)
    with server(tmp_path, request_seconds=5) as running:
        for size, kind, status in ((3000, "text/plain", 415), (5000, "application/fhir+json", 413)):
            chunks = (b"x" * 1000 for _ in range(size // 1000))
            sent = running.client.post("/fhir", content=chunks, headers={"content-type": kind})
            assert (sent.status_code, issue(sent)["severity"]) == (status, "error")
        long = PATIENT | {"name": [{"family": "x" * 3000}]}
        assert running.client.post("/fhir/Patient", json=long, headers=FHIR).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PUT", "Patient/a!b", 400), ("PUT", "Patient/_x", 404), ("PUT", "Patient?name=nobody", 201)],
)
def test_an_odd_address_is_no_fault_of_the_server(tmp_path: Path, method: str, path: str, status: int) -> None:
    with server(tmp_path) as running:
        assert running.client.request(method, f"/fhir/{path}", json=PATIENT, headers=FHIR).status_code == status


def test_a_fault_does_not_use_up_the_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Call) -> Any:
        raise LookupError

    with server(tmp_path, threads=1, waiting=1) as running:
        with monkeypatch.context() as patched:
            patched.setitem(adjunct.fhir.rest._PREPARED, ("POST", "T"), broken)
            for _ in range(3):
                assert running.client.post("/fhir/Patient", json=PATIENT, headers=FHIR).status_code == 500
        assert running.client.post("/fhir/Patient", json=PATIENT, headers=FHIR).status_code == 201


# --- files ------------------------------------------------------------------------------------------------------------


def test_an_export_in_which_nothing_is_found_can_be_cancelled(fhir: Client, tmp_path: Path) -> None:
    fhir.put(ANA)
    delete(fhir.service.repository, "Patient", "ana")
    fhir.put(ANA | {"id": "ben"})
    heard: list[str] = []

    def progress(kind: str, _: int) -> None:
        heard.append(kind)
        if kind == "deleted":
            raise Cancelled

    nobody = Wanted(types=("Patient",), people=frozenset({"nobody"}), since=0)
    with pytest.raises(Cancelled):
        export(fhir.service.repository, nobody, tmp_path, now=NOW, progress=progress)
    assert heard == ["Patient", "deleted"]


def test_a_file_of_an_export_ends_when_it_is_large(
    fhir: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fhir.put(*({"resourceType": "Basic", "id": f"b{i}", "code": {"text": "x" * 500}} for i in range(5)))
    monkeypatch.setattr(adjunct.fhir.export, "PART_BYTES", 1000)
    done = export(fhir.service.repository, Wanted(types=("Basic",)), tmp_path, now=NOW, progress=lambda *_: None)
    assert [(part.name, part.count) for part in done.output] == [
        ("Basic.1.ndjson", 2), ("Basic.2.ndjson", 2), ("Basic.3.ndjson", 1),
    ]  # fmt: skip
    for part in done.output:
        assert len((tmp_path / part.name).read_bytes().splitlines()) == part.count


@pytest.mark.parametrize("name", ["bomb.json.gz", "bomb.ndjson.gz"])
def test_a_file_that_unpacks_without_end_is_refused_in_pieces(
    fhir: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    longest: list[int] = []

    def read(raw: bytes) -> Any:
        longest.append(len(raw))
        return None

    monkeypatch.setattr(adjunct.fhir.load, "MAX_BYTES", 10_000)
    monkeypatch.setattr(adjunct.fhir.load, "read_exact", read)
    (tmp_path / name).write_bytes(gzip.compress(b" [" * 500_000))
    done = load_file(fhir.service, tmp_path / name, progress=lambda _: None)
    assert done.stored == 0
    assert 10_000 < max(longest) <= 2 * 10_001
