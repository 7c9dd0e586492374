"""The pages that people read and print, in a real browser: on a telephone, in the dark, by keyboard, on paper.

axe-core looks for what keeps somebody out (WCAG 2.2 A and AA, and its best practices).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

import adjunct
from adjunct.documents.care_plan import care_plan_sheet
from adjunct.documents.page import page
from adjunct.documents.report import report_sheet
from adjunct.documents.treatment_day import treatment_day_sheet
from adjunct.due import due
from adjunct.fhir import read_bundle
from adjunct.knowledge import Knowledge
from adjunct.planning.pages import numbers
from adjunct.record import from_bundle
from adjunct.session.discharge import gate
from adjunct.session.predicted import predicted
from adjunct.sheet import Part, Sheet
from sheets import EVERY_KIND, HOSTILE, MADE, PLAN, SPANISH, ZONE

ROOT = Path(__file__).parent.parent.parent

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
EXAMPLE = Path(adjunct.__file__).parent / "examples" / "dana-course.json"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
KNOWLEDGE = Knowledge.load()
NARROW, DESK = 320, 1280
LEAST_PX = 18  # of the words that are not an aside
LEAST_OF_A_PICTURE_PX = 8


def report(language: str) -> tuple[Sheet, ...]:
    """The report of the example, with a plan beside it."""
    follow = adjunct.follow(EXAMPLE, at=MADE.iso(), country="US", knowledge=KNOWLEDGE)
    record = from_bundle(read_bundle(EXAMPLE), KNOWLEDGE, now=MADE, phase="follow-up", country="US")
    steps = due(PLAN.steps, [], now=MADE.ms)
    found = report_sheet(
        KNOWLEDGE,
        language=language,
        zone=ZONE,
        at=MADE,
        assessment=follow.assessment,
        record=record,
        plan=PLAN,
        follow=follow,
        steps=steps,
        call=numbers(KNOWLEDGE, language, country="US", telephone="", lines=follow.told.contacts),
    )
    return (found,)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {
        "every kind": page([EVERY_KIND, SPANISH], KNOWLEDGE, language="en", title="Your pages"),
        "one sheet": page([EVERY_KIND], KNOWLEDGE, language="en", title="After your session"),
        "report": page(report("en"), KNOWLEDGE, language="en", title="Your report"),
        "informe": page(report("es"), KNOWLEDGE, language="es", title="Su informe"),
        "care plan": page([care_plan_sheet(PLAN, KNOWLEDGE)], KNOWLEDGE, language="en", title="Care plan"),
        "treatment day": treatment_day(),
    }


def treatment_day() -> str:
    """A day with alarms, medicines, a picture and everything that was open at its end."""
    replayed = adjunct.replay(tuple(adjunct.rehearse("hypoxia-kratom", knowledge=KNOWLEDGE)), knowledge=KNOWLEDGE)
    (history,) = replayed.floor.sessions.values()
    state, now = history.state, replayed.now
    closed, curve = gate(state, now.ms, KNOWLEDGE), predicted(state, KNOWLEDGE, now=now.ms, until=now.ms)
    found = treatment_day_sheet(state, history.events, KNOWLEDGE, now=now, gate=closed, curve=curve)
    return page([found], KNOWLEDGE, language="en", title=found.title)


NAMES = ("every kind", "one sheet", "report", "informe", "care plan", "treatment day")


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        if os.environ.get("CI"):
            pytest.fail("axe-core is not there: run `npm ci`")
        pytest.skip("axe-core is not there: run `npm ci`")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(bypass_csp=True)  # for axe, which is a script: the page's own policy allows none
    yield context.new_page()
    context.close()


@pytest.fixture
def tab(window: Page) -> Iterator[Page]:
    """A tab that reaches nothing: every request is refused and counted."""
    asked: list[str] = []
    window.goto("about:blank")
    window.set_viewport_size({"width": DESK, "height": 900})
    window.emulate_media(media="screen", color_scheme="light")
    window.route("**/*", lambda route: (asked.append(route.request.url), route.abort()))
    yield window
    window.unroute("**/*")
    assert asked == []


def violations(tab: Page, axe: str) -> list[str]:
    tab.evaluate(axe)
    found = tab.evaluate("rules => axe.run({runOnly: rules})", RULES)
    assert found["passes"], "axe looked at nothing"
    return [f"{v['id']}: {v['help']}: {[n['html'][:80] for n in v['nodes']]}" for v in found["violations"]]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("width", "scheme"), [(NARROW, "light"), (DESK, "dark")])
def test_the_page_keeps_nobody_out(
    name: str, width: int, scheme: Any, pages: dict[str, str], tab: Page, axe: str
) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    tab.set_content(pages[name])
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert violations(tab, axe) == []


def test_axe_would_see_a_fault(pages: dict[str, str], tab: Page, axe: str) -> None:
    tab.set_content(pages["one sheet"].replace("--soft: #4a4a4a", "--soft: #bbb"))
    assert any(found.startswith("color-contrast") for found in violations(tab, axe))


@pytest.mark.parametrize("name", NAMES)
def test_enlarged_to_four_times_nothing_is_lost_or_cut(name: str, pages: dict[str, str], tab: Page) -> None:
    tab.set_content(pages[name])
    words = tab.evaluate("document.body.textContent")
    tab.set_viewport_size({"width": NARROW, "height": 640})
    assert tab.evaluate("document.body.textContent") == words
    assert tab.evaluate("document.documentElement.scrollWidth") <= NARROW
    assert (
        tab.evaluate(
            "[...document.querySelectorAll('main *')].filter(e => !e.closest('thead, svg')"
            " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"
        )
        == []
    )


def test_a_narrow_table_is_still_a_table_and_names_its_columns(pages: dict[str, str], tab: Page) -> None:
    tab.set_viewport_size({"width": NARROW, "height": 640})
    tab.set_content(pages["one sheet"])
    table = tab.get_by_role("table", name="Your visits")
    assert table.get_by_role("row").count() == 1 + 2
    assert table.get_by_role("columnheader").count() == 3
    assert tab.evaluate("getComputedStyle(document.querySelector('td'), '::before').content") == '"When: "'


BROKEN = """[...document.querySelectorAll(':is(td, th)')].filter(cell => {
    const words = document.createRange(); words.selectNodeContents(cell);
    const lines = new Set([...words.getClientRects()].map(line => Math.round(line.bottom / 9)));
    return !/[\\s-]/.test(cell.innerText.trim()) && lines.size > 1;
}).map(cell => cell.innerText)"""


def test_the_tables_of_a_whole_day_break_no_word_at_a_desk_and_on_paper(pages: dict[str, str], tab: Page) -> None:
    tab.set_content(pages["treatment day"])
    assert tab.evaluate(BROKEN) == []
    tab.set_viewport_size({"width": 700, "height": 900})
    tab.emulate_media(media="print")
    assert tab.evaluate(BROKEN) == []


def test_the_picture_of_a_day_stays_readable_on_a_telephone_and_moves_by_keyboard(
    pages: dict[str, str], tab: Page
) -> None:
    tab.set_viewport_size({"width": NARROW, "height": 640})
    tab.set_content(pages["treatment day"])
    letters = "parseFloat(document.querySelector('svg text').getBoundingClientRect().height)"
    assert tab.evaluate(letters) > LEAST_OF_A_PICTURE_PX
    tab.locator("figure").focus()
    tab.keyboard.press("End")
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("document.querySelector('figure').scrollLeft > 0")
    assert tab.evaluate("document.documentElement.scrollWidth") <= NARROW


@pytest.mark.parametrize("name", [name for name in NAMES if name != "treatment day"])
def test_words_are_large_and_lines_are_short(name: str, pages: dict[str, str], tab: Page) -> None:
    tab.set_content(pages[name])
    sizes = "q => [...document.querySelectorAll(q)].map(e => parseFloat(getComputedStyle(e).fontSize))"
    assert min(tab.evaluate(sizes, "article > section :is(p, li, td, th)")) >= LEAST_PX
    assert tab.evaluate("document.body.getBoundingClientRect().width") <= 44 * 16


def test_all_that_can_be_acted_on_is_reached_by_keyboard_in_reading_order(pages: dict[str, str], tab: Page) -> None:
    tab.set_content(pages["every kind"])
    reached = []
    for _ in range(tab.locator("a:visible, summary").count()):  # not what is folded away
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.getAttribute('href') || 'details'"))
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert reached[:7] == ["#s1", "#s2", "tel:15", "tel:988", "sms:741741", "tel:+13125550100", "#s1n1"]
    assert "details" in reached


def test_a_footnote_leads_to_its_source(pages: dict[str, str], tab: Page) -> None:
    tab.set_content(pages["one sheet"])
    tab.get_by_role("link", name="Source 2").click()
    assert tab.locator(":target").inner_text() == "This project"


def test_a_picture_has_a_name_and_a_table(pages: dict[str, str], tab: Page) -> None:
    tab.set_content(pages["one sheet"])
    assert tab.get_by_role("img", name="Your score").count() == 1
    tab.get_by_text("The same as a table").click()
    assert tab.get_by_role("table", name="Your score").is_visible()


def test_words_stay_words(pages: dict[str, str], tab: Page) -> None:
    tab.set_content(pages["every kind"])
    assert HOSTILE in tab.inner_text("main")
    assert tab.evaluate("window.hacked") is None


def test_the_pages_own_policy_stops_what_would_run_or_load(browser: Browser, pages: dict[str, str]) -> None:
    context = browser.new_context()
    tab, asked = context.new_page(), []
    tab.route("**/x.png", lambda route: (asked.append(route.request.url), route.abort()))
    worse = "<script>window.hacked = 1</script><img src='http://127.0.0.1:9/x.png' onerror='window.hacked = 2'></body>"
    tab.set_content(pages["one sheet"].replace("</body>", worse))
    assert tab.evaluate("window.hacked") is None
    assert asked == []
    context.close()


# --- on paper ---------------------------------------------------------------------------------------------------------


def test_on_paper_each_sheet_has_a_page_and_tables_are_open(pages: dict[str, str], tab: Page, tmp_path: Path) -> None:
    from pypdf import PdfReader

    tab.emulate_media(media="print")
    tab.set_content(pages["every kind"])
    tab.pdf(path=tmp_path / "page.pdf")
    text = [" ".join(found.extract_text().split()) for found in PdfReader(tmp_path / "page.pdf").pages]
    assert "Después de la sesión" in text[-1]
    assert EVERY_KIND.title not in text[-1]
    assert "8 January 9" in " ".join(text)  # the numbers of the picture
    assert "The same as a table" not in " ".join(text)


def test_on_paper_ink_is_dark_whatever_the_screen_was(pages: dict[str, str], tab: Page) -> None:
    tab.emulate_media(media="print", color_scheme="dark")
    tab.set_content(pages["one sheet"])
    assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate("getComputedStyle(document.querySelector('.warning')).breakInside") == "avoid"


def test_long_words_break_and_do_not_push_the_page_wide(tab: Page) -> None:
    long = "Donaudampfschifffahrtsgesellschaft" * 9
    rows = ((replace(EVERY_KIND.lead[0], text=long),) * 2,)
    sheet = Sheet(id="x", title=long, parts=(Part(title=long, kind="table", head=(long, long), rows=rows),))
    for width in (NARROW, DESK):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.set_content(page([sheet], KNOWLEDGE, language="en", title="x"))
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
