"""Model files: what they may say, whom a model speaks of, and the body it makes of a person."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from adjunct.base import BadInput, Refused, UnitError
from adjunct.knowledge import Knowledge
from adjunct.pharmacology import OutsideModel, UnknownModel
from adjunct.pharmacology.simulation.arithmetic import expression, measure, rescale, times_hours
from adjunct.pharmacology.simulation.body import body, concentrations, values
from adjunct.pharmacology.simulation.models import Model, Person, drug_named, model, models_of, read_model, route_named
from adjunct.pharmacology.simulation.regimen import Administration, Repeat

# A small model with every part a file may have. One compartment, 10 L and 5 L/h for 70 kg, half of an oral dose
# absorbed, a metabolite twice as heavy, an effect site.
SMALL: dict[str, Any] = {
    "id": "Small_2000_example",
    "title": "An example",
    "drug": "example",
    "analytes": [
        {"name": "example", "compartment": "central", "volume": "v", "unit": "ng/mL", "molar_mass": 200.0},
        {"name": "heavy", "compartment": "heavy", "volume": "v_heavy", "unit": "nmol/L", "molar_mass": 400.0},
    ],
    "source": "small-2000",
    "locator": "Table 1",
    "read_as": "full",
    "read_note": "made up",
    "status": "verified",
    "population": "nobody",
    "file": "models/Small_2000_example.toml",
    "compartments": ["gut", "central", "heavy", "effect"],
    "parameter": [
        {"name": "cl_70", "value": 5000.0 / 60, "unit": "mL/min", "locator": "T1"},
        {"name": "v_70", "value": 10.0, "unit": "L", "locator": "T1"},
        {"name": "v_heavy", "value": 1.0, "unit": "L", "locator": "T1"},
        {"name": "f", "value": 0.5, "unit": "1", "locator": "T1"},
        {"name": "ka", "value": 2.0, "unit": "/h", "locator": "T1"},
        {"name": "twice", "value": 2.0, "unit": "1", "locator": "T1"},
        {"name": "k_heavy", "value": 3.0, "unit": "/h", "locator": "T1"},
        {"name": "ke0", "value": 0.1, "unit": "/min", "locator": "T1"},
        {"name": "size", "value": 70.0, "unit": "kg", "locator": "T1"},
        {"name": "wait", "value": 15.0, "unit": "min", "locator": "T1"},
    ],
    "derived": [{"name": "cl", "as": "cl_70 * weight / size"}, {"name": "v", "as": "v_70 * (weight / size) ** 1"}],
    "covariate": [
        {"name": "weight", "unit": "kg", "reference": 70.0, "required": True, "range": [40.0, 120.0]},
        {"name": "age", "unit": "a", "reference": 45.0, "range": [18.0, 65.0]},
        {"name": "smoker", "unit": "1", "reference": 0.0},
    ],
    "flow": [
        {"from": "gut", "to": "central", "rate": "ka"},
        {"from": "central", "to": "heavy", "rate": "cl / v", "mass_ratio": "twice"},
        {"from": "heavy", "rate": "k_heavy"},
        {"from": "central", "to": "effect", "rate": "ke0", "drains": False},
        {"from": "effect", "rate": "ke0"},
    ],
    "route": [
        {"name": "iv", "doses_mg": [1.0, 100.0], "max_over": "2 h", "input": [{"into": "central"}]},
        {
            "name": "oral",
            "doses_mg_kg": [0.1, 1.0],
            "single": True,
            "input": [{"into": "gut", "fraction": "f", "lag": "wait"}],
        },
        {
            "name": "nasal",
            "device_mg": 28.0,
            "device_gap_min": 5.0,
            "input": [{"into": "central", "fraction": "f", "later": "f * f"}],
        },
    ],
    "variability": [
        {"parameter": "cl_70", "form": "lognormal", "cv": 0.3, "locator": "T1"},
        {"parameter": "v_70", "form": "lognormal", "sd_log": 0.2, "locator": "T1"},
        {"parameter": "f", "form": "logit", "sd": 0.5, "locator": "T1"},
        {"parameter": "ka", "form": "normal", "sd": 0.4, "locator": "T1"},
    ],
    "correlation": [{"between": ["cl_70", "v_70"], "value": 0.5, "locator": "T1"}],
}
ADULT = Person(70.0, 45.0)


def changed(**parts: Any) -> Model:
    return read_model(SMALL | parts)


@pytest.fixture(scope="module")
def small() -> Model:
    return read_model(SMALL)


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


# --- arithmetic and units ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + b * a", 8.0),
        ("(a + b) / a", 2.5),
        ("-a ** b", -8.0),
        ("1 - a", -1.0),
        ("max(a, b, 1)", 3.0),
        ("min(a, b)", 2.0),
        ("+a", 2.0),
    ],
)
def test_arithmetic_means_what_it_says(text: str, value: float) -> None:
    assert expression(text, "here").value({"a": 2.0, "b": 3.0}.__getitem__) == value


def test_arithmetic_works_person_by_person() -> None:
    ages = np.array([50.0, 70.0])
    found = expression("max(age - limit, limit - limit)", "here").value({"age": ages, "limit": 60.0}.__getitem__)
    assert np.asarray(found).tolist() == [0.0, 10.0]


@pytest.mark.parametrize(
    "text",
    [
        "2 * a",
        "a if b else 1",
        "__import__('os')",
        "a.real",
        "abs(a)",
        "a < b",
        "a[b]",
        "",
        "a b",
        "min(a, key=b)",
        "True",
    ],
)
def test_anything_else_in_a_file_is_refused_and_names_it(text: str) -> None:
    with pytest.raises(Refused, match=r"models/x\.toml"):
        expression(text, "models/x.toml")


@pytest.mark.parametrize(
    ("unit", "factor", "powers"),
    [
        ("L", 1, {"L": 1}),
        ("mL", 1e-3, {"L": 1}),
        ("/min", 60, {"h": -1}),
        ("min", 1 / 60, {"h": 1}),
        ("mL/min/kg", 0.06, {"L": 1, "h": -1, "kg": -1}),
        ("ng/mL", 1e-3, {"mg": 1, "L": -1}),
        ("ng.h/mL", 1e-3, {"mg": 1, "L": -1, "h": 1}),
        ("g", 1000, {"mg": 1}),
        ("1", 1, {}),
        ("%", 0.01, {}),
        ("a", 24 * 365.25, {"h": 1}),
    ],
)
def test_a_built_unit_is_read_into_litres_hours_and_milligrams(
    unit: str, factor: float, powers: dict[str, int]
) -> None:
    assert measure(unit) == (pytest.approx(factor, rel=1e-14), powers)


@pytest.mark.parametrize("unit", ["", "stone", "L//h", "mm[Hg]", "L h"])
def test_a_unit_that_has_no_place_in_a_model_is_refused(unit: str) -> None:
    with pytest.raises(UnitError):
        measure(unit)


def test_areas_of_mass_and_of_amount_convert_by_the_molar_mass() -> None:
    assert rescale(420, "nmol.h/L", "ng.h/mL", 398.5) == pytest.approx(167.37)
    assert times_hours("nmol/L") == "nmol.h/L"
    with pytest.raises(UnitError):
        rescale(1, "nmol/L", "ng/mL")
    with pytest.raises(UnitError):
        rescale(1, "ng.h/mL", "ng/mL", 398.5)


# --- what a file may say ----------------------------------------------------------------------------------------------


def test_parameters_are_read_into_litres_and_hours(small: Model) -> None:
    assert small.parameters["cl_70"] == pytest.approx(5.0)
    assert small.parameters["ke0"] == pytest.approx(6.0)
    assert small.parameters["wait"] == 0.25


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"flow": [{"from": "central", "rate": "nothing"}]}, "nothing is named 'nothing'"),
        ({"flow": [{"from": "brain", "rate": "ka"}]}, "brain"),
        ({"flow": [{"from": "central", "rate": "0 - ka"}]}, "not a finite number"),
        ({"flow": [{"from": "central", "rate": "ka / (ka - ka)"}]}, "not a finite number"),
        ({"derived": [{"name": "cl", "as": "cl_70"}, {"name": "v", "as": "f - f"}]}, "not a finite number"),
        ({"derived": [{"name": "cl", "as": "v"}, {"name": "v", "as": "cl"}]}, "circle"),
        ({"parameter": [{"name": "v", "value": 1.0, "unit": "stone", "locator": "T"}]}, "stone"),
        ({"variability": [{"parameter": "ka", "form": "odd", "sd": 1.0, "locator": "T"}]}, "odd"),
        ({"variability": [{"parameter": "ka", "form": "logit", "locator": "T"}]}, "sd"),
        ({"correlation": [{"between": ["cl_70", "brain"], "value": 0.5, "locator": "T"}]}, "brain"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused_and_named(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says) as error:
        levels(parts, "iv", 10, [0.0])
    assert "Small_2000_example" in str(error.value)


def test_correlations_that_contradict_each_other_are_refused() -> None:
    pairs = [(["cl_70", "v_70"], 0.9), (["v_70", "ka"], 0.9), (["cl_70", "ka"], -0.9)]
    with pytest.raises(Refused, match="contradict"):
        changed(correlation=[{"between": b, "value": v, "locator": "T"} for b, v in pairs])


# --- whom and what a model speaks of ----------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [40.0, 70.0, 120.0])
@pytest.mark.parametrize("age", [18.0, 65.0, None])
def test_inside_its_people_a_model_answers(small: Model, weight: float, age: float | None) -> None:
    assert small.covered(Person(weight, age))["weight"] == weight
    assert small.assumed(Person(weight, None)) == {"age": 45.0, "smoker": 0.0}


@pytest.mark.parametrize(
    ("person", "says"),
    [
        (Person(39.9, 45), "weight 39.9 kg is outside Small_2000_example, which covers weight 40 to 120 kg"),
        (Person(120.1, 45), "weight 120.1 kg is outside"),
        (Person(70, 17.9), "age 17.9 years is outside"),
        (Person(70, 66), "which covers age 18 to 65 years"),
    ],
)
def test_outside_its_people_it_says_who_they_were(small: Model, person: Person, says: str) -> None:
    with pytest.raises(OutsideModel, match=says):
        small.covered(person)


@pytest.mark.parametrize("said", [2, 0.5, -1])
def test_a_yes_or_no_is_nothing_between(small: Model, said: float) -> None:
    with pytest.raises(BadInput, match=r"is neither yes nor no: give 1 or 0"):
        small.covered(Person(70, 45, {"smoker": said}))
    for answer in (0, 1):
        assert small.covered(Person(70, 45, {"smoker": answer}))["smoker"] == answer


def test_a_model_asks_for_what_it_needs(small: Model) -> None:
    with pytest.raises(BadInput, match="needs the weight in kg: add --weight") as error:
        small.covered(Person(None, 45))
    assert not isinstance(error.value, OutsideModel)


@pytest.mark.parametrize(
    ("weight", "age", "others"),
    [
        (0, 45, {}),
        (-70, 45, {}),
        (math.nan, 45, {}),
        (math.inf, 45, {}),
        (70, -1, {}),
        (70, math.nan, {}),
        (70, 4, {"x": math.nan}),
    ],
)
def test_nobody_weighs_nothing(weight: float, age: float, others: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        Person(weight, age, others)


@pytest.mark.parametrize("mg", [1.0, 50.0, 100.0])
def test_a_studied_dose_is_answered(small: Model, mg: float) -> None:
    assert small.course(mg, small.route("iv"), over_h=2.0) == (Administration(0, mg, 2.0),)


@pytest.mark.parametrize(
    ("mg", "route", "more", "says"),
    [
        (0.99, "iv", {}, "1 to 100 mg"),
        (100.1, "iv", {}, "1 to 100 mg"),
        (50, "iv", {"over_h": 2.1}, "infusions up to 2 h"),
        (6.9, "oral", {"weight_kg": 70}, "0.1 to 1 mg/kg"),
        (71, "oral", {"weight_kg": 70}, "0.1 to 1 mg/kg"),
        (35, "oral", {"weight_kg": 70, "repeat": Repeat(24, 2)}, "single doses"),
    ],
)
def test_a_dose_nobody_studied_is_outside(small: Model, mg: float, route: str, more: dict[str, Any], says: str) -> None:
    with pytest.raises(OutsideModel, match=says):
        small.course(mg, small.route(route), **more)


def test_what_is_swallowed_is_not_infused(small: Model) -> None:
    with pytest.raises(BadInput, match="leave out --over"):
        small.course(35, small.route("oral"), weight_kg=70, over_h=1)


def test_a_route_nobody_studied_is_outside_and_an_unknown_one_is_an_error(small: Model) -> None:
    with pytest.raises(OutsideModel, match="iv, oral, nasal"):
        small.route("rectal")
    assert (route_named("Intravenous"), route_named("intranasal"), route_named("IV")) == ("iv", "nasal", "iv")
    with pytest.raises(BadInput, match="one of iv, im, sc"):
        route_named("ear")


def test_a_model_whose_structure_was_not_published_is_not_run() -> None:
    with pytest.raises(OutsideModel, match="not published"):
        changed(complete=False).route("iv")


# --- the body ---------------------------------------------------------------------------------------------------------


def levels(
    made: Model | dict[str, Any], route: str, mg: float, times: list[float], person: Person = ADULT
) -> dict[str, list[float]]:
    made = made if isinstance(made, Model) else changed(**made)
    typical = values(made, person)
    people = body(made, typical, made.routes[route], made.course(mg, made.routes[route], weight_kg=70), typical)
    return {k: v[0].tolist() for k, v in concentrations(people, list(people.concentrations), np.array(times)).items()}


def test_a_bolus_into_one_compartment_is_what_a_textbook_says(small: Model) -> None:
    found = levels(small, "iv", 10, [0.0, 1.0, 2.0])["example"]
    assert found == pytest.approx([1000, 1000 * math.exp(-0.5), 1000 * math.exp(-1)], rel=1e-13)


def test_a_metabolite_has_its_own_mass_and_its_own_unit(small: Model) -> None:
    k, kh = 0.5, 3.0
    mg_per_litre = 10 * 2 * k / (kh - k) * (math.exp(-k) - math.exp(-kh))  # each mg becomes two, in 1 L
    assert levels(small, "iv", 10, [1.0])["heavy"] == pytest.approx([mg_per_litre * 1e6 / 400], rel=1e-13)


def test_an_absorbed_dose_waits_for_its_lag_and_loses_its_share(small: Model) -> None:
    ka, k, t = 2.0, 0.5, 1.0
    expected = 1000 * 10 * 0.5 / 10 * ka / (ka - k) * (math.exp(-k * t) - math.exp(-ka * t))
    found = levels(small, "oral", 10, [0.2, 0.25, 1.25])["example"]
    assert found == pytest.approx([0, 0, expected], rel=1e-13, abs=1e-12)


def test_the_second_device_has_its_own_share(small: Model) -> None:
    first = levels(small, "nasal", 28, [0.0])["example"][0]
    both = levels(small, "nasal", 56, [5 / 60])["example"][0]
    assert first == pytest.approx(1000 * 28 * 0.5 / 10)
    assert both == pytest.approx(first * math.exp(-0.5 * 5 / 60) + 1000 * 28 * 0.25 / 10)


def test_an_effect_site_follows_the_blood_and_takes_nothing_from_it() -> None:
    seen = changed(
        analytes=[SMALL["analytes"][0], {"name": "site", "compartment": "effect", "volume": "v", "unit": "ng/mL"}]
    )
    found = levels(seen, "iv", 10, [1.0])
    assert found["example"] == pytest.approx([1000 * math.exp(-0.5)], rel=1e-13)
    assert found["site"] == pytest.approx([1000 * 6 / 5.5 * (math.exp(-0.5) - math.exp(-6))], rel=1e-12)


def test_weight_scales_what_the_file_says_it_scales(small: Model) -> None:
    assert levels(small, "iv", 10, [0.0], Person(105, 45))["example"] == pytest.approx([1000 / 1.5])


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_model_is_found_whatever_its_case_and_a_drug_by_any_name(knowledge: Knowledge) -> None:
    assert model(knowledge, "perezruixo_2021_ESKETAMINE").id == "PerezRuixo_2021_esketamine"
    assert {drug_named(knowledge, n) for n in ("S-ketamine", "Spravato", "esketamine")} == {"esketamine"}
    assert drug_named(knowledge, "Racemic ketamine") == "ketamine"


def test_an_unknown_model_names_what_comes_close(knowledge: Knowledge) -> None:
    with pytest.raises(UnknownModel, match="PerezRuixo_2021_esketamine"):
        model(knowledge, "PerezRuixo_2020_esketamine")
    with pytest.raises(UnknownModel, match="models exist for"):
        drug_named(knowledge, "qqqq")


def test_isomer_and_racemate_are_different_drugs(knowledge: Knowledge) -> None:
    assert {m.drug for m in models_of(knowledge, "ketamine")} == {"ketamine"}
    assert not {m.id for m in models_of(knowledge, "ketamine")} & {m.id for m in models_of(knowledge, "esketamine")}
