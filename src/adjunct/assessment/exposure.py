"""What a pharmacokinetic finding says in numbers: the exposure ratio of each pair, for the route it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import NONE, Rule
from adjunct.pharmacology import CannotPredict
from adjunct.pharmacology.interaction import interact

PHARMACOKINETIC = "pharmacokinetic"


def exposures(
    rule: Rule, involves: Sequence[str], treatment: str, knowledge: Knowledge
) -> tuple[Mapping[str, Any], ...]:
    """One entry a pair of victim and perpetrator among the substances of a finding; none for other kinds.

    A rule that speaks of a ketamine treatment is about the drug of that treatment, by its route: what was measured by
    mouth is never quoted for an infusion.
    """
    if rule.kind != PHARMACOKINETIC:
        return ()
    given = knowledge.content["knowledge"]["treatment_drug"]
    if treatment != NONE and NONE not in rule.treatments:
        victims: tuple[tuple[str, str], ...] = ((given[treatment]["drug"], given[treatment]["route"]),)
    else:
        victims = tuple((substance, "oral") for substance in involves)
    return tuple(
        _pair(victim, perpetrator, route, knowledge)
        for victim, route in victims
        for perpetrator in involves
        if perpetrator != victim and perpetrator in _acting_on(victim, knowledge)
    )


@cache
def _pair(victim: str, perpetrator: str, route: str, knowledge: Knowledge) -> Mapping[str, Any]:
    entry: dict[str, Any] = {"victim": victim, "perpetrator": perpetrator, "victim_route": route}
    nothing = dict.fromkeys(("auc_ratio", "low", "high", "interval_kind"))
    try:
        ratio = interact(knowledge, victim, [perpetrator], victim_route=route).to_dict()
    except CannotPredict as unknown:
        return {**entry, **nothing, "basis": "refused", "validity": "refused", "source": None, "why": [str(unknown)]}
    seen = ratio["observed"][0] if ratio["observed"] else None
    shown = seen or ratio["predicted"] or nothing
    return {
        **entry,
        **{key: shown[key] for key in nothing},
        "basis": ratio["basis"],
        "validity": ratio["validity"],
        "source": seen and seen["source"],
        "why": ratio["why"],
    }


@cache
def _acting_on(victim: str, knowledge: Knowledge) -> frozenset[str]:
    """Substances that change an enzyme which clears the victim."""
    entry = knowledge.victims.get(victim)
    cleared_by = frozenset(entry["pathways"] if entry else knowledge.substances[victim].pathways)
    return frozenset(substance for substance, enzymes in _enzymes(knowledge) if cleared_by & enzymes)


@cache
def _enzymes(knowledge: Knowledge) -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple(_changed(knowledge))


def _changed(knowledge: Knowledge) -> Iterator[tuple[str, frozenset[str]]]:
    for substance in knowledge.substances.values():
        entry = knowledge.perpetrators.get(substance.id)
        if entry:
            yield substance.id, frozenset(e["enzyme"] for e in entry["effect"] if e["strength"] != NONE)
        else:
            yield substance.id, frozenset(e.enzyme for e in (*substance.inhibits, *substance.induces))
