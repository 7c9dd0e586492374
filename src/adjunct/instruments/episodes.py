"""Response, remission, relapse, recovery and recurrence as a fold over ratings and events, oldest first.

A bad score alone is no relapse: two that confirm each other are, a set time apart and none better in between. A score
that is not known may be anything, so it neither confirms nor refutes. Truths are 0 no, 1 unknown, 2 yes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from adjunct.base import MS_PER_DAY, NO, UNKNOWN, YES, convert
from adjunct.instruments.change import at_least, improvement
from adjunct.instruments.compare import Pair
from adjunct.instruments.outcomes import TWICE, Scale, Variant
from adjunct.instruments.ratings import Happened, Measured

SCORE, EVENT, GAIN = CAUSES = ("score", "event", "gain")
REMISSION, RESPONSE, PARTIAL, NONE, WORSE = "remission", "response", "partial", "none", "worse"
RELAPSE, RECURRENCE, RETURN, POSSIBLE = "relapse", "recurrence", "return", "possible-relapse"
UNJUDGED, NOT_KNOWN = "not-remission", "unknown"


@dataclass(frozen=True, slots=True)
class Seen:
    """One rating, and whether what is followed held at it."""

    at: int
    end: int
    truth: int
    reference: str = ""


Run = tuple[Seen, ...]  # everything since it last surely did not hold


def confirmed(run: Run, apart: tuple[int, int]) -> int:
    """Whether the newest rating of a run confirms an earlier one, `apart` (ms, least and most) after it.

    No means not yet; unknown, that a rating in between is not known, or that the two are too far apart to tell.
    """
    if not run:
        return NO
    newest = run[-1]
    found, sure = NO, newest.truth == YES
    for earlier in reversed(run[:-1]):
        least, most = newest.at - earlier.end, newest.end - earlier.at
        sure = sure and earlier.truth == YES
        if sure and least >= apart[0] and most <= apart[1]:
            return YES
        if most >= apart[0]:
            found = UNKNOWN
    return found


def held_since(run: Run, longest_gap: int) -> Seen | None:
    """The earliest rating since which all hold, gaps up to `longest_gap` ms; None where the newest does not."""
    start: Seen | None = None
    for seen in reversed(run):
        if seen.truth != YES or (start and start.end - seen.at > longest_gap):
            break
        start = seen
    return start


def held_for(run: Run, length: int, longest_gap: int) -> int:
    """Whether what is followed has held for `length` ms up to the newest rating."""
    if not run or run[-1].end - run[0].at < length:
        return NO
    start = held_since(run, longest_gap)
    return YES if start and run[-1].at - start.end >= length else UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """All that the next rating needs to know of those before it."""

    gained: int = NO  # response or remission was reached once
    recovered: int = NO
    relapse: tuple[int, ...] = (NO,) * len(CAUSES)  # going on, by cause
    recurrence: int = NO
    returned: int = NO  # the one or the other
    best: float = math.nan  # best score on record since the first dose
    runs: tuple[Run, ...] = ((),) * len(CAUSES)  # bad enough, by cause; of events none is needed
    remission: Run = ()
    response: Run = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is known after one rating or event. `new`: met here, by cause; `awaits`: a second one could confirm it."""

    rating: Measured
    past: Past
    state: str
    new: tuple[int, ...]
    awaits: tuple[int, ...]
    before: Past


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The numbers of a fold, in points and ms."""

    scale: Scale
    baseline: float
    response: Variant | None
    remission: Variant | None
    index: Variant | None
    bad: Variant | None  # relapse by score: the condition, or `points` to reach
    bad_apart: tuple[int, int]
    lost: float  # share of the gain
    lost_apart: tuple[int, int]
    recovery: int
    gap: int

    @classmethod
    def of(cls, scale: Scale, baseline: float) -> Rules:
        bad, recovery = scale.variant("relapse"), scale.variant("recovery")
        assert recovery is not None
        return cls(
            scale=scale,
            baseline=baseline,
            response=scale.variant("response"),
            remission=scale.variant("remission"),
            index=scale.variant("reliable_change"),
            bad=bad,
            bad_apart=days(scale, bad.apart if bad else TWICE),
            lost=scale.knowledge.number("outcome.relapse.gain"),
            lost_apart=days(scale, TWICE),
            recovery=months(recovery),
            gap=round(scale.knowledge.number("outcome.held.gap") * MS_PER_DAY),
        )

    def are_bad(self, values: Sequence[float]) -> list[int]:
        """Which scores are bad enough for a relapse by score."""
        if self.bad is None:
            return [NO] * len(values)
        if self.bad.when is not None:
            return self.bad.holds(values)
        return [at_least(improvement(v, self.bad.points, self.scale.direction), 0) for v in values]

    def is_lost(self, past: Past, value: float, remitted: int) -> int:
        """Enough of the best gain lost; not while in remission, and not where per cent would mislead."""
        if remitted == YES or self.response is None or math.isnan(past.best):
            return NO
        pair = Pair(scale=self.scale, before=self.baseline, after=past.best)
        if pair.barrier(self.response.needs) or pair.gain <= 0:
            return NO
        return at_least(improvement(value, past.best, self.scale.direction), self.lost * pair.gain)


def days(scale: Scale, fact: str) -> tuple[int, int]:
    """A fact of two numbers of days, in ms."""
    value = scale.knowledge.facts[fact].value
    assert isinstance(value, tuple)
    return round(value[0] * MS_PER_DAY), round(value[1] * MS_PER_DAY)


def months(variant: Variant) -> int:
    """A length in months, in ms."""
    return round(convert(variant.points, "mo", "d") * MS_PER_DAY)


def walk(rules: Rules, ratings: Sequence[Measured], events: Sequence[Happened]) -> Iterator[Step]:
    """The fold: what is known after each rating and each event, in order."""
    past, awaits = Past(), (NO,) * len(CAUSES)
    values = [r.value for r in ratings]
    remitted = iter(rules.remission.holds(values) if rules.remission else [NO] * len(values))
    bad = iter(rules.are_bad(values))
    turns: list[Measured | tuple[Happened, int]] = [*_placed(events, ratings), *ratings]
    for turn in sorted(turns, key=_when):
        if isinstance(turn, Measured):
            step = _rated(rules, past, turn, next(remitted), next(bad))
        else:
            step = _happened(past, *turn, awaits)
        yield step
        past, awaits = step.past, step.awaits


def _placed(events: Sequence[Happened], ratings: Sequence[Measured]) -> Iterator[tuple[Happened, int]]:
    """Each event with whether it is sure there; one whose interval meets ratings stands as an unknown in each place."""
    for event in events:
        met = [r for r in ratings if event.at <= r.end and r.at <= event.end and (r.end > r.at or event.end > event.at)]
        yield event, UNKNOWN if met else YES
        for rating in met:
            yield replace(event, at=min(rating.end, event.end), until=event.end), UNKNOWN


def _when(turn: Measured | tuple[Happened, int]) -> tuple[int, int]:
    found = turn if isinstance(turn, Measured) else turn[0]
    return found.at, found.end


def _rated(rules: Rules, past: Past, rating: Measured, remitted: int, bad: int) -> Step:
    value = rating.value
    pair = Pair(scale=rules.scale, before=rules.baseline, after=value)
    responded = pair.responded(rules.response) if rules.response else NO
    good = max(remitted, responded)
    truths = (bad, NO, rules.is_lost(past, value, remitted))
    runs = tuple(_longer(run, truth, rating) for run, truth in zip(past.runs, truths, strict=True))
    apart = (rules.bad_apart, rules.bad_apart, rules.lost_apart)
    met = [confirmed(run, a) for run, a in zip(runs, apart, strict=True)]
    new = tuple(min(m, past.gained) for m in met)
    awaits = tuple(min(UNKNOWN, past.gained) if run and m == NO else NO for run, m in zip(runs, met, strict=True))
    remission = _longer(past.remission, remitted, rating)
    better = not math.isnan(value) and not improvement(past.best, value, rules.scale.direction) <= 0
    after = _returned(
        replace(
            past,
            gained=max(past.gained, good),
            best=value if better else past.best,
            runs=runs,
            remission=remission,
            response=_longer(past.response, responded, rating),
        ),
        new,
        good,
        held_for(remission, rules.recovery, rules.gap),
    )
    possible = max(truths) == YES and past.gained == YES and max(*new, *awaits) == UNKNOWN
    state = _state(rules, pair, after, remitted, responded, possible=possible)
    return Step(rating=rating, past=after, state=state, new=new, awaits=awaits, before=past)


def _happened(past: Past, event: Happened, truth: int, awaits: tuple[int, ...]) -> Step:
    """An event that counts as a return by itself; `truth`: whether its place among the ratings is sure."""
    new = tuple(min(truth, past.gained) if cause == EVENT else NO for cause in CAUSES)
    past = replace(past, remission=_broken(past.remission, event, truth), response=_broken(past.response, event, truth))
    after = _returned(past, new, NO, NO)
    state = returning(after) if max(new) == YES else ""
    rating = Measured(at=event.at, value=math.nan, reference=event.reference, until=event.until)
    return Step(rating=rating, past=after, state=state, new=new, awaits=awaits, before=past)


def _longer(run: Run, truth: int, rating: Measured) -> Run:
    return (*run, Seen(rating.at, rating.end, truth, rating.reference)) if truth else ()


def _broken(run: Run, event: Happened, truth: int) -> Run:
    """An event such as an admission ends what had held; one without a sure place may have."""
    return () if truth == YES or not run else (*run, Seen(event.at, event.end, UNKNOWN, event.reference))


def _returned(past: Past, new: Sequence[int], good: int, recovery: int) -> Past:
    """Relapse before recovery, recurrence after it; either is over when response or remission is reached again."""
    relapse = tuple(
        max(min(n, YES - past.recovered, YES - past.recurrence), min(old, YES - good))
        for n, old in zip(new, past.relapse, strict=True)
    )
    recurrence = max(min(max(new), max(past.recovered, past.recurrence)), min(past.recurrence, YES - good))
    recovered = max(recovery, min(past.recovered, YES - max(*relapse, recurrence)))
    returned = max(*new, min(past.returned, YES - good))
    return replace(past, relapse=relapse, recurrence=recurrence, returned=returned, recovered=recovered)


def returning(past: Past) -> str:
    """The name of a return that is going on; empty where none surely is."""
    if past.recurrence == YES:
        return RECURRENCE
    return RELAPSE if max(past.relapse) == YES else RETURN if past.returned == YES else ""


def _state(rules: Rules, pair: Pair, past: Past, remitted: int, responded: int, *, possible: bool) -> str:
    if math.isnan(pair.after):
        return NOT_KNOWN
    if name := returning(past):
        return name
    if possible:
        return POSSIBLE
    if remitted == YES:
        return REMISSION
    if responded == YES:
        return RESPONSE
    if rules.index and at_least(-pair.gain, rules.index.points) == YES:
        return WORSE
    if responded == UNKNOWN or rules.response is None or pair.barrier(rules.response.needs):
        return UNJUDGED
    least = rules.scale.knowledge.number("outcome.partial") * abs(pair.before)
    return PARTIAL if at_least(pair.gain, least) == YES else NONE
