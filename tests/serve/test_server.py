"""A real server on a real socket: what it answers, what it refuses, what it writes down, how it stops."""

from __future__ import annotations

import gzip
import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest

import adjunct.serve.app
from adjunct.base import BadInput
from adjunct.fhir.repository import Unavailable
from adjunct.fhir.rest import Reply, Request
from adjunct.serve.running import run, serving
from adjunct.serve.settings import Settings, load

NOW = 1_795_000_000_000
FHIR = {"content-type": "application/fhir+json"}
BODY_LIMIT = 4096
SECRET = "Zaphodsecret"
PATIENT = {"resourceType": "Patient", "name": [{"family": SECRET}]}


class Running:
    def __init__(self, address: str, log: io.BytesIO) -> None:
        self.address, self._log = address, log
        self.client = httpx.Client(base_url=address, headers={"accept-encoding": "identity"})

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.getvalue().splitlines()]

    def raw(self, sent: bytes, *, then: bytes = b"") -> bytes:
        """What comes back to bytes that no client library would send."""
        host, port = self.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as wire:
            wire.sendall(sent)
            wire.sendall(then)
            found = b""
            while part := wire.recv(65536):
                found += part
            return found


@contextmanager
def server(folder: Path, **given: Any) -> Iterator[Running]:
    given = {"port": 0, "database": f"sqlite:///{folder / 'record.db'}", "body_bytes": BODY_LIMIT} | given
    log = io.BytesIO()
    with serving(load(given, {}), clock=lambda: NOW, stream=log) as address:
        running = Running(address, log)
        yield running
        running.client.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with server(tmp_path_factory.mktemp("record")) as found:
        yield found


def issue(reply: httpx.Response) -> dict[str, Any]:
    body = reply.json()
    assert body["resourceType"] == "OperationOutcome"
    found: dict[str, Any] = body["issue"][0]
    return found


# --- answers ----------------------------------------------------------------------------------------------------------


def test_what_is_created_is_read_again_under_its_address(running: Running) -> None:
    made = running.client.post("/fhir/Patient", json=PATIENT, headers=FHIR)
    assert made.status_code == 201
    assert made.headers["location"].startswith(f"{running.address}/fhir/Patient/")
    again = running.client.get(made.headers["location"].partition("/_history")[0])
    assert again.content == made.content
    assert again.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert again.headers["cache-control"] == "no-store"
    assert "server" not in again.headers
    same = running.client.get(again.url, headers={"if-none-match": again.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert "content-length" not in same.headers


def test_head_is_get_without_the_body(running: Running) -> None:
    got, head = running.client.get("/fhir/metadata"), running.client.head("/fhir/metadata")
    assert head.content == b""
    assert head.headers["content-length"] == str(len(got.content))


def test_the_base_takes_a_bundle_with_and_without_a_slash(running: Running) -> None:
    for base in ("/fhir", "/fhir/"):
        done = running.client.post(base, json={"resourceType": "Bundle", "type": "batch"}, headers=FHIR)
        assert (done.status_code, done.json()["type"]) == (200, "batch-response")


def test_options_names_the_methods(running: Running) -> None:
    done = running.client.options("/fhir/Patient")
    assert (done.status_code, done.headers["allow"]) == (204, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
    assert not [name for name in done.headers if name.startswith("access-control")]


def test_a_long_answer_is_compressed_for_who_asks_for_it(running: Running) -> None:
    plain = running.client.get("/fhir/metadata")
    packed = running.client.get("/fhir/metadata", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert packed.content == plain.content
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
    small = running.client.get("/fhir/Patient/nobody", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in small.headers


@pytest.mark.parametrize(("path", "said"), [("/healthz", "up"), ("/readyz", "ready")])
def test_it_says_how_it_is(running: Running, path: str, said: str) -> None:
    assert running.client.get(path).json() == {"status": said}


def test_it_is_not_ready_while_the_record_is_away(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object) -> None:
        raise Unavailable("the database cannot be reached")

    monkeypatch.setattr("adjunct.fhir.sql.store.SqlRepository.reading", away)
    assert running.client.get("/readyz").status_code == 503
    assert running.client.get("/healthz").status_code == 200
    reply = running.client.get("/fhir/Patient/1")
    assert (reply.status_code, issue(reply)["code"]) == (503, "transient")
    assert int(reply.headers["retry-after"]) > 0


def test_the_served_interactions_are_described(running: Running) -> None:
    told = running.client.get("/openapi.json").json()
    search = told["paths"]["/fhir/Observation"]["get"]
    assert {"$ref": "#/components/parameters/code-value-quantity"} in search["parameters"]
    assert set(told["paths"]["/fhir/Patient/{id}"]) == {"get", "put", "patch", "delete"}
    assert set(told["paths"]["/fhir"]) == {"get", "post"}
    capabilities = running.client.get("/fhir/metadata").json()["rest"][0]
    for kind, name in [("", o["name"]) for o in capabilities["operation"]] + [
        (resource["type"], o["name"]) for resource in capabilities["resource"] for o in resource.get("operation", ())
    ]:
        assert any(path.startswith(f"/fhir/{kind}") and path.endswith(f"/${name}") for path in told["paths"]), name
    assert set(told["paths"]["/fhir/Patient/{id}/$assess"]) == {"post"}
    assert set(told["paths"]["/fhir/Patient/{id}/$validate"]) == {"get", "post"}

    def refer(value: Any) -> Iterator[str]:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if key == "$ref":
                yield inner
            elif isinstance(inner, dict | list):
                yield from refer(inner)

    for reference in set(refer(told)):
        _, _, kind, name = reference.split("/")
        assert name in told["components"][kind]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code", "where"),
    [
        ("POST", "/fhir/Patient", {"content-type": "text/plain"}, b"{}", 415, "not-supported", "Content-Type"),
        ("GET", "/fhir/Patient?_format=xml", {}, b"", 406, "not-supported", "_format"),
        ("GET", "/fhir/Patient?name=%FF", {}, b"", 400, "invalid", "query"),
        ("GET", "/fhir/Patient/a%00b", {}, b"", 400, "invalid", "url"),
        ("TRACE", "/fhir/Patient", {}, b"", 405, "not-supported", "method"),
        ("POST", "/fhir/Patient", FHIR, b"x" * (BODY_LIMIT + 1), 413, "too-long", "body"),
        ("GET", "/fhir/Patient", {"host": "evil.example"}, b"", 403, "forbidden", "Host"),
        ("GET", "/healthz", {"host": "evil.example"}, b"", 403, "forbidden", "Host"),
        ("GET", "/metrics", {"origin": "https://evil.example"}, b"", 403, "forbidden", "Origin"),
    ],
)
def test_a_refusal_says_what_and_where(
    running: Running, method: str, path: str, headers: dict[str, str], body: bytes, status: int, code: str, where: str
) -> None:
    reply = running.client.request(method, path, headers=headers, content=body)
    said = issue(reply)
    assert (reply.status_code, said["code"], said["expression"]) == (status, code, [where])


@pytest.mark.parametrize("path", ["/fhir/Nothing", "/fhir/Patient/1/2/3/4", "/fhirs", "/", "/docs"])
def test_what_is_not_there_is_not_found(running: Running, path: str) -> None:
    assert running.client.get(path).status_code == 404


def test_a_long_body_is_refused_before_it_has_come(running: Running) -> None:
    """Told by its length, it is not waited for; in chunks, it is read no further than the limit."""
    start = b"POST /fhir/Patient HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/fhir+json\r\n"
    start += b"Connection: close\r\n"
    declared = running.raw(start + b"Content-Length: 99999999999\r\n\r\n{")
    assert declared.startswith(b"HTTP/1.1 413 ")
    chunk = b"800\r\n" + b" " * 0x800 + b"\r\n"
    chunked = running.raw(start + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3)
    assert chunked.startswith(b"HTTP/1.1 413 ")


def test_a_body_that_stops_coming_is_answered_and_one_that_is_cut_off_is_noted(tmp_path: Path) -> None:
    start = b"POST /fhir/Patient HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/fhir+json\r\n"
    start += b"Content-Length: 100\r\nConnection: close\r\n\r\n{"
    with server(tmp_path, request_seconds=0.05) as running:
        assert running.raw(start).startswith(b"HTTP/1.1 408 ")
    with server(tmp_path) as running:
        host, port = running.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as wire:
            wire.sendall(start)
    assert [line["status"] for line in running.log() if line["event"] == "request"] == [499]


def test_a_request_that_takes_too_long_is_answered_with_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slow(_: Request, __: object) -> Reply:
        go_on.wait()
        return Reply(200)

    monkeypatch.setattr(adjunct.serve.app, "handle", slow)
    with server(tmp_path, request_seconds=0.05, threads=2, waiting=1) as running:
        asked = running.client.get("/fhir/Patient?name=a")
        assert (asked.status_code, issue(asked)["code"]) == (503, "timeout")
        written = running.client.post("/fhir", json={"resourceType": "Bundle"}, headers=FHIR)
        assert written.status_code == 504
        assert "may still be stored" in issue(written)["diagnostics"]
        third = running.client.get("/fhir/Patient?name=b")  # both threads still work, one more may wait, but not begin
        assert issue(third)["code"] == "timeout"
        go_on.set()


def test_beyond_what_may_wait_a_request_is_sent_away_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Barrier(2), threading.Event()

    def slow(_: Request, __: object) -> Reply:
        begun.wait()
        go_on.wait()
        return Reply(200, ((b"content-type", b"application/fhir+json"),), b"{}")

    monkeypatch.setattr(adjunct.serve.app, "handle", slow)
    with server(tmp_path, threads=1, waiting=1) as running:
        statuses: Queue[int] = Queue()

        def ask() -> None:
            statuses.put(httpx.get(f"{running.address}/fhir/Patient?name=a").status_code)

        asking = [threading.Thread(target=ask) for _ in range(4)]
        asking[0].start()
        begun.wait()
        for thread in asking[1:]:
            thread.start()
        assert [statuses.get(), statuses.get()] == [503, 503]  # one waits for the thread, two are sent away
        go_on.set()
        begun.wait()
        assert [statuses.get(), statuses.get()] == [200, 200]
        for thread in asking:
            thread.join()


# --- what is written down ---------------------------------------------------------------------------------------------


def test_a_fault_of_ours_tells_its_place_and_nothing_of_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Request, __: object) -> Reply:
        raise LookupError(SECRET)

    monkeypatch.setattr(adjunct.serve.app, "handle", broken)
    with server(tmp_path) as running:
        reply = running.client.get("/fhir/Patient/1")
        assert (reply.status_code, issue(reply)["code"]) == (500, "exception")
        assert reply.headers["x-request-id"] in issue(reply)["diagnostics"]
        (line,) = (one for one in running.log() if one["event"] == "request")
        assert (line["level"], line["kind"], line["id"]) == ("error", "LookupError", reply.headers["x-request-id"])
        assert line["place"].startswith("test_server.py:")
        assert SECRET not in reply.text + json.dumps(running.log())


def test_neither_log_nor_metrics_hold_anything_of_a_person(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        ask = running.client.request
        ask("PUT", f"/fhir/Patient/{SECRET}", json=PATIENT | {"id": SECRET}, headers=FHIR)
        ask("GET", f"/fhir/Patient/{SECRET}")
        ask("GET", f"/fhir/Patient?name={SECRET}&{SECRET}=1")
        ask("GET", f"/fhir/{SECRET}/1")
        ask("GET", f"/fhir/Patient/1/${SECRET}")
        ask(SECRET.upper(), "/fhir/Patient")
        ask("POST", "/fhir/Patient", content=SECRET.encode(), headers=FHIR)
        ask("GET", "/fhir/Patient/1", headers={"x-request-id": SECRET, "user-agent": SECRET})
        metrics = ask("GET", "/metrics").text
        lines = running.log()
    assert SECRET.lower() not in (json.dumps(lines) + metrics).lower()
    told = [(line["interaction"], line["type"], line["status"]) for line in lines if line["event"] == "request"]
    assert told[:2] == [("update", "Patient", 201), ("read", "Patient", 200)]
    assert 'adjunct_fhir_requests_total{interaction="update",status="201"} 1.0' in metrics
    assert 'adjunct_fhir_request_seconds_count{interaction="read"} 2.0' in metrics
    assert "adjunct_commit_writes_count 1.0" in metrics


def test_the_log_says_no_more_than_it_was_asked_for(tmp_path: Path) -> None:
    with server(tmp_path, log_level="warning") as running:
        assert running.client.get("/fhir/metadata").status_code == 200
    assert running.log() == []


# --- beginning and end ------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_said_before_a_database_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(port=taken.getsockname()[1], database=f"sqlite:///{tmp_path / 'record.db'}")
        with pytest.raises(BadInput, match=r"in use.*--port"):
            run(settings, clock=lambda: NOW, stream=io.BytesIO(), ready=lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_cannot_be_opened_is_said_and_the_port_is_free_again(tmp_path: Path) -> None:
    (tmp_path / "record.db").write_text("not a database", encoding="utf-8")
    settings = Settings(port=0, database=f"sqlite:///{tmp_path / 'record.db'}")
    with pytest.raises(BadInput, match="not an SQLite database"):
        run(settings, clock=lambda: NOW, stream=io.BytesIO(), ready=lambda _: None)


def test_what_was_answered_is_there_after_a_stop(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        place = running.client.post("/fhir/Patient", json=PATIENT, headers=FHIR).headers["location"]
    assert [path.name for path in tmp_path.iterdir()] == ["record.db"]  # closed: nothing is left in a journal
    with server(tmp_path) as running:
        assert running.client.get("/fhir/" + place.partition("/fhir/")[2]).json()["name"] == PATIENT["name"]


def test_gzip_of_the_server_is_what_everybody_can_unpack(running: Running) -> None:
    found = running.raw(
        b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    )
    assert json.loads(gzip.decompress(found.partition(b"\r\n\r\n")[2]))["resourceType"] == "CapabilityStatement"
