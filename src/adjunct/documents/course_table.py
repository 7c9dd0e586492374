"""What is known of one person's course as rows: each is a mark of the picture and a line of its table twin.

Scores and what is missing, the model's curves, the published expectation, thresholds, what somebody must act on, the
interval review and what stands beside the scores, every number with its unit and source.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adjunct.base import MS_PER_DAY, YES, instant
from adjunct.followup import FollowUp
from adjunct.followup.context import UNDATED, Annotation
from adjunct.followup.trajectory import Curve, Review
from adjunct.instruments import instrument as form
from adjunct.instruments.change import PERCENT
from adjunct.instruments.outcomes import Scale, Variant, number_text

POINTS = "points"
MORE, LESS = "or more", "or less"
ACT, REVIEW = "act", "interval-review"
TARGET = "target"
RELAPSE = "relapse, once well"
BEYOND = "beyond the published series"
FORMULA = ("=", "+", "-", "@")  # a spreadsheet would run a cell that begins so
COLUMNS = (
    "kind", "of", "what", "from", "until", "certain_from", "certain_until",
    "value", "low95", "low50", "high50", "high95", "unit", "source", "note",
)  # fmt: skip


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
    sure: tuple[int, int] | None = None  # of what has no exact dates: where it holds whatever they are
    unit: str = ""
    source: str = ""
    note: str = ""

    @property
    def end(self) -> int:
        return self.at if self.until is None else self.until


def table(result: FollowUp, found: Iterable[Row] | None = None) -> str:
    """Every mark of the picture as CSV, and what the picture has no room for; an empty cell is not known."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    clock = result.settings.cover

    def moment(ms: int) -> str:
        return "" if ms <= UNDATED else clock.local(ms).isoformat(timespec="minutes")

    for row in rows(result) if found is None else found:
        times = (row.at, row.until, *(row.sure or (None, None)))
        numbers = (row.value, *(row.band or (None, None, None, None)))
        lines.writerow(
            [
                *(_inert(word) for word in (row.kind, row.of, row.what)),
                *("" if t is None else moment(t) for t in times),
                *("" if n is None else f"{n:.6g}" for n in numbers),
                *(_inert(word) for word in (row.unit, row.source, row.note)),
            ]
        )
    return text.getvalue()


def _inert(cell: str) -> str:
    return f"'{cell}" if cell.lstrip().startswith(FORMULA) else cell


# --- what there is to draw --------------------------------------------------------------------------------------------


def rows(result: FollowUp) -> tuple[Row, ...]:
    """Everything on the picture: scores, curves, expectation, thresholds, doses, notes, signals, alerts, review."""
    names = sorted(result.series, key=lambda name: name != leading(result))
    return tuple(
        row
        for part in (
            *(_scores(result, name) for name in names),
            _curves(result),
            _expected(result),
            *(_thresholds(result, name) for name in names),
            _alerts(result),
            _review(result),
            (_note(note) for note in result.context),
        )
        for row in part
    )


def leading(result: FollowUp) -> str:
    """The instrument in which the course is drawn; empty if no course could be."""
    return result.trajectory.scale.id if result.trajectory else ""


def _scores(result: FollowUp, name: str) -> Iterator[Row]:
    """Each rating as it arrived: a score, a missing one, one that contradicts another of its time, or one not used."""
    title, course = result.knowledge.instruments[name]["title"], result.courses.get(name)
    left = {(out.reference, out.at): out.why for out in course.left_out} if course else {}
    values: dict[tuple[int, int], set[float]] = {}
    for point in result.series[name]:
        values.setdefault((point.at, point.end), set()).add(point.value)
    for point in result.series[name]:
        why = left.get((point.reference, point.at))
        common: dict[str, Any] = {"of": name, "at": point.at, "until": point.until, "source": point.reference}
        known: dict[str, Any] = {} if math.isnan(point.value) else {"value": point.value, "unit": POINTS}
        if why is not None:
            yield Row(kind="not-used", what=f"{title}: not used", note=why, **known, **common)
        elif not known:
            yield Row(kind="missing", what=f"{title}: no score", note=point.why, **common)
        elif len(values[point.at, point.end]) > 1:
            yield Row(kind="conflict", what=f"{title}: another score of the same time differs", **known, **common)
        else:
            yield Row(kind="score", what=title, **known, **common)
        if point.suicide_item > 0:
            item: dict[str, Any] = {"value": point.suicide_item, "unit": POINTS}
            yield Row(kind="suicide-item", what=f"{title}: item on suicidal thoughts", **item, **common)


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
            note="; ".join(
                [
                    verdict,
                    *(["early for this route"] if judgement.early else []),
                    *([f"{BEYOND} of {course.doses} doses"] if judgement.dose > course.doses else []),
                ]
            ),
        )


def _thresholds(result: FollowUp, name: str) -> Iterator[Row]:
    """Remission, response and relapse of a scale, as the clinic chose them, with where each comes from."""
    knowledge, now = result.knowledge, result.at.ms
    if not knowledge.instruments[name].get("range") or knowledge.instruments[name]["direction"] == "neither":
        return
    scale = Scale.of(form(knowledge, name), knowledge, result.settings.variants.get(name))
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
            named = "remission" if scale.in_episodes and TARGET not in variant.name else TARGET
            yield named, level, side, *_cited(variant)


def _response(scale: Scale, result: FollowUp, name: str) -> Iterator[Threshold]:
    variant = scale.variant("response")
    base = result.courses[name].baseline.value if name in result.courses else math.nan
    if variant is not None and base >= variant.needs and scale.direction == "worse":
        fall = base * variant.percent / PERCENT if math.isnan(variant.points) else variant.points
        yield "response", base - fall, LESS, *_cited(variant)


def _relapse(scale: Scale, result: FollowUp) -> Iterator[Threshold]:
    variant, model = scale.variant("relapse"), result.trajectory.scale if result.trajectory else None
    if variant is not None and not math.isnan(variant.points):
        yield RELAPSE, variant.points, MORE, *_cited(variant)
    elif model is not None and model.id == scale.id:
        yield RELAPSE, model.relapse, MORE, model.source, f"{model.locator}; {model.status}"


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
        yield Row(
            kind="alert", of=ACT, what=brief(result, alert), at=since, until=now, source=source, note=alert["says"]
        )
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


def brief(result: FollowUp, alert: Mapping[str, Any]) -> str:
    """An alert in a few words: what it is called, without its definition."""
    kind, _, rest = str(alert["id"]).partition(":")
    if kind == "risk":
        return "Suicide-risk concern, level " + ("not known" if alert["level"] == "UNKNOWN" else str(alert["level"]))
    if kind in result.courses and rest:
        course = result.courses[kind]
        return f"{course.title}: {course.judgement(rest).name}"
    titles = {f.id: f.title for f in result.assessment.findings} | {s.id: s.title for s in result.signals}
    return titles.get(str(alert["id"]), str(alert["says"]))


def _review(result: FollowUp) -> Iterator[Row]:
    """The day on which half of the gain may be lost, between its earliest and its latest; it sets no date."""
    review = result.trajectory.review if result.trajectory else None
    if review is None or review.why:
        return
    days = review.day, review.earliest, review.latest
    _, first, last = (result.at.ms + (review.horizon_d if d is None else d) * MS_PER_DAY for d in days)
    day, earliest, latest = (_from_now(d, review) for d in days)
    yield Row(
        kind="review",
        of=REVIEW,
        what=f"half of the gain may be lost, without a further dose, with a chance of {review.chance:.0%}: {day}",
        at=first,
        until=last,
        value=None if review.day is None else float(review.day),
        unit="d from now",
        source="model",
        note=f"with half of the chance between {earliest} and {latest}. {review.says}",
    )


def _from_now(day: int | None, review: Review) -> str:
    if day is None:
        return f"later than {review.horizon_d} days from now"
    return "today or earlier" if day == 0 else f"{day} days from now"


def _note(note: Annotation) -> Row:
    return Row(
        kind=note.kind,
        of="context",
        what=note.title,
        at=note.possible[0],
        until=note.possible[1],
        sure=note.certain,
        source="; ".join(filter(None, (note.reference, *note.sources))),
        note=f"{note.says} ({note.status})",
    )
