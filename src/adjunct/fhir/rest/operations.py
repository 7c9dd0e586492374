"""Operations: `$validate` and `$everything`, and those that the server was given."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus as Status

from adjunct.fhir.outcome import Issue, Refusal
from adjunct.fhir.repository import Repository
from adjunct.fhir.rest.call import Call, Level, Operation, Reply, Rules, said
from adjunct.fhir.rest.listing import everything
from adjunct.fhir.rest.single import content_of, current
from adjunct.fhir.wire import Json, listed, mapped, read_exact, write_exact

_SPEC = "http://hl7.org/fhir/OperationDefinition"


def offered(rules: Rules) -> Mapping[tuple[Level, str], Operation]:
    """Every operation by its level and name."""
    return {**_OWN, **rules.operations}


def operate(call: Call, repository: Repository) -> Reply:
    """Do an operation, or say which there are."""
    level: Level = "instance" if call.id else "type" if call.type else "system"
    there = offered(call.rules)
    operation = there.get((level, call.rest))
    if operation is None or (operation.types and call.type not in operation.types):
        fitting = sorted(n for (at, n), o in there.items() if at == level and (not o.types or call.type in o.types))
        known = ", ".join(fitting) or "none"
        raise Refusal(Status.NOT_FOUND, "not-supported", f"not an operation of this address; there is {known}", "url")
    if call.method not in operation.methods:
        allowed = ", ".join(operation.methods)
        issue = Issue("error", "not-supported", f"this operation takes {allowed}")
        return said(Status.METHOD_NOT_ALLOWED, [issue], (b"allow", allowed.encode()))
    return operation.handler(call, repository)


def given(call: Call) -> list[tuple[str, str]]:
    """The simple parameters of an operation: those of the query, then those of a Parameters resource in the body."""
    pairs = [pair for pair in call.query if pair[0] not in ("_format", "_pretty")]
    if not call.body:
        return pairs
    body = mapped(read_exact(call.body))
    if body.get("resourceType") != "Parameters":
        raise Refusal(Status.BAD_REQUEST, "structure", "send Parameters, or nothing", "$")
    for part in map(mapped, listed(body.get("parameter"))):
        value = next((v for k, v in part.items() if k.startswith("value")), None)
        value = mapped(value).get("reference", value)
        text = str(value).lower() if isinstance(value, bool) else value
        if not isinstance(text, str):
            raise Refusal(Status.BAD_REQUEST, "value", "every parameter here is a text", "Parameters.parameter")
        pairs.append((str(part.get("name")), text))
    return pairs


def _validate(call: Call, repository: Repository) -> Reply:
    """Say everything that is wrong with a resource, and store nothing. What was found is the answer: always 200."""
    if call.method == "GET" or (call.id and not call.body):
        with repository.reading() as record:
            sent = content_of(current(record, call.type, call.id))
        profiles = [value for name, value in call.query if name == "profile"]
    else:
        sent, profiles = _to_validate(call)
    if profiles:
        sent = {**sent, "meta": {**mapped(sent.get("meta")), "profile": profiles}}
    issues = list(call.rules.check(sent, write_exact(sent)))
    if call.type and sent.get("resourceType") != call.type:
        issues.append(Issue("error", "invalid", f"this address validates a {call.type}", "resourceType"))
    return said(Status.OK, issues)


def _to_validate(call: Call) -> tuple[Json, list[str]]:
    """The resource in the body, alone or as a parameter, and the profiles that it shall be held against."""
    body = read_exact(call.body)
    if not isinstance(body, dict):
        raise Refusal(Status.BAD_REQUEST, "structure", "send one resource, or Parameters with one", "$")
    asked = [value for name, value in call.query if name == "profile"]
    if body.get("resourceType") != "Parameters" or call.type == "Parameters":
        return body, asked
    parts = [mapped(part) for part in listed(body.get("parameter"))]
    asked += [str(part[key]) for part in parts if part.get("name") == "profile" for key in part if key != "name"]
    resources = [part["resource"] for part in parts if isinstance(part.get("resource"), dict)]
    if len(resources) != 1:
        said = "give the resource as the parameter named resource"
        raise Refusal(Status.BAD_REQUEST, "required", said, "Parameters.parameter")
    return resources[0], asked


_OWN: Mapping[tuple[Level, str], Operation] = {
    ("type", "$validate"): Operation(_validate, ("POST",), definition=f"{_SPEC}/Resource-validate"),
    ("instance", "$validate"): Operation(_validate, ("GET", "POST"), definition=f"{_SPEC}/Resource-validate"),
    ("instance", "$everything"): Operation(
        everything, ("GET",), ("Patient",), definition=f"{_SPEC}/Patient-everything"
    ),
}
