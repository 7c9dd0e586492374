"""The book: links lead somewhere, text means itself, and the page about records tells the truth about the reader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from adjunct.base import instant
from adjunct.fhir import read_bundle
from adjunct.knowledge import Knowledge, load
from adjunct.knowledge.book import pages
from adjunct.knowledge.book.markdown import code, filled, plain, table
from adjunct.knowledge.book.record import HOW, KINDS
from adjunct.record import MEDICATIONS, READERS, Record, from_bundle
from adjunct.record.derived import HOW as ARITHMETIC

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
NOW = "2026-11-21T12:00:00+00:00"
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
ANCHOR = re.compile(r'<a id="([^"]+)"></a>')
EXAMPLE = re.compile(r"^### ([^\n]+)\n\n[^#]*?Read as `(\w+)`:\n\n```json\n(.*?)\n```$", re.MULTILINE | re.DOTALL)


@cache
def knowledge() -> Knowledge:
    return Knowledge.load()


@cache
def book() -> dict[str, str]:
    return pages(knowledge())


@cache
def anchors(page: str) -> frozenset[str]:
    """What a link may point to: the anchors set by hand, and the one that every heading has."""
    headings = re.findall(r"^#+ (?:<a[^>]*></a>)?(.+)$", book()[page], re.MULTILINE)
    return frozenset(ANCHOR.findall(book()[page])) | {
        re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings
    }


PAGES = (
    "index.md", "rules.md", "facts.md", "substances.md", "claims.md", "activities.md", "sources.md", "instruments.md",
    "law.md", "crisis-lines.md", "record.md",
)  # fmt: skip


def test_the_book_has_these_pages() -> None:
    assert tuple(book()) == PAGES


def test_the_same_knowledge_gives_the_same_bytes() -> None:
    again = pages(Knowledge(knowledge().content))
    assert [name for name in again if again[name] != book()[name]] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_page_and_a_place_on_it(page: str) -> None:
    lost = []
    for target, place in LINK.findall(book()[page]):
        name = target or page
        if name in book():
            if place and place not in anchors(name):
                lost.append(f"{name}#{place}")
        elif not (REFERENCE / target).resolve().exists():
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize("page", PAGES)
def test_no_anchor_stands_twice(page: str) -> None:
    found = ANCHOR.findall(book()[page])
    assert len(found) == len(set(found))


@pytest.mark.parametrize("page", PAGES)
def test_every_row_of_a_table_has_as_many_cells_as_its_head(page: str) -> None:
    width = 0
    for line in book()[page].splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        if cells:
            assert width in (0, cells), line
        width = cells


@pytest.mark.parametrize("page", PAGES)
def test_no_page_shows_an_unfilled_place_or_a_python_value(page: str) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", book()[page], flags=re.DOTALL)
    assert re.findall(r"\{[a-z0-9_.]+\}|\$\w+|\| None \||<class|\bnan\b", text) == []


def test_text_means_itself() -> None:
    assert plain("a|b *c* <d> [e]`f`") == r"a|b \*c\* \<d\> \[e\]\`f\`"
    assert table(("x",), [("a|b\nc",)]).splitlines()[-1] == r"| a\|b c |"
    assert code("a`b") == "``a`b``"


def test_a_number_of_a_sentence_leads_to_its_fact() -> None:
    fact = next(iter(knowledge().facts))
    shown = filled(f"At {{{fact}}} or more, {{names}}", knowledge())
    assert f"](facts.md#fact-{fact}) or more, *the substances found*" in shown


# --- nothing is left out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "kind", "part"),
    [
        ("rules.md", "rule", "rules"),
        ("facts.md", "fact", "facts"),
        ("substances.md", "substance", "substances"),
        ("sources.md", "source", "sources"),
        ("record.md", "concept", "concepts"),
    ],
)
def test_every_entry_has_its_place(page: str, kind: str, part: str) -> None:
    assert {f"{kind}-{e['id']}" for e in knowledge().content[part]} <= anchors(page)


def test_every_claim_row_of_law_and_help_line_is_there() -> None:
    assert {f"claim-{row['claim_id']}" for row in knowledge().content["claims"]} <= anchors("claims.md")
    assert {f"law-{row['code']}" for row in knowledge().content["jurisdictions"]} <= anchors("law.md")
    for row in knowledge().content["crisis_lines"]:
        assert plain(row["contact"]).replace("|", "\\|") in book()["crisis-lines.md"]


def test_a_closed_line_is_marked() -> None:
    closed = [row for row in knowledge().content["crisis_lines"] if row["show"] != "yes"]
    assert closed
    lines = book()["crisis-lines.md"].splitlines()
    for row in closed:
        shown = [line for line in lines if plain(row["name"]) in line]
        assert shown
        assert all("**DO NOT SHOW**" in line for line in shown)


def test_every_case_of_a_rule_is_printed() -> None:
    rows = re.findall(r"\| (?:holds|does not hold|unknown) \|$", book()["rules.md"], re.MULTILINE)
    assert len(rows) == sum(len(rule.cases) for rule in knowledge().rule_list)


def test_the_printed_book_is_this_one() -> None:
    if not REFERENCE.is_dir():
        pytest.skip("docs/reference/ is not printed yet: `make docs`")
    stale = [n for n, text in book().items() if (REFERENCE / n).read_text(encoding="utf-8") != text]
    assert stale == [], "run `make docs`"


# --- the page about records and the code that reads them --------------------------------------------------------------


def examples() -> Iterator[tuple[str, str, str]]:
    yield from EXAMPLE.findall((load.HERE / "book" / "reading.md").read_text(encoding="utf-8"))


def read(resource: dict[str, object]) -> Record:
    person = {"resourceType": "Patient", "id": "example"}
    others = [] if resource["resourceType"] == "Patient" else [{"resource": resource}]
    entries = [{"resource": resource if not others else person}, *others]
    bundle = read_bundle({"resourceType": "Bundle", "type": "collection", "entry": entries})
    return from_bundle(bundle, knowledge(), now=instant(NOW), phase="pre-dose")


def test_there_is_an_example_of_every_kind() -> None:
    kinds = {knowledge().concepts[concept].kind for _, concept, _ in examples()}
    assert kinds == set(KINDS)


@pytest.mark.parametrize(("title", "concept", "text"), [pytest.param(*e, id=e[0]) for e in examples()])
def test_every_example_is_read_as_it_says(title: str, concept: str, text: str) -> None:
    record = read(json.loads(text))
    assert concept in {knowledge().concept_ids[c] for c in record.events.concept}
    assert [p.what for p in record.problems if p.blocks] == []


def example(title: str) -> Record:
    return next(read(json.loads(text)) for name, _, text in examples() if name == title)


def test_the_examples_of_medicines_say_what_the_page_says() -> None:
    now = instant(NOW).ms
    used, stopped, depot = (
        example(t).intakes[0] for t in ("A medicine in use", "A medicine that was stopped", "A depot")
    )
    assert used.t1 >= now
    assert used.per_day_mg == (100.0, 100.0)
    assert stopped.t1 < now
    assert depot.t1 >= now
    assert example("An attestation").attested == {"history"}


def test_the_page_names_every_resource_that_is_read_and_no_other() -> None:
    named = set(re.findall(r"^\| `([A-Z]\w+)` \|", book()["record.md"], re.MULTILINE))
    helpers = {"QuestionnaireResponse", "Questionnaire", "Medication"}
    assert named == set(READERS) | MEDICATIONS | helpers


def test_the_page_explains_every_arithmetic() -> None:
    assert set(HOW) == set(ARITHMETIC)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_lists_every_fact_of_a_kind(kind: str) -> None:
    part = book()["record.md"].partition(f'<a id="kind-{kind}"></a>')[2].partition("\n## ")[0]
    wanted = {c.id for c in knowledge().concepts.values() if c.kind == kind}
    assert set(re.findall(r'<a id="concept-(\w+)"></a>', part)) == wanted


def test_every_code_that_is_read_is_printed() -> None:
    page = book()["record.md"]
    assert [r["code"] for r in knowledge().content["valuesets"] if code(r["code"]) not in page] == []
