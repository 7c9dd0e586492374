"""The contract of `interact`: every row as people print it, every key, and what must hold whatever the numbers are.

`cases/ddi_rows.csv` holds the measured pairs as the reference table writes them; nothing is rewritten on the way in.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import adjunct
from adjunct.base import BadInput
from adjunct.cli import app
from adjunct.pharmacology import CannotPredict
from adjunct.pharmacology.interaction import ExposureRatio
from bundles import knowledge

ROWS = list(csv.DictReader((Path(__file__).parent / "cases/ddi_rows.csv").read_text(encoding="utf-8").splitlines()))
REFUSED_ROWS: frozenset[int] = frozenset()  # rows that may end in CannotPredict, with the reason: none
KEYS = [
    "victim", "perpetrators", "analyte", "victim_route", "regimen", "phenotype", "observed", "predicted",
    "active_moiety", "time_course", "basis", "validity", "why", "missing", "model",
]  # fmt: skip
PREDICTED = {
    "auc_ratio", "low", "high", "interval_kind", "cmax_ratio", "hepatic", "gut", "by_pathway", "ceiling",
}  # fmt: skip
OBSERVED = {"auc_ratio", "low", "high", "interval_kind", "cmax_ratio", "source"}


def ask(victim: str, *perpetrators: str, **how: Any) -> ExposureRatio:
    return adjunct.interact(victim, list(perpetrators), knowledge=knowledge(), **how)


def told(victim: str, *perpetrators: str, **how: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(ask(victim, *perpetrators, **how).to_json())
    return read


def ratio(victim: str, *perpetrators: str, **how: Any) -> float:
    found = ask(victim, *perpetrators, predict=True, **how).auc_ratio
    assert found is not None
    return found


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["interact", *words])


def sound(found: dict[str, Any]) -> None:
    """No text of a number that is none, and an interval around its estimate."""
    text = json.dumps(found)
    assert not {"NaN", "Infinity"} & set(text.replace(",", " ").replace("}", " ").split())
    predicted = found["predicted"]
    assert predicted["interval_kind"] == "90PI"
    assert 0 < predicted["low"] < predicted["auc_ratio"] < predicted["high"] < math.inf


# --- every row --------------------------------------------------------------------------------------------------------


def test_all_rows_are_here() -> None:
    assert len(ROWS) == 138


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_a_row_is_read_as_it_is_printed(number: int) -> None:
    row = ROWS[number]
    assert number not in REFUSED_ROWS
    found = told(
        row["victim"], row["perpetrator"], victim_route=row["victim_route"], regimen=row["regimen"], predict=True
    )
    sound(found)
    assert found["basis"] == "predicted"
    assert found["observed"] == []
    assert found["regimen"] == row["regimen"]
    assert found["victim_route"] == row["victim_route"]
    assert len(found["perpetrators"]) == 1 + row["perpetrator"].count("+")
    assert found["auc_ratio"] == found["predicted"]["auc_ratio"]


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_a_row_is_found_again_as_measured(number: int) -> None:
    """Its own victim, perpetrator, route and regimen lead to its ratio, or to another arm in the very same words."""
    row = ROWS[number]
    phenotype = {
        "CYP2D6 PM": {"CYP2D6": "poor"}, "2C19 PM": {"CYP2C19": "poor"}, "300 mg (PM)": {"CYP2C19": "poor"},
        "AS1": {"CYP2D6": "AS1"}, "AS2": {"CYP2D6": "AS2"},
    }  # fmt: skip
    asked = next((p for words, p in phenotype.items() if words in row["regimen"]), None)
    found = told(
        row["victim"], row["perpetrator"], victim_route=row["victim_route"], regimen=row["regimen"], phenotype=asked
    )
    assert found["basis"] == "observed"
    assert float(row["auc_ratio"]) in [o["auc_ratio"] for o in found["observed"]]
    first = found["observed"][0]
    assert found["auc_ratio"] == first["auc_ratio"]
    assert first["source"]["citation"]


@pytest.mark.parametrize("number", range(0, len(ROWS), 14))
def test_a_row_goes_through_the_command(number: int) -> None:
    row = ROWS[number]
    result = run(
        row["victim"], "--with", row["perpetrator"], "--victim-route", row["victim_route"], "--regimen", row["regimen"],
        "--predict", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    sound(found)
    assert found == told(
        row["victim"], row["perpetrator"], victim_route=row["victim_route"], regimen=row["regimen"], predict=True
    )


# --- keys -------------------------------------------------------------------------------------------------------------

SHAPES = [
    ("risperidone", "paroxetine", {}),
    ("risperidone", "paroxetine", {"predict": True}),
    ("midazolam", "kratom-leaf", {}),
    ("midazolam", "kratom-leaf", {"regimen": "5 g 3x/day"}),
    ("S-ketamine", "rifampicin", {"victim_route": "iv"}),
    ("hydroxybupropion (metabolite)", "clopidogrel", {}),
]


@pytest.mark.parametrize(("victim", "perpetrator", "how"), SHAPES)
def test_the_keys_are_the_contract(victim: str, perpetrator: str, how: dict[str, Any]) -> None:
    found = told(victim, perpetrator, **how)
    assert [key for key in found if key in KEYS] == KEYS
    assert set(found["predicted"]) >= PREDICTED
    assert all(set(o) >= OBSERVED for o in found["observed"])
    assert found["validity"] in ("valid", "extrapolated", "refused")
    assert found["basis"] in ("observed", "predicted")
    if found["time_course"]:
        assert set(found["time_course"]) >= {"onset_h", "peak_h", "offset_h"}


def test_what_was_measured_leads_unless_it_is_left_out() -> None:
    measured, predicted = told("risperidone", "paroxetine"), told("risperidone", "paroxetine", predict=True)
    assert (measured["basis"], predicted["basis"]) == ("observed", "predicted")
    assert measured["observed"][0]["auc_ratio"] == 7.1
    assert predicted["observed"] == []
    assert measured["predicted"] == predicted["predicted"]


def test_every_measured_interval_says_what_it_is() -> None:
    kinds = set()
    for row in ROWS:
        how = {"victim_route": row["victim_route"], "regimen": row["regimen"]}
        for seen in told(row["victim"], row["perpetrator"], **how)["observed"]:
            assert (seen["low"] is None) == (seen["high"] is None) == (seen["interval_kind"] is None)
            if seen["interval_kind"]:
                kinds.add(seen["interval_kind"])
                assert seen["low"] <= seen["auc_ratio"] <= seen["high"]
    assert kinds == {"90CI", "95CI", "range", "unverified"}


# --- phenotype and what saturates -------------------------------------------------------------------------------------

POOR = {"CYP2D6": "poor"}


def test_poor_metabolisers_have_nothing_left_to_inhibit() -> None:
    assert 0.75 <= ratio("desipramine", "paroxetine", phenotype=POOR) <= 1.35
    for other, regimen in (("fluvoxamine", "25 mg BID 6 d"), ("moclobemide", "300 mg")):
        assert 0.75 <= ratio("omeprazole", other, regimen=regimen, phenotype={"CYP2C19": "poor"}) <= 1.35


@pytest.mark.parametrize("victim", ["desipramine", "atomoxetine", "risperidone", "r-metoprolol"])
def test_the_less_activity_there_is_the_less_is_lost(victim: str) -> None:
    words = ("ultrarapid", "normal", "intermediate", "poor")
    found = [ratio(victim, "paroxetine", phenotype={"CYP2D6": w}) for w in words]
    assert found == sorted(found, reverse=True)
    assert found[0] > 2 * found[-1]


@pytest.mark.parametrize("other", ["quinidine", "bupropion", "fluoxetine", "fluvoxamine", "duloxetine"])
def test_paroxetine_has_already_inactivated_its_own_enzyme(other: str) -> None:
    assert 1 <= ratio("paroxetine", other) <= 2


@pytest.mark.parametrize("victim", ["desipramine", "atomoxetine", "dextromethorphan", "risperidone", "nortriptyline"])
@pytest.mark.parametrize("other", ["quinidine", "bupropion", "duloxetine"])
def test_another_inhibitor_on_top_of_paroxetine_adds_little(victim: str, other: str) -> None:
    alone, both = ratio(victim, "paroxetine"), ratio(victim, "paroxetine", other)
    assert alone <= both <= 2 * alone


@pytest.mark.parametrize("phenotype", [{"CYP2D6": "blah"}, {"CYP9Z9": "poor"}, {"CYP2D6": ""}, {"": "poor"}])
def test_an_unknown_phenotype_is_said(phenotype: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="phenotype"):
        ask("desipramine", "paroxetine", phenotype=phenotype)


# --- several, order, time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["desipramine", "midazolam", "bupropion", "S-ketamine"])
def test_the_order_of_perpetrators_changes_nothing(victim: str) -> None:
    others = ("paroxetine", "ketoconazole", "rifampicin", "fluvoxamine")
    found = [told(victim, *names, predict=True)["predicted"] for names in (others, others[::-1])]
    for key in ("auc_ratio", "low", "high", "hepatic", "gut"):
        assert found[0][key] == pytest.approx(found[1][key], rel=1e-3)


def test_a_perpetrator_named_twice_counts_once() -> None:
    assert ratio("desipramine", "paroxetine", "Paxil") == ratio("desipramine", "paroxetine")


def test_twenty_perpetrators_are_answered() -> None:
    others = [p for p in sorted(knowledge().perpetrators) if "kratom" not in p and "mitragynine" not in p][:20]
    found = told("midazolam", *others, predict=True)
    sound(found)
    assert len(found["perpetrators"]) == 20


@pytest.mark.parametrize(
    ("victim", "perpetrator"),
    [("desipramine", "fluoxetine"), ("desipramine", "paroxetine"), ("midazolam", "clarithromycin"),
     ("midazolam", "itraconazole"), ("midazolam", "rifampicin"), ("midazolam", "st-johns-wort"),
     ("S-ketamine", "ticlopidine"), ("tizanidine", "fluvoxamine")],
)  # fmt: skip
def test_an_effect_only_fades_after_stopping(victim: str, perpetrator: str) -> None:
    hours = (0.0, 12.0, 24.0, 72.0, 168.0, 336.0, 672.0, 1344.0, 2688.0)
    found = [abs(math.log(ratio(victim, perpetrator, stopped_h=h))) for h in hours]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.4
    assert found[-1] < 0.1
    assert found[0] == pytest.approx(abs(math.log(ratio(victim, perpetrator))), rel=1e-3)


def test_nothing_measured_while_taken_is_quoted_after_stopping() -> None:
    assert told("risperidone", "paroxetine", stopped_h=240.0)["basis"] == "predicted"


@pytest.mark.parametrize("how", [{"stopped_h": -1.0}, {"stopped_h": math.nan}, {"lag_h": math.inf}, {"lag_h": 1e9}])
def test_a_time_that_is_none_is_said(how: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="hours"):
        ask("desipramine", "fluoxetine", **how)


@pytest.mark.parametrize(
    ("victim", "perpetrator"),
    [("lorazepam", "nefazodone"), ("lorazepam", "clarithromycin"), ("desipramine", "grapefruit juice"),
     ("alprazolam", "paroxetine"), ("caffeine", "paroxetine"), ("lithium", "clarithromycin")],
)  # fmt: skip
def test_without_the_pathway_nothing_happens_and_the_reason_is_told(victim: str, perpetrator: str) -> None:
    found = told(victim, perpetrator, predict=True)
    assert found["predicted"]["auc_ratio"] == 1
    assert any("no pathway" in why for why in found["why"])


# --- kratom -----------------------------------------------------------------------------------------------------------


def test_one_tea_with_midazolam() -> None:
    found = told("midazolam", "kratom tea")
    assert [o["auc_ratio"] for o in found["observed"]] == [1.39]
    predicted = found["predicted"]
    assert predicted["low"] < 1.39 < predicted["high"]
    assert 1.2 <= predicted["auc_ratio"] <= 1.65
    assert predicted["hepatic"] <= 1.05
    assert predicted["half_life_ratio"] <= 1.17


def test_one_tea_with_dextromethorphan() -> None:
    found = told("dextromethorphan", "kratom-leaf")
    first = found["observed"][0]
    assert (first["auc_ratio"], first["low"], first["high"]) == (0.99, 0.83, 1.19)
    assert 0.9 <= found["predicted"]["auc_ratio"] <= 1.1


@pytest.mark.parametrize("victim", ["desipramine", "atomoxetine", "risperidone", "r-metoprolol", "tolterodine"])
def test_no_effect_on_cyp2d6_is_claimed(victim: str) -> None:
    assert 0.9 <= ratio(victim, "kratom-leaf") <= 1.15
    assert not any("CYP2D6" in p["enzyme"] for p in told(victim, "kratom-leaf")["predicted"]["by_pathway"])


@pytest.mark.parametrize(
    "regimen", ["5 g 3x/day", "2 g daily 7 d", "2 g BID", "20 g single", "39 mg mitragynine daily"]
)
def test_what_was_not_studied_has_a_ceiling_and_no_estimate(regimen: str) -> None:
    found = told("midazolam", "kratom-leaf", regimen=regimen)
    predicted = found["predicted"]
    assert (predicted["auc_ratio"], predicted["low"], predicted["high"]) == (None, None, None)
    assert 1.5 < predicted["ceiling"] < 2
    assert found["validity"] == "refused"
    assert found["observed"] == []
    assert any("not studied" in why or "more than" in why for why in found["why"])
    assert found["missing"]


@pytest.mark.parametrize("product", ["kratom-extract", "7-OH", "7-hydroxymitragynine", "kratom", "mitragynine"])
def test_other_kratom_products_are_refused_as_perpetrators(product: str) -> None:
    with pytest.raises(CannotPredict, match=r"kratom|mitragynine"):
        ask("midazolam", product)


def test_the_tea_fades_with_the_lag() -> None:
    found = [ratio("midazolam", "kratom-leaf", lag_h=h) for h in (4.0, 8.0, 12.0, 24.0, 48.0, 96.0)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 1.05


def test_by_vein_a_tea_does_nothing_much() -> None:
    assert 0.95 <= ratio("midazolam", "kratom-leaf", victim_route="iv") <= 1.05


# --- routes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["ketamine", "S-ketamine"])
@pytest.mark.parametrize("route", ["iv", "im", "sc"])
def test_ketamine_past_the_gut_is_never_changed_by_half(victim: str, route: str) -> None:
    asked = 0
    for perpetrator in sorted(knowledge().perpetrators):
        try:
            found = told(victim, perpetrator, victim_route=route, predict=True)
        except BadInput:  # itself, and what was never studied
            continue
        asked += 1
        sound(found)
        assert found["predicted"]["auc_ratio"] <= 1.5, perpetrator
        assert found["predicted"]["gut"] == 1, perpetrator
    assert asked >= len(knowledge().perpetrators) - 4
    assert 0.75 <= ratio(victim, "rifampicin", victim_route=route) <= 0.95


def test_the_route_of_the_question_is_the_route_of_the_number() -> None:
    for route in ("iv", "oral"):
        assert {o["victim_route"] for o in told("midazolam", "rifampicin", victim_route=route)["observed"]} == {route}


# --- what acts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("victim", "perpetrator", "metabolite"),
    [("risperidone", "paroxetine", "9-hydroxyrisperidone"), ("tramadol", "paroxetine", "o-desmethyltramadol"),
     ("venlafaxine", "paroxetine", "desvenlafaxine"), ("amitriptyline", "paroxetine", "nortriptyline"),
     ("bupropion", "clopidogrel", "hydroxybupropion"), ("mitragynine", "itraconazole", "7-hydroxymitragynine"),
     ("ketamine", "clarithromycin", "norketamine"), ("codeine", "paroxetine", "morphine")],
)  # fmt: skip
def test_parent_metabolite_and_moiety_stand_together(victim: str, perpetrator: str, metabolite: str) -> None:
    moiety = told(victim, perpetrator)["active_moiety"]
    of = {part["id"]: part["auc_ratio"] for part in moiety["of"]}
    assert {victim, metabolite} <= set(of)
    assert moiety["name"]
    assert moiety["low"] < moiety["auc_ratio"] < moiety["high"]
    assert min(of.values()) * 0.999 <= moiety["auc_ratio"] <= max(of.values()) * 1.001


def test_dextromethorphan_tells_dextrorphan() -> None:
    of = {p["id"]: p["auc_ratio"] for p in told("dextromethorphan", "paroxetine")["active_moiety"]["of"]}
    assert of["dextromethorphan"] > 2
    assert of["dextrorphan"] < 1


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("victim", "perpetrators", "match"),
    [
        ("foo", ["paroxetine"], "unknown victim"), ("risperidone", ["foo"], "unknown perpetrator"),
        ("risperidone", [], "no perpetrator"), ("risperidone", [""], "no perpetrator"),
        ("", ["paroxetine"], "no victim"),
        ("risperidone", ["risperidone"], "its own exposure"), ("S-ketamine", ["esketamine"], "its own exposure"),
        ("9-hydroxyrisperidone", ["risperidone"], "its own exposure"),
        ("\u30ea\u30b9\u30da\u30ea\u30c9\u30f3", ["paroxetine"], "unknown victim"),
        ("risperidone", ["\U0001f9ea" * 3000], "unknown perpetrator"), ("R\u202eisperidone", ["paroxetine"], "unknown"),
    ],
)  # fmt: skip
def test_names_that_mean_nothing_are_one_line(victim: str, perpetrators: list[str], match: str) -> None:
    with pytest.raises(BadInput, match=match) as said:
        ask(victim, *perpetrators)
    assert "\n" not in str(said.value)
    assert len(str(said.value)) < 300


def test_an_accent_is_the_same_name() -> None:
    assert ask("risp\u00e9ridone", "Parox\u00e9tine").to_json() == ask("risperidone", "paroxetine").to_json()


@pytest.mark.parametrize("regimen", ["-20 mg daily", "20", "0 mg daily", "99999999999 mg daily", "20 mg QD + 5 mg QD"])
def test_an_absurd_regimen_is_one_line(regimen: str) -> None:
    result = run("risperidone", "--with", "paroxetine", f"--regimen={regimen}", "--json")
    assert result.exit_code != 0
    with pytest.raises(BadInput, match="at regimen") as said:
        ask("risperidone", "paroxetine", regimen=regimen)
    assert "\n" not in str(said.value)


NOT_A_REGIMEN = [
    "20 mg every 0 h", "1e308 mg daily", "nan mg", "20 kg daily", "20 mg/mL daily", "blah", "20 mg daily for 0 d",
]  # fmt: skip


@pytest.mark.parametrize("regimen", NOT_A_REGIMEN)
def test_what_cannot_be_read_as_a_regimen_is_never_taken_for_the_usual_dose(regimen: str) -> None:
    with pytest.raises(BadInput, match="at regimen"):
        ask("risperidone", "paroxetine", regimen=regimen)


@pytest.mark.parametrize("victim", ["kratom-leaf", "mitragynine"])
def test_a_plant_does_not_change_its_own_alkaloid(victim: str) -> None:
    with pytest.raises(BadInput, match="its own exposure"):
        ask(victim, "kratom-leaf")
