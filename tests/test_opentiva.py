"""Another program's ketamine: what opentiva 1.1.2 said of 0.5 mg/kg over 40 min, to nine digits.

`cases/opentiva_infusions.csv` was recorded from opentiva run apart from this project (its class, age, weight, minute,
ng/mL). A model is compared through its linear system, so that doses its paper does not cover can be compared too.
opentiva scales the flows of Kamp 2020 with weight, the paper with weight to the power 0.75: equal at 70 kg.
"""

from __future__ import annotations

import csv
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from adjunct.base import Floats
from adjunct.knowledge import Knowledge
from adjunct.pharmacology.simulation import simulate
from adjunct.pharmacology.simulation.body import body, concentrations, values
from adjunct.pharmacology.simulation.models import Person, model
from adjunct.pharmacology.simulation.regimen import Administration

RECORDED = (Path(__file__).parent / "cases/opentiva_infusions.csv").read_text(encoding="utf-8").splitlines()
SETS = {
    case: [(float(row["minute"]), float(row["ng_ml"])) for row in rows]
    for case, rows in groupby(
        csv.DictReader(RECORDED), lambda row: (row["model"], float(row["age_a"]), float(row["weight_kg"]))
    )
}
DOSE_MG_KG, OVER_H = 0.5, 40 / 60


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


def ours(knowledge: Knowledge, name: str, person: Person, minutes: Floats) -> Floats:
    of = model(knowledge, name)
    assert person.weight_kg is not None
    given = Administration(0.0, DOSE_MG_KG * person.weight_kg, OVER_H)
    typical = values(of, person)
    people = body(of, typical, of.routes["iv"], [given], typical)
    return concentrations(people, ["ketamine"], minutes / 60)["ketamine"][0]


def test_six_sets_at_twelve_times_were_recorded() -> None:
    assert len({name for name, *_ in SETS}) == len(SETS) == 6
    assert {len(rows) for rows in SETS.values()} == {12}
    assert all({row[0] for row in rows} >= {1, 40, 41, 480} for rows in SETS.values())


@pytest.mark.parametrize("case", SETS, ids=lambda case: case[0])
def test_every_set_agrees_to_nine_digits(knowledge: Knowledge, case: tuple[str, float, float]) -> None:
    name, age, weight = case
    minutes, recorded = (np.array(column) for column in zip(*SETS[case], strict=True))
    found = ours(knowledge, name, Person(weight, age), minutes)
    assert found == pytest.approx(recorded, rel=1e-9)


def test_flows_of_kamp_follow_the_paper_away_from_70_kg(knowledge: Knowledge) -> None:
    """With flows and volumes both by weight a dose by weight would give everybody the same curve."""
    minutes = np.array([row[0] for row in SETS["Kamp_2020_ketamine", 40.0, 70.0]])
    light, middle, heavy = (
        ours(knowledge, "Kamp_2020_ketamine", Person(kg, 40.0), minutes) for kg in (50.0, 70.0, 110.0)
    )
    assert np.abs(light / middle - 1).max() > 0.05
    assert np.abs(heavy / middle - 1).max() > 0.05


@pytest.mark.parametrize("case", [c for c in SETS if c[1] >= 18], ids=lambda case: case[0])
def test_the_answer_of_simulate_is_that_of_the_system(knowledge: Knowledge, case: tuple[str, float, float]) -> None:
    name, age, weight = case
    asked = {"dose": "0.5 mg/kg", "over": "40 min", "route": "iv"}
    found = simulate(knowledge, name, **asked, weight_kg=weight, age_a=age).models[0]
    assert found.id == name
    peak = max(level for _, level in SETS[case])  # at 40 min, when a constant infusion ends
    assert found.analytes["ketamine"].metrics["cmax"].typical == pytest.approx(peak, rel=1e-9)
    curve = found.analytes["ketamine"].curve
    levels = dict(zip(curve.time_h, curve.typical, strict=True))
    seen = [(levels[at], level) for minute, level in SETS[case] for at in levels if abs(at - minute / 60) < 1e-9]
    assert len(seen) >= 6
    assert [one for one, _ in seen] == pytest.approx([other for _, other in seen], rel=1e-8)
