"""Floor 2: what one page for a person says, as plain values in the reader's language; how it looks is decided above.

A `Sheet` is made of parts, a part of lines. A line knows its language, its source and how sure it is, so that a text
that exists only in English is marked as such on a Spanish page, and no number stands there without where it is from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from adjunct.base import MS_PER_SECOND, BadInput, shown
from adjunct.knowledge import Knowledge

ENGLISH = "en"
UNCITED = "uncited"  # the source of what was read nowhere
OWN = ("project-default", UNCITED)
LANGUAGES = (ENGLISH, "es")
Kind = Literal["text", "list", "steps", "checklist", "table", "warning", "contacts", "picture"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One sentence or entry. `sure`: in words, how far it may be trusted; `source`: where it is from, as a citation."""

    text: str
    language: str = ENGLISH
    source: str = ""
    sure: str = ""
    strong: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One section: a title and what stands under it.

    `kind` table: `head` and `rows`, each row as long as the head. Kind picture: `svg` with `alt`, and its numbers as a
    table in `head` and `rows`. All other kinds: `lines`.
    """

    title: str
    kind: Kind = "text"
    lines: tuple[Line, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[Line, ...], ...] = ()
    svg: str = ""
    alt: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A page to read, print or take home. `reader`: whom it is for (person, clinician, escort ...)."""

    id: str
    title: str
    language: str = ENGLISH
    reader: str = "person"
    lead: tuple[Line, ...] = ()
    parts: tuple[Part, ...] = ()
    foot: tuple[Line, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)  # such as made, knowledge, plan version

    def text(self) -> str:
        """Every word of it, for those who search and for tests."""
        lines = [self.title, *(x.text for x in self.lead)]
        for part in self.parts:
            lines += [part.title, *(x.text for x in part.lines), *part.head, part.alt]
            lines += [cell.text for row in part.rows for cell in row]
        return "\n".join(filter(None, (*lines, *(x.text for x in self.foot))))


def language(code: str, at: str = "--language") -> str:
    """A language that pages are written in. Raises `BadInput` for another."""
    if code not in LANGUAGES:
        raise BadInput(f"no pages in the language {shown(code)}; there are {', '.join(LANGUAGES)}", at)
    return code


def line(
    texts: Mapping[str, str],
    code: str,
    knowledge: Knowledge,
    /,
    *,
    source: str = "",
    sure: str = "",
    strong: bool = False,
    **words: str,
) -> Line:
    """A text of the knowledge in a language, else in English and marked so. `{fact.id}` and `{word}` are filled."""
    used = code if code in texts else ENGLISH
    return Line(text=knowledge.say(texts[used], used, **words), language=used, source=source, sure=sure, strong=strong)


def cited(knowledge: Knowledge, source: str, locator: str = "") -> str:
    """A source as a reader may look it up; one that this knowledge does not have keeps its name.

    What is this project's own has none but a place in its rules: that it is, `how_sure` says.
    """
    if source in OWN and not locator:
        return ""
    found = knowledge.sources.get(source)
    citation = found.citation if found else source
    return ", ".join(filter(None, (citation.rstrip("."), locator))) if citation else ""


def how_sure(knowledge: Knowledge, status: str, source: str = "", code: str = ENGLISH) -> str:
    """In words, how far what a source says may be trusted: a number without a published rule says so."""
    texts = knowledge.content["documents"]["how_sure"]["status"]
    return str(texts[UNCITED if status == "proposed" and source == UNCITED else status][code])


def plain(lines: Iterable[Line]) -> tuple[str, ...]:
    """The texts alone."""
    return tuple(x.text for x in lines)


def day(ms: int, zone: str, code: str = ENGLISH) -> str:
    """The local day of an instant in words, such as "Monday 11 January 2027"."""
    from babel.dates import format_date

    return str(format_date(_local(ms, zone), format=_DAYS[code], locale=code))


def short_day(ms: int, zone: str, code: str = ENGLISH) -> str:
    """The same for a table, such as "11 Jan 2027"."""
    from babel.dates import format_date

    return str(format_date(_local(ms, zone), format="d MMM y", locale=code))


def moment(ms: int, zone: str, code: str = ENGLISH) -> str:
    """The local day and wall-clock time of an instant in words."""
    return f"{day(ms, zone, code)}, {_local(ms, zone):%H:%M}"


_DAYS: Mapping[str, str] = {ENGLISH: "EEEE d MMMM y", "es": "EEEE d 'de' MMMM 'de' y"}


def _local(ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(ms // MS_PER_SECOND, tz=UTC).astimezone(ZoneInfo(zone))


def to_dict(sheet: Sheet) -> dict[str, Any]:
    """Plain values."""
    return asdict(sheet)
