"""One person's course as a picture for a screen or paper, and its table twin with every number, unit and source.

The picture is drawn from the rows of the table, so that the two cannot differ. A score that is missing is marked as
missing and nothing is joined across it; what lies after today is set apart and called a prediction; every mark has
words, because colour is lost in print and to some eyes. Dates are those of the clinic's calendar.
"""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from adjunct.base import MS_PER_DAY, YES, BadInput, instant, shown
from adjunct.documents.plots import FORMATS, GREY, PALETTE, SCALE, UNUSED
from adjunct.followup import FollowUp
from adjunct.followup.context import UNDATED, Annotation
from adjunct.followup.trajectory import Curve
from adjunct.instruments import instrument as form
from adjunct.instruments.change import PERCENT
from adjunct.instruments.outcomes import Scale, Variant, number_text

POINTS = "points"
DATE = len("2026-11-22")
COLUMNS = "kind of what from until value low95 low50 high50 high95 unit source note".split()
MORE, LESS = "or more", "or less"
ACT, REVIEW = "act", "interval-review"
FORMULA = ("=", "+", "-", "@")  # a spreadsheet would run a cell that begins so


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table and one mark of the picture. `of`: the instrument or the lane; times in ms since 1970."""

    kind: str
    of: str
    what: str
    at: int
    until: int | None = None
    value: float | None = None
    band: tuple[float, float, float, float] | None = None  # 95 % low, 50 % low, 50 % high, 95 % high
    unit: str = ""
    source: str = ""
    note: str = ""

    @property
    def end(self) -> int:
        return self.at if self.until is None else self.until


def draw(result: FollowUp, path: Path) -> tuple[Path, Path]:
    """Write the picture to `path` (.svg or .png) and its table beside it (.csv). Without any score it is `BadInput`."""
    if path.suffix not in FORMATS:
        raise BadInput(f"a plot is written as {' or '.join(FORMATS)}, not {shown(path.name)}", "--plot")
    found = rows(result)
    if not any(row.kind in ("score", "missing") for row in found):
        raise BadInput("no score of any questionnaire is on record: there is nothing to draw", "--plot")
    try:
        import altair
        import vl_convert
    except ImportError as missing:
        raise BadInput(f"plots need {missing.name}: install adjunct[plots]", "--plot") from None
    spec = _Picture(altair, result, found).chart().to_json()
    twin = path.with_suffix(".csv")
    try:
        if path.suffix == ".svg":
            svg = vl_convert.vegalite_to_svg(spec).replace(UNUSED, "")
            path.write_text(_with_title(svg, *described(result)), encoding="utf-8")
        else:
            path.write_bytes(vl_convert.vegalite_to_png(spec, scale=SCALE))
        twin.write_text(table(result, found), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror or error}", str(path)) from None
    return path, twin


def table(result: FollowUp, found: Iterable[Row] | None = None) -> str:
    """Every mark of the picture as CSV, and what the picture has no room for; an empty cell is not known."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    clock = result.settings.cover

    def moment(ms: int) -> str:
        return "" if ms <= UNDATED else clock.local(ms).isoformat(timespec="minutes")

    for row in rows(result) if found is None else found:
        numbers = (row.value, *(row.band or ())[:2], *(row.band or ())[2:])
        cells = ["" if n is None else f"{n:.6g}" for n in numbers] + [""] * (0 if row.band else len(COLUMNS[6:10]))
        words = [row.kind, row.of, row.what]
        until = "" if row.until is None else moment(row.until)
        end = [row.unit, row.source, row.note]
        lines.writerow([*map(_inert, words), moment(row.at), until, *cells, *map(_inert, end)])
    return text.getvalue()


def _inert(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


# --- what there is to draw --------------------------------------------------------------------------------------------


def rows(result: FollowUp) -> tuple[Row, ...]:
    """Everything on the picture: scores, curves, expectation, thresholds, doses, notes, signals, alerts, review."""
    leading = _leading(result)
    others = [name for name in result.series if name != leading]
    return tuple(
        row
        for part in (
            *(_scores(result, name) for name in ([leading] if leading else []) + others),
            _curves(result),
            _expected(result),
            *(_thresholds(result, name) for name in result.series),
            _alerts(result),
            _review(result),
            (_note(note) for note in result.context),
        )
        for row in part
    )


def _leading(result: FollowUp) -> str:
    return result.trajectory.scale.id if result.trajectory else ""


def _scores(result: FollowUp, name: str) -> Iterator[Row]:
    title = result.knowledge.instruments[name]["title"]
    for point in result.series[name]:
        common: dict[str, Any] = {"of": name, "at": point.at, "until": point.until, "source": point.reference}
        if math.isnan(point.value):
            yield Row(kind="missing", what=f"{title}: no score", note=point.why, **common)
        else:
            yield Row(kind="score", what=title, value=point.value, unit=POINTS, **common)
        if point.suicide_item > 0:
            item = {"value": point.suicide_item, "unit": POINTS}
            yield Row(kind="suicide-item", what=f"{title}: item on suicidal thoughts", **item, **common)
    course = result.courses.get(name)
    for left in course.left_out if course else ():
        yield Row(kind="not-used", of=name, what=f"{title}: not used", at=left.at, source=left.reference, note=left.why)


def _curves(result: FollowUp) -> Iterator[Row]:
    found = result.trajectory
    if found is None:
        return
    for kind, curve in (
        ("estimate", found.smoothed),
        ("prediction", found.forecast),
        ("predicted-score", found.coming_score),
    ):
        yield from _curve(kind, found.scale.id, curve)


def _curve(kind: str, name: str, curve: Curve) -> Iterator[Row]:
    edges = zip(curve.low95, curve.low50, curve.high50, curve.high95, strict=True)
    for at, middle, band in zip(curve.at, curve.middle, edges, strict=True):
        yield Row(kind=kind, of=name, what=curve.of, at=at, value=middle, band=band, unit=POINTS, source="model")


def _expected(result: FollowUp) -> Iterator[Row]:
    """The level expected after each dose until the next, with one SD of a score around it."""
    found = result.trajectory
    course = found.course if found else None
    if found is None or course is None or found.baseline is None:
        return
    judged = [j for j in found.judgements if j.expected is not None]
    ends = [*(j.at for j in judged[1:]), *(j.at + round(course.spacing_d * MS_PER_DAY) for j in judged[-1:])]
    sources = "; ".join(dict.fromkeys(source for source, _ in course.sources))
    sd = course.residual * found.baseline
    for judgement, end in zip(judged, ends, strict=True):
        assert judgement.expected is not None
        low, high = max(judgement.expected - sd, found.scale.low), min(judgement.expected + sd, found.scale.high)
        verdict = judgement.verdict if judgement.verdict != "unknown" else f"not judged: {judgement.why}"
        yield Row(
            kind="expected",
            of=found.scale.id,
            what=f"expected after dose {judgement.dose}, with 1 SD of a score ({course.title}; {course.basis})",
            at=judgement.at,
            until=end,
            value=judgement.expected,
            band=(low, low, high, high),
            unit=POINTS,
            source=sources,
            note=verdict + (" (early for this route)" if judgement.early else ""),
        )


def _thresholds(result: FollowUp, name: str) -> Iterator[Row]:
    """Remission, response and relapse of a scale, as the clinic chose them, with where each comes from."""
    knowledge, now = result.knowledge, result.at.ms
    if not knowledge.instruments[name].get("range") or knowledge.instruments[name]["direction"] == "neither":
        return
    scale = Scale.of(form(knowledge, name), knowledge, result.settings.variants or None)
    found = [*_good(scale), *_response(scale, result, name), *_relapse(scale, result)]
    for word, level, side, source, note in found:
        yield Row(
            kind="threshold",
            of=name,
            what=f"{word}: {number_text(level)} {side}",
            at=now,
            value=level,
            unit=POINTS,
            source=source,
            note=note,
        )


Threshold = tuple[str, float, str, str, str]  # word, level, which side, source, which definition and how sure


def _good(scale: Scale) -> Iterator[Threshold]:
    variant = scale.variant("remission")
    if variant is not None and variant.when is not None:
        totals = range(round(scale.range[0]), round(scale.range[1]) + 1)
        good = [total for total, holds in zip(totals, variant.holds(totals), strict=True) if holds == YES]
        better = scale.direction == "better"
        if good and len(good) < len(totals):
            level, side = (min(good), MORE) if better else (max(good), LESS)
            yield "remission" if scale.in_episodes else "target", level, side, *_cited(variant)


def _response(scale: Scale, result: FollowUp, name: str) -> Iterator[Threshold]:
    variant = scale.variant("response")
    base = result.courses[name].baseline.value if name in result.courses else math.nan
    if variant is not None and base >= variant.needs and scale.direction == "worse":
        fall = base * variant.percent / PERCENT if math.isnan(variant.points) else variant.points
        yield "response", base - fall, LESS, *_cited(variant)


def _relapse(scale: Scale, result: FollowUp) -> Iterator[Threshold]:
    variant, model = scale.variant("relapse"), result.trajectory.scale if result.trajectory else None
    if variant is not None and not math.isnan(variant.points):
        yield "relapse", variant.points, MORE, *_cited(variant)
    elif model is not None and model.id == scale.id:
        yield "relapse", model.relapse, MORE, model.source, f"{model.locator}; {model.status}"


def _cited(variant: Variant) -> tuple[str, str]:
    support = variant.support
    return "; ".join(dict.fromkeys(s.id for s in support.sources)), f"{variant.name}; {support.status}"


def _alerts(result: FollowUp) -> Iterator[Row]:
    """What somebody must act on, then what somebody should look at; each from when on."""
    now, known = result.at.ms, {s.id: s for s in result.signals}
    for alert in result.alerts:
        signal = known.pop(alert["id"], None)
        since = signal.since if signal else instant(alert["since"]).ms
        source = "; ".join(s for s, _ in signal.sources) if signal else ""
        yield Row(kind="alert", of=ACT, what=_brief(alert), at=since, until=now, source=source, note=alert["says"])
    for signal in known.values():
        if signal.id != REVIEW:
            yield Row(
                kind="signal",
                of=signal.level,
                what=signal.title,
                at=signal.since,
                until=now,
                value=signal.false_alarms_per_person_year,
                unit="" if signal.false_alarms_per_person_year is None else "false alarms in a simulated person-year",
                source="; ".join(source for source, _ in signal.sources),
                note=f"{signal.says} {signal.definition}",
            )


def _brief(alert: Mapping[str, Any]) -> str:
    """The first words of an alert, up to where its definition begins."""
    return ": ".join(str(alert["says"]).split(": ")[:2]).rstrip(".")


def _review(result: FollowUp) -> Iterator[Row]:
    """The day on which half of the gain may be lost, between its earliest and its latest; it sets no date."""
    review = result.trajectory.review if result.trajectory else None
    if review is None or review.why:
        return
    edge = result.at.ms + review.horizon_d * MS_PER_DAY
    day, first, last = (
        edge if d is None else result.at.ms + d * MS_PER_DAY for d in (review.day, review.earliest, review.latest)
    )
    said = [f"later than {review.horizon_d} d" if d is None else f"{d} d" for d in (review.day, review.earliest, review.latest)]
    yield Row(
        kind="review",
        of=REVIEW,
        what=f"half of the gain lost with a chance of {review.chance:.0%}, without another dose",
        at=first,
        until=last,
        value=None if review.day is None else float(review.day),
        unit="d from now",
        source="model",
        note=f"day: {said[0]}; between {said[1]} and {said[2]} from now. {review.says}",
    )


def _note(note: Annotation) -> Row:
    return Row(
        kind=note.kind,
        of=note.reference,
        what=note.title,
        at=note.possible[0],
        until=note.possible[1],
        source="; ".join(note.sources),
        note=f"{note.says} ({note.status})",
    )


# --- the words around it ----------------------------------------------------------------------------------------------


def described(result: FollowUp) -> tuple[str, str]:
    """Title and description for who cannot see the picture: the alternative text of an embedded image."""
    acts = [f"To act on: {_brief(alert)}." for alert in result.alerts]
    signs = [f"To look at: {s.title}." for s in result.signals if s.level != "red" and s.id != REVIEW]
    review = [r.note for r in _review(result)]
    where = [_standing(result, name) for name in result.series]
    told = [*acts, *where, *signs, *review, "The numbers stand in the table beside this file."]
    return _heading(result), " ".join(told)


def _heading(result: FollowUp) -> str:
    title = result.knowledge.instruments[_leading(result)]["title"] if result.trajectory else "Scores"
    return f"{title} and what stands beside it, as of {_when(result)}"


def _when(result: FollowUp) -> str:
    """The day and hour in the clinic's zone, with the zone."""
    cover = result.settings.cover
    local = cover.local(result.at.ms)
    zone = f"UTC{local:%:z}" if cover.zone.startswith("Etc/") else cover.zone
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
    acts = [f"ACT: {_brief(alert)}" for alert in result.alerts]
    more = len(acts) - MOST_ACTS
    lines = [who, *acts[:MOST_ACTS], *([f"ACT: {more} more, listed by adjunct follow"] if more > 0 else [])]
    unknown = result.trajectory.unknown if result.trajectory else (f"No course is drawn: {result.why_no_trajectory}",)
    lines += [f"Not known: {why}" if result.trajectory else why for why in unknown]
    return [part for line in lines for part in textwrap.wrap(line, WRAP)]


def _with_title(svg: str, title: str, told: str) -> str:
    start = svg.index(">", svg.index("<svg"))
    words = f"<title>{escape(title)}</title><desc>{escape(told)}</desc>"
    return f'{svg[:start]} role="img"{svg[start : start + 1]}{words}{svg[start + 1 :]}'


# --- the picture ------------------------------------------------------------------------------------------------------

WIDTH, MAIN, SMALL, LANE = 640, 300, 84, 18  # pixels; a lane is a line of words
MOST_ACTS, MOST_LANES, MOST_PANELS = 5, 26, 12  # the rest is counted, and stands in the table
WRAP = 128  # characters of a line above the picture
NAME_LIMIT = 250  # pixels for the words of a lane
APART = 25  # pixels between the words of two thresholds
BESIDE = 14  # pixels from the plot to those words
NEAR_D, SHARE = 28, 0.35  # a prediction is drawn this many days or this part of the past, the table has it all
TEXT, SMALL_TEXT, TITLE = 11, 10, 15  # points
DOT, BIG_DOT, TINY_DOT = 55, 190, 34  # square pixels
WIDE, THIN, BAR = 2.2, 1, 9  # pixels
PALE, SOFT, MEDIUM = 0.14, 0.30, 0.55  # opacities
MARGIN = 0.02  # of the time shown, left of the first mark
BLACK, BLUE, ORANGE = PALETTE[-1], PALETTE[0], PALETTE[1]
FUTURE = "#F0F0F0"
DASH, DOTS, LONG = [6, 3], [2, 3], [10, 4]
WORDS = {"red": "RED", "amber": "AMBER", "info": "INFO", ACT: "ACT"}
LANES = {
    "dose": "Doses given",
    "missing": "Score missing",
    "not-used": "Score not used",
    "suicide-item": "Suicidal thoughts: item above 0",
    "life-event": "Life event",
    "missed": "Check-in missed",
    "sleep": "Hours slept",
    "review": "Half of the gain may be lost*",
}
SIGNS = ("alert", "signal")


class _Picture:
    """The panels of one picture over one time axis. Times are drawn as wall clock of the clinic."""

    def __init__(self, alt: Any, result: FollowUp, found: Sequence[Row]) -> None:
        self.alt, self.result, self.rows = alt, result, found
        self.now = result.at.ms
        marks = [r.at for r in found if r.kind in ("score", "missing", "dose") and r.at > UNDATED]
        first = min([*marks, self.now])
        ahead = max(NEAR_D * MS_PER_DAY, round(SHARE * (self.now - first))) if result.trajectory else 0
        review = next((r for r in found if r.kind == "review"), None)
        last = max((r.at for r in found if r.kind == "prediction"), default=self.now)
        if review and review.value is not None:
            ahead = max(ahead, self.now - self.now + round((review.value + NEAR_D / 2) * MS_PER_DAY))
        self.until = min(self.now + ahead, last) if result.trajectory else self.now
        self.since = first - max(round(MARGIN * (self.until - first)), MS_PER_DAY)
        self.until += max(round(MARGIN * (self.until - first)), MS_PER_DAY)

    def chart(self) -> Any:
        alt, result = self.alt, self.result
        leading = _leading(result)
        others = [name for name in result.series if name != leading]
        panels = [self._main(leading), self._key()] if leading else []
        panels += [self._lanes()]
        panels += [self._small(name) for name in others[:MOST_PANELS]]
        title = alt.TitleParams(
            text=_heading(result), subtitle=_subtitle(result), anchor="start", frame="group", fontSize=TITLE,
            subtitleFontSize=TEXT, subtitleColor=BLACK, offset=TEXT,
        )  # fmt: skip
        notes = self._foot(len(others) - MOST_PANELS)
        stacked = alt.vconcat(*(p for p in panels if p is not None), notes, title=title, spacing=TEXT)
        return (
            stacked.configure(background="white", font="sans-serif")
            .configure_view(strokeWidth=0)
            .configure_axis(labelFontSize=SMALL_TEXT, titleFontSize=TEXT, labelColor=BLACK, titleColor=BLACK,
                            titleFontWeight="normal", gridColor="#E4E4E4")
        )  # fmt: skip

    # --- parts that all panels share

    def wall(self, ms: int) -> int:
        """An instant as the wall clock of the clinic, inside the time shown."""
        inside = min(max(ms, self.since), self.until)
        offset = self.result.settings.cover.local(inside).utcoffset() or timedelta(0)
        return inside + round(offset / timedelta(milliseconds=1))

    def seen(self, row: Row) -> bool:
        return row.end >= self.since and row.at <= self.until

    def data(self, rows: Iterable[Row], **more: Callable[[Row], Any]) -> Any:
        values = []
        for row in rows:
            if self.seen(row):
                edges = dict(zip(("low95", "low50", "high50", "high95"), row.band or (), strict=False))
                times = {"t": self.wall(row.at), "u": self.wall(row.end), "m": (self.wall(row.at) + self.wall(row.end)) // 2}
                values.append({**times, **edges, "v": row.value, "what": row.what} | {k: f(row) for k, f in more.items()})
        return self.alt.Data(values=values)

    def x(self, name: str = "t", *, labels: bool = True) -> Any:
        alt = self.alt
        label = "[utcFormat(datum.value, '%-d %b'), utcFormat(datum.value, '%Y')]"
        axis = alt.Axis(title=None, labelExpr=label, tickCount=TEXT, labelOverlap=True, labels=labels, ticks=labels, domain=labels)
        scale = alt.Scale(type="utc", domain=[self.wall(self.since), self.wall(self.until)], nice=False)
        return alt.X(f"{name}:T", scale=scale, axis=axis)

    def y(self, name: str, instrument_id: str, title: list[str]) -> Any:
        alt, raw = self.alt, self.result.knowledge.instruments[instrument_id]
        values = [r.value for r in self.rows if r.of == instrument_id and r.kind == "score" and r.value is not None]
        low, high = raw.get("range") or (min(values), max(values))
        scale = alt.Scale(domain=[low, high], nice=False, zero=False)
        return alt.Y(f"{name}:Q", scale=scale, axis=alt.Axis(title=title, tickCount=TEXT // 2, titlePadding=TEXT))

    def of(self, kind: str, name: str) -> list[Row]:
        return [r for r in self.rows if r.kind == kind and r.of == name]

    # --- the leading scale

    def _main(self, name: str) -> Any:
        alt = self.alt
        y = self._axis(name)
        layers = [self._future(y is not None), *self._expectation(name), *self._bands(name)]
        layers += [*self._limits(name, MAIN), *self._doses(), *self._dots(name)]
        return alt.layer(*layers).properties(width=WIDTH, height=MAIN)
