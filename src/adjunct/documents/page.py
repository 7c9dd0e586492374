"""Sheets as one HTML file that a worried person can read: on a telephone, in the dark, enlarged, aloud or on paper.

The file holds all it needs and asks nothing of any network. Words come from people and records: they are escaped by
the template, and a picture is taken apart and put together again from what a drawing may hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from string import ascii_lowercase
from typing import Any
from xml.etree import ElementTree

from adjunct.base import BadInput
from adjunct.followup.safety_plan import ISO_DATE, JOINERS, MESSAGE, NUMBER
from adjunct.knowledge import Knowledge
from adjunct.sheet import Line, Part, Sheet

SVG = "http://www.w3.org/2000/svg"
DRAWN = frozenset(
    "svg g defs clipPath path rect circle ellipse line polyline polygon text tspan marker linearGradient stop".split()
)
WITH_TIME = ("person", "supporter", "escort")  # who reads large letters; the others read many pages a day
ONE_PAGE = "one page"  # who wants all of it at a glance: printed as large as one page of paper allows
LEAST_DIGITS = 2  # layout: of a number to call among contacts
LEAST_DIGITS_WITHIN = 3  # layout: the same inside a sentence, where two digits are hours
NO_NUMBER = re.compile(rf"24/7|(19|20)\d\d|{ISO_DATE.pattern}")  # hours, a year, a date


def page(sheets: Sequence[Sheet], knowledge: Knowledge, *, language: str, title: str) -> str:
    """One self-contained HTML file. One sheet alone gives the page its heading; several have a list of contents."""
    shown = [prepared(sheet, knowledge, language, f"s{number}") for number, sheet in enumerate(sheets, start=1)]
    words = page_words(knowledge, language)
    return str(_template().render(sheets=shown, language=language, title=clean(title), words=words))


def page_words(knowledge: Knowledge, language: str) -> dict[str, str]:
    """The fixed words of every page in one language."""
    texts: Mapping[str, Mapping[str, str]] = knowledge.content["documents"]["page"]
    return {key: text[language] for key, text in texts.items()}


def clean(text: str) -> str:
    """A text as one line of what can be printed: nothing in it turns the writing around or hides.

    >>> clean("one\\u202e\\ttwo")
    'one two'
    """
    return " ".join("".join(c if c.isprintable() or c in JOINERS else " " for c in text).split())


# --- a sheet as the templates read it ---------------------------------------------------------------------------------


def prepared(sheet: Sheet, knowledge: Knowledge, language: str, name: str) -> dict[str, Any]:
    """A sheet as plain values for the templates of page and PDF: sources numbered, how sure as a letter, both told
    once at its end; foreign lines marked.

    `language`: of the page around it; `name`: what the ids of this sheet begin with.
    """
    words, notes, marks = page_words(knowledge, sheet.language), dict[str, int](), dict[str, int]()
    called: set[str] = set()

    def shown(line: Line, kind: str = "", *, alone: bool = False) -> dict[str, Any]:
        """`alone`: it stands in no part that says for all its lines which are foreign."""
        source, sure, foreign = clean(line.source), clean(line.sure), line.language != sheet.language
        return {
            "text": clean(line.text),
            "pieces": list(_dialled(line, called) if kind == "contacts" else [(clean(line.text), "")]),
            "language": line.language if foreign else "",
            "aside": words[f"in_{line.language}"] if foreign and alone else "",
            "strong": line.strong,
            "marks": [*([mark(sure)] if sure else []), *([note(source)] if source else [])],
        }

    def mark(sure: str) -> dict[str, str]:
        sign = letter(marks.setdefault(sure, len(marks)))
        return {"sign": sign, "id": f"{name}s{sign}", "label": f"{words['sure']}, {sign}: {sure}"}

    def note(source: str) -> dict[str, str]:
        number = notes.setdefault(source, len(notes) + 1)
        return {"sign": str(number), "id": f"{name}n{number}", "label": f"{words['source']} {number}"}

    def part(given: Part, number: int) -> dict[str, Any]:
        id_ = f"{name}p{number}"
        if wrong := [row for row in given.rows if len(row) != len(given.head)]:
            raise BadInput(f"a table has {len(given.head)} columns and a row of {len(wrong[0])}", given.title)
        lines = (*given.lines, *(cell for row in given.rows for cell in row))
        return {
            "id": id_,
            "title": clean(given.title),
            "foreign": words["foreign"] if any(line.language != sheet.language for line in lines) else "",
            "kind": given.kind,
            "entries": list(_entries([shown(line, given.kind) for line in given.lines], given.kind)),
            "head": [clean(text) for text in given.head],
            "rows": [[shown(cell) for cell in row] for row in given.rows],
            "svg": picture(given, id_) if given.svg else "",
            "alt": clean(given.alt),
        }

    found: dict[str, Any] = {  # in the order of reading, so that the sources are numbered in it
        "id": name,
        "title": clean(sheet.title),
        "language": sheet.language if sheet.language != language else "",
        "words": words,
        "dense": sheet.reader not in WITH_TIME,
        "whole": sheet.reader == ONE_PAGE,
        "lead": [shown(line, alone=True) for line in sheet.lead],
        "parts": [part(given, number) for number, given in enumerate(sheet.parts, start=1)],
        "foot": [shown(line, alone=True) for line in sheet.foot],
        "meta": [(words.get(f"meta_{key}", key), clean(value)) for key, value in sheet.meta.items()],
    }
    return found | {"notes": list(notes), "marks": [(letter(n), sure) for sure, n in marks.items()]}


def letter(number: int) -> str:
    """A sign for how sure a line is, told apart from the numbers of the sources.

    >>> letter(0), letter(25), letter(26)
    ('a', 'z', 'aa')
    """
    rest, last = divmod(number, len(ascii_lowercase))
    return (letter(rest - 1) if rest else "") + ascii_lowercase[last]


def _entries(lines: Sequence[dict[str, Any]], kind: str) -> Iterator[list[dict[str, Any]]]:
    """Lines that belong together: of a contact the number to call, and what is said about it."""
    entry: list[dict[str, Any]] = []
    for line in lines:
        if entry and (kind != "contacts" or line["strong"] or not entry[0]["strong"]):
            yield entry
            entry = []
        entry.append(line)
    yield from [entry] if entry else []


def _dialled(line: Line, called: set[str]) -> Iterator[tuple[str, str]]:
    """The words of a contact and what can be dialled among them, each number once; after "text" it takes a message."""
    text, end = clean(line.text), 0
    least = LEAST_DIGITS if line.strong else LEAST_DIGITS_WITHIN
    for found in NUMBER.finditer(text):
        digits = re.sub(r"[^\d+]", "", found.group())
        if len(digits) < least or NO_NUMBER.fullmatch(found.group()) or digits in called:
            continue
        called.add(digits)
        before = text[end : found.start()]
        message = MESSAGE.search(before)
        yield from [(before, "")] if before else []
        yield found.group(), f"{'sms' if message else 'tel'}:{digits}"
        end = found.end()
    if end < len(text):
        yield text[end:], ""


# --- pictures ---------------------------------------------------------------------------------------------------------


def picture(part: Part, name: str) -> str:
    """The drawing of a part for a page: with title and description, ids of its own, and nothing that runs or loads.

    Raises `BadInput` for what is no SVG, or holds more than a drawing.
    """
    if not clean(part.alt):
        raise BadInput("a picture needs words for who cannot see it", part.title)
    if "<!" in part.svg.replace("<!--", ""):
        raise BadInput("a picture may declare no entities", part.title)
    try:
        root = ElementTree.fromstring(part.svg)  # noqa: S314  it declares no entities that could grow
    except ElementTree.ParseError as error:
        raise BadInput(f"a picture is not SVG: {error}", part.title) from None
    for parent in list(root.iter()):
        for told in [child for child in parent if _local(child.tag) in ("title", "desc")]:
            parent.remove(told)  # the page tells title and description of its own
    for element in root.iter():
        if _local(element.tag) not in DRAWN:
            raise BadInput("a picture may only hold shapes and words", part.title)
        for key, value in list(element.attrib.items()):
            if _reaches_out(_local(key), value):
                raise BadInput("a picture may run nothing and load nothing", part.title)
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif _local(key) == "href" or "url(#" in value:
                element.set(key, re.sub(r"(^|url\()#", rf"\1#{name}-", value))
    for text, tag in ((clean(part.alt), "desc"), (clean(part.title), "title")):
        told = ElementTree.Element(f"{{{SVG}}}{tag}", id=f"{name}-{tag}")
        told.text = text
        root.insert(0, told)
    width, height = (root.attrib.pop(key, "").removesuffix("px") for key in ("width", "height"))
    if not root.get("viewBox"):
        root.set("viewBox", f"0 0 {width} {height}")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _local(tag: Any) -> str:
    """A name without its namespace; a comment or an instruction has none."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _reaches_out(key: str, value: str) -> bool:
    runs, loads = key.lower().startswith("on"), key == "href" and not value.startswith("#")
    return runs or loads or bool(re.search(r"url\((?!#)|@import|javascript:", value, re.IGNORECASE))


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # late: an answer in JSON needs no pages
    from markupsafe import Markup

    made = Environment(
        loader=PackageLoader("adjunct.documents"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["drawing"] = Markup  # what `picture` has put together
    return made.get_template("page.html")
