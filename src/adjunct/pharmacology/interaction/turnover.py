"""Floor 2: how long a change of enzyme activity takes to come and to go.

A reversible inhibitor acts while it is in the body; one that destroys its enzyme acts until the enzyme is made again;
an inducer acts until the surplus is broken down. `time_course` says when an effect has come and when it is over,
`residual` how much of its potency is left so long after the last dose, `tea_effect` what one kratom tea does to an oral
medicine. Inhibition of a potency leaves 1/(1 + potency) of the activity, induction brings it to 1 + potency.
Times in h, rates in 1/h, activity as a share of the person's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adjunct.base import BadInput, Floats
from adjunct.knowledge import Knowledge
from adjunct.pharmacology import CannotPredict
from adjunct.pharmacology.interaction.enzyme import course
from adjunct.pharmacology.interaction.tea import TeaEffect, tea_dose_mg, tea_effect

__all__ = ["CannotPredict", "TeaEffect", "TimeCourse", "residual", "tea_dose_mg", "tea_effect", "time_course"]

LIVER, GUT = "liver", "gut"
INDUCES = "induces"
REVERSIBLE, TIME_DEPENDENT = "reversible", "time-dependent"
STEPS = 400  # edges of a course before it is refined
SPANS = 12  # a course is followed for so many of its slowest time constants, and longer for a strong effect


@dataclass(frozen=True, slots=True)
class TimeCourse:
    """When the effect of a medicine on one enzyme has come and when it is over; `definition` says what that means."""

    onset_h: float
    peak_h: float
    offset_h: float
    definition: str


@dataclass(frozen=True, slots=True)
class _Effect:
    """One effect of one perpetrator on one enzyme, with the two rates at which it fades."""

    destroys: bool
    potency: float
    drug: float  # 1/h, elimination of the slowest thing that acts
    enzyme: float  # 1/h, loss of enzyme; 0 where the enzyme itself is not changed

    def slowest_h(self) -> float:
        return 1 / self.drug + (1 / self.enzyme if self.enzyme else 0)

    def activity(self, edges_h: Floats, *, stopping: bool) -> tuple[Floats, Floats]:
        """Times and activity from the first dose on, or (`stopping`) from the last dose on; dosing is even."""

        def present(times: Floats) -> Floats:
            left = np.exp(-self.drug * times)
            return self.potency * (left if stopping else 1 - left)[None, :]

        if not self.enzyme:
            return edges_h, 1 / (1 + present(edges_h)[0])
        turnover = self.enzyme
        if self.destroys:
            start = 1 / (1 + self.potency) if stopping else 1.0
            found = course(
                edges_h,
                lambda t: np.full((1, len(t)), turnover),
                lambda t: turnover * (1 + present(t)),
                np.array([start]),
            )
        else:
            start = 1 + self.potency if stopping else 1.0
            found = course(
                edges_h,
                lambda t: turnover * (1 + present(t)),
                lambda t: np.full((1, len(t)), turnover),
                np.array([start]),
            )
        return found.steps.edges_h, found.at_edges[0]


def time_course(
    knowledge: Knowledge,
    perpetrator: Mapping[str, Any],
    enzyme: str,
    *,
    action: str | None = None,
    potency: float | None = None,
) -> TimeCourse:
    """When an effect has come after the first dose and when it is over after the last one, with even dosing between.

    Of several effects on the enzyme the one that lasts longest is told; `action` ("inhibits", "induces") picks one.
    """
    shares = {part: knowledge.number(f"time_course.{part}.share") for part in ("onset", "peak", "offset")}
    told = [_timed(effect, shares) for effect in _effects(knowledge, perpetrator, enzyme, action, potency)]
    onset, peak, offset = max(told, key=lambda times: times[-1])
    definition = (
        f"onset and peak: {shares['onset']:.0%} and {shares['peak']:.0%} of the full change of {enzyme} activity, "
        f"counted from the first dose; offset: activity within {shares['offset']:.0%} of the person's own, counted "
        "from the last dose"
    )
    return TimeCourse(onset, peak, offset, definition)


def residual(
    knowledge: Knowledge,
    perpetrator: Mapping[str, Any],
    enzyme: str,
    stopped_h: float,
    *,
    action: str | None = None,
    potency: float | None = None,
) -> float:
    """Share of the full potency that is left `stopped_h` hours after the last dose: 1 at once, 0 in the end.

    Multiply the potency by it: activity is then 1/(1 + potency * residual), or 1 + potency * residual.
    """
    if not (math.isfinite(stopped_h) and stopped_h >= 0):
        raise BadInput(f"not a time since the last dose: {stopped_h} h; write 0 or more")
    return max(_left(e, stopped_h) for e in _effects(knowledge, perpetrator, enzyme, action, potency))


def _left(effect: _Effect, stopped_h: float) -> float:
    if not stopped_h:
        return 1.0
    if not effect.enzyme:
        return math.exp(-effect.drug * stopped_h)
    if not effect.potency:
        return 0.0
    horizon = min(stopped_h, _horizon(effect))  # beyond it nothing measurable is left
    _, activity = effect.activity(np.linspace(0, horizon, STEPS), stopping=True)
    last = float(activity[-1])
    left = (1 / last - 1) if effect.destroys else last - 1
    return min(max(left / effect.potency, 0.0), 1.0)


def _timed(effect: _Effect, shares: Mapping[str, float]) -> tuple[float, float, float]:
    if not effect.potency:
        return 0.0, 0.0, 0.0
    edges = np.linspace(0, _horizon(effect), STEPS)
    coming = effect.activity(edges, stopping=False)
    going = effect.activity(edges, stopping=True)
    full = abs(going[1][0] - 1)
    onset = _reached(coming[0], np.abs(coming[1] - 1) / full, shares["onset"])
    peak = _reached(coming[0], np.abs(coming[1] - 1) / full, shares["peak"])
    offset = _reached(going[0], -np.abs(going[1] - 1), -shares["offset"])
    return onset, peak, offset


def _reached(times: Floats, rising: Floats, level: float) -> float:
    """The first time at which a rising course is at `level`, read between the steps."""
    return float(np.interp(level, rising, times)) if rising[0] < level else 0.0


def _horizon(effect: _Effect) -> float:
    return (SPANS + math.log1p(effect.potency)) * effect.slowest_h()


def _effects(
    knowledge: Knowledge,
    perpetrator: Mapping[str, Any],
    enzyme: str,
    action: str | None,
    potency: float | None,
) -> list[_Effect]:
    """The listed effects of a perpetrator on an enzyme, ready to be followed."""
    if potency is not None and not (math.isfinite(potency) and potency >= 0):
        raise BadInput(f"not a potency: {potency}; write 0 or more")
    name = perpetrator["id"]
    listed = [e for e in perpetrator.get("effect", ()) if e["enzyme"] == enzyme and action in (None, e["action"])]
    if not listed:
        raise CannotPredict(f"no effect of {name} on {enzyme} is listed, so it has no time course")
    acting = [e for e in listed if e.get("strength") != "none" or e.get("potency")] or listed
    return [_effect(knowledge, perpetrator, entry, potency) for entry in acting]


def _effect(
    knowledge: Knowledge, perpetrator: Mapping[str, Any], entry: Mapping[str, Any], potency: float | None
) -> _Effect:
    return _Effect(
        destroys=entry["mechanism"] == TIME_DEPENDENT,
        potency=_potency(knowledge, entry) if potency is None else potency,
        drug=math.log(2) / _half_life_h(knowledge, perpetrator),
        enzyme=0.0 if entry["mechanism"] == REVERSIBLE else _turnover(knowledge, entry),
    )


def _half_life_h(knowledge: Knowledge, perpetrator: Mapping[str, Any]) -> float:
    """Half-life of the slowest thing that acts, the middle of its range.

    How long an effect persists may have been observed as the return of the enzyme: a persistence of less than two of
    the enzyme's own half-lives is its turnover, which is followed anyway and not counted twice.
    """
    half_life, persists = perpetrator.get("half_life_h"), perpetrator.get("persists_half_life_h")
    changed = [e for e in perpetrator.get("effect", ()) if e["mechanism"] != REVERSIBLE]
    turnovers = [math.log(2) / knowledge.number(f) for e in changed if (f := _fact(e)) in knowledge.facts]
    if persists and (not half_life or persists[0] > 2 * max(turnovers, default=0.0)):
        half_life = persists
    if not half_life:
        raise CannotPredict(f"the half-life of {perpetrator['id']} is not known, so how long it acts is not known")
    return math.sqrt(half_life[0] * half_life[-1])


def _potency(knowledge: Knowledge, entry: Mapping[str, Any]) -> float:
    """The potency of the entry, or the least that its class stands for."""
    if "potency" in entry:
        return float(entry["potency"])
    if entry["strength"] == "none":
        return 0.0
    if entry["action"] == INDUCES:
        return 1 / knowledge.number(f"class.inducer.{entry['strength']}.auc_ratio") - 1
    return knowledge.number(f"class.inhibitor.{entry['strength']}.auc_ratio") - 1


def _turnover(knowledge: Knowledge, entry: Mapping[str, Any]) -> float:
    """How fast the enzyme is replaced where the effect sits."""
    fact = _fact(entry)
    if fact not in knowledge.facts:
        raise CannotPredict(f"how fast {entry['enzyme']} is replaced is not known (fact {fact}), so no time course")
    return knowledge.number(fact)


def _fact(entry: Mapping[str, Any]) -> str:
    """The turnover of the enzyme of an effect; where it sits in gut and liver that of the liver, which is slower."""
    organ = GUT if list(entry.get("site", (LIVER,))) == [GUT] else LIVER
    return f"kdeg.{entry['enzyme'].lower()}.{organ}"
