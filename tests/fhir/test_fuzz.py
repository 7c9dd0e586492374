"""Whatever is asked and whatever is sent: an answer or a reason, and never a fault of the server."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import quote, unquote

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import positive_data_acceptance

from adjunct.fhir import definitions
from adjunct.fhir.rest import Request, Rules, Service, handle
from adjunct.serve import logs
from adjunct.serve.app import create_app
from adjunct.serve.metrics import Metrics
from adjunct.serve.running import serving
from adjunct.serve.settings import Settings, load
from served import awaited
from stores import Clock, store

THOROUGH = settings.get_current_profile_name() == "thorough"
SECRET = "Zaphod"
BASE = "http://127.0.0.1:8000/fhir"
USED = ("Patient", "Observation", "Questionnaire", "MedicationStatement", "Binary", "Bundle", "ValueSet")
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


# --- by its own description -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = f"sqlite:///{tmp_path_factory.mktemp('record') / 'record.db'}"
    given = {"port": 0, "database": database, "log_level": "error"}
    with serving(load(given, {}), clock=Clock(), stream=io.BytesIO()) as place:
        yield place


@cache
def described(address: str) -> list[Any]:
    """The operations of the OpenAPI description: of some types, or of all in the thorough profile."""
    raw = httpx.get(f"{address}/openapi.json").json()
    for path in list(raw["paths"]):
        kind = path.removeprefix("/fhir").strip("/").partition("/")[0]
        if not THOROUGH and kind[:1].isupper() and kind not in USED:
            del raw["paths"][path]
    return [found.ok() for found in schemathesis.openapi.from_dict(raw).get_all_operations()]


@settings(SHARED, max_examples=500 if THOROUGH else 40)
@given(data=st.data())
def test_what_is_described_is_what_is_answered(address: str, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(described(address)))
    case = data.draw(operation.as_strategy(generation_mode=data.draw(st.sampled_from(list(GenerationMode)))))
    case.call_and_validate(base_url=address, excluded_checks=[positive_data_acceptance])  # FHIR asks more than OpenAPI


# --- searches ---------------------------------------------------------------------------------------------------------

PATIENT = {
    "resourceType": "Patient",
    "id": "ana",
    "name": [{"family": "Silva"}],
    "birthDate": "1985-03",
    "identifier": [{"system": "http://example.org", "value": "7", "type": {"coding": [{"code": "MR"}]}}],
}
PULSE = {
    "resourceType": "Observation",
    "id": "pulse",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}], "text": "pulse"},
    "subject": {"reference": "Patient/ana"},
    "effectiveDateTime": "2026-11-09",
    "valueQuantity": {"value": 72, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
    "component": [{"code": {"coding": [{"code": "c"}]}, "valueQuantity": {"value": 1e300, "unit": "kg"}}],
}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Service]]:
    """The same small record in two stores, of which one is plain to see through."""
    folder = tmp_path_factory.mktemp("records")
    with store("memory", folder) as memory, store("sqlite", folder) as database:
        made = [Service(repository, Rules(base=BASE, clock=Clock())) for repository in (memory, database)]
        for service in made:
            for resource in (PATIENT, PULSE):
                path = f"{resource['resourceType']}/{resource['id']}"
                assert handle(Request("PUT", path, body=orjson.dumps(resource)), service).status == 201
        yield made


ODD = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=4)
VALUES = {
    "token": "8867-4 http://loinc.org|8867-4 |final final http://loinc.org| true male 7 MR|7 a|MR|7",
    "string": "Silva sil sIL\u0301VA % _ \\ \\, \\$ \\|",
    "date": "2026 2026-11 2026-11-09T10:00:00Z 0000 0001 9999-12-31 9999 2026-02-30 2026-11-09T10:00+14:00 T",
    "number": "72 5.4 .5 -0 1e308 1e999 1e-400 99999999999999999999999 0x1 NaN Infinity 1_0",
    "quantity": "72 72||/min 72|http://unitsofmeasure.org|/min 1e308|http://unitsofmeasure.org|kg 5| |kg "
    "5|http://unitsofmeasure.org|[degF] 5|http://unitsofmeasure.org|m5",
    "uri": "http://loinc.org http://loinc.org/ urn:uuid:1 urn: /",
    "reference": "ana Patient/ana http://127.0.0.1:8000/fhir/Patient/ana Patient/ana/_history/1 Group/x #c ../ana",
    "composite": "8867-4$72 8867-4$gt5 $ $$ a$b$c http://loinc.org|8867-4$72||/min",
}
WORDS = st.sampled_from(" ".join(VALUES.values()).split())
PREFIX = st.sampled_from(["", "", "", "eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap", "-", ",", "a,"])
VALUE = st.builds("".join, st.lists(WORDS | ODD | st.sampled_from(list(",|$\\:-.*")), min_size=1, max_size=4))
MODIFIERS = (
    *[""] * 12,
    *":missing :exact :contains :not :text :in :not-in :above :below :of-type :identifier :Patient".split(),
    *":Patient.name .name .code:text :nonsense : . ::".split(),
)
HOW = {
    "_count": "0 1 2 1000000 -1 x",
    "_summary": "true text data count false x",
    "_elements": "id,status name resourceType nothing ,",
    "_sort": "_id -_lastUpdated code,-date name value-quantity -subject nothing _id,_id",
    "_total": "none estimate accurate x",
    "_type": "Patient Patient,Observation Nothing ,",
    "_cursor": "x AAAA",
    "_format": "json xml application/fhir+json",
    "_include": "Observation:subject Observation:* * Observation:subject:Patient Observation:subject:X Patient:name",
    "_revinclude": "Observation:subject Observation:subject:Patient *",
    "_include:iterate": "Observation:subject *",
    "_has:Observation:subject:code": "8867-4 http://loinc.org|8867-4",
    "_has:Observation:patient:_has:X:y:z": "1",
    "subject:Patient.name": "Silva",
    "subject.name:exact": "Silva",
    "patient.organization.name": "x",
    "_content": "x",
}
#: Their values are names.
NAMING = frozenset({"_sort", "_include", "_revinclude", "_include:iterate", "_elements", "_type"})


@st.composite
def query(draw: st.DrawFn, kind: str) -> list[tuple[str, str]]:
    """Parameters as a client might write them: of a type or not, with a value that fits or not."""

    def one() -> tuple[str, str]:
        known = definitions.parameters(kind or "Resource")
        match draw(st.sampled_from(["fitting"] * 4 + ["how"] * 2 + ["anything"])):
            case "how":
                key = draw(st.sampled_from(sorted(HOW)))
                return key, draw(st.sampled_from(HOW[key].split()) | VALUE)
            case "fitting" if known:
                key = draw(st.sampled_from(sorted(known)))
                fitting = st.sampled_from(VALUES.get(known[key].type, "x").split())
                text = draw(st.builds("{}{}".format, PREFIX, fitting) | fitting | VALUE)
                return key + draw(st.sampled_from(MODIFIERS)), text
        return draw(ODD | st.sampled_from(sorted(known) or ["_id"])) + draw(st.sampled_from(MODIFIERS)), draw(VALUE)

    return [one() for _ in range(draw(st.integers(1, 3)))]


def reasoned(status: int, body: bytes) -> None:
    """An OperationOutcome that says why, for whatever is not done."""
    if status >= 400:
        said = orjson.loads(body)
        assert said["resourceType"] == "OperationOutcome"
        assert said["issue"]
        assert all(issue["diagnostics"] and issue["code"] for issue in said["issue"])


@SHARED
@given(data=st.data())
def test_a_search_is_answered_or_refused_with_a_reason(services: list[Service], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["Observation", "Patient", "MedicationStatement", "Bundle", ""]))
    place = data.draw(
        st.sampled_from([kind] * 3 + [f"{kind}/_history", "Patient/ana/Observation", "Patient/ana/$everything"])
    )
    asked = data.draw(query(kind))
    handling = {"prefer": data.draw(st.sampled_from(["handling=strict", "handling=lenient"]))}
    replies = [handle(Request("GET", place.strip("/"), tuple(asked), handling), service) for service in services]
    for reply in replies:
        assert reply.status in (200, 400, 406)
        reasoned(reply.status, reply.body)
    assert len({reply.status for reply in replies}) == 1


@SHARED
@given(data=st.data())
def test_a_refusal_never_repeats_what_was_searched_for(services: list[Service], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["Observation", "Patient"]))
    asked = [(key, value if key in NAMING else SECRET + value) for key, value in data.draw(query(kind))]
    reply = handle(Request("GET", kind, tuple(asked)), services[0])
    assert reply.status == 200 or SECRET not in reply.body.decode()


# --- bodies -----------------------------------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | ODD | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(ODD | st.sampled_from(sorted(PULSE)), inner, max_size=3)
    ),
    max_leaves=8,
)
SAID = {
    "if-match": ('W/"1"', "1", "*", 'W/"99999999999999999999"'),
    "if-none-match": ('W/"1"', "*"),
    "if-none-exist": ("identifier=7", "name=", "&", "colour=red"),
    "if-modified-since": ("Sun, 22 Nov 2026 09:00:00 GMT", "yesterday"),
    "prefer": ("return=minimal", "return=OperationOutcome", "handling=lenient", ";;="),
    "content-type": ("application/json-patch+json", "application/json", "application/x-www-form-urlencoded", ""),
}
HEADER = st.sampled_from(sorted(SAID)).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from(SAID[name]) | VALUE)
)
HEADERS = st.lists(HEADER, max_size=2).map(dict)


@st.composite
def changed(draw: st.DrawFn, whole: Any) -> Any:
    """A document in which one part is something else."""
    copy = orjson.loads(orjson.dumps(whole))
    node = copy
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return copy
        key = draw(st.sampled_from(keys))
        if isinstance(node[key], dict | list) and draw(st.booleans()):
            node = node[key]
        else:
            node[key] = draw(ANYTHING)
            return copy


def entry(method: str, url: str, resource: Any = None) -> dict[str, Any]:
    return {"fullUrl": "urn:uuid:1", "resource": resource, "request": {"method": method, "url": url}}


def sent(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


NEW = entry("POST", "Patient", {key: value for key, value in PATIENT.items() if key != "id"})
FIND = entry("PUT", "Patient?identifier=http://example.org|7", PATIENT)
LOOK = {"request": {"method": "GET", "url": "Observation?subject=ana&_include=*"}}
CHANGE = {"request": {"method": "DELETE", "url": "Basic?code=x"}}
MEANT = {key: value for key, value in PULSE.items() if key != "id"} | {"subject": {"reference": "urn:uuid:1"}}
STEPS = [
    {"op": "add", "path": "/note", "value": [{"text": "x"}]},
    {"op": "move", "from": "/note", "path": "/note"},
    {"op": "test", "path": "/status", "value": "final"},
    {"op": "copy", "from": "/code/text", "path": "/code/text"},
]
PARAMETERS = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": PULSE}]}
#: What is asked, and a body that is right for it.
WRITES = {
    "POST Observation": PULSE,
    "PUT Observation/pulse": PULSE,
    "PUT Observation": PULSE,
    "PATCH Observation/pulse": STEPS,
    "PATCH Patient/ana": {"active": True, "photo": None, "name": [{"family": "S"}]},
    "POST Observation/$validate": PULSE,
    "POST Patient/$validate": PARAMETERS,
    "POST": sent("batch", NEW, FIND, LOOK, CHANGE),
    "POST ": sent("transaction", NEW, LOOK, CHANGE, entry("POST", "Observation", MEANT) | {"fullUrl": "urn:uuid:2"}),
    "POST Bundle": sent("collection", NEW),
    "DELETE Observation/none": None,
}


def bodies(right: Any) -> st.SearchStrategy[bytes]:
    anything = st.binary(max_size=40) | ANYTHING.map(orjson.dumps)
    if right is None:
        return anything
    return (st.just(right) | changed(right) | changed(right)).map(orjson.dumps) | anything


REFUSED = (400, 404, 405, 406, 409, 410, 412, 415, 422)


@SHARED
@given(data=st.data(), where=st.sampled_from(list(WRITES)), headers=HEADERS)
def test_a_body_is_taken_or_refused_with_a_reason(
    services: list[Service], data: st.DataObject, where: str, headers: dict[str, str]
) -> None:
    method, _, path = where.partition(" ")
    kind = "application/fhir+json"
    if method == "PATCH":
        kind = "application/json-patch+json" if WRITES[where] is STEPS else "application/merge-patch+json"
    asked = Request(method, path, (), {"content-type": kind, **headers}, data.draw(bodies(WRITES[where])))
    replies = [handle(asked, service) for service in services]
    for reply in replies:
        assert reply.status in (200, 201, 204, *REFUSED), reply.body
        reasoned(reply.status, reply.body)
    assert len({reply.status for reply in replies}) == 1


# --- addresses and headers, as they come off the wire -----------------------------------------------------------------


async def asked(
    app: Any, method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, bytes]:
    """One request through the whole application, as the HTTP server hands it over."""
    path, _, query = target.partition("?")
    scope = {"type": "http", "method": method, "headers": headers, "asgi": {"version": "3.0"}, "http_version": "1.1"}
    scope |= {"path": unquote(path), "query_string": query.encode()}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


SEGMENTS = st.sampled_from(
    "Patient ana _history 1 0 99999999999999999999 $everything $validate _search metadata Observation * .. . %2e%2e "
    "%2F %00 %ff %C3%A9 %C2%B2 %ED%A0%80 patient Pati%C3%ABnt $ _ ~".split()
) | ODD.map(lambda text: quote(text, safe=""))
MARKS = st.sampled_from(["?", "&", "=", ";", "%", "%ff", "%00", "+", "name", "_id", "_format", "xml", "json"])
TARGETS = st.builds(
    "/fhir{}{}{}".format,
    st.lists(SEGMENTS, min_size=1, max_size=6).map(lambda parts: "".join(f"/{part}" for part in parts)),
    st.sampled_from(["", "/", "?"]),
    st.lists(MARKS | SEGMENTS, max_size=5).map("".join),
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "PROPFIND"])
NAMES = st.sampled_from("accept content-type content-length if-match prefer origin accept-encoding x".split())
BYTES = st.binary(max_size=12).filter(lambda value: not set(b"\0\r\n") & set(value))
WIRE = st.lists(
    st.tuples(NAMES.map(str.encode), BYTES | st.sampled_from([b"*/*;q=0", b"gzip;q=0.0", b"-1", b"9" * 30])), max_size=3
)


@pytest.fixture(scope="module")
def served(services: list[Service]) -> tuple[Any, io.BytesIO]:
    """The application, and what it writes down."""
    log = io.BytesIO()
    return create_app(services[0], Settings(threads=1), logs.logger("info", log, lambda: ""), Metrics()), log


@SHARED
@given(method=METHODS, target=TARGETS, headers=WIRE, body=st.just(b"") | bodies(PULSE))
def test_an_address_is_answered_and_the_log_tells_nothing(
    served: tuple[Any, io.BytesIO], method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    app, log = served
    known = [(b"host", b"localhost"), (b"content-type", b"application/fhir+json"), *headers]
    status, sent = awaited(asked(app, method, f"{target}{SECRET}", known, body))
    assert status < 500, (sent, log.getvalue().splitlines()[-1])
    if method != "HEAD":
        reasoned(status, sent)
    assert SECRET.encode() not in log.getvalue()


JSON = b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/fhir+json\r\n"
END = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /fhir/Patient?name=\xff" + END, 400),
        (b"GET /fhir/Patient?name=%ff" + END, 400),
        (b"GET /fhir/Patient/%00" + END, 400),
        (b"GET /fhir/%ff/%fe" + END, 404),
        (b"GET /fhir/../metrics" + END, 404),
        (b"GET /fhir/Patient/a/_history/%C2%B2" + END, 404),
        (b"GET /fhir/" + b"a/" * 20_000 + END, 404),
        (b"GET /fhir/Patient?" + b"_id=1&" * 2000 + END, 400),
        (b"GET /fhir/Patient HTTP/1.1\r\nConnection: close\r\n\r\n", 403),
        (JSON + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400),
        (JSON + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (JSON + b"Content-Length: -1\r\n\r\n{}", 400),
        (JSON + b"Content-Length: 100000\r\n\r\n" + b"[" * 100_000, 400),
        (JSON + b"Content-Length: 39\r\n\r\n" + b'{"resourceType":"Patient","x":1e999999}', 400),
        (JSON + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", 415),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    ],
)
def test_what_no_library_would_send_is_refused(address: str, sent: bytes, status: int) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as wire:
        wire.sendall(sent)
        found = b"".join(iter(lambda: wire.recv(65536), b""))
    assert found.split()[:2] == [b"HTTP/1.1", str(status).encode()]
