"""One person's course as a picture for a screen or paper, with its table twin beside it.

The picture is drawn from the rows of the table, so that the two cannot differ. A score that is missing is marked as
missing and nothing is joined across it; what lies after today is set apart and called a prediction; every mark has
words, because colour is lost in print and to some eyes. Dates are those of the clinic's calendar.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from adjunct.base import MS_PER_DAY, BadInput, instant, shown
from adjunct.documents.course_table import BEYOND, COLUMNS, POINTS, REVIEW, Row, brief, leading, rows, table
from adjunct.documents.plots import DASHES, FORMATS, GREY, PALETTE, SCALE, UNUSED
from adjunct.documents.writing import write
from adjunct.followup import FollowUp
from adjunct.followup.context import UNDATED
from adjunct.instruments.outcomes import number_text

HEADER = ",".join(COLUMNS).encode()


def draw(result: FollowUp, path: Path) -> tuple[Path, Path]:
    """Write the picture to `path` (.svg or .png) and its table beside it (.csv). Without any score it is `BadInput`."""
    if path.suffix not in FORMATS:
        raise BadInput(f"a plot is written as {' or '.join(FORMATS)}, not {shown(path.name)}", "--plot")
    found = rows(result)
    if not any(row.kind in ("score", "missing", "conflict") for row in found):
        raise BadInput("no score of any questionnaire is on record: there is nothing to draw", "--plot")
    try:
        import altair
        import vl_convert
    except ImportError as missing:
        raise BadInput(f"plots need {missing.name}: install adjunct[plots]", "--plot") from None
    spec = _Picture(altair, result, found).chart().to_json()
    twin = path.with_suffix(".csv")
    if twin.exists() and not _is_table(twin):
        raise BadInput("the table of the plot would replace a file of this name: name the plot otherwise", str(twin))
    if path.suffix == ".svg":
        svg = vl_convert.vegalite_to_svg(spec).replace(UNUSED, "")
        write(path, _with_title(svg, *described(result)), str(path))
    else:
        write(path, vl_convert.vegalite_to_png(spec, scale=SCALE), str(path))
    write(twin, table(result, found), str(twin))
    return path, twin


def _is_table(path: Path) -> bool:
    """Whether this is such a table, which a new one may replace."""
    try:
        with path.open("rb") as file:
            return file.readline(len(HEADER) + 2).strip() in (b"", HEADER)
    except OSError:
        return False


# --- the words around it ----------------------------------------------------------------------------------------------


def described(result: FollowUp) -> tuple[str, str]:
    """Title and description for who cannot see the picture: the alternative text of an embedded image."""
    acts = [f"To act on: {brief(result, alert)}." for alert in result.alerts]
    signs = [f"To look at: {s.title}." for s in result.signals if s.level != "red" and s.id != REVIEW]
    review = [f"{r.what}; {r.note}" for r in rows(result) if r.kind == "review"]
    where = [_standing(result, name) for name in result.series]
    told = [*acts, *where, *signs, *review, "The numbers stand in the table beside this file."]
    return _heading(result), " ".join(told)


def _heading(result: FollowUp) -> str:
    title = result.knowledge.instruments[leading(result)]["title"] if result.trajectory else "Scores"
    return f"{title} and what stands beside, as of {_when(result)}"


def _when(result: FollowUp) -> str:
    """The day and hour in the clinic's zone, with the zone."""
    cover = result.settings.cover
    local = cover.local(result.at.ms)
    zone = f"UTC{local.isoformat()[-OFFSET:]}" if cover.zone.startswith("Etc/") else cover.zone
    return f"{_day(local)} {local:%Y %H:%M} ({zone})"


def _day(local: datetime) -> str:
    return f"{local.day} {local:%b}"


def _standing(result: FollowUp, name: str) -> str:
    """One line on an instrument: first, last, state."""
    title = result.knowledge.instruments[name]["title"]
    known = [p for p in result.series[name] if not math.isnan(p.value)]
    if not known:
        return f"{title}: no score is known."
    day = _day(result.settings.cover.local(known[-1].at))
    course = result.courses.get(name)
    before = course.baseline.value if course else math.nan
    first = "" if math.isnan(before) else f"{number_text(before)} before the first dose, "
    state = f": {course.last_known.name}" if course and course.last_known else ""
    return f"{title}: {first}{number_text(known[-1].value)} points on {day}{state}."


def _subtitle(result: FollowUp) -> list[str]:
    """Whose, what to act on, and what could not be said, in lines that fit the width."""
    who = f"{result.patient or 'no patient named'}. Knowledge {result.knowledge.version} of {result.knowledge.as_of}."
    clock = result.settings.cover
    acts = [f"ACT: {brief(result, a)} (since {_day(clock.local(instant(a['since']).ms))})" for a in result.alerts]
    more = len(acts) - MOST_ACTS
    lines = [who, *acts[:MOST_ACTS], *([f"ACT: {more} more, listed by adjunct follow"] if more > 0 else [])]
    path = result.trajectory
    lines += [f"Not known: {why}" for why in path.unknown] if path else [f"No course: {result.why_no_trajectory}"]
    lines += ["No dose is on record: no course is expected."] if path and not path.doses else []
    return [part for line in lines for part in textwrap.wrap(line, WRAP)]


def _with_title(svg: str, title: str, told: str) -> str:
    """One picture with one title and description; its parts are no pictures of their own to a screen reader."""
    svg = PARTS.sub("", svg)
    start = svg.index(">", svg.index("<svg"))
    words = f"<title>{escape(title)}</title><desc>{escape(told)}</desc>"
    return f'{svg[:start]} role="img"{svg[start : start + 1]}{words}{svg[start + 1 :]}'


# --- the picture ------------------------------------------------------------------------------------------------------

SIZES = (640, 300, 84, 17)  # pixels; a lane is a line of words
WIDTH, MAIN, SMALL, LANE = SIZES
MOST = (5, 26, 12)  # what is more is counted, and stands in the table
MOST_ACTS, MOST_LANES, MOST_PANELS = MOST
WRAPS = (120, 138, 52)  # characters of a line above and below the picture, and of the name of a lane
WRAP, FOOT_WRAP, NAME = WRAPS
NAME_LIMIT = 290  # pixels for the name of a lane
SPACES = (25, 14)  # pixels between the words of two thresholds, and from the plot to them
APART, BESIDE = SPACES
SHOWN = (28, 0.35, 0.02)  # days, or part of the past, that are drawn of a prediction; part left free at either side
NEAR_D, SHARE, MARGIN = SHOWN
TICKS = (9, 4)  # of the leading scale and of the others
SPACING = (  # of the dates, up to so many days
    (12, {"interval": "day", "step": 1}),
    (70, {"interval": "week", "step": 1}),
    (160, {"interval": "week", "step": 2}),
    (500, {"interval": "month", "step": 1}),
)
TEXTS = (11, 10, 15)  # points
TEXT, SMALL_TEXT, TITLE = TEXTS
DOTS_PX = (50, 16, 190, 60)  # square pixels
DOT, SMALL_DOT, RING, MARK = DOTS_PX
CROWD = 24  # doses that may each have a line; twice as many scores have large dots
ROOM = 0.06  # part of the time shown that the words beside a mark take
LINES = (2.2, 1, 8)  # pixels
WIDE, THIN, BAR = LINES
TINTS = (0.16, 0.32, 1)
PALE, SOFT, FULL = TINTS
_plain, DASH, DOTS, _mixed, LONG, *_more = DASHES
BLUE, ORANGE, _green, _pink, SKY, AMBER, BLACK = PALETTE
MARKED, FUTURE, GRID = "#404040", "#EFEFEF", "#E4E4E4"
COLOURS = {"alert": ORANGE, "red": ORANGE, "amber": AMBER, "info": SKY}
SOLID = {"filled": True, "opacity": FULL}
NOTHING: dict[str, Any] = {"values": [{}]}  # a mark that stands for no data
OFFSET = len("-06:00")
PARTS = re.compile(r' (?:role="graphics-[a-z]+"|aria-[a-z]+="[^"]*")')
EARLY = "Early warning: "
TREAT, FACE, EMPTY = "triangle-up", "circle", "M-.7,-.7L.7,.7M.7,-.7L-.7,.7"
LANES = {  # lanes that hold several notes, in their order; any other note is a lane by its own title
    "dose": "Doses given",
    "missing": "Score missing",
    "not-used": "Score not used",
    "conflict": "Scores that contradict each other",
    "suicide-item": "Suicidal thoughts: item above 0",
    "review": "Half of the gain may be lost (see below)",
    "missed": "Check-in missed",
    "sleep": "Hours slept",
}
FIRST = "mood suicide anxiety sleep function wellbeing mania withdrawal craving"  # domains of the panels on top
ORDER = ("dose", "missing", "not-used", "conflict", "suicide-item", "alert", "signal", "review", "medicine", "washout")
SHAPED = ("dose", "missing", "not-used", "missed")
SAID = ("sleep", "suicide-item", "conflict")  # their number stands beside the mark
CURVES = ("score", "estimate", "prediction", "predicted-score", "expected", "threshold")


class _Picture:
    """The panels of one picture over one time axis. Times are drawn as the wall clock of the clinic."""

    def __init__(self, alt: Any, result: FollowUp, found: Sequence[Row]) -> None:
        self.alt, self.result, self.rows = alt, result, found
        self.now, self.leading = result.at.ms, leading(result)
        marks = (r.at for r in found if r.kind in ("score", "missing", "conflict", "dose") and r.at > UNDATED)
        first = min([*marks, self.now])
        self.until = self.now + (self._ahead(self.now - first) if self.leading else 0)
        side = max(round(MARGIN * (self.until - first)), MS_PER_DAY)
        self.since, self.until = first - side, self.until + side

    def _ahead(self, past: int) -> int:
        """How much of the prediction is drawn: near, or up to the day of the interval review, never more than was."""
        near = NEAR_D * MS_PER_DAY
        days = [r.value + NEAR_D / 2 for r in self.rows if r.kind == "review" and r.value is not None]
        wanted = min(max(SHARE * past, *(day * MS_PER_DAY for day in days), 0), past)
        known = max(r.at for r in self.rows if r.kind == "prediction") - self.now
        return round(min(max(wanted, near), known))

    def chart(self) -> Any:
        alt, known = self.alt, self.result.knowledge.instruments
        names = [name for name in self.result.series if name != self.leading]
        names.sort(key=lambda name: (FIRST.find(known[name]["domain"]) < 0, FIRST.find(known[name]["domain"]), name))
        panels = [self._main(self.leading), self._key()] if self.leading else []
        small = names[:MOST_PANELS]
        panels += [self._lanes(labels=not small)] if self._laned() else []
        panels += [self._small(name, labels=name == small[-1]) for name in small]
        title = alt.TitleParams(
            text=_heading(self.result),
            subtitle=_subtitle(self.result),
            anchor="start",
            frame="group",
            fontSize=TITLE,
            subtitleFontSize=TEXT,
            subtitleColor=BLACK,
            offset=TEXT,
        )
        stacked = alt.vconcat(*panels, self._foot(len(names) - MOST_PANELS), title=title, spacing=TEXT)
        plain = {"labelColor": BLACK, "titleColor": BLACK, "titleFontWeight": "normal", "gridColor": GRID}
        return (
            stacked.configure(background="white", font="sans-serif")
            .configure_view(strokeWidth=0)
            .configure_axis(labelFontSize=SMALL_TEXT, titleFontSize=TEXT, **plain)
        )

    # --- what all panels share

    def wall(self, ms: int) -> int:
        """An instant inside the time shown, as the wall clock of the clinic."""
        inside = min(max(ms, self.since), self.until)
        offset = self.result.settings.cover.local(inside).utcoffset() or timedelta(0)
        return inside + offset // timedelta(milliseconds=1)

    def data(self, rows: Iterable[Row], **more: Callable[[Row], Any]) -> Any:
        """The rows that meet the time shown, as values of a layer."""
        return self.alt.Data(
            values=[
                {
                    "from": self.wall(r.at),
                    "to": self.wall(r.end),
                    "v": r.value,
                    **dict(zip(("low95", "low50", "high50", "high95"), r.band or (), strict=False)),
                    **{name: of(r) for name, of in more.items()},
                }
                for r in rows
                if r.end >= self.since and r.at <= self.until
            ]
        )

    def layer(self, rows: Iterable[Row], **more: Callable[[Row], Any]) -> Any:
        return self.alt.Chart(self.data(rows, **more))

    def x(self, name: str = "from", *, labels: bool = True) -> Any:
        alt = self.alt
        scale = alt.Scale(type="utc", domain=[self.wall(self.since), self.wall(self.until)], nice=False)
        axis = alt.Axis(
            title=None,
            labelExpr="[utcFormat(datum.value, '%-d %b'), utcFormat(datum.value, '%Y')]",
            tickCount=next((name for days, name in SPACING if self.until - self.since < days * MS_PER_DAY), TICKS[0]),
            labelOverlap=True,
            labels=labels,
            ticks=labels,
            domain=labels,
        )
        return alt.X(f"{name}:T", scale=scale, axis=axis)

    def y(self, name: str, field: str = "v") -> Any:
        alt, raw = self.alt, self.result.knowledge.instruments[name]
        values = [r.value for r in self.of("score", name) if r.value is not None] or [0, 1]
        scale = alt.Scale(domain=list(raw.get("range") or (min(values), max(values) + 1)), nice=False, zero=False)
        sense = {"worse": "higher is worse", "better": "higher is better"}.get(raw["direction"], "")
        title = [raw["title"], f"{POINTS}, {sense}" if sense else POINTS]
        axis = alt.Axis(
            title=title,
            tickCount=TICKS[name != self.leading],
            titleAngle=0,
            titleAlign="right",
            titlePadding=TEXT,
        )
        return alt.Y(f"{field}:Q", scale=scale, axis=axis)

    def of(self, kind: str, name: str) -> list[Row]:
        return [r for r in self.rows if r.kind == kind and r.of == name]

    def text(self, words: str, at: int, **how: Any) -> Any:
        chart = self.alt.Chart(self.alt.Data(values=[{"from": self.wall(at)}]))
        return chart.mark_text(text=words, fontSize=SMALL_TEXT, **how).encode(x=self.x())

    # --- the panel of the leading scale

    def _main(self, name: str) -> Any:
        band, line = self._expectation(name)
        layers = [*self._future(), *band, *self._curves(name), *line, *self._limits(name, MAIN)]
        return self.alt.layer(*layers, *self._doses(), *self._dots(name)).properties(width=WIDTH, height=MAIN)

    def _future(self, *, words: bool = True, labels: bool = True) -> Iterator[Any]:
        """What lies after today, apart from what was."""
        alt = self.alt
        if self.leading:
            span = alt.Data(values=[{"from": self.wall(self.now), "to": self.wall(self.until)}])
            yield alt.Chart(span).mark_rect(color=FUTURE).encode(x=self.x(labels=labels), x2="to:T")
        today = alt.Chart(alt.Data(values=[{"from": self.wall(self.now)}]))
        yield today.mark_rule(color=GREY, strokeWidth=THIN).encode(x=self.x(labels=labels))
        if words and self.leading:
            how = {"baseline": "bottom", "dy": -2, "y": 0}
            yield self.text("today", self.now, align="right", dx=-2, **how)
            yield self.text("prediction, no further dose", self.now, align="left", dx=2, fontStyle="italic", **how)

    def _expectation(self, name: str) -> tuple[list[Any], list[Any]]:
        """Band and line of the published series, as far as it went; what lies beyond stands in the table."""
        found = [r for r in self.of("expected", name) if BEYOND not in r.note]
        if not found:
            return [], []
        band = self.layer(found).mark_rect(color=ORANGE, opacity=PALE)
        steps = self.layer([*found, replace(found[-1], at=found[-1].end)])
        line = steps.mark_line(color=ORANGE, strokeDash=LONG, strokeWidth=WIDE, interpolate="step-after")
        return (
            [band.encode(x=self.x(), x2="to:T", y=self.y(name, "low95"), y2="high95:Q")],
            [line.encode(x=self.x(), y=self.y(name))],
        )

    def _curves(self, name: str) -> Iterator[Any]:
        """Median and bands: filled up to today; pale, edged and dashed after it."""
        for kind, fill, dash in (("estimate", (PALE, SOFT), (1, 0)), ("prediction", (PALE / 2, PALE), DASH)):
            rows = self.of(kind, name)
            for (low, high), opacity in zip((("low95", "high95"), ("low50", "high50")), fill, strict=True):
                area = self.layer(rows).mark_area(color=BLUE, opacity=opacity, clip=True)
                yield area.encode(x=self.x(), y=self.y(name, low), y2=f"{high}:Q")
                for side in (low, high) if kind == "prediction" else ():
                    line = self.layer(rows).mark_line(color=BLUE, strokeDash=DOTS, strokeWidth=THIN, clip=True)
                    yield line.encode(x=self.x(), y=self.y(name, side))
            line = self.layer(rows).mark_line(color=BLUE, strokeWidth=WIDE, strokeDash=dash, clip=True)
            yield line.encode(x=self.x(), y=self.y(name))

    def _limits(self, name: str, height: int) -> Iterator[Any]:
        """Thresholds, with their words and source at the right, moved apart where they would meet."""
        alt, found = self.alt, sorted(self.of("threshold", name), key=lambda r: -(r.value or 0))
        if not found:
            return
        low, high = self.result.knowledge.instruments[name]["range"]
        y, placed = [height * (high - (r.value or 0)) / (high - low) for r in found], list[float]()
        for place in y:
            placed.append(max(place, placed[-1] + APART) if placed else place)
        over = max(placed[-1] - height, 0)
        placed = [place - over for place in placed]
        values = [
            {"v": r.value, "y": place, "words": [r.what, r.source.partition(";")[0]]}
            for r, place in zip(found, placed, strict=True)
        ]
        rules = alt.Chart(alt.Data(values=values))
        yield rules.mark_rule(color=GREY, strokeDash=DOTS, strokeWidth=WIDE / 2).encode(y=self.y(name))
        for value, true in zip(values, y, strict=True):
            one = alt.Chart(alt.Data(values=[value]))
            words = one.mark_text(align="left", baseline="middle", fontSize=SMALL_TEXT, text=value["words"])
            yield words.encode(x=alt.value(WIDTH + BESIDE + 2), y=alt.value(value["y"]))
            lead = one.mark_rule(color=GREY, strokeWidth=THIN)
            yield lead.encode(
                x=alt.value(WIDTH), x2=alt.value(WIDTH + BESIDE), y=alt.value(true), y2=alt.value(value["y"])
            )

    def _doses(self) -> Iterator[Any]:
        found = [r for r in self.rows if r.kind == "dose"]
        if len(found) <= CROWD:
            yield self.layer(found).mark_rule(color=GREY, opacity=SOFT, strokeWidth=THIN).encode(x=self.x())
        marks = self.layer(found).mark_point(shape=TREAT, filled=True, color=BLACK, size=MARK, opacity=FULL)
        yield marks.encode(x=self.x(), y=self.alt.value(MAIN))

    def _dots(self, name: str, *, labels: bool = True) -> Iterator[Any]:
        """Scores as dots; one whose date is not exact as a bar over the days it may be of; never joined."""
        found = self.of("score", name)
        size = DOT if len(found) <= 2 * CROWD else SMALL_DOT
        vague = [r for r in found if r.end - r.at >= MS_PER_DAY]
        if vague:
            bar = self.layer(vague).mark_rule(color=BLACK, strokeWidth=WIDE)
            yield bar.encode(x=self.x(labels=labels), x2="to:T", y=self.y(name))
        ring = self.layer(self._with_item(name)).mark_point(shape="diamond", color=BLACK, size=RING, strokeWidth=WIDE)
        yield ring.encode(x=self.x(labels=labels), y=self.y(name))
        dots = self.layer([r for r in found if r not in vague])
        yield dots.mark_point(shape=FACE, filled=True, color=BLACK, size=size, opacity=FULL).encode(
            x=self.x(labels=labels), y=self.y(name)
        )

    def _with_item(self, name: str) -> list[Row]:
        raised = {(r.at, r.source) for r in self.of("suicide-item", name)}
        return [r for r in self.of("score", name) if (r.at, r.source) in raised]

    # --- the others

    def _small(self, name: str, *, labels: bool) -> Any:
        layers = [
            *self._future(words=False, labels=labels),
            *self._limits(name, SMALL),
            *self._dots(name, labels=labels),
        ]
        missing = self.layer(self.of("missing", name)).mark_point(shape=EMPTY, color=BLACK, size=DOT)
        layers.append(missing.encode(x=self.x(labels=labels), y=self.alt.value(SMALL)))
        return self.alt.layer(*layers).properties(width=WIDTH, height=SMALL)

    def _lanes(self, *, labels: bool) -> Any:
        """A line of words for each kind of thing that happened, with when it was: certain dark, possible pale."""
        alt, lanes = self.alt, self._laned()
        names = list(lanes)[:MOST_LANES]
        marks = [
            replace(row, of=name, unit=COLOURS.get(row.kind, COLOURS.get(row.of, MARKED)))
            for name in names
            for row in lanes[name]
        ]
        axis = alt.Axis(title=None, labelLimit=NAME_LIMIT, ticks=False, domain=False, grid=True, labelPadding=TEXT // 2)
        scale = alt.Scale(domain=names)
        y = alt.Y("lane:N", scale=scale, sort=None, axis=axis)
        short = [r for r in marks if r.end - r.at < MS_PER_DAY]
        spans = [r for r in marks if r.end - r.at >= MS_PER_DAY]
        sure = [replace(r, at=r.sure[0], until=r.sure[1]) for r in spans if r.sure]
        sure += [r for r in spans if r.kind in ("alert", "signal")]
        lane = {"lane": lambda r: r.of, "colour": lambda r: r.unit}
        colour = alt.Color("colour:N", scale=None)
        layers = list(self._future(words=False, labels=labels))
        for some, opacity in ((spans, SOFT), (sure, FULL)):
            bars = self.layer(some, **lane).mark_bar(opacity=opacity, height=BAR)
            layers.append(bars.encode(x=self.x(labels=labels), x2="to:T", y=y, color=colour))
        for shape, wanted in ((TREAT, ("dose",)), (EMPTY, ("missing", "not-used", "missed")), ("diamond", None)):
            kept = [r for r in short if (r.kind in wanted if wanted else r.kind not in SHAPED)]
            point = self.layer(kept, **lane).mark_point(shape=shape, filled=shape != EMPTY, size=MARK, opacity=FULL)
            layers.append(point.encode(x=self.x(labels=labels), y=y, color=colour))
        said = self._legible([r for r in short if r.kind in SAID])
        words = self.layer(said, **lane, words=_number_in).mark_text(fontSize=SMALL_TEXT, dx=TEXT, align="left")
        layers.append(words.encode(x=self.x(labels=labels), y=y, text="words:N"))
        return alt.layer(*layers).properties(width=WIDTH, height=LANE * max(len(names), 1))

    def _legible(self, found: Sequence[Row]) -> list[Row]:
        """The marks with room for words beside them before the next mark of their lane."""
        room, kept = ROOM * (self.until - self.since), []
        for row in found:
            later = min((r.at for r in found if r.of == row.of and r.at > row.at), default=self.until)
            if later - row.at >= room:
                kept.append(row)
        return kept

    def _laned(self) -> dict[str, list[Row]]:
        """The rows below the plot by lane, in the order of reading."""
        found: dict[str, list[Row]] = {}
        wanted = [r for r in self.rows if r.kind not in CURVES and not r.kind.startswith("medicine")]
        wanted = [r for r in wanted if r.kind != "missing" or r.of == self.leading]
        wanted += self._medicines()
        for row in sorted(wanted, key=lambda r: ORDER.index(r.kind) if r.kind in ORDER else len(ORDER)):
            if row.end >= self.since and row.at <= self.until:
                found.setdefault(self._lane(row), []).append(row)
                if row.kind == "review" and row.value is not None:
                    day = self.now + round(row.value * MS_PER_DAY)
                    found[self._lane(row)].append(replace(row, at=day, until=day))
        return found

    def _lane(self, row: Row) -> str:
        if row.kind in ("alert", "signal"):
            return f"{row.of.upper()}: {textwrap.shorten(row.what.removeprefix(EARLY), NAME, placeholder='...')}"
        return LANES.get(row.kind, row.what)

    def _medicines(self) -> Iterator[Row]:
        """A lane for each medicine: from its start to its stop, or to today if none is recorded."""
        words, begun = self.result.knowledge.content["context"]["medicine"], dict[str, Row]()
        for row in self.rows:
            if row.kind.startswith("medicine-"):
                before, _, after = words[row.kind.partition("-")[2]]["title"].partition("{name}")
                name = row.what.removeprefix(before).removesuffix(after)
                start = begun.pop(name, None) if row.kind == "medicine-stop" else None
                if row.kind == "medicine-start":
                    begun[name] = row
                elif start:
                    yield replace(start, kind="medicine", what=name, until=row.end, sure=(start.end, row.at))
                else:
                    yield replace(row, kind="medicine")
        for name, start in begun.items():
            yield replace(start, kind="medicine", what=name, until=self.now, sure=(start.end, self.now))

    def _key(self) -> Any:
        """What each mark is, in words."""
        alt, line = self.alt, {"type": "rule", "strokeWidth": WIDE, "color": BLUE}
        expected = next((r.what for r in self.rows if r.kind == "expected"), "")
        entries: list[tuple[str, dict[str, Any]]] = [
            ("score as answered; scores are never joined", {**SOLID, "type": "point", "shape": FACE, "size": DOT}),
            ("dose given", {**SOLID, "type": "point", "shape": TREAT, "size": MARK}),
            ("estimated true severity: median, 50 % and 95 % bands", line),
            ("prediction of the same, without a further dose", {**line, "strokeDash": DASH}),
        ]
        if expected:
            words = f"expected: {expected.partition('(')[2].rstrip(')')}; band 1 SD"
            entries.append((words, {**line, "color": ORANGE, "strokeDash": LONG}))
        if any(r.kind == "suicide-item" for r in self.rows):
            words = "score with an answer above 0 to the item on suicide"
            entries.append((words, {"type": "point", "shape": "diamond", "size": RING}))
        parts = []
        for number, (words, mark) in enumerate(entries):
            left, top = number % 2 * WIDTH // 2, number // 2 * LANE
            ends = {"x": left, "x2": left + 2 * LANE} if mark["type"] == "rule" else {"x": left + LANE}
            place = {name: alt.value(at) for name, at in (ends | {"y": top}).items()}
            parts.append(alt.Chart(NOTHING, mark={"color": BLACK, **mark}).encode(**place))
            said = alt.Chart(NOTHING).mark_text(align="left", baseline="middle", fontSize=SMALL_TEXT, text=words)
            parts.append(said.encode(x=alt.value(left + 2 * LANE + BESIDE // 2), y=alt.value(top)))
        return alt.layer(*parts).properties(width=WIDTH, height=LANE * (len(entries) + 1) // 2)

    def _foot(self, more_panels: int) -> Any:
        """What the picture needs to be read rightly, and what it had no room for."""
        alt = self.alt
        lines = [f"{r.what[0].upper()}{r.what[1:]}; {r.note}" for r in self.rows if r.kind == "review"]
        rated = [r for r in self.rows if r.kind == "signal" and r.value is not None]
        rates = "; ".join(f"{r.what.removeprefix(EARLY)} {r.value:g}" for r in rated)
        lines += [f"False alarms in a year of a simulated person: {rates}."] if rates else []
        lines.append(
            "Dark bars are certain, pale ones possible. A threshold names its first source; all sources and numbers "
            "stand in the table beside this file."
        )
        more = ((len(self._laned()) - MOST_LANES, "kinds of notes"), (more_panels, "instruments"))
        lines += [f"{n} more {what} stand in the table only." for n, what in more if n > 0]
        text = [part for line in lines for part in textwrap.wrap(line, FOOT_WRAP)]
        words = {"align": "left", "baseline": "top", "fontSize": SMALL_TEXT, "lineHeight": TEXT + 1, "color": GREY}
        chart = alt.Chart(NOTHING).mark_text(text=text, **words).encode(x=alt.value(0), y=alt.value(0))
        return chart.properties(width=WIDTH, height=len(text) * (TEXT + 1))


def _number_in(row: Row) -> str:
    """What stands beside a mark: its number, or the one in its words."""
    return number_text(row.value) if row.value is not None else row.what.partition(" ")[2]
