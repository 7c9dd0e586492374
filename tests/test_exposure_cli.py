"""`simulate`, `interact` and `models` as people and programs meet them: the contract's keys, one line for bad input."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from adjunct.base import AdjunctError
from adjunct.cli import app

INFUSION = ("simulate", "ketamine", "--dose", "0.5 mg/kg", "--over", "40 min", "--route", "iv", "--weight", "70")
SPRAY = ("simulate", "PerezRuixo_2021_esketamine", "--route", "nasal", "--dose", "56 mg", "--weight", "70")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def answer(*arguments: str) -> Any:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, (int, float)):
        yield value


# --- simulate ---------------------------------------------------------------------------------------------------------


def test_a_drug_gives_an_envelope_over_every_model_that_is_valid_and_says_which_are_not() -> None:
    found = answer(*INFUSION)
    assert {"Domino_1984_ketamine", "Kamp_2020_ketamine"} <= {m["id"] for m in found["models"]}
    refused = {r["model"]: r["why"] for r in found["refused"]}
    assert "Hornik_2018_ketamine" in refused  # children only
    metrics = found["analytes"]["ketamine"]["metrics"]
    assert set(metrics) >= {"cmax", "tmax", "auc_inf", "auc_last", "half_life"}
    typical = sorted(m["analytes"]["ketamine"]["metrics"]["cmax"]["typical"] for m in found["models"])
    middle = (typical[(len(typical) - 1) // 2] + typical[len(typical) // 2]) / 2
    assert metrics["cmax"]["typical"] == pytest.approx(middle)
    assert metrics["tmax"]["typical"] == pytest.approx(2 / 3, abs=1e-6)  # a constant infusion is highest at its end
    curve = found["analytes"]["ketamine"]["curve"]
    assert len(curve["time_h"]) == len(curve["typical"])
    assert curve["unit"] == "ng/mL"


def test_a_ketamine_model_asked_by_name_is_never_shown_alone() -> None:
    found = answer(*((*INFUSION[:1], "Domino_1984_ketamine", *INFUSION[2:])))
    assert found["models"][0]["id"] == "Domino_1984_ketamine"
    assert len(found["models"]) > 1


@pytest.mark.parametrize(
    "arguments", [INFUSION, SPRAY, (*SPRAY, "--n", "50", "--seed", "3")], ids=lambda a: " ".join(a)
)
def test_no_answer_holds_what_is_not_a_number(arguments: tuple[str, ...]) -> None:
    assert all(math.isfinite(v) for v in numbers(answer(*arguments)))


def test_people_differ_as_published_and_the_same_seed_gives_the_same_people() -> None:
    first, again, other = (answer(*SPRAY, "--n", "200", "--seed", seed) for seed in ("1", "1", "2"))
    assert first == again
    cmax = first["models"][0]["analytes"]["esketamine"]["metrics"]["cmax"]
    assert cmax["p5"] < cmax["typical"] < cmax["p95"]
    assert other["models"][0]["analytes"]["esketamine"]["metrics"]["cmax"]["p5"] != cmax["p5"]


def test_where_nobody_published_variability_the_percentiles_are_null() -> None:
    found = answer(*INFUSION, "--n", "50")
    domino = next(m for m in found["models"] if m["id"] == "Domino_1984_ketamine")
    assert domino["analytes"]["ketamine"]["metrics"]["cmax"]["p5"] is None


def test_a_band_is_shown_though_nobody_asked_for_people() -> None:
    found = answer(*SPRAY)
    assert (found["n"], found["seed"]) == (100, 1)
    cmax = found["analytes"]["esketamine"]["metrics"]["cmax"]
    assert cmax["p5"] < cmax["typical"] < cmax["p95"]
    asked = answer(*SPRAY, "--n", "100")
    assert asked == found
    assert answer(*INFUSION)["n"] is None  # no model of it says how people differ


def test_a_terminal_says_the_band_the_people_and_short_times_in_minutes() -> None:
    said = " ".join(run(*SPRAY).stdout.split())
    assert "time of the highest level: 41 min; 90 % of people between 19 and 79 min" in said
    assert "100 people simulated for each model that says how they differ" in said
    assert "not used, other routes only: Fanta_2015_esketamine, Flint_2017_esketamine" in said


def test_a_terminal_says_when_a_line_stands_alone_and_why_a_model_counts_once() -> None:
    alone = " ".join(run("simulate", "mitragynine", "--route", "tea", "--dose", "39 mg").stdout.split())
    assert "One model, and nobody published how people differ: the true range is not known." in alone
    same = run("simulate", "esketamine", "--route", "iv", "--dose", "0.25 mg/kg", "--over", "40 min", "--weight", "70")
    assert "rests on the same data as Otto_2021_esketamine" in " ".join(same.stdout.split())
    assert "One model" not in same.stdout


def test_a_course_shows_what_it_comes_to() -> None:
    said = " ".join(run(*SPRAY, "--repeat", "2x/week for 2 weeks", "--missed", "2").stdout.split())
    assert "highest level, repeated for ever: 72.7 ng/mL" in said
    assert "accumulation: how much more than one dose: 1" in said


def test_a_weight_of_kratom_names_the_model_and_its_dose() -> None:
    for name in ("kratom-leaf", "kratom"):
        done = run("simulate", name, "--route", "tea", "--dose", "2 g")
        assert isinstance(done.exception, AdjunctError)
        assert "ask for mitragynine, route tea, dose '39 mg'" in str(done.exception)
    found = answer("simulate", "mitragynine", "--route", "tea", "--dose", "39 mg")
    assert [m["id"] for m in found["models"]] == ["Tanna_2022_mitragynine"]


def test_an_infusion_can_be_paused_and_stopped() -> None:
    whole, held, cut = (
        answer(*INFUSION, *more) for more in ((), ("--pause", "20 min for 10 min"), ("--stop", "20 min"))
    )
    tmax, area = (
        [a["analytes"]["ketamine"]["metrics"][m]["typical"] for a in (whole, held, cut)] for m in ("tmax", "auc_inf")
    )
    assert tmax == pytest.approx([2 / 3, 5 / 6, 1 / 3], abs=1e-6)
    assert area[1] == pytest.approx(area[0])  # later, and not a milligram less
    assert area[2] == pytest.approx(area[0] / 2)


WRONG = [  # what was asked, a word the one line must hold
    (("--dose", "0.5"), "unit"),
    (("--dose", "0.5 mg/mL"), "mg/mL"),
    (("--dose", "-0.5 mg/kg"), "0.5"),
    (("--dose", "0 mg"), "0"),
    (("--dose", "nan mg"), "nan"),
    (("--dose", "1e9 mg"), "1"),
    (("--dose", "half a gram"), "dose"),
    (("--weight", "0"), "weight"),
    (("--weight", "-70"), "weight"),
    (("--weight", "nan"), "weight"),
    (("--weight", "7000"), "weight"),
    (("--route", "telepathy"), "telepathy"),
    (("--over", "50 h"), "50"),
    (("--over", "40 mg"), "40 mg"),
    (("--over", "-40 min"), "40 min"),
    (("--hours", "0"), "hours"),
    (("--hours", "inf"), "hours"),
    (("--hours", "1e9"), "hours"),
    (("--n", "0"), "0"),
    (("--n", "1000000000"), "1"),
    (("--n", "-5"), "5"),
    (("--repeat", "now and then"), "now and then"),
    (("--above", "100"), "unit"),
    (("--pause", "20 min"), "for"),
    (("--pause", "20 mg for 10 min"), "20 mg"),
    (("--stop", "soon"), "soon"),
    (("--covariate", "japanese"), "NAME=VALUE"),
    (("--covariate", "blood=1"), "blood"),
    (("--plot", "curve.bmp"), "curve.bmp"),
]


@pytest.mark.parametrize(("changed", "word"), WRONG, ids=lambda v: " ".join(v) if isinstance(v, tuple) else None)
def test_bad_input_is_one_line_that_names_it(changed: tuple[str, str], word: str) -> None:
    given = dict(zip(INFUSION[2::2], INFUSION[3::2], strict=True)) | {changed[0]: changed[1]}
    done = run("simulate", "ketamine", *(part for pair in given.items() for part in pair))
    assert isinstance(done.exception, (AdjunctError, SystemExit)), done.exception
    said = str(done.exception) if not isinstance(done.exception, SystemExit) else done.output
    assert word in said
    assert "\n" not in str(done.exception)
    assert "cmax" not in done.stdout


@pytest.mark.parametrize("name", ["unicornine", "Domino_1984_ketamin", "sertraline"])
def test_an_unknown_model_is_named_with_what_comes_close(name: str) -> None:
    done = run("simulate", name, *INFUSION[2:])
    assert name.split("_")[0] in str(done.exception)


def test_a_picture_has_its_table_beside_it(tmp_path: Path) -> None:
    for name in ("f.svg", "f.png"):
        assert run(*SPRAY, "--plot", str(tmp_path / name)).exit_code == 0
    svg = (tmp_path / "f.svg").read_text(encoding="utf-8")
    assert "<title>Predicted, not measured" in svg
    assert "ng/mL" in svg
    rows = (tmp_path / "f.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "analyte,model,time_h,typical,p5,p95,unit"
    assert {row.split(",")[0] for row in rows[1:]} == {"esketamine", "noresketamine"}


def test_the_table_holds_every_point_of_the_curve() -> None:
    found, rows = answer(*INFUSION), run(*INFUSION, "--csv").stdout.splitlines()
    points = sum(
        len(m["analytes"]["ketamine"]["curve"]["time_h"]) for m in found["models"] if "ketamine" in m["analytes"]
    )
    assert len([r for r in rows if r.startswith("ketamine,") and "_" in r.split(",")[1]]) == points


# --- interact ---------------------------------------------------------------------------------------------------------

KEYS = (
    "victim perpetrators analyte victim_route regimen phenotype observed predicted active_moiety time_course basis "
    "validity why missing model"
).split()


def test_an_oral_ratio_and_one_by_vein_are_two_answers() -> None:
    by_mouth = answer("interact", "S-ketamine", "--with", "clarithromycin", "--predict")
    by_vein = answer("interact", "S-ketamine", "--with", "clarithromycin", "--predict", "--victim-route", "iv")
    assert set(KEYS) <= set(by_mouth)
    assert by_mouth["predicted"]["interval_kind"] == "90PI"
    assert by_vein["predicted"]["auc_ratio"] < by_mouth["predicted"]["auc_ratio"]
    assert by_vein["predicted"]["auc_ratio"] < 1.5


def test_where_parent_and_metabolite_both_act_the_parent_is_not_shown_alone() -> None:
    found = answer("interact", "risperidone", "--with", "paroxetine")
    assert found["active_moiety"]["auc_ratio"] < found["observed"][0]["auc_ratio"]


def test_what_was_measured_comes_first() -> None:
    found = answer("interact", "dextromethorphan", "--with", "kratom-leaf")
    seen = found["observed"][0]
    assert (seen["auc_ratio"], seen["low"], seen["high"]) == (0.99, 0.83, 1.19)
    assert found["basis"] == "observed"


@pytest.mark.parametrize(
    "arguments",
    [
        ("interact", "midazolam", "--with", "kratom-extract"),
        ("interact", "midazolam", "--with", "7-hydroxymitragynine"),
        ("interact", "midazolam", "--with", "unicornine"),
        ("interact", "unicornine", "--with", "paroxetine"),
        ("interact", "midazolam", "--with", "ketoconazole", "--phenotype", "CYP2D6"),
        ("interact", "desipramine", "--with", "quinidine", "--phenotype", "CYP2D6=purple"),
        ("interact", "midazolam", "--with", "ketoconazole", "--victim-route", "telepathy"),
        ("interact", "midazolam", "--with", "ketoconazole", "--stopped-days", "-3"),
        ("interact", "midazolam", "--with", "midazolam"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_predicted_is_refused_and_never_one(arguments: tuple[str, ...]) -> None:
    done = run(*arguments, "--json")
    assert isinstance(done.exception, AdjunctError)
    assert not done.stdout


# --- models -----------------------------------------------------------------------------------------------------------


def test_every_published_table_is_rebuilt_or_its_gap_is_named() -> None:
    checks = answer("models", "--validate")
    assert {c["status"] for c in checks} == {"ok", "expected gap"}
    assert checks[0]["status"] == "expected gap"  # misses stand first
    assert len(checks) > 100


def test_a_model_is_shown_with_its_sources_and_numbers() -> None:
    done = run("models", "Domino_1984_ketamine")
    assert done.exit_code == 0
    assert "0.4381" in done.stdout
    assert run("models").stdout.count("_ketamine") > 5
