"""How effects on enzymes come and go, and one kratom tea: against solve_ivp, static limits and observed fading."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from adjunct.base import BadInput
from adjunct.pharmacology import CannotPredict
from adjunct.pharmacology.interaction import tea
from adjunct.pharmacology.interaction.enzyme import Steps, course, follow
from adjunct.pharmacology.interaction.turnover import residual, tea_dose_mg, tea_effect, time_course
from bundles import knowledge

DAY = 24.0
MIDAZOLAM = {
    "id": "midazolam",
    "substance": "midazolam",
    "pathways": {"CYP3A4": 0.93, "UGT": 0.07},
    "gut_availability": 0.57,
    "hepatic_extraction": 0.35,
}


def perpetrator(enzyme: str, action: str, mechanism: str, potency: float, half_life: float, **more: object) -> dict:
    """One perpetrator with one effect, as the knowledge files write it."""
    persists = {"persists_half_life_h": more.pop("persists")} if "persists" in more else {}
    effect = {"enzyme": enzyme, "action": action, "mechanism": mechanism, "strength": "strong", "potency": potency}
    return {"id": "x", "half_life_h": [half_life, half_life], "effect": [effect | more], **persists}


# --- the equation -----------------------------------------------------------------------------------------------------

PULSES = [
    # kdeg, inactivation at the peak, rate of the pulse
    (0.03, 2.5, 1.0),
    (0.03, 0.05, 0.2),
    (0.0193, 40.0, 6.0),
    (0.0099, 0.1, 0.0087),
]


@pytest.mark.parametrize(("kdeg", "peak", "rate"), PULSES)
def test_a_pulse_is_followed_as_solve_ivp_follows_it(kdeg: float, peak: float, rate: float) -> None:
    edges = np.linspace(0, 200, 101)
    found = course(
        edges,
        lambda t: np.full((1, len(t)), kdeg),
        lambda t: kdeg + peak * np.exp(-rate * t)[None, :],
        np.ones(1),
    )
    oracle = solve_ivp(
        lambda t, e: kdeg - e * (kdeg + peak * math.exp(-rate * t)),
        (0, 200),
        [1.0],
        method="LSODA",
        rtol=1e-11,
        atol=1e-13,
        t_eval=edges,
    )
    at = np.searchsorted(found.steps.edges_h, edges)
    assert found.at_edges[0, at] == pytest.approx(oracle.y[0], abs=1e-7)


def test_induction_and_destruction_at_once_are_followed() -> None:
    kdeg, edges = 0.0193, np.linspace(0, 400, 81)
    made: Callable = lambda t: kdeg * (1 + 4 * (1 - np.exp(-0.2 * t)))  # noqa: E731
    lost: Callable = lambda t: kdeg * (1 + 3 * np.exp(-0.02 * t))  # noqa: E731
    found = course(edges, lambda t: made(t)[None, :], lambda t: lost(t)[None, :], np.ones(1))
    oracle = solve_ivp(
        lambda t, e: made(t) - lost(t) * e, (0, 400), [1.0], method="LSODA", rtol=1e-11, atol=1e-13, t_eval=edges
    )
    at = np.searchsorted(found.steps.edges_h, edges)
    assert found.at_edges[0, at] == pytest.approx(oracle.y[0], rel=1e-7)


@pytest.mark.parametrize("potency", [0.1, 1.0, 12.0, 300.0])
def test_a_constant_inhibitor_ends_at_the_static_share(potency: float) -> None:
    kdeg = 0.03
    found = course(
        np.linspace(0, 1000, 51),
        lambda t: np.full((1, len(t)), kdeg),
        lambda t: np.full((1, len(t)), kdeg * (1 + potency)),
        np.ones(1),
    )
    assert found.at_edges[0, -1] == pytest.approx(1 / (1 + potency), rel=1e-12)


def test_what_jumps_between_edges_is_refused_and_not_smoothed() -> None:
    with pytest.raises(BadInput, match="too abruptly"):
        course(
            np.array([0.0, 10.0]),
            lambda t: np.full((1, len(t)), 0.03),
            lambda t: np.where(t > math.pi, 5.0, 0.03)[None, :],
            np.ones(1),
        )


def test_a_course_without_a_length_is_refused() -> None:
    with pytest.raises(BadInput, match="at least two"):
        Steps.of(np.array([1.0, 1.0]))


# --- coming and going -------------------------------------------------------------------------------------------------


def test_a_reversible_effect_comes_and_goes_with_the_drug() -> None:
    half_life, potency = 20.0, 4.0
    found = time_course(knowledge(), perpetrator("CYP2D6", "inhibits", "reversible", potency, half_life), "CYP2D6")
    full = potency / (1 + potency)  # fall of activity
    there = 0.9 * full / (1 - 0.9 * full) / potency  # share of the potency at 90 % of that fall
    assert found.onset_h == pytest.approx(-math.log2(1 - there) * half_life, rel=1e-3)
    assert found.offset_h == pytest.approx(math.log2(potency * 9) * half_life, rel=1e-3)  # 1/(1 + 1/9) = 0.9
    assert found.onset_h < found.peak_h < found.offset_h
    assert "90%" in found.definition
    assert "10%" in found.definition


def test_an_inducer_comes_and_goes_in_days_as_its_equation_says() -> None:
    potency, kdeg, k = 5.0, 0.0193, math.log(2) / 3.0
    rifampicin = perpetrator("CYP3A4", "induces", "induction", potency, 3.0)
    found = time_course(knowledge(), rifampicin, "CYP3A4")
    assert 5 * DAY < found.onset_h < 14 * DAY
    assert 7 * DAY < found.offset_h < 14 * DAY  # Zhu 2019, abstract: the liver stays induced beyond 7 days
    for hours in (12.0, 72.0, 168.0):
        closed = (kdeg * math.exp(-k * hours) - k * math.exp(-kdeg * hours)) / (kdeg - k)
        assert residual(knowledge(), rifampicin, "CYP3A4", hours) == pytest.approx(closed, rel=1e-6)


def test_the_gut_recovers_before_the_liver() -> None:
    gut = perpetrator("CYP3A4", "induces", "induction", 8.5, 3.0, site=["gut"])
    both = perpetrator("CYP3A4", "induces", "induction", 8.5, 3.0, site=["gut", "liver"])
    in_gut = time_course(knowledge(), gut, "CYP3A4").offset_h
    assert in_gut < 7 * DAY < time_course(knowledge(), both, "CYP3A4").offset_h  # the same abstract: gut within 7 days


def test_fluoxetine_fades_over_weeks_as_observed() -> None:
    entry = perpetrator("CYP2D6", "inhibits", "reversible", 10.0, 48.0, persists=[96.0, 384.0])
    left = [residual(knowledge(), entry, "CYP2D6", days * DAY) for days in (7, 28)]
    half_life_d = 21 / math.log2(left[0] / left[1])
    observed = knowledge().number("fluoxetine.cyp2d6.inhibition.half_life") / DAY
    assert half_life_d == pytest.approx(observed, abs=1.5)  # Liston 2002: 7.0 +- 1.5 d
    assert time_course(knowledge(), entry, "CYP2D6").offset_h == pytest.approx(63.2 * DAY, rel=0.25)  # 63.2 +- 5.6 d


def test_paroxetine_fades_over_days_as_observed() -> None:
    entry = perpetrator("CYP2D6", "inhibits", "time-dependent", 14.0, 19.0)
    times = np.array([3, 5, 7, 9]) * DAY
    left = [residual(knowledge(), entry, "CYP2D6", float(t)) for t in times]
    half_life_d = -math.log(2) / np.polyfit(times, np.log(left), 1)[0] / DAY
    observed = knowledge().number("paroxetine.cyp2d6.inhibition.half_life") / DAY
    assert half_life_d == pytest.approx(observed, abs=1.9)  # Liston 2002: 2.9 +- 1.9 d
    assert 5 * DAY < time_course(knowledge(), entry, "CYP2D6").offset_h < 26.7 * DAY  # 20.3 +- 6.4 d by extrapolation


def test_st_johns_wort_fades_over_days_as_observed() -> None:
    entry = perpetrator("CYP3A4", "induces", "induction", 1.0, 9.0)
    times = np.array([1, 3, 5, 7]) * DAY
    left = [residual(knowledge(), entry, "CYP3A4", float(t)) for t in times]
    half_life = -math.log(2) / np.polyfit(times, np.log(left), 1)[0]
    observed = knowledge().number("st-johns-wort.cyp3a4.induction.half_life")
    assert half_life == pytest.approx(observed, rel=0.25)  # Imai 2008: 46.2 h
    assert left[-1] < 0.1  # back at the control level after seven days


GRAPEFRUIT = [(26, 1.29), (50, 1.29), (74, 1.06)]  # Greenblatt 2003: hours after one juice, midazolam AUC ratio


def test_the_gut_wall_recovers_from_one_grapefruit_juice_as_observed() -> None:
    fg, at_two = 0.57, 1.65
    left = (1 / at_two - fg) / (1 - fg)
    kdeg = knowledge().number("kdeg.cyp3a4.gut")
    errors = []
    for hours, observed in GRAPEFRUIT:
        activity = 1 - (1 - left) * math.exp(-kdeg * (hours - 2))
        errors.append(math.log(1 / (fg + (1 - fg) * activity) / observed))
    assert max(abs(e) for e in errors) < math.log(1.25)
    assert abs(sum(errors)) / len(errors) < math.log(1.1)


def test_seven_days_after_the_last_dose_fluoxetine_is_left_and_moclobemide_is_gone() -> None:
    left = {
        drug: residual(knowledge(), knowledge().perpetrators[drug], "CYP2D6", 7 * DAY)
        for drug in ("fluoxetine", "paroxetine", "moclobemide")
    }
    assert left["fluoxetine"] > 0.3 > left["paroxetine"] > left["moclobemide"]
    assert left["moclobemide"] < 0.01


def test_a_persistence_that_is_the_enzymes_own_return_is_counted_once() -> None:
    bare = perpetrator("CYP3A4", "induces", "induction", 5.0, 3.0)
    observed = perpetrator("CYP3A4", "induces", "induction", 5.0, 3.0, persists=[24.0, 60.0])
    slow = perpetrator("CYP3A4", "induces", "induction", 5.0, 3.0, persists=[160.0, 180.0])
    offsets = [time_course(knowledge(), entry, "CYP3A4").offset_h for entry in (bare, observed, slow)]
    assert offsets[0] == offsets[1] < offsets[2]


def test_a_class_speaks_where_no_potency_is_known() -> None:
    entry = perpetrator("CYP2D6", "inhibits", "time-dependent", 0.0, 10.0)
    entry["effect"][0].pop("potency")
    strong = time_course(knowledge(), entry, "CYP2D6")
    assert strong == time_course(knowledge(), entry, "CYP2D6", potency=4.0)  # a five-fold AUC leaves a fifth
    assert strong.offset_h < time_course(knowledge(), entry, "CYP2D6", potency=40.0).offset_h


@pytest.mark.parametrize(
    ("enzyme", "change", "missing"),
    [
        ("CYP1A2", {}, "no effect of x on CYP1A2"),
        ("CYP3A4", {"half_life_h": None}, "half-life of x"),
        ("CYP9Z9", {}, "kdeg.cyp9z9.liver"),
    ],
)
def test_what_is_missing_is_named(enzyme: str, change: dict, missing: str) -> None:
    listed = enzyme if "kdeg" in missing else "CYP3A4"
    entry = perpetrator(listed, "induces", "induction", 1.0, 5.0) | change
    with pytest.raises(CannotPredict, match=missing):
        time_course(knowledge(), entry, enzyme)
    with pytest.raises(CannotPredict, match=missing):
        residual(knowledge(), entry, enzyme, 24.0)


@pytest.mark.parametrize("stopped", [-1.0, math.nan, math.inf])
def test_a_time_that_cannot_be_is_refused(stopped: float) -> None:
    with pytest.raises(BadInput, match="since the last dose"):
        residual(knowledge(), perpetrator("CYP3A4", "induces", "induction", 1.0, 5.0), "CYP3A4", stopped)


def test_of_two_effects_on_one_enzyme_the_longer_is_told_and_either_may_be_asked() -> None:
    entry = perpetrator("CYP3A4", "inhibits", "reversible", 5.0, 4.0)
    entry["effect"] += perpetrator("CYP3A4", "induces", "induction", 1.0, 4.0)["effect"]
    each = [time_course(knowledge(), entry, "CYP3A4", action=action) for action in ("inhibits", "induces")]
    assert each[0].offset_h < each[1].offset_h
    assert time_course(knowledge(), entry, "CYP3A4") == each[1]


# --- one kratom tea ---------------------------------------------------------------------------------------------------


def test_kratom_and_midazolam_meet_the_study_without_being_fitted_to_it() -> None:
    found = tea_effect(knowledge(), victim=MIDAZOLAM)
    assert found.low < 1.39 < found.high  # Tanna 2023: 1.39 (1.23-1.57)
    assert 1.2 <= found.auc_ratio <= 1.65
    assert found.high / found.low < 2.5
    assert 1.0 < found.hepatic <= 1.05
    assert found.half_life_ratio <= 1.17  # observed 1.07 (0.98-1.17)
    assert found.cmax_ratio < 1.7  # observed 1.50 (1.32-1.70)
    assert found.gut * found.hepatic == pytest.approx(found.auc_ratio, rel=0.05)
    assert found.auc_ratio < found.ceiling == pytest.approx(1 / 0.57)


def test_the_answer_does_not_move_with_the_lot() -> None:
    first, second = (tea_effect(knowledge(), victim=MIDAZOLAM) for _ in range(2))
    assert first == second


def test_the_static_value_stands_only_as_the_refuted_one() -> None:
    """The same constants held for ever give a large interaction; the pulse does not."""
    number = knowledge().number
    inlet = 0.19  # umol/L unbound, footnote b of table 5 of PMC10353077
    kinact = number("mitragynine.kinact.cyp3a.liver") * 60
    loss = kinact * inlet / (number("mitragynine.ki_inactivation.cyp3a.liver") + inlet)
    kdeg = number("kdeg.cyp3a4.liver")
    static = 1 / (0.93 * kdeg / (kdeg + loss) + 0.07) / 0.57
    found = tea_effect(knowledge(), victim=MIDAZOLAM)
    assert static > 4 > 2 * found.auc_ratio
    assert any("5.69" in why and "refuted" in why for why in found.why)


LAGS = [
    # hours from tea to midazolam, least and greatest median
    (-12, 1.0, 1.02),
    (0, 1.2, 1.3),
    (2, 1.3, 1.5),
    (12, 1.2, 1.4),
    (24, 1.1, 1.3),
    (48, 1.03, 1.15),
    (168, 1.0, 1.02),
]


@pytest.mark.parametrize(("lag", "least", "greatest"), LAGS)
def test_the_lag_between_tea_and_medicine_is_an_input(lag: float, least: float, greatest: float) -> None:
    assert least <= tea_effect(knowledge(), victim=MIDAZOLAM, lag_h=lag).auc_ratio <= greatest


def test_the_fading_is_shown_and_agrees_with_the_lag() -> None:
    found = tea_effect(knowledge(), victim=MIDAZOLAM)
    assert list(found.offsets) == [12, 24, 48]
    assert found.offsets[12] > found.offsets[24] > found.offsets[48] > 1
    for hours, ratio in found.offsets.items():
        asked = tea_effect(knowledge(), victim=MIDAZOLAM, lag_h=float(hours))
        assert asked.auc_ratio == pytest.approx(ratio, rel=0.02)  # that of a study scatters on top
    assert found.time_course.onset_h < found.time_course.peak_h < 12 < found.time_course.offset_h < 120


def test_repeated_teas_have_a_ceiling_and_no_figure() -> None:
    found = tea_effect(knowledge(), victim=MIDAZOLAM, tea_repeated=True)
    assert (found.auc_ratio, found.low, found.high, found.cmax_ratio, found.offsets) == (None, None, None, None, {})
    assert found.ceiling == pytest.approx(1 / 0.57)
    assert "not studied" in found.why[0]


@pytest.mark.parametrize(("leaf_g", "figure"), [(0.5, True), (2, True), (2.1, False), (4, False), (15, False)])
def test_beyond_the_studied_dose_nothing_is_extrapolated(leaf_g: float, figure: bool) -> None:
    found = tea_effect(knowledge(), victim=MIDAZOLAM, dose_mg=tea_dose_mg(knowledge(), leaf_g))
    assert (found.auc_ratio is not None) is figure
    assert figure or "not extrapolated" in found.why[0]


@pytest.mark.parametrize("product", ["kratom-extract", "7-hydroxymitragynine", "mitragynine"])
def test_products_that_were_never_studied_are_refused(product: str) -> None:
    with pytest.raises(CannotPredict, match="never studied"):
        tea_effect(knowledge(), victim=MIDAZOLAM, product=product)


def test_no_effect_on_cyp2d6_is_claimed() -> None:
    found = tea_effect(knowledge(), victim={"id": "desipramine", "pathways": {"CYP2D6": 1.0}})
    assert found.auc_ratio == 1
    assert found.low < 1 < found.high < 1.25
    mostly = {"id": "dextromethorphan", "pathways": {"CYP2D6": 0.95, "CYP3A4": 0.05}, "hepatic_extraction": 0.6}
    found = tea_effect(knowledge(), victim=mostly)
    assert found.auc_ratio == pytest.approx(0.99, abs=0.05)  # Tanna 2023: 0.99 (0.83-1.19)


def test_an_unknown_gut_availability_widens_the_interval_and_says_so() -> None:
    unknown = {k: v for k, v in MIDAZOLAM.items() if k != "gut_availability"}
    wide, known = (tea_effect(knowledge(), victim=v) for v in (unknown, MIDAZOLAM))
    assert wide.high / wide.low > 1.3 * known.high / known.low
    assert any("gut availability" in why for why in wide.why)


BAD = [
    ({"lag_h": math.nan}, "lag"),
    ({"lag_h": 1e9}, "lag"),
    ({"dose_mg": -1.0}, "dose"),
    ({"dose_mg": math.inf}, "dose"),
    ({"victim": MIDAZOLAM | {"gut_availability": 0.0}}, "gut availability"),
    ({"victim": MIDAZOLAM | {"hepatic_extraction": 1.0}}, "hepatic extraction"),
]


@pytest.mark.parametrize(("change", "what"), BAD)
def test_bad_input_is_one_clear_error(change: dict, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        tea_effect(knowledge(), **({"victim": MIDAZOLAM} | change))


def test_the_plasma_curve_of_every_draw_has_the_published_peak_and_area() -> None:
    ka = np.array([0.5, 0.8, 1.2, 2.0, 2.5])
    rate, fast, slow = tea._plasma(knowledge(), ka)
    beta, t = math.log(2) / 45.3, np.linspace(0, 800, 400_001)[:, None]
    curve = fast * np.exp(-rate * t) + slow * np.exp(-beta * t) - (fast + slow) * np.exp(-ka * t)
    assert curve.max(axis=0) * 1000 == pytest.approx(81.9, rel=1e-3)
    assert t[curve.argmax(axis=0), 0] == pytest.approx(1.0, abs=0.01)
    assert np.trapezoid(curve, t, axis=0) * 1000 == pytest.approx(420, rel=1e-3)
    assert (slow > 0).all()  # the tea's two compartments both hold something


@pytest.mark.parametrize("draw", [0, 17, 400, 799])
@pytest.mark.parametrize("lag", [-1.0, 0.0, 24.0])
def test_enzyme_and_medicine_together_are_followed_as_solve_ivp_follows_them(draw: int, lag: float) -> None:
    draws = tea._draw(knowledge(), MIDAZOLAM)
    d = {name: getattr(draws, name)[draw] for name in draws.__slots__ if name != "plasma"}
    rate, fast, slow = (column[draw] for column in draws.plasma)
    beta, amount = math.log(2) / 45.3, 39 / 398.5 * 1000 * d["absorbed"]
    full = d["extraction"] / (1 - d["extraction"])

    def slope(t: float, y: np.ndarray, tea_taken: bool) -> list[float]:
        gut_e, liver_e, amount_in, _, _ = y
        on = tea_taken and t >= 0
        pulse = d["ka"] * amount * math.exp(-d["ka"] * max(t, 0)) if on else 0.0
        gut_i = d["fu_enterocyte"] * pulse / 18
        plasma = fast * math.exp(-rate * max(t, 0)) + slow * math.exp(-beta * max(t, 0))
        plasma -= (fast + slow) * math.exp(-d["ka"] * max(t, 0))
        liver_i = d["fu_plasma"] * (max(plasma, 0) * on + d["own_fg"] * pulse / (97 * d["blood_plasma"]))
        gut_a, liver_a = (e / (1 + i / d["reversible_ki"]) for e, i in ((gut_e, gut_i), (liver_e, liver_i)))
        intrinsic = 0.07 + 0.93 * liver_a
        escapes = (1 + full) / (1 + full * intrinsic)
        comes = d["victim_ka"] * math.exp(-d["victim_ka"] * (t - lag)) if t >= lag else 0.0
        through = 1 / (d["fg"] + (1 - d["fg"]) * gut_a)
        return [
            d["kdeg_gut"] * (1 - gut_e) - gut_e * d["kinact_gut"] * gut_i / (d["ki_gut"] + gut_i),
            d["kdeg_liver"] * (1 - liver_e) - liver_e * d["kinact_liver"] * liver_i / (d["ki_liver"] + liver_i),
            comes * through * escapes - d["victim_k"] * intrinsic * escapes * amount_in,
            amount_in,
            comes * through,
        ]

    def run(tea_taken: bool) -> np.ndarray:
        y = np.array([1.0, 1.0, 0.0, 0.0, 0.0])
        stops = sorted({min(lag, 0.0), 0.0, lag, lag + 60})
        for start, end in pairwise(stops):
            eps = 1e-12
            y = solve_ivp(slope, (start + eps, end), y, args=(tea_taken,), method="LSODA", rtol=1e-9, atol=1e-12).y[
                :, -1
            ]
        return y

    with_tea, without = run(True), run(False)
    edges = np.concatenate([tea._edges(240.0, tea.TEA_EDGES), lag + tea._edges(60.0, tea.VICTIM_EDGES)])
    left = tea._enzymes(knowledge(), draws, 39.0, edges)
    found = tea._medicine(MIDAZOLAM, draws, left, lag, 60.0)
    assert found.auc[draw] == pytest.approx(with_tea[3] / without[3], rel=2e-4)
    assert found.gut[draw] == pytest.approx(with_tea[4] / without[4], rel=2e-4)


def test_a_course_gives_the_same_at_edges_and_inside() -> None:
    steps = Steps.of(np.linspace(0, 10, 21))
    loss = 0.3 + 0.1 * np.sin(steps.times_h)[None, :]
    found = follow(steps, np.zeros_like(loss), loss, np.ones(1))
    inside = np.exp(-(0.3 * steps.times_h + 0.1 * (1 - np.cos(steps.times_h))))
    assert found.inside[0] == pytest.approx(inside, rel=1e-6)
    assert found.spent[0, -1] == pytest.approx(3 + 0.1 * (1 - math.cos(10)), rel=1e-6)
