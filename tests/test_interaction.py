"""Interactions as people ask for them: names, regimens, routes, phenotypes, time, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from adjunct.base import BadInput
from adjunct.pharmacology import CannotPredict
from adjunct.pharmacology.interaction.answer import ExposureRatio, interact
from adjunct.pharmacology.interaction.courses import course, courses
from bundles import knowledge

WEEK_H = 7 * 24.0


def ask(victim: str, *perpetrators: str, **how: Any) -> ExposureRatio:
    return interact(knowledge(), victim, list(perpetrators), **how)


def ratio(victim: str, *perpetrators: str, **how: Any) -> float:
    found = ask(victim, *perpetrators, predict=True, **how).auc_ratio
    assert found is not None
    return found


def plain(found: ExposureRatio) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(found.to_json())
    return read


# --- what was measured leads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("regimen", "basis"),
    [
        ("600 mg QD 6 d", "observed"),
        ("600 mg QD 28 d", "observed"),
        ("600 mg QD 1 d", "predicted"),  # nobody measured one day: the figure of a week is not quoted for it
        ("600 mg QD 2 d", "predicted"),
        ("600 mg QD 28 d, stopped 1 wk before", "observed"),
        ("600 mg QD 28 d, stopped 3 wk before", "predicted"),
    ],
)
def test_a_measured_ratio_answers_only_for_its_own_length_and_time_since_stopping(regimen: str, basis: str) -> None:
    found = ask("midazolam", "rifampicin", regimen=regimen)
    assert found.basis == basis
    if "stopped 1 wk" in regimen:
        assert found.auc_ratio == 0.383


def test_what_was_measured_after_stopping_does_not_answer_for_taking_it() -> None:
    assert all("stopped" not in o.regimen for o in ask("midazolam", "rifampicin").observed)


def test_of_a_medicine_without_a_listed_effect_it_is_said_that_perhaps_nobody_looked() -> None:
    found = ask("midazolam", "metformin")
    assert found.validity == "extrapolated"
    assert any("perhaps nobody looked" in why for why in found.why)


def test_the_measured_ratio_leads_and_the_predicted_stands_beside_it() -> None:
    found = plain(ask("risperidone", "paroxetine", regimen="20 mg QD 4 wk"))
    assert (found["auc_ratio"], found["low"], found["high"], found["basis"]) == (7.1, 5.3, 16.5, "observed")
    assert found["observed"][0]["source"]["id"] == "saito-2005"
    assert found["predicted"]["interval_kind"] == "90PI"
    assert found["predicted"]["auc_ratio"] != 7.1


@pytest.mark.parametrize(
    ("regimen", "measured"), [("10 mg QD 4 wk", 3.8), ("10 mg daily", 3.8), ("40 mg QD 4 wk", 9.7), (None, 7.1)]
)
def test_the_regimen_picks_the_study(regimen: str | None, measured: float) -> None:
    """Without one the study nearest the usual dose of the perpetrator leads."""
    assert ask("risperidone", "paroxetine", regimen=regimen).auc_ratio == measured


def test_a_dose_that_nobody_measured_is_predicted() -> None:
    found = ask("risperidone", "paroxetine", regimen="30 mg daily")
    assert found.basis == "predicted"
    assert {o.regimen for o in found.observed_otherwise} >= {"10 mg QD 4 wk", "40 mg QD 4 wk"}


def test_the_route_belongs_to_the_number() -> None:
    by_mouth, by_vein = (
        ask("S-ketamine", "rifampicin", victim_route=r, regimen="600 mg QD 6 d") for r in ("oral", "iv")
    )
    assert (by_mouth.auc_ratio, by_vein.auc_ratio) == (0.14, 0.86)
    in_muscle = ask("S-ketamine", "rifampicin", victim_route="im")
    assert in_muscle.basis == "predicted"
    assert in_muscle.auc_ratio is not None
    assert 0.75 <= in_muscle.auc_ratio <= 0.95


def test_the_phenotype_is_an_argument_and_never_read_from_prose() -> None:
    poor = ask("desipramine", "paroxetine", phenotype={"CYP2D6": "poor"})
    assert (poor.auc_ratio, poor.basis) == (0.87, "observed")
    prose = ratio("desipramine", "paroxetine", regimen="20 mg QD (CYP2D6 PM)")
    assert prose == ratio("desipramine", "paroxetine", regimen="20 mg QD")


def test_kratom_and_dextromethorphan() -> None:
    found = plain(ask("dextromethorphan", "kratom-leaf"))
    assert (found["auc_ratio"], found["low"], found["high"]) == (0.99, 0.83, 1.19)
    assert found["basis"] == "observed"


# --- the arithmetic ---------------------------------------------------------------------------------------------------


def test_one_enzyme_by_hand() -> None:
    """Fg 1 and one pathway: 1 / (f / (1 + R) + 1 - f), with the activity that the answer itself states."""
    found = plain(ask("desipramine", "paroxetine", predict=True))["predicted"]
    (pathway,) = (p for p in found["by_pathway"] if p["enzyme"] == "CYP2D6")
    by_hand = 1 / (1 - pathway["share"] + pathway["share"] * pathway["activity"])
    assert found["auc_ratio"] == pytest.approx(by_hand, rel=2e-3)
    assert found["gut"] == 1
    assert found["ceiling"] == pytest.approx(1 / (1 - pathway["share"]), rel=2e-3)


def test_gut_times_liver() -> None:
    found = plain(ask("midazolam", "ketoconazole", predict=True))["predicted"]
    assert found["auc_ratio"] == pytest.approx(found["gut"] * found["hepatic"], rel=1e-3)
    assert found["gut"] > 1.2
    assert found["hepatic"] > 3


def test_grapefruit_acts_in_the_gut_only() -> None:
    found = plain(ask("midazolam", "grapefruit juice", predict=True))["predicted"]
    assert found["hepatic"] == 1
    assert 1.2 < found["auc_ratio"] <= found["ceiling"] < 2
    assert ratio("midazolam", "grapefruit juice", victim_route="iv") == 1


@pytest.mark.parametrize("perpetrator", ["ticlopidine", "clarithromycin", "itraconazole", "voriconazole"])
def test_no_perpetrator_changes_ketamine_by_vein_by_half(perpetrator: str) -> None:
    by_vein = ratio("S-ketamine", perpetrator, victim_route="iv")
    assert 1 <= by_vein < 1.5
    assert by_vein < ratio("S-ketamine", perpetrator)


def test_ritonavir_blocks_one_pathway_of_ketamine_and_induces_the_other() -> None:
    by_vein = ratio("S-ketamine", "ritonavir", victim_route="iv")
    assert 0.75 < by_vein < 1.5
    assert by_vein < ratio("S-ketamine", "ritonavir")


def test_rifampicin_by_every_route() -> None:
    """Most by mouth, least by vein, a spray between them because part of it is swallowed."""
    oral, nasal, iv = (ratio("esketamine", "rifampicin", victim_route=r) for r in ("oral", "nasal", "iv"))
    assert oral < nasal < iv
    assert 0.75 <= iv <= 0.95


def test_an_unknown_extraction_widens_and_says_so() -> None:
    found = ask("vilazodone", "ketoconazole", victim_route="iv", predict=True)
    assert found.validity == "extrapolated"
    assert any("passage" in reason for reason in found.why)
    assert found.auc_ratio is not None
    assert 1 < found.auc_ratio < ratio("vilazodone", "ketoconazole")


def test_what_is_saturated_does_not_multiply() -> None:
    alone = ratio("desipramine", "paroxetine")
    assert ratio("desipramine", "paroxetine", "bupropion") / alone < 1.5
    assert ratio("desipramine", "bupropion") > 3
    for on_top in ("bupropion", "quinidine", "fluoxetine", "duloxetine"):
        assert 1 <= ratio("paroxetine", on_top) <= 2


def test_poor_metabolisers() -> None:
    assert 0.8 <= ratio("desipramine", "paroxetine", phenotype={"CYP2D6": "poor"}) <= 1.25
    between = ratio("desipramine", "paroxetine", phenotype={"CYP2D6": "intermediate"})
    assert 1.25 < between < ratio("desipramine", "paroxetine")
    assert ratio("desipramine", "paroxetine", phenotype={"CYP2D6": "ultrarapid"}) > ratio("desipramine", "paroxetine")


def test_a_victim_without_the_pathway_is_told_so() -> None:
    found = ask("lorazepam", "ketoconazole", predict=True)
    assert found.auc_ratio is not None
    assert 0.8 <= found.auc_ratio <= 1.25
    assert found.why


def test_inhibition_and_induction_on_one_enzyme() -> None:
    both = ratio("midazolam", "rifampicin", "itraconazole")
    assert ratio("midazolam", "rifampicin") < both < ratio("midazolam", "itraconazole")


# --- metabolites and what acts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("victim", "perpetrator"),
    [
        ("risperidone", "paroxetine"), ("tramadol", "paroxetine"), ("venlafaxine", "bupropion"),
        ("dextromethorphan", "quinidine"), ("amitriptyline", "fluvoxamine"), ("bupropion", "ticlopidine"),
        ("kratom leaf", "itraconazole"), ("esketamine", "rifampicin"),
    ],
)  # fmt: skip
def test_never_the_parent_alone(victim: str, perpetrator: str) -> None:
    moiety = plain(ask(victim, perpetrator))["active_moiety"]
    assert len(moiety["of"]) >= 2
    if moiety["auc_ratio"] is not None:
        told = [part["auc_ratio"] for part in moiety["of"]]
        assert min(told) <= moiety["auc_ratio"] <= max(told)
        assert moiety["low"] < moiety["auc_ratio"] < moiety["high"]


def test_the_moiety_of_risperidone_changes_far_less() -> None:
    """Saito 2005: parent 7.1-fold, risperidone and 9-hydroxyrisperidone together 1.6-fold at 20 mg/d."""
    moiety = plain(ask("risperidone", "paroxetine", regimen="20 mg QD 4 wk"))["active_moiety"]
    assert moiety["low"] < 1.6 < moiety["high"]
    assert moiety["auc_ratio"] < 2.1


def test_a_metabolite_by_its_own_name() -> None:
    found = ask("hydroxybupropion (metabolite)", "ticlopidine", predict=True)
    assert (found.victim, found.analyte) == ("bupropion", "hydroxybupropion")
    assert found.auc_ratio is not None
    assert found.auc_ratio < 0.5 < 1 < ratio("bupropion", "ticlopidine")


@pytest.mark.parametrize(
    ("name", "analyte"),
    [
        ("S-ketamine", "esketamine"), ("S-norketamine (metabolite)", "noresketamine"), ("R-metoprolol", "r-metoprolol"),
        ("desipramine (from imipramine)", "desipramine"), ("Risperidone", "risperidone"),
    ],
)  # fmt: skip
def test_names_as_they_are_written(name: str, analyte: str) -> None:
    assert ask(name, "rifampicin", predict=True).analyte == analyte


def test_enantiomers_are_not_the_racemate() -> None:
    plus, minus = (ask(f"({sign})-O-desmethyltramadol (metabolite)", "paroxetine") for sign in "+-")
    assert (plus.auc_ratio, minus.auc_ratio) == (0.33, 0.60)


@pytest.mark.parametrize("name", ["St John's wort", "st-johns-wort", "hypericum", "St. John's Wort"])
def test_perpetrators_by_any_name(name: str) -> None:
    assert ask("midazolam", name, predict=True).perpetrators == ("st-johns-wort",)


def test_several_perpetrators_in_one_name() -> None:
    found = ask("oxycodone", "paroxetine + itraconazole", regimen="20 mg QD + 200 mg QD 5 d")
    assert found.perpetrators == ("paroxetine", "itraconazole")
    assert (found.auc_ratio, found.basis) == (2.9, "observed")


# --- dose and time ----------------------------------------------------------------------------------------------------


def test_more_of_it_does_more() -> None:
    doses = [ratio("risperidone", "paroxetine", regimen=f"{d} mg daily") for d in (5, 10, 20, 40)]
    assert doses == sorted(doses)
    assert doses[0] < 0.8 * doses[-1]


def test_a_single_dose_does_less_and_fades() -> None:
    full = ratio("triazolam", "itraconazole", regimen="200 mg QD 6 d")
    single = [
        ratio("triazolam", "itraconazole", regimen=f"200 mg single, {when}")
        for when in ("taken together", "12 h before", "24 h before", "72 h before")
    ]
    assert full > single[0] > single[1] > single[2] > single[3] > 1


def test_induction_takes_days() -> None:
    days = [ratio("midazolam", "rifampicin", regimen=f"600 mg QD {d} d") for d in (1, 3, 6, 28)]
    assert days == sorted(days, reverse=True)
    assert days[0] > 2 * days[-1]


def test_fluoxetine_stays_for_weeks_and_paroxetine_for_days() -> None:
    fluoxetine, paroxetine = (
        [ratio("desipramine", p, stopped_h=w * WEEK_H) for w in (0, 1, 2, 5, 10)] for p in ("fluoxetine", "paroxetine")
    )
    assert fluoxetine == sorted(fluoxetine, reverse=True)
    assert fluoxetine[2] > 2 > 1.4 > paroxetine[2]
    assert fluoxetine[-1] < 1.25
    assert paroxetine[-1] == pytest.approx(1, abs=0.02)


def test_what_was_measured_is_not_shown_for_a_perpetrator_that_was_stopped() -> None:
    found = ask("desipramine", "paroxetine", stopped_h=2 * WEEK_H)
    assert (found.basis, found.observed) == ("predicted", ())


def test_the_time_course_is_told() -> None:
    course = plain(ask("desipramine", "fluoxetine"))["time_course"]
    assert 0 < course["onset_h"] <= course["peak_h"]
    assert course["offset_h"] > 3 * WEEK_H
    assert plain(ask("midazolam", "clarithromycin"))["time_course"]["offset_h"] < 2 * WEEK_H


def test_hyperforin_not_the_herb_decides() -> None:
    high, usual, low = (
        ratio("midazolam", "st-johns-wort", regimen=r)
        for r in ("high hyperforin 41 mg/d 14 d", "300 mg TID 14 d", "low hyperforin 0.13 mg/d 14 d")
    )
    assert high < usual < low < 0.95


# --- kratom -----------------------------------------------------------------------------------------------------------


def test_one_kratom_tea_and_midazolam() -> None:
    found = plain(ask("midazolam", "kratom tea", predict=True))
    predicted = found["predicted"]
    assert predicted["low"] < 1.39 < predicted["high"]
    assert 1.2 <= predicted["auc_ratio"] <= 1.65
    assert predicted["hepatic"] <= 1.05
    assert predicted["half_life_ratio"] <= 1.17
    assert set(predicted["offsets"]) == {"12", "24", "48"}
    assert 1 <= predicted["offsets"]["48"] < predicted["offsets"]["24"] < predicted["offsets"]["12"]


def test_a_later_victim_meets_less_of_the_tea() -> None:
    assert ratio("midazolam", "kratom tea", lag_h=48.0) < ratio("midazolam", "kratom tea", lag_h=12.0)


@pytest.mark.parametrize("regimen", ["2 g daily for 14 d", "5 g single dose", "2 g three times a day"])
def test_repeated_or_larger_teas_have_a_ceiling_and_no_estimate(regimen: str) -> None:
    found = plain(ask("midazolam", "kratom tea", regimen=regimen, predict=True))
    assert found["auc_ratio"] is None
    assert found["low"] is None
    assert found["predicted"]["ceiling"] > 1
    assert found["validity"] == "refused"
    assert found["missing"]


def test_no_effect_of_kratom_on_cyp2d6_is_claimed() -> None:
    assert ratio("desipramine", "kratom-leaf") == pytest.approx(1, abs=0.05)
    assert ratio("atomoxetine", "kratom-leaf") == pytest.approx(1, abs=0.05)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("victim", "perpetrator", "says"),
    [
        ("midazolam", "kratom-extract", "never studied"),
        ("midazolam", "7-hydroxymitragynine", "never studied"),
        ("midazolam", "kratom", "which product"),
    ],
)
def test_what_nobody_knows_is_refused_with_its_name(victim: str, perpetrator: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        ask(victim, perpetrator)


def test_refusals_are_cannot_predict_and_carry_exit_code_2() -> None:
    with pytest.raises(CannotPredict) as refused:
        ask("midazolam", "kratom-extract")
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"victim_route": "sideways"}, "unknown route"),
        ({"regimen": "20"}, "no unit"),
        ({"regimen": "-20 mg daily"}, "negative"),
        ({"regimen": "90000 mg daily"}, "not a plausible dose"),
        ({"regimen": "0 mg daily"}, "not a dose"),
        ({"phenotype": {"CYP2D6": "green"}}, "unknown phenotype"),
        ({"phenotype": {"CYP99": "poor"}}, "unknown enzyme"),
        ({"stopped_h": -1.0}, "not a time"),
        ({"stopped_h": math.nan}, "not a time"),
        ({"lag_h": math.inf}, "not a time"),
    ],
)
def test_bad_input_is_one_clear_error(how: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        ask("desipramine", "paroxetine", predict=True, **how)


@pytest.mark.parametrize(
    ("victim", "perpetrators", "says"),
    [
        ("no such thing", ["paroxetine"], "unknown victim"),
        ("", ["paroxetine"], "no victim"),
        ("desipramine", ["no such thing"], "unknown perpetrator"),
        ("desipramine", [], "no perpetrator"),
        ("desipramine", [""], "no perpetrator"),
        ("paroxetine", ["paroxetine"], "its own exposure"),
    ],
)
def test_names_that_cannot_be_read(victim: str, perpetrators: list[str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        interact(knowledge(), victim, perpetrators)


def test_one_dose_cannot_be_meant_for_two() -> None:
    with pytest.raises(BadInput, match="one dose for 2"):
        ask("oxycodone", "paroxetine", "itraconazole", regimen="20 mg QD", predict=True)


# --- reading regimens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "per_day", "days"),
    [
        ("250 mg BID 6 d", 500, 6), ("20 mg daily, 9 d", 20, 9), ("20 mg QD 10+ d (EM)", 20, 10),
        ("titrated to 200 mg/d 12 d", 200, 12), ("titrated 10-20 mg/d, 50 mg metoprolol arm", 20, None),
        ("300 mg TID 14 d (daily total unverified)", 900, 14), ("20 mg QD 4 wk", 20, 28),
        ("37.5 mg/d to steady state", 37.5, None), ("20 mg single-day (AS2)", 20, 1),
        ("500 mg every 12 h for 7 d", 1000, 7), ("84 mg twice weekly 2 wk", 24, 14), ("0.5 g twice daily", 1000, None),
        ("female non-smokers", None, None), ("chronic", None, None), ("4-5 doses (regimen unverified)", None, 4.5),
        ("high hyperforin 41 mg/d 14 d", 41, 14), ("low hyperforin extract 10 d", None, 10),
    ],
)  # fmt: skip
def test_regimens_as_studies_write_them(text: str, per_day: float | None, days: float | None) -> None:
    read = course(text)
    assert (read.per_day, read.days, read.single) == (per_day, days, False)


def test_single_doses_and_their_lag() -> None:
    assert course("2 g single dose (39 mg mitragynine)").single
    assert [course(f"200 mg single, {w}").gap_h for w in ("taken together", "12 h before")] == [0, 12]


def test_phases_in_turn() -> None:
    first, then = course("60 mg 5 d then 20 mg 7 d").phases
    assert (first.amount, first.days, then.amount, then.days) == (60, 5, 20, 7)


def test_two_regimens_in_order() -> None:
    first, second = courses("20 mg QD + 200 mg QD 5 d", ["paroxetine", "itraconazole"])
    assert (first.per_day, first.days, second.per_day, second.days) == (20, 5, 200, 5)


# --- the answer as a whole --------------------------------------------------------------------------------------------

KEYS = (
    "victim perpetrators analyte victim_route regimen phenotype observed predicted active_moiety time_course basis "
    "validity why missing model knowledge"
).split()
PREDICTED = "auc_ratio low high interval_kind cmax_ratio hepatic gut by_pathway ceiling".split()


def test_the_contract_of_the_json() -> None:
    found = plain(ask("S-ketamine", "clarithromycin", predict=True))
    assert [k for k in KEYS if k not in found] == []
    assert [k for k in PREDICTED if k not in found["predicted"]] == []
    assert found["knowledge"]["version"] == knowledge().version
    assert "nan" not in ask("S-ketamine", "clarithromycin").to_json().lower()


def test_everything_known_meets_everything_known() -> None:
    """No pair of the tables fails with anything but a reasoned refusal, and no answer is without a reason."""
    perpetrators = ["paroxetine", "rifampicin", "grapefruit juice", "fluvoxamine", "gabapentin", "ritonavir"]
    for victim in knowledge().victims:
        for perpetrator in perpetrators:
            try:
                found = interact(knowledge(), victim, [perpetrator], predict=True)
            except CannotPredict:
                continue
            except BadInput as refused:
                assert "its own exposure" in str(refused)  # noqa: PT017 (any other bad input is a failure)
                continue
            assert found.auc_ratio is not None
            assert found.low is not None
            assert found.high is not None
            assert 0 < found.low <= found.auc_ratio <= found.high < math.inf
            assert found.why


# --- what is known by class only --------------------------------------------------------------------------------------


def test_a_victim_that_nobody_curated_is_predicted_from_its_class_and_says_so() -> None:
    known = knowledge()
    name = next(
        s.id for s in known.substances.values() if s.id not in known.victims and s.pathways.get("CYP3A4", 0) >= 0.8
    )
    found = ask(name, "ketoconazole", predict=True)
    assert found.validity == "extrapolated"
    assert any("class" in reason for reason in found.why)
    assert found.auc_ratio is not None
    assert found.auc_ratio > 2


def test_a_perpetrator_that_nobody_curated_is_predicted_from_its_class_and_says_so() -> None:
    known = knowledge()
    listed = [
        (s.id, e.enzyme, e.strength)
        for s in known.substances.values()
        for e in s.inhibits
        if s.id not in known.perpetrators and e.strength in ("strong", "moderate") and e.enzyme in ("CYP2D6", "CYP3A4")
    ]
    for name, enzyme, strength in listed:
        victim = {"CYP2D6": "desipramine", "CYP3A4": "midazolam"}[enzyme]
        found = ask(victim, name, predict=True)
        assert found.validity == "extrapolated"
        assert found.auc_ratio is not None
        assert found.auc_ratio > (3 if strength == "strong" else 1.5)


def test_what_clears_a_victim_nobody_knows_is_refused() -> None:
    known = knowledge()
    name = next(
        s.id for s in known.substances.values() if s.id not in known.victims and not s.pathways and not s.components
    )
    with pytest.raises(CannotPredict, match="which enzymes or organs clear it"):
        ask(name, "ketoconazole", predict=True)


def test_what_a_perpetrator_does_nobody_knows_is_refused() -> None:
    known = knowledge()
    name = next(
        s.id
        for s in known.substances.values()
        if s.id not in known.perpetrators and not (s.pathways or s.inhibits or s.induces or s.components)
    )
    with pytest.raises(CannotPredict, match=r"what .* does to enzymes"):
        ask("midazolam", name, predict=True)


def test_an_enantiomer_that_is_not_known_apart_is_its_racemate_and_says_so() -> None:
    found = ask("S-methadone", "rifampicin", predict=True)
    assert found.validity == "extrapolated"
    assert found.auc_ratio == ask("methadone", "rifampicin", predict=True).auc_ratio


def test_the_active_moiety_by_name() -> None:
    whole = ask("risperidone (active moiety)", "paroxetine", predict=True)
    assert whole.analyte == "risperidone + 9-hydroxyrisperidone"
    parent = plain(ask("risperidone", "paroxetine", predict=True))
    assert whole.auc_ratio == parent["active_moiety"]["auc_ratio"]
    assert parent["auc_ratio"] > 2 * parent["active_moiety"]["auc_ratio"]


def test_a_combination_is_asked_for_by_its_parts() -> None:
    with pytest.raises(BadInput, match="combination"):
        ask("dextromethorphan-bupropion", "paroxetine")


# --- a victim that induces itself, a dose that is the reference, words that say nothing -------------------------------


def test_what_has_induced_its_own_enzyme_has_less_left_to_induce() -> None:
    """Carbamazepine at steady state against a stronger and a weaker inducer of its pathway."""
    found = ask("carbamazepine", "rifampicin", predict=True)
    assert any("already induces" in reason for reason in found.why)
    assert ratio("alprazolam", "rifampicin") < ratio("carbamazepine", "rifampicin") < 1
    assert ratio("efavirenz", "carbamazepine") > 0.3


def test_a_potency_told_for_one_dose_is_that_of_one_dose() -> None:
    assert 1.8 < ratio("dextromethorphan", "rolapitant", regimen="180 mg single") < 5
    assert ratio("dextromethorphan", "rolapitant", regimen="90 mg single") < ratio(
        "dextromethorphan", "rolapitant", regimen="180 mg single"
    )


@pytest.mark.parametrize("regimen", ["20 mg every 0 h", "nan mg", "20 kg daily", "20 mg/mL daily", "blah", "20 mg 0 d"])
def test_words_that_say_no_regimen_are_refused(regimen: str) -> None:
    with pytest.raises(BadInput, match="at regimen"):
        course(regimen)


@pytest.mark.parametrize("regimen", ["chronic", "not recorded", "titrated", "10 cigarettes/d", "20 mg daily for 10 d"])
def test_words_of_studies_are_read(regimen: str) -> None:
    assert course(regimen).text == regimen


@pytest.mark.parametrize(
    ("victim", "perpetrator", "low", "high"),
    [
        ("lidocaine", "fluvoxamine", 1.8, 4),
        ("repaglinide", "gemfibrozil", 2, 9),
        ("tolbutamide", "fluconazole", 1.5, 3.5),
        ("debrisoquine", "paroxetine", 2.5, 6),
        ("EDDP", "ticlopidine", 0.4, 1),
        ("desmethylcitalopram", "omeprazole", 0.5, 1.1),
    ],
)
def test_probes_and_metabolites_that_studies_ask_for(victim: str, perpetrator: str, low: float, high: float) -> None:
    assert low < ratio(victim, perpetrator) < high


@pytest.mark.parametrize("victim", ["mitragynine", "kratom-leaf", "7-hydroxymitragynine"])
def test_a_leaf_does_not_change_what_is_in_it(victim: str) -> None:
    with pytest.raises(BadInput, match="its own exposure"):
        ask(victim, "kratom-leaf")


def test_validity_speaks_of_the_prediction_shown() -> None:
    """A ratio that was measured leads; the prediction beside it is still called what it is."""
    found = ask("buprenorphine", "rifampicin", victim_route="sublingual", regimen="600 mg QD 7 d")
    assert found.basis == "observed"
    assert found.validity == "extrapolated"


def test_a_stronger_inducer_of_one_enzyme_needs_the_enzyme_to_matter() -> None:
    """CYP2B6 carries half of bupropion, nothing of lorazepam."""
    assert ratio("bupropion", "efavirenz") < 0.75
    assert ratio("lorazepam", "efavirenz") == 1
