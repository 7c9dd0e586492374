"""Exposure ratios inside findings: the right pairs, the right route, what acts, and words for people and for FHIR."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

import adjunct
from adjunct.assessment import exposure
from adjunct.assessment.exposure import exposures, in_words
from adjunct.assessment.result import Assessment
from adjunct.knowledge.entries import Rule
from adjunct.pharmacology.interaction import interact
from adjunct.publish import to_fhir
from adjunct.record import Intake
from adjunct.terminal import show
from bundles import NOW, knowledge, person

KEYS = [
    "victim", "perpetrator", "victim_route", "auc_ratio", "low", "high", "interval_kind", "basis", "validity",
    "source", "moiety", "why",
]  # fmt: skip
Entry = dict[str, Any]


def checked(*items: str) -> Assessment:
    return adjunct.check(items, at=NOW, country="US", knowledge=knowledge())


def entries(result: Assessment, rule: str) -> list[Entry]:
    return [dict(e) for f in result.findings if f.id == rule for e in f.exposure]


def pairs(found: Sequence[Entry]) -> list[tuple[str, str]]:
    return [(e["victim"], e["perpetrator"]) for e in found]


def only(rule: str, *items: str) -> Entry:
    (found,) = entries(checked(*items), rule)
    return found


def rule_of(name: str) -> Rule:
    return next(r for r in knowledge().rule_list if r.id == name)


# --- the right pairs --------------------------------------------------------------------------------------------------

PAIRS = [
    ("cyp3a-strong-adjust", ("clarithromycin", "quetiapine"), [("quetiapine", "clarithromycin")]),
    # lurasidone inhibits CYP3A4 a little, fluvoxamine is cleared by CYP2D6: the rules are not about that
    ("inducer-with-lurasidone", ("carbamazepine", "lurasidone"), [("lurasidone", "carbamazepine")]),
    ("cyp1a2-duloxetine", ("fluvoxamine", "duloxetine"), [("duloxetine", "fluvoxamine")]),
    ("clopidogrel-blocked", ("clopidogrel", "omeprazole"), [("clopidogrel", "omeprazole")]),
    ("cyp2d6-forbidden", ("sertraline", "pimozide"), [("pimozide", "sertraline")]),
    ("maoi-with-triptan", ("phenelzine", "sumatriptan"), [("sumatriptan", "phenelzine")]),
    ("kratom-cyp3a", ("kratom leaf tea 2 g", "midazolam"), [("midazolam", "kratom-leaf")]),
    # two victims do not change each other here, whatever they share
    ("cyp1a2-minor", ("fluvoxamine", "olanzapine", "caffeine"),
     [("olanzapine", "fluvoxamine"), ("caffeine", "fluvoxamine")]),
    ("cyp2d6-adjust", ("paroxetine", "bupropion", "risperidone", "desipramine"),
     [("risperidone", "paroxetine"), ("risperidone", "bupropion"), ("desipramine", "paroxetine"),
      ("desipramine", "bupropion")]),
    # both ways are real and both are told
    ("carbamazepine-with-nefazodone", ("carbamazepine", "nefazodone"),
     [("carbamazepine", "nefazodone"), ("nefazodone", "carbamazepine")]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "items", "expected"), PAIRS, ids=[p[0] for p in PAIRS])
def test_a_finding_tells_the_pairs_that_its_rule_is_about(
    rule: str, items: tuple[str, ...], expected: list[tuple[str, str]]
) -> None:
    assert sorted(pairs(entries(checked(*items), rule))) == sorted(expected)


@pytest.mark.parametrize("rule", [r.id for r in knowledge().rule_list if r.kind == "pharmacokinetic"])
def test_every_pharmacokinetic_rule_has_a_pair_or_is_of_a_treatment(rule: str) -> None:
    """A rule that joins victims with perpetrators tells at least one pair among all that it names."""
    known, found = knowledge(), rule_of(rule)
    if "none" not in found.treatments:
        return
    assert any(
        perpetrator in exposure._acting_on(victim, known)
        for victims, others in exposure._directions(found, known)
        for victim in victims
        for perpetrator in others - {victim}
    )


def test_other_kinds_of_findings_carry_no_exposure() -> None:
    for finding in checked("phenelzine", "sertraline", "clarithromycin", "quetiapine").findings:
        assert bool(finding.exposure) == (finding.id == "cyp3a-strong-adjust"), finding.id


def test_no_pair_stands_twice_and_the_keys_are_the_contract() -> None:
    found = json.loads(checked("ritonavir", "fentanyl", "oxycodone", "quetiapine", "simvastatin").to_json())
    for finding in found["findings"]:
        keyed = [(e["victim"], e["perpetrator"], e["victim_route"]) for e in finding["exposure"]]
        assert len(keyed) == len(set(keyed))
        for entry in finding["exposure"]:
            assert list(entry) == KEYS
            assert entry["why"]


# --- what acts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("victim", "moiety", "below"),
    [
        ("tramadol", "tramadol + O-desmethyltramadol", 0.8),
        ("codeine", "codeine + morphine", 0.5),
        ("hydrocodone", "metabolite hydromorphone", 0.5),
    ],
)
def test_a_prodrug_opioid_never_tells_the_parent_alone(victim: str, moiety: str, below: float) -> None:
    """The parent rises while what relieves pain falls."""
    entry = only("cyp2d6-prodrug-opioid", "paroxetine", victim)
    assert entry["auc_ratio"] > 1
    assert entry["moiety"]["name"] == moiety
    assert entry["moiety"]["low"] < entry["moiety"]["auc_ratio"] < entry["moiety"]["high"]
    assert entry["moiety"]["auc_ratio"] < below
    assert moiety in in_words(entry)


@pytest.mark.parametrize(
    ("rule", "items"),
    [
        ("clopidogrel-blocked", ("clopidogrel", "omeprazole")),
        ("cyp2d6-prodrug-opioid", ("dihydrocodeine", "paroxetine")),
    ],
)
def test_without_what_acts_the_level_of_a_prodrug_is_not_told(rule: str, items: tuple[str, ...]) -> None:
    """Clopidogrel itself hardly changes with omeprazole; to say so would read as "no interaction"."""
    entry = only(rule, *items)
    assert (entry["auc_ratio"], entry["basis"], entry["validity"]) == (None, "refused", "refused")
    assert "carries its effect" in in_words(entry)


def test_tamoxifen_tells_endoxifen() -> None:
    entry = only("cyp2d6-tamoxifen", "tamoxifen", "paroxetine")
    assert entry["moiety"]["name"] == "metabolite endoxifen"
    assert entry["moiety"]["high"] < 0.7


def test_a_measured_parent_keeps_its_predicted_moiety_beside_it() -> None:
    entry = only("cyp2d6-adjust", "paroxetine", "risperidone")
    assert (entry["auc_ratio"], entry["basis"], entry["interval_kind"]) == (7.1, "observed", "95CI")
    assert entry["source"]["id"] == "saito-2005"
    assert entry["moiety"]["name"] == "risperidone + 9-hydroxyrisperidone"
    assert 1.1 < entry["moiety"]["auc_ratio"] < 2.2
    assert entry["why"][0] == "measured with 20 mg QD 4 wk"


# --- kratom -----------------------------------------------------------------------------------------------------------


def test_one_tea_is_told_with_its_limits() -> None:
    entry = only("kratom-cyp3a", "kratom leaf tea 2 g", "midazolam")
    assert (entry["auc_ratio"], entry["low"], entry["high"], entry["basis"]) == (1.39, 1.23, 1.57, "observed")
    assert entry["validity"] == "extrapolated"
    assert "repeated or larger amounts were not studied" in in_words(entry)


def _leaf(times: tuple[float, float] | None) -> Intake:
    return Intake(
        reference="items[0]", options={"kratom-leaf": ("kratom-leaf",)}, text="kratom", t0=0, t1=0, times_a_day=times
    )


def test_kratom_taken_again_and_again_has_no_estimate() -> None:
    """`taken` says how often; nothing was measured but one tea."""
    rule, involves = rule_of("kratom-cyp3a"), ("kratom-leaf", "midazolam")
    (once,) = exposures(rule, involves, "none", knowledge(), [_leaf(None)])
    (again,) = exposures(rule, involves, "none", knowledge(), [_leaf((3, 3))])
    assert once["auc_ratio"] == 1.39
    assert (again["auc_ratio"], again["low"], again["high"]) == (None, None, None)
    assert (again["basis"], again["validity"], again["source"]) == ("refused", "refused", None)
    assert "the mechanism ends at x1.8" in in_words(again)


def test_extract_is_never_given_the_number_of_the_tea() -> None:
    found = entries(checked("kratom extract", "midazolam"), "kratom-cyp3a")
    assert pairs(found) == [("midazolam", "kratom-extract")]
    assert found[0]["auc_ratio"] is None
    assert "never studied" in in_words(found[0])


def test_one_thing_under_two_names_is_no_error() -> None:
    found = entries(checked("kratom leaf", "mitragynine", "midazolam"), "kratom-cyp3a")
    assert {e["perpetrator"] for e in found} == {"kratom-leaf", "mitragynine"}


# --- the route belongs to the number ----------------------------------------------------------------------------------


def assessed(treatment: str, *takes: str) -> Assessment:
    bundle = json.dumps(person(age=44, takes=takes, reviewed=True, reconciled=True)).encode()
    return adjunct.assess(bundle, treatment=treatment, phase="pre-dose", at=NOW, country="US", knowledge=knowledge())


@pytest.mark.parametrize(
    ("treatment", "victim", "route"),
    [
        ("ketamine-iv", "ketamine", "iv"),
        ("ketamine-im", "ketamine", "im"),
        ("ketamine-sc", "ketamine", "sc"),
        ("esketamine-nasal", "esketamine", "nasal"),
    ],
)
@pytest.mark.parametrize("other", sorted(knowledge().sets["ketamine-cyp-perpetrator"]))
def test_a_ketamine_treatment_is_never_given_an_oral_ratio(treatment: str, victim: str, route: str, other: str) -> None:
    found = entries(assessed(treatment, other), "ketamine-enzyme-oral-only")
    assert [(e["victim"], e["victim_route"], e["perpetrator"]) for e in found] == [(victim, route, other)]
    assert 0.6 < found[0]["auc_ratio"] <= 1.5
    by_mouth = adjunct.interact(victim, other, predict=True)
    if other in ("rifampicin", "carbamazepine", "itraconazole"):
        assert found[0]["auc_ratio"] != by_mouth.auc_ratio
    assert "by mouth" not in in_words(found[0])


def test_ketamine_on_a_list_is_told_for_both_ways_it_may_be_given() -> None:
    found = entries(checked("ketamine", "rifampicin"), "ketamine-item-with-enzyme")
    assert [e["victim_route"] for e in found] == ["oral", "iv"]
    assert found[0]["auc_ratio"] < 0.5 < found[1]["auc_ratio"]


def test_what_was_not_read_is_said() -> None:
    why = only("maoi-with-triptan", "stopped phenelzine 5 days ago", "sumatriptan")["why"]
    assert "as while phenelzine is taken: how long ago the last dose was is not counted" in why
    assert "for sumatriptan by mouth: how it is taken was not read" in why
    assert "for the usual dose of phenelzine: the amount taken is not counted" in why
    plain = only("cyp3a-strong-adjust", "clarithromycin", "quetiapine")["why"]
    assert not any("last dose" in reason for reason in plain)


# --- words ------------------------------------------------------------------------------------------------------------


def test_the_words_of_a_prediction() -> None:
    entry: Entry = {
        "victim": "quetiapine", "perpetrator": "clarithromycin", "victim_route": "oral", "auc_ratio": 4.104,
        "low": 2.04, "high": 8.31, "interval_kind": "90PI", "basis": "predicted", "validity": "valid", "source": None,
        "moiety": None, "why": ["CYP3A4"],
    }  # fmt: skip
    assert in_words(entry) == (
        "Exposure of quetiapine by mouth with clarithromycin: x4.1 (90 % predictive interval 2 to 8.3), predicted."
    )
    large = in_words(entry | {"auc_ratio": 118.0, "low": None, "high": None, "validity": "extrapolated"})
    assert large.endswith("clarithromycin: x120, predicted, extrapolated.")
    seen = in_words(entry | {"auc_ratio": 14.62, "interval_kind": "range", "source": {"id": "s"}, "basis": "observed"})
    assert seen.endswith("x14.62 (range 2.04 to 8.31), measured in people.")


def test_fhir_carries_the_ratio_in_words() -> None:
    result = checked("clarithromycin", "quetiapine")
    bundle = to_fhir(result.to_dict(), now_iso=NOW, patient_reference=None)
    issues = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DetectedIssue"]
    (issue,) = [i for i in issues if i["identifier"][0]["value"].startswith("cyp3a-strong-adjust@")]
    sentence = in_words(entries(result, "cyp3a-strong-adjust")[0])
    assert sentence.startswith("Exposure of quetiapine by mouth with clarithromycin: x4")
    assert sentence in issue["detail"]
    assert sum("Exposure of" in i["detail"] for i in issues) == 1


def test_fhir_of_a_finding_without_exposure_is_as_before() -> None:
    result = checked("clarithromycin", "quetiapine").to_dict()
    for finding in result["findings"]:
        finding.pop("exposure")
    bundle = to_fhir(result, now_iso=NOW, patient_reference=None)
    assert "Exposure of" not in json.dumps(bundle)


def test_the_terminal_says_it_once() -> None:
    out = io.StringIO()
    result = checked("clarithromycin", "quetiapine")
    show(result, sources=False, console=Console(file=out, width=100, highlight=False))
    said = " ".join(out.getvalue().split())
    assert said.count(in_words(entries(result, "cyp3a-strong-adjust")[0])) == 1


# --- memory -----------------------------------------------------------------------------------------------------------


def test_every_cache_of_the_exposure_room_is_bounded() -> None:
    caches = [f for _, f in inspect.getmembers(exposure) if hasattr(f, "cache_parameters")]
    mine = [c for c in caches if c.__module__ == exposure.__name__]
    assert len(mine) >= 4
    assert all(c.cache_parameters()["maxsize"] for c in mine)


def test_a_second_answer_is_equal_to_the_first() -> None:
    first, second = (checked("paroxetine", "tramadol", "risperidone").to_dict()["findings"] for _ in range(2))
    assert first == second


def test_what_is_usually_not_swallowed_is_told_by_its_usual_route() -> None:
    """A patch is not swallowed: the ratio by mouth would be that of another product."""
    found = [e for f in checked("ritonavir", "fentanyl", "oxycodone").findings for e in f.exposure]
    routes = {e["victim"]: e["victim_route"] for e in found}
    assert routes["fentanyl"] == "transdermal"
    assert routes["oxycodone"] == "oral"
    patch = next(e for e in found if e["victim"] == "fentanyl")
    assert "through the skin" in in_words(patch)
    assert set(exposure.ROUTES) >= {str(v["usual_route"]) for v in knowledge().victims.values() if "usual_route" in v}


def test_a_measured_ratio_is_valid_whatever_the_prediction_beside_it() -> None:
    beside = adjunct.interact("buprenorphine", ["rifampicin"], victim_route="sublingual", knowledge=knowledge())
    entry = exposure._pair("buprenorphine", "rifampicin", "sublingual", None, knowledge())
    assert (beside.basis, beside.validity) == ("observed", "extrapolated")
    assert (entry["basis"], entry["validity"]) == ("observed", "valid")


def test_a_check_does_not_ask_what_a_tea_does_later(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    real = interact

    def told(*given: Any, **how: Any) -> Any:
        asked.append(how["fading"])
        return real(*given, **how)

    monkeypatch.setattr(exposure, "interact", told)
    exposure._pair.cache_clear()
    exposure._told.cache_clear()
    only("kratom-cyp3a", "kratom leaf tea 2 g", "midazolam")
    assert asked
    assert not any(asked)
