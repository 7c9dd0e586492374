"""Many resources at once: searches, histories, a person's whole record. Bundles are put together from stored bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from http import HTTPStatus as Status
from typing import NamedTuple
from urllib.parse import quote, urlencode

from adjunct.fhir import search
from adjunct.fhir.criteria import InCompartment, Search
from adjunct.fhir.definitions import compartment
from adjunct.fhir.outcome import Issue, Refusal, outcome
from adjunct.fhir.repository import Page, Reader, Repository, Stored, timestamp
from adjunct.fhir.rest.call import PAGE_LIMIT, Call, Reply, reply
from adjunct.fhir.rest.single import content_of, current
from adjunct.fhir.wire import listed, walk, write_exact

#: What a person's record may name besides their own resources: who cares, where, and with what.
_AROUND = frozenset("Practitioner PractitionerRole Organization Location HealthcareService Medication Device".split())


class Entry(NamedTuple):
    """One entry of a Bundle, its parts written already."""

    url: str
    content: bytes
    rest: bytes  # what stands beside the resource: search, request, response


def bundle(
    kind: str, entries: Iterable[Entry], *, links: Iterable[tuple[str, str]] = (), total: int | None = None
) -> bytes:
    """A Bundle as bytes: what is stored goes out as it is, digit by digit."""
    head: dict[str, object] = {"resourceType": "Bundle", "type": kind}
    if total is not None:
        head["total"] = total
    if named := [{"relation": relation, "url": url} for relation, url in links]:
        head["link"] = named
    written = [
        b'{"fullUrl":' + write_exact(e.url) + (b',"resource":' + e.content if e.content else b"") + e.rest + b"}"
        if e.url
        else b'{"resource":' + e.content + e.rest + b"}"
        for e in entries
    ]
    body = write_exact(head)
    return body[:-1] + b',"entry":[' + b",".join(written) + b"]}" if written else body


_MATCH, _INCLUDE, _OUTCOME = (b',"search":{"mode":"%s"}' % mode for mode in (b"match", b"include", b"outcome"))


def searched(call: Call, repository: Repository) -> Reply:
    """A search of one type, of the system, or of a compartment (`Patient/1/Observation`)."""
    with repository.reading() as record:
        asked, page = found(call, record)
    return reply(Status.OK, _searchset(call, asked, page))


def found(call: Call, record: Reader) -> tuple[search.Asked, Page]:
    """What is asked, and the page that answers it."""
    query = call.query
    if call.method == "POST":
        if call.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            raise Refusal(
                Status.UNSUPPORTED_MEDIA_TYPE,
                "not-supported",
                "_search takes application/x-www-form-urlencoded",
                "Content-Type",
            )
        query += search.pairs(call.body.decode("utf-8", "replace"))
    kind = call.rest if call.id else call.type
    asked = _parsed(call, record, "" if kind == "*" else kind, query, _within(call) if call.id else None)
    if asked.counted:
        return asked, Page((), (), None, record.count(asked.search))
    return asked, record.search(asked.search)


def _parsed(call: Call, record: Reader, type: str, query: search.Pairs, within: Search | None) -> search.Asked:
    rules = call.rules
    return search.parse(
        type,
        query,
        strict=call.strict,
        now=rules.clock(),
        count=rules.page,
        limit=rules.page_limit,
        base=rules.base,
        within=within,
        expand=lambda url: _expanded(record, url),
    )


def _within(call: Call) -> Search:
    """The compartment that the address names, as the types and the condition that it stands for."""
    members = compartment(call.type)
    if not members or call.rest not in ("*", *members):
        said = f"there is no compartment {call.type}/.../{call.rest}: see CompartmentDefinition"
        raise Refusal(Status.NOT_FOUND, "not-supported", said, "url")
    types = tuple(sorted(members)) if call.rest == "*" else (call.rest,)
    return Search(types=types, where=(belonging(call.type, call.id, types),), count=0)


def belonging(type: str, id: str, types: Iterable[str], *, itself: bool = False) -> InCompartment:
    """Being in the compartment of this resource, for resources of these types."""
    members = compartment(type)
    indexes = {p.index for kind in types for p in members.get(kind, ())}
    return InCompartment(type=type, id=id, indexes=tuple(sorted(indexes)), itself=itself)


_SPECIAL = re.compile(r"[\\,$|]")  # in a search they would part one address into several


def _expanded(record: Reader, url: str) -> frozenset[tuple[str, str]] | None:
    """The codes of a ValueSet that the record holds as a list; None if it does not."""
    by = ("_id", url.rpartition("/")[2]) if url.startswith("ValueSet/") else ("url", _SPECIAL.sub(r"\\\g<0>", url))
    asked = search.parse("ValueSet", [by], strict=True, now=0, count=1)
    for stored in record.search(asked.search).matches:
        composed = content_of(stored).get("compose", {})
        parts = listed(composed.get("include"))
        if composed.get("exclude") or any("filter" in p or "valueSet" in p or "concept" not in p for p in parts):
            return None
        return frozenset((p.get("system", ""), c["code"]) for p in parts for c in p["concept"])
    return None


def _searchset(call: Call, asked: search.Asked, page: Page) -> bytes:
    base = call.rules.base
    place = "/".join(filter(None, (base, call.type, quote(call.id), quote(call.rest, safe="*"))))
    links = [("self", _link(place, asked.used))]
    if page.next:
        again = [p for p in asked.used if p[0] != "_cursor"]
        links.append(("next", _link(place, [*again, ("_cursor", asked.following(page.next))])))
    total = page.total
    if total is None and page.next is None and asked.search.cursor is None:
        total = len(page.matches)  # all of them are here

    def entries() -> Iterator[Entry]:
        for mode, some in ((_MATCH, page.matches), (_INCLUDE, page.included)):
            for stored in some:
                yield Entry(f"{base}/{stored.type}/{stored.id}", asked.shorten(stored), mode)
        if asked.ignored:
            why = "not known here, so it was ignored: the answer is wider than you asked"
            told = outcome(Issue("warning", "not-supported", f"{name}: {why}", name) for name in asked.ignored)
            yield Entry("", write_exact(told), _OUTCOME)

    return bundle("searchset", entries(), links=links, total=total)


def _link(place: str, query: Iterable[tuple[str, str]]) -> str:
    text = urlencode(list(query), quote_via=quote, safe=":|,/$")
    return f"{place}?{text}" if text else place


# --- histories --------------------------------------------------------------------------------------------------------


def history(call: Call, repository: Repository) -> Reply:
    """Versions, newest first, a deletion among them."""
    rules = call.rules
    asked = search.parse_history(call.query, count=rules.page, limit=rules.page_limit)
    with repository.reading() as record:
        some = record.history(call.type, call.id, since=asked.since, before=asked.before, count=asked.count + 1)
        if call.id and not some and record.read(call.type, call.id) is None:
            raise Refusal(Status.NOT_FOUND, "not-found", f"no {call.type} with this id", "id")
    shown = some[: asked.count]
    place = "/".join(filter(None, (rules.base, call.type, call.id, "_history")))
    links = [("self", _link(place, call.query))]
    if len(some) > asked.count and shown:
        again = [p for p in call.query if p[0] != "_before"]
        links.append(("next", _link(place, [*again, ("_before", str(shown[-1].key))])))
    return reply(Status.OK, bundle("history", (_version(rules.base, stored) for stored in shown), links=links))


def _version(base: str, stored: Stored) -> Entry:
    at = timestamp(stored.at).encode()
    if stored.content is None:
        method, status = b"DELETE", Status.NO_CONTENT
    elif stored.version == 1:
        method, status = b"PUT", Status.CREATED
    else:
        method, status = b"PUT", Status.OK
    place = f"{stored.type}/{stored.id}"
    rest = (
        b',"request":{"method":"' + method + b'","url":"' + place.encode() + b'"}'
        b',"response":{"status":"'
        + str(status.value).encode()
        + b'","etag":'
        + write_exact(stored.etag)
        + b',"lastModified":"'
        + at
        + b'"}'
    )
    return Entry(f"{base}/{stored.type}/{stored.id}", stored.content or b"", rest)


# --- a person's whole record ------------------------------------------------------------------------------------------


def everything(call: Call, repository: Repository) -> Reply:
    """`Patient/[id]/$everything`: the compartment, page by page, and whom and what its resources name."""
    for name, _ in call.query:
        if name in ("start", "end"):  # under lenient too: a limit that is dropped widens the answer
            said = "which date counts is not known for every type: use _since, or search with dates"
            raise Refusal(Status.BAD_REQUEST, "not-supported", said, name)
    query = [("_lastUpdated", f"ge{value}") if name == "_since" else (name, value) for name, value in call.query]
    with repository.reading() as record:
        current(record, "Patient", call.id)
        asked = _parsed(call, record, "", query, _person(call.id))
        page = record.search(asked.search)
        if not any(name == "_type" for name, _ in call.query):
            page = page._replace(included=tuple(_named_by(record, page.matches)))
    return reply(Status.OK, _searchset(call, asked, page))


def person(record: Reader, id: str) -> Iterator[Stored]:
    """All of it at once, each resource once, as of now; refuses where there is nobody."""
    current(record, "Patient", id)
    around: dict[tuple[str, str], Stored] = {}
    wanted: Search | None = replace(_person(id), count=PAGE_LIMIT)
    while wanted:
        page = record.search(wanted)
        yield from page.matches
        around |= {(s.type, s.id): s for s in _named_by(record, page.matches)}
        wanted = replace(wanted, cursor=page.next) if page.next else None
    yield from around.values()


def _person(id: str) -> Search:
    types = tuple(sorted({"Patient", *compartment("Patient")}))
    return Search(types=types, where=(belonging("Patient", id, types, itself=True),), count=0)


def _named_by(record: Reader, matches: Iterable[Stored]) -> Iterator[Stored]:
    """The people, places and things that these resources refer to and that are nobody's record."""
    wanted = {
        (parts[-2], parts[-1])
        for stored in matches
        for _, node in walk(content_of(stored))
        if isinstance(node, dict) and isinstance(node.get("reference"), str)
        for parts in [node["reference"].split("/")]
        if len(parts) == 2 and parts[0] in _AROUND
    }
    for kind, own in sorted(wanted):
        there = record.read(kind, own)
        if there and there.content is not None:
            yield there
