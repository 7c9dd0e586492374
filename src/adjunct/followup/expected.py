"""What a course is expected to do, by route, and whether a person is on it: the judgement after each dose.

Until a clinic has enough courses of its own the expectation comes from `followup/courses.toml`; `own` replaces it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from adjunct.base import MS_PER_DAY, NO, UNKNOWN, YES, BadInput, shown
from adjunct.instruments import outcomes
from adjunct.knowledge import Knowledge

PUBLISHED = "published series"
_SCALES: WeakKeyDictionary[Knowledge, dict[str, Scale]] = WeakKeyDictionary()


class Measured(Protocol):
    """A total score and when it was given, in ms since 1970 UTC."""

    @property
    def at(self) -> int: ...

    @property
    def value(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCourse:
    """The expected course of a clinic's own finished treatments, refitted by the clinic; parts of the baseline."""

    gain: float
    pace: float  # doses
    residual: float
    courses: int  # how many it rests on
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What the filter must know of an instrument. Range and thresholds are those that `instruments` judges by; SD,
    error and the line to PHQ-9 points are the model's own."""

    id: str
    low: float
    high: float
    sd: float
    error_sd: float
    typical: float
    in_remission: Callable[[Sequence[float]], list[int]]  # truth at each score
    relapse: float
    least_baseline: float  # from which per cent means something
    important: float | None
    slope: float
    shift: float
    source: str
    status: str
    locator: str

    def reliable(self, z: float) -> float:
        """The least change between two scores that error alone does not explain (Jacobson-Truax)."""
        return z * math.sqrt(2) * self.error_sd


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a series of doses by one route is expected to go, as parts of the baseline, and from when on it is judged."""

    id: str
    title: str
    gain: float
    pace: float
    residual: float
    spread: float
    doses: int
    spacing_d: float
    review_from: int | None
    stop_review: int | None
    patience_d: float
    patience: str
    basis: str
    status: str
    sources: tuple[tuple[str, str], ...]  # source id, place
    anchors: tuple[Mapping[str, Any], ...]

    def share_left(self, dose: int) -> float:
        """The part of the baseline that is expected to be left after `dose` doses."""
        return 1 + self.gain * math.expm1(-dose / self.pace)


def scales(knowledge: Knowledge) -> dict[str, Scale]:
    """The scales a trajectory can be drawn in, by instrument."""
    if knowledge not in _SCALES:
        entries = knowledge.content["courses"].get("scale", ())
        _SCALES[knowledge] = {entry["id"]: _scale(knowledge, entry) for entry in entries}
    return dict(_SCALES[knowledge])


def _scale(knowledge: Knowledge, entry: Mapping[str, Any]) -> Scale:
    rated = outcomes.Scale.of(knowledge.instruments[entry["id"]], knowledge)
    remission, relapse, response = (rated.variant(kind) for kind in ("remission", "relapse", "response"))
    assert remission is not None
    assert response is not None
    return Scale(
        **{key: entry[key] for key in ("id", "sd", "typical", "source", "status", "locator")},
        low=rated.range[0],
        high=rated.range[1],
        error_sd=entry["sd"] * math.sqrt(1 - entry["reliability"]),
        in_remission=remission.holds,
        relapse=entry["relapse"] if relapse is None else relapse.points,
        least_baseline=response.needs,
        important=next((v.points for v in rated.important if not math.isnan(v.points)), None),
        **entry["link"],
    )


def course_by(knowledge: Knowledge, route: str | None, own: OwnCourse | None = None) -> Course | None:
    """The expected course of a route, or None if the route is not known. An unknown name is `BadInput`."""
    if route is None:
        return None
    entries = knowledge.content["courses"]["course"]
    entry = next((e for e in entries if route in e["routes"]), None)
    if entry is None:
        names = ", ".join(name for e in entries for name in e["routes"])
        raise BadInput(f"no such route: {shown(route)}; known: {names}", "route")
    sources = ((entry["source"], entry["locator"]), *((a["source"], a["says"]) for a in entry.get("anchor", ())))
    course = Course(
        **{key: entry[key] for key in ("id", "title", "gain", "pace", "residual", "spread", "doses", "spacing_d")},
        review_from=entry.get("review_from"),
        stop_review=entry.get("stop_review"),
        patience_d=entry.get("patience_d", 0),
        patience=entry.get("patience", ""),
        basis=PUBLISHED,
        status=entry["status"],
        sources=sources,
        anchors=tuple(entry.get("anchor", ())),
    )
    return course if own is None else _replaced(course, own)


def _replaced(course: Course, own: OwnCourse) -> Course:
    if not (0 <= own.gain <= 1 and own.pace > 0 and 0 < own.residual <= 1 and own.courses > 0):
        raise BadInput("gain and residual are parts of the baseline (0 to 1), pace and courses are above 0", "own")
    return replace(
        course,
        gain=own.gain,
        pace=own.pace,
        residual=own.residual,
        basis=f"own data ({own.courses} courses)",
        sources=((own.reference, "own data"),),
        anchors=(),
    )


# --- judgement at each dose -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One dose: the score that followed it beside the expected one. `verdict`: on, amber, red or unknown."""

    dose: int
    at: int  # of the dose
    expected: float | None
    amber: float | None  # above this: amber
    red: float | None
    score: float | None
    score_at: int | None
    verdict: str
    why: str = ""
    early: bool = False  # too soon for this route to call it failure


def judged(
    knowledge: Knowledge,
    scale: Scale,
    course: Course | None,
    points: Sequence[Measured],
    doses: Sequence[int],
    baseline: float | None,
) -> tuple[Judgement, ...]:
    """Each dose with the last score between it and the next one, and not long after. Both are in time order."""
    found, near = [], round(knowledge.number("trajectory.judge_within") * MS_PER_DAY)
    for number, at in enumerate(doses, start=1):
        until = min(doses[number], at + near) if number < len(doses) else at + near
        score = next((p for p in reversed(points) if at < p.at <= until), None)
        early = course is not None and bool(score) and _days(doses[0], score.at if score else at) < course.patience_d
        limits = _limits(knowledge, scale, course, number, baseline)
        value = None if score is None else score.value
        verdict, why = _verdict(knowledge, scale, number, value, baseline, limits, course)
        found.append(
            Judgement(
                dose=number,
                at=at,
                expected=limits[0] if limits else None,
                amber=limits[1] if limits else None,
                red=limits[2] if limits else None,
                score=value,
                score_at=None if score is None else score.at,
                verdict=verdict,
                why=why,
                early=early,
            )
        )
    return tuple(found)


def _days(start: int, end: int) -> float:
    return (end - start) / MS_PER_DAY


def _limits(
    knowledge: Knowledge, scale: Scale, course: Course | None, dose: int, baseline: float | None
) -> tuple[float, float, float] | None:
    if course is None or baseline is None or baseline < scale.least_baseline:
        return None
    expected = baseline * course.share_left(dose)
    sd = course.residual * baseline
    amber, red = (expected + knowledge.number(f"trajectory.{word}_sd") * sd for word in ("amber", "red"))
    return expected, amber, red


def _verdict(
    knowledge: Knowledge,
    scale: Scale,
    dose: int,
    score: float | None,
    baseline: float | None,
    limits: tuple[float, float, float] | None,
    course: Course | None,
) -> tuple[str, str]:
    if dose < knowledge.number("trajectory.judged_from"):
        return "unknown", "a course is not judged after its first dose"
    if score is None:
        return "unknown", "no score soon after this dose and before the next"
    if baseline is None:
        return "unknown", "no score before the first dose"
    if limits is None:
        low = "the score before the first dose is too low for an expected course"
        return "unknown", low if course is not None else "the route is not known"
    worse = _worse(scale, score, baseline)
    if score > limits[2] or worse == YES:
        return "red", ""
    if score > limits[1]:
        return "amber", ""
    if worse == UNKNOWN:
        return "unknown", "worse than before, and no smallest important difference is known for this scale"
    return "on", ""


def _worse(scale: Scale, score: float, baseline: float) -> int:
    """Whether a person is worse than before treatment by the smallest important difference."""
    if score <= baseline:
        return NO
    if scale.important is None:
        return UNKNOWN
    return YES if score >= baseline + scale.important else NO
