"""Sheets as HTML: one file that loads nothing, says everything once, and keeps words words."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import BadInput
from adjunct.documents.page import clean, page, picture, prepared
from adjunct.knowledge import Knowledge
from adjunct.sheet import LANGUAGES, Part, Sheet
from sheets import DEFAULT, EVERY_KIND, HOSTILE, LABEL, SPANISH, SVG, say

KNOWLEDGE = Knowledge.load()
VOID = {"meta", "br", "link", "img", "input"}
DRAWN = {"rect", "path", "circle", "line"}


class Tree(HTMLParser):
    """Elements and words of a page; a tag that is not closed in its place is a fault."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += "" if "style" in self.open else data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.said.split())

    @property
    def words(self) -> list[str]:
        return self.said.split()


def made(*sheets: Sheet, language: str = "en") -> tuple[str, Tree]:
    text = page(sheets, KNOWLEDGE, language=language, title="Your pages")
    return text, Tree(text)


BOTH, TREE = made(EVERY_KIND, SPANISH)
ONE, ALONE = made(EVERY_KIND)


def test_every_word_of_every_sheet_is_on_the_page() -> None:
    for sheet in (EVERY_KIND, SPANISH):
        for words in sheet.text().splitlines():
            assert clean(words) in TREE.text


def test_nothing_is_loaded_and_nothing_runs() -> None:
    assert not re.search(r"<(script|link|img|iframe|object|embed|base|form|foreignObject)\b|@import|\son\w+=", BOTH)
    assert not re.search(r"(src|href|action)=\"(?!#|tel:|sms:)", BOTH)
    assert "url(" not in BOTH.replace("url(#s1p7-c)", "")
    policy = next(m["content"] for m in TREE.of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_words_are_words_in_every_place() -> None:
    line = say(HOSTILE, source=HOSTILE, sure=HOSTILE)
    kinds: Any = ("text", "list", "steps", "checklist", "warning", "contacts")
    parts = tuple(Part(title=HOSTILE, kind=kind, lines=(line,)) for kind in kinds)
    table = Part(title=HOSTILE, kind="table", head=(HOSTILE,), rows=((line,),))
    drawing = Part(title=HOSTILE, kind="picture", svg=SVG, alt=HOSTILE, head=(HOSTILE,), rows=((line,),))
    hostile = Sheet(
        id=HOSTILE, title=HOSTILE, lead=(line,), parts=(*parts, table, drawing), foot=(line,), meta={HOSTILE: HOSTILE}
    )
    tree = Tree(page([hostile, hostile], KNOWLEDGE, language="en", title=HOSTILE))
    assert tree.of("script") == []
    assert tree.text.count(HOSTILE) > 50
    assert "49" not in tree.words


@pytest.mark.parametrize("tree", [TREE, ALONE])
def test_headings_come_in_order_and_ids_once(tree: Tree) -> None:
    levels = [int(name[1]) for name, _ in tree.tags if re.fullmatch(r"h\d", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [a["id"] for _, a in tree.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in tree.tags:
        for key in ("aria-labelledby", "href"):
            named = (attributes.get(key) or "").split()
            assert all(name.removeprefix("#") in ids for name in named if not name.startswith(("tel:", "sms:")))


def test_one_sheet_needs_no_list_of_contents_and_gives_the_page_its_heading() -> None:
    assert (len(ALONE.of("nav")), len(TREE.of("nav"))) == (0, 1)
    assert '<h1 id="s1h">After your session</h1>' in ONE


def test_a_first_sheet_with_the_title_of_the_whole_is_not_told_twice() -> None:
    tree = Tree(page([EVERY_KIND, SPANISH], KNOWLEDGE, language="en", title=EVERY_KIND.title))
    levels = [name for name, _ in tree.tags if name in ("h1", "h2", "h3")]
    assert levels[:2] == ["h1", "h2"]
    assert levels.count("h1") == 1
    assert levels.count("h3") == 2  # what the second sheet says, and its sources


def test_a_line_in_another_language_is_marked_for_ear_and_eye() -> None:
    assert [a.get("lang") for a in TREE.of("article")] == [None, "es"]
    assert '<span lang="en">Only in English.</span> <span class="aside">(en inglés)</span>' in BOTH
    assert '<html lang="en">' in BOTH


def test_a_warning_says_so_in_words_and_a_box_is_no_word() -> None:
    assert "⚠\ufe0e Important: Call now if" in TREE.text
    assert "Importante: Llame ahora si" in TREE.text
    assert BOTH.count('<span class="box" aria-hidden="true"></span>') == 3


def test_sources_are_numbered_once_a_sheet_and_how_sure_stands_beside() -> None:
    found = prepared(EVERY_KIND, KNOWLEDGE, "en", "s1")
    assert found["notes"] == [LABEL, "This project"]
    assert [[m["sign"] for m in entry[0]["marks"]] for entry in found["parts"][2]["entries"]] == [
        ["1"],
        ["a", "2"],
        ["1"],
    ]
    assert found["marks"] == [("a", DEFAULT)]
    assert found["parts"][2]["entries"][1][0]["marks"][0]["label"] == f"How sure this is, a: {DEFAULT}"
    assert prepared(SPANISH, KNOWLEDGE, "en", "s2")["notes"] == [LABEL]
    assert BOTH.count(f'<li id="s1n1">{LABEL}</li>') == 1
    assert "Drink a glass of water.a 2" in TREE.text
    assert f"<dt>a</dt><dd>{DEFAULT.replace(chr(39), '&#39;')}</dd>" in BOTH


def test_what_can_be_called_is_a_link_and_a_year_is_not() -> None:
    links = [a["href"] for a in TREE.of("a") if not str(a["href"]).startswith("#")]
    assert links == ["tel:15", "tel:988", "sms:741741", "tel:+13125550100"]


def test_a_number_is_called_by_its_own_link_once() -> None:
    lines = (say("call or text 988", strong=True), say("988 Lifeline: call or text 988. As of 2025, try 112."))
    found = prepared(
        Sheet(id="c", title="c", parts=(Part(title="t", kind="contacts", lines=lines),)), KNOWLEDGE, "en", "s1"
    )
    (entry,) = found["parts"][0]["entries"]  # the number and what is said of it are one entry
    assert [link for line in entry for _, link in line["pieces"] if link] == ["tel:988", "tel:112"]


def test_tables_have_heads_for_columns_and_rows() -> None:
    scopes = [a["scope"] for a in TREE.of("th")]
    assert scopes.count("col") == 3 + 2
    assert scopes.count("row") == 2 + 2
    assert [a["data-head"] for a in TREE.of("td")][:2] == ["When", "Where"]


def test_a_row_that_does_not_fit_its_head_is_refused() -> None:
    part = Part(title="Visits", kind="table", head=("a", "b"), rows=((say("1"),),))
    with pytest.raises(BadInput, match=r"2 columns and a row of 1 \(at Visits\)"):
        page([Sheet(id="x", title="x", parts=(part,))], KNOWLEDGE, language="en", title="x")


def test_a_part_without_a_title_has_no_empty_heading() -> None:
    text, tree = made(Sheet(id="x", title="x", parts=(Part(title=" ", lines=(say("words"),)),)))
    assert "<h2" not in text
    assert tree.of("section") == [{"class": "text"}]


def test_a_part_without_anything_says_so() -> None:
    assert "Notes Nothing has been entered here." in TREE.text


def test_the_same_sheets_are_the_same_page() -> None:
    assert made(EVERY_KIND, SPANISH)[0] == BOTH


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_words_of_a_page_follow_its_sheet(code: str) -> None:
    _, tree = made(replace(EVERY_KIND, language=code), language=code)
    assert {"en": "Sources", "es": "Fuentes"}[code] in tree.words


# --- words ------------------------------------------------------------------------------------------------------------


@given(st.text())
def test_any_text_is_one_line_that_hides_nothing(text: str) -> None:
    found = clean(text)
    assert all(c.isprintable() or c in "\u200c\u200d" for c in found)
    assert clean(found) == found
    assert [c for c in found if c.isalnum()] == [c for c in text if c.isalnum()]


@given(st.text(max_size=60))
def test_any_text_is_read_back_from_the_page_as_it_was(text: str) -> None:
    sheet = Sheet(id="x", title="x", parts=(Part(title="p", lines=(say(text),)),))
    assert " ".join(clean(text).split()) in Tree(page([sheet], KNOWLEDGE, language="en", title="x")).text


# --- pictures ---------------------------------------------------------------------------------------------------------


def drawing(inside: str, attributes: str = "") -> Part:
    return Part(
        title="Course", alt="It fell.", svg=f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{inside}</svg>'
    )


def test_a_picture_tells_its_own_title_and_description_and_keeps_its_ids_apart() -> None:
    found = picture(Part(title="Course", alt="It fell.", svg=SVG), "s1p1")
    assert found.count("<title") == found.count("<desc") == 1
    assert '<title id="s1p1-title">Course</title><desc id="s1p1-desc">It fell.</desc>' in found
    assert 'role="img"' in found
    assert 'aria-labelledby="s1p1-title s1p1-desc"' in found
    assert 'id="s1p1-c"' in found
    assert 'clip-path="url(#s1p1-c)"' in found
    assert 'fill="#0072b2"' in found  # a colour is no reference
    assert 'viewBox="0 0 400 80"' in found


@pytest.mark.parametrize(
    ("inside", "attributes"),
    [
        ("<script>1</script>", ""),
        ("<foreignObject/>", ""),
        ('<image href="https://example.org/a.png"/>', ""),
        ("<style>@import url(https://example.org)</style>", ""),
        ('<a href="javascript:1"><text>x</text></a>', ""),
        ("<rect/>", 'onload="1"'),
        ('<rect fill="url(https://example.org/x#y)"/>', ""),
        ('<rect style="fill: URL( //example.org )"/>', ""),
        ('<linearGradient href="//example.org/x"/>', ""),
        ("<!DOCTYPE x>", ""),
        ("<rect>", ""),
    ],
)
def test_a_picture_that_is_more_than_a_drawing_is_refused(inside: str, attributes: str) -> None:
    with pytest.raises(BadInput, match="picture"):
        picture(drawing(inside, attributes), "s1")


def test_a_picture_without_words_is_refused() -> None:
    with pytest.raises(BadInput, match=r"needs words for who cannot see it \(at Course\)"):
        picture(replace(drawing("<rect/>"), alt=" "), "s1")


def test_a_drawing_is_taken_as_it_is() -> None:
    found = picture(drawing('<?php x ?><!-- y --><path d="M0 0L9 9"/><circle r="2"/>', 'viewBox="0 0 9 9"'), "s1")
    assert {name for name in DRAWN if f"<{name}" in found} == {"path", "circle"}
    assert "<?" not in found
    assert "<!" not in found
