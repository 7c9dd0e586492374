"""What a dose leads to: published tables rebuilt, the envelope over models, one clear error for each wrong question."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from adjunct.base import AdjunctError, BadInput
from adjunct.knowledge import Knowledge
from adjunct.pharmacology import OutsideModel, UnknownModel
from adjunct.pharmacology.simulation import simulate
from adjunct.pharmacology.simulation.body import body, values
from adjunct.pharmacology.simulation.models import Person, model, models_of
from adjunct.pharmacology.simulation.population import summaries
from adjunct.pharmacology.simulation.regimen import Administration, Repeat, Segment, infusion, paused
from adjunct.pharmacology.simulation.result import AnalyteExposure, Band, Curve, Exposure, envelope
from adjunct.pharmacology.simulation.rhythm import Rhythm
from adjunct.pharmacology.simulation.tables import all_checks, validate
from adjunct.pharmacology.simulation.times import hours_above, refined, time_grid

PEREZ = "PerezRuixo_2021_esketamine"
INFUSION: dict[str, Any] = {"dose": "0.5 mg/kg", "over": "40 min", "route": "iv", "weight_kg": 70}
SPRAY: dict[str, Any] = {"dose": "56 mg", "route": "nasal", "weight_kg": 70}


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


def typical(found: Exposure, analyte: str, metric: str) -> float:
    return found.analytes[analyte].metrics[metric].typical


# --- published tables -------------------------------------------------------------------------------------------------

# Perez-Ruixo 2021, doi:10.1007/s40262-020-00953-4, Table 4: 18-60 years, Caucasian, intranasal, typical person
TABLE_4 = [  # dose, esketamine Cmax ng/mL and AUC0-24 ng.h/mL, noresketamine Cmax
    ("28 mg", 43.8, 147.3, 59.1),
    ("56 mg", 72.5, 254.7, 119.7),
    ("84 mg", 101.0, 362.2, 180.0),
]


@pytest.mark.parametrize(("dose", "cmax", "auc24", "nor_cmax"), TABLE_4)
def test_rebuilds_the_nasal_table(knowledge: Knowledge, dose: str, cmax: float, auc24: float, nor_cmax: float) -> None:
    found = simulate(knowledge, PEREZ, dose=dose, route="nasal", weight_kg=70, age_a=45, hours=24)
    assert typical(found, "esketamine", "cmax") == pytest.approx(cmax, rel=0.01)
    assert typical(found, "esketamine", "auc_last") == pytest.approx(auc24, rel=0.01)
    assert typical(found, "noresketamine", "cmax") == pytest.approx(nor_cmax, rel=0.01)


# opentiva 1.1.2, re-computed: 35 mg over 40 min, 70 kg; peak, 80 min, 230 min (ng/mL)
OPENTIVA = [
    ("Domino_1984_ketamine", 240, 46, 18),
    ("Clements_1981_ketamine", 177, 85, 36),
    ("Hijazi_2003_ketamine", 225, 46, 5),
    ("Kamp_2020_ketamine", 253, 74, 27),
]


@pytest.mark.parametrize(("name", "peak", "at_80_min", "at_230_min"), OPENTIVA)
def test_agrees_with_another_program(
    knowledge: Knowledge, name: str, peak: float, at_80_min: float, at_230_min: float
) -> None:
    first = simulate(knowledge, name, **INFUSION).models[0]
    assert first.id == name
    curve = first.analytes["ketamine"].curve
    assert first.analytes["ketamine"].metrics["cmax"].typical == pytest.approx(peak, abs=0.5)
    found = np.interp([80 / 60, 230 / 60], curve.time_h, curve.typical)
    assert found == pytest.approx([at_80_min, at_230_min], abs=0.6)


def test_every_published_table_is_rebuilt_or_its_gap_is_named(knowledge: Knowledge) -> None:
    checks = all_checks(knowledge)
    assert len(checks) > 100
    assert [(c.model, c.id, c.percent, c.why) for c in checks if c.status not in ("ok", "expected gap")] == []
    assert all(c.note for c in checks if c.status == "expected gap")


def test_the_noresketamine_gap_is_published(knowledge: Knowledge) -> None:
    gaps = [c for c in validate(knowledge, PEREZ) if c.analyte == "noresketamine" and c.metric == "auc_0_24"]
    assert len(gaps) >= 3
    assert all(c.status == "expected gap" and c.percent is not None and c.percent > 30 for c in gaps)


# --- the answer -------------------------------------------------------------------------------------------------------


def test_the_json_has_the_keys_that_others_rest_on(knowledge: Knowledge) -> None:
    answer = json.loads(simulate(knowledge, "ketamine", **INFUSION, n=50, seed=1).to_json())
    assert {"drug", "route", "dose", "person", "seed", "n", "knowledge", "analytes", "models", "refused"} <= set(answer)
    assert set(answer["knowledge"]) == {"version", "as_of"}
    for found in (answer, *answer["models"]):
        for analyte in found["analytes"].values():
            assert {"time_h", "typical", "p5", "p95", "unit"} <= set(analyte["curve"])
            assert {"cmax", "tmax", "auc_inf", "auc_last", "half_life"} <= set(analyte["metrics"])
            assert all({"typical", "p5", "p95", "unit"} <= set(m) for m in analyte["metrics"].values())
    assert all(
        {"id", "analytes", "title", "source", "population", "gaps", "status"} <= set(m) for m in answer["models"]
    )
    assert all(set(r) == {"model", "why"} for r in answer["refused"])
    assert "NaN" not in simulate(knowledge, "ketamine", **INFUSION).to_json()


def test_a_drug_runs_every_valid_model_and_says_why_others_are_not(knowledge: Knowledge) -> None:
    found = simulate(knowledge, "ketamine", **INFUSION, age_a=45)
    ran, refused = {m.id for m in found.models}, {r.model: r.why for r in found.refused}
    assert {name for name, *_ in OPENTIVA} <= ran
    assert "age" in refused["Hornik_2018_ketamine"]  # children only: never for a grown person
    assert ran | set(refused) == {m.id for m in models_of(knowledge, "ketamine")}
    assert all("_ketamine" in name for name in ran)  # esketamine is another drug


@pytest.mark.parametrize("asked", ["ketamine", "Domino_1984_ketamine", "Kamp_2020_ketamine"])
def test_a_single_line_is_never_shown_alone(knowledge: Knowledge, asked: str) -> None:
    found = simulate(knowledge, asked, **INFUSION)
    shown = found.analytes["ketamine"]
    assert len(found.models) > 1
    assert found.models[0].id == asked or asked == "ketamine"
    lines = [m.analytes["ketamine"].curve.typical for m in found.models]
    assert shown.curve.typical == pytest.approx(np.median(lines, axis=0).tolist())
    assert shown.curve.low == tuple(np.min(lines, axis=0).tolist())
    assert shown.curve.high == tuple(np.max(lines, axis=0).tolist())
    peaks = [m.analytes["ketamine"].metrics["cmax"].typical for m in found.models]
    assert shown.metrics["cmax"].typical == pytest.approx(float(np.median(peaks)))


@pytest.mark.parametrize("name", ["esketamine", "S-ketamine", "Spravato"])
def test_a_drug_may_be_called_by_any_of_its_names(knowledge: Knowledge, name: str) -> None:
    assert simulate(knowledge, name, **SPRAY).drug == "esketamine"


def curve_of(level: float, p5: float | None, p95: float | None, unit: str = "ng/mL") -> AnalyteExposure:
    band = Band(level, p5, p95, unit)
    one = lambda v: None if v is None else (v,)  # noqa: E731
    return AnalyteExposure(Curve((0.0,), (level,), one(p5), one(p95), unit), {"cmax": band}, 500.0)


def test_the_envelope_is_median_least_and_greatest_and_null_where_nothing_was_published() -> None:
    known, wide, unknown = curve_of(10, 8, 12), curve_of(20, 5, 40), curve_of(90, None, None)
    found = envelope([{"a": known}, {"a": wide}, {"a": unknown, "b": unknown}, {"b": unknown}])
    assert found["a"].metrics["cmax"] == Band(20, 5, 40, "ng/mL", low=10, high=90)
    assert (found["a"].curve.typical, found["a"].curve.p5, found["a"].curve.p95) == ((20,), (5,), (40,))
    assert (found["b"].curve.p5, found["b"].metrics["cmax"].p95) == (None, None)


def test_the_envelope_counts_in_one_unit() -> None:
    found = envelope([{"a": curve_of(10, 8, 12)}, {"a": curve_of(40, 36, 44, "nmol/L")}])["a"]
    assert found.metrics["cmax"].typical == pytest.approx((10 + 20) / 2)
    assert found.curve.p95 == pytest.approx((22,))


# --- people -----------------------------------------------------------------------------------------------------------


def test_nobody_asks_for_people_and_a_band_is_shown_where_differences_were_published(knowledge: Knowledge) -> None:
    alone = simulate(knowledge, PEREZ, **SPRAY)
    assert (alone.n, alone.seed) == (100, 1)
    assert alone.analytes == simulate(knowledge, PEREZ, **SPRAY, n=100, seed=1).analytes
    for found in alone.analytes.values():
        assert found.curve.p5 is not None
        assert found.curve.p95 is not None
        assert all(band.p5 is not None and band.p5 < band.p95 for band in found.metrics.values() if band.p95)
    assert simulate(knowledge, PEREZ, **SPRAY, seed=2).analytes != alone.analytes


def test_percentiles_are_null_where_no_differences_were_published(knowledge: Knowledge) -> None:
    nobody = simulate(knowledge, "ketamine", **INFUSION)
    assert (nobody.n, nobody.seed) == (None, None)
    assert nobody.analytes["ketamine"].curve.p5 is None
    many = simulate(knowledge, "Domino_1984_ketamine", **INFUSION, n=20, seed=3)
    assert (many.n, many.seed) == (20, 3)
    assert many.models[0].analytes["ketamine"].metrics["cmax"].p5 is None
    assert any("no differences" in note for note in many.models[0].notes)


def test_percentiles_lie_around_the_typical_person_and_follow_the_seed(knowledge: Knowledge) -> None:
    one, again, other = (simulate(knowledge, PEREZ, **SPRAY, n=300, seed=seed) for seed in (1, 1, 2))
    assert one.to_json() == again.to_json()
    assert one.analytes["esketamine"].curve.p5 != other.analytes["esketamine"].curve.p5
    for found in one.analytes.values():
        assert found.curve.p5 is not None
        assert found.curve.p95 is not None
        lines = np.array([found.curve.p5, found.curve.typical, found.curve.p95])
        assert (np.diff(lines[:, 1:], axis=0) > 0).all()
        for name, band in found.metrics.items():
            assert band.p5 is not None and band.p95 is not None and band.p5 < band.p95, name  # noqa: PT018


def test_threads_do_not_change_an_answer(knowledge: Knowledge) -> None:
    one, two = (simulate(knowledge, PEREZ, **SPRAY, n=200, seed=1, threads=threads) for threads in (1, 3))
    assert one.to_json() == two.to_json()


# --- courses ----------------------------------------------------------------------------------------------------------


def test_a_missed_dose_is_missing(knowledge: Knowledge) -> None:
    whole = simulate(knowledge, PEREZ, **SPRAY, repeat="2x/week for 2 weeks")
    missed = simulate(knowledge, PEREZ, **SPRAY, repeat="2x/week for 2 weeks", missed=[2])
    assert typical(missed, "esketamine", "auc_inf") == pytest.approx(typical(whole, "esketamine", "auc_inf") * 3 / 4)
    assert 84.0 not in [a["start_h"] for a in missed.models[0].administrations]
    assert missed.hours == 336


def test_steady_state_is_what_a_long_course_comes_to(knowledge: Knowledge) -> None:
    found = simulate(knowledge, PEREZ, **SPRAY, repeat="every 8 h for 60 d").analytes["noresketamine"]
    last = [c for t, c in zip(found.curve.time_h, found.curve.typical, strict=True) if 1432 <= t <= 1440]
    ss = {name: found.metrics[name].typical for name in ("cmax_ss", "ctrough_ss", "auc_tau_ss", "accumulation")}
    assert found.metrics["cmax"].typical == pytest.approx(ss["cmax_ss"], rel=1e-9)
    assert 1 < found.metrics["tmax"].typical < 2  # hours after a dose, whichever
    assert last[-1] == pytest.approx(ss["ctrough_ss"], rel=1e-9)
    once = simulate(knowledge, PEREZ, **SPRAY, hours=8).analytes["noresketamine"].metrics
    assert ss["auc_tau_ss"] == pytest.approx(once["auc_inf"].typical, rel=1e-12)
    assert ss["accumulation"] == pytest.approx(once["auc_inf"].typical / once["auc_last"].typical, rel=1e-12)


COURSES: list[tuple[str, dict[str, Any]]] = [
    (PEREZ, {"route": "nasal", "dose": "56 mg", "repeat": "every 8 h for 2 d"}),
    (PEREZ, {"route": "nasal", "dose": "56 mg", "repeat": "every 8 h for 3 d", "missed": [2, 5, 6]}),
    (PEREZ, {"route": "nasal", "dose": "84 mg", "repeat": "every 10 min for 1 h", "hours": 0.9}),
    (PEREZ, {"route": "nasal", "dose": "28 mg", "repeat": "every 8 h for 1 d", "missed": [3], "hours": 16.5}),
    ("ketamine", {"route": "iv", "dose": "20 mg", "over": "2 h", "repeat": "every 2 h for 8 h"}),
    ("Areberg_2006_escitalopram", {"route": "oral", "dose": "10 mg", "repeat": "every 12 h for 3 d", "missed": [6]}),
    ("Zhang_2024_sertraline", {"route": "oral", "dose": "100 mg", "repeat": "daily for 80 d", "missed": [1, 70]}),
]


@pytest.mark.parametrize(("name", "asked"), COURSES)
def test_what_a_rhythm_says_is_what_the_whole_course_says(
    knowledge: Knowledge, name: str, asked: dict[str, Any]
) -> None:
    """Peaks and areas by adding up doses, beside the kernel that goes through every dose in turn."""
    found = simulate(knowledge, name, **asked, weight_kg=70, n=1)
    for shown in found.models:
        of = model(knowledge, shown.id)
        typical_values = values(of, Person(70))
        numbered = of.course(
            found.dose["mg"],
            of.routes[asked["route"]],
            weight_kg=70,
            over_h=found.dose["over_h"] or 0,
            repeat=Repeat(found.dose["interval_h"], found.dose["doses"]),
            missed=asked.get("missed", ()),
        )
        people = body(of, typical_values, of.routes[asked["route"]], numbered, typical_values)
        for analyte, answer in shown.analytes.items():
            whole = summaries(people, analyte, found.hours)
            for slot in ("cmax", "auc_inf", "auc_last", "half_life"):
                assert answer.metrics[slot].typical == pytest.approx(float(whole[slot][0]), rel=1e-11), (analyte, slot)
            assert max(answer.curve.typical) <= answer.metrics["cmax"].typical * (1 + 1e-12)


def test_of_a_course_without_a_gap_only_the_last_dose_is_looked_at() -> None:
    dose = (Administration(0.0, 1.0),)
    assert Rhythm(dose, 8.0, tuple(range(500)), 4000.0).summits() == [(499, 8.0)]
    assert Rhythm(dose, 8.0, (0, 1, 2, 4, 5), 48.0).summits() == [
        (5, 8.0),
        (4, 8.0),
        (2, 16.0),
    ]  # after the gap a dose of another age
    assert Rhythm(dose, 8.0, (0, 1, 2), 17.0).summits() == [(2, 1.0), (1, 8.0)]  # the last is cut short
    assert Rhythm(dose, 8.0, (0,), 24.0).summits() == [(0, 24.0)]


def test_time_above_a_level_is_read_off_the_curve(knowledge: Knowledge) -> None:
    found = simulate(knowledge, PEREZ, **SPRAY, above="0.05 ug/mL", n=40, seed=1).analytes["esketamine"]
    grid = np.linspace(0, 24, 20_001)
    dense = hours_above(grid, np.interp(grid, found.curve.time_h, found.curve.typical)[None], 50.0)[0]
    band = found.metrics["time_above"]
    assert band.typical == pytest.approx(dense, abs=0.01)
    assert band.p5 is not None
    assert band.p5 < band.typical
    assert typical(simulate(knowledge, PEREZ, **SPRAY, above="1 g/L"), "esketamine", "time_above") == 0


def test_the_metabolite_ratio_is_one_of_areas(knowledge: Knowledge) -> None:
    found = simulate(knowledge, PEREZ, **SPRAY)
    areas = [typical(found, name, "auc_inf") for name in ("noresketamine", "esketamine")]
    assert typical(found, "noresketamine", "metabolite_ratio") == pytest.approx(areas[0] / areas[1])
    assert "metabolite_ratio" not in found.analytes["esketamine"].metrics


def test_a_plan_of_ones_own_may_pause_and_change_rate(knowledge: Knowledge) -> None:
    steady = infusion([Segment(2 / 3, 52.5)])
    held = paused(steady, 1 / 3, 0.5)
    whole, split = (
        simulate(knowledge, "ketamine", route="iv", weight_kg=70, plan=plan).models[0].analytes["ketamine"]
        for plan in (steady, held)
    )
    same = simulate(knowledge, "ketamine", **INFUSION).models[0].analytes["ketamine"]
    assert whole.metrics["cmax"].typical == pytest.approx(same.metrics["cmax"].typical)
    assert split.metrics["auc_inf"].typical == pytest.approx(whole.metrics["auc_inf"].typical)
    assert split.metrics["cmax"].typical < whole.metrics["cmax"].typical


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("starts", "events", "until"),
    [
        ([0.0], [2 / 3], 24.0),
        ([0.0], [], 0.01),
        ([0.0], [1e-7, 5e-7], 8760.0),
        ([84.0 * n for n in range(8)], [84.0 * n + 0.7 for n in range(8)], 672.0),
        ([8.0 * n for n in range(500)], [8.0 * n + 1 for n in range(500)], 4_000.0),
        ([3.0], [4.0], 5.0),
        ([24.0], [25.0], 24.5),
    ],
)
def test_a_grid_rises_from_zero_to_the_end_with_every_event(
    starts: list[float], events: list[float], until: float
) -> None:
    grid = time_grid(starts, events, until)
    assert (grid[0], grid[-1]) == (0, until)
    assert (np.diff(grid) > 0).all()
    assert 30 <= len(grid) <= 600
    kept = [t for t in (*starts, *events) if t <= until]
    assert len(kept) > 200 or set(kept) <= set(grid.tolist())
    assert set(grid.tolist()) <= set(refined(grid).tolist())


def test_a_peak_is_a_point_of_its_curve(knowledge: Knowledge) -> None:
    for m in simulate(knowledge, "ketamine", **INFUSION).models:
        found = m.analytes["ketamine"]
        assert max(found.curve.typical) == pytest.approx(found.metrics["cmax"].typical, rel=1e-12)


@pytest.mark.parametrize(
    ("line", "level", "hours"),
    [
        ([0, 2, 0], 1, 1.0),
        ([0, 2, 0], 2, 0.0),
        ([0, 2, 0], 3, 0.0),
        ([3, 3, 3], 1, 2.0),
        ([3, 3, 3], 3, 0.0),
        ([4, 0, 0], 1, 0.75),
    ],
)
def test_hours_above_a_level(line: list[float], level: float, hours: float) -> None:
    assert hours_above(np.array([0.0, 1.0, 2.0]), np.array([line], dtype=float), level)[0] == pytest.approx(hours)


# --- wrong questions --------------------------------------------------------------------------------------------------

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("ketamine", {"dose": "0.5"}, "no unit"),
    ("ketamine", {"dose": "0.5 mg/mL"}, "not an amount of drug"),
    ("ketamine", {"dose": "-35 mg"}, "more than zero"),
    ("ketamine", {"dose": "0 mg"}, "more than zero"),
    ("ketamine", {"dose": "35 kg"}, "not a plausible dose"),
    ("ketamine", {"dose": "500 mg/kg"}, "not a plausible dose"),
    ("ketamine", {"dose": "nan mg"}, "not an amount"),
    ("ketamine", {"dose": None}, "give a dose"),
    ("ketamine", {"weight_kg": None}, "--weight"),
    ("ketamine", {"weight_kg": 0}, "not possible"),
    ("ketamine", {"weight_kg": -70}, "not possible"),
    ("ketamine", {"weight_kg": math.nan}, "not a finite number"),
    ("ketamine", {"weight_kg": 700}, "weight 700 kg by route iv is outside all"),
    ("ketamine", {"age_a": math.inf}, "not a finite number"),
    ("ketamine", {"age_a": 200}, "age 200 years by route iv is outside all"),
    ("ketamine", {"route": "ear"}, "unknown route 'ear'"),
    ("ketamine", {"over": "25 h"}, "ask for more hours"),
    ("ketamine", {"over": "40"}, "no unit"),
    ("ketamine", {"over": ""}, "not an amount"),
    ("ketamine", {"repeat": ""}, "cannot read how often"),
    ("ketamine", {"above": ""}, "not an amount"),
    ("ketamine", {"dose": "0,5 mg/kg"}, "has a comma"),
    ("ketamine", {"dose": "1,000 mg"}, "has a comma"),
    ("ketamine", {"dose": "35 mL"}, "not an amount of drug"),
    ("ketamine", {"dose": "35 [iU]"}, "not an amount of drug"),
    ("ketamine", {"dose": "0.5 mg/kg/h", "over": None}, "say how long it runs"),
    (
        "ketamine",
        {"dose": "1e-12 mg/kg"},
        r"a dose of 1e-12 mg/kg .* Clements_1981_ketamine covers 0.05 to 1 mg/kg",
    ),
    ("ketamine", {"weight_kg": "70"}, "weight '70' is not a number"),
    ("ketamine", {"weight_kg": True}, "weight 'True' is not a number"),
    ("ketamine", {"hours": True}, "hours 'True' is not a number"),
    ("ketamine", {"hours": "24"}, "hours '24' is not a number"),
    ("ketamine", {"route": "im", "over": "10 min"}, "an infusion of 10 min .* infusions up to 1 min"),
    ("ketamine", {"repeat": "daily for 501 d"}, "501 doses: from 1 to 500"),
    ("ketamine", {"repeat": "daily for 2 d", "missed": [1, 2]}, "nothing is given"),
    ("ketamine", {"repeat": "daily for 2 d", "missed": ["x"], "age_a": 40}, "no such dose to miss: 'x'"),
    ("ketamine", {"over": "40 mg"}, "not a length of time"),
    ("ketamine", {"hours": 0}, "cannot be shown"),
    ("ketamine", {"hours": -1}, "cannot be shown"),
    ("ketamine", {"hours": math.nan}, "cannot be shown"),
    ("ketamine", {"hours": 1e9}, "cannot be shown"),
    ("ketamine", {"hours": 0.5}, "ask for more hours"),
    ("ketamine", {"n": 0}, "population of 0"),
    ("ketamine", {"n": 10**9}, "population of 1000000000"),
    ("ketamine", {"n": -5}, "population"),
    ("ketamine", {"n": 10, "seed": -1}, "seed"),
    ("ketamine", {"repeat": "sometimes"}, "cannot read how often"),
    ("ketamine", {"repeat": "daily for 3 d", "hours": 24}, "last dose is due at 48 h"),
    ("ketamine", {"repeat": "daily for 3 d", "missed": [4]}, "no such dose"),
    ("ketamine", {"repeat": "every 30 min for 2 h"}, "next is due after 0.5 h"),
    ("ketamine", {"above": "100"}, "no unit"),
    ("ketamine", {"above": "100 mg"}, "concentration|does not measure"),
    ("ketamine", {"covariates": {"weight": 70}}, "weight_kg"),
    ("ketamine", {"covariates": {"japanese": "yes"}}, "not understood"),
    ("ketamine", {"covariates": {"shoe_size": 43}}, "no model here knows 'shoe_size'"),
    ("ketamine", {"plan": [Administration(0, 35)]}, "give a dose"),
    ("ketamine", {"dose": None, "over": None, "plan": []}, "at least one administration"),
    (PEREZ, {"over": None, "route": "nasal", "dose": "42 mg"}, "not a whole number of 28-mg devices"),
    (PEREZ, {"route": "nasal", "dose": "56 mg"}, "leave out --over"),
    (PEREZ, {"over": None, "route": "nasal", "dose": "140 mg"}, "outside PerezRuixo_2021_esketamine"),
    (PEREZ, {"over": None, "route": "rectal", "dose": "56 mg"}, "route rectal is outside"),
    (PEREZ, {"over": None, "route": "nasal", "dose": "56 mg", "covariates": {"japanese": 2}}, "neither yes nor no"),
    (PEREZ, {"over": None, "route": "nasal", "dose": "56 mg", "covariates": {"japanese": 0.5}}, "neither yes nor no"),
    (PEREZ, {"over": None, "route": "nasal", "dose": "56 mg", "covariates": {"japanese": math.nan}}, "not a finite"),
]


@pytest.mark.parametrize(("name", "more", "says"), WRONG, ids=[f"{n}-{m}" for n, m, _ in WRONG])
def test_a_wrong_question_is_one_clear_error(knowledge: Knowledge, name: str, more: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as error:
        simulate(knowledge, name, **(INFUSION | more))
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("name", ["ketamin_2021", "PerezRuixo_2020_esketamine", "", "aspirin"])
def test_an_unknown_name_lists_what_comes_close(knowledge: Knowledge, name: str) -> None:
    with pytest.raises(UnknownModel, match="adjunct models"):
        simulate(knowledge, name, **INFUSION)


NOTHING: list[tuple[str, dict[str, Any], str]] = [
    (
        "ketamine",
        {"dose": "35 mg", "route": "buccal"},
        r"no model of ketamine is valid here: none covers route buccal; published .* iv, im$",
    ),
    ("ketamine", {"dose": "35 mg", "route": "oral"}, r"covers route oral"),
    ("ketamine", {"dose": "35 mg", "route": "iv", "weight_kg": None}, r"needs the weight in kg: add --weight$"),
    (
        "ketamine",
        {"dose": "35 mg", "route": "iv", "weight_kg": 300.0, "age_a": 40},
        r"weight 300 kg by route iv is outside all; Clements_1981_ketamine and 3 more cover weight 40 to 150 kg, Herd_",
    ),
    (
        "esketamine",
        {"dose": "56 mg", "route": "nasal", "weight_kg": 300.0},
        r"weight 300 kg is outside PerezRuixo_2021_esketamine, which covers weight 39 to 170 kg$",
    ),
]


@pytest.mark.parametrize(("drug", "asked", "says"), NOTHING)
def test_where_no_model_is_valid_the_most_useful_reason_is_given_in_short(
    knowledge: Knowledge, drug: str, asked: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadInput, match=says) as error:
        simulate(knowledge, drug, **({"weight_kg": 70.0} | asked))
    assert len(str(error.value)) < 250
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["kratom", "kratom-leaf", "kratom leaf", "ketum"])
def test_a_weight_of_kratom_is_no_dose(knowledge: Knowledge, name: str) -> None:
    with pytest.raises(UnknownModel, match=r"39 mg of mitragynine.* route tea, dose '39 mg'"):
        simulate(knowledge, name, route="tea", dose="2 g")


@pytest.mark.parametrize("name", ["kratom extract", "7-OH", "7-hydroxymitragynine"])
def test_an_extract_is_not_leaf(knowledge: Knowledge, name: str) -> None:
    with pytest.raises(UnknownModel, match=r"no study of levels in people was found"):
        simulate(knowledge, name, route="oral", dose="20 mg")


def test_the_tea_that_was_studied_can_be_asked_for_and_no_other(knowledge: Knowledge) -> None:
    found = simulate(knowledge, "mitragynine", route="tea", dose="39 mg")
    assert typical(found, "mitragynine", "cmax") == pytest.approx(81.9, rel=0.01)  # nmol/L, doi:10.3390/ph15030271
    with pytest.raises(OutsideModel, match="covers 39 mg by route tea"):
        simulate(knowledge, "mitragynine", route="tea", dose="80 mg")
    with pytest.raises(OutsideModel, match="single doses"):
        simulate(knowledge, "mitragynine", route="tea", dose="39 mg", repeat="daily for 3 d")


def test_two_models_of_the_same_data_count_once(knowledge: Knowledge) -> None:
    found = simulate(knowledge, "esketamine", route="iv", dose="0.25 mg/kg", over="40 min", weight_kg=70)
    shown = {m.id: m for m in found.models}
    fanta, otto = shown["Fanta_2015_esketamine"], shown["Otto_2021_esketamine"]
    assert (fanta.same_as, otto.same_as) == ("Otto_2021_esketamine", None)
    assert any("not counted again" in note for note in fanta.notes)
    lines = {m.id: m.analytes["esketamine"].curve.typical for m in found.models}
    counted = [line for name, line in lines.items() if name != fanta.id]
    assert found.analytes["esketamine"].curve.typical == pytest.approx(np.median(counted, axis=0).tolist())
    twice = np.median(list(lines.values()), axis=0).tolist()
    assert found.analytes["esketamine"].curve.typical != pytest.approx(twice, rel=1e-2)


def test_a_model_counts_where_the_one_of_the_same_data_does_not_run(
    knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [m for m in models_of(knowledge, "esketamine") if m.id != "Otto_2021_esketamine"]
    monkeypatch.setattr("adjunct.pharmacology.simulation.exposure.models_of", lambda *_: left)
    found = simulate(knowledge, "esketamine", **(INFUSION | {"dose": "0.25 mg/kg"}))
    assert next(m for m in found.models if m.id == "Fanta_2015_esketamine").same_as is None
    lines = [m.analytes["esketamine"].curve.typical for m in found.models]
    assert found.analytes["esketamine"].curve.typical == pytest.approx(np.median(lines, axis=0).tolist())


def cells(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from cells(each)
    elif isinstance(value, float):
        yield value


@pytest.mark.parametrize("weight", [1e-300, 1e-6, 39, 70, 170, 1e6, 1e300])
@pytest.mark.parametrize("dose", ["1e-300 mg", "1e-9 mg", "28 mg", "9999 mg"])
def test_whatever_is_asked_no_result_is_not_a_number(knowledge: Knowledge, weight: float, dose: str) -> None:
    for name, route in (("ketamine", "iv"), ("esketamine", "nasal"), ("esketamine", "iv"), ("esketamine", "oral")):
        try:
            found = simulate(knowledge, name, dose=dose, route=route, weight_kg=weight, hours=1e4)
        except AdjunctError:
            continue  # a refusal is an answer too
        numbers = list(cells(found.to_dict()))
        assert len(numbers) > 100
        assert all(map(math.isfinite, numbers))
