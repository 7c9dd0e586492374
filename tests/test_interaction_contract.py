"""The contract of `interact`: every row as people print it, every key, and what must hold whatever the numbers are.

`cases/ddi_rows.csv` holds the measured pairs as the reference table writes them; nothing is rewritten on the way in.
"""

from __future__ import annotations

import csv
import itertools
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
from adjunct.pharmacology.interaction import ExposureRatio, answer, interact, victims
from adjunct.pharmacology.interaction.courses import USUAL, course
from adjunct.pharmacology.interaction.fitting import read_fit
from adjunct.pharmacology.interaction.mechanism import change
from adjunct.pharmacology.interaction.prediction import Predictor
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


# --- several inhibitors of one enzyme ---------------------------------------------------------------------------------

INDEX = {
    "dextromethorphan": "CYP2D6", "desipramine": "CYP2D6", "paroxetine": "CYP2D6", "buspirone": "CYP3A4",
    "lovastatin": "CYP3A4", "simvastatin": "CYP3A4", "midazolam": "CYP3A4", "tizanidine": "CYP1A2",
    "omeprazole": "CYP2C19", "s-warfarin": "CYP2C9", "repaglinide": "CYP2C8", "efavirenz": "CYP2B6",
}  # fmt: skip


@pytest.mark.parametrize(("victim", "enzyme"), INDEX.items())
def test_a_second_inhibitor_of_one_enzyme_never_more_than_doubles(victim: str, enzyme: str) -> None:
    """Every pair of inhibitors that reach the victim through this enzyme only: what is gone cannot be lost again."""
    predictor = Predictor(knowledge())
    shifts = read_fit(knowledge().content["fit"]).shifts
    read = predictor.victims.find(victim)
    shares = read.parent.shares

    def found(*names: str) -> float:
        return change(predictor.question(read, [(name, USUAL) for name in names]).setting, shifts).auc

    alone: dict[str, float] = {}
    for name in sorted(set(knowledge().perpetrators) - set(predictor.perpetrators.unstudied) - {victim}):
        acting = list(predictor.perpetrators.acting(name, USUAL))
        if {a.enzyme for a in acting if shares.get(a.enzyme)} == {enzyme} and not any(a.induces for a in acting):
            alone[name] = found(name)
    assert len(alone) > 2
    for one, other in itertools.combinations(alone, 2):
        both, most = found(one, other), max(alone[one], alone[other])
        assert most * (1 - 1e-9) <= both <= 2 * most, (one, other)
        if "paroxetine" in (one, other):  # it has already inactivated the enzyme
            assert both <= 2 * alone["paroxetine"], (one, other)


def test_the_time_course_of_several_is_that_of_the_slowest_and_the_longest() -> None:
    one, other = told("desipramine", "fluoxetine"), told("desipramine", "quinidine")
    both = told("desipramine", "quinidine", "fluoxetine")["time_course"]
    assert both["onset_h"] == max(one["time_course"]["onset_h"], other["time_course"]["onset_h"])
    assert both["offset_h"] == max(one["time_course"]["offset_h"], other["time_course"]["offset_h"])
    assert "fluoxetine" in both["of"]
    assert "quinidine" not in both["of"]  # it comes and goes within the other's time
    mixed = told("midazolam", "rifampicin", "itraconazole")
    apart = [told("midazolam", p)["time_course"] for p in mixed["perpetrators"]]
    for key in ("onset_h", "offset_h"):
        assert mixed["time_course"][key] == max(t[key] for t in apart)


@pytest.mark.parametrize(("victim", "perpetrator"), [("lithium", "clarithromycin"), ("caffeine", "paroxetine")])
def test_no_time_course_where_nothing_changes(victim: str, perpetrator: str) -> None:
    assert told(victim, perpetrator, predict=True)["time_course"] is None


# --- what is never claimed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("victim", "perpetrator", "acts"),
    [("clopidogrel", "omeprazole", "thiol"), ("dihydrocodeine", "paroxetine", "dihydromorphine"),
     ("tilidine", "itraconazole", "nortilidine"), ("prasugrel", "omeprazole", "thiol")],
)  # fmt: skip
def test_a_prodrug_without_its_chain_is_refused_with_its_name(victim: str, perpetrator: str, acts: str) -> None:
    with pytest.raises(CannotPredict, match=rf"{acts}.*chain"):
        ask(victim, perpetrator)


def test_a_prodrug_with_its_chain_tells_what_acts() -> None:
    moiety = told("lisdexamfetamine", "paroxetine")["active_moiety"]
    acting = [part["id"] for part in moiety["of"] if part["acts"]]
    assert acting == ["amphetamine"]
    assert moiety["auc_ratio"] == next(part["auc_ratio"] for part in moiety["of"] if part["acts"])


@pytest.mark.parametrize(
    "regimen",
    ["2 g in the morning and evening", "2 g single dose, 3 times", "2 g once daily", "2 g and 2 g", "2 g, chronic use",
     "39 mg mitragynine and 39 mg mitragynine", "2 g at bedtime", "2 g when needed", "2 g once, again after 6 h"],
)  # fmt: skip
def test_more_than_one_tea_has_no_estimate(regimen: str) -> None:
    found = told("midazolam", "kratom-leaf", regimen=regimen)
    assert found["auc_ratio"] is None
    assert found["observed"] == []
    assert found["validity"] == "refused"
    assert found["predicted"]["ceiling"] > 1.5
    assert any("not studied" in why for why in found["why"])


@pytest.mark.parametrize(
    "regimen", [None, "2 g", "2 g once", "2 g single dose", "2 g tea, single, 4 h before", "39 mg mitragynine"]
)
def test_one_tea_has_an_estimate(regimen: str | None) -> None:
    assert told("midazolam", "kratom-leaf", regimen=regimen)["predicted"]["auc_ratio"] > 1


def test_hours_of_the_day_count_the_doses() -> None:
    assert course("20 mg in the morning and evening").per_day == 40
    assert course("20 mg in the morning").per_day == 20


@pytest.mark.parametrize(
    ("victim", "perpetrator", "parts"),
    [("dextromethorphan", "paroxetine", {"dextromethorphan", "dextrorphan"}),
     ("hydrocodone", "paroxetine", {"hydrocodone", "hydromorphone"}),
     ("oxycodone", "itraconazole", {"oxycodone", "oxymorphone"}),
     ("tamoxifen", "paroxetine", {"tamoxifen", "endoxifen"}),
     ("clozapine", "fluvoxamine", {"clozapine", "norclozapine"}),
     ("buspirone", "itraconazole", {"buspirone", "1-pyrimidinylpiperazine"}),
     ("trazodone", "clarithromycin", {"trazodone", "mcpp"}),
     ("carbamazepine", "clarithromycin", {"carbamazepine", "carbamazepine-epoxide"})],
)  # fmt: skip
def test_parts_of_unknown_weight_stand_side_by_side(victim: str, perpetrator: str, parts: set[str]) -> None:
    found = told(victim, perpetrator)
    moiety = found["active_moiety"]
    assert {part["id"] for part in moiety["of"] if part["acts"]} == parts
    assert all(part["auc_ratio"] > 0 for part in moiety["of"])
    assert moiety["auc_ratio"] is None
    assert moiety["why"].startswith("relative potency not known")
    assert all(part in moiety["name"] for part in parts)
    assert "None" not in run(victim, "--with", perpetrator).output


@pytest.mark.parametrize("victim", [v for v in knowledge().victims if knowledge().victims[v].get("metabolites")])
def test_a_moiety_has_a_name_and_a_figure_or_a_reason(victim: str) -> None:
    moiety = told(victim, "fluconazole", predict=True)["active_moiety"]
    acts = any(m.get("active") for m in knowledge().victims[victim]["metabolites"])
    assert (moiety is not None) == acts
    if moiety is not None:
        assert moiety["name"]
        assert (moiety["auc_ratio"] is None) == bool(moiety["why"])


@pytest.mark.parametrize(
    ("victim", "perpetrator"),
    [("fluoxetine", "norfluoxetine"), ("norfluoxetine", "fluoxetine"), ("S-ketamine", "ketamine"),
     ("ketamine", "S-ketamine"), ("norketamine", "ketamine"), ("citalopram", "escitalopram"),
     ("omeprazole", "esomeprazole"), ("bupropion", "hydroxybupropion"), ("nortriptyline", "amitriptyline"),
     ("risperidone", "paliperidone"), ("s-warfarin", "warfarin"), ("amphetamine", "lisdexamfetamine")],
)  # fmt: skip
def test_isomers_and_metabolites_are_no_perpetrators_of_their_own(victim: str, perpetrator: str) -> None:
    with pytest.raises(BadInput, match="its own exposure") as said:
        ask(victim, perpetrator)
    assert not isinstance(said.value, CannotPredict)


def test_two_medicines_that_form_the_same_metabolite_are_two() -> None:
    assert ratio("nefazodone", "trazodone") == 1


@pytest.mark.parametrize("victim", ["mitragynine", "7-hydroxymitragynine", "7-hydroxymitragynine (from mitragynine)"])
def test_kratom_alkaloids_as_victims_are_extrapolated(victim: str) -> None:
    found = told(victim, "itraconazole")
    assert found["validity"] == "extrapolated"
    assert any("never studied" in why for why in found["why"])


def test_nothing_is_called_no_interaction() -> None:
    found = told("lithium", "clarithromycin", predict=True)
    assert "no interaction" not in json.dumps(found).casefold()
    assert any("other pathways may be unknown" in why for why in found["why"])


# --- phenotype in other words, and where it does not matter -----------------------------------------------------------


@pytest.mark.parametrize(("enzyme", "words"), [
    ("CYP2D6", "PM"), ("cyp2d6", "poor metaboliser"), ("2D6", "Poor Metabolizers"), ("CYP2D6", " poor "),
])  # fmt: skip
def test_a_poor_metaboliser_by_any_name(enzyme: str, words: str) -> None:
    found = told("desipramine", "paroxetine", phenotype={enzyme: words})
    assert found["phenotype"] == POOR
    assert found == told("desipramine", "paroxetine", phenotype=POOR)


@pytest.mark.parametrize(("short", "long"), [
    ("IM", "intermediate"), ("NM", "normal"), ("EM", "normal"), ("RM", "rapid"), ("UM", "ultrarapid"), ("as1", "AS1"),
])  # fmt: skip
def test_short_names_of_phenotypes(short: str, long: str) -> None:
    assert told("desipramine", "paroxetine", phenotype={"CYP2D6": short})["phenotype"] == {"CYP2D6": long}


def test_two_phenotypes_of_one_enzyme_are_said() -> None:
    with pytest.raises(BadInput, match="two phenotypes of CYP2D6"):
        ask("desipramine", "paroxetine", phenotype={"CYP2D6": "poor", "2D6": "normal"})


def test_a_phenotype_of_an_enzyme_without_part_in_it_hides_nothing() -> None:
    assert told("midazolam", "kratom-leaf", phenotype=POOR)["observed"][0]["auc_ratio"] == 1.39
    assert 4.6 not in [o["auc_ratio"] for o in told("desipramine", "paroxetine", phenotype=POOR)["observed"]]


# --- what is kept between calls ---------------------------------------------------------------------------------------


def test_what_is_kept_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "ANSWERS_KEPT", 3)
    monkeypatch.setattr(victims, "NAMES_KEPT", 3)
    desk = answer._desk(knowledge())
    for number in range(1, 8):
        told("midazolam", "kratom-leaf", lag_h=float(number))
        ask("desipramine", "paroxetine", regimen=f"{number} mg QD")
        ask("desipramine" + " " * number, "paroxetine")
        assert len(desk._teas) <= 3
        assert len(desk._courses) <= 3
        assert len(desk.predictor.victims._found) <= 3


def test_fading_is_left_out_where_nobody_asks_for_it() -> None:
    quick, full = (interact(knowledge(), "midazolam", ["kratom-leaf"], fading=f).to_dict() for f in (False, True))
    assert set(full["predicted"].pop("offsets")) == {"12", "24", "48"}
    assert quick["predicted"].pop("offsets") == {}
    for found in (quick, full):
        found.pop("time_course")  # read off steps that are finer where later hours are asked for too
    assert quick == full
