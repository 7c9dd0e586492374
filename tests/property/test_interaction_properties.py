"""What must hold of any interaction, whatever the figures: the arithmetic on invented victims and perpetrators."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.pharmacology.interaction.mechanism import (
    Acting,
    Change,
    Clearance,
    Metabolite,
    Setting,
    change,
    formation,
    metabolite_change,
)

ENZYMES = ("CYP2D6", "CYP3A4", "CYP2B6")
shares_of = st.fixed_dictionaries({e: st.floats(0, 1) for e in (*ENZYMES, "renal", "other")}).filter(
    lambda w: w["other"] > 0.01
)
potencies = st.floats(0.01, 200)
extractions = st.floats(0.01, 0.99)


def clearance(weights: Mapping[str, float], gut: float | None = 1.0, extraction: float | None = 0.5) -> Clearance:
    total = sum(weights.values())
    shares = {e: w / total for e, w in weights.items()}
    return Clearance("victim", shares, {}, gut, extraction, None, {}, True)


def acting(
    enzyme: str,
    potency: float,
    *,
    induces: bool = False,
    slow: bool = False,
    hours: float | None = None,
    left: float = 1,
) -> Acting:
    return Acting(f"{enzyme}:{potency}", "", "p", enzyme, induces, slow, potency, potency, hours, 0.02, left)


def oral(victim: Clearance, *effects: Acting, genotype: Mapping[str, float] | None = None) -> Setting:
    return Setting(victim, effects, (), genotype or {}, True, 0, 1)


def by_vein(victim: Clearance, *effects: Acting) -> Setting:
    return Setting(victim, effects, (), {}, False, 1, 0)


def auc(setting: Setting) -> float:
    found = change(setting, {})
    assert isinstance(found, Change)
    return found.auc


@given(shares_of, st.floats(0.05, 1), st.sampled_from(ENZYMES), potencies, st.floats(1, 10))
def test_monotone_in_the_inhibitor(
    weights: Mapping[str, float], gut: float, enzyme: str, potency: float, times: float
) -> None:
    victim = clearance(weights, gut)
    less, more = auc(oral(victim, acting(enzyme, potency))), auc(oral(victim, acting(enzyme, potency * times)))
    assert less * (1 + 1e-12) >= 1
    assert less <= more * (1 + 1e-12)


@given(shares_of, st.floats(0.05, 1), st.sampled_from(ENZYMES), potencies, st.floats(1, 10))
def test_monotone_in_the_inducer(
    weights: Mapping[str, float], gut: float, enzyme: str, potency: float, times: float
) -> None:
    victim = clearance(weights, gut)
    less = auc(oral(victim, acting(enzyme, potency, induces=True)))
    more = auc(oral(victim, acting(enzyme, potency * times, induces=True)))
    assert more <= less * (1 + 1e-12)
    assert less <= 1 + 1e-12


@given(shares_of, st.lists(st.tuples(st.sampled_from(ENZYMES), potencies, st.booleans()), min_size=2, max_size=4))
def test_the_order_of_perpetrators_is_no_fact(
    weights: Mapping[str, float], several: list[tuple[str, float, bool]]
) -> None:
    victim = clearance(weights, 0.5)
    effects = [acting(e, p, induces=i) for e, p, i in several]
    assert auc(oral(victim, *effects)) == pytest.approx(auc(oral(victim, *reversed(effects))), rel=1e-12)


@given(shares_of, extractions, potencies, st.booleans())
def test_no_pathway_no_interaction(
    weights: Mapping[str, float], extraction: float, potency: float, induces: bool
) -> None:
    victim = clearance({**weights, "CYP2D6": 0}, 0.4, extraction)
    effect = acting("CYP2D6", potency, induces=induces)
    assert auc(oral(victim, effect)) == pytest.approx(1, abs=1e-12)
    assert auc(by_vein(victim, effect)) == pytest.approx(1, abs=1e-12)


@given(shares_of, st.floats(0.05, 1), potencies)
def test_the_ceiling_is_respected(weights: Mapping[str, float], gut: float, potency: float) -> None:
    victim = clearance(weights, gut)
    most = 1 / (gut * (1 - victim.shares["CYP3A4"]))
    assert auc(oral(victim, acting("CYP3A4", potency))) <= most * (1 + 1e-9)


@given(shares_of, extractions, potencies, st.booleans())
def test_by_vein_less_happens_than_by_mouth(
    weights: Mapping[str, float], extraction: float, potency: float, induces: bool
) -> None:
    """The liver's own flow dampens a change, and never turns it round."""
    victim = clearance({**weights, "renal": 0}, 1.0, extraction)
    effect = acting("CYP2B6", potency, induces=induces)
    mouth, vein = math.log(auc(oral(victim, effect))), math.log(auc(by_vein(victim, effect)))
    assert mouth * vein >= 0
    assert abs(vein) <= abs(mouth) + 1e-9


@given(shares_of, potencies)
def test_a_liver_that_takes_little_is_like_by_mouth_and_one_that_takes_all_like_nothing(
    weights: Mapping[str, float], potency: float
) -> None:
    effect = acting("CYP2B6", potency, induces=True)
    free = {**weights, "renal": 0}
    little = auc(by_vein(clearance(free, 1.0, 1e-6), effect))
    assert little == pytest.approx(auc(oral(clearance(free), effect)), rel=1e-3)
    assert auc(by_vein(clearance(free, 1.0, 1 - 1e-9), effect)) == pytest.approx(1, rel=1e-3)


@given(shares_of, st.floats(0.05, 1), extractions, st.floats(0.05, 0.95), potencies, st.booleans())
def test_a_mixture_lies_between_its_parts(
    weights: Mapping[str, float], gut: float, extraction: float, systemic: float, potency: float, induces: bool
) -> None:
    victim = clearance(weights, gut, extraction)
    effect = acting("CYP3A4", potency, induces=induces)
    mixed = auc(Setting(victim, (effect,), (), {}, True, systemic, 1 - systemic))
    parts = sorted([auc(oral(victim, effect)), auc(by_vein(victim, effect))])
    assert parts[0] * (1 - 1e-9) <= mixed <= parts[1] * (1 + 1e-9)


@given(shares_of, potencies)
def test_a_poor_metaboliser_has_no_pathway_left(weights: Mapping[str, float], potency: float) -> None:
    victim = clearance(weights)
    assert auc(oral(victim, acting("CYP2D6", potency), genotype={"CYP2D6": 0})) == pytest.approx(1, abs=1e-12)


@given(shares_of, potencies, st.floats(0.01, 3), st.floats(0.01, 1))
def test_the_less_active_the_enzyme_the_less_there_is_to_inhibit(
    weights: Mapping[str, float], potency: float, active: float, times: float
) -> None:
    victim, effect = clearance(weights), acting("CYP2D6", potency)
    normal = auc(oral(victim, effect, genotype={"CYP2D6": active}))
    assert auc(oral(victim, effect, genotype={"CYP2D6": active * times})) <= normal * (1 + 1e-12)


@given(shares_of, potencies, potencies)
def test_what_is_saturated_does_not_multiply(weights: Mapping[str, float], first: float, second: float) -> None:
    victim = clearance(weights)
    one, two = acting("CYP2D6", first), acting("CYP2D6", second)
    both = auc(oral(victim, one, two))
    assert both <= auc(oral(victim, one)) * auc(oral(victim, two)) * (1 + 1e-12)
    assert both >= max(auc(oral(victim, one)), auc(oral(victim, two))) * (1 - 1e-12)


@given(shares_of, potencies, st.floats(0, 1), st.floats(0, 1))
def test_what_is_left_after_stopping_only_falls(
    weights: Mapping[str, float], potency: float, left: float, times: float
) -> None:
    victim = clearance(weights, 0.5)
    earlier = auc(oral(victim, acting("CYP3A4", potency, left=left)))
    assert 1 - 1e-12 <= auc(oral(victim, acting("CYP3A4", potency, left=left * times))) <= earlier * (1 + 1e-12)


@given(potencies, st.floats(1, 2000), st.floats(1, 10), st.booleans())
def test_an_effect_builds_up_to_its_steady_state(potency: float, hours: float, times: float, induces: bool) -> None:
    """What waits for the enzyme grows with time and never passes what it comes to."""
    kind = {"induces": induces, "slow": not induces}
    early = acting("CYP3A4", potency, hours=hours, **kind).potency({}, gut=False)
    later = acting("CYP3A4", potency, hours=hours * times, **kind).potency({}, gut=False)
    assert 0 < early <= later * (1 + 1e-9)
    assert later <= potency * (1 + 1e-9)


@given(shares_of, st.floats(0.1, 1), potencies)
def test_what_is_formed_is_not_more_than_there_is(weights: Mapping[str, float], gut: float, potency: float) -> None:
    """Blocking everything else cannot make more of a metabolite than all of the drug."""
    victim = clearance(weights, gut)
    share = victim.shares["CYP2B6"]
    if share < 0.01:
        return
    made = Metabolite("m", {"CYP2B6": share}, clearance({"other": 1.0}))
    setting = oral(victim, acting("CYP2D6", potency), acting("CYP3A4", potency))
    assert 1 - 1e-9 <= formation(setting, made, {}) <= 1 / (gut * share) * (1 + 1e-9)
    blocked = oral(victim, acting("CYP2B6", potency))
    assert metabolite_change(blocked, made, {}) <= 1 + 1e-9


@given(shares_of, st.floats(0.05, 0.95), potencies, st.floats(-3, 3))
def test_moved_shares_still_add_up(weights: Mapping[str, float], gut: float, potency: float, by: float) -> None:
    victim = clearance(weights, gut)
    moved = victim.moved({victim.share_key("CYP2D6"): by})
    assert sum(moved.values()) == pytest.approx(1)
    if 1e-6 < victim.shares["CYP2D6"] < 1 - 1e-6 and abs(by) > 1e-3:
        assert (moved["CYP2D6"] > victim.shares["CYP2D6"]) == (by > 0)
    found = change(oral(victim, acting("CYP2D6", potency)), {victim.share_key("CYP2D6"): by})
    assert found.auc == pytest.approx(1 / (1 - moved["CYP2D6"] * potency / (1 + potency)), rel=1e-9)
