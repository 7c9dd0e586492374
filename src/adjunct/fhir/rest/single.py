"""One resource at a time: read, create, update, patch, delete, each also by a search that must find one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus as Status
from typing import Any

import jsonpatch

from adjunct.fhir import search
from adjunct.fhir.indexing import rows
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Reader, Repository, Stored, Unit
from adjunct.fhir.rest.call import (
    VERSION,
    Call,
    Reply,
    checked,
    document,
    named,
    proper_id,
    reply,
    unchanged,
    version_wanted,
    written,
)
from adjunct.fhir.wire import Json, mapped, read_exact, walk, write_exact

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
PATCHES = (JSON_PATCH, MERGE_PATCH, "application/json")  # the last is how clients send a merge patch that do not say so
PATCH_LIMIT = 1000  # operations
COPIED_BYTES = 1024 * 1024  # by all copy operations of a patch: each can double what is there


def read(call: Call, repository: Repository) -> Reply:
    """One resource as it is now."""
    unknown = {name for name, _ in call.query} - _READ
    if unknown and call.strict:
        said = f"a read takes {', '.join(sorted(_READ))}"
        raise Refusal(Status.BAD_REQUEST, "not-supported", said, min(unknown))
    with repository.reading() as record:
        found = current(record, call.type, call.id)
    if unchanged(call, found):
        return Reply(Status.NOT_MODIFIED, named(found))
    return reply(Status.OK, search.shortened(found.content or b"", found.type, call.query), *named(found))


_READ = frozenset({"_summary", "_elements", "_format", "_pretty"})


def vread(call: Call, repository: Repository) -> Reply:
    """One version of a resource."""
    if not VERSION.fullmatch(call.rest):
        raise Refusal(Status.NOT_FOUND, "not-found", "no such version: versions are counted from 1", "_history")
    with repository.reading() as record:
        found = record.vread(call.type, call.id, int(call.rest))
    if found is None:
        raise Refusal(Status.NOT_FOUND, "not-found", f"no such version of this {call.type}", "_history")
    if found.content is None:
        raise Refusal(Status.GONE, "deleted", f"this {call.type} was deleted by this version", "id")
    if unchanged(call, found):
        return Reply(Status.NOT_MODIFIED, named(found))
    return reply(Status.OK, found.content, *named(found))


def current(record: Reader, type: str, id: str) -> Stored:
    """The newest version; refuses where there is none, and says so differently where there was one."""
    found = record.read(type, id)
    if found is None:
        raise Refusal(Status.NOT_FOUND, "not-found", f"no {type} with this id", "id")
    if found.content is None:
        raise Refusal(Status.GONE, "deleted", f"this {type} was deleted; its history is kept", "id")
    return found


Work = Callable[[Unit], tuple[Stored, int]]  # gives what is stored then, and the status that says how


def create(call: Call, repository: Repository) -> Reply:
    """A new resource under an id of ours; none if `If-None-Exist` finds one."""
    return written(call, *repository.write(creating(call)))


def update(call: Call, repository: Repository) -> Reply:
    """The next version of a resource, or its first under an id that the client chose."""
    return written(call, *repository.write(updating(call)))


def creating(call: Call) -> Work:
    """What a create has to do in the record; all else is done."""
    sent = document(call)
    query = _unless(call)
    _refuse_criteria(sent, call)
    sent["id"] = call.rules.new_id()
    checked(sent, call.rules)
    found = rows(sent)

    def work(unit: Unit) -> tuple[Stored, int]:
        if query is not None and (there := only(unit, call, query, "If-None-Exist")):
            return there, Status.OK
        return unit.put(sent, found), Status.CREATED

    return work


def _unless(call: Call) -> search.Pairs | None:
    """What must not be there yet: in `If-None-Exist`, or in the address, where some clients write it."""
    said = call.headers.get("if-none-exist", "")
    if "if-none-exist" in call.headers and not said.strip():
        raise Refusal(
            Status.PRECONDITION_FAILED, "multiple-matches", "no criteria: say which resource", "If-None-Exist"
        )
    address = tuple(pair for pair in call.query if pair[0] not in ("_format", "_pretty"))
    if said and address:
        twice = "criteria in the address and in the header: write them in one place"
        raise Refusal(Status.BAD_REQUEST, "invalid", twice, "If-None-Exist")
    return search.pairs(said) if said else address or None


def _refuse_criteria(sent: Json, call: Call) -> None:
    """A reference by criteria is looked up in a transaction only; stored as it is it would lead nowhere."""
    if b"?" not in call.body:
        return
    nodes: Iterator[tuple[str, Any]] = walk(sent)
    for at, node in nodes:
        reference = node.get("reference") if isinstance(node, dict) else None
        if isinstance(reference, str) and _CRITERIA.match(reference):
            said = "a reference by criteria is looked up in a transaction: send one, or name the resource"
            raise Refusal(Status.BAD_REQUEST, "not-supported", said, f"{at}.reference")


_CRITERIA = re.compile(r"[A-Z][A-Za-z]{2,63}\?")


def updating(call: Call) -> Work:
    """What an update has to do in the record; all else is done."""
    sent = document(call)
    if "id" not in sent:
        raise Refusal(
            Status.BAD_REQUEST, "required", "no id: an update names the resource in the body too", f"{call.type}.id"
        )
    if proper_id(sent["id"], f"{call.type}.id") != call.id:
        raise Refusal(
            Status.BAD_REQUEST, "invalid", "the id in the body is not the one in the address", f"{call.type}.id"
        )
    _refuse_criteria(sent, call)
    checked(sent, call.rules)
    found, wanted, fresh = rows(sent), version_wanted(call), wants_none(call.headers)
    return lambda unit: put(unit, sent, found, wanted, fresh=fresh)


def wants_none(headers: Mapping[str, str]) -> bool:
    """`If-None-Match: *` on a write: only if there is nothing yet."""
    return headers.get("if-none-match", "").strip() == "*"


def put(unit: Unit, sent: Json, found: Any, wanted: int | None, *, fresh: bool = False) -> tuple[Stored, int]:
    """The next version, if the one before it is the one wanted, or (`fresh`) if there is none; 201 where none was."""
    there = unit.read(sent["resourceType"], sent["id"])
    matched(there, wanted)
    alive = there is not None and there.content is not None
    if alive and fresh:
        raise Refusal(
            Status.PRECONDITION_FAILED, "conflict", "it is there already: nothing was stored", "If-None-Match"
        )
    return unit.put(sent, found), Status.OK if alive else Status.CREATED


def matched(there: Stored | None, wanted: int | None) -> None:
    """Refuse if somebody else wrote since the client looked."""
    if wanted is not None and (there is None or there.version != wanted):
        now = f"version {there.version} is there now" if there else "there is none"
        raise Refusal(
            Status.PRECONDITION_FAILED,
            "conflict",
            f"not the version you know: {now}; read it, and decide again",
            "If-Match",
        )


def patch(call: Call, repository: Repository) -> Reply:
    """The next version, by a JSON Patch or a merge patch."""
    return _patch(call, repository, lambda record: current(record, call.type, call.id))


def _patch(call: Call, repository: Repository, target: Callable[[Reader], Stored]) -> Reply:
    """The work is done before the writer is asked; again, by the writer, only if somebody else was sooner."""
    with repository.reading() as record:
        before = target(record)
    after = _after(call, before)
    found = rows(after)

    def work(unit: Unit) -> Stored:
        there = target(unit)
        return unit.put(after, found) if there.key == before.key else patch_within(unit, call, there)

    return written(call, repository.write(work), Status.OK)


def patch_within(unit: Unit, call: Call, there: Stored) -> Stored:
    """The next version of what is there, after the patch in the body."""
    after = _after(call, there)
    return unit.put(after, rows(after))


def _after(call: Call, there: Stored) -> Json:
    """What is there, after the patch in the body; refuses what is no patch, and what would not be valid R4."""
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in PATCHES:
        said = f"a patch is {JSON_PATCH} or {MERGE_PATCH}"
        raise Refusal(Status.UNSUPPORTED_MEDIA_TYPE, "not-supported", said, "Content-Type")
    steps = read_exact(call.body)
    if kind != JSON_PATCH and not isinstance(steps, dict):
        raise Refusal(Status.BAD_REQUEST, "structure", f"a merge patch is an object: a list is {JSON_PATCH}", "$")
    if kind == JSON_PATCH and (not isinstance(steps, list) or len(steps) > PATCH_LIMIT):
        raise Refusal(
            Status.BAD_REQUEST, "structure", f"a JSON Patch is a list of at most {PATCH_LIMIT} operations", "$"
        )
    matched(there, version_wanted(call))
    before = content_of(there)
    after = patched(before, steps) if isinstance(steps, list) else merged(before, steps)
    if after.get("resourceType") != there.type or after.get("id") != there.id:
        raise Refusal(
            Status.UNPROCESSABLE_ENTITY, "business-rule", "a patch cannot change what a resource is or its id", "$"
        )
    _refuse_criteria(after, call)
    checked(after, call.rules)
    return after


def patched(document: Any, steps: list[Any]) -> Json:
    """The document, changed by a JSON Patch (RFC 6902); refuses what cannot be applied, naming the operation."""
    copied = 0
    for i, step in enumerate(steps):
        try:
            if step["op"] == "copy":
                copied += len(write_exact(jsonpatch.JsonPointer(step["from"]).resolve(document, None)))
                if copied > COPIED_BYTES:
                    said = f"copies more than {COPIED_BYTES} bytes: send the resource as you want it"
                    raise Refusal(Status.REQUEST_ENTITY_TOO_LARGE, "too-costly", said, f"[{i}]")
            document = jsonpatch.JsonPatch([step]).apply(document, in_place=True)
        except jsonpatch.JsonPatchTestFailed:
            raise Refusal(
                Status.UNPROCESSABLE_ENTITY, "conflict", "the test does not hold: read the resource again", f"[{i}]"
            ) from None
        except jsonpatch.JsonPatchConflict:
            raise Refusal(
                Status.UNPROCESSABLE_ENTITY, "not-found", "there is nothing at this path", f"[{i}].path"
            ) from None
        except _NO_PATCH:
            raise Refusal(
                Status.BAD_REQUEST, "structure", "not an operation of JSON Patch that fits here", f"[{i}]"
            ) from None
    if not isinstance(document, dict):
        raise Refusal(Status.UNPROCESSABLE_ENTITY, "structure", "what is left is not a resource", "$")
    try:
        text = write_exact(document)
    except TypeError:
        raise Refusal(Status.UNPROCESSABLE_ENTITY, "structure", "what is left is nested too deeply", "$") from None
    return mapped(read_exact(text))  # a patch can build what no body may hold


_NO_PATCH = (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, LookupError, TypeError, ValueError)


def merged(document: object, patch: object) -> Any:
    """The document after a JSON Merge Patch (RFC 7396).

    >>> merged({"name": [1], "active": True, "photo": {"a": 1}}, {"name": [2], "active": None, "photo": {"b": 2}})
    {'name': [2], 'photo': {'a': 1, 'b': 2}}
    """
    if not isinstance(patch, dict):
        return patch
    after = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = merged(after.get(name), value)
    return after


def delete(call: Call, repository: Repository) -> Reply:
    """A version that says it is gone; what was stays in the history."""
    wanted = version_wanted(call)
    return gone(repository.write(lambda unit: remove(unit, call.type, call.id, wanted)))


def remove(unit: Unit, type: str, id: str, wanted: int | None) -> Stored | None:
    """Delete within a unit, if it is the version wanted."""
    if wanted is not None:
        matched(unit.read(type, id), wanted)
    return unit.delete(type, id)


def gone(stored: Stored | None) -> Reply:
    """The answer to a deletion."""
    return Reply(Status.NO_CONTENT, named(stored) if stored else ())


# --- by a search that must find one -----------------------------------------------------------------------------------


def only(record: Reader, call: Call, query: search.Pairs, at: str = "") -> Stored | None:
    """The one resource that the search finds, or none; refuses where it could mean several."""
    asked = search.parse(call.type, query, strict=True, now=call.rules.clock(), count=2)
    if not asked.search.where:
        raise Refusal(
            Status.PRECONDITION_FAILED, "multiple-matches", "no criteria: say which resource is meant", at or call.type
        )
    found = record.search(asked.search).matches
    if len(found) > 1:
        raise Refusal(
            Status.PRECONDITION_FAILED,
            "multiple-matches",
            "more than one resource matches: nothing was changed",
            at or call.type,
        )
    return found[0] if found else None


def update_found(call: Call, repository: Repository) -> Reply:
    """Update what a search finds; create where it finds nothing."""
    sent = document(call)
    own = proper_id(sent["id"], f"{call.type}.id") if "id" in sent else ""
    wanted = version_wanted(call)
    _refuse_criteria(sent, call)
    checked({**sent, "id": own or "new"}, call.rules)

    def work(unit: Unit) -> tuple[Stored, int]:
        there = only(unit, call, call.query)
        if there and own and there.id != own:
            raise Refusal(
                Status.BAD_REQUEST, "invalid", "the id in the body is not that of the resource found", f"{call.type}.id"
            )
        sent["id"] = there.id if there else own or call.rules.new_id()
        return put(unit, sent, rows(sent), wanted)

    return written(call, *repository.write(work))


def patch_found(call: Call, repository: Repository) -> Reply:
    """Patch the one resource that a search finds."""

    def target(record: Reader) -> Stored:
        there = only(record, call, call.query)
        if there is None:
            raise Refusal(Status.NOT_FOUND, "not-found", "nothing matches: nothing was changed", call.type)
        return there

    return _patch(call, repository, target)


def delete_found(call: Call, repository: Repository) -> Reply:
    """Delete the one resource that a search finds, if there is one."""
    wanted = version_wanted(call)

    def work(unit: Unit) -> Stored | None:
        there = only(unit, call, call.query)
        return remove(unit, there.type, there.id, wanted) if there else None

    return gone(repository.write(work))


def content_of(stored: Stored) -> Json:
    """The resource, every number as written."""
    read = read_exact(stored.content or b"")
    assert isinstance(read, dict)
    return read
