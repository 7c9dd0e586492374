"""Floor 2: moving shares and potencies toward what studies measured, and saying honestly whether that helped.

Maximum a posteriori on the logarithm of the ratio: every parameter starts at its stated value with its stated standard
deviation (shrinkage), the noise of a row is that of its confidence and grows with the size of the effect, and a t
distribution keeps one odd study from moving a parameter. Cross-validation leaves one reference out at a time. The fit
ships only where it beats the table it started from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from adjunct.base import Floats
from adjunct.knowledge import Knowledge
from adjunct.pharmacology import CannotPredict
from adjunct.pharmacology.interaction.courses import courses
from adjunct.pharmacology.interaction.prediction import Parameter, Posterior, Predictor, Question
from adjunct.pharmacology.interaction.tea import TeaEffect, tea_effect

ROUNDS = 8  # Gauss-Newton steps of the whole fit
ROUNDS_WITHOUT = 2  # and of a fit without one reference, which starts where the whole fit ended
LARGEST = 1.0  # a parameter moves no further than this in one step
DIGITS = 4  # of what is written
CORRELATED = 0.05  # weaker correlations are not written
YES = "yes"
FITTED = "fit, cross-validated"
KRATOM = "kratom-leaf"
PREDICTED_WITHOUT = 1.0  # what a refusal counts as


@dataclass(frozen=True, slots=True)
class Study:
    """One measured ratio and the question it answers."""

    id: str
    reference: str
    observed: float
    question: Question | None  # None: refused, or a kratom tea
    tea: TeaEffect | None
    refused: str
    spread: float  # multiplier of its noise
    held: bool  # scored, but moves nothing
    route: str
    phenotype: Mapping[str, str]
    mechanism: str


@dataclass(frozen=True, slots=True)
class Scored:
    """One study with what was predicted for it."""

    study: Study
    predicted: float
    low: float
    high: float

    @property
    def fold(self) -> float:
        """How many times too high or too low, never below 1."""
        return math.exp(abs(math.log(self.predicted / self.study.observed)))

    @property
    def covered(self) -> bool:
        return self.low <= self.study.observed <= self.high

    def within_guest(self, limits: Limits) -> bool:
        """Inside the limits of Guest 2011, which narrow from twofold as the observed ratio nears 1."""
        ratio = math.exp(abs(math.log(self.study.observed)))
        return self.fold <= (limits.guest_delta + 2 * (ratio - 1)) / ratio

    def direction_held(self, limits: Limits) -> bool:
        """An effect is predicted as one, its absence as none."""
        observed, predicted = self.study.observed, self.predicted
        if observed >= limits.effect_up:
            return predicted > limits.said_up
        if observed <= limits.effect_down:
            return predicted < limits.said_down
        return limits.none_down <= predicted <= limits.none_up


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as an interaction, as said, and as near enough."""

    guest_delta: float
    effect_up: float  # an observed ratio this far from 1 is an interaction
    effect_down: float
    said_up: float  # and must then be predicted beyond this
    said_down: float
    none_up: float  # a ratio inside the first two must stay inside these
    none_down: float

    @classmethod
    def of(cls, knowledge: Knowledge) -> Limits:
        names = ("guest.delta", "null.high", "null.low", "said.up", "said.down", "none.high", "none.low")
        return cls(*(knowledge.number(f"ddi.{name}") for name in names))


def studies(knowledge: Knowledge, predictor: Predictor, rows: Iterable[Mapping[str, str]] | None = None) -> list[Study]:
    """The rows of the observed ratios that are meant for fitting, each as a question."""
    held = knowledge.content["method"]["held"]
    found = []
    for row in knowledge.observed_ratios.values() if rows is None else rows:
        if row.get("fit", YES) != YES:
            continue
        names = row["perpetrators"].split("+")
        phenotype = dict([row["phenotype"].split("=", 1)]) if row.get("phenotype") else {}
        question, tea, refused = None, None, ""
        try:
            name = f"{row['victim']} (from {row['analyte_of']})" if row.get("analyte_of") else row["victim"]
            victim = predictor.victims.find(name)
            if names == [KRATOM]:
                tea = tea_effect(knowledge, victim=knowledge.victims[victim.parent.id])
            else:
                question = predictor.question(
                    victim,
                    list(zip(names, courses(row["regimen"], names), strict=True)),
                    route=row["victim_route"],
                    phenotype=phenotype,
                )
        except CannotPredict as error:
            refused = str(error)
        found.append(
            Study(
                id=row["id"],
                reference=row["source"],
                observed=float(row["auc_ratio"]),
                question=question,
                tea=tea,
                refused=refused,
                spread=knowledge.number(f"ddi.confidence.{row['confidence']}"),
                held=row["victim"] in held["victims"] or bool(set(names) & set(held["perpetrators"])),
                route=row["victim_route"],
                phenotype=phenotype,
                mechanism=row.get("mechanism", ""),
            )
        )
    return found


class Fit:
    """The parameters of a set of studies, ready to be moved with or without some of them."""

    def __init__(self, knowledge: Knowledge, predictor: Predictor, set_of: Sequence[Study]) -> None:
        self.predictor = predictor
        self.studies = [s for s in set_of if s.question is not None and not s.held]
        self.freedom = knowledge.number("ddi.student.freedom")
        held = set(knowledge.content["method"]["held"]["victims"])
        sd: dict[str, float] = {}
        self.own: list[list[Parameter]] = []
        for study in self.studies:
            assert study.question is not None
            own = [p for p in predictor.parameters(study.question) if not _is_held(p.key, held)]
            self.own.append(own)
            sd.update({p.key: p.sd for p in own})
        self.keys = sorted(sd)
        self.places = {key: n for n, key in enumerate(self.keys)}
        self.precision = np.array([1 / sd[k] ** 2 for k in self.keys])
        self.observed = np.log([s.observed for s in self.studies])
        near, grows = knowledge.number("ddi.noise.null"), knowledge.number("ddi.noise.slope")
        self.noise = np.hypot(near, grows * self.observed) * [s.spread for s in self.studies]

    def _linear(self, shifts: Mapping[str, float]) -> tuple[Floats, Floats]:
        """Logarithm of each predicted ratio, and its slopes."""
        predicted = np.empty(len(self.studies))
        slopes = np.zeros((len(self.studies), len(self.keys)))
        for n, (study, own) in enumerate(zip(self.studies, self.own, strict=True)):
            assert study.question is not None
            predicted[n] = math.log(self.predictor.ratio(study.question, shifts))
            if own:
                places = [self.places[p.key] for p in own]
                slopes[n, places] = self.predictor.slopes(partial(self.predictor.ratio, study.question), own, shifts)
        return predicted, slopes

    def solve(self, *, without: str = "", start: Posterior | None = None, rounds: int = ROUNDS) -> Posterior:
        """Where the parameters end up, leaving out one reference if it is named."""
        used = np.array([s.reference != without for s in self.studies])
        place = np.array([start.shifts.get(k, 0.0) if start else 0.0 for k in self.keys])
        information = np.diag(self.precision)
        for _ in range(rounds):
            predicted, slopes = self._linear(dict(zip(self.keys, place.tolist(), strict=True)))
            error = (self.observed - predicted) / self.noise
            weight = used * (self.freedom + 1) / (self.freedom + error * error) / (self.noise * self.noise)
            information = (slopes.T * weight) @ slopes + np.diag(self.precision)
            gradient = slopes.T @ (weight * (self.observed - predicted)) - self.precision * place
            place = place + np.clip(np.linalg.solve(information, gradient), -LARGEST, LARGEST)
        shifts = dict(zip(self.keys, place.tolist(), strict=True))
        return Posterior(shifts, self.places, np.linalg.inv(information))


def _is_held(key: str, victims: set[str]) -> bool:
    kind, _, rest = key.partition(":")
    return kind in ("share", "gut", "extraction") and rest.partition(":")[0] in victims


def score(predictor: Predictor, set_of: Iterable[Study], posterior: Posterior) -> Iterator[Scored]:
    """Each study against its prediction; a refusal counts as a prediction of 1."""
    for study in set_of:
        if study.tea is not None and study.tea.auc_ratio and study.tea.low and study.tea.high:
            yield Scored(study, study.tea.auc_ratio, study.tea.low, study.tea.high)
            continue
        if study.question is None:
            yield Scored(study, PREDICTED_WITHOUT, PREDICTED_WITHOUT, PREDICTED_WITHOUT)
            continue
        found = predictor.predict(study.question, posterior)
        yield Scored(study, found.auc, found.low, found.high)


def cross_validated(fit: Fit, set_of: Sequence[Study], references: Iterable[str] | None = None) -> list[Scored]:
    """Every study predicted by a fit that has not seen any study of its reference."""
    whole = fit.solve()
    found = []
    for reference in sorted({s.reference for s in set_of} if references is None else references):
        without = fit.solve(without=reference, start=whole, rounds=ROUNDS_WITHOUT)
        found += list(score(fit.predictor, (s for s in set_of if s.reference == reference), without))
    return found


def figures(knowledge: Knowledge, scored: Sequence[Scored]) -> dict[str, float]:
    """How good a set of predictions is: the figures of the validation report."""
    if not scored:
        return {"n": 0}
    folds = np.array([s.fold for s in scored])
    limits = Limits.of(knowledge)
    return {
        "n": len(scored),
        "gmfe": float(np.exp(np.mean(np.log(folds)))),
        "within_2_fold": float(np.mean(folds <= 2)),
        "within_guest": float(np.mean([s.within_guest(limits) for s in scored])),
        "direction_misses": sum(not s.direction_held(limits) for s in scored),
        "covered": float(np.mean([s.covered for s in scored])),
        "median_width": float(np.median([s.high / s.low for s in scored])),
        "worst_fold": float(folds.max()),
    }


def lines(knowledge: Knowledge, scored: Sequence[Scored]) -> dict[str, list[Scored]]:
    """The separate lines of the report. A study may stand on more than one."""
    limits = Limits.of(knowledge)
    observed = [(s, s.study.observed) for s in scored]
    return {
        "all": list(scored),
        "oral": [s for s in scored if s.study.route == "oral"],
        "non-oral": [s for s in scored if s.study.route != "oral"],
        "induction": [s for s, o in observed if o <= limits.effect_down and _induces(s.study)],
        "inhibition": [s for s, o in observed if o >= limits.effect_up],
        "poor metabolisers": [s for s in scored if "poor" in s.study.phenotype.values()],
        "nulls": [s for s, o in observed if limits.effect_down < o < limits.effect_up],
    }


def _induces(study: Study) -> bool:
    return study.question is not None and any(a.induces for a in study.question.setting.acting)


def write_fit(knowledge: Knowledge) -> str:
    """The text of `exposure/fit.toml`: what was fitted, what it is worth, and whether it ships."""
    table = Predictor(knowledge, rated=False)
    by_class = list(score(table, studies(knowledge, table), Posterior.prior()))
    predictor = Predictor(knowledge)
    set_of = studies(knowledge, predictor)
    curated = list(score(predictor, set_of, Posterior.prior()))
    fit = Fit(knowledge, predictor, set_of)
    fitted = cross_validated(fit, set_of)
    variants = {"class table": by_class, "curated": curated, FITTED: fitted}
    gmfe = {name: figures(knowledge, scored)["gmfe"] for name, scored in variants.items()}
    ships = gmfe[FITTED] < gmfe["class table"]
    return "\n".join(_text(knowledge, fit, variants, ships=ships)) + "\n"


def _text(knowledge: Knowledge, fit: Fit, variants: Mapping[str, Sequence[Scored]], *, ships: bool) -> Iterator[str]:
    yield "# Written by adjunct.pharmacology.interaction.fitting.write_fit; never edited."
    yield "# Shifts are logits of shares and logarithms of potencies."
    yield f"ships = {str(ships).lower()}"
    for name, scored in variants.items():
        for line, part in lines(knowledge, scored).items():
            yield f'\n[[figure]]\nof = "{name}"\nline = "{line}"'
            yield from (f"{k} = {_short(v)}" for k, v in figures(knowledge, part).items())
    limits = Limits.of(knowledge)
    for one in variants[FITTED]:
        yield f'\n[[row]]\nid = "{one.study.id}"\npredicted = {_short(one.predicted)}'
        yield f"low = {_short(one.low)}\nhigh = {_short(one.high)}\nguest = {str(one.within_guest(limits)).lower()}"
    posterior = fit.solve()
    sd = np.sqrt(np.diag(posterior.covariance))
    for key, n in fit.places.items():
        yield f'\n[[parameter]]\nid = "{key}"\nshift = {_short(posterior.shifts[key])}\nsd = {_short(sd[n])}'
    correlation = posterior.covariance / np.outer(sd, sd)
    for a, first in enumerate(fit.keys):
        for b in range(a + 1, len(fit.keys)):
            if abs(correlation[a, b]) >= CORRELATED:
                yield f'\n[[correlation]]\nbetween = ["{first}", "{fit.keys[b]}"]\nvalue = {_short(correlation[a, b])}'


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{round(float(value), DIGITS) + 0.0:.{DIGITS}f}"


def read_fit(content: Mapping[str, Any]) -> Posterior:
    """The fit as it stands in `fit.toml`; one that does not ship moves nothing."""
    if not content.get("ships"):
        return Posterior.prior()
    parameters = content["parameter"]
    places = {p["id"]: n for n, p in enumerate(parameters)}
    sd = np.array([p["sd"] for p in parameters])
    correlation = np.eye(len(parameters))
    for pair in content.get("correlation", ()):
        a, b = (places[k] for k in pair["between"])
        correlation[a, b] = correlation[b, a] = pair["value"]
    return Posterior({p["id"]: p["shift"] for p in parameters}, places, correlation * np.outer(sd, sd))
