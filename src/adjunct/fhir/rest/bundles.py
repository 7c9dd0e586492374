"""Several interactions in one Bundle: a batch, where each stands alone, or a transaction, done whole or not."""

from __future__ import annotations

import re
from base64 import b64decode
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus as Status
from typing import Any

from adjunct.fhir import definitions, search
from adjunct.fhir.definitions import resource_types
from adjunct.fhir.indexing import Rows, rows
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Reader, Repository, Stored, Unit
from adjunct.fhir.rest import single
from adjunct.fhir.rest.call import (
    JSON,
    Call,
    Reply,
    Request,
    checked,
    document,
    proper_id,
    reply,
    said,
    version_wanted,
    written,
)
from adjunct.fhir.wire import Json, mapped, walk, write_exact

Perform = Callable[[Request, Repository], Reply]  # what `rest.handle` does with one request

_METHODS = ("DELETE", "POST", "PUT", "PATCH", "GET", "HEAD")  # in the order in which a transaction does them
_HEADERS = {
    "ifMatch": "if-match",
    "ifNoneMatch": "if-none-match",
    "ifModifiedSince": "if-modified-since",
    "ifNoneExist": "if-none-exist",
}
_LOCAL = re.compile(r"([A-Z][A-Za-z]{2,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/[0-9]{1,9})?")
_SEARCHED = re.compile(r"([A-Z][A-Za-z]{2,63})\?(.+)", re.DOTALL)


def bundled(call: Call, repository: Repository, perform: Perform) -> Reply:
    """A batch or a transaction posted to the base."""
    sent = document(replace(call, type="Bundle"))
    kind = sent.get("type")
    if kind not in ("batch", "transaction"):
        raise Refusal(
            Status.BAD_REQUEST, "value", "what is done here is a batch or a transaction: say which", "Bundle.type"
        )
    entries = sent.get("entry", [])
    if not isinstance(entries, list):
        raise Refusal(Status.BAD_REQUEST, "structure", "entry is not a list", "Bundle.entry")
    if len(entries) > call.rules.entry_limit:
        raise Refusal(
            Status.REQUEST_ENTITY_TOO_LARGE,
            "too-long",
            f"more than {call.rules.entry_limit} entries: send several Bundles",
            "Bundle.entry",
        )
    steps = [_step(call, mapped(entry), f"Bundle.entry[{i}]", kind) for i, entry in enumerate(entries)]
    go_on = call.deadline()
    if kind == "batch":
        answers = [_alone(step, repository, perform, go_on) for step in steps]
    else:
        answers = _together(call, steps, repository, perform, go_on)
    body = {"resourceType": "Bundle", "type": f"{kind}-response"}
    written = write_exact(body)
    return reply(
        Status.OK, written[:-1] + b',"entry":[' + b",".join(map(_answer, answers)) + b"]}" if answers else written
    )


NOTHING = Rows([], [], [], [], [], [], [])


@dataclass(slots=True, kw_only=True)
class Step:
    """One entry: the request that it stands for, where it stands, and the resource that it brings."""

    request: Request
    at: str
    full_url: str
    resource: Json | None
    error: Refusal | None = None
    # what a transaction finds out:
    type: str = ""
    id: str = ""
    named: bool = False  # by criteria, with an id of its own besides
    query: str = ""  # criteria instead of an id
    there: Stored | None = None  # what the criteria found
    found: Rows = NOTHING


def _step(call: Call, entry: Json, at: str, kind: str) -> Step:
    asked, sent = mapped(entry.get("request")), entry.get("resource")
    method, url = asked.get("method"), asked.get("url")
    step = Step(
        request=Request(str(method), ""),
        at=at,
        full_url=str(entry.get("fullUrl") or ""),
        resource=sent if isinstance(sent, dict) else None,
    )
    try:
        if method not in _METHODS:
            raise Refusal(
                Status.BAD_REQUEST, "value", f"a method is one of {', '.join(_METHODS)}", f"{at}.request.method"
            )
        if not isinstance(url, str) or not url:
            raise Refusal(
                Status.BAD_REQUEST,
                "required",
                "say which address: Patient, Patient/1, Patient?identifier=...",
                f"{at}.request.url",
            )
        if method in ("POST", "PUT", "PATCH") and step.resource is None and "$" not in url:
            raise Refusal(
                Status.BAD_REQUEST, "required", "there is nothing to store: give the resource", f"{at}.resource"
            )
    except Refusal as refused:
        if kind == "transaction":
            raise
        step.error = refused
        return step
    path, _, query = url.removeprefix(call.rules.base).strip("/").partition("?")
    headers = {name: value for name, value in call.headers.items() if name not in _HEADERS.values()}
    headers |= {ours: str(asked[theirs]) for theirs, ours in _HEADERS.items() if theirs in asked}
    headers["content-type"] = "application/fhir+json"
    body = write_exact(step.resource) if step.resource else b""
    if method == "PATCH":
        body, headers["content-type"] = _patch(step.resource or {}, at), single.JSON_PATCH
    step.request = Request(method, path, tuple(search.pairs(query)), headers, body)
    step.query = query
    return step


def _patch(resource: Json, at: str) -> bytes:
    """A JSON Patch travels in a Binary."""
    try:
        return b64decode(resource.get("data", ""), validate=True)
    except (TypeError, ValueError):
        raise Refusal(
            Status.BAD_REQUEST, "structure", "a patch is a Binary with the JSON Patch in data", f"{at}.resource.data"
        ) from None


def _alone(step: Step, repository: Repository, perform: Perform, go_on: Callable[[], None]) -> Reply:
    """One entry of a batch: whatever happens to it touches no other."""
    try:
        go_on()
        if step.error:
            raise step.error
        if not step.request.path and step.request.method == "POST":
            nested = "a Bundle within a batch is not carried out"
            raise Refusal(Status.BAD_REQUEST, "not-supported", nested, f"{step.at}.request.url")
        return _fitting(step, perform(step.request, repository))
    except Refusal as refused:
        return said(refused.status, refused.issues)


def _fitting(step: Step, answer: Reply) -> Reply:
    """The answer, if it can stand in a Bundle."""
    if answer.body and JSON not in answer.headers:
        lines = "the answer is no resource: ask for it by itself"
        raise Refusal(Status.NOT_ACCEPTABLE, "not-supported", lines, f"{step.at}.request.url")
    return answer


def _answer(answer: Reply) -> bytes:
    headers = dict(answer.headers)
    response = {"status": str(answer.status)}
    for name, key in ((b"location", "location"), (b"etag", "etag")):
        if name in headers:
            response[key] = headers[name].decode()
    if answer.status >= Status.BAD_REQUEST:
        return b'{"response":' + write_exact(response)[:-1] + b',"outcome":' + answer.body + b"}}"
    resource = b'"resource":' + answer.body + b"," if answer.body else b""
    return b"{" + resource + b'"response":' + write_exact(response) + b"}"


# --- a transaction ----------------------------------------------------------------------------------------------------


def _together(
    call: Call, steps: list[Step], repository: Repository, perform: Perform, go_on: Callable[[], None]
) -> list[Reply]:
    """All of it, or nothing. What needs no look at the record is done before the writer is asked.

    The writer works for nobody else meanwhile: what takes too long is undone.
    """

    def timely(some: Iterable[Any]) -> Iterator[Any]:
        for step in some:
            go_on()
            yield step

    for step in steps:
        _prepare(call, step)
    names = _names(steps)
    for step in timely(_bringing(steps)):
        rename(step.resource, names)
        checked(step.resource, call.rules, f"{step.at}.resource")
        step.found = rows(step.resource)

    def work(unit: Unit) -> list[Reply]:
        _find(call, steps, unit, timely)
        writes = (step for step in sorted(steps, key=_turn) if step.request.method in _WRITES)
        done = {id(step): _do(call, step, unit) for step in timely(writes)}
        for step in timely(_bringing(steps)):
            _refuse_dangling(step, unit)
            if step.query and step.there is None:  # two entries may have meant the same, and both found nothing
                single.only(unit, call.about(step.type), search.pairs(step.query), f"{step.at}.request")
        inside = _Inside(unit)
        return [done[id(step)] if id(step) in done else _look(step, inside, perform) for step in timely(steps)]

    return repository.write(work)


_WRITES = ("DELETE", "POST", "PUT", "PATCH")


def _turn(step: Step) -> int:
    return _METHODS.index(step.request.method)


def _prepare(call: Call, step: Step) -> None:
    """Which resource the step is about, as far as its address says."""
    method, path = step.request.method, step.request.path
    if method not in _WRITES:
        return
    at = f"{step.at}.request.url"
    kind, _, own = path.partition("/")
    if kind not in resource_types() or "/" in own or "$" in path:
        raise Refusal(
            Status.BAD_REQUEST,
            "not-supported",
            "a transaction writes resources of R4: Type, Type/id or Type?criteria",
            at,
        )
    step.type = kind
    if method == "POST":
        if own or step.query:
            raise Refusal(Status.BAD_REQUEST, "invalid", "a POST names the type only", at)
        step.id = call.rules.new_id()
        step.query = step.request.headers.get("if-none-exist", "")
    elif own:
        step.id, step.query = proper_id(own, at), ""
    elif not step.query:
        raise Refusal(Status.BAD_REQUEST, "invalid", "say which resource: Type/id or Type?criteria", at)
    if method in ("POST", "PUT"):
        resource = step.resource or {}
        if resource.get("resourceType") != kind:
            raise Refusal(
                Status.BAD_REQUEST, "invalid", "the resource is not of the type in the address", f"{step.at}.resource"
            )
        if method == "PUT" and own and resource.get("id") != own:
            raise Refusal(
                Status.BAD_REQUEST,
                "invalid",
                "the id in the resource is not the one in the address",
                f"{step.at}.resource.id",
            )
        if method == "PUT" and not own:
            step.named = "id" in resource
            step.id = proper_id(resource["id"], f"{step.at}.resource.id") if step.named else call.rules.new_id()
        resource["id"] = step.id


def _names(steps: list[Step]) -> dict[str, str]:
    """What each entry will be called in the record, by the name that other entries may use for it."""
    names: dict[str, str] = {}
    for step in steps:
        if not step.full_url or not step.type:
            continue
        if step.full_url in names:
            raise Refusal(Status.BAD_REQUEST, "duplicate", "two entries with one fullUrl", f"{step.at}.fullUrl")
        names[step.full_url] = f"{step.type}/{step.id}"
        local = _LOCAL.search(step.full_url)
        if local and local.end() == len(step.full_url) and local[1] == step.type:
            names.setdefault(local[0], f"{step.type}/{step.id}")
    return names


_LINK = re.compile(r"""((?:href|src)=["'])([^"']+)""")


def rename(resource: Json, names: Mapping[str, str]) -> bool:
    """Replace the names of entries by their places in the record, in references, addresses and links; whether any was.

    A text that reads like a name, somebody's identifier for example, stays as it is.
    """
    changed = False
    for holder, at, type_ in list(_addresses({"": resource}, "")):
        value = holder[at]
        new = _linked(value, names) if type_ == "xhtml" else names.get(value, value)
        if new != value and (type_ == _REFERENCE or ":" in value):
            holder[at], changed = new, True
    return changed


_REFERENCE = "Reference.reference"
_ADDRESSES = frozenset({"uri", "url", "xhtml"})  # a place in the record is no OID or UUID; canonical names nothing here


def _addresses(node: Json, type_name: str) -> Iterator[tuple[Any, str | int, str]]:
    """Where an object says the address of something else: what holds it, its key or place there, and its type."""
    known = definitions.by_key(type_name)
    of_itself = "url" if type_name == "Extension" or type_name in resource_types() else ""
    for key, value in node.items():
        bare = key.removeprefix("_")
        type_ = "" if bare not in known else known[bare][1] if bare == key else "Element"
        holder: Any = value if isinstance(value, list) else node
        for at in range(len(value)) if holder is value else (key,):
            item = holder[at]
            if isinstance(item, dict):
                inside = item.get("resourceType", type_)
                if inside == type_ or inside in resource_types():
                    yield from _addresses(item, type_ if inside == type_ else str(inside))
            elif isinstance(item, str):
                if (type_name, key) == ("Reference", "reference"):
                    yield holder, at, _REFERENCE
                elif type_ in _ADDRESSES and key != of_itself:
                    yield holder, at, type_


def _linked(narrative: str, names: Mapping[str, str]) -> str:
    """The narrative with its links and pictures by the new names."""
    return _LINK.sub(lambda link: link[1] + names.get(link[2], link[2]), narrative)


def _find(call: Call, steps: list[Step], unit: Unit, timely: Callable[[Iterable[Any]], Iterator[Any]]) -> None:
    """Look up what is named by criteria, give it its place, and write anew what refers to it."""
    moved: dict[str, str] = {}
    for step in timely(steps):
        if not (step.type and step.query):
            continue
        at = f"{step.at}.request"
        step.there = single.only(unit, call.about(step.type), search.pairs(step.query), at)
        if step.there is None:
            if step.request.method == "PATCH":
                raise Refusal(Status.NOT_FOUND, "not-found", "nothing matches", at)
            continue
        if step.named and step.there.id != step.id:
            raise Refusal(
                Status.BAD_REQUEST,
                "invalid",
                "the id in the resource is not that of the one found",
                f"{step.at}.resource.id",
            )
        moved[f"{step.type}/{step.id}"] = f"{step.type}/{step.there.id}"
        step.id = step.there.id
        if step.resource is not None and step.request.method == "PUT":
            step.resource["id"] = step.id
    for step in timely(_bringing(steps)):
        if rename(step.resource, ChainMap(_searched(call, step, unit), moved)):
            step.found = rows(step.resource)
    _refuse_twice(steps)


def _bringing(steps: Iterable[Step]) -> Iterator[Any]:
    return (s for s in steps if s.request.method in ("POST", "PUT") and s.resource is not None)


def _references(step: Step) -> Iterator[tuple[str, str]]:
    """Where a resource refers to something, and how."""
    for at, node in walk(step.resource, f"{step.at}.resource"):
        if isinstance(node, dict) and isinstance(node.get("reference"), str):
            yield f"{at}.reference", node["reference"]


def _searched(call: Call, step: Step, unit: Unit) -> dict[str, str]:
    """References by criteria (`Patient?identifier=...`), each with the one resource that it means."""
    meant: dict[str, str] = {}
    for at, reference in _references(step):
        asked = _SEARCHED.fullmatch(reference)
        if asked and asked[1] in resource_types():
            there = single.only(unit, call.about(asked[1]), search.pairs(asked[2]), at)
            if there is None:
                raise Refusal(
                    Status.PRECONDITION_FAILED,
                    "not-found",
                    "no resource matches this reference: nothing was stored",
                    at,
                )
            meant[reference] = f"{there.type}/{there.id}"
    return meant


def _refuse_twice(steps: Iterable[Step]) -> None:
    seen = set()
    for step in steps:
        if step.type and not (step.there and step.request.method == "POST"):
            if (step.type, step.id) in seen:
                raise Refusal(
                    Status.BAD_REQUEST,
                    "duplicate",
                    "another entry writes this resource too: keep one",
                    f"{step.at}.request",
                )
            seen.add((step.type, step.id))


def _refuse_dangling(step: Step, unit: Unit) -> None:
    """A reference to nothing: to no entry, and to nothing in the record."""
    for at, reference in _references(step):
        local = _LOCAL.fullmatch(reference)
        there = unit.read(local[1], local[2]) if local and local[1] in resource_types() else None
        if reference.startswith("urn:") or (local and (there is None or there.content is None)):
            said = "refers to nothing here: send it in the same transaction, or name what is stored"
            raise Refusal(Status.BAD_REQUEST, "not-found", said, at)


def _do(call: Call, step: Step, unit: Unit) -> Reply:
    """Write what the step brings."""
    wanted = version_wanted(replace(call, headers=step.request.headers))
    here = replace(call, type=step.type, id=step.id, headers=step.request.headers, body=step.request.body)
    match step.request.method:
        case "DELETE":
            there = not step.query or step.there
            return single.gone(single.remove(unit, step.type, step.id, wanted) if there else None)
        case "PATCH":
            return written(here, single.patch_within(unit, here, single.current(unit, step.type, step.id)), Status.OK)
        case "POST" if step.there:
            return written(here, step.there, Status.OK)
        case "POST":
            return written(here, unit.put(step.resource or {}, step.found), Status.CREATED)
        case _:
            fresh = single.wants_none(step.request.headers)
            return written(here, *single.put(unit, step.resource or {}, step.found, wanted, fresh=fresh))


class _Inside:
    """The unit as a repository: what a transaction reads, it reads after its own writes."""

    quick = False

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        yield self._unit

    def write(self, work: Callable[[Unit], Any]) -> Any:  # noqa: ARG002
        raise Refusal(Status.BAD_REQUEST, "not-supported", "a GET in a transaction only reads")

    def submit(self, work: Callable[[Unit], Any], done: Callable[..., None]) -> None:  # noqa: ARG002
        self.write(work)

    def close(self) -> None:
        """Nothing to close: the unit belongs to the writer."""


def _look(step: Step, inside: Repository, perform: Perform) -> Reply:
    answer = _fitting(step, perform(step.request, inside))
    if answer.status >= Status.BAD_REQUEST:
        raise Refusal(answer.status, "not-found", "cannot be read: nothing was stored", f"{step.at}.request")
    return answer
