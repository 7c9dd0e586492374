"""Getting worse: than before the first dose, than at best, than lately. Said whatever else is true of the course."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from adjunct.base import NO, UNKNOWN
from adjunct.instruments.change import above, at_least, improvement
from adjunct.instruments.compare import Pair
from adjunct.instruments.episodes import Rules, Step
from adjunct.instruments.outcomes import Judgement, together
from adjunct.instruments.ratings import Measured


def worse(rules: Rules, steps: Sequence[Step], pair: Pair) -> Iterator[Judgement]:
    """Worse by a reliable amount than before the first dose, or than at best after a response."""
    scale, index = rules.scale, rules.index
    best = steps[-1].past.best if steps else math.nan
    gained = steps[-1].past.gained if steps else UNKNOWN
    lost = -improvement(best, pair.after, scale.direction)
    limit = index.points if index else math.nan
    by = {"baseline": at_least(-pair.gain, limit), "best": min(gained, at_least(lost, limit))}
    why = (pair.why or scale.why("undecided")) if index else scale.why("no_index")
    common: dict[str, Any] = {"variant": index, "limit": limit, "why": why, "because": pair.because}
    words = pair.said | {"best": scale.said(best)}
    parts = [
        scale.judge("deterioration_baseline", by["baseline"], words, value=-pair.gain, **common),
        scale.judge("deterioration_best", by["best"], words, value=lost, **common),
    ]
    yield scale.judge("deterioration", max(by.values()), words, support=together(parts), **common)
    yield from parts


def alerts(rules: Rules, ratings: Sequence[Measured], pair: Pair) -> Iterator[Judgement]:
    """The deterioration alert and its parts. Ratings from before the first dose count too."""
    because = [p.reference for p in ratings[-1 - _before(rules) :] if p.reference]
    parts = [
        part(rules, ratings, pair, because)
        for part, applies in (
            (_alert_rise, True),
            (_alert_item, any(a.get("level") == "suicide" for a in rules.scale.raw.get("alert", ()))),
            (_alert_rises, rules.scale.of_scale("rise") is not None),
        )
        if applies
    ]
    why = next((p.why for p in parts if p.why), "")
    holds = max(p.holds for p in parts)
    yield rules.scale.judge("alert", holds, support=together(parts), why=why, because=because)
    yield from parts


def _before(rules: Rules) -> int:
    return round(rules.scale.knowledge.number("outcome.alert.before"))


def _alert_rise(rules: Rules, ratings: Sequence[Measured], pair: Pair, because: Sequence[str]) -> Judgement:
    index, direction = rules.index, rules.scale.direction
    falls = [-improvement(p.value, pair.after, direction) for p in ratings[-1 - _before(rules) : -1]]
    limit = index.points if index else math.nan
    return rules.scale.judge(
        "alert_rise",
        UNKNOWN if math.isnan(pair.after) else max((at_least(f, limit) for f in falls), default=NO),
        variant=index,
        value=max((f for f in falls if not math.isnan(f)), default=math.nan),
        limit=limit,
        why=pair.why_now if index else rules.scale.why("no_index"),
        because=because,
    )


def _alert_item(rules: Rules, ratings: Sequence[Measured], _: Pair, because: Sequence[str]) -> Judgement:
    answers = [p.suicide_item for p in ratings[-2:]]
    known = bool(answers) and not math.isnan(answers[-1])
    holds = max((above(b, a) for a, b in pairwise(answers)), default=NO) if known else UNKNOWN
    return rules.scale.judge("alert_item", holds, why=rules.scale.why("not_asked"), because=because)


def _alert_rises(rules: Rules, ratings: Sequence[Measured], pair: Pair, because: Sequence[str]) -> Judgement:
    scale, rule = rules.scale, rules.scale.of_scale("rise")
    assert rule is not None
    limit, count = scale.knowledge.number(rule["by"]), round(scale.knowledge.number("outcome.alert.rises"))
    rises = [-improvement(a.value, b.value, scale.direction) for a, b in pairwise(ratings[-1 - count :])]
    holds = min(at_least(r, limit) for r in rises) if len(rises) == count else NO
    return scale.judge(
        "alert_rises",
        UNKNOWN if math.isnan(pair.after) else holds,
        support=scale.fact_support(rule["by"]),
        limit=limit,
        why=pair.why_now,
        because=because,
    )
