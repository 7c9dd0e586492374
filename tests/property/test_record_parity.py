"""Three records in step: whatever is written and asked, memory, SQLite and PostgreSQL answer with the same bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, cast
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from tests.fhir.test_rest import BASE, Answer, Client

from adjunct.fhir import definitions
from adjunct.fhir.indexing import rows
from adjunct.fhir.repository import Unit
from adjunct.fhir.rest import Rules
from adjunct.fhir.wire import Exact, Json, read_exact, write_exact
from stores import BACKENDS, NOW, Clock, store

NAMED = ("resourceType", "id")
IDS = ("a", "b", "c")
MOST_PAGES = 12
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


class Records:
    """The same request to every record; all of it must come back alike, the cursors of pages included."""

    def __init__(self, clients: list[Client], clocks: list[Clock]) -> None:
        self.clients, self.clocks = clients, clocks

    def __call__(self, method: str, address: str, body: Any = None, **headers: str) -> Answer:
        raw = None if body is None else write_exact(body)
        first, *others = (client(method, address, raw, **headers) for client in self.clients)
        for name, other in zip(BACKENDS[1:], others, strict=True):
            assert other.reply == first.reply, f"{name}: {method} {address}"
        assert first.status < 500
        return first

    def pages(self, address: str, between: Any = None) -> None:
        """Every page of a search; `between`: what is written after the first."""
        for _ in range(MOST_PAGES):
            answer = self("GET", address)
            following = [link["url"] for link in (answer.body or {}).get("link", ()) if link["relation"] == "next"]
            if not following:
                return
            address = following[0].removeprefix(BASE).lstrip("/")
            if between:
                self.write(*between)
                between = None

    def write(self, *resources: Json) -> None:
        """One unit: each resource as it is, or gone if it has no more than a type and an id."""

        def work(unit: Unit) -> list[Any]:
            sent = [cast(Json, read_exact(write_exact(resource))) for resource in resources]
            return [
                unit.put(one, rows(one)) if len(one) > len(NAMED) else unit.delete(one["resourceType"], one["id"])
                for one in sent
            ]

        first, *others = (client.service.repository.write(work) for client in self.clients)
        assert others == [first, first]

    def tick(self, ms: int) -> None:
        for clock in self.clocks:
            clock.ms += ms

    def clear(self) -> None:
        for client, clock in zip(self.clients, self.clocks, strict=True):
            clock.ms = NOW
            record = client.service.repository
            with record.reading() as reader:
                names = {(one.type, one.id) for one in reader.history(count=100_000)}
            record.write(lambda unit, names=names: [unit.erase(*name) for name in names])
            numbers = iter(range(1, 10_000))
            client.service = client.service._replace(rules=_rules(clock, numbers))


def _rules(clock: Clock, numbers: Iterator[int]) -> Rules:
    """Nothing is validated: a store must not care what it keeps."""
    return Rules(base=BASE, clock=clock, new_id=lambda: f"new-{next(numbers)}", check=lambda *_: ())


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    with ExitStack() as stack:
        clocks = [Clock() for _ in BACKENDS]
        folder = tmp_path_factory.mktemp("parity")
        made = [stack.enter_context(store(name, folder, clock)) for name, clock in zip(BACKENDS, clocks, strict=True)]
        yield Records([Client(one, clock=clock) for one, clock in zip(made, clocks, strict=True)], clocks)


# --- values: few different ones, so that what is asked meets what is there --------------------------------------------

TEXTS = st.sampled_from(
    (
        "a",
        "A",
        "ab",
        "abc",
        "b%",
        "b_",
        "b\\",
        "a,b",
        "a|b$c",
        "M\u00fcller",
        "muller",
        "MU\u0308LLER",
        "Stra\u00dfe",
        "STRASSE",
        "\ufb01n",
        "\u0130x",
        "  a   b ",
        "\U0001f600",
        "\uffff",
        "\U0010ffff",
        "a" * 600,
        "\u00e9" * 600,
    )
)
CODES = st.sampled_from(("a", "A", "b", "a|b", "male", "final", "true", ""))
SYSTEMS = st.sampled_from(("", "urn:s", "http://loinc.org"))
DATES = st.sampled_from(
    (
        "2026",
        "2026-11",
        "2026-11-09",
        "2026-11-08",
        "2026-11-09T10:00:00+01:00",
        "2026-11-09T09:00:00Z",
        "2025-12-31",
        "2026-11-09T09:00:00.5Z",
        "2026-11-09T09:00:00.123456Z",
        "2026-11-09T09:00Z",
        "1900-02-28",
        "9999",
        "0001",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00+14:00",
        "2026-13",
        "in May",
    )
)
NUMBERS = st.sampled_from(
    (
        "0",
        "-0",
        "0.0",
        "1",
        "1.0",
        "1.00",
        "1E0",
        "5.4",
        "5.40",
        "-5.4",
        "250",
        "0.25",
        "99.5",
        "100",
        "1e2",
        "100.5",
        "0.1",
        "0.30000000000000004",
        "1e-7",
        "1e300",
        "-1e300",
        "12345678901234567890",
        "0.000250",
    )
)
UNITS = st.sampled_from(("mg", "g", "kg", "Cel", "[degF]", "/min", "spoon", "=M", "=", ">"))
UCUM = st.sampled_from(("http://unitsofmeasure.org", "http://unitsofmeasure.org", "urn:s", ""))
URIS = st.sampled_from(("http://x", "http://x/", "http://x/a", "http://x/a/b", "http://xa", "urn:a", "http://x/a|1"))
TYPES = ("Patient", "Observation", "Encounter", "Organization", "RiskAssessment", "Questionnaire")
types, ids = st.sampled_from(TYPES), st.sampled_from(IDS)

JUNK: st.SearchStrategy[Any] = st.sampled_from(
    (None, True, 7, "text", [], {}, [[]], [None], {"a": "b"}, [{"value": []}])
)


def some(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with any of these parts, or now and then what is no such object."""
    proper = st.fixed_dictionaries({}, optional=parts)
    return st.one_of(*[proper] * 9, JUNK)


def listed(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(value, min_size=1, max_size=2)


exact = NUMBERS.map(Exact)
coding = some(system=SYSTEMS, code=CODES, display=TEXTS)
concept = some(coding=listed(coding), text=TEXTS)
identifier = some(system=SYSTEMS, value=CODES, type=concept)
quantity = some(value=exact, unit=UNITS, system=UCUM, code=UNITS)
period = some(start=DATES, end=DATES)
literal = st.one_of(
    st.builds("{}/{}".format, types, ids),
    st.sampled_from(("#drug", "https://a.example/fhir/Patient/a", f"{BASE}/Patient/a", "Patient/a/_history/1")),
)


def to(*kinds: str) -> st.SearchStrategy[Any]:
    """A reference, mostly to one of these."""
    proper = st.builds("{}/{}".format, st.sampled_from(kinds), ids)
    where = st.one_of(proper, proper, proper, literal)
    return st.fixed_dictionaries({"reference": where}, optional={"identifier": identifier, "type": types})


extension = some(url=URIS, valueDecimal=exact)
meta = some(tag=listed(coding), security=listed(coding), profile=listed(URIS), source=URIS)
address = some(city=TEXTS, line=listed(TEXTS), country=TEXTS)
contact = some(system=st.sampled_from(("phone", "email")), value=CODES, use=CODES)
low_high = some(low=quantity, high=quantity)

SHAPES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "Patient": {
        "identifier": listed(identifier),
        "active": st.one_of(st.booleans(), JUNK),
        "name": listed(some(family=TEXTS, given=listed(TEXTS), text=TEXTS)),
        "telecom": listed(contact),
        "gender": CODES,
        "birthDate": DATES,
        "deceasedBoolean": st.booleans(),
        "deceasedDateTime": DATES,
        "address": listed(address),
        "generalPractitioner": listed(to("Organization")),
        "managingOrganization": to("Organization"),
        "link": listed(some(other=to("Patient"), type=CODES)),
    },
    "Observation": {
        "status": CODES,
        "category": listed(concept),
        "code": concept,
        "subject": to("Patient"),
        "encounter": to("Encounter"),
        "effectiveDateTime": DATES,
        "effectivePeriod": period,
        "effectiveTiming": some(event=listed(DATES), repeat=some(boundsPeriod=period)),
        "valueQuantity": quantity,
        "valueCodeableConcept": concept,
        "valueString": TEXTS,
        "hasMember": listed(to("Observation")),
        "derivedFrom": listed(to("Observation")),
        "component": listed(some(code=concept, valueQuantity=quantity, valueCodeableConcept=concept)),
    },
    "Encounter": {
        "status": CODES,
        "class": coding,
        "type": listed(concept),
        "subject": to("Patient"),
        "partOf": to("Encounter"),
        "period": period,
        "length": quantity,
        "participant": listed(some(individual=to("Patient", "Organization"), period=period)),
    },
    "Organization": {
        "identifier": listed(identifier),
        "active": st.booleans(),
        "name": TEXTS,
        "alias": listed(TEXTS),
        "address": listed(address),
        "partOf": to("Organization"),
    },
    "RiskAssessment": {
        "status": CODES,
        "subject": to("Patient"),
        "occurrenceDateTime": DATES,
        "prediction": listed(some(probabilityDecimal=exact, probabilityRange=low_high, qualitativeRisk=concept)),
    },
    "Questionnaire": {
        "url": URIS,
        "title": TEXTS,
        "date": DATES,
        "effectivePeriod": period,
        "useContext": listed(some(code=coding, valueCodeableConcept=concept, valueQuantity=quantity)),
    },
}


@st.composite
def resources(draw: st.DrawFn, gone: bool = False) -> Json:
    """A resource of one of the types, or, if it may be gone, no more than its name."""
    kind = draw(types)
    named = {"resourceType": kind, "id": draw(ids)}
    if gone and draw(st.integers(0, 4)) == 0:
        return named
    parts = {**SHAPES[kind], "extension": listed(extension), "implicitRules": URIS}
    chosen = draw(st.lists(st.sampled_from(sorted(parts)), min_size=3, max_size=8, unique=True))
    held = {name: draw(parts[name]) for name in chosen}
    return named | ({"meta": draw(meta.filter(lambda m: isinstance(m, dict)))} if draw(st.booleans()) else {}) | held


# --- searches ---------------------------------------------------------------------------------------------------------

#: Search parameters that meet the elements above.
NAMES = {
    "Patient": "identifier active name family given telecom phone gender birthdate death-date deceased address "
    "address-city general-practitioner organization link",
    "Observation": "status category code subject patient encounter date value-quantity value-concept value-string "
    "has-member derived-from component-code component-value-quantity combo-code combo-value-quantity "
    "code-value-quantity code-value-concept component-code-value-quantity combo-code-value-concept",
    "Encounter": "status class type subject patient part-of date length participant",
    "Organization": "identifier active name address partof",
    "RiskAssessment": "subject patient date probability risk",
    "Questionnaire": "url title date effective context context-type context-quantity "
    "context-type-quantity context-type-value",
}
EVERYWHERE = ("_tag", "_security", "_profile", "_source")
#: Where references lead: the type, the parameter, and the types among ours that it may lead to.
LINKS = [
    (kind, name, sorted(set(found.targets or TYPES) & set(TYPES)))
    for kind, names in NAMES.items()
    for name in names.split()
    if (found := definitions.parameters(kind)[name]).type == "reference"
]


def escaped(text: str) -> str:
    for mark in "\\,|$":
        text = text.replace(mark, f"\\{mark}")
    return text


prefixes = st.sampled_from(("", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"))
VALUES: dict[str, st.SearchStrategy[str]] = {
    "token": st.one_of(
        CODES.map(escaped),
        st.builds("{}|{}".format, SYSTEMS, CODES.map(escaped)),
    ),
    "string": TEXTS.map(escaped),
    "date": st.builds(str.__add__, prefixes, DATES),
    "number": st.builds(str.__add__, prefixes, NUMBERS),
    "quantity": st.one_of(
        st.builds(str.__add__, prefixes, NUMBERS),
        st.builds("{}{}|{}|{}".format, prefixes, NUMBERS, UCUM, UNITS),
    ),
    "uri": URIS.map(escaped),
    "reference": st.one_of(ids, ids.map("Patient/{}".format), literal, literal.map(f"{BASE}/{{}}".format)),
}
MODIFIERS = {
    "token": ("not", "text", "of-type", "in"),
    "string": ("exact", "contains"),
    "uri": ("below", "above"),
    "reference": ("identifier",),
}


@st.composite
def asked(draw: st.DrawFn, kind: str, steps: int = 2) -> tuple[str, str]:
    """A parameter for resources of this type, and its value."""
    how = draw(st.integers(0, 9))
    away = [(name, to) for source, name, targets in LINKS if source == kind for to in targets]
    if steps and how == 0 and away:
        link, to = draw(st.sampled_from(away))
        name, value = draw(asked(to, steps - 1))
        return f"{link}{draw(st.sampled_from(('', f':{to}', f':{to}')))}.{name}", value
    towards = [(source, name) for source, name, targets in LINKS if kind in targets]
    if steps and how == 1 and towards:
        source, link = draw(st.sampled_from(towards))
        name, value = draw(asked(source, steps - 1))
        return f"_has:{source}:{link}:{name}", value
    if how == 2:
        return draw(
            st.one_of(
                st.tuples(st.sampled_from(("_id", "_id:not")), st.lists(ids, min_size=1).map(",".join)),
                st.tuples(
                    st.just("_lastUpdated"),
                    st.builds("{}2026-11-09T00:00:00.0{:02}Z".format, prefixes, st.integers(0, 30)),
                ),
            )
        )
    name = draw(st.sampled_from((*NAMES[kind].split(), *EVERYWHERE)))
    parameter = definitions.parameters(kind)[name]
    if parameter.type == "composite":
        parts = [definitions.parameters(kind)[c.name].type for c in parameter.components]
        one = st.tuples(*(VALUES[p] for p in parts)).map("$".join)
        return name, draw(st.lists(one, min_size=1, max_size=2).map(",".join))
    if draw(st.integers(0, 5)) == 0:
        return f"{name}:missing", draw(st.sampled_from(("true", "false")))
    led = next((targets for source, link, targets in LINKS if (source, link) == (kind, name)), ())
    modifier = draw(st.sampled_from(("", "", "", *MODIFIERS.get(parameter.type, ()), *led)))
    values = VALUES[parameter.type]
    match modifier:
        case "text":
            values = VALUES["string"]
        case "identifier":
            values = VALUES["token"]
        case "of-type":
            values = st.builds(
                "{}|{}|{}".format,
                SYSTEMS.filter(bool),
                CODES.filter(bool).map(escaped),
                CODES.filter(bool).map(escaped),
            )
        case "in":
            values = st.just("http://hl7.org/fhir/ValueSet/administrative-gender")
    many = draw(st.lists(values, min_size=1, max_size=3))
    return f"{name}:{modifier}" if modifier else name, ",".join(many)


@st.composite
def searches(draw: st.DrawFn) -> str:
    """The address of a search: of a type, of all of them, or within a compartment."""
    kind = draw(types)
    within = f"Patient/a/{kind}" if kind in definitions.compartment("Patient") else kind
    place = draw(st.sampled_from((kind, kind, kind, within, "Patient/b/*", "")))
    inner = place == kind or place.endswith(f"/{kind}")
    query = draw(st.lists(asked(kind) if inner else asked(kind).filter(lambda p: p[0][:1] == "_"), max_size=2))
    if place == "":
        query.append(("_type", ",".join(draw(st.lists(types, min_size=1, max_size=3, unique=True)))))
    sortable = [n for n in NAMES[kind].split() if definitions.parameters(kind)[n].type != "composite"]
    by = st.sampled_from(("_id", "_lastUpdated", *(sortable * inner)))
    if sorts := draw(st.lists(st.builds(str.__add__, st.sampled_from(("", "-")), by), max_size=2)):
        query.append(("_sort", ",".join(sorts)))
    own = [("_include", f"{kind}:{link}") for source, link, _ in LINKS if source == kind]
    own += [("_revinclude", f"{source}:{link}") for source, link, targets in LINKS if kind in targets]
    further = [("_include:iterate", f"{source}:{link}:{to}") for source, link, targets in LINKS for to in targets]
    if own:
        again = [(f"{which}:iterate", what) for which, what in own]
        query += draw(st.lists(st.sampled_from((*own, *again)), max_size=4))
    if draw(st.integers(0, 3)) == 0:
        query.append(draw(st.sampled_from((*further, ("_include", f"{kind}:*")))))
    said = {
        "_count": st.sampled_from(("1", "2", "3", "0", "50")),
        "_total": st.sampled_from(("none", "accurate")),
        "_summary": st.sampled_from(("true", "text", "data", "count", "false")),
        "_elements": st.sampled_from(("meta", "meta,extension")),
    }
    for name, odds in (("_count", 1), ("_total", 1), ("_summary", 6), ("_elements", 8)):
        if draw(st.integers(0, odds)) == 0:
            query.append((name, draw(said[name])))
    return f"{place}?" + "&".join(f"{quote(name)}={quote(value)}" for name, value in query)


# --- requests ---------------------------------------------------------------------------------------------------------

PATCHES = st.one_of(
    st.builds(lambda value: {"op": "add", "path": "/status", "value": value}, CODES),
    st.builds(lambda value: {"op": "replace", "path": "/name", "value": value}, TEXTS),
    st.builds(lambda value: {"op": "add", "path": "/valueQuantity", "value": value}, quantity),
    st.sampled_from(({"op": "remove", "path": "/subject"}, {"op": "test", "path": "/id", "value": "a"}, {"op": "x"})),
)
HISTORY = st.sampled_from(("", "?_count=1", "?_count=3", "?_since=2026-11-09T00:00:01Z", "?_count=2&_since=2026-11-09"))


@st.composite
def conditions(draw: st.DrawFn) -> str:
    """A query without what only says how to answer."""
    asks = draw(st.lists(asked(draw(types), 0), min_size=1, max_size=2))
    return "&".join(f"{quote(name)}={quote(value)}" for name, value in asks)


@st.composite
def bundles(draw: st.DrawFn) -> Json:
    """A batch or a transaction of a few writes and questions; a reference may lead to another entry."""
    entries = []
    for number in range(draw(st.integers(1, 4))):
        resource = draw(resources())
        kind, own = resource["resourceType"], resource["id"]
        url = f"{kind}/{own}"
        match draw(st.sampled_from(("PUT", "PUT", "POST", "POST", "DELETE", "GET", "PUT?", "POST?"))):
            case "PUT":
                entries.append({"resource": resource, "request": {"method": "PUT", "url": url}})
            case "PUT?":
                request = {"method": "PUT", "url": f"{kind}?{draw(conditions())}"}
                entries.append({"resource": resource, "request": request})
            case "POST":
                linked = resource | {"subject": {"reference": f"urn:uuid:{draw(st.integers(0, 3))}"}}
                request = {"method": "POST", "url": kind}
                entries.append({"fullUrl": f"urn:uuid:{number}", "resource": linked, "request": request})
            case "POST?":
                request = {"method": "POST", "url": kind, "ifNoneExist": draw(conditions())}
                entries.append({"resource": resource, "request": request})
            case "DELETE":
                entries.append({"request": {"method": "DELETE", "url": url}})
            case _:
                entries.append({"request": {"method": "GET", "url": draw(st.sampled_from((url, f"{kind}?_count=2")))}})
    return {"resourceType": "Bundle", "type": draw(st.sampled_from(("batch", "transaction"))), "entry": entries}


# --- what must hold ---------------------------------------------------------------------------------------------------


@settings(max_examples=2000 if THOROUGH else 25, suppress_health_check=list(HealthCheck))
@given(
    first=st.lists(resources(), min_size=6, max_size=14, unique_by=lambda r: (r["resourceType"], r["id"])),
    then=st.lists(resources(gone=True), max_size=4, unique_by=lambda r: (r["resourceType"], r["id"])),
    late=st.lists(resources(gone=True), min_size=1, max_size=3, unique_by=lambda r: (r["resourceType"], r["id"])),
    asks=st.lists(searches(), min_size=3, max_size=6),
    meanwhile=st.booleans(),
)
def test_every_search_is_answered_alike(
    records: Records, first: list[Any], then: list[Any], late: list[Any], asks: list[str], meanwhile: bool
) -> None:
    records.clear()
    records.write(*first)
    records.tick(5)
    records.write(*then)
    records.tick(5)
    for address in asks:
        records.pages(address, late if meanwhile else None)


class InStep(RuleBasedStateMachine):
    """Any course of writes and questions, as clients would send them."""

    records: Records

    @initialize()
    def empty(self) -> None:
        self.records.clear()

    @rule(ms=st.sampled_from((0, 1, 1000, -5000)))
    def time_passes(self, ms: int) -> None:
        """Or goes back, as clocks do."""
        self.records.tick(ms)

    @rule(resource=resources(), match=st.sampled_from(("", "", 'W/"1"', 'W/"2"', "x")))
    def update(self, resource: Json, match: str) -> None:
        headers = {"if_match": match} if match else {}
        self.records("PUT", f"{resource['resourceType']}/{resource['id']}", resource, **headers)

    @rule(resource=resources(), search=searches(), conditional=st.booleans())
    def create(self, resource: Json, search: str, conditional: bool) -> None:
        query = search.partition("?")[2]
        self.records("POST", resource["resourceType"], resource, **({"if_none_exist": query} if conditional else {}))

    @rule(resource=resources(), query=conditions(), method=st.sampled_from(("PUT", "DELETE")))
    def what_a_search_finds(self, resource: Json, query: str, method: str) -> None:
        """A conditional update or deletion."""
        self.records(method, f"{resource['resourceType']}?{query}", resource if method == "PUT" else None)

    @rule(kind=types, own=ids, match=st.sampled_from(("", 'W/"1"')))
    def delete(self, kind: str, own: str, match: str) -> None:
        self.records("DELETE", f"{kind}/{own}", **({"if_match": match} if match else {}))

    @rule(kind=types, own=ids, steps=st.lists(PATCHES, min_size=1, max_size=2))
    def patch(self, kind: str, own: str, steps: list[Json]) -> None:
        self.records("PATCH", f"{kind}/{own}", steps, content_type="application/json-patch+json")

    @rule(bundle=bundles())
    def several(self, bundle: Json) -> None:
        self.records("POST", "", bundle)

    @rule(kind=types, own=ids)
    def erase(self, kind: str, own: str) -> None:
        erased = [c.service.repository.write(lambda unit: unit.erase(kind, own)) for c in self.records.clients]
        assert len(set(erased)) == 1

    @rule(kind=types, own=ids, version=st.integers(1, 3))
    def read(self, kind: str, own: str, version: int) -> None:
        self.records("GET", f"{kind}/{own}")
        self.records("GET", f"{kind}/{own}/_history/{version}")

    @rule(place=st.one_of(st.just(""), types, st.builds("{}/{}".format, types, ids)), query=HISTORY)
    def history(self, place: str, query: str) -> None:
        self.records.pages(f"{place}/_history{query}".lstrip("/"))

    @rule(own=ids, query=st.sampled_from(("", "?_count=2", "?_type=Observation", "?_since=2026-11-09T00:00:01Z")))
    def everything(self, own: str, query: str) -> None:
        self.records.pages(f"Patient/{own}/$everything{query}")

    @rule(search=searches())
    def search(self, search: str) -> None:
        self.records.pages(search)

    @rule()
    def all_there_is(self) -> None:
        told = []
        for client in self.records.clients:
            with client.service.repository.reading() as reader:
                current = [list(reader.every(kind)) for kind in TYPES]
                told.append((reader.newest_key(), reader.history(count=10_000), current))
        assert told[1:] == told[:1] * (len(BACKENDS) - 1)


def test_every_course_leaves_the_same_record(records: Records) -> None:
    machine = type("Machine", (InStep,), {"records": records})
    few = settings(max_examples=300 if THOROUGH else 8, stateful_step_count=40, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=few)
