"""Floor 2: a question about an interaction -> a predicted ratio with its 90 % interval.

What is known of a victim and its perpetrators is turned into a `Setting` for the arithmetic. Every number in it that is
not sure is a parameter: a share or an extraction (logit), a potency (logarithm), each with its standard deviation. The
interval is what those leave open, and what one study differs from the next.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from adjunct.base import BadInput, Floats, shown
from adjunct.knowledge import Knowledge
from adjunct.pharmacology.interaction.courses import USUAL, Course
from adjunct.pharmacology.interaction.mechanism import (
    GUT_ENZYME,
    Acting,
    Clearance,
    Metabolite,
    Setting,
    Shifts,
    change,
    metabolite_change,
)
from adjunct.pharmacology.interaction.perpetrators import Perpetrators
from adjunct.pharmacology.interaction.victims import Victim, Victims

STEP = 1e-3  # of a parameter, for a slope
POOR, NORMAL = "poor", "normal"
PHENOTYPES = {
    "pm": POOR, "slow": POOR, "im": "intermediate", "nm": NORMAL, "em": NORMAL, "extensive": NORMAL, "rm": "rapid",
    "um": "ultrarapid", "ultra-rapid": "ultrarapid", "ultra rapid": "ultrarapid",
}  # fmt: skip
_METABOLISER = re.compile(r"[\s-]*metaboli[sz]ers?$")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number that is not sure, and how sure it was before any fit."""

    key: str
    sd: float


@dataclass(frozen=True, slots=True)
class Posterior:
    """Where a fit has moved the parameters, and how they vary together around that."""

    shifts: Shifts
    places: Mapping[str, int]
    covariance: Floats

    @classmethod
    def prior(cls) -> Posterior:
        return cls({}, {}, np.zeros((0, 0)))

    def between(self, parameters: Sequence[Parameter]) -> Floats:
        """Covariance of these parameters; one that was not fitted keeps what was known before."""
        found = np.diag([p.sd * p.sd for p in parameters])
        known = [(n, self.places[p.key]) for n, p in enumerate(parameters) if p.key in self.places]
        if known:
            here, there = (np.array(side) for side in zip(*known, strict=True))
            found[np.ix_(here, here)] = self.covariance[np.ix_(there, there)]
        return found


@dataclass(frozen=True, slots=True)
class Question:
    """One victim, its perpetrators at their regimens, a route and a person."""

    victim: Victim
    setting: Setting
    perpetrators: tuple[str, ...]
    route: str
    extra_sd: float  # what this question is unsure of beyond any study: an unstudied route, a class instead of a figure
    reasons: tuple[str, ...]  # why it is an extrapolation; none: it is not


@dataclass(frozen=True, slots=True)
class Prediction:
    """A ratio with its 90 % predictive interval."""

    auc: float
    low: float
    high: float
    sd: float  # of the logarithm


class Predictor:
    """Predictions from one edition of the knowledge. `rated=False`: every potency from its class, none from a study."""

    def __init__(self, knowledge: Knowledge, *, rated: bool = True) -> None:
        self.knowledge = knowledge
        self.victims = Victims(knowledge)
        self.perpetrators = Perpetrators(knowledge, rated=rated)
        number = knowledge.number
        method = knowledge.content["method"]
        self.phenotypes = {p["name"]: float(p["activity"]) for p in method["phenotype"]}
        self.routes = {(r["name"], r.get("victim", "")): r for r in method["route"]}
        self.enzymes = frozenset(method["enzymes"])
        self.sd_share, self.sd_share_unrated = number("ddi.sd.share"), number("ddi.sd.share.unrated")
        self.sd_gut_potency = number("ddi.sd.gut_potency")
        self.sd_gut, self.sd_extraction = number("ddi.sd.gut"), number("ddi.sd.extraction")
        self.sd_family, self.sd_class_only = number("ddi.sd.family"), number("ddi.sd.class_only")
        self.sd_route = number("ddi.sd.unstudied_route")
        self.sd_unknown_extraction = number("ddi.sd.unknown_extraction")
        self.sd_null, self.sd_slope = number("ddi.sd.null"), number("ddi.sd.slope")
        self.self_strength = number("ddi.self.strength"), number("ddi.self.induction")
        self.quantile = number("ddi.quantile.90")

    # --- the question -------------------------------------------------------------------------------------------------

    def question(
        self,
        victim: Victim,
        perpetrators: Sequence[tuple[str, Course]],
        *,
        route: str = "oral",
        phenotype: Mapping[str, str] | None = None,
        stopped_h: float | None = None,
        lag_h: float | None = None,
    ) -> Question:
        """Put the pieces together. `perpetrators` are substance ids with their regimens."""
        way = self.routes.get((route, victim.parent.id)) or self.routes.get((route, ""))
        if way is None:
            known = ", ".join(sorted({name for name, _ in self.routes}))
            raise BadInput(f"unknown route {shown(route)}: known are {known}", "victim-route")
        acting = [
            a
            for name, regimen in sorted(perpetrators, key=lambda p: p[0])  # their order is no fact about them
            for a in self.perpetrators.acting(name, regimen, stopped_h=stopped_h, lag_h=lag_h)
        ]
        setting = Setting(
            victim=victim.parent,
            acting=tuple(acting),
            own=tuple(self._own(victim)),
            genotype=self.genotype(victim.parent, phenotype or {}),
            gut=bool(way["swallowed"]),
            systemic=float(way["systemic"]),
            swallowed=float(way["swallowed"]),
        )
        reasons = tuple(self._doubts(victim, perpetrators, setting, way))
        unsure = sum(
            sd * sd
            for sd, holds in (
                (self.sd_class_only, any("class" in r or "far from" in r or "never studied" in r for r in reasons)),
                (self.sd_route, any("route" in r for r in reasons)),
            )
            if holds
        )
        return Question(victim, setting, tuple(p for p, _ in perpetrators), route, math.sqrt(unsure), reasons)

    def genotype(self, victim: Clearance, phenotype: Mapping[str, str]) -> Mapping[str, float]:
        """Activity of each enzyme in this person."""
        return {
            enzyme: float(victim.poor.get(enzyme, self.phenotypes[word])) if word == POOR else self.phenotypes[word]
            for enzyme, word in self.phenotype(phenotype).items()
        }

    def phenotype(self, said: Mapping[str, str]) -> Mapping[str, str]:
        """Phenotypes under the names the method knows: "PM" and "poor metaboliser" are poor."""
        found: dict[str, str] = {}
        for name, words in said.items():
            enzyme = next((e for e in self._spelled(name) if e in self.enzymes), None)
            if enzyme is None:
                raise BadInput(f"unknown enzyme {shown(name)}: write for example CYP2D6=poor", "phenotype")
            plain = _METABOLISER.sub("", words.strip().casefold())
            told = {p.casefold(): p for p in self.phenotypes}.get(PHENOTYPES.get(plain, plain))
            if told is None:
                known = ", ".join(self.phenotypes)
                raise BadInput(f"unknown phenotype {shown(words)} of {enzyme}: known are {known}", "phenotype")
            if found.setdefault(enzyme, told) != told:
                raise BadInput(f"two phenotypes of {enzyme}: {found[enzyme]} and {told}", "phenotype")
        return found

    @staticmethod
    def _spelled(enzyme: str) -> tuple[str, ...]:
        plain = enzyme.strip()
        return plain, plain.upper(), f"CYP{plain.upper()}"

    def _own(self, victim: Victim) -> Iterator[Acting]:
        """What a victim at steady state does to the enzymes that clear it.

        Paroxetine has no CYP2D6 left to lose, carbamazepine has already induced its CYP3A4.
        """
        if victim.substance not in self.knowledge.perpetrators or victim.substance in self.perpetrators.unstudied:
            return
        for effect in self.perpetrators.acting(victim.substance, USUAL):
            if effect.liver >= self.self_strength[effect.induces] and victim.parent.shares.get(effect.enzyme, 0):
                yield effect

    def _doubts(
        self, victim: Victim, perpetrators: Sequence[tuple[str, Course]], setting: Setting, way: Mapping[str, object]
    ) -> Iterator[str]:
        if victim.doubt:
            yield victim.doubt
        if {victim.parent.id, victim.analyte} & set(self.perpetrators.unstudied):
            yield f"no study in people gave {victim.analyte} together with a medicine: never studied"
        if not victim.parent.rated:
            yield f"what clears {victim.parent.id} is known by class only"
        for name, regimen in perpetrators:
            perpetrator = self.perpetrators.read(name)
            if not perpetrator.effects:
                yield f"no effect of {name} on any enzyme is listed, known by class only: perhaps nobody looked"
            elif not perpetrator.rated:
                yield f"what {name} does to enzymes is known by class only"
            unrated = [
                e.enzyme
                for e in perpetrator.effects
                if e.potency and not e.rated and victim.parent.shares.get(e.enzyme, 0) and perpetrator.rated
            ]
            if unrated:
                yield f"the strength of {name} on {', '.join(unrated)} is that of its class"
            if not self.perpetrators.is_stated(name, regimen):
                yield f"the dose behind the strength of {name} is not known, so the dose could not be scaled: class"
            elif self.perpetrators.is_far(name, regimen):
                yield f"the dose of {name} is far from the one whose strength is known"
        if way.get("extrapolated") and setting.acting:
            yield "how much of a dose by this route is swallowed was not measured for this medicine"
        if setting.systemic and victim.parent.extraction is None and self._touched(setting):
            yield "how much of it the liver takes out in one passage is unknown for this route"

    @staticmethod
    def _touched(setting: Setting) -> list[str]:
        return [e for e in {a.enzyme for a in setting.acting} if setting.victim.shares.get(e, 0)]

    # --- the answer ---------------------------------------------------------------------------------------------------

    def ratio(self, question: Question, shifts: Shifts) -> float:
        """The ratio of what is asked for: the parent, a metabolite, or all that acts."""
        if question.victim.whole:
            return self.together(question, shifts)
        if question.victim.metabolite is not None:
            return metabolite_change(question.setting, question.victim.metabolite, shifts)
        return change(question.setting, shifts).auc

    def part(self, question: Question, name: str, shifts: Shifts) -> float:
        """The ratio of the parent or of one metabolite."""
        if name == question.setting.victim.id:
            return change(question.setting, shifts).auc
        return metabolite_change(question.setting, question.victim.formed[name], shifts)

    def together(self, question: Question, shifts: Shifts) -> float:
        """All that acts, each by its weight in the effect and its share of the exposure before."""
        weights = [(p.weight * p.baseline, p.id) for p in question.victim.parts]
        return sum(w * self.part(question, name, shifts) for w, name in weights) / sum(w for w, _ in weights)

    def parameters(self, question: Question, metabolites: Sequence[Metabolite] = ()) -> list[Parameter]:
        """Every number behind this answer that is not sure."""
        setting = question.setting
        reached = {a.enzyme for a in setting.acting} | {e for e, v in setting.genotype.items() if v != 1}
        found: dict[str, float] = {}
        asked = [question.victim.metabolite] if question.victim.metabolite is not None else []
        if question.victim.whole:
            metabolites = tuple(question.victim.formed.values())
        clearances = [setting.victim, *(m.clearance for m in (*asked, *metabolites) if m.clearance is not None)]
        for clearance in clearances:
            usual = self.sd_share if clearance.rated else self.sd_share_unrated
            for enzyme, share in clearance.shares.items():
                if enzyme in reached and 0 < share < 1:
                    found[clearance.share_key(enzyme)] = float(clearance.share_sd.get(enzyme, usual))
        victim = setting.victim
        if setting.gut and GUT_ENZYME in reached and victim.gut is not None and 0 < victim.gut < 1:
            found[victim.gut_key] = self.sd_gut
        if setting.systemic and victim.extraction is not None and reached:
            found[victim.extraction_key] = self.sd_extraction
        for effect in setting.acting:
            if any(c.shares.get(effect.enzyme, 0) for c in clearances) or (setting.gut and effect.enzyme == GUT_ENZYME):
                found[effect.key] = self.perpetrators.sd(effect)
                if effect.enzyme == GUT_ENZYME and victim.gut_key in found and effect.liver:
                    found[effect.gut_key] = self.sd_gut_potency
                if effect.family:
                    found[effect.family] = self.sd_family
        return [Parameter(k, sd) for k, sd in found.items()]

    def slopes(self, ratio: Callable[[Shifts], float], parameters: Sequence[Parameter], shifts: Shifts) -> Floats:
        """How the logarithm of a ratio moves with each parameter."""
        moved = dict(shifts)
        slopes = np.empty(len(parameters))
        for n, parameter in enumerate(parameters):
            stays = shifts.get(parameter.key, 0.0)
            moved[parameter.key] = stays + STEP
            up = ratio(moved)
            moved[parameter.key] = stays - STEP
            down = ratio(moved)
            slopes[n] = math.log(up / down) / (2 * STEP)
            moved[parameter.key] = stays
        return slopes

    def predict(self, question: Question, posterior: Posterior) -> Prediction:
        """The analyte's ratio and its 90 % predictive interval."""
        return self.spread(question, lambda shifts: self.ratio(question, shifts), posterior)

    def spread(
        self,
        question: Question,
        ratio: Callable[[Shifts], float],
        posterior: Posterior,
        metabolites: Sequence[Metabolite] = (),
    ) -> Prediction:
        """Any ratio that follows from a question, with its interval; `metabolites` are the others it is made of."""
        found = ratio(posterior.shifts)
        parameters = self.parameters(question, metabolites)
        variance = 0.0
        if parameters:
            slopes = self.slopes(ratio, parameters, posterior.shifts)
            variance = float(slopes @ posterior.between(parameters) @ slopes)
        open_to = (self.residual(math.log(found)), question.extra_sd, self._unknown_liver(question, found))
        sd = math.sqrt(variance + sum(part * part for part in open_to))
        wide = math.exp(self.quantile * sd)
        return Prediction(found, found / wide, found * wide, sd)

    def residual(self, log_ratio: float) -> float:
        """What studies of one interaction differ by, on the log scale: more where more happens."""
        return math.hypot(self.sd_null, self.sd_slope * log_ratio)

    def _unknown_liver(self, question: Question, ratio: float) -> float:
        if not question.setting.systemic or question.setting.victim.extraction is not None:
            return 0
        return 2 * abs(math.log(ratio)) * self.sd_unknown_extraction  # the answer stands midway

    def ceiling(self, question: Question, shifts: Shifts) -> float | None:
        """The most that these pathways can do: all of what the inhibitors reach is gone. None: nothing inhibits."""
        setting = question.setting
        inhibitors = [a for a in setting.acting if not a.induces and (a.liver or a.gut)]
        inhibited = {a.enzyme for a in inhibitors if a.liver}
        shares = setting.victim.shares
        if not any(shares.get(a.enzyme, 0) for a in inhibitors):
            return None
        if question.victim.metabolite is not None or question.victim.whole:
            return None
        none_left = tuple(
            replace(a, liver=math.inf if a.liver else 0, gut=math.inf if a.gut else 0, hours=None, left=1)
            for a in inhibitors
        )
        if sum(s for e, s in shares.items() if e not in inhibited) <= 0:
            return None
        most = Setting(
            setting.victim, none_left, setting.own, setting.genotype, setting.gut, setting.systemic, setting.swallowed
        )
        return change(most, shifts).auc
