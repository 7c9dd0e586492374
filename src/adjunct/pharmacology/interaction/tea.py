"""Floor 2: one kratom tea and one oral medicine that CYP3A4 clears.

Mitragynine destroys CYP3A4. While the tea is absorbed its concentration in the gut wall is high, for about two hours;
what reaches the liver is diluted and bound. So the gut loses part of its CYP3A4, the liver hardly any, and the gut
makes it again within days. A static model lets that short pulse last for ever and predicts a large interaction that
people did not have; here the enzyme of gut and liver is followed in time.

Inputs come from the literature, each with a range, and none from the study that the prediction is compared with. They
are drawn together (seeded, stratified); the answer is the median and the 90 % predictive interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from types import MappingProxyType
from typing import Any

import numpy as np

from adjunct.base import BadInput, Floats
from adjunct.knowledge import Knowledge
from adjunct.pharmacology import CannotPredict
from adjunct.pharmacology.interaction.enzyme import Course, Steps, follow

ENZYME = "CYP3A4"
LEAF = "kratom-leaf"
DRAWS = 800
SEED = 1
QUANTILES = (0.05, 0.5, 0.95)
OFFSETS_H = (12, 24, 48)
FIRST_STEP_H = 0.02
TEA_EDGES = 36
TEA_UNTIL_H = 240.0
VICTIM_EDGES = 28
VICTIM_HALF_LIVES = 9
HALF_LIFE_WINDOW = ((1, 0.5), (4, 1))
BISECTIONS = 50
STEEPEST = 20.0
MINUTES = 60
LONGEST_LAG_H = 240.0
NANO = 1e-3
SAME_DOSE = 1.01


@dataclass(frozen=True, slots=True)
class TeaCourse:
    """Activity of gut CYP3A4 after the tea: 90 % of its fall, its lowest point, and back within 10 % of the own."""

    onset_h: float
    peak_h: float
    offset_h: float
    definition: str


@dataclass(frozen=True, slots=True)
class TeaEffect:
    """What a tea does to the exposure of an oral medicine. Ratios are with tea over without.

    `low` and `high` bound the 90 % predictive interval of a study's mean ratio. Where only the mechanism's ceiling can
    be told (repeated teas, a larger dose) every ratio is None and `why` says so. `offsets` is the AUC ratio by the
    hours between tea and medicine.
    """

    auc_ratio: float | None
    low: float | None
    high: float | None
    cmax_ratio: float | None
    half_life_ratio: float | None
    hepatic: float | None
    gut: float | None
    offsets: Mapping[int, float]
    ceiling: float
    time_course: TeaCourse | None
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Draws:
    """One column a draw of everything that is not known exactly; concentrations in umol/L, rates in 1/h."""

    ka: Floats
    absorbed: Floats
    fu_enterocyte: Floats
    fu_plasma: Floats
    blood_plasma: Floats
    own_fg: Floats
    ki_gut: Floats
    kinact_gut: Floats
    ki_liver: Floats
    kinact_liver: Floats
    reversible_ki: Floats
    kdeg_gut: Floats
    kdeg_liver: Floats
    plasma: tuple[Floats, Floats, Floats]  # fast rate, fast and slow coefficient (umol/L) of the plasma curve
    victim_ka: Floats
    victim_k: Floats
    fg: Floats
    extraction: Floats
    study: Floats


def tea_effect(
    knowledge: Knowledge,
    *,
    victim: Mapping[str, Any],
    lag_h: float = 0.0,
    dose_mg: float | None = None,
    tea_repeated: bool = False,
    product: str = LEAF,
    fading: bool = True,
) -> TeaEffect:
    """One kratom tea on one oral medicine taken `lag_h` hours after it (negative: before it).

    `dose_mg` is mitragynine; None is the tea that was studied. Repeated teas and larger doses give only the ceiling.
    `fading`: also the ratio 12, 24 and 48 h after the tea, which takes as long again as everything else.
    """
    if product != LEAF:
        raise CannotPredict(f"{product} was never studied in people with another medicine; only leaf tea was")
    if not (math.isfinite(lag_h) and abs(lag_h) <= LONGEST_LAG_H):
        raise BadInput(f"not a lag between tea and medicine: {lag_h} h; write hours between 0 and {LONGEST_LAG_H:g}")
    studied = knowledge.number("mitragynine.tea.dose")
    dose = studied if dose_mg is None else dose_mg
    if not (math.isfinite(dose) and dose > 0):
        raise BadInput(
            f"not a dose of mitragynine: {dose_mg} mg; write more than 0, or leave it out for the studied tea"
        )
    share = victim["pathways"].get(ENZYME, 0.0)
    if not share:
        return _untouched(knowledge, victim)
    why = list(_reasons(knowledge, victim))
    beyond = _beyond(knowledge, dose, studied, repeated=tea_repeated)
    if beyond:
        return TeaEffect(
            None, None, None, None, None, None, None, {}, _ceiling(knowledge, victim), None, (*beyond, *why)
        )
    draws = _draw(knowledge, victim)
    if dose < studied / SAME_DOSE:
        why.append(f"less mitragynine than the {studied:g} mg studied: the mechanism at that dose, never measured")
    return _simulate(knowledge, victim, draws, dose, lag_h, tuple(why), OFFSETS_H if fading else ())


def tea_dose_mg(knowledge: Knowledge, leaf_g: float) -> float:
    """Mitragynine in a tea of so much leaf, in mg, if the leaf were of the lot that was studied; lots differ widely."""
    if not (math.isfinite(leaf_g) and leaf_g > 0):
        raise BadInput(f"not an amount of leaf: {leaf_g} g; write more than 0")
    return leaf_g * knowledge.number("mitragynine.tea.dose") / knowledge.number("kratom.study.dose")


def _untouched(knowledge: Knowledge, victim: Mapping[str, Any]) -> TeaEffect:
    scatter = knowledge.number("exposure_ratio.study.sd_log") * NormalDist().inv_cdf(QUANTILES[-1])
    why = (f"{victim['id']} is not cleared by {ENZYME}, the only enzyme that a kratom tea changed in people",)
    same = dict.fromkeys(OFFSETS_H, 1.0)
    return TeaEffect(1.0, math.exp(-scatter), math.exp(scatter), 1.0, 1.0, 1.0, 1.0, same, 1.0, None, why)


def _beyond(knowledge: Knowledge, dose: float, studied: float, *, repeated: bool) -> tuple[str, ...]:
    """Why only a ceiling can be told."""
    if repeated:
        return ("repeated teas were not studied with another medicine: only the ceiling is told, no gut CYP3A4 left",)
    if dose > studied * SAME_DOSE:
        leaf = knowledge.number("kratom.study.dose")
        studied_tea = f"the {studied:g} mg studied (a tea of {leaf:g} g leaf)"
        return (f"{dose:g} mg mitragynine is more than {studied_tea}: not extrapolated, only the ceiling is told",)
    return ()


def _reasons(knowledge: Knowledge, victim: Mapping[str, Any]) -> tuple[str, ...]:
    refuted = knowledge.number("mitragynine.static_model.midazolam.auc_ratio")
    found = [
        f"the tea is followed as a short pulse; the static model ({refuted:g} for midazolam) was refuted in people",
        "how much mitragynine is unbound in the gut wall was never measured; the interval spans the whole range",
        "other alkaloids of the leaf are not modelled; no effect on CYP2D6 is claimed",
    ]
    if victim.get("gut_availability") is None:
        known = (
            "the range of CYP3A4 substrates is taken" if _main(victim) == ENZYME else "none lost in the gut is assumed"
        )
        found.append(f"the gut availability of {victim['id']} is not known: {known}")
    return tuple(found)


def _main(victim: Mapping[str, Any]) -> str:
    """The pathway that carries most of the clearance."""
    return max((float(share), str(pathway)) for pathway, share in victim["pathways"].items())[1]


def _ceiling(knowledge: Knowledge, victim: Mapping[str, Any]) -> float:
    """The AUC ratio if the gut had no CYP3A4 left at all."""
    if victim.get("gut_availability") is not None:
        return 1 / float(victim["gut_availability"])
    return 1 / _bounds(knowledge, "gut_availability.cyp3a4")[0] if _main(victim) == ENZYME else 1.0


# --- what is not known exactly ----------------------------------------------------------------------------------------


@cache
def _strata() -> tuple[Floats, Floats]:
    """The middle of each of `DRAWS` equal parts of [0, 1], and of the standard normal distribution."""
    even = (np.arange(DRAWS) + 1 / 2) / DRAWS
    normal = NormalDist()
    return even, np.array([normal.inv_cdf(float(u)) for u in even])


class _Lots:
    """Draws by lot: every input takes each of its strata once, in an order of its own; the same on every call."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.random = np.random.default_rng(SEED)

    def even(self) -> Floats:
        drawn: Floats = self.random.permutation(_strata()[0])
        return drawn

    def normal(self) -> Floats:
        drawn: Floats = self.random.permutation(_strata()[1])
        return drawn

    def between(self, low: Floats | float, high: Floats | float) -> Floats:
        """Evenly on the logarithmic scale."""
        drawn: Floats = np.exp(np.log(low) + self.even() * (np.log(high) - np.log(low)))
        return drawn

    def bounds(self, name: str) -> Floats:
        return self.between(*_bounds(self.knowledge, name))

    def mean(self, name: str) -> Floats:
        """A mean with its standard error, never negative."""
        value, se = self.knowledge.number(name), self.knowledge.number(f"{name}.se")
        drawn: Floats = value * np.exp(math.sqrt(math.log1p((se / value) ** 2)) * self.normal())
        return drawn

    def scatter(self, name: str) -> Floats:
        drawn: Floats = np.exp(self.knowledge.number(name) * self.normal())
        return drawn


def _bounds(knowledge: Knowledge, name: str) -> tuple[float, float]:
    value = knowledge.facts[f"{name}.bounds"].value
    assert isinstance(value, tuple), f"{name}.bounds is not a pair"
    return value


def _draw(knowledge: Knowledge, victim: Mapping[str, Any]) -> _Draws:
    """All inputs, each in its range; the tea's come first, so that they are the same for every victim."""
    lots, number = _Lots(knowledge), knowledge.number
    ka = lots.bounds("mitragynine.tea.ka")
    fu_plasma, blood_plasma = lots.bounds("mitragynine.fu_plasma"), lots.bounds("mitragynine.blood_plasma")
    unbound = lots.bounds("mitragynine.fu_microsomes")  # the constants were measured as total concentrations
    scatter = lots.scatter("mitragynine.tea.exposure.sd_log")
    rate, fast, slow = _plasma(knowledge, ka)
    return _Draws(
        ka=ka,
        absorbed=lots.bounds("mitragynine.fraction_absorbed"),
        fu_enterocyte=lots.between(fu_plasma / blood_plasma, number("mitragynine.fu_enterocyte.highest")),
        fu_plasma=fu_plasma,
        blood_plasma=blood_plasma,
        own_fg=lots.bounds("gut_availability.cyp3a4"),
        ki_gut=lots.mean("mitragynine.ki_inactivation.cyp3a.gut") * unbound,
        kinact_gut=lots.mean("mitragynine.kinact.cyp3a.gut") * MINUTES,
        ki_liver=lots.mean("mitragynine.ki_inactivation.cyp3a.liver") * unbound,
        kinact_liver=lots.mean("mitragynine.kinact.cyp3a.liver") * MINUTES,
        reversible_ki=lots.bounds("mitragynine.ki.cyp3a") * unbound,
        kdeg_gut=lots.bounds("kdeg.cyp3a4.gut"),
        kdeg_liver=lots.bounds("kdeg.cyp3a4.liver"),
        plasma=(rate, fast * scatter, slow * scatter),
        study=lots.scatter("exposure_ratio.study.sd_log"),
        victim_ka=_victim_ka(knowledge, victim, lots),
        victim_k=math.log(2) / _victim_half_life(knowledge, victim, lots),
        fg=_victim_fg(knowledge, victim, lots),
        extraction=_victim_extraction(victim, lots),
    )


def _victim_ka(knowledge: Knowledge, victim: Mapping[str, Any], lots: _Lots) -> Floats:
    own = f"absorption.{victim['id']}.ka"
    return lots.bounds(own if f"{own}.bounds" in knowledge.facts else "absorption.oral.ka")


def _victim_half_life(knowledge: Knowledge, victim: Mapping[str, Any], lots: _Lots) -> Floats:
    own = f"half_life.{victim['id']}"
    if own in knowledge.facts:
        return np.full(DRAWS, knowledge.number(own))
    substance = knowledge.substances.get(victim.get("substance", victim["id"]))
    if substance is not None and substance.half_life_h is not None:
        return lots.between(*substance.half_life_h)
    return lots.bounds("half_life.oral")


def _victim_fg(knowledge: Knowledge, victim: Mapping[str, Any], lots: _Lots) -> Floats:
    fg = victim.get("gut_availability")
    if fg is None:
        return lots.bounds("gut_availability.cyp3a4") if _main(victim) == ENZYME else np.ones(DRAWS)
    if not 0 < fg <= 1:
        raise BadInput(f"gut availability of {victim['id']} is {fg}: write a share above 0, at most 1")
    if fg == 1:
        return np.ones(DRAWS)
    odds = fg / (1 - fg) * np.exp(knowledge.number("gut_availability.sd_logit") * lots.normal())
    drawn: Floats = odds / (1 + odds)
    return drawn


def _victim_extraction(victim: Mapping[str, Any], lots: _Lots) -> Floats:
    extraction = victim.get("hepatic_extraction")
    if extraction is not None and not 0 <= extraction < 1:
        raise BadInput(f"hepatic extraction of {victim['id']} is {extraction}: write a share below 1")
    return lots.bounds("hepatic_extraction") if extraction is None else np.full(DRAWS, float(extraction))


def _plasma(knowledge: Knowledge, ka: Floats) -> tuple[Floats, Floats, Floats]:
    """The two-compartment curve that meets the published Cmax, tmax, half-life and AUC, for each absorption rate.

    C = fast * e^(-rate t) + slow * e^(-beta t) - (fast + slow) * e^(-ka t). Cmax and tmax give fast and slow for any
    rate; the rate is then found by halving so that the AUC is met.
    """
    cmax, tmax = knowledge.number("mitragynine.tea.cmax") * NANO, knowledge.number("mitragynine.tea.tmax")
    beta = math.log(2) / knowledge.number("mitragynine.tea.half_life")
    auc = knowledge.number("mitragynine.tea.auc") * NANO

    def coefficients(rate: Floats) -> tuple[Floats, Floats]:
        e_fast, e_slow, e_in = np.exp(-rate * tmax), math.exp(-beta * tmax), np.exp(-ka * tmax)
        a, b = e_fast - e_in, e_slow - e_in
        slope_a, slope_b = ka * e_in - rate * e_fast, ka * e_in - beta * e_slow
        across = a * slope_b - b * slope_a
        return cmax * slope_b / across, -cmax * slope_a / across

    low, high = np.full_like(ka, 2 * beta), np.full_like(ka, STEEPEST)
    for _ in range(BISECTIONS):
        rate = np.sqrt(low * high)
        fast, slow = coefficients(rate)
        found = fast * (1 / rate - 1 / ka) + slow * (1 / beta - 1 / ka)
        too_little = found < auc  # a faster fall leaves a higher slow part: more area
        low, high = np.where(too_little, rate, low), np.where(too_little, high, rate)
    rate = np.sqrt(low * high)
    return rate, *coefficients(rate)


# --- the enzyme in time, and the medicine through it ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Left:
    """Activity of CYP3A4 in gut and liver after the tea (draws, steps, points), and of the gut at the edges."""

    steps: Steps
    gut: Floats
    liver: Floats
    gut_at_edges: Floats


def _edges(until_h: float, count: int) -> Floats:
    """Times from 0 on, close together first."""
    return np.concatenate([[0.0], np.geomspace(FIRST_STEP_H, until_h, count)])


def _enzymes(knowledge: Knowledge, draws: _Draws, dose_mg: float, edges_h: Floats) -> _Left:
    """What the tea at time 0 leaves of the enzyme. Before it nothing has happened."""
    steps = Steps.of(edges_h)
    amount = dose_mg / knowledge.number("mitragynine.molar_mass") / NANO * draws.absorbed  # umol that are absorbed
    flow = {organ: knowledge.number(f"flow.{organ}") for organ in ("enterocyte", "hepatic")}

    def gut(times: Floats) -> Floats:
        wall = draws.fu_enterocyte * draws.ka * amount / flow["enterocyte"]
        return np.where(times < 0, 0.0, wall[:, None] * np.exp(-draws.ka[:, None] * np.maximum(times, 0)))

    def liver(times: Floats) -> Floats:
        rate, fast, slow = (column[:, None] for column in draws.plasma)
        beta = math.log(2) / knowledge.number("mitragynine.tea.half_life")
        since = np.maximum(times, 0)
        coming = np.exp(-draws.ka[:, None] * since)
        inlet = draws.own_fg * draws.ka * amount / (flow["hepatic"] * draws.blood_plasma)
        share = dose_mg / knowledge.number("mitragynine.tea.dose")  # the plasma curve is that of the studied tea
        plasma = (fast * np.exp(-rate * since) + slow * np.exp(-beta * since) - (fast + slow) * coming) * share
        return np.where(times < 0, 0.0, draws.fu_plasma[:, None] * (np.maximum(plasma, 0) + inlet[:, None] * coming))

    def left(unbound: Floats, kinact: Floats, ki: Floats, kdeg: Floats) -> Course:
        lost = kdeg[:, None] + kinact[:, None] * unbound / (ki[:, None] + unbound)
        return follow(steps, np.broadcast_to(kdeg[:, None], lost.shape), lost, np.ones(DRAWS))

    in_gut, in_liver = gut(steps.times_h), liver(steps.times_h)
    gut_left = left(in_gut, draws.kinact_gut, draws.ki_gut, draws.kdeg_gut)
    liver_left = left(in_liver, draws.kinact_liver, draws.ki_liver, draws.kdeg_liver)
    ki = draws.reversible_ki[:, None]
    return _Left(
        steps,
        steps.inner(gut_left.inside / (1 + in_gut / ki)),
        steps.inner(liver_left.inside / (1 + in_liver / ki)),
        gut_left.at_edges / (1 + gut(steps.edges_h) / ki),
    )


@dataclass(frozen=True, slots=True)
class _Ratios:
    auc: Floats
    gut: Floats
    cmax: Floats
    half_life: Floats


def _medicine(victim: Mapping[str, Any], draws: _Draws, left: _Left, lag_h: float, until_h: float) -> _Ratios:
    """The medicine taken at `lag_h`: absorbed through the gut as it is then, cleared by the liver as it goes on."""
    starts = left.steps.edges_h[:-1]
    here = (starts >= lag_h) & (starts < lag_h + until_h)
    edges = np.append(starts[here], left.steps.edges_h[1:][here][-1])
    steps = Steps.of(edges)
    ka, k, fg = draws.victim_ka[:, None], draws.victim_k[:, None], draws.fg[:, None]
    since = steps.times_h - lag_h

    kidney = float(victim["pathways"].get("renal", 0.0))
    share = float(victim["pathways"][ENZYME]) / (1 - kidney)  # of what the liver clears
    intrinsic = 1 - share + share * left.liver[:, here].reshape(DRAWS, -1)
    full = (draws.extraction / (1 - draws.extraction))[:, None]
    escaping = (1 + full) / (1 + full * intrinsic)  # of what passes the liver, relative to no tea
    clearance = k * (kidney + (1 - kidney) * intrinsic * escaping)
    gut = 1 / (fg + (1 - fg) * left.gut[:, here].reshape(DRAWS, -1))  # likewise for the gut wall
    absorbed = ka * np.exp(-ka * since)

    found = follow(steps, absorbed * gut * escaping, clearance, np.zeros(DRAWS))
    auc = steps.integral(found.inside).sum(axis=1) + found.at_edges[:, -1] / clearance[:, -1]
    passed = np.exp(-draws.victim_ka * (edges[-1] - lag_h))  # what is absorbed after the last step
    through_gut = steps.integral(absorbed * gut).sum(axis=1) + passed

    alone = follow(steps, absorbed, np.broadcast_to(k, absorbed.shape), np.zeros(DRAWS))
    auc_alone = steps.integral(alone.inside).sum(axis=1) + alone.at_edges[:, -1] / draws.victim_k
    half_life = math.log(2) / draws.victim_k
    first, last = (
        np.searchsorted(edges, lag_h + np.minimum(half_lives * half_life, longest * until_h)).clip(0, len(edges) - 1)
        for half_lives, longest in HALF_LIFE_WINDOW
    )
    row = np.arange(DRAWS)
    slower = (alone.spent[row, last] - alone.spent[row, first]) / (found.spent[row, last] - found.spent[row, first])
    return _Ratios(auc / auc_alone, through_gut, found.at_edges.max(axis=1) / alone.at_edges.max(axis=1), slower)


def _simulate(
    knowledge: Knowledge,
    victim: Mapping[str, Any],
    draws: _Draws,
    dose_mg: float,
    lag_h: float,
    why: tuple[str, ...],
    offsets_h: tuple[int, ...],
) -> TeaEffect:
    longest = VICTIM_HALF_LIVES * float((math.log(2) / draws.victim_k + 1 / draws.victim_ka).max())
    until = min(longest, TEA_UNTIL_H)  # later the enzyme is back, and what is left of the medicine is counted at once
    after = _edges(until, VICTIM_EDGES)
    lags = (lag_h, *(float(hours) for hours in offsets_h))
    left = _enzymes(
        knowledge, draws, dose_mg, np.concatenate([_edges(TEA_UNTIL_H, TEA_EDGES), *(lag + after for lag in lags)])
    )
    ratios = _medicine(victim, draws, left, lag_h, until)
    low, middle, high = np.quantile(ratios.auc * draws.study, QUANTILES)
    return TeaEffect(
        auc_ratio=float(middle),
        low=float(low),
        high=float(high),
        cmax_ratio=float(np.median(ratios.cmax)),
        half_life_ratio=float(np.median(ratios.half_life)),
        hepatic=float(np.median(ratios.auc / ratios.gut)),
        gut=float(np.median(ratios.gut)),
        offsets=MappingProxyType(
            {hours: float(np.median(_medicine(victim, draws, left, float(hours), until).auc)) for hours in offsets_h}
        ),
        ceiling=_ceiling(knowledge, victim),
        time_course=_course(knowledge, left),
        why=why,
    )


def _course(knowledge: Knowledge, left: _Left) -> TeaCourse:
    """When the gut enzyme has fallen and when it is back, for the median of the draws."""
    shares = {part: knowledge.number(f"time_course.{part}.share") for part in ("onset", "offset")}
    after = left.steps.edges_h >= 0
    times, fall = left.steps.edges_h[after], 1 - np.median(left.gut_at_edges[:, after], axis=0)
    deepest = int(np.argmax(fall))
    onset = float(np.interp(shares["onset"] * fall[deepest], fall[: deepest + 1], times[: deepest + 1]))
    offset = float(np.interp(-shares["offset"], -fall[deepest:], times[deepest:]))
    definition = (
        f"activity of gut CYP3A4 after one tea, median: {shares['onset']:.0%} of its fall, its lowest point, and back "
        f"within {shares['offset']:.0%} of the person's own"
    )
    return TeaCourse(onset, float(times[deepest]), offset if fall[deepest] > shares["offset"] else 0.0, definition)
