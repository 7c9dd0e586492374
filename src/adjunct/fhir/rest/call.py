"""What comes in and what goes out, in FHIR's words: no framework, no socket."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus as Status
from time import gmtime
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from adjunct.base import MS_PER_SECOND
from adjunct.fhir.outcome import Issue, Refusal, outcome
from adjunct.fhir.repository import Repository, Stored
from adjunct.fhir.validation import validate
from adjunct.fhir.wire import Json, read_exact, walk, write_exact

PAGE = 50
PAGE_LIMIT = 1000
ENTRY_LIMIT = 10_000
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
VERSION = re.compile(r"[0-9]{1,9}")
_ETAG = re.compile(r'(?:W/)?"?([0-9]{1,9})"?')
_MALFORMED = frozenset({"structure", "required", "value", "invalid", "not-supported"})  # not R4 at all


class Request(NamedTuple):
    """One HTTP request. `path` is what follows the base, without a slash at its ends; header names are lower-case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Reply(NamedTuple):
    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What this server was told: where it stands, how it tells time and names things, what it can do besides."""

    base: str  # "http://127.0.0.1:8000/fhir"
    clock: Callable[[], int]  # ms since 1970 UTC
    new_id: Callable[[], str] = lambda: str(uuid4())
    check: Callable[[Json, bytes], Iterable[Issue]] = validate
    page: int = PAGE
    page_limit: int = PAGE_LIMIT
    entry_limit: int = ENTRY_LIMIT
    seconds: float | None = None  # after which nothing more of a Bundle is begun
    operations: Mapping[tuple[Level, str], Operation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as FHIR understands it. `rest` is what follows the id: a compartment's type, a version, nothing."""

    method: str
    type: str = ""
    id: str = ""
    rest: str = ""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    rules: Rules

    def prefers(self, name: str, default: str) -> str:
        """A preference of the `Prefer` header."""
        said = self.headers.get("prefer")
        for part in re.split(r"[;,]", said) if said else ():
            key, _, value = part.strip().partition("=")
            if key.lower() == name:
                return value.strip('" ').lower()
        return default

    @property
    def strict(self) -> bool:
        """Whether an unknown search parameter is an error: what the client did not ask to ignore is not ignored."""
        return self.prefers("handling", "strict") != "lenient"

    def deadline(self) -> Callable[[], None]:
        """From now on: what refuses once this request has taken as long as it may."""
        clock, seconds = self.rules.clock, self.rules.seconds
        begun = clock()

        def go_on() -> None:
            if seconds is not None and clock() - begun > seconds * MS_PER_SECOND:
                late = f"not done within {seconds:g} s: send it in parts"
                raise Refusal(Status.SERVICE_UNAVAILABLE, "timeout", late)

        return go_on

    def about(self, type: str, id: str = "") -> Call:
        """The same request about another resource."""
        return replace(self, type=type, id=id)


Level = Literal["system", "type", "instance"]
Handler = Callable[[Call, Repository], Reply]


class Operation(NamedTuple):
    """A `$operation`: who does it, by which methods, for which types (empty: every type), and where it is defined."""

    handler: Handler
    methods: tuple[str, ...]
    types: tuple[str, ...] = ()
    definition: str = ""


class Service(NamedTuple):
    """A repository and the rules under which it is served."""

    repository: Repository
    rules: Rules


# --- reading the request ----------------------------------------------------------------------------------------------


def document(call: Call) -> Json:
    """The resource in the body, of the type that the address names."""
    read = read_exact(call.body)
    if not isinstance(read, dict):
        raise Refusal(Status.BAD_REQUEST, "structure", "not a resource: send one JSON object with a resourceType", "$")
    kind = read.get("resourceType")
    if call.type and kind != call.type:
        said = f"this address takes a {call.type}: send one, or use the address of the type that you send"
        raise Refusal(Status.BAD_REQUEST, "invalid", said, "resourceType")
    _at_home(read, call)
    return read


def _at_home(read: Json, call: Call) -> None:
    """References by this server's own address become local: they mean the same, and that address may change."""
    base = call.rules.base
    homes = (f"{base}/", base.replace("//127.0.0.1", "//localhost", 1) + "/")
    if not any(home.encode() in call.body for home in homes):
        return
    nodes: Iterator[tuple[str, Any]] = walk(read)
    for _, node in nodes:
        said = node.get("reference") if isinstance(node, dict) else None
        for home in homes:
            if isinstance(said, str) and said.startswith(home):
                node["reference"] = said[len(home) :]


def checked(read: Json, rules: Rules, at: str = "") -> None:
    """Refuse what is not valid R4; nothing is stored then."""
    wrong = [i for i in rules.check(read, write_exact(read)) if i.severity in ("fatal", "error")]
    if wrong:
        status = Status.BAD_REQUEST if any(i.code in _MALFORMED for i in wrong) else Status.UNPROCESSABLE_ENTITY
        raise Refusal(status, wrong[0].code, "", issues=[_placed(i, at) for i in wrong])


def _placed(issue: Issue, at: str) -> Issue:
    """The issue, with its place seen from the Bundle that holds the resource."""
    if not at:
        return issue
    _, _, inner = issue.expression.partition(".")
    return issue._replace(expression=f"{at}.{inner}" if inner else at)


def proper_id(text: object, at: str) -> str:
    """The text, if it is an id of FHIR."""
    if isinstance(text, str) and ID.fullmatch(text):
        return text
    raise Refusal(Status.BAD_REQUEST, "value", "not an id: 1 to 64 letters, digits, - and .", at)


def version_wanted(call: Call) -> int | None:
    """The version that `If-Match` asks for."""
    said = call.headers.get("if-match", "").strip()
    if not said:
        return None
    tag = _ETAG.fullmatch(said)
    if not tag:
        raise Refusal(Status.BAD_REQUEST, "value", 'If-Match: write the version as W/"1"', "If-Match")
    return int(tag[1])


def unchanged(call: Call, stored: Stored) -> bool:
    """Whether the client already holds this version (`If-None-Match`, `If-Modified-Since`)."""
    if tags := call.headers.get("if-none-match"):
        known = ("*", stored.etag, stored.etag[2:], str(stored.version))  # the last is how some clients write it
        return any(tag.strip() in known for tag in tags.split(","))
    if since := call.headers.get("if-modified-since"):
        with suppress(ValueError):  # what is no date is no condition (RFC 9110)
            return stored.at // MS_PER_SECOND <= parsedate_to_datetime(since).timestamp()
    return False


# --- writing the reply ------------------------------------------------------------------------------------------------

JSON = (b"content-type", b"application/fhir+json; charset=utf-8")


def reply(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Reply:
    """A resource, written already."""
    return Reply(status, (JSON, *headers), body)


def said(status: int, issues: Iterable[Issue], *headers: tuple[bytes, bytes]) -> Reply:
    """An OperationOutcome."""
    return reply(status, write_exact(outcome(issues)), *headers)


def named(stored: Stored) -> tuple[tuple[bytes, bytes], ...]:
    """Which version this is."""
    return (b"etag", stored.etag.encode()), (b"last-modified", http_date(stored.at).encode())


_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def http_date(ms: int) -> str:
    """An instant as HTTP writes it; the standard library takes four times as long, with every answer.

    >>> http_date(1_794_182_400_120)
    'Mon, 09 Nov 2026 00:00:00 GMT'
    """
    year, month, day, hour, minute, second, weekday, _, _ = gmtime(ms // MS_PER_SECOND)
    date = f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04}"
    return f"{date} {hour:02}:{minute:02}:{second:02} GMT"


def written(call: Call, stored: Stored, status: int) -> Reply:
    """The answer to a write, as long as the client prefers it."""
    place = f"{call.rules.base}/{stored.type}/{stored.id}/_history/{stored.version}"
    headers = (*named(stored), (b"location", place.encode()))
    match call.prefers("return", "representation"):
        case "minimal":
            return Reply(status, headers)
        case "operationoutcome":
            done = Issue("information", "informational", f"version {stored.version} is stored")
            return said(status, [done], *headers)
        case _:
            return reply(status, stored.content or b"", *headers)
