"""Sheets as one tagged PDF (PDF/UA-1) that prints the same everywhere: headings, lists, tables, pictures with words.

Typst sets the pages with the fonts it brings along and no others, so that the same sheets at the same moment are the
same bytes. Every word reaches it as data (JSON), never as markup: a text cannot become a program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from adjunct.base import MS_PER_SECOND, BadInput, Instant, shown
from adjunct.documents.page import clean, page_words, prepared
from adjunct.knowledge import Knowledge
from adjunct.sheet import Sheet

A4, LETTER = "a4", "us-letter"
PAPERS = (A4, LETTER)
ASCII = 128  # layout: below it every font has a shape
UNPRINTABLE = "\ufffd"


def pdf(
    sheets: Sequence[Sheet], knowledge: Knowledge, *, language: str, title: str, made: Instant, paper: str = A4
) -> bytes:
    """One PDF, each sheet from a page of its own. `paper`: a4 or us-letter.

    A character that no font has a shape for is printed as a sign for "not shown", and the sheet says so.
    """
    if paper not in PAPERS:
        raise BadInput(f"no such paper: {shown(paper)}; choose {' or '.join(PAPERS)}", "paper")
    document = {
        "title": clean(title),
        "language": language,
        "paper": paper,
        "words": page_words(knowledge, language),
        "sheets": [_printed(prepared(sheet, knowledge, language, f"s{n}")) for n, sheet in enumerate(sheets, start=1)],
    }
    return _set(_template(), document, made)


def _set(template: bytes, document: Mapping[str, Any], made: Instant) -> bytes:
    import typst  # late: an answer in JSON needs no printer

    made_s = made.ms // MS_PER_SECOND
    inputs = {"document": json.dumps(document, ensure_ascii=False)}
    printed = typst.compile(
        template,
        format="pdf",
        font_paths=[],
        ignore_system_fonts=True,
        sys_inputs=inputs,
        pdf_standards="ua-1",
        timestamp=made_s,
    )
    assert isinstance(printed, bytes)
    return printed


# --- characters without a shape ---------------------------------------------------------------------------------------


def _printed(sheet: dict[str, Any]) -> dict[str, Any]:
    """The sheet with every character that has no shape replaced, and a line that says so where there was one."""
    missing = "".join(sorted(c for c in _characters(sheet) if not _has_shape(c)))
    if not missing:
        return sheet | {"unprintable": ""}
    table = str.maketrans(missing, UNPRINTABLE * len(missing))
    replaced: dict[str, Any] = _mapped(sheet, table)
    return replaced | {"unprintable": sheet["words"]["unprintable"]}


def _characters(value: Any) -> set[str]:
    """Every character beyond ASCII of a tree of plain values."""
    if isinstance(value, str):
        return {c for c in value if ord(c) >= ASCII}
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return set().union(*(_characters(each) for each in inner))


def _mapped(value: Any, table: Mapping[int, Any]) -> Any:
    if isinstance(value, str):
        return value.translate(table)
    if isinstance(value, Mapping):
        return {key: _mapped(each, table) for key, each in value.items()}
    return [_mapped(each, table) for each in value] if isinstance(value, list | tuple) else value


@cache
def _has_shape(character: str) -> bool:
    """Whether the fonts can show it: PDF/UA refuses a page with a character that they cannot."""
    import typst

    try:
        _set(_template("shape.typ"), {"text": character}, Instant(0))
    except typst.TypstError:
        return False
    return True


@cache
def _template(name: str = "sheets.typ") -> bytes:
    return (resources.files("adjunct.documents") / "templates" / name).read_bytes()
