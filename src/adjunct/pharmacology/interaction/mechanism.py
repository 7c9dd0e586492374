"""Floor 2: how enzyme activities, gut and liver turn into an exposure ratio. Arithmetic only, no knowledge.

By mouth the ratio is gut times liver:

    1 / (Fg + (1 - Fg) A_gut)  x  (sum of shares x activity before) / (sum of shares x activity now)

By vein the liver is well stirred: what an enzyme loses matters less, the more of the drug the liver takes out in one
passage. A spray, a film or a suppository is a mixture of both. A metabolite's ratio is the change of its formation
times the change of its own elimination.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Shifts = Mapping[
    str, float
]  # parameter -> how far it is moved from its stated value (logit of a share, ln of a potency)

INDUCED_LATE = "induction"
TIME_DEPENDENT = "time-dependent"
GUT_ENZYME = "CYP3A4"
RENAL = "renal"


@dataclass(frozen=True, slots=True)
class Metabolite:
    id: str
    formed: Mapping[str, float]  # of the parent's clearance, by pathway
    clearance: Clearance | None  # None: nobody knows what clears it


@dataclass(frozen=True, slots=True)
class Clearance:
    """What clears one victim: shares of the clearance of the absorbed drug, gut and liver extraction."""

    id: str
    shares: Mapping[str, float]  # sums to 1
    share_sd: Mapping[str, float]  # of the logit
    gut: float | None  # share escaping the gut wall
    extraction: float | None  # share the liver takes from the blood in one passage
    availability: float | None  # of an oral dose, where stated
    poor: Mapping[str, float]  # activity left in a poor metaboliser
    rated: bool  # False: the shares are class knowledge, nobody curated this victim for interactions

    def share_key(self, enzyme: str) -> str:
        return f"share:{self.id}:{enzyme}"

    @property
    def gut_key(self) -> str:
        return f"gut:{self.id}"

    @property
    def extraction_key(self) -> str:
        return f"extraction:{self.id}"

    def moved(self, shifts: Shifts) -> Mapping[str, float]:
        """The shares after moving the logit of some of them."""
        if not any(self.share_key(e) in shifts for e in self.shares):
            return self.shares
        weight = {e: f * math.exp(shifts.get(self.share_key(e), 0)) for e, f in self.shares.items()}
        total = sum(weight.values())
        return {e: w / total for e, w in weight.items()}

    def escaping_gut(self, shifts: Shifts) -> float:
        if self.gut is None:
            return 1
        return logit_moved(self.gut, shifts.get(self.gut_key, 0))

    def extracted(self, shifts: Shifts) -> float | None:
        return None if self.extraction is None else logit_moved(self.extraction, shifts.get(self.extraction_key, 0))


@dataclass(frozen=True, slots=True)
class Acting:
    """One effect of one perpetrator at its regimen: how strongly it inhibits or induces one enzyme."""

    key: str
    family: str  # the class it belongs to, moved together
    perpetrator: str
    enzyme: str
    induces: bool
    time_dependent: bool
    liver: float  # potency in the liver at the dose
    gut: float  # and in the gut
    hours: float | None  # since the first dose; None: steady state
    turnover_h: float  # rate at which the enzyme is renewed
    left: float  # share of the potency left after stopping

    @property
    def gut_key(self) -> str:
        return f"{self.key}:gut"

    def potency(self, shifts: Shifts, *, gut: bool) -> float:
        """The potency as it stands at this time: what is inactivated or induced takes the enzyme's own time."""
        moved = shifts.get(self.key, 0) + shifts.get(self.family, 0) + (shifts.get(self.gut_key, 0) if gut else 0)
        value = (self.gut if gut else self.liver) * math.exp(moved)
        if self.hours is not None:
            if self.induces:
                value *= -math.expm1(-self.turnover_h * self.hours)
            elif self.time_dependent:
                gone = value / (1 + value) * -math.expm1(-self.turnover_h * (1 + value) * self.hours)
                value = gone / (1 - gone)
        return value * self.left


@dataclass(frozen=True, slots=True)
class Setting:
    """One question for the arithmetic: a victim by a route, in a person, with what acts on its enzymes."""

    victim: Clearance
    acting: Sequence[Acting]
    own: Sequence[Acting]  # what the victim does to its own enzymes, before and after alike
    genotype: Mapping[str, float]  # enzyme -> activity in this person, 1 = normal
    gut: bool  # the dose passes the gut wall
    systemic: float  # share of the dose that reaches the blood without passing gut and liver
    swallowed: float


@dataclass(frozen=True, slots=True)
class Pathway:
    enzyme: str
    share: float
    activity: float


@dataclass(frozen=True, slots=True)
class Change:
    """A ratio with its parts."""

    auc: float
    hepatic: float
    gut: float
    pathways: tuple[Pathway, ...]
    cmax: float | None = None


def logit_moved(share: float, by: float) -> float:
    """A share whose logit is moved; none and all stay what they are."""
    if by == 0 or share <= 0 or share >= 1:
        return share
    odds = share / (1 - share) * math.exp(by)
    return odds / (1 + odds)


def activity(acting: Iterable[Acting], enzyme: str, shifts: Shifts, *, gut: bool) -> float:
    """Activity of one enzyme: inhibitors add up as competitors do; of inducers, which share a receptor, one counts."""
    inhibition = induction = 0.0
    for effect in acting:
        if effect.enzyme != enzyme:
            continue
        value = effect.potency(shifts, gut=gut)
        if effect.induces:
            induction = max(induction, value)
        else:
            inhibition += value
    return (1 + induction) / (1 + inhibition)


def liver(setting: Setting, shifts: Shifts, shares: Mapping[str, float]) -> tuple[float, float, tuple[Pathway, ...]]:
    """Intrinsic clearance before and with the perpetrators (relative to a normal person), and each pathway's part."""
    before = now = 0.0
    pathways = []
    touched = {a.enzyme for a in setting.acting}
    for enzyme, share in shares.items():
        person = setting.genotype.get(enzyme, 1)
        if setting.own:  # shares are those of the patient who takes it: what it induces itself is in them
            person /= activity((a for a in setting.own if a.induces), enzyme, shifts, gut=False)
        base = person * activity(setting.own, enzyme, shifts, gut=False) if setting.own else person
        before += share * base
        if enzyme in touched:
            both = activity((*setting.own, *setting.acting), enzyme, shifts, gut=False)
            now += share * person * both
            pathways.append((enzyme, share * base, person * both / base if base else 1))
        else:
            now += share * base
    return before, now, tuple(Pathway(e, s / before, a) for e, s, a in pathways if before > 0 and s > 0)


def gut_ratio(setting: Setting, shifts: Shifts) -> float:
    """How much more of the dose escapes the gut wall."""
    if not setting.gut:
        return 1
    escaping = setting.victim.escaping_gut(shifts)
    if escaping >= 1:
        return 1
    left = activity(setting.acting, GUT_ENZYME, shifts, gut=True)
    return 1 / (escaping + (1 - escaping) * left)


def change(setting: Setting, shifts: Shifts) -> Change:
    """The exposure ratio of the parent drug."""
    victim = setting.victim
    shares = victim.moved(shifts)
    before, now, pathways = liver(setting, shifts, shares)
    oral = before / now
    by_gut = gut_ratio(setting, shifts)
    if not setting.systemic:
        return Change(oral * by_gut, oral, by_gut, pathways)
    renal = shares.get(RENAL, 0)
    by_vein = _by_vein(victim.extracted(shifts), before, now, renal)
    if not setting.swallowed:
        return Change(by_vein, by_vein, 1, pathways)
    reaches = victim.availability
    if reaches is None:
        extracted = victim.extracted(shifts)
        reaches = victim.escaping_gut(shifts) * (1 - (extracted if extracted is not None else 0))
    swallowed = setting.swallowed * reaches
    mixed = (setting.systemic * by_vein + swallowed * oral * by_gut) / (setting.systemic + swallowed)
    return Change(mixed, by_vein, by_gut, pathways)


def _by_vein(extraction: float | None, before: float, now: float, renal: float) -> float:
    """The ratio after a dose by vein. Without an extraction: midway between a liver that is all flow and none.

    The kidney's part of the clearance is not in the liver and stays as it is.
    """
    if renal >= 1:
        return 1
    was, becomes = (before - renal) / (1 - renal), (now - renal) / (1 - renal)
    if extraction is None:
        return math.sqrt(before / now)
    old, new = (extraction * s / (1 - extraction + extraction * s) for s in (was, becomes))
    part = renal / (renal + (1 - renal) * old / extraction) if renal else 0
    return 1 / (part + (1 - part) * new / old) if old > 0 else 1


def metabolite_change(parent: Setting, metabolite: Metabolite, shifts: Shifts) -> float:
    """The exposure ratio of what is formed from the parent: how much is formed, times how slowly it leaves."""
    if metabolite.clearance is None:
        raise ValueError(metabolite.id)
    own = Setting(metabolite.clearance, parent.acting, (), parent.genotype, False, 0, 1)
    before, now, _ = liver(own, shifts, metabolite.clearance.moved(shifts))
    return formation(parent, metabolite, shifts) * before / now


def formation(parent: Setting, metabolite: Metabolite, shifts: Shifts) -> float:
    """How much more, or less, of the absorbed dose becomes this metabolite, gut and liver together."""
    victim = parent.victim
    shares = victim.moved(shifts)
    formed = {e: f / victim.shares[e] * shares[e] for e, f in metabolite.formed.items() if victim.shares.get(e)}

    def made(*acting: Acting) -> tuple[float, float]:
        total = new = 0.0
        for enzyme, share in shares.items():
            works = parent.genotype.get(enzyme, 1) * activity(acting, enzyme, shifts, gut=False)
            if parent.own:
                works /= activity((a for a in parent.own if a.induces), enzyme, shifts, gut=False)
            total += share * works
            new += formed.get(enzyme, 0) * works
        return new, total

    escaping = victim.escaping_gut(shifts) if parent.gut else 1
    gut_yield = formed.get(GUT_ENZYME, 0) / shares[GUT_ENZYME] if shares.get(GUT_ENZYME) else 0
    amounts = []
    for acting in (tuple(parent.own), (*parent.own, *parent.acting)):
        new, total = made(*acting)
        passes = escaping
        if escaping < 1 and acting:
            left = activity(parent.acting, GUT_ENZYME, shifts, gut=True) if len(acting) > len(parent.own) else 1
            passes = escaping / (escaping + (1 - escaping) * left)
        amounts.append((1 - passes) * gut_yield + passes * new / total)
    return amounts[1] / amounts[0] if amounts[0] > 0 else 1
