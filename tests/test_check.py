"""Lists as people write them: what must be heard, what must stay quiet, and what is never said."""

from __future__ import annotations

import json
import re

import pytest

import adjunct
from adjunct.assessment import Assessment

AT = "2026-11-21T09:00:00-06:00"


def check(*items: str, **more: object) -> Assessment:
    return adjunct.check(items, at=AT, **more)  # type: ignore[arg-type]


LOUD = [
    # items, verdict, a substance named in the leading finding, its action
    (["sertraline 50 mg", "phenelzine 45 mg"], "contraindicated", "phenelzine"),
    (["tranylcypromine 30 mg", "Effexor XR 150 mg"], "contraindicated", "venlafaxine"),
    (["moclobemide 300 mg", "clomipramine 75 mg"], "contraindicated", "moclobemide"),
    (["phenelzine 15 mg", "pseudoephedrine 60 mg"], "contraindicated", "pseudoephedrine"),
    (["Nardil 45 mg", "tramadol 50 mg prn"], "contraindicated", "tramadol"),
    (["fluoxetine 20 mg, stopped 2 weeks ago", "phenelzine 15 mg"], "contraindicated", "fluoxetine"),
    (["selegiline 10 mg", "meperidine 50 mg"], "contraindicated", "meperidine"),
    (["naltrexone 50 mg", "oxycodone 10 mg"], "contraindicated", "naltrexone"),
    (["naltrexone 50 mg", "kratum powder 5g 3x/day"], "contraindicated", "naltrexone"),
    (["fluvoxamine 100 mg", "tizanidine 4 mg"], "contraindicated", "tizanidine"),
    (["sildenafil 50 mg", "poppers"], "contraindicated", "sildenafil"),
    (["oxycodone 10 mg", "alprazolam 2 mg"], "avoid", "oxycodone"),
    (["7ohmz tablet 30 mg", "alprazolam 1 mg"], "avoid", "7-hydroxymitragynine"),
]


@pytest.mark.parametrize(
    ("items", "verdict", "named"), LOUD, ids=lambda v: "+".join(v) if isinstance(v, list) else None
)
def test_a_dangerous_pair_leads_the_answer(items: list[str], verdict: str, named: str) -> None:
    result = check(*items)
    assert result.verdict == verdict
    assert any(named in f.involves for f in result.findings if f.severity == "high")


QUIET = [
    ["sertraline 100 mg", "trazodone 50 mg"],
    ["fluoxetine 20 mg", "trazodone 50 mg at night"],
    ["venlafaxine 150 mg", "sumatriptan 50 mg"],
    ["duloxetine 60 mg", "rizatriptan 10 mg"],
    ["sertraline 100 mg", "ondansetron 4 mg"],
    ["paroxetine 20 mg", "ondansetron 8 mg"],
    ["sertraline 100 mg", "levothyroxine 75 mcg"],
    ["escitalopram 10 mg", "levothyroxine 100 mcg"],
    ["sertraline 100 mg", "bupropion XL 300 mg"],
    ["escitalopram 10 mg", "Wellbutrin XL 150 mg"],
    ["lithium 900 mg", "sertraline 100 mg"],
    ["lithium carbonate 600 mg", "escitalopram 10 mg"],
    ["sertraline 50 mg", "omeprazole 20 mg"],
    ["esketamine 56 mg", "sertraline 100 mg"],
]


@pytest.mark.parametrize("items", QUIET, ids="+".join)
def test_common_combinations_stay_at_most_low(items: list[str]) -> None:
    loud = [(f.id, f.severity) for f in check(*items).findings if f.severity != "low"]
    assert loud == []


def test_a_citalopram_dose_cap_is_an_adjustment_and_not_more() -> None:
    actions = {f.action for f in check("citalopram 40 mg daily", "omeprazole 20 mg").findings if f.severity != "low"}
    assert actions == {"adjust"}
    below = [f.id for f in check("citalopram 20 mg daily", "omeprazole 20 mg").findings if f.action == "adjust"]
    assert below == []


def test_kratom_with_sertraline_asks_and_cites_and_names_no_amount() -> None:
    result = check("Zoloft 100mg", "kratum 5g 3x a day")
    assert result.verdict == "incomplete"
    assert not result.complete
    assert any(s.id == "tanna-2023" for f in result.findings for s in f.sources)
    asks = " ".join(g.ask for g in result.gaps if g.blocks).casefold()
    assert "product" in asks
    assert "last" in asks
    text = result.to_json().casefold()
    assert not re.search(r"\bsafe (amount|dose)|recommended dose|safely\b", text)


def test_an_unmatched_name_makes_the_answer_incomplete() -> None:
    result = check("sertraline", "blorptazine")
    assert result.verdict == "incomplete"
    assert result.items is not None
    assert [i["match"] for i in result.items] == ["known", "unknown"]


def test_a_danger_outranks_an_unmatched_name_and_the_headline_still_says_incomplete() -> None:
    result = check("sertraline", "phenelzine", "blorptazine")
    assert result.verdict == "contraindicated"
    assert not result.complete
    assert "incomplete" in result.headline["says"].casefold()


@pytest.mark.parametrize("other", ["Narcan nasal spray", "naloxone rescue kit"])
def test_a_rescue_kit_beside_an_opioid_is_no_contraindication(other: str) -> None:
    result = check("oxycodone 10 mg", other)
    assert all(f.action != "contraindicated" for f in result.findings)


def test_suboxone_is_no_antagonist_load() -> None:
    assert all(f.action != "contraindicated" for f in check("Suboxone 8/2 mg daily").findings)


PROTECTED = [
    "buprenorphine 8 mg",
    "methadone 60 mg",
    "alprazolam 2 mg",
    "lamotrigine 200 mg",
    "clonidine 0.1 mg",
    "propranolol 40 mg",
]


@pytest.mark.parametrize("item", PROTECTED)
@pytest.mark.parametrize("other", ["phenelzine 45 mg", "naltrexone 50 mg", "sertraline 100 mg", "sodium oxybate 4.5 g"])
def test_what_must_not_be_stopped_abruptly_never_stands_in_a_stop_sentence(item: str, other: str) -> None:
    name = item.split(" ")[0]
    for finding in check(item, other).findings:
        for sentence in re.findall(r"Do not take the next dose of ([^.]*)", finding.tell):
            assert name not in sentence, finding.id


def test_nobody_is_told_to_stop_outside_a_contraindicated_pair() -> None:
    for items in (["sertraline 100 mg", "kratum powder 5g 3x/day"], ["oxycodone 10 mg", "alprazolam 2 mg"]):
        for finding in check(*items).findings:
            if finding.action != "contraindicated":
                assert "Do not take the next dose" not in finding.tell, finding.id


NEVER = re.compile(r"\bsafe\b|no interaction|\blegal\b", re.IGNORECASE)


@pytest.mark.parametrize("items", [["sertraline"], ["kratom powder 2 g"], ["ibuprofen", "sertraline"], ["blorptazine"]])
@pytest.mark.parametrize("place", [None, "US-TX", "US-AL", "DE", "GB"])
def test_words_that_are_never_said(items: list[str], place: str | None) -> None:
    found = json.loads(check(*items, jurisdiction=place).to_json())
    texts = [found["headline"][k] for k in found["headline"]]
    texts += [f[k] for f in found["findings"] for k in ("says", "tell")] + [g["why"] + g["ask"] for g in found["gaps"]]
    for text in texts:
        assert not NEVER.search(text.replace("keep you safe", "")), text


def test_without_a_country_no_number_of_any_country_is_shown() -> None:
    text = " ".join(c.text for c in check("sertraline 50 mg", "phenelzine 45 mg").contacts)
    assert "911" not in text
    assert "988" not in text


def test_a_stale_law_row_stays_open() -> None:
    later = adjunct.check(["kratom powder 2 g"], jurisdiction="US-TX", at="2030-01-01T00:00:00+00:00")
    assert not later.complete
    assert not any(f.id.startswith("law-") for f in later.findings)
    assert any(g.fact.startswith("law") for g in later.gaps)


def test_conditions_that_the_asker_names_count() -> None:
    result = check("bupropion XL 300 mg", conditions=["epilepsy"])
    assert result.verdict in ("contraindicated", "avoid")


def test_an_implausible_amount_asks_before_it_refuses() -> None:
    with pytest.raises(adjunct.base.BadInput, match="at once") as caught:  # type: ignore[attr-defined]
        check("sertraline 1000000000 g")
    assert caught.value.exit_code == 2


def test_an_overdue_number_is_used_and_shown_as_due() -> None:
    pair = ["phenelzine 45 mg, stopped 10 days ago", "sertraline 50 mg"]
    later = adjunct.check(pair, at="2031-01-01T00:00:00+00:00")
    assert later.verdict == "contraindicated"
    assert "due for review since" in later.findings[0].certainty
    assert "due for review" not in check(*pair).findings[0].certainty


@pytest.mark.parametrize("age", [-1, 131, 5000, float("nan")])
def test_an_age_that_nobody_has_is_refused(age: float) -> None:
    with pytest.raises(adjunct.base.BadInput, match="age"):  # type: ignore[attr-defined]
        check("sertraline", age=age)


def test_a_finding_of_one_reading_does_not_hide_that_of_another() -> None:
    """ "Blues" may be a benzodiazepine or an opioid: each has its own finding beside zolpidem, and both are told."""
    found = {
        f.id: {name for part in f.only_if for name in part["is"]} for f in check("blues", "zolpidem 10 mg").findings
    }
    assert "oxycodone" in found["opioid-with-sedative"]
    assert "diazepam" in found["sedation-two-strong"]
