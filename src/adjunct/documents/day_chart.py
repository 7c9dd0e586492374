"""A treatment day as a picture: pressure and heart rate, oxygen saturation, doses, alarms, and what models predict.

Two scales above each other share one line of time. Values are dots joined where the next came soon after: a gap stays a
gap. The prediction has no scale of its own: it is drawn against its own highest value, dashed, and named as predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

from adjunct.base import MS_PER_SECOND

if TYPE_CHECKING:
    from adjunct.session.predicted import Curve

MINUTE_MS = 60 * MS_PER_SECOND  # unit: milliseconds a minute
WIDE = 760  # layout: the picture, in its own units, as all below
HIGH = 206
LEFT = 34  # layout: room for numbers and names around the curves
RIGHT = 96
TOP = 8
UPPER = 120  # layout: height of pressure and heart rate
LOWER = 34  # layout: of saturation
BETWEEN = 10  # layout: free between the two
STRIP = 6  # layout: height of a bar of an alarm
LETTER = 10  # layout: height of letters
DROP = 3.4  # layout: how far the foot of a word lies under its middle
DOT = 1.6  # layout: radius of a value
STROKE = 1.2  # layout: width of a curve
FAINT = 0.12  # layout: how strongly the band of the prediction is tinted
PALE = 0.15  # layout: how strongly an alarm is tinted behind the curves
ROUND = 40  # layout: between two lines of the upper scale, which ends at one
SATURATION = (80, 100)  # layout: part of the scale that is drawn; what lies below stands at its foot
TICKS = (10, 15, 30, 60, 120, 240)  # layout: minutes between two numbers of time
MOST_TICKS = 12  # layout: numbers of time
GAP_MS = 20 * MINUTE_MS  # layout: values further apart are not joined
INK, RULE, PREDICTED = "#1a1a1a", "#c8c8c8", "#767676"
COLOURS = {"systolic": "#0072b2", "diastolic": "#56b4e9", "heart_rate": "#d55e00", "spo2": "#009e73"}
SHORT = "4 4"  # how the prediction is dashed
DASHES = {"systolic": "", "diastolic": "6 3", "heart_rate": "2 2", "spo2": ""}
ALARMED = {"emergency": "#9b1c1c", "high": "#d55e00", "medium": "#e69f00"}
LOW = "#767676"
SPO2 = "spo2"

Point = tuple[int, float]  # when (ms), value


class Series(NamedTuple):
    """One measure: its title, its id and what was measured."""

    title: str
    name: str
    points: Sequence[Point]


class Bar(NamedTuple):
    """One alarm, from when it was raised until it was over; None while it stands."""

    name: str
    level: str
    start: int
    end: int | None


def chart(
    series: Sequence[Series],
    doses: Sequence[tuple[int, int]],
    alarms: Sequence[Bar],
    curve: Curve | None,
    *,
    first: int,
    last: int,
    clock: Callable[[int], str],
) -> str:
    """The picture as SVG, from `first` to `last`. `curve`: the predicted concentration, if there is one."""
    made = _Chart(first, max(last, first + 1), clock).draw(series, doses, alarms, curve)
    return ElementTree.tostring(made, encoding="unicode")


class _Chart:
    """One picture being drawn."""

    def __init__(self, first: int, last: int, clock: Callable[[int], str]) -> None:
        self.first, self.last, self.clock = first, last, clock
        self.root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDE} {HIGH}"})
        self.put("rect", width=WIDE, height=HIGH, fill="#ffffff")

    def draw(
        self,
        series: Sequence[Series],
        doses: Sequence[tuple[int, int]],
        alarms: Sequence[Bar],
        curve: Curve | None,
    ) -> ElementTree.Element:
        upper = [s for s in series if s.name != SPO2]
        most = max((v for s in upper for _, v in s.points), default=ROUND)
        top = (most // ROUND + 1) * ROUND
        foot = TOP + UPPER + BETWEEN + LOWER
        self.alarmed(alarms, foot)
        self.scale(0, top, TOP, UPPER, int(top // ROUND))
        self.scale(*SATURATION, TOP + UPPER + BETWEEN, LOWER, 2)
        self.times(foot)
        self.given(doses)
        if curve is not None:
            self.predicted(curve, top)
        for number, each in enumerate(upper):
            self.curve(each, 0, top, TOP, UPPER)
            self.named(each.title, TOP + LETTER + number * (LETTER + STRIP), COLOURS[each.name], DASHES[each.name])
        for each in (s for s in series if s.name == SPO2):
            self.curve(each, *SATURATION, TOP + UPPER + BETWEEN, LOWER)
            self.named(f"{each.title}, %", TOP + UPPER + BETWEEN + LETTER, COLOURS[SPO2], DASHES[SPO2])
        return self.root

    def named(self, title: str, y: float, colour: str, dash: str) -> None:
        """A name beside the curves, behind a piece of its line."""
        x, middle = WIDE - RIGHT + LETTER // 2, y - DROP
        self.stroke(f"{x},{middle:.1f} {x + 2 * LETTER},{middle:.1f}", colour, dash)
        self.word(x + 2 * LETTER + STRIP / 2, y, title)

    def predicted(self, curve: Curve, top: float) -> None:
        """Against its own highest value: a shape to read the vital signs by, without a scale."""
        high, low = curve.high or curve.typical, curve.low or curve.typical
        share = top / (max(high) or 1)
        inside = [n for n, at in enumerate(curve.t_ms) if self.first <= at <= self.last]
        edge = [
            (curve.t_ms[n], values[n] * share) for values, some in ((high, inside), (low, inside[::-1])) for n in some
        ]
        if curve.high:
            self.put(
                "polygon", points=self.path(edge, 0, top, TOP, UPPER), fill=PREDICTED, **{"fill-opacity": f"{FAINT}"}
            )
        self.line([(curve.t_ms[n], curve.typical[n] * share) for n in inside], 0, top, TOP, UPPER, PREDICTED, SHORT)
        if inside:
            foot = _up(curve.typical[inside[-1]] * share, 0, top, TOP, UPPER)
            self.named("predicted", max(foot, TOP + UPPER / 2), PREDICTED, SHORT)

    def curve(self, series: Series, low: float, high: float, top: float, tall: float) -> None:
        colour, dash = COLOURS[series.name], DASHES[series.name]
        for run in _runs([p for p in series.points if self.first <= p[0] <= self.last]):
            self.line(run, low, high, top, tall, colour, dash)
            for at, value in run:
                self.put("circle", cx=self.across(at), cy=_up(value, low, high, top, tall), r=DOT, fill=colour)

    def line(
        self, points: Sequence[Point], low: float, high: float, top: float, tall: float, colour: str, dash: str
    ) -> None:
        self.stroke(self.path(points, low, high, top, tall), colour, dash)

    def stroke(self, points: str, colour: str, dash: str) -> None:
        look = {"fill": "none", "stroke": colour, "stroke-width": f"{STROKE}"}
        self.put("polyline", points=points, **look, **({"stroke-dasharray": dash} if dash else {}))

    def path(self, points: Sequence[Point], low: float, high: float, top: float, tall: float) -> str:
        return " ".join(f"{self.across(at):.1f},{_up(value, low, high, top, tall):.1f}" for at, value in points)

    def scale(self, low: float, high: float, top: float, tall: float, lines: int) -> None:
        for number in range(lines + 1):
            value = low + (high - low) * number / lines
            y = _up(value, low, high, top, tall)
            self.put("line", x1=LEFT, x2=WIDE - RIGHT, y1=y, y2=y, stroke=RULE)
            self.word(LEFT - LETTER // 2, y + DROP, f"{value:.0f}", "end")

    def times(self, foot: float) -> None:
        length = (self.last - self.first) / MINUTE_MS
        step = next((t for t in TICKS if length / t <= MOST_TICKS), TICKS[-1]) * MINUTE_MS
        for at in range(-(-self.first // step) * step, self.last + 1, step):
            x = self.across(at)
            self.put("line", x1=x, x2=x, y1=TOP, y2=foot, stroke=RULE)
            self.word(x, foot + 2 * LETTER + STRIP, self.clock(at), "middle")

    def given(self, doses: Sequence[tuple[int, int]]) -> None:
        """A triangle where something was given, a line while it ran."""
        foot = TOP + UPPER
        for start, end in doses:
            x = self.across(start)
            if end > start:
                self.put("line", x1=x, x2=self.across(end), y1=foot, y2=foot, stroke=INK, **{"stroke-width": "3"})
            self.put(
                "polygon",
                points=f"{x:.1f},{foot - LETTER} {x - STRIP / 2:.1f},{foot} {x + STRIP / 2:.1f},{foot}",
                fill=INK,
            )

    def alarmed(self, alarms: Sequence[Bar], foot: float) -> None:
        """A bar below the curves as long as an alarm stood, and its time tinted behind them."""
        for alarm in alarms:
            left = self.across(max(alarm.start, self.first))
            right = self.across(min(self.last if alarm.end is None else alarm.end, self.last))
            colour, width = ALARMED.get(alarm.level, LOW), max(right - left, 1)
            self.put("rect", x=left, y=TOP, width=width, height=foot - TOP, fill=colour, **{"fill-opacity": f"{PALE}"})
            self.put("rect", x=left, y=foot + LETTER / 2, width=width, height=STRIP, fill=colour)
        if alarms:
            self.word(WIDE - RIGHT + LETTER // 2, foot + LETTER, "alarms")

    def across(self, ms: int) -> float:
        return LEFT + (ms - self.first) * (WIDE - LEFT - RIGHT) / (self.last - self.first)

    def word(self, x: float, y: float, text: str, anchor: str = "start") -> None:
        look = {"font-size": str(LETTER), "font-family": "sans-serif", "fill": INK, "text-anchor": anchor}
        self.put("text", x=x, y=y, **look).text = text

    def put(self, tag: str, **attributes: float | str) -> ElementTree.Element:
        written = {k: v if isinstance(v, str) else f"{v:.1f}" for k, v in attributes.items()}
        return ElementTree.SubElement(self.root, tag, written)


def _up(value: float, low: float, high: float, top: float, tall: float) -> float:
    """How far down a value lies; what lies off the scale stands at its end."""
    return top + tall - (min(max(value, low), high) - low) / (high - low) * tall


def _runs(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Values that came soon enough after each other to be joined."""
    run: list[Point] = []
    for point in points:
        if run and point[0] - run[-1][0] > GAP_MS:
            yield run
            run = []
        run.append(point)
    if run:
        yield run
