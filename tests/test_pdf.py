"""Sheets as PDF: tagged, with language, title and its own fonts; the same sheets, the same bytes; words stay words."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from adjunct.base import BadInput, Instant
from adjunct.documents.page import clean
from adjunct.documents.pdf import PAPERS, pdf
from adjunct.knowledge import Knowledge
from adjunct.sheet import Part, Sheet
from sheets import EVERY_KIND, HOSTILE, MADE, SPANISH, say

KNOWLEDGE = Knowledge.load()
SHEETS = (EVERY_KIND, SPANISH)


def printed(*sheets: Sheet, language: str = "en", title: str = "Your pages", **more: Any) -> bytes:
    return pdf(sheets, KNOWLEDGE, language=language, title=title, made=MADE, **more)


def text(raw: bytes) -> str:
    """All words in order, with what a line break took apart joined again."""
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(raw)).pages).split())


BOTH = printed(*SHEETS)
READER = PdfReader(io.BytesIO(BOTH))
ROOT: Any = READER.trailer["/Root"]


def tags(node: Any) -> Iterator[Any]:
    """Every element of the structure that a screen reader walks."""
    found = node.get_object()
    if isinstance(found, list):
        for child in found:
            yield from tags(child)
    elif isinstance(found, dict):
        if "/S" in found:
            yield found
        if "/K" in found and not isinstance(found["/K"].get_object(), int):
            yield from tags(found["/K"])


TAGS = list(tags(ROOT["/StructTreeRoot"]))


def test_it_is_tagged_and_says_what_it_is() -> None:
    assert ROOT["/MarkInfo"]["/Marked"].value is True
    assert ROOT["/Lang"] == "en"
    assert ROOT["/ViewerPreferences"]["/DisplayDocTitle"].value is True
    assert READER.metadata is not None
    assert READER.metadata.title == "Your pages"
    xmp = ROOT["/Metadata"].get_data().decode()
    assert "<pdfuaid:part>1</pdfuaid:part>" in xmp


def test_headings_lists_tables_and_pictures_are_told_as_such() -> None:
    count = Counter(str(tag["/S"]) for tag in TAGS)
    assert count["/H1"] == len(SHEETS)
    assert count["/H2"] == len(EVERY_KIND.parts) + len(SPANISH.parts)
    assert count["/Table"] == 1 + 2  # the numbers of a picture stand beside each other
    assert count["/TH"] == 3 + 2 * 2
    assert count["/TD"] == 2 * 3 + 2 * 2
    assert count["/L"] == 1 + 1 + 1 + 1  # contacts, checklist, steps, list
    (figure,) = (tag for tag in TAGS if tag["/S"] == "/Figure")
    assert figure["/Alt"] == "Your score fell from 20 to 9."
    assert count["/Link"] >= 4


def test_a_line_in_another_language_says_which() -> None:
    assert {tag["/Lang"] for tag in TAGS if "/Lang" in tag} == {"es"}
    alone: Any = PdfReader(io.BytesIO(printed(SPANISH, language="es"))).trailer["/Root"]
    assert alone["/Lang"] == "es"
    marked = [tag["/Lang"] for tag in tags(alone["/StructTreeRoot"]) if "/Lang" in tag]
    assert marked == ["en"]  # the line that exists only in English


def test_all_fonts_are_inside_and_are_those_of_the_wheel() -> None:
    names = set()
    for page in READER.pages:
        for font in page["/Resources"]["/Font"].values():
            (inner,) = font.get_object()["/DescendantFonts"]
            descriptor = inner.get_object()["/FontDescriptor"].get_object()
            assert {"/FontFile2", "/FontFile3"} & set(descriptor)
            names.add(str(descriptor["/FontName"]).partition("+")[2].partition("-")[0])
    assert names
    assert names <= {"LibertinusSerif", "NewCM10", "NewCMMath", "DejaVuSansMono"}


def test_every_word_is_on_paper() -> None:
    found = text(BOTH).replace(" ", "")
    for sheet in SHEETS:
        for words in sheet.text().splitlines():
            if words != "Your score fell from 20 to 9.":  # the alternative text of the picture
                assert clean(words).replace(" ", "") in found


def test_the_same_sheets_are_the_same_bytes_and_another_moment_is_not() -> None:
    assert printed(*SHEETS) == BOTH
    later = pdf(SHEETS, KNOWLEDGE, language="en", title="Your pages", made=Instant(MADE.ms + 86_400_000))
    assert later != BOTH
    elsewhere = Instant(MADE.ms, timedelta(hours=2))
    assert pdf(SHEETS, KNOWLEDGE, language="en", title="Your pages", made=elsewhere) == BOTH


@pytest.mark.parametrize(("paper", "size"), [("a4", (595, 842)), ("us-letter", (612, 792))])
def test_paper_is_chosen(paper: str, size: tuple[int, int]) -> None:
    box = PdfReader(io.BytesIO(printed(EVERY_KIND, paper=paper))).pages[0].mediabox
    assert (round(float(box.width)), round(float(box.height))) == size


def test_another_paper_is_refused() -> None:
    with pytest.raises(BadInput, match=r"no such paper: 'a3'; choose a4 or us-letter \(at paper\)"):
        printed(EVERY_KIND, paper="a3")
    assert PAPERS == ("a4", "us-letter")


def test_each_sheet_begins_a_page() -> None:
    first = [page.extract_text().split("\n")[0] for page in READER.pages]
    assert [words for words in first if words in (EVERY_KIND.title, SPANISH.title)] == [EVERY_KIND.title, SPANISH.title]


# --- words that are a program, and characters that no font has --------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [HOSTILE, "#panic()", '#read("/etc/passwd")', "$ x $", "*b* _i_ `c`", "= H", "<l> @l", "\\", "//c", "[x] ]", '"'],
)
def test_words_are_printed_as_they_are(words: str) -> None:
    line = say(words, source=words, sure=words)
    parts = (
        Part(title=words, lines=(line,)),
        Part(title=words, kind="table", head=(words,), rows=((line,),)),
        Part(title=words, kind="picture", svg=EVERY_KIND.parts[6].svg, alt=words, lines=(line,)),
    )
    sheet = Sheet(id="x", title=words, lead=(line,), parts=parts, foot=(line,), meta={words: words})
    found = text(printed(sheet, title=words)).replace(" ", "")
    assert found.count(clean(words).replace(" ", "")) >= 12


@pytest.mark.parametrize(
    ("words", "shown", "told"),
    [
        ("Ана, Ελένη, Łukasz, ğ, ñ: 5 ≥ 3 → “x” – 0,5 µg", "Ана, Ελένη, Łukasz, ğ, ñ: 5 ≥ 3 → “x” – 0,5 µg", False),
        ("Call 李 now", "Call \ufffd now", True),
        ("Sleepy 😴 today", "Sleepy \ufffd today", True),
    ],
)
def test_a_character_without_a_shape_is_marked_and_the_sheet_says_so(words: str, shown: str, told: bool) -> None:
    found = text(printed(Sheet(id="x", title="x", lead=(say(words),))))
    assert shown.replace(" ", "") in found.replace(" ", "")
    assert ("cannot be printed here" in found) is told


@settings(max_examples=40)
@given(st.text(max_size=40))
def test_any_text_can_be_printed(words: str) -> None:
    sheet = replace(EVERY_KIND, parts=(Part(title=words, lines=(say(words),)),))
    assert printed(sheet).startswith(b"%PDF")
