"""What may come in: only this computer's own requests, of a size and in a form that can be read. Pure functions.

A page of another site, opened in a browser on this computer, can send requests here too. It cannot choose the Host that
its own name leads to, nor leave out where it comes from: both are compared, and nothing allows another origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import parse_qsl

from adjunct.fhir.outcome import Refusal
from adjunct.fhir.rest.single import PATCHES
from adjunct.serve.settings import local

Query = tuple[tuple[str, str], ...]

MOST_PARAMETERS = 1000
SEEN = 64  # names and headers of clients whose answer is remembered
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
VERSION = "4.0"

_JSON = ("application/fhir+json", "application/json", "text/json")
_FORM = ("application/x-www-form-urlencoded",)
_ANSWERS = {*_JSON, "application/fhir+ndjson", "application/*", "text/*", "*/*", "json", ""}
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:@/\[\]]+)(?::\d{1,5})?")


def refuse_strangers(headers: Mapping[str, str]) -> None:
    """Raises 403 for a Host that is not this computer, or for what a page of another origin sends."""
    host = headers.get("host", "")
    if not _ours(host):
        said = "the Host is not a name of this computer: ask for 127.0.0.1, [::1] or localhost"
        raise Refusal(HTTPStatus.FORBIDDEN, "forbidden", said, "Host")
    origin = headers.get("origin")
    own = origin is None or origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")
    if not own or headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        said = "a page of another origin may not ask here: use a client that is not a web page"
        raise Refusal(HTTPStatus.FORBIDDEN, "forbidden", said, "Origin")


def repeated(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers that came in several lines, each as one, in order. Raises 400 for a Host that came twice."""
    lines: dict[str, list[str]] = {}
    for name, value in headers:
        lines.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    if len(lines.get("host", ())) > 1:
        raise Refusal(HTTPStatus.BAD_REQUEST, "invalid", "sent twice: send it once", "Host")
    return {name: ", ".join(values) for name, values in lines.items()}


@lru_cache(maxsize=SEEN)
def _ours(host: str) -> bool:
    name = _AUTHORITY.fullmatch(host)
    try:
        return bool(local(name[1].lower() if name else ""))
    except ValueError:
        return False


def query(raw: bytes) -> Query:
    """The parameters in the order in which they came, empty ones included. Raises 400 where they are not UTF-8."""
    if not raw:
        return ()
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError:
        said = f"not a query: at most {MOST_PARAMETERS} parameters, as %-encoded UTF-8"
        raise Refusal(HTTPStatus.BAD_REQUEST, "invalid", said, "query") from None
    refuse_nul(*(text for pair in pairs for text in pair))
    return tuple(pairs)


def refuse_nul(*texts: str) -> None:
    """A NUL is in no text of FHIR, and a database may not be asked for one."""
    if any("\0" in text for text in texts):
        raise Refusal(HTTPStatus.BAD_REQUEST, "invalid", "a NUL character: leave it out", "url")


def refuse_unreadable(method: str, path: str, headers: Mapping[str, str], *, empty: bool) -> None:
    """Raises 405 or 415 for what cannot be taken in: it is never guessed what a body might be."""
    if method not in METHODS:
        raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "not-supported", f"not one of {', '.join(METHODS)}", "method")
    if empty:
        return
    if headers.get("content-encoding", "identity") != "identity":
        said = "a compressed body: send it as it is"
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not-supported", said, "Content-Encoding")
    wanted: tuple[str, ...] = PATCHES if method == "PATCH" else _JSON
    if method == "POST" and path.rpartition("/")[2] == "_search":
        wanted = _FORM
    kind, given = _media(headers.get("content-type", ""))
    utf8 = given.get("charset", "utf-8").lower().replace("utf8", "utf-8") == "utf-8"
    if kind not in wanted or not utf8 or not _this_release(given):
        said = f"send {wanted[0]}, UTF-8, of FHIR {VERSION}"
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not-supported", said, "Content-Type")


def refuse_unanswerable(asked: Query, headers: Mapping[str, str]) -> None:
    """Raises 406 where the client wants what is not JSON of this release; `_format` comes before Accept."""
    formats = [value for name, value in asked if name == "_format"]
    where = "_format" if formats else "Accept"
    wanted = tuple(v.replace(" ", "+") for v in formats) or (headers.get("accept", ""),)  # a + in a URL is a blank
    if any(map(_spoken, wanted)):
        return
    said = f"only JSON of FHIR {VERSION} is spoken here: ask for application/fhir+json"
    raise Refusal(HTTPStatus.NOT_ACCEPTABLE, "not-supported", said, where)


@lru_cache(maxsize=SEEN)
def _spoken(accept: str) -> bool:
    offers = map(_media, accept.split(","))
    return any(kind in _ANSWERS and _this_release(given) and not _never(given) for kind, given in offers)


def takes_gzip(headers: Mapping[str, str]) -> bool:
    """Whether the client unpacks gzip."""
    offers = (_media(text) for text in headers.get("accept-encoding", "").split(","))
    return any(kind == "gzip" and not _never(given) for kind, given in offers)


def _never(given: Mapping[str, str]) -> bool:
    return re.fullmatch(r"0(\.0*)?", given.get("q", "")) is not None


def _media(text: str) -> tuple[str, dict[str, str]]:
    kind, *rest = text.lower().split(";")
    pairs = (part.partition("=") for part in rest)
    return kind.strip(), {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _this_release(given: Mapping[str, str]) -> bool:
    version = given.get("fhirversion", VERSION)
    return version == VERSION or version.startswith(VERSION + ".")
