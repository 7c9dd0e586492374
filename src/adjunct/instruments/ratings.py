"""Ratings of one scale as they arrive: what is admitted, in which order, and which one is the baseline.

A score dated in the future, before 1970 or outside its scale is left out by name. The same score sent twice counts
once; different scores for the same time are one unknown, never the first of them. A partial date is an interval.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from adjunct.base import MS_PER_DAY, iso
from adjunct.instruments.outcomes import Scale, number_text

DATE = len("2026-11-22")


@dataclass(frozen=True, slots=True)
class Measured:
    """One rating. `at`..`until`: when (ms since 1970; a partial date is an interval); NaN: the score is not known.

    `suicide_item` is what the item on suicidal thoughts was answered; NaN where it is not known or there is none.
    """

    at: int
    value: float
    reference: str = ""
    until: int | None = None
    suicide_item: float = math.nan
    why: str = ""  # why the score is not known
    rivals: tuple[float, ...] = ()  # scores sent for the same time that contradict each other

    @property
    def end(self) -> int:
        return self.at if self.until is None else self.until


@dataclass(frozen=True, slots=True)
class Happened:
    """An event such as a hospital admission. `kind` is one of `relapse_events`; others are no part of a course."""

    at: int
    kind: str
    reference: str = ""
    until: int | None = None

    @property
    def end(self) -> int:
        return self.at if self.until is None else self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A rating that was not used, and why."""

    reference: str
    at: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The last score before the first dose; NaN with `why`, and all the scores that stood against each other."""

    value: float = math.nan
    at: int | None = None
    why: str = ""
    because: tuple[str, ...] = ()
    values: tuple[float, ...] = ()


def admitted(points: Iterable[Measured], scale: Scale, now: int) -> tuple[list[Measured], list[LeftOut]]:
    """Ratings that can be used, one a time, oldest first; and those left out."""
    least, most = scale.range
    used: dict[tuple[int, int], list[Measured]] = defaultdict(list)
    out: list[LeftOut] = []
    for p in points:
        reason = (
            "future" if p.at > now
            else "past" if p.at < 0
            else "backwards" if p.end < p.at
            else "outside" if p.value < least or p.value > most
            else ""
        )  # fmt: skip
        if reason:
            out.append(LeftOut(reference=p.reference, at=p.at, why=scale.why(reason)))
        else:
            used[p.at, min(p.end, now)].append(p)
    joined = [_joined(same, end, scale) for (_, end), same in sorted(used.items())]
    return joined, sorted(out, key=lambda o: (o.at, o.reference))


def _joined(same: Sequence[Measured], end: int, scale: Scale) -> Measured:
    """Ratings of one time as one: the score they agree on, or an unknown that names them all."""
    if len(same) == 1:
        return replace(same[0], until=end)
    same = sorted(same, key=lambda p: (p.reference, p.why))
    values = sorted({p.value for p in same if not math.isnan(p.value)})
    agreed = len(values) == 1 and not any(math.isnan(p.value) for p in same)
    why = next((p.why for p in same if p.why), "")
    if not agreed and values:
        why = scale.why("conflict", values=_listed(values, unknown=any(math.isnan(p.value) for p in same), scale=scale))
    return Measured(
        at=same[0].at,
        value=values[0] if agreed else math.nan,
        reference=" ".join(dict.fromkeys(p.reference for p in same if p.reference)),
        until=end,
        suicide_item=max((p.suicide_item for p in same if not math.isnan(p.suicide_item)), default=math.nan),
        why=why,
        rivals=() if agreed else tuple(values),
    )


def _listed(values: Iterable[float], *, unknown: bool, scale: Scale) -> str:
    return ", ".join([*(number_text(v) for v in values), *([scale.words("unknown")] if unknown else [])])


def in_order(points: Sequence[Measured], scale: Scale) -> list[Measured]:
    """Oldest first. A rating whose interval meets another's has no known place: it becomes an unknown in each place
    that it may have, so that nothing rests on an order that nobody wrote down."""
    placed: list[Measured] = []
    for p in points:
        met = [q for q in points if q is not p and p.at <= q.end and q.at <= p.end] if p.end > p.at else []
        if not met:
            placed.append(p)
            continue
        unplaced = replace(p, value=math.nan, suicide_item=math.nan, why=scale.why("order"))
        placed.append(unplaced)
        placed += [replace(unplaced, at=min(q.end, p.end), until=p.end) for q in met]
    return sorted(placed, key=lambda p: (p.at, p.end, math.isnan(p.value)))


def baseline(points: Sequence[Measured], first_dose_at: int | None, scale: Scale, offset: timedelta) -> Baseline:
    """The last score before the first dose, if one is known beyond doubt.

    Candidates are the last rating that ended by the first dose, every other of its day or that may be later, and every
    one that may be from before or from after the dose. If they agree, that is the baseline; otherwise there is none.
    """
    if first_dose_at is None:
        return Baseline(why=scale.why("no_dose"))
    before = [p for p in points if p.end <= first_dose_at]
    around = [p for p in points if p.at <= first_dose_at < p.end]
    if not before:
        return Baseline(why=scale.why("straddles" if around else "no_baseline"), values=tuple(p.value for p in around))
    newest = max(before, key=lambda p: p.at)
    day = iso(newest.at, offset)[:DATE]
    last = [p for p in before if p.end >= newest.at or iso(p.end, offset)[:DATE] == day] + around
    because = tuple(p.reference for p in last if p.reference)
    known = sorted({p.value for p in last if not math.isnan(p.value)})
    unscored = [p for p in last if math.isnan(p.value)]
    if len(known) > 1 or (known and unscored):
        text = scale.why("conflict", values=_listed(known, unknown=bool(unscored), scale=scale))
        return Baseline(why=text, because=because, values=tuple(known))
    if not known:
        why = unscored[0].why or scale.why("unscored_baseline")
        return Baseline(why=why, because=because, values=tuple(sorted({v for p in unscored for v in p.rivals})))
    limit = round(scale.knowledge.number("outcome.baseline.age") * MS_PER_DAY)
    if any(first_dose_at - p.at > limit for p in last):
        surely = all(first_dose_at - p.end > limit for p in last)
        return Baseline(why=scale.why("old_baseline" if surely else "maybe_old"), because=because, values=tuple(known))
    return Baseline(value=known[0], at=newest.at, because=because, values=tuple(known))
