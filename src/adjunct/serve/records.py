"""A person's record out of the store, as the other rooms read it, and what they publish back into it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from http import HTTPStatus
from typing import Any

from adjunct.base import BadInput
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Reader, Repository
from adjunct.fhir.rest import Request, Service, handle
from adjunct.fhir.rest.bundles import rename
from adjunct.fhir.rest.listing import person
from adjunct.fhir.wire import Json, listed, mapped, read_exact, write_exact


def bundle_of(repository: Repository, patient: str) -> bytes:
    """Everything about one person, as one collection Bundle. Raises `BadInput` where there is nobody with this id."""
    try:
        with repository.reading() as record:
            parts = [b'{"resource":' + (stored.content or b"") + b"}" for stored in person(record, patient)]
    except Refusal:
        raise BadInput("there is nobody with this id in the record", "Patient") from None
    return b'{"resourceType":"Bundle","type":"collection","entry":[' + b",".join(parts) + b"]}"


def keep(service: Service, published: Mapping[str, Any]) -> tuple[str, ...]:
    """Store what a room published (a collection, every resource with its id), whole or not at all.

    What is there already, word for word, is not written again. The references of what was written.
    """
    entries = [mapped(entry) for entry in listed(published.get("entry"))]
    resources = [deepcopy(mapped(entry["resource"])) for entry in entries]
    names = {str(e["fullUrl"]): _address(r) for e, r in zip(entries, resources, strict=True) if e.get("fullUrl")}
    for resource in resources:
        rename(resource, names)  # as it will be stored: else it could not be compared with what is there
    with service.repository.reading() as record:
        fresh = [resource for resource in resources if not _there(record, resource)]
    if not fresh:
        return ()
    requests = [{"resource": r, "request": {"method": "PUT", "url": _address(r)}} for r in fresh]
    body = write_exact({"resourceType": "Bundle", "type": "transaction", "entry": requests})
    reply = handle(Request("POST", "", headers={"prefer": "return=minimal"}, body=body), service)
    if reply.status != HTTPStatus.OK:
        issue = mapped(listed(mapped(read_exact(reply.body)).get("issue"))[0])
        raise BadInput(str(issue.get("diagnostics")), str((listed(issue.get("expression")) or ["Bundle"])[0]))
    return tuple(map(_address, fresh))


def _address(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _there(record: Reader, resource: Json) -> bool:
    stored = record.read(str(resource["resourceType"]), str(resource["id"]))
    if stored is None or stored.content is None:
        return False
    old, new = mapped(read_exact(stored.content)), dict(resource)
    return _without_version(old) == _without_version(new)


def _without_version(resource: Json) -> Json:
    kept = {k: v for k, v in mapped(resource.get("meta")).items() if k not in ("versionId", "lastUpdated")}
    return {**{k: v for k, v in resource.items() if k != "meta"}, **({"meta": kept} if kept else {})}
