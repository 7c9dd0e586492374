"""What a pharmacokinetic finding says in numbers: the exposure ratio of each pair, for the route it belongs to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from adjunct.base import BadInput
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import NONE, Rule
from adjunct.knowledge.language import And, Expression, Or, atoms
from adjunct.pharmacology.interaction import interact
from adjunct.record import Intake

PHARMACOKINETIC, ATTENUATION = "pharmacokinetic", "attenuation"
SUBSTANCE, KRATOM, ORAL = "substance", "kratom-leaf", "oral"
VALID, REFUSED, EXTRAPOLATED, PREDICTED = "valid", "refused", "extrapolated", "90PI"
METABOLITE = "metabolite "
REPEATED = "daily"  # a regimen in words: again and again, in an amount that was not told
FIGURES = ("auc_ratio", "low", "high", "interval_kind")
PAIRS_KEPT = 4096
EDITIONS_KEPT = 2
ROUTES = {
    "oral": "by mouth", "iv": "by vein", "im": "into the muscle", "sc": "under the skin", "nasal": "through the nose",
    "transdermal": "through the skin", "inhaled": "by breath", "sublingual": "under the tongue",
    "buccal": "through the cheek", "rectal": "as a suppository",
}  # fmt: skip
INTERVALS = {
    PREDICTED: "90 % predictive interval", "90CI": "90 % confidence interval", "95CI": "95 % confidence interval",
    "range": "range", "unverified": "interval, kind not verified",
}  # fmt: skip

Entry = Mapping[str, Any]
Sides = tuple[frozenset[str], frozenset[str]]


def exposures(
    rule: Rule, involves: Sequence[str], treatment: str, knowledge: Knowledge, taken: Iterable[Intake] = ()
) -> tuple[Entry, ...]:
    """One entry a pair of victim and perpetrator that the rule is about; none for other kinds of rule.

    A rule that speaks of a ketamine treatment is about the drug of that treatment, by its route: what was measured by
    mouth is never quoted for an infusion. Any other rule names victims and perpetrators in its sets. `taken` tells
    how kratom is taken: one tea was studied, and nothing is estimated for repeated ones.
    """
    if rule.kind != PHARMACOKINETIC:
        return ()
    given = knowledge.content["knowledge"]["treatment_drug"]
    again = _taken_again(involves, taken)
    found: dict[tuple[str, str, str], Entry] = {}
    if treatment != NONE and NONE not in rule.treatments:
        victim, route = given[treatment]["drug"], given[treatment]["route"]
        asked = [(victim, perpetrator, route) for perpetrator in involves if perpetrator != victim]
    else:
        asked = [
            (victim, perpetrator, route)
            for victim in involves
            for perpetrator in involves
            if victim != perpetrator and _is_about(rule, victim, perpetrator, knowledge)
            for route in _routes(victim, given, knowledge)
        ]
    for victim, perpetrator, route in asked:
        if perpetrator in _acting_on(victim, knowledge):
            regimen = REPEATED if perpetrator == KRATOM and again else None
            found[victim, perpetrator, route] = _told(rule, treatment, victim, perpetrator, route, regimen, knowledge)
    return tuple(e for (v, p, r), e in found.items() if not _idle(e, found.get((p, v, r)), knowledge))


def _routes(victim: str, given: Mapping[str, Mapping[str, str]], knowledge: Knowledge) -> Sequence[str]:
    """How a thing on a list may be given: as usual, mostly by mouth; a treatment's drug also as that gives it."""
    usual = (knowledge.victims.get(victim) or {}).get("usual_route", ORAL)
    treated = [entry["route"] for entry in given.values() if entry["drug"] == victim]
    return tuple(dict.fromkeys((usual, *sorted(treated, key=list(ROUTES).index)[:1])))


def _taken_again(involves: Sequence[str], taken: Iterable[Intake]) -> bool:
    """Whether kratom is taken again and again: it says how often a day, or what it comes to."""
    if KRATOM not in involves:
        return False
    leaf = [i for i in taken if not i.denied and any(KRATOM in ids for ids in i.options.values())]
    return any(i.times_a_day is not None for i in leaf)


# --- which pairs a rule is about --------------------------------------------------------------------------------------


def _is_about(rule: Rule, victim: str, perpetrator: str, knowledge: Knowledge) -> bool:
    return any(victim in victims and perpetrator in others for victims, others in _directions(rule, knowledge))


@lru_cache(maxsize=PAIRS_KEPT)
def _directions(rule: Rule, knowledge: Knowledge) -> tuple[Sides, ...]:
    """Victims and perpetrators, from what the rule joins with "and": the side that acts on more of the other leads.

    A single victim that also inhibits something does not make every inhibitor on the other side its victim.
    """
    found = []
    for sides in _joined(rule.when, knowledge):
        for number, one in enumerate(sides):
            for other in sides[number + 1 :]:
                onto_other, onto_one = _share(other, one, knowledge), _share(one, other, knowledge)
                if onto_other >= onto_one:
                    found.append((other, one))
                if onto_one >= onto_other:
                    found.append((one, other))
    return tuple(found)


def _joined(expression: Expression, knowledge: Knowledge) -> Iterator[list[frozenset[str]]]:
    match expression:
        case Or(parts):
            for part in parts:
                yield from _joined(part, knowledge)
        case And(parts):
            yield [side for side in (_substances(part, knowledge) for part in parts) if side]
        case _:
            pass  # a single question joins nothing


def _substances(expression: Expression, knowledge: Knowledge, *, recent: bool = False) -> frozenset[str]:
    asked = [a for a in atoms(expression) if a.concept == SUBSTANCE and a.in_set and (a.within or not recent)]
    return frozenset().union(*(knowledge.sets[a.in_set] for a in asked if a.in_set))


def _share(victims: frozenset[str], perpetrators: frozenset[str], knowledge: Knowledge) -> float:
    acting = sum(len(perpetrators & _acting_on(victim, knowledge)) for victim in victims)
    return acting / (len(victims) * len(perpetrators))


def _idle(entry: Entry, reverse: Entry | None, knowledge: Knowledge) -> bool:
    """Of a pair that acts both ways, the way in which next to nothing happens."""
    if reverse is None or entry["auc_ratio"] is None or reverse["auc_ratio"] is None:
        return False
    low, high = knowledge.number("ddi.null.low"), knowledge.number("ddi.null.high")
    weaker = abs(math.log(entry["auc_ratio"])) < abs(math.log(reverse["auc_ratio"]))
    return weaker and bool(low <= entry["auc_ratio"] <= high)


@lru_cache(maxsize=PAIRS_KEPT)
def _acting_on(victim: str, knowledge: Knowledge) -> frozenset[str]:
    """Substances that change an enzyme which clears the victim."""
    entry = knowledge.victims.get(victim)
    cleared_by = frozenset(entry["pathways"] if entry else knowledge.substances[victim].pathways)
    return frozenset(substance for substance, enzymes in _enzymes(knowledge) if cleared_by & enzymes)


@lru_cache(maxsize=EDITIONS_KEPT)
def _enzymes(knowledge: Knowledge) -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple(_changed(knowledge))


def _changed(knowledge: Knowledge) -> Iterator[tuple[str, frozenset[str]]]:
    for substance in knowledge.substances.values():
        entry = knowledge.perpetrators.get(substance.id)
        if entry:
            yield substance.id, frozenset(e["enzyme"] for e in entry["effect"] if e["strength"] != NONE)
        else:
            yield substance.id, frozenset(e.enzyme for e in (*substance.inhibits, *substance.induces))


# --- one pair ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=PAIRS_KEPT)
def _pair(victim: str, perpetrator: str, route: str, regimen: str | None, knowledge: Knowledge) -> Entry:
    """What is known of a pair whoever takes it."""
    entry: dict[str, Any] = {"victim": victim, "perpetrator": perpetrator, "victim_route": route}
    nothing: dict[str, Any] = dict.fromkeys(FIGURES)
    try:
        ratio = interact(knowledge, victim, [perpetrator], victim_route=route, regimen=regimen, fading=False).to_dict()
    except BadInput as unknown:  # nobody knows, or the pair is one thing under two names: the finding stands without
        return _refused(entry, str(unknown).removesuffix(f" (at {unknown.at})"))
    seen = ratio["observed"][0] if ratio["observed"] else None
    shown = seen or ratio["predicted"] or nothing
    why, validity = list(ratio["why"]), ratio["validity"]
    if seen and validity != REFUSED:
        validity = VALID  # what was measured is not extrapolated, whatever the prediction beside it is
    if seen and seen["regimen"]:
        why.insert(0, f"measured with {seen['regimen']}")
    if perpetrator == KRATOM and (ceiling := (ratio["predicted"] or {}).get("ceiling")) is not None:
        known = "" if regimen else "this is of one tea; "
        why.insert(0, f"{known}repeated or larger amounts were not studied; the mechanism ends at x{_rounded(ceiling)}")
        validity = validity if regimen else EXTRAPOLATED  # how much is taken, and how often, is not known here
    known_ratio = shown["auc_ratio"] is not None
    return {
        **entry,
        **{key: shown[key] if known_ratio else None for key in FIGURES},
        "basis": ratio["basis"] if known_ratio else REFUSED,
        "validity": validity,
        "source": seen and seen["source"],
        "moiety": _moiety(ratio, regimen, knowledge),
        "why": why,
    }


def _refused(entry: Entry, why: str) -> Entry:
    told = {key: entry[key] for key in ("victim", "perpetrator", "victim_route")}
    empty = dict.fromkeys((*FIGURES, "source", "moiety"))
    return {**told, **empty, "basis": REFUSED, "validity": REFUSED, "why": [why]}


def _moiety(ratio: Mapping[str, Any], regimen: str | None, knowledge: Knowledge) -> Mapping[str, Any] | None:
    """What acts: parent and metabolites together, or at least the metabolite that acts too; it is always predicted."""
    whole = ratio["active_moiety"]
    if whole is None or ratio["auc_ratio"] is None:
        return None
    if whole["auc_ratio"] is not None:
        return {key: whole[key] for key in ("name", "auc_ratio", "low", "high")}
    victim = ratio["victim"]
    entry = knowledge.victims.get(victim) or {}
    for formed in (m["id"] for m in entry.get("metabolites", ()) if m.get("active")):
        try:
            found = interact(
                knowledge,
                f"{formed} (from {victim})",
                ratio["perpetrators"],
                victim_route=ratio["victim_route"],
                regimen=regimen,
                predict=True,
                fading=False,
            )
        except BadInput:
            continue
        return {"name": f"{METABOLITE}{formed}", "auc_ratio": found.auc_ratio, "low": found.low, "high": found.high}
    return None


@lru_cache(maxsize=PAIRS_KEPT)
def _told(
    rule: Rule, treatment: str, victim: str, perpetrator: str, route: str, regimen: str | None, knowledge: Knowledge
) -> Entry:
    """A pair as a rule asks for it: which level carries the effect, and what was not counted."""
    entry = _pair(victim, perpetrator, route, regimen, knowledge)
    if entry["auc_ratio"] is None:
        return entry
    if rule.about == ATTENUATION and entry["moiety"] is None:
        return _refused(
            entry, f"what is formed from {victim} carries its effect, and that is not known: its own level says nothing"
        )
    notes = []
    if treatment == NONE or NONE in rule.treatments:
        notes.append(f"for {victim} {ROUTES[route]}: how it is taken was not read")
    if entry["source"] is None and perpetrator != KRATOM:
        notes.append(f"for the usual dose of {perpetrator}: the amount taken is not counted")
    if perpetrator in _substances(rule.when, knowledge, recent=True):
        notes.append(f"as while {perpetrator} is taken: how long ago the last dose was is not counted")
    return {**entry, "why": [*entry["why"], *notes]}


# --- in words ---------------------------------------------------------------------------------------------------------


def in_words(entry: Entry) -> str:
    """One sentence or two: how much, by which route, how sure, measured or predicted, and what acts."""
    route = ROUTES.get(entry["victim_route"], entry["victim_route"])
    who = f"Exposure of {entry['victim']} {route} with {entry['perpetrator']}"
    why = entry["why"][0] if entry["why"] else ""
    if entry["auc_ratio"] is None:
        return f"{who}: not known; {why}."
    basis = "predicted" if entry["source"] is None else "measured in people"
    if entry["validity"] == EXTRAPOLATED:
        basis += f", extrapolated: {why}" if entry["perpetrator"] == KRATOM else ", extrapolated"
    said = f"{who}: {_times(entry, entry['interval_kind'])}, {basis}."
    moiety = entry.get("moiety")
    if moiety and moiety["auc_ratio"] is not None:
        name = moiety["name"]
        acts = f"Its active {name}" if name.startswith(METABOLITE) else f"What acts, {name}"
        said += f" {acts}: {_times(moiety, PREDICTED)}, predicted."
    return said


def _times(figures: Mapping[str, Any], kind: str | None) -> str:
    """A ratio and its interval. A predicted one is no surer than two digits; a measured one keeps its own."""
    ratio, low, high = (
        value if value is None else _rounded(value) if kind == PREDICTED else f"{value:g}"
        for value in (figures["auc_ratio"], figures["low"], figures["high"])
    )
    if low is None or high is None:
        return f"x{ratio}"
    return f"x{ratio} ({INTERVALS.get(kind or '', 'interval')} {low} to {high})"


def _rounded(ratio: float) -> str:
    return f"{float(f'{ratio:.2g}'):g}"
