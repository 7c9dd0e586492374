"""One person's whole record, to hand over: what `$everything` answers, page by page, as a Bundle or as lines."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from adjunct.base import BadInput
from adjunct.fhir.rest import Request, Service, handle
from adjunct.fhir.wire import Json, listed, mapped, read_exact, write_exact
from adjunct.serve.archive import whole

FORMS = (".json", ".ndjson")


def export(service: Service, patient: str, out: Path) -> int:
    """Write the record of one person to a file for its owner only; how many resources there were.

    `.json` is a Bundle, `.ndjson` one resource a line. Raises `BadInput` for another ending or an unknown id.
    """
    if out.suffix not in FORMS:
        raise BadInput(f"name a file that ends in {' or '.join(FORMS)}", "--out")
    count = 0
    with whole(out) as file:
        bundle, between = out.suffix == ".json", b""
        file.write(b'{"resourceType":"Bundle","type":"collection","entry":[' if bundle else b"")
        for resource in _everything(service, patient):
            text = write_exact(resource)
            count += 1
            file.write(between + b'{"resource":' + text + b"}" if bundle else text + b"\n")
            between = b","
        file.write(b"]}\n" if bundle else b"")
    return count


def _everything(service: Service, patient: str) -> Iterator[Json]:
    """Each resource once: what several entries refer to comes with every page."""
    seen: set[tuple[str, str]] = set()
    query: tuple[tuple[str, str], ...] | None = ()
    while query is not None:
        reply = handle(Request("GET", f"Patient/{patient}/$everything", query), service)
        if reply.status != HTTPStatus.OK:
            raise BadInput("there is nobody with this id in the record", "PATIENT-ID")
        page = mapped(read_exact(reply.body))
        for resource in (mapped(mapped(entry).get("resource")) for entry in listed(page.get("entry"))):
            name = (str(resource.get("resourceType")), str(resource.get("id")))
            if name not in seen:
                seen.add(name)
                yield resource
        links = (mapped(link) for link in listed(page.get("link")))
        following = next((str(link["url"]) for link in links if link.get("relation") == "next"), None)
        query = tuple(parse_qsl(urlsplit(following).query)) if following is not None else None
