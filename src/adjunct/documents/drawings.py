"""Small pictures for pages: spans of time as bars, scores as dots. Their numbers stand beside them as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from xml.etree import ElementTree

LABEL = 60  # layout: characters of a label above its bar; the table has all of it
WIDE = 480  # layout: of a picture, in its own units, as all below
EDGE = 8  # layout: free at its border
LETTER = 13  # layout: height of its letters
ROW = 38  # layout: height of a bar with its title
BAR = 12  # layout: height of a bar
HIGH = 200  # layout: height of a picture of dots
MARGIN = 30  # layout: around the dots, for their numbers and days
RADIUS = 5  # layout: of a dot
INK, FILL, MARK = "#1a1a1a", "#0072b2", "#9b1c1c"

Span = tuple[str, int, int]  # title, from, to (ms)
Point = tuple[int, float, str]  # when (ms), value, the value as it is written


def extent(spans: Sequence[Span], now: int) -> tuple[int, int]:
    """From the first moment to the last, today among them."""
    return min(now, *(first for _, first, _ in spans)), max(now, *(last for _, _, last in spans))


def bars(spans: Sequence[Span], now: int) -> str:
    """One bar a span on one line of time, its title above it; the dashed line is now."""
    first, last = extent(spans, now)
    high = ROW * len(spans) + EDGE
    root = _ground(high)
    at = f"{_across(now, first, last, EDGE):.1f}"
    stroke = {"stroke": MARK, "stroke-width": "2", "stroke-dasharray": "5 4"}
    _put(root, "line", {"x1": at, "x2": at, "y1": "0", "y2": str(high), **stroke})
    for number, (title, begins, ends) in enumerate(spans):
        top = ROW * number + EDGE
        _text(root, EDGE, top + LETTER, textwrap.shorten(title, LABEL, placeholder="\u2026"))
        left, right = (_across(ms, first, last, EDGE) for ms in (begins, ends))
        size = {"width": f"{max(right - left, 1):.1f}", "height": str(BAR), "fill": FILL}
        _put(root, "rect", {"x": f"{left:.1f}", "y": str(top + LETTER + BAR // 2), **size})
    return ElementTree.tostring(root, encoding="unicode")


def dots(points: Sequence[Point], most: float, first_day: str, last_day: str) -> str:
    """One dot a score between 0 and `most`, its value above it. Nothing is joined: what lies between is not known."""
    first, last = points[0][0], points[-1][0]
    floor = HIGH - MARGIN
    root = _ground(HIGH)
    _put(root, "line", {"x1": str(EDGE), "x2": str(WIDE - EDGE), "y1": str(floor), "y2": str(floor), "stroke": INK})
    for at, value, written in points:
        x, y = _across(at, first, last, MARGIN), floor - value / (most or 1) * (floor - MARGIN)
        _put(root, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": str(RADIUS), "fill": FILL})
        _text(root, x, y - 2 * RADIUS, written, "middle")
    _text(root, EDGE, HIGH - EDGE, first_day)
    if last > first:
        _text(root, WIDE - EDGE, HIGH - EDGE, last_day, "end")
    return ElementTree.tostring(root, encoding="unicode")


def _across(ms: int, first: int, last: int, edge: int) -> float:
    return edge + (ms - first) * (WIDE - 2 * edge) / max(last - first, 1)


def _ground(high: int) -> ElementTree.Element:
    """An empty picture on a ground of its own: dark words are read on a dark page too."""
    root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDE} {high}"})
    _put(root, "rect", {"width": str(WIDE), "height": str(high), "fill": "#ffffff"})
    return root


def _put(root: ElementTree.Element, tag: str, attributes: dict[str, str]) -> ElementTree.Element:
    return ElementTree.SubElement(root, tag, attributes)


def _text(root: ElementTree.Element, x: float, y: float, text: str, anchor: str = "start") -> None:
    look = {"font-size": str(LETTER), "font-family": "sans-serif", "fill": INK, "text-anchor": anchor}
    _put(root, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", **look}).text = text
