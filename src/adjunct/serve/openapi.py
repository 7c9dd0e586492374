"""What is served as OpenAPI, made from the CapabilityStatement and the operations: there is no second list to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adjunct.fhir.rest import Operation
from adjunct.fhir.rest.call import Level

Json = dict[str, Any]

_FHIR, _LINES = "application/fhir+json", "application/fhir+ndjson"
_PATCH = "application/json-patch+json"
_RESOURCE = {"$ref": "#/components/schemas/Resource"}
_RESPONSES: Mapping[str, Json] = {
    "Answer": {"description": "as FHIR R4 says", "content": {_FHIR: {"schema": _RESOURCE}}},
    "Done": {"description": "as its definition says", "content": {_FHIR: {"schema": _RESOURCE}, _LINES: {}}},
    "Nothing": {"description": "done, or known already: no body"},
    "Outcome": {
        "description": "why not",
        "content": {_FHIR: {"schema": {"allOf": [_RESOURCE, {"properties": {"issue": {"minItems": 1}}}]}}},
    },
}
_REFUSED = {s: {"$ref": "#/components/responses/Outcome"} for s in ("4XX", "503", "504", "507")}
_DONE: Mapping[str, tuple[str, ...]] = {
    "create": ("200", "201"),
    "update": ("200", "201"),
    "delete": ("204",),
    "read": ("200", "304"),
    "vread": ("200", "304"),
}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}}
_VERSION = {
    "name": "version",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"},
}
_PAGED = ["_count", "_cursor"]

#: Interaction of a type -> where it is asked: the path below the type, and the HTTP method.
_OF_TYPE: Mapping[str, tuple[str, str]] = {
    "search-type": ("", "get"),
    "create": ("", "post"),
    "history-type": ("/_history", "get"),
    "read": ("/{id}", "get"),
    "update": ("/{id}", "put"),
    "patch": ("/{id}", "patch"),
    "delete": ("/{id}", "delete"),
    "history-instance": ("/{id}/_history", "get"),
    "vread": ("/{id}/_history/{version}", "get"),
}


def describe(capabilities: Json, operations: Mapping[tuple[Level, str], Operation], base: str, version: str) -> Json:
    """OpenAPI 3.1 for the interactions that the CapabilityStatement names, and for the operations, below `base`."""
    rest = capabilities["rest"][0]
    paths: dict[str, Json] = {f"{base}/metadata": {"get": _operation("capabilities", "What is served")}}
    names = set(_PAGED)
    for code in (entry["code"] for entry in rest.get("interaction", ())):
        if code in ("batch", "transaction"):
            paths.setdefault(base, {})["post"] = _operation(code, "Many interactions in one request", "Bundle")
        elif code == "search-system":
            paths.setdefault(base, {})["get"] = _operation(code, "Search in every type", queries=_PAGED)
        elif code == "history-system":
            paths[f"{base}/_history"] = {"get": _operation(code, "Every version", queries=_PAGED)}
    for resource in rest["resource"]:
        kind, searched = resource["type"], [p["name"] for p in resource.get("searchParam", ())]
        names.update(searched)
        for code, (below, method) in _of(resource):
            queries = searched + _PAGED if code == "search-type" else _PAGED if "history" in code else []
            body = kind if method in ("post", "put") else "Patch" if method == "patch" else ""
            made = _operation(f"{code}-{kind}", f"{code} {kind}", body, queries, below, _DONE.get(code, ("200",)))
            paths.setdefault(f"{base}/{kind}{below}", {})[method] = made
    for (level, name), operation in operations.items():
        kinds = operation.types or [resource["type"] for resource in rest["resource"]]
        for place in [""] if level == "system" else [f"/{kind}{'/{id}' * (level == 'instance')}" for kind in kinds]:
            paths[f"{base}{place}/{name}"] = {
                method.lower(): _performed(f"{name}{place}", method, place) for method in operation.methods
            }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Adjunct: FHIR R4", "version": version},
        "paths": paths,
        "components": {
            "parameters": {name: {"name": name, "in": "query", "schema": {"type": "string"}} for name in sorted(names)},
            "responses": _RESPONSES,
            "schemas": {
                "Resource": {
                    "type": "object",
                    "required": ["resourceType"],
                    "properties": {"resourceType": {"type": "string"}},
                },
                "Patch": {"type": "array", "items": {"type": "object", "required": ["op", "path"]}},
            },
        },
    }


def _of(resource: Json) -> Iterator[tuple[str, tuple[str, str]]]:
    served = {entry["code"] for entry in resource.get("interaction", ())}
    return ((code, where) for code, where in _OF_TYPE.items() if code in served)


def _performed(name: str, method: str, place: str) -> Json:
    """A `$operation`; what it takes is told by its definition."""
    answers = {status: {"$ref": "#/components/responses/Done"} for status in ("200", "202")}
    made: Json = {"operationId": f"{method} {name}", "summary": name, "responses": answers | _REFUSED}
    if "{id}" in place:
        made["parameters"] = [_ID]
    if method == "POST":
        made["requestBody"] = {"content": {_FHIR: {"schema": {"type": "object"}}}}  # $validate answers whatever it is
    return made


def _operation(
    name: str,
    summary: str,
    body: str = "",
    queries: list[str] | None = None,
    below: str = "",
    done: tuple[str, ...] = ("200",),
) -> Json:
    """One operation. Parameters that repeat or carry a modifier are told by FHIR, not by OpenAPI."""
    answers = {s: f"#/components/responses/{'Nothing' if s in ('204', '304') else 'Answer'}" for s in done}
    made: Json = {
        "operationId": name,
        "summary": summary,
        "responses": {status: {"$ref": answer} for status, answer in answers.items()} | _REFUSED,
    }
    given: list[Json] = [{"$ref": f"#/components/parameters/{query}"} for query in queries or ()]
    given += [parameter for parameter in (_ID, _VERSION) if f"{{{parameter['name']}}}" in below]
    if given:
        made["parameters"] = given
    if body == "Patch":
        made["requestBody"] = {
            "required": True,
            "content": {_PATCH: {"schema": {"$ref": "#/components/schemas/Patch"}}},
        }
    elif body:
        typed = {"allOf": [_RESOURCE, {"properties": {"resourceType": {"const": body}}}]}
        made["requestBody"] = {"required": True, "content": {_FHIR: {"schema": typed}}}
    return made
