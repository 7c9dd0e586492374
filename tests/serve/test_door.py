"""What is let in: tables of Host and Origin, of media types, of queries."""

from __future__ import annotations

import pytest

from adjunct.fhir.outcome import Refusal
from adjunct.serve import door
from adjunct.serve.metrics import interaction

HOME = "127.0.0.1:8000"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": HOME},
        {"host": "localhost:8000"},
        {"host": "LOCALHOST"},
        {"host": "[::1]:8000"},
        {"host": "127.3.2.1"},
        {"host": HOME, "origin": f"http://{HOME}", "sec-fetch-site": "same-origin"},
        {"host": HOME, "sec-fetch-site": "none"},  # an address typed into the browser
    ],
)
def test_this_computer_is_let_in(headers: dict[str, str]) -> None:
    door.refuse_strangers(headers)


@pytest.mark.parametrize(
    ("headers", "where"),
    [
        ({}, "Host"),
        ({"host": "evil.example"}, "Host"),  # its DNS leads here
        ({"host": "evil.example:8000"}, "Host"),
        ({"host": "127.0.0.1.evil.example"}, "Host"),
        ({"host": "localhost.evil.example"}, "Host"),
        ({"host": "127.0.0.1@evil.example"}, "Host"),
        ({"host": "192.168.1.2"}, "Host"),
        ({"host": "127.0.0.1:8000, evil.example"}, "Host"),
        ({"host": HOME, "origin": "https://evil.example"}, "Origin"),
        ({"host": HOME, "origin": "null"}, "Origin"),  # a file, a sandboxed frame
        ({"host": HOME, "origin": "http://127.0.0.1:3000"}, "Origin"),  # another program of this computer
        ({"host": HOME, "origin": ""}, "Origin"),
        ({"host": HOME, "sec-fetch-site": "cross-site"}, "Origin"),  # an image of a foreign page sends no Origin
        ({"host": HOME, "sec-fetch-site": "same-site"}, "Origin"),
    ],
)
def test_strangers_are_refused(headers: dict[str, str], where: str) -> None:
    with pytest.raises(Refusal) as caught:
        door.refuse_strangers(headers)
    assert (caught.value.status, caught.value.issues[0].code, caught.value.issues[0].expression) == (
        403,
        "forbidden",
        where,
    )


FHIR, PATCH, FORM = "application/fhir+json", "application/json-patch+json", "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("method", "path", "kind", "status"),
    [
        ("POST", "Patient", FHIR, 0),
        ("POST", "Patient", "application/json", 0),
        ("PUT", "Patient/1", "Application/FHIR+JSON; charset=UTF-8", 0),
        ("PUT", "Patient/1", f'{FHIR}; fhirVersion="4.0"', 0),
        ("PUT", "Patient/1", f"{FHIR}; fhirVersion=4.0.1", 0),
        ("PATCH", "Patient/1", PATCH, 0),
        ("POST", "Patient/_search", FORM, 0),
        ("POST", "_search", FORM, 0),
        ("POST", "Patient/_search", FHIR, 415),
        ("POST", "Patient", FORM, 415),  # what a form of another page can send
        ("POST", "Patient", "text/plain", 415),
        ("POST", "Patient", "", 415),
        ("POST", "Patient", "application/fhir+xml", 415),
        ("POST", "Patient", f"{FHIR}; charset=latin-1", 415),
        ("POST", "Patient", f"{FHIR}; fhirVersion=5.0", 415),
        ("POST", "Patient", f"{FHIR}; fhirVersion=4.01", 415),
        ("PATCH", "Patient/1", FHIR, 415),
        ("TRACE", "Patient", FHIR, 405),
        ("BREW", "Patient", FHIR, 405),
    ],
)
def test_what_a_body_may_be(method: str, path: str, kind: str, status: int) -> None:
    refused = 0
    try:
        door.refuse_unreadable(method, path, {"content-type": kind}, empty=False)
    except Refusal as refusal:
        refused = refusal.status
    assert refused == status


def test_a_compressed_body_is_not_unpacked() -> None:
    with pytest.raises(Refusal, match="compressed"):
        door.refuse_unreadable("PUT", "Patient/1", {"content-type": FHIR, "content-encoding": "gzip"}, empty=False)


def test_without_a_body_nothing_is_asked_about_it() -> None:
    door.refuse_unreadable("POST", "Patient/1/$everything", {}, empty=True)


@pytest.mark.parametrize(
    ("query", "accept", "answered"),
    [
        (b"", "", True),
        (b"", "*/*", True),
        (b"", "text/html, application/xhtml+xml, */*;q=0.8", True),
        (b"", "application/fhir+json; fhirVersion=4.0", True),
        (b"", "application/fhir+ndjson", True),
        (b"_format=json", "application/fhir+xml", True),  # what the address says comes first
        (b"_format=application/fhir+json", "", True),
        (b"_format=application%2Ffhir%2Bjson", "", True),
        (b"", "application/fhir+xml", False),
        (b"", "text/turtle, application/fhir+json;q=0", False),
        (b"", "application/fhir+json; fhirVersion=5.0", False),
        (b"_format=xml", "application/fhir+json", False),
        (b"_format=text/html", "*/*", False),
    ],
)
def test_what_an_answer_may_be(query: bytes, accept: str, answered: bool) -> None:
    refused = 0
    try:
        door.refuse_unanswerable(door.query(query), {"accept": accept})
    except Refusal as refusal:
        refused = refusal.status
    assert refused == (0 if answered else 406)


@pytest.mark.parametrize(
    ("offer", "taken"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("br", False),
        ("", False),
    ],
)
def test_who_takes_gzip(offer: str, taken: bool) -> None:
    assert door.takes_gzip({"accept-encoding": offer}) is taken


def test_a_query_keeps_order_repeats_and_empty_values() -> None:
    found = door.query(b"name=%C3%84nne&date=ge2020&date=lt2021&_id=&a+b=%2B")
    assert found == (("name", "Änne"), ("date", "ge2020"), ("date", "lt2021"), ("_id", ""), ("a b", "+"))


@pytest.mark.parametrize("raw", [b"name=%FF", b"name=\xc3\xa4", b"name=a%00b", b"%00=a", b"a=1&" * 2000])
def test_a_query_that_cannot_be_read_is_a_bad_request_without_its_values(raw: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        door.query(raw)
    assert caught.value.status == 400
    assert "name" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("GET", "", ("search-system", "")),
        ("POST", "", ("batch", "")),
        ("GET", "metadata", ("capabilities", "")),
        ("GET", "_history", ("history-system", "")),
        ("POST", "_search", ("search-system", "")),
        ("GET", "Observation", ("search-type", "Observation")),
        ("POST", "Observation/_search", ("search-type", "Observation")),
        ("GET", "Observation/_history", ("history-type", "Observation")),
        ("POST", "Observation", ("create", "Observation")),
        ("DELETE", "Observation", ("delete", "Observation")),
        ("HEAD", "Patient/1", ("read", "Patient")),
        ("PUT", "Patient/1", ("update", "Patient")),
        ("PATCH", "Patient/1", ("patch", "Patient")),
        ("GET", "Patient/1/_history", ("history-instance", "Patient")),
        ("GET", "Patient/1/_history/2", ("vread", "Patient")),
        ("GET", "Patient/1/Observation", ("search-type", "Patient")),
        ("GET", "Patient/1/$everything", ("operation", "Patient")),
        ("POST", "Patient/$anybody-at-all", ("operation", "Patient")),
        ("GET", "MaraSecret/1", ("unknown", "")),
        ("BREW", "Patient/1", ("unknown", "Patient")),
    ],
)
def test_a_request_is_counted_under_names_that_nobody_can_choose(
    method: str, path: str, named: tuple[str, str]
) -> None:
    assert interaction(method, path) == named
