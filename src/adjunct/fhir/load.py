"""Bulk loading: NDJSON into a store, many resources to a commit; what cannot be stored is told line by line.

A Bundle is done as the interface does it: a transaction whole or not at all, with its references led to what is stored.
What only collects resources is taken as a transaction that writes each of them.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http import HTTPStatus as Status
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from adjunct.base import BadInput
from adjunct.fhir.indexing import Rows, rows
from adjunct.fhir.outcome import Issue, Refusal
from adjunct.fhir.repository import Repository, Unit
from adjunct.fhir.rest import Request, Service, handle
from adjunct.fhir.rest.call import Rules, checked, proper_id
from adjunct.fhir.wire import MAX_BYTES, Json, listed, mapped, read_exact, write_exact

GROUP = 1_000  # resources in one commit
_COLLECTING = ("collection", "searchset", "document")
_DONE = "2"  # how the status of what was done begins


class Line(NamedTuple):
    """A line that was not stored, and why."""

    source: str
    number: int
    issues: tuple[Issue, ...]


class Loaded(NamedTuple):
    """How many are stored now, and which lines are not."""

    stored: int
    refused: tuple[Line, ...]


def load(
    repository: Repository,
    sources: Iterable[tuple[str, Iterable[bytes]]],
    rules: Rules,
    *,
    progress: Callable[[int], None],
) -> Loaded:
    """Store every line of every source as the newest version of its resource; one without an id gets one."""
    stored, refused = 0, list[Line]()
    read = _read(sources, rules, refused)
    while group := list(islice(read, GROUP)):
        repository.write(lambda unit, group=group: _put(unit, group))  # type: ignore[misc]
        stored += len(group)
        progress(stored)
    return Loaded(stored, tuple(refused))


def _put(unit: Unit, group: Iterable[tuple[Json, Rows]]) -> None:
    for document, found in group:
        unit.put(document, found)


def _read(
    sources: Iterable[tuple[str, Iterable[bytes]]], rules: Rules, refused: list[Line]
) -> Iterator[tuple[Json, Rows]]:
    for name, lines in sources:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield _one(line, rules)
            except Refusal as wrong:
                refused.append(Line(name, number, wrong.issues))
            except BadInput as wrong:
                refused.append(Line(name, number, (Issue("error", "structure", str(wrong), wrong.at),)))


def _one(line: bytes, rules: Rules) -> tuple[Json, Rows]:
    document = read_exact(line)
    if not isinstance(document, dict):
        raise BadInput("not a resource: one JSON object a line", "$")
    document["id"] = proper_id(document["id"], "id") if "id" in document else rules.new_id()
    checked(document, rules)
    return document, rows(document)


# --- files ------------------------------------------------------------------------------------------------------------


def load_file(service: Service, path: Path, *, progress: Callable[[int], None]) -> Loaded:
    """Load a file: `.ndjson`, or `.json` with a Bundle or one resource; either may end in `.gz`.

    Raises `BadInput` for another ending, and where the file cannot be read to its end; lines before that are stored.
    """
    kind = _kind(path)
    if kind == ".ndjson":
        return load(service.repository, [(path.name, _lines(path))], service.rules, progress=progress)
    text = _text(path)
    with suppress(BadInput):  # what is no JSON is told below, as of any line
        bundle = mapped(read_exact(text))
        if bundle.get("resourceType") == "Bundle":
            done = _bundle(service, bundle, path.name)
            progress(done.stored)
            return done
    return load(service.repository, [(path.name, [text])], service.rules, progress=progress)


def _kind(path: Path) -> str:
    kind = Path(path.name.removesuffix(".gz")).suffix
    if kind not in (".ndjson", ".json"):
        raise BadInput("name files that end in .ndjson or .json, or either with .gz", path.name)
    return kind


def _text(path: Path) -> bytes:
    """The file, as far as it can be one document: a small compressed one may hold any number of bytes."""
    text = bytearray()
    for line in _lines(path):
        text += line
        if len(text) > MAX_BYTES:
            break
    return bytes(text)


def _lines(path: Path) -> Iterator[bytes]:
    """Its lines; one that is too long for a document in pieces, each of which will be refused."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from iter(partial(file.readline, MAX_BYTES + 1), b"")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise BadInput("torn, or not compressed by gzip: what came before is stored", path.name) from None
    except OSError as error:
        raise BadInput(f"the file cannot be read ({error.strerror})", path.name) from None


def _bundle(service: Service, bundle: Json, name: str) -> Loaded:
    entries = [mapped(entry) for entry in listed(bundle.get("entry"))]
    if bundle.get("type") in _COLLECTING:
        entries = [_write_of(entry) for entry in entries if "resource" in entry]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    rules = replace(service.rules, entry_limit=max(1, len(entries)))
    reply = handle(Request("POST", "", body=write_exact(bundle)), service._replace(rules=rules))
    said = mapped(read_exact(reply.body))
    if reply.status != Status.OK:
        return Loaded(0, (Line(name, 1, _issues(said)),))
    done = [mapped(mapped(entry).get("response")) for entry in listed(said.get("entry"))]
    wrong = (_issues(mapped(r.get("outcome"))) for r in done if not str(r.get("status")).startswith(_DONE))
    refused = tuple(Line(name, 1, issues) for issues in wrong)
    return Loaded(len(done) - len(refused), refused)


def _write_of(entry: Json) -> Json:
    resource = mapped(entry["resource"])
    kind, own = str(resource.get("resourceType")), resource.get("id")
    request = {"method": "POST", "url": kind} if own is None else {"method": "PUT", "url": f"{kind}/{own}"}
    return {**({"fullUrl": entry["fullUrl"]} if "fullUrl" in entry else {}), "resource": resource, "request": request}


def _issues(outcome: Json) -> tuple[Issue, ...]:
    issues = [mapped(issue) for issue in listed(outcome.get("issue"))]
    return tuple(
        Issue(i["severity"], i["code"], i.get("diagnostics", ""), (i.get("expression") or [""])[0]) for i in issues
    )
