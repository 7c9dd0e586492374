"""What the change from one score to another is called: figures and judgements, each with definition and source."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from adjunct.base import UNKNOWN, YES
from adjunct.instruments.change import PERCENT, above, at_least, improvement, percent_change
from adjunct.instruments.outcomes import Figure, Judgement, Scale, Variant, number_text


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The score before the first dose and a later one; NaN with `why` where one of them is not known."""

    scale: Scale
    before: float
    after: float
    why: str = ""
    because: tuple[str, ...] = ()  # references of the two

    @cached_property
    def gain(self) -> float:
        return improvement(self.before, self.after, self.scale.direction)

    @cached_property
    def percent(self) -> float:
        if self.barrier(-math.inf):
            return math.nan
        return percent_change(self.before, self.after, self.scale.direction)

    @cached_property
    def said(self) -> dict[str, str]:
        return {"before": self.scale.said(self.before), "after": self.scale.said(self.after)}

    @cached_property
    def why_now(self) -> str:
        """Why something about the later score is unknown where the one before has no part in it."""
        return self.why if math.isnan(self.after) else self.scale.why("undecided")

    def barrier(self, needs: float) -> str:
        """Why per cent would mislead here; empty where it does not. `needs`: the least score before, in points."""
        if self.scale.range[0] != 0:
            return self.scale.why("not_from_zero")
        if self.before == 0:
            return self.scale.why("zero_baseline")
        if self.before < needs:
            return self.scale.why("low_baseline", needs=number_text(needs), before=self.said["before"])
        return ""

    def responded(self, variant: Variant) -> int:
        """Whether one variant of response holds; unknown where the score before is too low to say."""
        if self.before < variant.needs:
            return UNKNOWN
        if not math.isnan(variant.points):
            return at_least(self.gain, variant.points)
        return at_least(self.percent, variant.percent)


def figures(pair: Pair) -> tuple[Figure, ...]:
    """Raw change, improvement, per cent."""
    scale, response = pair.scale, pair.scale.variant("response")
    barrier = pair.why or pair.barrier(max(response.needs if response else -math.inf, scale.least_for_percent))
    neither = scale.why("neither") if scale.direction == "neither" else ""
    raw = pair.after - pair.before
    words = pair.said | {"value": scale.said(raw), "improvement": scale.said(pair.gain)}
    return (
        scale.figure("raw_change", raw, words, why=pair.why, because=pair.because),
        scale.figure("improvement", pair.gain, words, why=neither or pair.why, because=pair.because),
        scale.figure(
            "percent_change",
            math.nan if barrier else pair.percent,
            words,
            unit="%",
            why=neither or barrier,
            because=pair.because,
        ),
    )


def judgements(pair: Pair) -> Iterator[Judgement]:
    """Response to clinically significant change; none where the scale has no better."""
    if pair.scale.direction == "neither":
        return
    yield from _responses(pair)
    yield from _remissions(pair)
    yield from _reliable(pair)
    yield from _important(pair)
    yield from _significant(pair)


def _responses(pair: Pair) -> Iterator[Judgement]:
    scale, default = pair.scale, pair.scale.variant("response")
    if default is None:
        return
    for variant in scale.variants["response"]:
        by_points = not math.isnan(variant.points)
        limit = variant.points if by_points else variant.percent
        yield scale.judge(
            "response",
            pair.responded(variant),
            pair.said | {"limit": scale.words("points" if by_points else "percent", n=number_text(limit))},
            variant=variant,
            chosen=variant is default,
            value=pair.gain if by_points else pair.percent,
            limit=limit,
            unit="" if by_points else "%",
            why=pair.why or pair.barrier(variant.needs),
            because=pair.because,
        )
    limit = PERCENT * scale.knowledge.number("outcome.partial")
    barrier = pair.barrier(default.needs)
    some = UNKNOWN if barrier else at_least(pair.percent, limit)
    for id_, holds in (
        ("partial_response", min(some, YES - pair.responded(default))),
        ("non_response", YES - some),
    ):
        yield scale.judge(
            id_,
            holds,
            pair.said,
            value=pair.percent,
            limit=limit,
            unit="%",
            why=pair.why or barrier,
            because=pair.because,
        )


def _remissions(pair: Pair) -> Iterator[Judgement]:
    scale = pair.scale
    for variant in scale.variants["remission"]:
        yield scale.judge(
            "remission" if scale.in_episodes else "target",
            variant.holds([pair.after])[0],
            pair.said,
            variant=variant,
            chosen=variant is scale.variant("remission"),
            value=pair.after,
            why=pair.why,
            because=pair.because[-1:],
        )


def _reliable(pair: Pair) -> Iterator[Judgement]:
    """Every index that the file lists, side by side."""
    scale = pair.scale
    for variant in scale.variants["reliable_change"]:
        yield scale.judge(
            "reliable_change",
            variant.beyond(abs(pair.gain)),
            {"than": scale.words("more" if variant.strict else "least"), "value": scale.said(pair.gain)},
            variant=variant,
            chosen=variant is scale.variant("reliable_change"),
            value=pair.gain,
            limit=variant.points,
            why=pair.why,
            because=pair.because,
        )


def _important(pair: Pair) -> Iterator[Judgement]:
    scale = pair.scale
    for variant in scale.important:
        by_points = not math.isnan(variant.points)
        limit, value = (variant.points, pair.gain) if by_points else (variant.percent, pair.percent)
        yield scale.judge(
            "important_change",
            at_least(value, limit),
            pair.said
            | {
                "limit": scale.words("points" if by_points else "percent", n=number_text(limit)),
                "level": scale.words(variant.level),
            },
            variant=variant,
            value=value,
            limit=limit,
            unit="" if by_points else "%",
            why=pair.why or pair.barrier(-math.inf),
            because=pair.because,
        )


def _significant(pair: Pair) -> Iterator[Judgement]:
    scale, index = pair.scale, pair.scale.variant("reliable_change")
    if index is None or scale.cut is None:
        return
    cut, groups, support = scale.cut
    ill = at_least(improvement(pair.before, cut, scale.direction), 0)
    well = above(improvement(cut, pair.after, scale.direction), 0)
    yield scale.judge(
        "clinically_significant",
        min(index.beyond(pair.gain), ill, well),
        pair.said | dict(groups),
        variant=index,
        support=support,
        value=pair.after,
        limit=cut,
        why=pair.why,
        because=pair.because,
    )
