"""A thousand psychiatric medicine lists, as coded items: alarms stay rare, and the quiet pairs stay quiet.

An alarm that nearly everybody gets is an alarm that nobody reads. The lists are invented, their weights those of an
ordinary outpatient clinic; the limits below are what a prescriber would put up with.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from statistics import mean, median, quantiles

import pytest

import adjunct
from adjunct.assessment import Assessment
from adjunct.assessment.result import SEVERITIES
from bundles import NOW, knowledge, person

REGIMENS, SEED, PARTS = 1000, 20261121, 4
MOST_HIGH = 2  # median of high-severity findings in a list
MOST_OFTEN = 0.6  # of all lists: what speaks up more often than that says nothing

# substance and daily amount: weight
SSRI = {
    "sertraline 100 mg": 8,
    "escitalopram 10 mg": 8,
    "fluoxetine 20 mg": 5,
    "citalopram 20 mg": 4,
    "paroxetine 20 mg": 2,
    "citalopram 40 mg": 1,
    "fluvoxamine 100 mg": 0.5,
}
SNRI = {"venlafaxine 150 mg": 5, "duloxetine 60 mg": 5, "desvenlafaxine 50 mg": 1}
OTHER = {
    "bupropion 300 mg": 6,
    "mirtazapine 30 mg": 5,
    "trazodone 50 mg": 5,
    "vortioxetine 10 mg": 2,
    "agomelatine 25 mg": 0.5,
}
TCA = {"amitriptyline 25 mg": 3, "nortriptyline 50 mg": 2, "clomipramine 75 mg": 1}
MAOI = {"phenelzine 45 mg": 1, "tranylcypromine 30 mg": 1, "moclobemide 300 mg": 1}
CLASSES = [(SSRI, 50), (SNRI, 22), (OTHER, 20), (TCA, 7), (MAOI, 1)]
ANTIPSYCHOTIC = {
    "quetiapine 100 mg": 6,
    "aripiprazole 5 mg": 5,
    "olanzapine 10 mg": 3,
    "risperidone 2 mg": 2,
    "lurasidone 40 mg": 1,
    "clozapine 200 mg": 0.3,
}
STABILISER = {"lamotrigine 200 mg": 5, "lithium 900 mg": 4, "valproate 1000 mg": 3, "carbamazepine 400 mg": 1}
CALMING = {
    "lorazepam 1 mg": 4,
    "clonazepam 1 mg": 4,
    "alprazolam 1 mg": 3,
    "diazepam 5 mg": 2,
    "zolpidem 5 mg": 4,
    "zopiclone 7.5 mg": 2,
    "hydroxyzine 25 mg": 4,
    "buspirone 20 mg": 2,
    "melatonin 3 mg": 2,
    "pregabalin 150 mg": 2,
}
STIMULANT = {"methylphenidate 36 mg": 2, "lisdexamfetamine 50 mg": 2, "atomoxetine 60 mg": 1}
SOMATIC = {
    "omeprazole 20 mg": 6,
    "levothyroxine 0.075 mg": 6,
    "lisinopril 10 mg": 6,
    "atorvastatin 20 mg": 7,
    "metformin 1000 mg": 5,
    "amlodipine 5 mg": 4,
    "ibuprofen 400 mg": 4,
    "paracetamol 1000 mg": 4,
    "hydrochlorothiazide 25 mg": 2,
    "metoprolol 50 mg": 3,
    "salbutamol 0.2 mg": 2,
    "vitamin-d 0.025 mg": 3,
    "aspirin 100 mg": 2,
    "cetirizine 10 mg": 2,
    "semaglutide 1 mg": 1,
    "ethinylestradiol 0.03 mg": 2,
    "gabapentin 900 mg": 2,
    "sumatriptan 50 mg": 1,
    "apixaban 10 mg": 1,
    "tramadol 100 mg": 1,
    "oxycodone 10 mg": 1,
    "prednisone 5 mg": 1,
    "ondansetron 4 mg": 0.5,
}
ALSO = {"alcohol": 10, "cannabis": 8, "kratom-leaf": 4, "caffeine": 4, "nicotine": 4, "st-johns-wort": 1}
FEWEST, MOST = 3, 8


def draw(table: dict[str, float], dice: random.Random) -> str:
    return dice.choices(list(table), list(table.values()))[0]


def regimen(number: int) -> list[str]:
    """One list of three to eight, the same for the same number."""
    dice = random.Random(SEED + number)
    classes, weights = [c for c, _ in CLASSES], [w for _, w in CLASSES]
    first = dice.choices(classes, weights)[0]
    found = [draw(first, dice)]
    if dice.random() < 0.3:  # a second antidepressant, rarely of the same class
        second = (
            first
            if dice.random() < 0.05
            else dice.choices(
                [c for c in classes[:-1] if c is not first],
                weights[:4][: len([c for c in classes[:-1] if c is not first])],
            )[0]
        )
        found.append(draw(second, dice))
    for chance, table in ((0.25, ANTIPSYCHOTIC), (0.2, STABILISER), (0.35, CALMING), (0.05, STIMULANT), (0.25, ALSO)):
        if dice.random() < chance:
            found.append(draw(table, dice))
    found = one_of_each(found)[:MOST]
    size = max(len(found), dice.randint(FEWEST, MOST))
    while len(found) < size:
        found = one_of_each([*found, draw(SOMATIC, dice)])
    return found


def one_of_each(medicines: Sequence[str]) -> list[str]:
    return list({m.split(" ")[0]: m for m in medicines}.values())


def check(medicines: Sequence[str], age: int = 40) -> Assessment:
    bundle = person(age=age, sex="M", takes=medicines, reviewed=True, reconciled=True)
    return adjunct.assess(bundle, treatment="none", at=NOW, knowledge=knowledge())


@cache
def answers() -> tuple[tuple[tuple[str, ...], Assessment], ...]:
    """Every list with its answer; the ages lie between 20 and 79."""
    lists = [tuple(regimen(n)) for n in range(REGIMENS)]
    return tuple((medicines, check(medicines, 20 + n % 60)) for n, medicines in enumerate(lists))


def loud(result: Assessment) -> dict[str, str]:
    """What is above low: finding -> action."""
    return {f.id: f.action for f in result.findings if f.severity != SEVERITIES[0]}


# --- how often it speaks ----------------------------------------------------------------------------------------------


def test_the_lists_are_what_they_are_meant_to_be() -> None:
    lists = [m for m, _ in answers()]
    assert {len(m) for m in lists} == set(range(FEWEST, MOST + 1))
    assert len(set(lists)) > REGIMENS * 0.9
    assert all(len({m.split(" ")[0] for m in one}) == len(one) for one in lists)
    named = Counter(m.split(" ")[0] for one in lists for m in one)
    assert set(named) <= set(knowledge().substances)
    assert named["sertraline"] > named["phenelzine"] > 0
    assert regimen(7) == regimen(7)


def test_every_medicine_of_a_list_is_read() -> None:
    for medicines, result in answers():
        unread = [g.why for g in result.gaps if "not a medicine" in g.why]
        assert unread == [], medicines


def test_alarms_stay_rare(record_property: pytest.RecordProperty) -> None:  # type: ignore[name-defined]
    high = [sum(f.severity == "high" for f in result.findings) for _, result in answers()]
    above = [len(loud(result)) for _, result in answers()]
    every = [len(result.findings) for _, result in answers()]
    report = {
        name: f"mean {mean(n):.2f}, median {median(n):g}, 90 % {quantiles(n, n=10)[-1]:g}, most {max(n)}"
        for name, n in (("high", high), ("above low", above), ("all findings", every))
    } | {
        "lists without a high one": f"{high.count(0) / REGIMENS:.1%}",
        "verdicts": str(dict(Counter(result.verdict for _, result in answers()))),
        "complete": f"{sum(result.complete for _, result in answers()) / REGIMENS:.1%}",
        "high, most often": str(
            Counter(f.id for _, r in answers() for f in r.findings if f.severity == "high").most_common(12)
        ),
    }
    for name, value in report.items():
        record_property(name, value)
        print(f"{name}: {value}")
    assert median(high) <= MOST_HIGH, report
    assert sum(high) > 0, "an instrument that never moves measures nothing"


def test_no_rule_speaks_up_for_most_lists() -> None:
    often = Counter(rule for _, result in answers() for rule in loud(result))
    print("above low, most often:", often.most_common(25))
    assert {rule: n for rule, n in often.items() if n > MOST_OFTEN * REGIMENS} == {}


def test_a_dangerous_pair_is_never_lost_in_a_long_list() -> None:
    """Whatever else is taken, an MAO inhibitor with a serotonin reuptake inhibitor leads."""
    reuptake = {m.split(" ")[0] for m in (*SSRI, *SNRI)}
    seen = 0
    for number in range(0, REGIMENS, 20):
        medicines = one_of_each([*regimen(number), "phenelzine 45 mg"])
        partners = {m.split(" ")[0] for m in medicines} & reuptake
        if not partners:
            continue
        seen += 1
        result = check(medicines)
        pairs = [f for f in result.findings if "phenelzine" in f.involves and partners & set(f.involves)]
        assert any(f.severity == "high" and f.action == "contraindicated" for f in pairs), medicines
        assert result.findings[0].action in ("contraindicated", "emergency"), medicines
    assert seen > 10


# --- quiet pairs: what must not change when something harmless is added -----------------------------------------------

DOSE_CAPS = ("citalopram", "escitalopram")


def with_an_ssri() -> Iterator[list[str]]:
    for number in range(REGIMENS // 4):
        medicines = [m for m in regimen(number) if m.split(" ")[0] not in ("levothyroxine", "omeprazole")]
        if any(m in SSRI for m in medicines):
            yield medicines


@pytest.mark.parametrize("part", range(PARTS))
def test_levothyroxine_or_omeprazole_beside_an_ssri_adds_nothing_loud(part: int) -> None:
    lists = list(with_an_ssri())[part::PARTS]
    assert len(lists) > 20
    new = []
    for medicines in lists:
        before = loud(check(medicines))
        for added in ("levothyroxine 0.075 mg", "omeprazole 20 mg"):
            for rule, action in loud(check([*medicines, added])).items():
                capped = added.startswith("omeprazole") and any(m.startswith(DOSE_CAPS) for m in medicines)
                if rule not in before and not (capped and action == "adjust"):
                    new.append((added, rule, action, medicines))
    assert new == []


@pytest.mark.parametrize("added", ["vitamin-d 0.025 mg", "cetirizine 10 mg", "salbutamol 0.2 mg", "paracetamol 500 mg"])
def test_a_harmless_addition_to_sertraline_adds_nothing_loud(added: str) -> None:
    assert loud(check(["sertraline 100 mg", added])) == loud(check(["sertraline 100 mg"]))


def test_the_order_of_a_list_does_not_matter() -> None:
    for number in range(0, REGIMENS, 50):
        medicines = regimen(number)
        there, back = check(medicines), check(medicines[::-1])
        assert (there.verdict, loud(there)) == (back.verdict, loud(back)), medicines


def test_adding_never_takes_a_grave_finding_away() -> None:
    """A longer list may replace a finding by a more specific one, but never lower what the list comes to."""
    order = ["ELIGIBLE", "CAUTION", "DEFER", "NOT_ELIGIBLE", "ESCALATE"]
    for number in range(0, REGIMENS, 25):
        medicines = regimen(number)
        whole = order.index(check(medicines).verdict)
        for n in range(len(medicines)):
            fewer = [*medicines[:n], *medicines[n + 1 :]]
            result = check(fewer)
            if result.complete:
                assert order.index(result.verdict) <= whole, (medicines, medicines[n], [f.id for f in result.findings])
