"""Make `docs/reference/fhir-examples.md`: which official examples of FHIR R4 the record refuses, and why.

Every example of npm `hl7.fhir.r4.examples` 4.0.1 is sent to the handlers as a client would send it. A refusal for a
reason that is not explained below is an error: look at it before it gets onto the page.

Usage: `python tools/refused_examples.py` writes the page, `--check` compares it and exits 1 when it differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from adjunct.fhir.memory import MemoryRepository
from adjunct.fhir.rest import Request, Rules, Service, handle

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "node_modules" / "hl7.fhir.r4.examples"
PAGE = ROOT / "docs" / "reference" / "fhir-examples.md"

#: What the first issue of a refusal says, and what is wrong with the example.
WHY = {
    "txt-2": ("A narrative without words", "R4 asks that a narrative has some text or an image (invariant txt-2)."),
    "required element missing": (
        "A required element is missing",
        "R4 asks for at least one of each of these.",
    ),
    "may refer only to": (
        "A reference to what may not stand there",
        "The element refers to a resource of a type that R4 does not name for it.",
    ),
    "does not end in the type and id": (
        "An entry under another one's address",
        "The address of an entry ends in another type or id than its resource: a reference would find something else.",
    ),
    "bdl-7": ("One address for two entries", "A reference to it would have two meanings (invariant bdl-7)."),
    "not a valid code": ("Blanks as codes", "A code of R4 has at least one character that is no blank."),
    "sdf-4": (
        "A definition that rests on nothing",
        "What is not abstract names what it specialises (invariant sdf-4); these are patterns, not resources.",
    ),
    "not an id": ("An id that is too long", "An id of R4 has up to 64 characters; this has 69."),
}


class Refused(NamedTuple):
    """An example that is not stored, and what the server says: its status and its OperationOutcome."""

    name: str
    status: int
    outcome: dict[str, Any]


def examples() -> Iterator[tuple[str, bytes]]:
    """Every official example, by the name of its file."""
    for path in sorted(EXAMPLES.glob("*.json")):
        raw = path.read_bytes()
        if b'"resourceType"' in raw:
            yield path.stem, raw


def update(raw: bytes) -> Request:
    """The request that stores it under its own id."""
    resource = orjson.loads(raw)
    return Request("PUT", f"{resource['resourceType']}/{resource['id']}", (), {}, raw)


def refused(some: Iterable[tuple[str, bytes]]) -> Iterator[Refused]:
    """Those of the examples that are refused."""
    service = Service(MemoryRepository(lambda: 0), Rules(base="", clock=lambda: 0))
    for name, raw in some:
        reply = handle(update(raw), service)
        if reply.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            yield Refused(name, int(reply.status), json.loads(reply.body))


def page(count: int, found: Iterable[Refused]) -> str:
    """The page, by what is wrong. Raises KeyError for a reason that is not explained."""
    by_reason: dict[str, list[Refused]] = {reason: [] for reason in WHY}
    for one in found:
        said = one.outcome["issue"][0]["diagnostics"]
        by_reason[next((reason for reason in WHY if reason in said), said)].append(one)
    listed = sum(len(some) for some in by_reason.values())
    lines = [
        "# Official examples that the record refuses",
        "",
        "<!-- Made by tools/refused_examples.py. Edit that, not this page. -->",
        "",
        f"HL7 publishes {count:,} examples with FHIR R4. The record takes {count - listed:,} of them and gives each",
        "back as it came: numbers digit by digit, elements in their order (type and id first), unknown extensions.",
        f"It refuses these {listed}, because they are not R4. The list may only become shorter.",
    ]
    for reason, some in by_reason.items():
        if some:
            title, why = WHY[reason]
            lines += ["", f"## {title}", "", why, "", "| example | status | code | where | what is said |"]
            lines += ["|---|---|---|---|---|", *map(_row, some)]
    return "\n".join(lines) + "\n"


def _row(one: Refused) -> str:
    first, *more = one.outcome["issue"]
    others = f", and {len(more)} more" if more else ""
    at = first["expression"][0]
    return f"| {one.name} | {one.status} | {first['code']} | `{at}`{others} | {first['diagnostics']} |"


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 if the page is out of date")
    check_only = parser.parse_args().check
    if not EXAMPLES.is_dir():
        print("the official examples are not there: run `npm ci`", file=sys.stderr)
        return 2
    every = list(examples())
    text = page(len(every), refused(every))
    if not check_only:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE.relative_to(ROOT)} is out of date: run `python tools/refused_examples.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
