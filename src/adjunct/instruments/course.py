"""The course of one person on one scale: baseline, change, state and its history, relapse, recurrence, deterioration.

A pure fold over ratings ordered in time. A rating that is missing or cannot be placed is unknown: it is never filled
with the one before, and what rests on it is unknown too. Truths are 0 no, 1 unknown, 2 yes; times are ms since 1970.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import Any

import orjson

from adjunct.base import FAR, MS_PER_DAY, NO, UNKNOWN, YES, convert
from adjunct.instruments import episodes
from adjunct.instruments.change import PERCENT, at_least, improvement
from adjunct.instruments.compare import Pair, figures, judgements
from adjunct.instruments.episodes import CAUSES, EVENT, GAIN, SCORE, Rules, Step, held_for, held_since, walk
from adjunct.instruments.model import Instrument
from adjunct.instruments.outcomes import TWICE, Figure, Judgement, Scale, Variant, number_text, together
from adjunct.instruments.ratings import Baseline, Happened, LeftOut, Measured, admitted, baseline, in_order
from adjunct.instruments.worsening import alerts, worse
from adjunct.knowledge.load import Knowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """A state and how long it was seen: `since` its first rating, `last` the newest one in it, never until today."""

    state: str
    name: str  # for people: "remission, day 12"
    since: int
    last: int
    ratings: int
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """The illness coming back: relapse, recurrence, or one of the two. `holds` 1: possible, never settled."""

    kind: str
    holds: int
    by: str  # score, event, gain
    began: int
    confirmed: int
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is known of a course, every number with definition, source and status. The last of `history` is now."""

    instrument: str
    title: str
    direction: str
    baseline: Baseline
    best: Measured | None
    latest: Measured | None
    figures: tuple[Figure, ...]
    judgements: tuple[Judgement, ...]
    state: Spell | None
    last_known: Spell | None
    history: tuple[Spell, ...]
    returns: tuple[Return, ...]
    left_out: tuple[LeftOut, ...]

    def judgement(self, id_: str) -> Judgement:
        """The one in use of that name; its other variants stand beside it in `judgements`."""
        return next(j for j in self.judgements if j.id == id_ and j.chosen)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what is not known is None."""
        found: dict[str, Any] = _plain(asdict(self))
        return found

    def to_json(self) -> str:
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2).decode()


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {k: _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case float() if not math.isfinite(value):
            return None
    return value


def course(
    instrument: Instrument | Mapping[str, Any],
    points: Iterable[Measured],
    *,
    first_dose_at: int | None,
    now: int,
    knowledge: Knowledge,
    events: Iterable[Happened] = (),
    variants: Mapping[str, str] | None = None,
    form: str = "",
    offset: timedelta = timedelta(0),
) -> Course:
    """Read the course of one person on one scale, whatever the order in which the ratings arrived.

    `variants` chooses a definition by name, as {"remission": "12 or less"}; `offset` is that of the person's calendar.
    """
    scale = Scale.of(instrument, knowledge, variants, form)
    used, left_out = admitted(points, scale, now)
    base = baseline(used, first_dose_at, scale, offset)
    dose = -FAR if first_dose_at is None else first_dose_at
    since = [
        replace(p, value=math.nan, why=scale.why("straddles")) if p.at <= dose else p for p in used if p.end > dose
    ]
    ratings = in_order(since, scale)
    latest = ratings[-1] if ratings else None
    pair = _pair(scale, base, latest)
    history: tuple[Spell, ...] = ()
    returns: tuple[Return, ...] = ()
    found: list[Judgement] = []
    if scale.direction != "neither":
        rules = Rules.of(scale, base.value)
        counted = [e for e in events if e.kind in scale.outcomes["relapse_events"]]
        left_out += [LeftOut(reference=e.reference, at=e.at, why=scale.why("future")) for e in counted if e.at > now]
        steps = list(walk(rules, ratings, [e for e in counted if dose < e.end and e.at <= now]))
        found += judgements(pair)
        if scale.in_episodes and (rules.response or rules.remission):
            history = tuple(_spells(rules, steps))
            returns = tuple(_returns(steps))
            found += _lasting(rules, ratings, steps, pair)
            found += _returning(rules, steps, returns, pair)
        found += worse(rules, steps, pair)
        found += alerts(rules, in_order(used, scale) if latest else [], pair)
    known = [p for p in ratings if not math.isnan(p.value)]
    return Course(
        instrument=scale.id,
        title=scale.raw["title"],
        direction=scale.direction,
        baseline=base,
        best=max(known, key=lambda p: improvement(0, p.value, scale.direction)) if known and found else None,
        latest=latest,
        figures=figures(pair),
        judgements=tuple(found),
        state=history[-1] if history else None,
        last_known=next((s for s in reversed(history) if s.state != episodes.NOT_KNOWN), None),
        history=history,
        returns=returns,
        left_out=tuple(left_out),
    )


def _pair(scale: Scale, base: Baseline, latest: Measured | None) -> Pair:
    if latest is None:
        return Pair(scale=scale, before=base.value, after=math.nan, why=scale.why("no_rating"), because=base.because)
    why = (latest.why or scale.why("unscored")) if math.isnan(latest.value) else base.why
    because = (*base.because, *([latest.reference] if latest.reference else []))
    return Pair(scale=scale, before=base.value, after=latest.value, why=why, because=because)


# --- states and returns -----------------------------------------------------------------------------------------------


def _spells(rules: Rules, steps: Sequence[Step]) -> Iterator[Spell]:
    """Ratings of one state in a row; a gap too long to vouch for begins a new one."""
    names = {s["id"]: s["name"] for s in rules.scale.outcomes["state"]}
    for (state, _), group in groupby((s for s in steps if s.state), key=lambda s: (s.state, _start(rules, s))):
        inside = list(group)
        since = _start(rules, inside[0]) or inside[0].rating.at
        last = inside[-1].rating.at
        day = 1 + (last - since) // MS_PER_DAY
        yield Spell(
            state=state,
            name=rules.scale.knowledge.say(names[state], day=str(day)),
            since=since,
            last=last,
            ratings=len(inside),
            because=tuple(s.rating.reference for s in inside if s.rating.reference),
        )


def _start(rules: Rules, step: Step) -> int:
    """When the remission or response of a step began; 0 for other states."""
    runs = {episodes.REMISSION: step.past.remission, episodes.RESPONSE: step.past.response}
    start = held_since(runs.get(step.state, ()), rules.gap)
    return start.at if start else 0


def _returns(steps: Sequence[Step]) -> Iterator[Return]:
    """Each return once, when it began to be sure or possible."""
    open_: set[str] = set()  # events without a sure place stand in several
    for step in steps:
        if step.past.returned <= step.before.returned or not max(step.new) or step.rating.reference in open_:
            continue
        by = step.new.index(max(step.new))
        run = step.past.runs[by]
        if max(step.new) == UNKNOWN and CAUSES[by] == EVENT:
            open_.add(step.rating.reference)
        sure = held_since(run, FAR) if max(step.new) == YES else run[0] if run else None
        began = sure.at if sure else step.rating.at
        references = [s.reference for s in run if s.at >= began] or [step.rating.reference]
        yield Return(
            kind=episodes.returning(step.past) or episodes.RETURN,
            holds=max(step.new),
            by=CAUSES[by],
            began=began,
            confirmed=step.rating.at,
            because=tuple(r for r in references if r),
        )


def _returning(rules: Rules, steps: Sequence[Step], returns: Sequence[Return], pair: Pair) -> Iterator[Judgement]:
    """Relapse and recurrence as they stand at the newest rating or event."""
    scale, recovery = rules.scale, rules.scale.variant("recovery")
    if any(not math.isnan(s.rating.value) for s in steps):
        last = steps[-1]
        before, awaits = last.before, last.awaits
        first = min(YES - before.recovered, YES - before.recurrence)
        relapse = [max(r, min(a, first)) for r, a in zip(last.past.relapse, awaits, strict=True)]
        recurrence = max(last.past.recurrence, min(max(awaits), max(before.recovered, before.recurrence)))
    else:
        relapse, recurrence, awaits = [UNKNOWN] * len(CAUSES), UNKNOWN, (NO,) * len(CAUSES)
    apart = rules.bad.apart if rules.bad else TWICE
    why = pair.why or scale.why("undecided")
    if max(awaits) and not math.isnan(pair.after):
        why = scale.why("awaits", apart=scale.knowledge.fact_text(apart if awaits[0] else TWICE))
    because = returns[-1].because if returns and max(*relapse, recurrence) else pair.because[-1:]
    common: dict[str, Any] = {"why": why, "because": because}
    by = dict(zip(CAUSES, relapse, strict=True))
    score, gain = scale.knowledge.fact_text(apart), scale.knowledge.fact_text(TWICE)
    parts = []
    if rules.bad:
        measured: dict[str, Any] = {"variant": rules.bad, "value": pair.after, "limit": rules.bad.points, **common}
        parts.append(scale.judge("relapse_score", by[SCORE], {"apart": score}, **measured))
    parts.append(
        scale.judge("relapse_event", by[EVENT], {"events": ", ".join(scale.outcomes["relapse_events"])}, **common)
    )
    if rules.response:
        lost = PERCENT * rules.lost
        parts.append(scale.judge("relapse_gain", by[GAIN], {"apart": gain}, limit=lost, unit="%", **common))
    yield scale.judge("relapse", max(relapse), support=together(parts), **common)
    yield from parts
    yield scale.judge("recurrence", recurrence, variant=recovery, support=together(parts), **common)


# --- what lasts -------------------------------------------------------------------------------------------------------


def _lasting(rules: Rules, ratings: Sequence[Measured], steps: Sequence[Step], pair: Pair) -> Iterator[Judgement]:
    """Stable remission and recovery."""
    scale, remission = rules.scale, rules.remission
    rule = scale.of_scale("stable")
    limit = scale.knowledge.number(rule["up_to"]) if rule else math.nan
    if rule:
        name, support = scale.words("better", n=number_text(limit)), scale.fact_support(rule["up_to"])
        stable = Variant(name=name, support=support, points=limit)
    elif remission:
        stable = remission
    else:
        return
    yield scale.judge(
        "stable_remission",
        _stable(rules, stable, ratings),
        variant=stable,
        limit=limit,
        why=pair.why_now,
        because=pair.because[-1:],
    )
    if not remission:
        return
    run = steps[-1].past.remission if steps else ()
    for variant in scale.variants["recovery"]:
        holds = UNKNOWN if math.isnan(pair.after) else held_for(run, episodes.months(variant), rules.gap)
        start = held_since(run, rules.gap)
        yield scale.judge(
            "recovery",
            holds,
            {"remission": remission.name},
            variant=variant,
            chosen=variant is scale.variant("recovery"),
            value=(run[-1].at - start.end) / MS_PER_DAY if start else math.nan,
            limit=convert(variant.points, "mo", "d"),
            unit="d",
            why=pair.why_now,
            because=[s.reference for s in run if s.reference],
        )


def _stable(rules: Rules, variant: Variant, ratings: Sequence[Measured]) -> int:
    """Enough of the last weeks with every score good, counted back from the newest rating."""
    if not ratings or math.isnan(ratings[-1].value):
        return UNKNOWN
    scale = rules.scale
    week = round(convert(1, "wk", "d") * MS_PER_DAY)
    weeks, least = (round(scale.knowledge.number(f"outcome.stable.{n}")) for n in ("weeks", "least"))
    values = [p.value for p in ratings]
    if variant.when:
        good = variant.holds(values)
    else:
        good = [at_least(improvement(variant.points, v, scale.direction), 0) for v in values]
    end = ratings[-1].end
    found = []
    for low, high in ((end - (n + 1) * week, end - n * week) for n in range(weeks)):
        truths = [
            truth if low < p.at and p.end <= high else UNKNOWN
            for p, truth in zip(ratings, good, strict=True)
            if p.at <= high and low < p.end
        ]
        found.append(min(truths, default=UNKNOWN))
    sure, possible = found.count(YES), weeks - found.count(NO)
    return YES if sure >= least else UNKNOWN if possible >= least else NO
