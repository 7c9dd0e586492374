"""Floor 2: what changes it. A perpetrator and its regimen -> how strongly it acts on each enzyme at that moment."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adjunct.base import BadInput, shown
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import Enzyme, fold
from adjunct.pharmacology import CannotPredict
from adjunct.pharmacology.interaction.courses import HOURS_A_DAY, USUAL, Course, course
from adjunct.pharmacology.interaction.mechanism import INDUCED_LATE, TIME_DEPENDENT, Acting
from adjunct.pharmacology.interaction.turnover import residual

INHIBITS, INDUCES = "inhibits", "induces"
GUT, LIVER = "gut", "liver"
STRENGTHS = ("weak", "moderate", "strong")
NONE = "none"
REVERSIBLE = "reversible"


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect on one enzyme at the reference dose."""

    perpetrator: str
    enzyme: str
    action: str
    mechanism: str
    strength: str
    potency: float
    gut_potency: float
    sd: float  # of ln potency
    exponent: float
    reference: Course
    rated: bool  # the potency was worked out from a study; else it is its class's

    @property
    def key(self) -> str:
        return f"potency:{self.perpetrator}:{self.enzyme}:{self.action}"

    @property
    def family(self) -> str:
        return f"class:{self.enzyme}:{self.action}:{self.strength}"


@dataclass(frozen=True, slots=True)
class Perpetrator:
    id: str
    effects: tuple[Effect, ...]
    half_life_h: float | None
    persists_h: float | None  # of the slowest inhibitor
    entry: Mapping[str, Any]
    rated: bool  # curated for interactions; else only the list of substances speaks of it


class Perpetrators:
    """Every perpetrator of one edition of the knowledge, found by any of its names."""

    def __init__(self, knowledge: Knowledge, *, rated: bool = True) -> None:
        self.knowledge = knowledge
        self.rated = rated  # False: every potency is that of its class
        self.most, self.far = knowledge.number("ddi.dose.most"), knowledge.number("ddi.dose.far")
        self.slow_h = knowledge.number("ddi.slow.half_life")
        self._sd: dict[str, float] = {}
        self.method: Mapping[str, Any] = knowledge.content["method"]
        self.classes = {(c["enzyme"], c["action"], c["strength"]): c for c in self.method["class"]}
        self.unstudied: Mapping[str, str] = self.method["unstudied"]
        self.unsure = float(self.method["class"][0]["potency_sd"])
        self.names = {
            fold(n): p["id"] for p in knowledge.perpetrators.values() for n in (p["id"], *p.get("names", ()))
        } | {fold(k): v for k, v in self.method["perpetrator_names"].items()}
        self._found: dict[str, Perpetrator] = {}
        self._references: dict[str, Course] = {}

    def find(self, name: str) -> tuple[str, ...]:
        """The substances of this name: one, or the components of a combination."""
        key = fold(name).replace(".", "")
        if not key:
            raise BadInput("no perpetrator: name what is taken together with the victim", "perpetrator")
        if key in self.names:
            return (self.names[key],)
        if (joined := key.replace("/", "-")) in self.names:
            return (self.names[joined],)
        if " + " in key or "/" in key:
            return tuple(s for part in re.split(r"\s\+\s|/", key) for s in self.find(part))
        found = self.knowledge.substances_by_name.get(key) or ((key,) if key in self.knowledge.substances else ())
        if not found:
            also = self.method["ambiguous"].get(key)
            if also:
                raise CannotPredict(f"{shown(name)} may be {', '.join(also)}: say which product it is", "perpetrator")
            raise BadInput(f"unknown perpetrator {shown(name)}: check the spelling", "perpetrator")
        if len(found) == 1 and found[0] not in self.knowledge.perpetrators:
            parts = self.knowledge.substances[found[0]].components
            return tuple(parts) or found
        return found

    def read(self, key: str) -> Perpetrator:
        """What is known of one substance as perpetrator. CannotPredict: it was never studied, or nothing is known."""
        if key not in self._found:
            self._found[key] = self._read(key)
        return self._found[key]

    def _read(self, key: str) -> Perpetrator:
        if key in self.unstudied:
            raise CannotPredict(f"cannot predict what {key} does: {self.unstudied[key]}", "perpetrator")
        entry = self.knowledge.perpetrators.get(key, {})
        substance = self.knowledge.substances.get(key)
        listed = [(INHIBITS, e) for e in substance.inhibits] if substance else []
        listed += [(INDUCES, e) for e in substance.induces] if substance else []
        if not entry and not listed and not (substance and substance.pathways):
            raise CannotPredict(f"cannot predict: what {key} does to enzymes is not in the knowledge", "perpetrator")
        effects = [self._effect(key, e) for e in entry.get("effect", ())]
        spoken = {(e.enzyme, e.action) for e in effects}
        effects += [
            found
            for action, e in listed
            if (found := self._listed(key, action, e, entry)) is not None and (found.enzyme, action) not in spoken
        ]
        half_life = entry.get("half_life_h") or (substance.half_life_h if substance else None)
        return Perpetrator(
            key,
            tuple(effects),
            _middle(half_life),
            _middle(entry.get("persists_half_life_h") or half_life),
            entry,
            bool(entry),
        )

    def _effect(self, key: str, entry: Mapping[str, Any]) -> Effect:
        action, strength = entry["action"], entry["strength"]
        kind = self._class(entry["enzyme"], action, strength)
        rated = self.rated and "potency" in entry
        potency = float(entry["potency"] if rated else kind["potency"])
        sites = entry.get("site", (GUT, LIVER))
        mechanism = entry["mechanism"]
        reference = entry.get("reference_dose", "")
        if reference not in self._references:
            self._references[reference] = course(reference) if reference else USUAL
        usual_exponent = self.knowledge.number(f"ddi.exponent.{mechanism}")
        return Effect(
            perpetrator=key,
            enzyme=entry["enzyme"],
            action=action,
            mechanism=mechanism,
            strength=strength,
            potency=potency if LIVER in sites else 0.0,
            gut_potency=float(entry.get("gut_potency", potency)) if GUT in sites else 0.0,
            sd=float(entry.get("potency_sd", kind["potency_sd"]) if rated else kind["potency_sd"]),
            exponent=float(entry.get("dose_exponent", usual_exponent)),
            reference=self._references[reference],
            rated=rated,
        )

    def _listed(self, key: str, action: str, listed: Enzyme, entry: Mapping[str, Any]) -> Effect | None:
        """An effect that only the list of substances has; what was seen in test tubes only is no effect in people."""
        if listed.strength not in STRENGTHS or entry:
            return None
        enzyme = self.method["pathway_names"].get(listed.enzyme, listed.enzyme)
        kind = self._class(enzyme, action, listed.strength)
        time_dependent = TIME_DEPENDENT in listed.note
        mechanism = INDUCED_LATE if action == INDUCES else TIME_DEPENDENT if time_dependent else REVERSIBLE
        exponent = self.knowledge.number(f"ddi.exponent.{mechanism}")
        potency = float(kind["potency"])
        return Effect(
            key, enzyme, action, mechanism, listed.strength, potency, potency, float(kind["potency_sd"]), exponent,
            USUAL, False,
        )  # fmt: skip

    def _class(self, enzyme: str, action: str, strength: str) -> Mapping[str, Any]:
        if strength == NONE:
            return {"potency": 0.0, "potency_sd": 1.0}
        kind = self.classes.get((enzyme, action, strength)) or self.classes["any", action, strength]
        found: Mapping[str, Any] = kind
        return found

    # --- at a regimen -------------------------------------------------------------------------------------------------

    def acting(
        self, key: str, regimen: Course, *, stopped_h: float | None = None, lag_h: float | None = None
    ) -> Iterator[Acting]:
        """Each effect at this regimen, at the moment the victim is taken."""
        perpetrator = self.read(key)
        for effect in perpetrator.effects:
            if effect.potency or effect.gut_potency:
                yield self._at(perpetrator, effect, regimen, stopped_h, lag_h)

    def _at(
        self, perpetrator: Perpetrator, effect: Effect, regimen: Course, stopped_h: float | None, lag_h: float | None
    ) -> Acting:
        induces, slow = effect.action == INDUCES, effect.mechanism == TIME_DEPENDENT
        scale = self._scale(perpetrator, effect, regimen, lag_h)
        hours = None
        if regimen.single:
            hours = float(HOURS_A_DAY)
        elif regimen.days is not None:
            hours = regimen.days * HOURS_A_DAY
        turnover_h = self._turnover(effect.enzyme)
        stopped_h = regimen.stopped_h if stopped_h is None else stopped_h
        self._sd[effect.key] = effect.sd
        return Acting(
            key=effect.key,
            family=effect.family,
            perpetrator=perpetrator.id,
            enzyme=effect.enzyme,
            induces=induces,
            time_dependent=slow,
            liver=effect.potency * scale,
            gut=effect.gut_potency * scale,
            hours=hours if induces or slow else None,
            turnover_h=turnover_h,
            left=1.0 if not stopped_h else self._left(perpetrator, effect, stopped_h, scale),
        )

    def _scale(self, perpetrator: Perpetrator, effect: Effect, regimen: Course, lag_h: float | None) -> float:
        """Potency against the reference: (amount then / reference amount) to the effect's exponent."""
        rate = self._rate(perpetrator, effect)
        phases = self._relative(regimen, effect)
        if regimen.single:
            gap = lag_h if lag_h is not None else regimen.gap_h or 0
            once = self._once(rate, abs(gap), effect)
            if effect.reference.single:  # the potency itself is that of one dose
                once /= self._once(rate, 0, effect)
            return float((phases[-1][0] * once) ** effect.exponent)
        reached = 0.0
        for relative, days in phases:
            kept = 0.0 if days is None or math.isinf(rate) else math.exp(-rate * days * HOURS_A_DAY)
            reached = reached * kept + relative * (1 - kept)
        return float(reached**effect.exponent)

    def _once(self, rate: float, gap_h: float, effect: Effect) -> float:
        """A single dose against the same dose every day: the mean over the hours in which the victim meets it."""
        if effect.action == INDUCES or effect.mechanism == TIME_DEPENDENT:
            return math.exp(-self._turnover(effect.enzyme) * gap_h)
        if math.isinf(rate):
            return 1
        window = self.knowledge.number("ddi.single.window")
        met = -math.expm1(-rate * window) / (rate * window) * math.exp(-rate * gap_h)
        return min(1.0, rate * HOURS_A_DAY * met)

    def _rate(self, perpetrator: Perpetrator, effect: Effect) -> float:
        """How fast the inhibitor builds up. What inactivates within a day, or induces, waits for the enzyme only."""
        held = perpetrator.half_life_h if effect.mechanism == TIME_DEPENDENT else perpetrator.persists_h
        waits = effect.action == INDUCES or (
            effect.mechanism == TIME_DEPENDENT and held is not None and held < self.slow_h
        )
        return math.inf if waits or not held else math.log(2) / held

    def _relative(self, regimen: Course, effect: Effect) -> list[tuple[float, float | None]]:
        """Daily amounts against the reference, with their days. Not said, or in another measure: as the reference."""
        reference = effect.reference
        usual: list[tuple[float, float | None]] = [(1.0, regimen.days)]
        if reference.per_day is None:
            return usual
        product = self.method["component"].get(effect.perpetrator, {}) if reference.component else {}
        if not regimen.phases:
            amount = product.get(regimen.grade)
            known = amount and regimen.component
            return [(max(amount, product["least"]) / reference.per_day, regimen.days)] if known else usual
        if regimen.phases[0].unit != reference.phases[0].unit:
            return usual
        share = 1.0
        if regimen.component != reference.component:
            if regimen.component or not product:
                return usual
            share = product["share"]
        least = product.get("least", 0.0)
        relative = [(max(p.amount * share, least) / reference.per_day, p.days) for p in regimen.phases]
        if max(r for r, _ in relative) > self.most:
            raise BadInput(
                f"{shown(regimen.text)} is not a plausible dose of {effect.perpetrator}: check the number and the unit",
                "regimen",
            )
        return relative

    def _turnover(self, enzyme: str) -> float:
        fact = f"kdeg.{enzyme.lower()}.liver"
        return self.knowledge.number(fact if fact in self.knowledge.facts else "ddi.turnover.unknown")

    def _left(self, perpetrator: Perpetrator, effect: Effect, stopped_h: float, scale: float) -> float:
        """Share of the potency left so long after the last dose: drug, active metabolite and enzyme, all three."""
        if perpetrator.entry:
            try:
                potency = max(effect.potency, effect.gut_potency) * scale
                return residual(
                    self.knowledge, perpetrator.entry, effect.enzyme, stopped_h, action=effect.action, potency=potency
                )
            except CannotPredict:
                pass  # no half-life is listed: the slower of what is known decides, below
        drug = math.log(2) / perpetrator.persists_h if perpetrator.persists_h else math.inf
        enzyme = self._turnover(effect.enzyme) if effect.mechanism != REVERSIBLE else math.inf
        slowest = min(drug, enzyme)
        if math.isinf(slowest):
            raise CannotPredict(
                f"cannot predict what is left of {perpetrator.id} after stopping: its half-life is not known",
                "stopped",
            )
        return math.exp(-slowest * stopped_h)

    def sd(self, acting: Acting) -> float:
        """How sure the potency behind this effect is, on the log scale."""
        return self._sd.get(acting.key, self.unsure)

    def is_far(self, key: str, regimen: Course) -> bool:
        """Is the dose many times, or a small part of, the one whose strength is known?"""
        effects = [e for e in self.read(key).effects if e.potency or e.gut_potency]
        relative = [r for e in effects for r, _ in self._relative(regimen, e)]
        return any(not 1 / self.far <= r <= self.far for r in relative)

    def is_stated(self, key: str, regimen: Course) -> bool:
        """Is the regimen's dose one that the knowledge can scale?"""
        perpetrator = self.read(key)
        scaled = [e for e in perpetrator.effects if e.potency or e.gut_potency]
        return not regimen.phases or not scaled or any(e.reference.phases for e in scaled)


def _middle(range_h: Sequence[float] | None) -> float | None:
    return math.sqrt(float(range_h[0]) * float(range_h[-1])) if range_h else None
