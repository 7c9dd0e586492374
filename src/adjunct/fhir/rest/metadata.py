"""What this server does, said by what it does: the CapabilityStatement is made from the routes and the definitions."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus as Status
from importlib.metadata import version

from adjunct.fhir import profiles
from adjunct.fhir.definitions import parameters, resource_types
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.repository import Repository, timestamp
from adjunct.fhir.rest.call import Call, Reply, Rules, reply
from adjunct.fhir.rest.operations import offered
from adjunct.fhir.rest.single import JSON_PATCH, MERGE_PATCH
from adjunct.fhir.search.conditions import leads_on
from adjunct.fhir.wire import Json, write_exact

_TYPE = ("read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type")
_SYSTEM = ("transaction", "batch", "search-system", "history-system")


def metadata(call: Call, repository: Repository) -> Reply:  # noqa: ARG001  every handler has this shape
    """The CapabilityStatement."""
    if dict(call.query).get("mode", "full") not in ("full", "normative"):
        raise Refusal(Status.BAD_REQUEST, "not-supported", "only mode=full is served", "mode")
    return reply(Status.OK, _written(_Key(call.rules)))


class _Key:
    """The rules by identity: they do not change while a server runs."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def __hash__(self) -> int:
        return id(self.rules)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.rules is self.rules


@lru_cache(maxsize=2)
def _written(key: _Key) -> bytes:
    return write_exact(statement(key.rules))


def statement(rules: Rules) -> Json:
    """The CapabilityStatement as a resource."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": timestamp(rules.clock()),
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["json", "application/fhir+json"],
        "patchFormat": [JSON_PATCH, MERGE_PATCH],
        "software": {"name": "Adjunct", "version": version("adjunct")},
        "implementation": {"description": "One record of supervised care, FHIR R4", "url": rules.base},
        "rest": [
            {
                "mode": "server",
                "resource": [_resource(rules, kind) for kind in sorted(resource_types())],
                "interaction": [{"code": code} for code in _SYSTEM],
                "operation": _operations(rules, "system"),
            }
        ],
    }


def _resource(rules: Rules, kind: str) -> Json:
    known = parameters(kind).values()
    references = [f"{kind}:{p.name}" for p in known if leads_on(p)]
    return {
        "type": kind,
        "interaction": [{"code": code} for code in _TYPE],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "referencePolicy": ["literal", "local"],
        **({"supportedProfile": shown} if (shown := _profiles(kind)) else {}),
        **({"searchInclude": references} if references else {}),
        "searchParam": [{"name": p.name, "type": p.type, **({"definition": p.url} if p.url else {})} for p in known],
        **({"operation": found} if (found := _operations(rules, kind)) else {}),
    }


def _profiles(kind: str) -> list[str]:
    return [url for url, profile in profiles.known().items() if profile.type == kind]


def _operations(rules: Rules, kind: str) -> list[Json]:
    """The operations of the system, or of a type."""
    return [
        {"name": name.removeprefix("$"), "definition": operation.definition}
        for (level, name), operation in sorted(offered(rules).items())
        if (level == "system") == (kind == "system") and (not operation.types or kind in operation.types)
    ]
