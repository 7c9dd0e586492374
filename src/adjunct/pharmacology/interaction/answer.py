"""Floor 2: what one medicine does to the exposure of another: measured where it was measured, else predicted.

>>> from adjunct.knowledge import Knowledge
>>> found = interact(Knowledge.load(), "desipramine", ["paroxetine"], regimen="20 mg QD", predict=True)
>>> found.low < found.auc_ratio < found.high, found.basis
(True, 'predicted')
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import orjson

from adjunct.base import BadInput, shown
from adjunct.knowledge import Knowledge
from adjunct.pharmacology import CannotPredict
from adjunct.pharmacology.interaction.courses import Course, courses, is_one_tea
from adjunct.pharmacology.interaction.fitting import read_fit
from adjunct.pharmacology.interaction.mechanism import (
    GUT_ENZYME,
    Acting,
    Change,
    change,
)
from adjunct.pharmacology.interaction.observed import Observation, Observed
from adjunct.pharmacology.interaction.perpetrators import INDUCES, INHIBITS
from adjunct.pharmacology.interaction.prediction import Posterior, Prediction, Predictor, Question
from adjunct.pharmacology.interaction.tea import TeaEffect, tea_dose_mg, tea_effect
from adjunct.pharmacology.interaction.turnover import time_course
from adjunct.pharmacology.interaction.victims import Victim

KRATOM = "kratom-leaf"
ORAL = "oral"
OBSERVED, PREDICTED = "observed", "predicted"
VALID, EXTRAPOLATED, REFUSED = "valid", "extrapolated", "refused"
STATIC, STIRRED, TEA = "mechanistic static, oral", "well-stirred liver", "dynamic gut and liver, one tea"
INTERVAL = "90PI"
WEIGHTS_UNKNOWN = "relative potency not known: read each part for itself"
DIGITS = 4
DAYS_MAX_H = 24 * 366 * 2  # two years after the last dose nothing is left to ask about
ANSWERS_KEPT = 1024
_MITRAGYNINE = re.compile(r"(\d+(?:\.\d+)?)\s*mg\s+mitragynine", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ExposureRatio:
    """The ratio of exposures with over without the perpetrators, with its reasons. None: no point estimate is given."""

    victim: str
    perpetrators: tuple[str, ...]
    analyte: str
    victim_route: str
    regimen: str | None
    phenotype: Mapping[str, str]
    auc_ratio: float | None
    low: float | None
    high: float | None
    basis: str
    validity: str
    observed: tuple[Observation, ...]
    observed_otherwise: tuple[Observation, ...]
    predicted: Mapping[str, Any] | None
    active_moiety: Mapping[str, Any] | None
    time_course: Mapping[str, Any] | None
    why: tuple[str, ...]
    missing: tuple[str, ...]
    model: str
    knowledge: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "victim": self.victim,
            "perpetrators": list(self.perpetrators),
            "analyte": self.analyte,
            "victim_route": self.victim_route,
            "regimen": self.regimen,
            "phenotype": dict(self.phenotype),
            "auc_ratio": self.auc_ratio,
            "low": self.low,
            "high": self.high,
            "observed": [o.plain() for o in self.observed],
            "observed_otherwise": [o.plain() for o in self.observed_otherwise],
            "predicted": self.predicted,
            "active_moiety": self.active_moiety,
            "time_course": self.time_course,
            "basis": self.basis,
            "validity": self.validity,
            "why": list(self.why),
            "missing": list(self.missing),
            "model": self.model,
            "knowledge": dict(self.knowledge),
        }

    def to_json(self) -> str:
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2).decode()


def interact(
    knowledge: Knowledge,
    victim: str,
    perpetrators: Sequence[str] | str,
    *,
    victim_route: str = ORAL,
    regimen: str | None = None,
    phenotype: Mapping[str, str] | None = None,
    stopped_h: float | None = None,
    lag_h: float | None = None,
    predict: bool = False,
    fading: bool = True,
) -> ExposureRatio:
    """What `perpetrators` do to the exposure of `victim`; what was measured leads, unless `predict`.

    The phenotype is an argument, never read out of the regimen. `stopped_h`: hours since the perpetrators' last dose.
    `lag_h`: hours from a single dose of the perpetrator to the victim. CannotPredict names what nobody knows.
    `fading`: also what one kratom tea still does 12, 24 and 48 h later.
    """
    desk = _desk(knowledge)
    asked = desk.asked(victim, perpetrators, victim_route, regimen, phenotype, stopped_h, lag_h)
    seen, otherwise = ([], []) if stopped_h else desk.measured(asked)
    if predict:
        seen = []
    try:
        answer = desk.tea(asked, fading=fading) if KRATOM in asked.perpetrators else desk.static(asked)
    except CannotPredict as refusal:
        if not seen:
            raise
        answer = _Answer(None, None, None, None, REFUSED, (str(refusal),), (str(refusal),), "")
    return _told(knowledge, asked, seen, otherwise, answer)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question, read."""

    victim: Victim
    perpetrators: tuple[str, ...]
    route: str
    regimen: str | None
    courses: tuple[Course, ...]
    phenotype: Mapping[str, str]
    stopped_h: float | None
    lag_h: float | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is predicted."""

    prediction: Prediction | None
    predicted: Mapping[str, Any] | None
    moiety: Mapping[str, Any] | None
    time_course: Mapping[str, Any] | None
    validity: str
    why: tuple[str, ...]
    missing: tuple[str, ...]
    model: str


@lru_cache(maxsize=2)
def _desk(knowledge: Knowledge) -> _Desk:
    """One reading of the tables for each edition of the knowledge."""
    return _Desk(knowledge)


class _Desk:
    """Everything an answer needs, read once."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.predictor = Predictor(knowledge)
        self.posterior: Posterior = read_fit(knowledge.content["fit"])
        self.observed = Observed(knowledge, self.predictor.victims)
        self.null = knowledge.number("ddi.null.low"), knowledge.number("ddi.null.high")
        self._teas: dict[tuple[Any, ...], TeaEffect] = {}
        self._courses: dict[tuple[Any, ...], Mapping[str, Any] | None] = {}

    # --- the question -------------------------------------------------------------------------------------------------

    def asked(
        self,
        victim: str,
        perpetrators: Sequence[str] | str,
        route: str,
        regimen: str | None,
        phenotype: Mapping[str, str] | None,
        stopped_h: float | None,
        lag_h: float | None,
    ) -> _Asked:
        names = [perpetrators] if isinstance(perpetrators, str) else list(perpetrators)
        if not names:
            raise BadInput("no perpetrator: name what is taken together with the victim", "perpetrator")
        _hours(stopped_h, "stopped", least=0)
        _hours(lag_h, "lag", least=-DAYS_MAX_H)
        found = tuple(dict.fromkeys(s for name in names for s in self.predictor.perpetrators.find(name)))
        target = self.predictor.victims.find(victim)
        own = next((p for p in found if self.predictor.victims.same(p, target)), None)
        if own is not None:
            said = "" if own == target.parent.id else f" ({own} is an isomer of it, or one is formed from the other)"
            raise BadInput(
                f"{shown(victim)} cannot change its own exposure{said}: name another perpetrator", "perpetrator"
            )
        read = tuple(courses(regimen, found))
        person = self.predictor.phenotype(phenotype or {})
        return _Asked(target, found, route.strip().lower(), regimen, read, person, stopped_h, lag_h)

    def measured(self, asked: _Asked) -> tuple[list[Observation], list[Observation]]:
        if asked.victim.whole or asked.victim.doubt:
            return [], []
        usual = None
        if len(asked.perpetrators) == 1 and asked.perpetrators[0] not in self.predictor.perpetrators.unstudied:
            effects = self.predictor.perpetrators.read(asked.perpetrators[0]).effects
            usual = next((e.reference.per_day for e in effects if e.reference.per_day), None)
        return self.observed.of(
            asked.victim,
            asked.perpetrators,
            route=asked.route,
            regimen=asked.regimen,
            asked=asked.courses,
            usual=usual,
            phenotype=asked.phenotype,
            lag_h=asked.lag_h,
        )

    # --- predicted: static by mouth, well-stirred by every other route ------------------------------------------------

    def static(self, asked: _Asked) -> _Answer:
        _has_chain(asked.victim)
        pairs = list(zip(asked.perpetrators, asked.courses, strict=True))
        question = self.predictor.question(
            asked.victim,
            pairs,
            route=asked.route,
            phenotype=asked.phenotype,
            stopped_h=asked.stopped_h,
            lag_h=asked.lag_h,
        )
        metabolite = asked.victim.metabolite
        if metabolite is not None and metabolite.clearance is None:
            raise CannotPredict(f"cannot predict {metabolite.id}: what clears it is not in the knowledge", "victim")
        prediction = self.predictor.predict(question, self.posterior)
        parent = change(question.setting, self.posterior.shifts)
        ceiling = self.predictor.ceiling(question, self.posterior.shifts)
        predicted = {
            **_interval(prediction),
            "cmax_ratio": _short(self._peak(question, parent)),
            "hepatic": _short(parent.hepatic),
            "gut": _short(parent.gut),
            "by_pathway": [
                {"enzyme": p.enzyme, "share": _short(p.share), "activity": _short(p.activity)} for p in parent.pathways
            ],
            "ceiling": _short(ceiling) if ceiling is not None else None,
        }
        why = [*self._why(question, parent), *question.reasons]
        validity = EXTRAPOLATED if question.reasons else VALID
        moiety, missing = self._moiety(question)
        return _Answer(
            prediction,
            predicted,
            moiety,
            self._time_course(question, prediction),
            validity,
            tuple(dict.fromkeys(why)),
            missing,
            STIRRED if question.setting.systemic else STATIC,
        )

    def _peak(self, question: Question, parent: Change) -> float | None:
        """The ratio of peaks by mouth: how much more reaches the blood at once. Slower elimination adds little."""
        victim = question.setting.victim
        if question.setting.systemic or victim.extraction is None:
            return None
        if question.victim.metabolite is not None or question.victim.whole:
            return None
        taken = victim.extracted(self.posterior.shifts)
        assert taken is not None
        left = taken / parent.hepatic / (1 - taken + taken / parent.hepatic)
        return parent.gut * (1 - left) / (1 - taken)

    def _why(self, question: Question, parent: Change) -> Iterable[str]:
        setting = question.setting
        changed = [p for p in parent.pathways if p.activity != 1]
        for pathway in changed:
            who = sorted({a.perpetrator for a in setting.acting if a.enzyme == pathway.enzyme})
            yield (
                f"{pathway.enzyme} clears {pathway.share:.0%} of {setting.victim.id}; with {' and '.join(who)} "
                f"{pathway.activity:.0%} of its activity is there"
            )
        if parent.gut != 1:
            yield f"{GUT_ENZYME} in the gut wall: {parent.gut:.2f} times as much passes it"
        if not changed and parent.gut == 1:
            names = " and ".join(question.perpetrators)
            yield (
                f"no pathway of {setting.victim.id} is changed by {names}: no effect is expected from what is known; "
                "other pathways may be unknown"
            )
        if setting.own:
            for word, induces in (("inhibits", False), ("induces", True)):
                enzymes = sorted({a.enzyme for a in setting.own if a.induces is induces})
                if enzymes:
                    yield f"{setting.victim.id} at steady state already {word} {', '.join(enzymes)}, its own pathway"
        for enzyme, active in setting.genotype.items():
            if active == 0 and setting.victim.shares.get(enzyme, 0):
                yield f"without {enzyme} nothing is left there to inhibit; the other pathways carry the clearance"

    def _moiety(
        self, question: Question, followed: Mapping[str, float] | None = None
    ) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
        """Parent, metabolites and what they come to together, by their weights in the effect.

        Where nobody knows how strong each is against the others they stand side by side, without a figure for all.
        """
        victim, setting = question.victim, question.setting
        formed = [m for m in (victim.metabolite, *victim.others) if m is not None]
        if not formed or not (victim.active or victim.parts):
            return None, ()
        shifts = self.posterior.shifts
        names = (setting.victim.id, *victim.formed)
        ratios = {name: self.predictor.part(question, name, shifts) for name in names} | dict(followed or {})
        missing = tuple(f"what clears {m.id}" for m in formed if m.clearance is None)
        acting = [setting.victim.id, *(i for i in victim.active if i in victim.formed)]
        whole: dict[str, Any] = dict.fromkeys(("name", "auc_ratio", "low", "high", "why"))
        whole["name"] = victim.moiety or " + ".join(acting)
        if victim.parts and {p.id for p in victim.parts} <= set(names):
            together = partial(self.predictor.together, question)
            whole |= _interval(self.predictor.spread(question, together, self.posterior, list(victim.formed.values())))
        else:
            whole["why"] = WEIGHTS_UNKNOWN
        told = {p.id: p for p in victim.parts}
        whole["of"] = [
            {
                "id": name,
                "auc_ratio": _short(ratio),
                "weight": told[name].weight if name in told else None,
                "baseline": told[name].baseline if name in told else None,
                "acts": told[name].weight > 0 if name in told else name in acting,
            }
            for name, ratio in ratios.items()
        ]
        return whole, missing

    def _time_course(self, question: Question, prediction: Prediction) -> Mapping[str, Any] | None:
        """When the effect has come and when it is over: of several perpetrators the slowest, and the longest."""
        if _short(prediction.auc) == 1:
            return None
        timed = [found for most in self._telling(question) if (found := self._timed(most)) is not None]
        if not timed:
            return None
        last, longest = (max(timed, key=lambda t, k=key: t[k]) for key in ("onset_h", "offset_h"))  # type: ignore[misc]
        if last["of"] == longest["of"]:
            return longest
        return {
            "of": f"onset and peak: {last['of']}; offset: {longest['of']}",
            "onset_h": last["onset_h"],
            "peak_h": max(t["peak_h"] for t in timed),
            "offset_h": longest["offset_h"],
            "definition": longest["definition"]
            if last["definition"] == longest["definition"]
            else DEFINITIONS.format(last["definition"], longest["definition"]),
        }

    def _telling(self, question: Question) -> list[Acting]:
        """The effect of each perpetrator that matters most to the victim; one that does next to nothing is left out."""
        asked = question.victim.metabolite.clearance if question.victim.metabolite is not None else None
        cleared = [c for c in (question.setting.victim, asked) if c is not None]
        found: dict[str, tuple[float, Acting]] = {}
        for effect in question.setting.acting:
            share = max(c.shares.get(effect.enzyme, 0) for c in cleared)
            weight = share * math.log1p(max(effect.liver, effect.gut)) * effect.left
            if not weight or effect.perpetrator not in self.knowledge.perpetrators:
                continue
            before = found.get(effect.perpetrator)
            if before is None or (weight, effect.key) > (before[0], before[1].key):
                found[effect.perpetrator] = weight, effect
        felt = math.log(self.null[1])
        telling = [effect for weight, effect in found.values() if weight >= felt]
        return telling or [effect for _, effect in sorted(found.values(), key=lambda pair: -pair[0])[:1]]

    def _timed(self, most: Acting) -> Mapping[str, Any] | None:
        key = (most.perpetrator, most.enzyme, most.induces, round(max(most.liver, most.gut), 2))
        if key not in self._courses:
            if len(self._courses) >= ANSWERS_KEPT:  # potencies follow the regimens asked for: what is kept has an end
                self._courses.clear()
            entry = self.knowledge.perpetrators[most.perpetrator]
            try:
                found = time_course(
                    self.knowledge,
                    entry,
                    most.enzyme,
                    action=INDUCES if most.induces else INHIBITS,
                    potency=max(most.liver, most.gut),
                )
                self._courses[key] = {
                    "of": f"{most.perpetrator} on {most.enzyme}",
                    "onset_h": _short(found.onset_h),
                    "peak_h": _short(found.peak_h),
                    "offset_h": _short(found.offset_h),
                    "definition": found.definition,
                }
            except CannotPredict:
                self._courses[key] = None
        return self._courses[key]

    # --- predicted: one kratom tea ------------------------------------------------------------------------------------

    def tea(self, asked: _Asked, *, fading: bool = True) -> _Answer:
        _has_chain(asked.victim)
        if len(asked.perpetrators) > 1:
            raise CannotPredict("kratom with another perpetrator was never studied: ask for one", "perpetrator")
        if asked.stopped_h:
            raise CannotPredict(
                "what is left after stopping kratom was never studied: for one tea say the lag", "stopped"
            )
        course = asked.courses[0]
        told = _MITRAGYNINE.search(asked.regimen or "")
        leaf_mg = course.per_day if course.phases and course.phases[-1].unit == "mg" else None
        dose = float(told[1]) if told else tea_dose_mg(self.knowledge, leaf_mg / _GRAM) if leaf_mg else None
        victim = asked.victim.parent
        entry = self.knowledge.victims.get(victim.id) or {"id": victim.id, "pathways": dict(victim.shares)}
        lag = asked.lag_h if asked.lag_h is not None else course.gap_h or 0.0
        repeated = course.repeated or not is_one_tea(asked.regimen)
        key = (victim.id, dose, repeated, lag, fading)
        if key not in self._teas:
            if len(self._teas) >= ANSWERS_KEPT:  # doses and lags come from outside: what is kept has an end
                self._teas.clear()
            self._teas[key] = tea_effect(
                self.knowledge, victim=entry, lag_h=lag, dose_mg=dose, tea_repeated=repeated, fading=fading
            )
        found = self._teas[key]
        return self._tea(asked, found)

    def _tea(self, asked: _Asked, found: TeaEffect) -> _Answer:
        why = list(found.why)
        timed = found.time_course
        told: dict[str, Any] | None = None
        if timed is not None and _short(found.auc_ratio) != 1:
            told = {
                "onset_h": _short(timed.onset_h),
                "peak_h": _short(timed.peak_h),
                "offset_h": _short(timed.offset_h),
            }
            told |= {"of": f"{KRATOM} on gut {GUT_ENZYME}", "definition": timed.definition}
        gut = found.gut
        auc, low, high = found.auc_ratio, found.low, found.high
        if asked.route != ORAL:
            question = self.predictor.question(asked.victim, (), route=asked.route)
            if not question.setting.gut and auc is not None and found.hepatic is not None:
                spread = self.predictor.residual(0) * self.predictor.quantile
                auc, gut = found.hepatic, 1.0
                low, high = auc * math.exp(-spread), auc * math.exp(spread)
                why.append("by this route the medicine does not pass the gut wall, where a tea acts")
        predicted = {
            "auc_ratio": _short(auc),
            "low": _short(low),
            "high": _short(high),
            "interval_kind": INTERVAL,
            "cmax_ratio": _short(found.cmax_ratio) if asked.route == ORAL else None,
            "half_life_ratio": _short(found.half_life_ratio),
            "hepatic": _short(found.hepatic),
            "gut": _short(gut),
            "by_pathway": [{"enzyme": GUT_ENZYME, "share": _short(asked.victim.parent.shares.get(GUT_ENZYME, 0))}],
            "ceiling": _short(found.ceiling),
            "offsets": {str(hours): _short(ratio) for hours, ratio in found.offsets.items()},
        }
        prediction = None
        if auc is not None and low is not None and high is not None:
            prediction = Prediction(auc, low, high, math.log(high / low) / (2 * self.predictor.quantile))
        if prediction is None:
            missing: tuple[str, ...] = ("a study of repeated or larger kratom teas with another medicine",)
            return _Answer(None, predicted, None, told, REFUSED, tuple(why), missing, TEA)
        question = self._as_question(asked, found)
        moiety, missing = self._moiety(question, {asked.victim.parent.id: prediction.auc})
        validity = EXTRAPOLATED if question.reasons else VALID
        why += question.reasons
        if asked.victim.metabolite is not None:  # follows from what the tea does to the medicine given
            prediction = self.predictor.predict(question, self.posterior)
            predicted |= _interval(prediction)
            predicted["cmax_ratio"] = None
            validity = EXTRAPOLATED
            why.append("a metabolite's exposure with kratom was never measured")
        return _Answer(prediction, predicted, moiety, told, validity, tuple(why), missing, TEA)

    def _as_question(self, asked: _Asked, found: TeaEffect) -> Question:
        """The tea as potencies that would leave gut and liver as the pulse does, for what is formed from the victim."""
        question = self.predictor.question(asked.victim, (), route=asked.route, phenotype=asked.phenotype)
        victim = question.setting.victim
        share, escapes = victim.shares.get(GUT_ENZYME, 0), victim.escaping_gut({})
        gut, liver = found.gut or 1, found.hepatic or 1
        left_gut = (1 / gut - escapes) / (1 - escapes) if escapes < 1 else 1
        left_liver = (1 / liver - 1 + share) / share if share else 1
        pulse = Acting(
            key=f"potency:{KRATOM}:{GUT_ENZYME}:{INHIBITS}",
            family="",
            perpetrator=KRATOM,
            enzyme=GUT_ENZYME,
            induces=False,
            time_dependent=False,
            liver=1 / max(left_liver, _LEAST) - 1,
            gut=1 / max(left_gut, _LEAST) - 1,
            hours=None,
            turnover_h=0,
            left=1,
        )
        return replace(question, setting=replace(question.setting, acting=(pulse,)))


DEFINITIONS = "onset and peak: {}; offset: {}"
_GRAM = 1000.0
_LEAST = 1e-3  # activity left: a quotient near nothing divides no further


def _told(
    knowledge: Knowledge, asked: _Asked, seen: list[Observation], otherwise: list[Observation], answer: _Answer
) -> ExposureRatio:
    """What was measured leads; without it, what is predicted."""
    why = list(answer.why)
    if seen:
        first = seen[0]
        basis = OBSERVED
        auc: float | None = first.auc_ratio
        low, high = first.low, first.high
        if first.single and asked.regimen is None and asked.perpetrators != (KRATOM,):
            why.insert(0, "measured after a single dose of the perpetrator; repeated doses may do more")
    else:
        found = answer.prediction
        auc, low, high = (_short(found.auc), _short(found.low), _short(found.high)) if found else (None, None, None)
        basis = PREDICTED
    return ExposureRatio(
        victim=asked.victim.parent.id,
        perpetrators=asked.perpetrators,
        analyte=asked.victim.measured,
        victim_route=asked.route,
        regimen=asked.regimen,
        phenotype=asked.phenotype,
        auc_ratio=auc,
        low=low,
        high=high,
        basis=basis,
        validity=answer.validity,
        observed=tuple(seen),
        observed_otherwise=tuple(otherwise),
        predicted=answer.predicted,
        active_moiety=answer.moiety,
        time_course=answer.time_course,
        why=tuple(why),
        missing=answer.missing,
        model=answer.model,
        knowledge={"version": knowledge.version, "as_of": knowledge.as_of},
    )


def _has_chain(victim: Victim) -> None:
    """Of a medicine that only becomes what acts, its own level says nothing."""
    acts = victim.entry.get("prodrug")
    if acts and victim.metabolite is None:
        raise CannotPredict(
            f"cannot predict {victim.parent.id}: {acts}, carries its effect, and the chain to that (what forms it, "
            "what clears it) is not in the knowledge; the level of what is swallowed says nothing about the effect",
            "victim",
        )


def _interval(found: Prediction) -> dict[str, Any]:
    return {
        "auc_ratio": _short(found.auc),
        "low": _short(found.low),
        "high": _short(found.high),
        "interval_kind": INTERVAL,
    }


def _short(value: float | None) -> float | None:
    """Four significant digits: more would claim what nobody knows."""
    return None if value is None else float(f"{value:.{DIGITS}g}")


def _hours(value: float | None, what: str, *, least: float) -> None:
    if value is None:
        return
    if not math.isfinite(value) or not least <= value <= DAYS_MAX_H:
        raise BadInput(f"not a time in hours: {value}; write 0 or more, at most {DAYS_MAX_H}", what)


__all__ = ["CannotPredict", "ExposureRatio", "interact"]
