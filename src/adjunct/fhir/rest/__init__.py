"""The REST interface of FHIR R4 over any store: `handle(request, service) -> Reply`. Of HTTP it knows only words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus as Status

from adjunct.base import BadInput
from adjunct.fhir.definitions import resource_types
from adjunct.fhir.outcome import Issue, Refusal
from adjunct.fhir.releases import unknown_type
from adjunct.fhir.repository import Repository, Stored, Unavailable
from adjunct.fhir.rest import bundles, listing, metadata, operations, single
from adjunct.fhir.rest.call import ID, Call, Handler, Operation, Reply, Request, Rules, Service, said, written
from adjunct.fhir.rest.operations import offered

__all__ = ["Operation", "Reply", "Request", "Rules", "Service", "handle", "offered", "submit"]

RETRY_S = 5

#: What can be asked of what: by the shape of the address (T a type, i an id) and the method.
_ROUTES: Mapping[str, Mapping[str, Handler]] = {
    "": {"GET": listing.searched},
    "metadata": {"GET": metadata.metadata},
    "_history": {"GET": listing.history},
    "_search": {"POST": listing.searched},
    "T": {
        "GET": listing.searched,
        "POST": single.create,
        "PUT": single.update_found,
        "PATCH": single.patch_found,
        "DELETE": single.delete_found,
    },
    "T/_search": {"POST": listing.searched},
    "T/_history": {"GET": listing.history},
    "T/i": {"GET": single.read, "PUT": single.update, "PATCH": single.patch, "DELETE": single.delete},
    "T/i/_history": {"GET": listing.history},
    "T/i/_history/v": {"GET": single.vread},
    "T/i/T": {"GET": listing.searched},
    "T/i/T/_search": {"POST": listing.searched},
}


def handle(request: Request, service: Service) -> Reply:
    """Answer one request. Whatever the client did wrong is an OperationOutcome; only our own faults are raised."""
    return _perform(service.rules, request, service.repository)


def submit(request: Request, service: Service, answer: Callable[[Reply | BaseException], None]) -> None:
    """As `handle`, without waiting for the commit of a create or an update: `answer` hears the reply, or our fault."""

    def done(result: tuple[Stored, int] | None, error: BaseException | None) -> None:
        try:
            if error is not None:
                raise error
            assert result is not None
            reply: Reply | BaseException = written(call, *result)
        except _TOLD as told:
            reply = _told(told)
        except BaseException as fault:  # noqa: BLE001  whoever waits must hear of it
            reply = fault
        answer(reply)

    try:
        shape, call = _call(service.rules, request)
        prepared = _PREPARED.get((request.method, shape))
        if prepared:
            service.repository.submit(prepared(call), done)
        else:
            answer(handle(request, service))
    except _TOLD as told:
        answer(_told(told))
    except Exception as fault:  # noqa: BLE001  whoever waits must hear of it
        answer(fault)


_PREPARED = {("POST", "T"): single.creating, ("PUT", "T/i"): single.updating}
_TOLD = (Refusal, BadInput, Unavailable)


def _perform(rules: Rules, request: Request, repository: Repository) -> Reply:
    try:
        return _answer(rules, request, repository)
    except _TOLD as told:
        return _told(told)


def _told(error: Exception) -> Reply:
    """What is said of a request that was not carried out."""
    match error:
        case Refusal():
            return said(error.status, error.issues)
        case Unavailable():
            status = Status.INSUFFICIENT_STORAGE if error.full else Status.SERVICE_UNAVAILABLE
            retry = (b"retry-after", str(RETRY_S).encode())
            return said(status, [Issue("error", "no-store" if error.full else "transient", str(error))], retry)
        case BadInput(at=at):
            at = at if at and " " not in at else "Resource"  # a line of the text is no place in a resource
            return said(Status.BAD_REQUEST, [Issue("error", "invalid", str(error), at)])
    raise error


def _call(rules: Rules, request: Request) -> tuple[str, Call]:
    """The shape of the address, and the request as FHIR understands it."""
    shape, kind, own, rest = _shape(request.path)
    if shape == "?":
        raise Refusal(Status.BAD_REQUEST, "value", "not an id: 1 to 64 letters, digits, - and .", "id")
    if kind and kind not in resource_types():
        raise Refusal(Status.NOT_FOUND, "not-supported", str(unknown_type(kind, "url")), "url")
    return shape, Call(
        method=request.method,
        type=kind,
        id=own,
        rest=rest,
        query=request.query,
        headers=request.headers,
        body=request.body,
        rules=rules,
    )


def _answer(rules: Rules, request: Request, repository: Repository) -> Reply:
    shape, call = _call(rules, request)
    if not shape and request.method == "POST":
        return bundles.bundled(call, repository, partial(_perform, rules))
    if shape.rpartition("/")[2].startswith("$"):
        return operations.operate(call, repository)
    methods = _ROUTES.get(shape)
    if methods is None:
        raise Refusal(Status.NOT_FOUND, "not-found", "nothing answers at this address: see /metadata", "url")
    if request.method not in methods:
        allowed = ", ".join([*methods, *(["POST"] if not shape else [])])
        issue = Issue("error", "not-supported", f"this address takes {allowed}")
        return said(Status.METHOD_NOT_ALLOWED, [issue], (b"allow", allowed.encode()))
    return methods[request.method](call, repository)


def _shape(path: str) -> tuple[str, str, str, str]:
    """The shape of an address, its type, its id, and what follows: a version, a compartment's type, an operation.

    >>> _shape("Patient/1/Observation")
    ('T/i/T', 'Patient', '1', 'Observation')
    >>> _shape("Patient/$validate")
    ('T/$validate', 'Patient', '', '$validate')
    """
    parts = path.split("/") if path else []
    kind = parts[0] if parts and parts[0][:1].isalpha() and parts[0] != "metadata" else ""
    if not kind:
        return path, "", "", path
    marks, own, rest = ["T"], "", ""
    for i, part in enumerate(parts[1:]):
        if part.startswith(("_", "$")):
            marks.append(part)
            rest = part if part.startswith("$") else rest
        elif i == 0:
            marks.append("i")
            own = part
        else:
            marks.append("v" if parts[i] == "_history" else "T")
            rest = part
    if own and not ID.fullmatch(own):
        return "?", kind, "", ""
    return "/".join(marks), kind, own, rest
