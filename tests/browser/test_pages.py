"""What people open and print, in a real browser: the safety plan and the picture of a course.

axe-core looks for what keeps somebody out (WCAG 2.2 A and AA, and its best practices); the rest is looked at as a
person would: at the width of a telephone, by keyboard, enlarged, on paper, and with words in a plan that are a program.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

import adjunct
from adjunct.documents.course import described, draw
from adjunct.followup.cover import Cover, Told, told
from adjunct.followup.safety_plan import Plan, Version, add, page
from adjunct.knowledge import Knowledge

ROOT = Path(__file__).parent.parent.parent
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
EXAMPLE = ROOT / "src" / "adjunct" / "examples" / "dana-course.json"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
KNOWLEDGE = Knowledge.load()
NOW = 1_795_200_000_000  # 2026-11-20
PHONE, DESK, NARROW = (390, 844), (1280, 900), (320, 640)
HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> & \"quoted\""
SECTIONS = {
    "signs": ("I stop opening letters", "I cancel choir"),
    "alone": ("Shower, shoes on, once around the lake",),
    "distract": ("Choir on Tuesdays at 19:30",),
    "ask": ("Ruth from next door, +49 30 1234567", HOSTILE),
    "professionals": ("Practice, in opening hours, 030/7654321",),
    "surroundings": ("Ruth keeps the tablets",),
}


def version(name: str, **more: Any) -> Version:
    return Version(id=name, at=NOW, by="Dana W. with J. Harms", reason="first writing", sections=SECTIONS, **more)


def plan(*versions: Version) -> Plan:
    written = Plan()
    for each in versions:
        written = add(written, each, KNOWLEDGE)
    return written


def help_in(country: str) -> Told:
    return told("UNKNOWN", KNOWLEDGE, Cover(zone="UTC"), country=country, now=NOW)


PAGES = {
    "a plan": page(plan(version("a")), help_in("US"), KNOWLEDGE),
    "no plan": page(Plan(), help_in("DE"), KNOWLEDGE),
    "two versions side by side": page(plan(version("a"), version("b")), help_in("GB"), KNOWLEDGE),
    "country not known": page(plan(version("a")), help_in(""), KNOWLEDGE),
}


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        if os.environ.get("CI"):
            pytest.fail("axe-core is not there: run `npm ci`")
        pytest.skip("axe-core is not there: run `npm ci`")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[Page]:
    found = browser.new_page()
    yield found
    found.close()


@pytest.fixture
def tab(window: Page) -> Iterator[Page]:
    """A tab at the width of a telephone that reaches nothing: every request is refused and counted."""
    asked: list[str] = []
    window.goto("about:blank")
    window.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    window.emulate_media(media="screen", color_scheme="light")
    window.route("**/*", lambda route: (asked.append(route.request.url), route.abort()))
    yield window
    window.unroute("**/*")
    assert asked == [], "a page that is needed at three in the morning needs no network"


def violations(tab: Page, axe: str) -> list[str]:
    tab.evaluate(axe)
    found = tab.evaluate("rules => axe.run({runOnly: rules})", RULES)
    assert found["passes"], "axe looked at nothing"
    return [f"{v['id']}: {v['help']}: {[n['html'][:80] for n in v['nodes']]}" for v in found["violations"]]


# --- the safety plan --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("size", [PHONE, DESK])
def test_the_plan_keeps_nobody_out(name: str, size: tuple[int, int], tab: Page, axe: str) -> None:
    tab.set_viewport_size({"width": size[0], "height": size[1]})
    tab.set_content(PAGES[name])
    assert violations(tab, axe) == []


def test_axe_would_see_a_fault(tab: Page, axe: str) -> None:
    tab.set_content(PAGES["a plan"].replace("color: #1a1a1a; background: #fff", "color: #bbb; background: #fff"))
    assert any(found.startswith("color-contrast") for found in violations(tab, axe))


@pytest.mark.parametrize("country", ["US", "DE", "GB", "AU", "FR", "ES", ""])
def test_whom_to_call_stands_above_the_fold_in_large_type(country: str, tab: Page) -> None:
    tab.set_content(page(plan(version("a")), help_in(country), KNOWLEDGE))
    lines = tab.locator(".help strong").all()
    assert len(lines) == len(help_in(country).contacts)
    for line in lines:
        box = line.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= PHONE[1]
        assert float(line.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")) >= 20


def test_every_number_is_reached_by_keyboard_in_reading_order(tab: Page) -> None:
    tab.set_content(PAGES["a plan"])
    reached = []
    for _ in range(tab.locator("a").count()):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.getAttribute('href')"))
        assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert reached == ["tel:911", "tel:988", "sms:741741", "tel:+49301234567", "tel:0307654321"]


@pytest.mark.parametrize("width", [DESK[0] // 2, NARROW[0]])  # zoom of 200 % on a desk, of 400 %
def test_enlarged_nothing_is_lost(width: int, tab: Page) -> None:
    tab.set_content(PAGES["two versions side by side"])
    words = tab.inner_text("main")
    tab.set_viewport_size({"width": width, "height": NARROW[1]})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.inner_text("main") == words
    cut = (
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert tab.evaluate(cut) == 0


def test_words_of_a_plan_are_words(tab: Page) -> None:
    tab.set_content(PAGES["a plan"])
    assert HOSTILE in tab.inner_text("main")
    assert tab.evaluate("window.hacked") is None
    assert tab.locator("main script, main img").count() == 0


def test_it_prints_on_two_a4_pages_at_most(tab: Page, tmp_path: Path) -> None:
    tab.set_content(PAGES["a plan"])
    tab.pdf(path=tmp_path / "plan.pdf", prefer_css_page_size=True)
    pdf = (tmp_path / "plan.pdf").read_bytes()
    boxes = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", pdf)
    assert 1 <= len(boxes) <= 2
    assert {(round(float(w)), round(float(h))) for w, h in boxes} == {(595, 842)}


def test_on_paper_the_frame_is_not_torn_and_links_are_plain(tab: Page) -> None:
    tab.set_content(PAGES["a plan"])
    tab.emulate_media(media="print")
    style = "(q, what) => getComputedStyle(document.querySelector(q))[what]"
    assert tab.evaluate(f"({style})('.help', 'breakInside')") == "avoid"
    assert tab.evaluate(f"({style})('.help a', 'textDecorationLine')") == "none"


# --- the picture of a course ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The picture, and the alternative text of an image of it."""
    result = adjunct.follow(EXAMPLE, at="2026-11-21T08:30:00+01:00", country="DE")
    path, _ = draw(result, tmp_path_factory.mktemp("course") / "course.svg")
    return path.read_text(encoding="utf-8"), ". ".join(described(result))


AROUND = """<!doctype html><html lang="en"><head><meta name="viewport" content="width=device-width">
<title>course</title><style>:root { color-scheme: light dark }</style></head>
<body><main><h1>Course</h1><div id="here"></div></main></body></html>"""
INLINE = "([svg, alt]) => { here.innerHTML = svg }"
IMAGE = """([svg, alt]) => { const image = new Image(); image.alt = alt; here.append(image);
image.src = URL.createObjectURL(new Blob([svg], {type: 'image/svg+xml'})); return image.decode() }"""


@pytest.mark.parametrize(
    ("scheme", "put"),
    [("light", INLINE), ("dark", INLINE), ("dark", IMAGE)],
    ids=["in a page", "in a dark page", "as an image"],
)
def test_the_picture_keeps_nobody_out(scheme: Any, put: str, picture: tuple[str, str], tab: Page, axe: str) -> None:
    svg, alt = picture
    tab.emulate_media(color_scheme=scheme)
    tab.set_content(AROUND)
    tab.evaluate(put, [svg, alt])
    assert violations(tab, axe) == []
    box = tab.locator("#here > svg, #here > img").bounding_box()
    assert box is not None
    assert box["width"] > PHONE[0]  # it was drawn
    assert 'fill="white"' in svg  # it brings its own ground: black words are read on a dark page too


def test_the_picture_runs_nothing_and_loads_nothing(picture: tuple[str, str]) -> None:
    svg, _ = picture
    assert not re.search(r"<script|<foreignObject|<image|\son\w+=|href=|url\(http", svg)
