"""The REST interface over every store: what is answered, and what is refused with which status, code and place."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from adjunct.fhir import definitions
from adjunct.fhir.repository import Repository
from adjunct.fhir.rest import Reply, Request, Rules, Service, handle
from adjunct.fhir.search import pairs
from stores import BACKENDS, Clock, store

BASE = "http://127.0.0.1:8000/fhir"
ANA: dict[str, Any] = {"resourceType": "Patient", "id": "ana", "name": [{"family": "Silva"}], "birthDate": "1985-03"}
PULSE: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    "subject": {"reference": "Patient/ana"},
    "effectiveDateTime": "2026-11-09T10:00:00+01:00",
    "valueQuantity": {"value": 72, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
}


class Client:
    """Speaks to the handlers as a client would speak over HTTP."""

    def __init__(self, repository: Repository, **rules: Any) -> None:
        numbers = itertools.count(1)
        given = {"base": BASE, "clock": Clock(), "new_id": lambda: f"new-{next(numbers)}", **rules}
        self.service = Service(repository, Rules(**given))

    def __call__(self, method: str, address: str, body: Any = None, **headers: str) -> Answer:
        path, _, query = address.partition("?")
        raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = handle(Request(method, path, pairs(query), said, raw), self.service)
        return Answer(reply, orjson.loads(reply.body) if reply.body else None)

    def put(self, *resources: dict[str, Any]) -> None:
        for resource in resources:
            assert self("PUT", f"{resource['resourceType']}/{resource['id']}", resource).status in (200, 201)

    def found(self, address: str, **headers: str) -> list[str]:
        answer = self("GET", address, **headers)
        assert answer.status == 200, answer.body
        return [f"{e['resource']['resourceType']}/{e['resource'].get('id')}" for e in answer.body.get("entry", [])]


class Answer(NamedTuple):
    reply: Reply
    body: Any

    @property
    def status(self) -> int:
        return int(self.reply.status)

    def header(self, name: str) -> str:
        return dict(self.reply.headers).get(name.encode(), b"").decode()

    @property
    def issue(self) -> tuple[str, str]:
        issue = self.body["issue"][0]
        return issue["code"], (issue.get("expression") or [""])[0]


@pytest.fixture(params=BACKENDS)
def fhir(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    with store(request.param, tmp_path) as repository:
        yield Client(repository)


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Client]:
    """Where the backend does not matter."""
    with store("memory", tmp_path) as repository:
        yield Client(repository)


# --- one resource -----------------------------------------------------------------------------------------------------


def test_create_read_update_delete(fhir: Client) -> None:
    made = fhir("POST", "Patient", ANA)
    assert (made.status, made.header("location")) == (201, f"{BASE}/Patient/new-1/_history/1")
    assert made.header("etag") == 'W/"1"'
    assert made.body["id"] == "new-1"
    assert fhir("GET", "Patient/new-1").body == made.body
    changed = fhir("PUT", "Patient/new-1", ANA | {"id": "new-1", "active": True}, if_match='W/"1"')
    assert (changed.status, changed.body["meta"]["versionId"]) == (200, "2")
    assert fhir("GET", "Patient/new-1/_history/1").body == made.body
    assert fhir("DELETE", "Patient/new-1").status == 204
    assert fhir("GET", "Patient/new-1").status == 410
    assert fhir("GET", "Patient/new-1/_history/3").status == 410
    assert fhir("PUT", "Patient/new-1", ANA | {"id": "new-1"}).status == 201
    assert [e["request"]["method"] for e in fhir("GET", "Patient/new-1/_history").body["entry"]] == [
        "PUT", "DELETE", "PUT", "PUT",
    ]  # fmt: skip


def test_the_loser_of_two_writers_is_told(fhir: Client) -> None:
    fhir.put(ANA)
    assert fhir("PUT", "Patient/ana", ANA | {"active": True}, if_match='W/"1"').status == 200
    lost = fhir("PUT", "Patient/ana", ANA | {"active": False}, if_match='W/"1"')
    assert (lost.status, lost.issue) == (412, ("conflict", "If-Match"))
    assert fhir("GET", "Patient/ana").body["active"] is True
    assert fhir("DELETE", "Patient/ana", if_match='W/"1"').status == 412
    assert fhir("DELETE", "Patient/ana", if_match='W/"2"').status == 204


def test_numbers_extensions_order_and_what_is_contained_come_back_as_they_were(fhir: Client) -> None:
    raw = (
        b'{"resourceType":"Observation","id":"x","extension":[{"url":"http://example.org/mine","valueDecimal":1.00}],'
        b'"contained":[{"resourceType":"Patient","id":"p"}],"status":"final","subject":{"reference":"#p"},'
        b'"code":{"text":"z\\u00e4hler"},"valueQuantity":{"value":120.50,"unit":"mg"},'
        b'"referenceRange":[{"low":{"value":1.0E2}},{"high":{"value":-0.0}}]}'
    )
    assert fhir("PUT", "Observation/x", raw).status == 201
    stored = fhir("GET", "Observation/x").reply.body
    head, _, rest = stored.partition(b'"meta":{"versionId":"1","lastUpdated":"2026-11-09T00:00:00.000Z"},')
    assert head + rest == raw.replace(b"\\u00e4", "ä".encode())


def test_conditional_create_update_delete(fhir: Client) -> None:
    named = ANA | {"identifier": [{"system": "urn:mrn", "value": "7"}]}
    criteria = "identifier=urn:mrn|7"
    assert fhir("POST", "Patient", named, if_none_exist=criteria).status == 201
    again = fhir("POST", "Patient", named, if_none_exist=criteria)
    assert (again.status, again.body["id"]) == (200, "new-1")
    updated = fhir("PUT", f"Patient?{criteria}", {k: v for k, v in named.items() if k != "id"} | {"active": True})
    assert (updated.status, updated.body["id"], updated.body["meta"]["versionId"]) == (200, "new-1", "2")
    other = fhir("PUT", "Patient?identifier=urn:mrn|8", {"resourceType": "Patient", "id": "own"})
    assert (other.status, other.body["id"]) == (201, "own")
    patch = [{"op": "add", "path": "/gender", "value": "female"}]
    assert fhir("PATCH", f"Patient?{criteria}", patch, content_type="application/json-patch+json").status == 200
    assert (
        fhir("PATCH", "Patient?identifier=urn:mrn|9", patch, content_type="application/json-patch+json").status == 404
    )
    for method, body in (("PUT", {"resourceType": "Patient"}), ("DELETE", None)):
        assert fhir(method, "Patient?_id=new-1,own", body).issue[0] == "multiple-matches"
        assert fhir(method, "Patient", body).issue[0] == "multiple-matches"
    assert fhir("DELETE", f"Patient?{criteria}").status == 204
    assert fhir.found("Patient") == ["Patient/own"]
    assert fhir("DELETE", f"Patient?{criteria}").status == 204


PATCHES = [
    ([{"op": "replace", "path": "/birthDate", "value": "1986"}], 200, None),
    ([{"op": "test", "path": "/birthDate", "value": "1985-03"}, {"op": "remove", "path": "/birthDate"}], 200, None),
    ([{"op": "test", "path": "/birthDate", "value": "1900"}], 422, ("conflict", "[0]")),
    ([{"op": "remove", "path": "/gender"}], 422, ("not-found", "[0].path")),
    ([{"op": "frob", "path": "/gender"}], 400, ("structure", "[0]")),
    ([{"path": "/gender"}], 400, ("structure", "[0]")),
    ([7], 400, ("structure", "[0]")),
    ({"op": "remove"}, 400, ("structure", "$")),
    ([{"op": "replace", "path": "/id", "value": "ben"}], 422, ("business-rule", "$")),
    ([{"op": "replace", "path": "", "value": 3}], 422, ("structure", "$")),
    ([{"op": "add", "path": "/gender", "value": "zz"}], 422, ("code-invalid", "Patient.gender")),
    ([{"op": "add", "path": "/colour", "value": "red"}], 400, ("structure", "Patient.colour")),
]


@pytest.mark.parametrize(("patch", "status", "issue"), PATCHES)
def test_patch(quick: Client, patch: Any, status: int, issue: tuple[str, str] | None) -> None:
    quick.put(ANA)
    answer = quick("PATCH", "Patient/ana", patch, content_type="application/json-patch+json")
    assert answer.status == status, answer.body
    if issue:
        assert answer.issue == issue
        assert quick("GET", "Patient/ana").body["meta"]["versionId"] == "1"


MERGES: list[tuple[Any, str, int, tuple[str, str] | None]] = [
    ({"active": True, "birthDate": None}, "application/merge-patch+json", 200, None),
    ({"active": True, "birthDate": None}, "application/json", 200, None),  # as fhirpy sends it
    ([{"op": "add", "path": "/active", "value": True}], "application/json", 400, ("structure", "$")),
    ({"active": True}, "application/json-patch+json", 400, ("structure", "$")),
    ({"active": True}, "application/fhir+json", 415, ("not-supported", "Content-Type")),
    ({"id": None}, "application/json", 422, ("business-rule", "$")),
    ({"resourceType": "Parameters"}, "application/json", 422, ("business-rule", "$")),
    ({"gender": "rather"}, "application/json", 422, ("code-invalid", "Patient.gender")),
]


@pytest.mark.parametrize(("patch", "kind", "status", "issue"), MERGES)
def test_merge_patch(quick: Client, patch: Any, kind: str, status: int, issue: tuple[str, str] | None) -> None:
    quick.put(ANA)
    answer = quick("PATCH", "Patient/ana", patch, content_type=kind)
    assert (answer.status, answer.issue if issue else None) == (status, issue)
    now = quick("GET", "Patient/ana").body
    expected = {k: v for k, v in ANA.items() if k != "birthDate"} | {"active": True} if status == 200 else ANA
    assert {key: value for key, value in now.items() if key != "meta"} == expected


def test_criteria_of_a_create_may_stand_in_the_address(quick: Client) -> None:
    quick.put(ANA)
    assert quick("POST", "Patient?name=silva", ANA).status == 200
    assert quick("POST", "Patient?name=nobody&_format=json", ANA).status == 201
    assert quick("POST", "Patient?_format=json", ANA).status == 201
    assert quick("POST", "Patient?colour=red", ANA).issue == ("not-supported", "colour")
    assert quick("POST", "Patient?name=silva", ANA, if_none_exist="name=x").issue == ("invalid", "If-None-Exist")
    assert quick("POST", "Patient", ANA, if_none_exist="&").status == 412
    assert len(quick.found("Patient")) == 3


def test_a_patch_keeps_the_numbers_it_does_not_touch(quick: Client) -> None:
    raw = (
        b'{"resourceType":"Observation","id":"x","status":"final","code":{"text":"a"},"valueQuantity":{"value":120.50}}'
    )
    quick("PUT", "Observation/x", raw)
    patch = b'[{"op":"add","path":"/referenceRange","value":[{"low":{"value":1.0}}]}]'
    answer = quick("PATCH", "Observation/x", patch, content_type="application/json-patch+json")
    assert b'"value":120.50' in answer.reply.body and b'"value":1.0}' in answer.reply.body


def test_a_client_that_holds_the_version_is_sent_nothing(quick: Client) -> None:
    quick.put(ANA)
    assert quick("GET", "Patient/ana", if_none_match='W/"1"').status == 304
    assert quick("GET", "Patient/ana", if_none_match='W/"2"').status == 200
    assert quick("GET", "Patient/ana", if_none_match="1").status == 304  # as fhirpy sends it
    assert quick("GET", "Patient/ana", if_modified_since="Mon, 09 Nov 2026 00:00:00 GMT").status == 304
    assert quick("GET", "Patient/ana", if_modified_since="Sun, 08 Nov 2026 23:59:59 GMT").status == 200
    assert quick("GET", "Patient/ana", if_modified_since="yesterday").status == 200


def test_prefer_says_what_comes_back(quick: Client) -> None:
    assert quick("POST", "Patient", ANA, prefer="return=minimal").reply.body == b""
    told = quick("POST", "Patient", ANA, prefer="return=OperationOutcome").body
    assert told["resourceType"] == "OperationOutcome"


# --- what is refused --------------------------------------------------------------------------------------------------

REFUSED = [
    # method, address, body, status, code, expression
    ("POST", "Patient", b"", 400, "invalid", "Resource"),
    ("POST", "Patient", b"{", 400, "invalid", "Resource"),
    ("POST", "Patient", b'{"resourceType":"Patient","gender":"male","gender":"female"}', 400, "invalid", "Patient"),
    ("POST", "Patient", b"[]", 400, "structure", "$"),
    ("POST", "Patient", {"resourceType": "Observation"}, 400, "invalid", "resourceType"),
    ("POST", "Patient", {"resourceType": "Patient", "birthDate": "1985-13"}, 400, "value", "Patient.birthDate"),
    ("POST", "Patient", {"resourceType": "Patient", "gender": "f"}, 422, "code-invalid", "Patient.gender"),
    ("POST", "Patient", {"resourceType": "Patient", "animal": {}}, 400, "not-supported", "Patient.animal"),
    ("POST", "Observation", {"resourceType": "Observation", "status": "final"}, 400, "required", "Observation.code"),
    ("PUT", "Patient/ana", {"resourceType": "Patient"}, 400, "required", "Patient.id"),
    ("PUT", "Patient/ana", {"resourceType": "Patient", "id": "ben"}, 400, "invalid", "Patient.id"),
    ("PUT", "Patient/ana", {"resourceType": "Patient", "id": 7}, 400, "value", "Patient.id"),
    ("GET", "Patient/a%20b", None, 400, "value", "id"),
    (
        "PUT",
        "Observation?code=x",
        PULSE | {"subject": {"reference": "Patient?name=x"}},
        400,
        "not-supported",
        "Observation.subject.reference",
    ),
    ("GET", "Patient/ana?colour=red", None, 400, "not-supported", "colour"),
    (
        "POST",
        "Observation",
        PULSE | {"subject": {"reference": "Patient?name=x"}},
        400,
        "not-supported",
        "Observation.subject.reference",
    ),
    ("GET", "Patient/nobody", None, 404, "not-found", "id"),
    ("GET", "Patient/nobody/_history", None, 404, "not-found", "id"),
    ("GET", "Patient/ana/_history/x", None, 404, "not-found", "_history"),
    ("GET", "MedicationUsage/1", None, 404, "not-supported", "url"),
    ("GET", "NoSuchType", None, 404, "not-supported", "url"),
    ("GET", "patient", None, 404, "not-supported", "url"),
    ("GET", "Patient/ana/Practitioner", None, 404, "not-supported", "url"),
    ("GET", "Practitioner/x/Observation", None, 200, "", ""),
    ("POST", "Patient/ana", ANA, 405, "not-supported", ""),
    ("DELETE", "metadata", None, 405, "not-supported", ""),
    ("GET", "Patient/ana/$frob", None, 404, "not-supported", "url"),
    ("GET", "Observation/x/$everything", None, 404, "not-supported", "url"),
    ("GET", "Patient?colour=red", None, 400, "not-supported", "colour"),
    ("GET", "Patient?birthdate=soon", None, 400, "invalid", "birthdate"),
    ("GET", "Patient?birthdate=2018-00", None, 400, "invalid", "birthdate"),
    ("GET", "Patient?birthdate=ge2018-01-00", None, 400, "invalid", "birthdate"),
    ("GET", "Observation?value-quantity=5|http://unitsofmeasure.org|frob", None, 400, "value", "value-quantity"),
    ("GET", "Patient?_count=-1", None, 400, "invalid", "_count"),
    ("GET", "Patient?_cursor=abc", None, 400, "invalid", "_cursor"),
    ("GET", "Patient?_sort=colour", None, 400, "not-supported", "_sort"),
    ("GET", "Patient?_include=frob", None, 400, "invalid", "_include"),
    ("GET", "Patient/ana/_history?_since=never", None, 400, "invalid", "_since"),
    ("POST", "", {"resourceType": "Bundle", "type": "collection"}, 400, "value", "Bundle.type"),
    ("POST", "", {"resourceType": "Patient"}, 400, "invalid", "resourceType"),
]


@pytest.mark.parametrize(("method", "address", "body", "status", "code", "at"), REFUSED)
def test_bad_requests(quick: Client, method: str, address: str, body: Any, status: int, code: str, at: str) -> None:
    answer = quick(method, address, body)
    assert answer.status == status, answer.body
    if code:
        assert answer.issue == (code, at), answer.body
        assert answer.body["issue"][0]["diagnostics"]
    assert quick("GET", "_history").body.get("entry", []) == []  # nothing was stored


def test_no_refusal_repeats_a_value(quick: Client) -> None:
    secret = "Dawnbreaker"
    for answer in (
        quick("POST", "Patient", {"resourceType": "Patient", "gender": secret, "birthDate": secret}),
        quick("POST", "Patient", {"resourceType": "Patient", secret: 1}),
        quick("GET", f"Patient?birthdate={secret}"),
        quick("GET", f"Patient/{secret}"),
        quick("PATCH", "Patient/x", [{"op": secret}], content_type="application/json-patch+json"),
    ):
        assert answer.status >= 400
        assert secret not in answer.reply.body.decode().replace(f"Patient.{secret}", "")


# --- searches ---------------------------------------------------------------------------------------------------------


def test_unknown_parameters_are_refused_or_named(quick: Client) -> None:
    quick.put(ANA)
    assert quick("GET", "Patient?colour=red", prefer="handling=strict").status == 400
    answer = quick("GET", "Patient?colour=red", prefer="handling=lenient")
    entries = answer.body["entry"]
    assert [e["search"]["mode"] for e in entries] == ["match", "outcome"]
    assert entries[1]["resource"]["issue"][0]["expression"] == ["colour"]
    assert answer.body["link"][0]["url"] == f"{BASE}/Patient"


def test_pages_neither_skip_nor_repeat_while_others_write(fhir: Client) -> None:
    fhir.put(*(PULSE | {"id": f"o{i:02}", "valueQuantity": PULSE["valueQuantity"] | {"value": i}} for i in range(20)))
    seen, address = [], "Observation?_sort=-value-quantity&_count=3"
    for turn in range(20):
        page = fhir("GET", address).body
        seen += [e["resource"]["id"] for e in page["entry"]]
        fhir.put(PULSE | {"id": f"later{turn}", "valueQuantity": PULSE["valueQuantity"] | {"value": 5 + turn}})
        fhir("DELETE", f"Observation/o{turn:02}")
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not following:
            break
        address = following[0].removeprefix(f"{BASE}/")
    assert seen == [f"o{i:02}" for i in range(19, -1, -1)]


def test_include_and_compartments(fhir: Client) -> None:
    fhir.put(ANA, {"resourceType": "Practitioner", "id": "kim"}, {"resourceType": "Patient", "id": "ben"})
    fhir.put(PULSE | {"id": "o1", "performer": [{"reference": "Practitioner/kim"}]})
    fhir.put(PULSE | {"id": "o2", "subject": {"reference": "Patient/ben"}})
    assert fhir.found("Observation?subject=Patient/ana&_include=Observation:subject") == [
        "Observation/o1",
        "Patient/ana",
    ]
    assert fhir.found("Patient?_id=ben&_revinclude=Observation:subject") == ["Patient/ben", "Observation/o2"]
    assert fhir.found("Patient/ana/Observation") == ["Observation/o1"]
    assert fhir.found("Patient/ana/*") == ["Observation/o1"]
    assert fhir.found("Patient/ana/$everything") == ["Patient/ana", "Observation/o1", "Practitioner/kim"]
    assert fhir.found("Patient/ana/$everything?_type=Observation") == ["Observation/o1"]
    assert fhir.found("Observation?subject.name=silva") == ["Observation/o1"]
    assert fhir.found("Patient?_has:Observation:subject:performer=Practitioner/kim") == ["Patient/ana"]
    assert fhir("GET", "Observation?_summary=count").body["total"] == 2
    assert fhir("GET", "Patient/nobody/$everything").status == 404
    assert fhir("GET", "Patient/ana/$everything?start=2026", prefer="handling=lenient").issue[1] == "start"


def test_search_by_post(quick: Client) -> None:
    quick.put(ANA)
    form = "application/x-www-form-urlencoded"
    assert quick("POST", "Patient/_search", b"name=silva", content_type=form).body["total"] == 1
    assert quick("POST", "Patient/_search?name=silva", b"birthdate=1999", content_type=form).body["total"] == 0
    assert quick("POST", "Patient/_search", b"{}", content_type="application/json").status == 415


def test_what_is_served_is_what_is_said(quick: Client) -> None:
    """Every search parameter of /metadata is understood, for every type."""
    statement = quick("GET", "metadata").body
    assert statement["fhirVersion"] == "4.0.1"
    values = {"token": "x", "reference": "Patient/x", "date": "2026", "string": "x", "number": "1", "quantity": "1"}
    values |= {"uri": "urn:x", "composite": "x$1"}
    for resource in statement["rest"][0]["resource"]:
        for parameter in resource["searchParam"]:
            answer = quick("GET", f"{resource['type']}?{parameter['name']}={values[parameter['type']]}")
            if answer.status != 200:  # understood, and then told what this value should have been
                assert answer.issue[0] in ("invalid", "value"), (resource["type"], parameter)


# --- bundles ----------------------------------------------------------------------------------------------------------


def transaction(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def entry(method: str, url: str, resource: Any = None, full_url: str = "", **request: str) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    return made | ({"resource": resource} if resource else {}) | ({"fullUrl": full_url} if full_url else {})


def test_a_transaction_resolves_what_its_entries_call_each_other(fhir: Client) -> None:
    fhir.put({"resourceType": "Practitioner", "id": "kim", "identifier": [{"value": "k7"}]})
    about = PULSE | {
        "subject": {"reference": "urn:uuid:aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"},
        "performer": [{"reference": "Practitioner?identifier=k7"}],
    }
    answer = fhir(
        "POST",
        "",
        transaction(
            entry("POST", "Observation", about),
            entry("POST", "Patient", {"resourceType": "Patient"}, "urn:uuid:aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"),
            entry("GET", "Observation?performer=Practitioner/kim"),
            entry("DELETE", "Practitioner/nobody"),
        ),
    )
    assert answer.status == 200, answer.body
    assert answer.body["type"] == "transaction-response"
    statuses = [e["response"]["status"] for e in answer.body["entry"]]
    assert statuses == ["201", "201", "200", "204"]
    pulse, patient, searched, _ = answer.body["entry"]
    assert pulse["resource"]["subject"]["reference"] == f"Patient/{patient['resource']['id']}"
    assert pulse["resource"]["performer"] == [{"reference": "Practitioner/kim"}]
    assert searched["resource"]["total"] == 1
    assert fhir.found(f"Observation?patient={patient['resource']['id']}") == [f"Observation/{pulse['resource']['id']}"]


NAMED_IN = {"resourceType": "CarePlan", "id": "in", "status": "active", "intent": "plan"}
NAMED_IN |= {"subject": {"display": "them"}}


def test_what_entries_call_each_other_is_renamed_in_addresses_and_links_too(quick: Client) -> None:
    urn = "urn:uuid:aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{urn}">them</a></div>'
    about = {"resourceType": "Basic", "code": {"text": "x"}, "text": {"status": "generated", "div": div}}
    said = [{"url": "http://example.org/x", f"value{kind}": urn} for kind in ("Uri", "String", "Uuid", "Canonical")]
    said += [{"url": "http://example.org/x", "valueReference": {"reference": urn}}, {"url": urn, "valueString": "x"}]
    about |= {
        "_created": {"extension": said},
        "identifier": [{"value": urn}],
        "extension": said,
        "contained": [{**NAMED_IN, "instantiatesUri": [urn]}],
        "subject": {"reference": "#in"},
    }
    sent = transaction(entry("POST", "Patient", {"resourceType": "Patient"}, urn), entry("POST", "Basic", about))
    patient, basic = (e["resource"] for e in quick("POST", "", sent).body["entry"])
    place = f"Patient/{patient['id']}"
    assert basic["_created"]["extension"] == basic["extension"]
    *values, reference, about_urn = basic["extension"]
    assert [value for each in values for key, value in each.items() if key != "url"] == [place, urn, urn, urn]
    assert reference["valueReference"] == {"reference": place}
    assert about_urn["url"] == urn  # what a thing is called by itself, a text, a UUID and a canonical name nothing here
    assert basic["contained"][0]["instantiatesUri"] == [place]
    assert f'href="{place}"' in basic["text"]["div"]
    assert basic["identifier"][0]["value"] == urn


def test_types_that_are_none_are_not_remembered(quick: Client) -> None:
    """Whoever sends ever new ones must not fill the memory: they are refused, and nothing is looked up for them."""
    before = definitions.by_key.cache_info().currsize
    many = [{"resourceType": f"x{number}", "id": str(number)} for number in range(50)]
    named = {"resourceType": "Patient", "contained": many}
    assert quick("POST", "", transaction(entry("POST", "Patient", named))).status == 400
    assert definitions.by_key.cache_info().currsize < before + len(many)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_two_entries_that_mean_the_same_by_criteria_leave_nothing(fhir: Client, method: str) -> None:
    named = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "7"}]}
    each = (
        [entry("POST", "Patient", dict(named), ifNoneExist=c) for c in ("identifier=urn:mrn|7", "identifier=7")]
        if method == "POST"
        else [entry("PUT", "Patient?identifier=7", dict(named)) for _ in range(2)]
    )
    assert fhir("POST", "", transaction(*each)).issue[0] == "multiple-matches"
    assert fhir("GET", "_history").body.get("entry", []) == []


def test_what_names_this_server_is_local(fhir: Client) -> None:
    fhir.put(ANA, PULSE | {"id": "far", "subject": {"reference": f"{BASE}/Patient/ana"}})
    near = BASE.replace("127.0.0.1", "localhost")
    fhir.put(PULSE | {"id": "near", "subject": {"reference": f"{near}/Patient/ana"}})
    fhir.put(PULSE | {"id": "else", "subject": {"reference": "http://example.org/fhir/Patient/ana"}})
    assert fhir.found("Observation?patient=ana") == ["Observation/far", "Observation/near"]
    assert fhir("GET", "Observation/far").body["subject"]["reference"] == "Patient/ana"
    assert fhir("GET", "Observation/else").body["subject"]["reference"] == "http://example.org/fhir/Patient/ana"


def test_a_write_for_where_there_is_nothing(fhir: Client) -> None:
    assert fhir("PUT", "Patient/ana", ANA, if_none_match="*").status == 201
    assert fhir("PUT", "Patient/ana", ANA, if_none_match="*").issue == ("conflict", "If-None-Match")
    fhir("DELETE", "Patient/ana")
    assert fhir("PUT", "Patient/ana", ANA, if_none_match="*").status == 201
    assert fhir("POST", "Patient", ANA, if_none_exist="").issue == ("multiple-matches", "If-None-Exist")


def test_a_conditional_create_gives_its_place_to_those_who_refer_to_it(fhir: Client) -> None:
    fhir.put(ANA | {"identifier": [{"system": "urn:mrn", "value": "7"}]})
    urn = "urn:uuid:aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
    answer = fhir(
        "POST",
        "",
        transaction(
            entry("POST", "Patient", {"resourceType": "Patient"}, urn, ifNoneExist="identifier=urn:mrn|7"),
            entry("POST", "Observation", PULSE | {"subject": {"reference": urn}}),
        ),
    )
    assert [e["response"]["status"] for e in answer.body["entry"]] == ["200", "201"]
    assert answer.body["entry"][1]["resource"]["subject"]["reference"] == "Patient/ana"


BROKEN = [
    (entry("POST", "Observation", PULSE), 400, "not-found", "Bundle.entry[1].resource.subject.reference"),
    (
        entry(
            "POST", "Observation", PULSE | {"subject": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000000"}}
        ),
        400,
        "not-found",
        "Bundle.entry[1].resource.subject.reference",
    ),
    (
        entry("POST", "Observation", PULSE | {"subject": {"reference": "Patient?identifier=none"}}),
        412,
        "not-found",
        "Bundle.entry[1].resource.subject.reference",
    ),
    (entry("POST", "Observation", {"resourceType": "Observation"}), 400, "required", "Bundle.entry[1].resource.status"),
    (
        entry("PUT", "Patient/first", {"resourceType": "Patient", "id": "first"}),
        400,
        "duplicate",
        "Bundle.entry[1].request",
    ),
    (entry("PUT", "Patient/x", ANA), 400, "invalid", "Bundle.entry[1].resource.id"),
    (entry("PUT", "Patient", ANA), 400, "invalid", "Bundle.entry[1].request.url"),
    (entry("POST", "Patient"), 400, "required", "Bundle.entry[1].resource"),
    (entry("FROB", "Patient"), 400, "value", "Bundle.entry[1].request.method"),
    (entry("POST", ""), 400, "required", "Bundle.entry[1].request.url"),
    (entry("POST", "$export", ANA), 400, "not-supported", "Bundle.entry[1].request.url"),
    (entry("GET", "Patient/nobody"), 404, "not-found", "Bundle.entry[1].request"),
    (entry("PUT", "Patient/first2", ANA | {"id": "first2"}, ifMatch='W/"3"'), 412, "conflict", "If-Match"),
    ({}, 400, "value", "Bundle.entry[1].request.method"),
]


@pytest.mark.parametrize(("second", "status", "code", "at"), BROKEN)
def test_a_transaction_that_breaks_leaves_nothing(
    tmp_path: Path, second: dict[str, Any], status: int, code: str, at: str
) -> None:
    with store("sqlite", tmp_path) as repository:
        fhir = Client(repository)
        first = entry("PUT", "Patient/first", {"resourceType": "Patient", "id": "first"})
        answer = fhir("POST", "", transaction(first, second))
        assert (answer.status, *answer.issue) == (status, code, at), answer.body
        assert fhir("GET", "_history").body.get("entry", []) == []


def test_in_a_batch_each_stands_alone(fhir: Client) -> None:
    patch = base64.b64encode(orjson.dumps([{"op": "add", "path": "/gender", "value": "female"}])).decode()
    batch = transaction(
        entry("PUT", "Patient/ana", ANA),
        entry("PUT", "Patient/ben", ANA),
        entry("FROB", "Patient"),
        entry("GET", "Patient/ana"),
        entry("PATCH", "Patient/ana", {"resourceType": "Binary", "contentType": "x", "data": patch}),
        entry("POST", "", {"resourceType": "Bundle", "type": "batch"}),
    ) | {"type": "batch"}
    answer = fhir("POST", "", batch)
    assert answer.body["type"] == "batch-response"
    assert [e["response"]["status"] for e in answer.body["entry"]] == ["201", "400", "400", "200", "200", "400"]
    assert answer.body["entry"][1]["response"]["outcome"]["issue"][0]["code"] == "invalid"
    assert fhir("GET", "Patient/ana").body["gender"] == "female"


# --- operations -------------------------------------------------------------------------------------------------------


def test_validate_answers_and_stores_nothing(quick: Client) -> None:
    good = quick("POST", "Patient/$validate", ANA)
    assert good.status == 200 and {i["severity"] for i in good.body["issue"]} <= {"information", "warning"}
    bad = quick("POST", "Patient/$validate", ANA | {"gender": "f"})
    assert bad.status == 200 and ("error", ["Patient.gender"]) in [
        (i["severity"], i.get("expression")) for i in bad.body["issue"]
    ]
    wrapped = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": ANA | {"gender": "f"}}]}
    assert quick("POST", "Patient/$validate", wrapped).body == bad.body
    assert quick("POST", "Patient/$validate", {"resourceType": "Parameters"}).status == 400
    assert quick("POST", "Observation/$validate", ANA).body["issue"][-1]["severity"] == "error"
    assert quick("GET", "_history").body.get("entry", []) == []
