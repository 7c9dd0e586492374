"""What follows from several values: worked out once, when the record is read, by the arithmetic `derive.toml` names.

An unknown input makes an unknown result that keeps its references; nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from adjunct.base import FAR, MS_PER_DAY, NO, UNKNOWN, YES, Row, convert
from adjunct.record.draft import Draft, Evidence, Intake

Spec = Mapping[str, Any]
PERCENT = 100.0  # layout: shares are shown in per cent


def derive(draft: Draft) -> None:
    """Add every derived concept whose inputs the draft holds."""
    for spec in draft.knowledge.content["derive"]["derive"]:
        if spec["concept"] in draft.knowledge.concepts:
            HOW[spec["how"]](draft, spec)


def _known(draft: Draft, concept: str) -> list[Row]:
    """The usable values of a concept, oldest first."""
    rows = [r for r in draft.seen.get(concept, ()) if r.status == YES and r.value == r.value]
    return sorted(rows, key=lambda r: r.t0)


def _add(draft: Draft, spec: Spec, value: float, rows: Sequence[Row]) -> None:
    """One derived value, dated like the newest row behind it and referring to it."""
    newest = max(rows, key=lambda r: r.t0)
    concept = draft.knowledge.concepts[spec["concept"]]
    source = draft.evidence[newest.source]
    evidence = Evidence(
        reference=source.reference, concept=concept.id, value=f"{value:.4g}", unit=concept.unit, at=source.at
    )
    draft.add(concept.id, (newest.t0, newest.t1), evidence, value=value)


def _bmi(draft: Draft, spec: Spec) -> None:
    weight, height = (_known(draft, c)[-1:] for c in spec["of"])
    if weight and height and height[0].value > 0:
        unit = draft.knowledge.concepts[spec["of"][1]].unit
        metres = convert(height[0].value, unit, "m")
        _add(draft, spec, weight[0].value / metres**2, weight)


def _mean(draft: Draft, spec: Spec) -> None:
    days = draft.knowledge.number("home_bp.days")
    rows = [r for r in _known(draft, spec["of"][0]) if r.t0 >= draft.now.ms - days * MS_PER_DAY]
    if len(rows) >= draft.knowledge.number("home_bp.readings"):
        _add(draft, spec, sum(r.value for r in rows) / len(rows), rows)


def _baseline(draft: Draft, concept: str) -> tuple[Row, Row] | None:
    """The last value before the newest dose and the newest value since it."""
    rows = _known(draft, concept)
    doses = [r.t0 for c in ("dose", "infusion_start") for r in draft.seen.get(c, ()) if r.status == YES and r.t0 > -FAR]
    if not rows or not doses:
        return None
    dosed = max(doses)
    before = [r for r in rows if r.t1 <= dosed]
    after = [r for r in rows if r.t0 > dosed]
    return (before[-1], after[-1]) if before and after else None


def _since_baseline(draft: Draft, spec: Spec) -> None:
    pair = _baseline(draft, spec["of"][0])
    if pair:
        _add(draft, spec, pair[1].value - pair[0].value, pair)


def _percent_since_baseline(draft: Draft, spec: Spec) -> None:
    pair = _baseline(draft, spec["of"][0])
    if pair and pair[0].value:
        _add(draft, spec, (pair[1].value - pair[0].value) / pair[0].value * PERCENT, pair)


def _difference(draft: Draft, spec: Spec) -> None:
    first, second = (_known(draft, c)[-1:] for c in spec["of"])
    if first and second:
        _add(draft, spec, first[0].value - second[0].value, second)


def _above_recent_least(draft: Draft, spec: Spec) -> None:
    rows = _known(draft, spec["of"][0])
    earlier = round(draft.knowledge.number("rise.earlier_scores"))
    if len(rows) > 1:
        _add(draft, spec, rows[-1].value - min(r.value for r in rows[-1 - earlier : -1]), rows[-1:])


def _above_first(draft: Draft, spec: Spec) -> None:
    rows = _known(draft, spec["of"][0])
    if len(rows) > 1:
        _add(draft, spec, rows[-1].value - rows[0].value, rows[-1:])


def _unanswered(draft: Draft, spec: Spec) -> None:
    """A high-risk answer that no evaluation followed never expires."""
    risks = [r for c in spec["of"] for r in draft.seen.get(c, ()) if r.status == YES]
    if not risks:
        return
    newest = max(risks, key=lambda r: r.t1)
    answered = [r for c in spec["answered_by"] for r in draft.seen.get(c, ()) if r.status == YES and r.t1 >= newest.t0]
    if answered:
        return
    source = draft.evidence[newest.source]
    evidence = Evidence(reference=source.reference, concept=spec["concept"], value=source.value, at=source.at)
    draft.add(spec["concept"], (newest.t0, newest.t1), evidence, code="yes")


# --- from what is taken -----------------------------------------------------------------------------------------------


def _current(draft: Draft, names: Iterable[str]) -> list[Intake]:
    """Intakes that are going on now and may be one of these substances or classes."""
    wanted = frozenset().union(*(draft.knowledge.sets.get(n, frozenset()) for n in names))
    return [
        i
        for i in draft.intakes
        if not i.denied and i.t1 >= draft.now.ms and any(wanted & set(ids) for ids in i.options.values())
    ]


def _say(draft: Draft, spec: Spec, intakes: Sequence[Intake], **row: Any) -> None:
    here = (draft.now.ms, draft.now.ms)
    for intake in intakes[:1]:
        evidence = Evidence(reference=intake.reference, concept=spec["concept"], value=intake.text, at=draft.at(here))
        draft.add(spec["concept"], here, evidence, **row)


def _daily_dose(draft: Draft, spec: Spec) -> None:
    intakes = _current(draft, spec["of"])
    _bounds(draft, spec, intakes, [i.per_day_mg for i in intakes])


def _equivalent(draft: Draft, spec: Spec) -> None:
    """The sum over intakes of daily amount times the factor of its substance."""
    intakes = _current(draft, spec["of"])
    amounts: list[tuple[float, float] | None] = []
    for intake in intakes:
        ids = {s for ids in intake.options.values() for s in ids}
        facts = [draft.knowledge.facts.get(f"{spec['facts']}.{s}") for s in ids]
        factor = draft.knowledge.number(facts[0].id) if len(facts) == 1 and facts[0] else None
        amount = intake.per_day_mg
        amounts.append((amount[0] * factor, amount[1] * factor) if amount and factor is not None else None)
    _bounds(draft, spec, intakes, amounts)


def _bounds(draft: Draft, spec: Spec, intakes: Sequence[Intake], amounts: Sequence[tuple[float, float] | None]) -> None:
    """Both ends of a summed amount as rows of one instant; any unknown part leaves the sum unknown."""
    if not intakes:
        return
    if any(a is None for a in amounts):
        _say(draft, spec, intakes, status=UNKNOWN)
        return
    known = [a for a in amounts if a is not None]
    for bound in dict.fromkeys((sum(a[0] for a in known), sum(a[1] for a in known))):
        _say(draft, spec, intakes, value=bound)


def _duplicate(draft: Draft, spec: Spec) -> None:
    """One substance in two products of different names, both in use; a refill of one product is no duplicate."""
    by_substance: dict[str, dict[str, Intake]] = {}
    for intake in draft.intakes:
        if intake.denied or intake.t1 < draft.now.ms or intake.ambiguous or intake.status != YES:
            continue
        for substance in next(iter(intake.options.values())):
            by_substance.setdefault(substance, {}).setdefault(intake.text.casefold(), intake)
    here = (draft.now.ms, draft.now.ms)
    for substance, products in by_substance.items():
        if len(products) > 1:
            for intake in products.values():
                evidence = Evidence(reference=intake.reference, concept=spec["concept"], value=intake.text)
                draft.add(spec["concept"], here, evidence, code=substance)


def _product_known(draft: Draft, spec: Spec) -> None:
    intakes = _current(draft, spec["of"])
    open_ = [i for i in intakes if i.ambiguous]
    _say(draft, spec, open_ or intakes, code="no" if open_ else "yes", status=NO if open_ else YES)


def _last_use_known(draft: Draft, spec: Spec) -> None:
    intakes = _current(draft, spec["of"])
    stated = {r.code for r in draft.seen.get("last_use", ()) if r.t0 > -FAR}
    codes = draft.knowledge.vocabulary.codes
    open_ = [
        i
        for i in intakes
        if i.last_use is None and not any(codes[s] in stated for ids in i.options.values() for s in ids)
    ]
    _say(draft, spec, open_ or intakes, code="no" if open_ else "yes", status=NO if open_ else YES)


def _taken_daily(draft: Draft, spec: Spec) -> None:
    """Daily use as the regimen states it; where none is stated the question stays open."""
    for intake in _current(draft, spec["of"]):
        if intake.times_a_day is not None:
            daily = intake.times_a_day[0] >= 1
            if daily or intake.times_a_day[1] < 1:
                _say(draft, spec, [intake], code="yes" if daily else "no", status=YES if daily else NO)


def _pregnancy_possible(draft: Draft, spec: Spec) -> None:
    """Female or unrecorded sex at birth, of an age at which it can be, and nothing documented that excludes it."""
    sex, age, excluded = (draft.seen.get(c, []) for c in spec["of"])
    codes = draft.knowledge.vocabulary.codes
    by_sex = [NO if r.code == codes["male"] else YES if r.code == codes["female"] else UNKNOWN for r in sex]
    low, high = draft.knowledge.number("pregnancy.age.low"), draft.knowledge.number("pregnancy.age.high")
    by_age = [YES if low <= r.value <= high else NO for r in age]
    ruled_out = any(r.status == YES for r in excluded)
    truth = min(min(by_sex, default=UNKNOWN), _agreed(by_age), NO if ruled_out else YES)
    here = (draft.now.ms, draft.now.ms)
    rows = [*excluded, *sex, *age]
    reference = draft.evidence[rows[0].source].reference if rows else "Patient"
    evidence = Evidence(reference=reference, concept=spec["concept"], value=("no", "not settled", "yes")[truth])
    draft.add(spec["concept"], here, evidence, code="" if truth == UNKNOWN else ("no", "", "yes")[truth], status=truth)


def _agreed(truths: Sequence[int]) -> int:
    return truths[0] if len(set(truths)) == 1 else UNKNOWN


HOW: Mapping[str, Callable[[Draft, Spec], None]] = {
    "above_first": _above_first,
    "above_recent_least": _above_recent_least,
    "bmi": _bmi,
    "daily_dose": _daily_dose,
    "difference": _difference,
    "duplicate": _duplicate,
    "equivalent": _equivalent,
    "last_use_known": _last_use_known,
    "mean": _mean,
    "percent_since_baseline": _percent_since_baseline,
    "pregnancy_possible": _pregnancy_possible,
    "product_known": _product_known,
    "since_baseline": _since_baseline,
    "taken_daily": _taken_daily,
    "unanswered": _unanswered,
}
