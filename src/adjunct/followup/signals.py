"""What a course says that somebody should look at: not on track, early warning after remission, interval review.

Each signal names its rule and its rate of false alarms in simulated people; deterioration is in `instruments.change`.
A signal is on as long as its rule holds at the last score; `since` is the first score of that run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any

from adjunct.base import MS_PER_DAY, YES
from adjunct.followup.expected import Course, Scale
from adjunct.followup.trajectory import Chances, Trajectory
from adjunct.knowledge import Knowledge

WARNINGS = ("relapse-ewma", "relapse-predicted", "half-gain-predicted")
OFF = ("amber", "red")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One thing to look at. `level`: red, amber or info; rates are false alarms in a year of a simulated person."""

    id: str
    title: str
    level: str
    since: int  # ms since 1970 UTC
    says: str
    tell: str
    definition: str
    false_alarms_per_person_year: float | None
    sources: tuple[tuple[str, str], ...]  # source id, place

    def to_dict(self) -> dict[str, Any]:
        plain = asdict(self)
        plain["sources"] = [{"id": source, "locator": place} for source, place in self.sources]
        return plain


def signals(knowledge: Knowledge, found: Trajectory) -> tuple[Signal, ...]:
    """Every signal that is on now, the gravest first."""
    speak = _Speaker(knowledge, found)
    on = [*_off_course(speak), *_predicted(speak), *_course_review(speak), *_warned(speak), *_interval(speak)]
    order = ("red", "amber", "info")
    return tuple(sorted(on, key=lambda s: order.index(s.level)))


class _Speaker:
    """The words of the signals, filled with what was found about one person."""

    def __init__(self, knowledge: Knowledge, found: Trajectory) -> None:
        self.knowledge, self.found = knowledge, found
        self.entries: Mapping[str, Mapping[str, Any]] = {e["id"]: e for e in knowledge.content["courses"]["signal"]}

    def signal(self, name: str, level: str, since: int, **words: str) -> Signal:
        entry = self.entries[name]
        fact = entry.get("false_alarms")
        return Signal(
            id=name,
            title=entry["title"],
            level=level,
            since=since,
            says=self.knowledge.say(entry["says"], **words).strip(),
            tell=entry["tell"],
            definition=self.knowledge.say(entry["definition"]),
            false_alarms_per_person_year=self.knowledge.number(fact) if fact else None,
            sources=((entry["source"], entry["locator"]),),
        )

    def early(self, at: int) -> bool:
        """Whether this route must not be called a failure yet."""
        course, doses = self.found.course, self.found.doses
        return course is not None and bool(doses) and (at - doses[0]) / MS_PER_DAY < course.patience_d

    def patience(self, at: int) -> str:
        return (
            f"Too early to call it failure. {self.found.course.patience}"
            if self.early(at) and self.found.course
            else ""
        )


# --- not on track -----------------------------------------------------------------------------------------------------


def _off_course(speak: _Speaker) -> Iterator[Signal]:
    judged = [j for j in speak.found.judgements if j.verdict != "unknown"]
    run = list(takewhile(lambda j: j.verdict in OFF, reversed(judged)))
    if not run or run[0].score_at != speak.found.points[-1][0]:
        return  # on track, or newer scores came too late after a dose to be judged by it
    last, first = run[0], run[-1]
    yield speak.signal(
        "off-course",
        "info" if last.early else last.verdict,
        first.score_at or first.at,
        dose=str(last.dose),
        score=_number(last.score),
        expected=_number(last.expected),
        amber=_number(last.amber),
        red=_number(last.red),
        basis=speak.found.basis,
        patience=speak.patience(last.score_at or last.at),
    )
    reds = [j for j in judged if j.verdict == "red" and not j.early]
    least = int(speak.knowledge.number("trajectory.reds"))
    if len(reds) >= least:
        second = reds[least - 1]
        yield speak.signal("off-course-review", "red", second.score_at or second.at, reds=str(len(reds)))


def _predicted(speak: _Speaker) -> Iterator[Signal]:
    chances = [c for c in speak.found.chances if c.nonresponse is not None]
    limit = speak.knowledge.number("trajectory.nonresponse_chance")
    run = list(takewhile(lambda c: (c.nonresponse or 0) >= limit, reversed(chances)))
    # a prediction about a series that has ended says nothing new
    if run and run[0] is speak.found.chances[-1]:
        last = run[0]
        level = "info" if speak.early(last.at) else "amber"
        yield speak.signal(
            "nonresponse-predicted",
            level,
            run[-1].at,
            chance=_percent(last.nonresponse),
            patience=speak.patience(last.at),
        )


def _course_review(speak: _Speaker) -> Iterator[Signal]:
    """A review that was due at a score soon after a dose stays due until a better score, however late scores come."""
    found, course, baseline = speak.found, speak.found.course, speak.found.baseline
    answered = [j.score_at for j in found.judgements if j.score_at is not None]
    if course is None or not answered or baseline is None or baseline < found.scale.least_baseline:
        return
    falls = [(at, (baseline - score) / baseline) for at, score in found.points if at >= answered[-1]]
    at, fall = falls[-1]
    given = sum(d < at for d in found.doses)
    if given > course.doses or max(f for _, f in falls) >= speak.knowledge.number("outcome.partial"):
        return
    level = _review_level(course, given, speak.early(at))
    if level:
        yield speak.signal("course-review", level, at, doses=str(given), fall=_percent(fall), patience="")


def _review_level(course: Course, given: int, early: bool) -> str:
    if course.stop_review is not None and given >= course.stop_review:
        return "red"
    if course.review_from is not None:
        return "amber" if given >= course.review_from else ""
    return "" if early else "amber"


# --- early warning after remission ------------------------------------------------------------------------------------


def raised(knowledge: Knowledge, scale: Scale, chances: Sequence[Chances]) -> dict[str, list[bool]]:
    """For each early warning and each score, in time order: whether its rule holds, from nothing later."""
    relapse, half = (knowledge.number(f"trajectory.{name}_chance") for name in ("relapse", "half_gain"))
    return {
        "relapse-ewma": [over > 0 for over, _, _ in ewma(knowledge, scale, chances)],
        "relapse-predicted": [c.remitted and (c.relapse or 0) >= relapse for c in chances],
        "half-gain-predicted": [(c.half_gain or 0) >= half for c in chances],
    }


def ewma(knowledge: Knowledge, scale: Scale, chances: Sequence[Chances]) -> list[tuple[float, float, float]]:
    """At each score: how far the weighted mean lies above the limit, the mean, the limit; zeros before it can be said.

    Mean and SD are those of the earlier scores in remission; two equal scores do not make an SD of zero.
    """
    weight, sds = knowledge.number("trajectory.ewma.weight"), knowledge.number("trajectory.ewma.sd")
    least = knowledge.number("trajectory.ewma.least")
    out: list[tuple[float, float, float]] = []
    well: list[float] = []
    z: float | None = None
    scored = [(c.at, c.score) for c in chances if c.score is not None]
    remitted = dict(zip((at for at, _ in scored), scale.in_remission([score for _, score in scored]), strict=True))
    for c in chances:
        over = (0.0, 0.0, 0.0)
        if c.remitted and c.score is not None:
            z = c.score if z is None else weight * c.score + (1 - weight) * z
            if len(well) >= least:
                mean = sum(well) / len(well)
                sd = math.sqrt(sum((x - mean) ** 2 for x in well) / (len(well) - 1))
                limit = mean + sds * max(sd, scale.error_sd)
                over = (z - limit, z, limit)
            if remitted[c.at] == YES:
                well.append(c.score)
        elif out:
            over = out[-1]  # another instrument measured: nothing new
        out.append(over)
    return out


def _warned(speak: _Speaker) -> Iterator[Signal]:
    found = speak.found
    for name, on in raised(speak.knowledge, found.scale, found.chances).items():
        run = len(list(takewhile(bool, reversed(on))))
        if not run:
            continue
        last = found.chances[-1]
        _, z, limit = ewma(speak.knowledge, found.scale, found.chances)[-1]
        chance = last.relapse if name == "relapse-predicted" else last.half_gain
        yield speak.signal(
            name,
            "amber",
            found.chances[-run].at,
            ewma=_number(z),
            limit=_number(limit),
            chance=_percent(chance),
            threshold=_number(found.scale.relapse),
        )


# --- interval review --------------------------------------------------------------------------------------------------


def _interval(speak: _Speaker) -> Iterator[Signal]:
    review = speak.found.review
    if review.why or review.today is None:
        return
    beyond = f"later than {review.horizon_d} days from now"
    words = {
        name: beyond if day is None else "today" if day == 0 else f"{day} days from now"
        for name, day in (("day", review.day), ("earliest", review.earliest), ("latest", review.latest))
    }
    between = "in the past" if review.latest == 0 else f"between {words.pop('earliest')} and {words.pop('latest')}"
    words |= {"asked": _percent(review.chance), "chance": _percent(review.today), "between": between}
    yield speak.signal("interval-review", "info", speak.found.now, **words)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}".removesuffix(".0")


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"
