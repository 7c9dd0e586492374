"""What follows from several values: worked out once, when the record is read, by the arithmetic `derive.toml` names.

Values travel as intervals; an unknown input makes an unknown result that keeps its reference. Nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from adjunct.base import MS_PER_DAY, NO, UNKNOWN, YES, Row, convert
from adjunct.record.draft import PAST, Draft, Evidence, Intake
from adjunct.record.values import Span, ends, present

Spec = Mapping[str, Any]
Interval = tuple[float, float]
PERCENT = 100.0  # layout: shares are shown in per cent


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that was recorded of one quantity for one time: an interval; NaN where it is not known."""

    low: float
    high: float
    span: Span
    source: int

    @property
    def known(self) -> bool:
        return self.low == self.low  # not NaN


def derive(draft: Draft) -> None:
    """Add every derived concept whose inputs the draft holds."""
    for spec in draft.knowledge.content["derive"]["derive"]:
        if spec["concept"] in draft.knowledge.concepts:
            HOW[spec["how"]](draft, spec)


def _readings(draft: Draft, concept: str) -> list[Reading]:
    """The values of a concept, oldest first; what was recorded for the same time is one interval, or unknown."""
    rows = sorted(draft.seen.get(concept, ()), key=_time)
    found = []
    for span, group in groupby(rows, key=_time):
        same = list(group)
        values = [r.value if r.status == YES else float("nan") for r in same]
        unknown = any(v != v for v in values)
        low, high = (float("nan"), float("nan")) if unknown else (min(values), max(values))
        found.append(Reading(low, high, (span[1], span[0]), max(r.source for r in same)))
    return found


def _time(row: Row) -> Span:
    return row.t1, row.t0


def _add(draft: Draft, spec: Spec, value: Interval, newest: Reading) -> None:
    """One derived value, dated like the newest reading behind it and referring to it."""
    concept, source = draft.knowledge.concepts[spec["concept"]], draft.evidence[newest.source]
    low, high = sorted(value)
    shown = "" if low != low else f"{low:.4g}" if low == high else f"{low:.4g}\u2013{high:.4g}"
    evidence = Evidence(reference=source.reference, concept=concept.id, value=shown, unit=concept.unit, at=source.at)
    for bound in ends(*value):
        draft.add(concept.id, newest.span, evidence, value=bound)


def _minus(a: Reading, b: Reading) -> Interval:
    return a.low - b.high, a.high - b.low


def _bmi(draft: Draft, spec: Spec) -> None:
    weight, height = (_readings(draft, c)[-1:] for c in spec["of"])
    if weight and height and not height[0].low <= 0:
        unit = draft.knowledge.concepts[spec["of"][1]].unit
        shortest, tallest = (convert(v, unit, "m") for v in (height[0].low, height[0].high))
        _add(draft, spec, (weight[0].low / tallest**2, weight[0].high / shortest**2), weight[0])


def _mean(draft: Draft, spec: Spec) -> None:
    days = draft.knowledge.number("home_bp.days")
    since = draft.now.ms - days * MS_PER_DAY
    rows = [r for r in _readings(draft, spec["of"][0]) if r.known and r.span[0] >= since]
    if len(rows) >= draft.knowledge.number("home_bp.readings"):
        _add(draft, spec, (sum(r.low for r in rows) / len(rows), sum(r.high for r in rows) / len(rows)), rows[-1])


def _baseline(draft: Draft, concept: str) -> tuple[Reading, Reading] | None:
    """The last value before the newest dose and the newest value since it."""
    doses = [
        (r.t0, r.t1)
        for c in ("dose", "infusion_start")
        for r in draft.seen.get(c, ())
        if r.status == YES and r.t0 > PAST
    ]
    if not doses:
        return None
    began, ended = max(doses)
    before = [r for r in _readings(draft, concept) if r.span[1] <= began]
    after = [r for r in _readings(draft, concept) if r.span[0] > ended]
    return (before[-1], after[-1]) if before and after else None


def _since_baseline(draft: Draft, spec: Spec) -> None:
    pair = _baseline(draft, spec["of"][0])
    if pair:
        _add(draft, spec, _minus(pair[1], pair[0]), pair[1])


def _percent_since_baseline(draft: Draft, spec: Spec) -> None:
    pair = _baseline(draft, spec["of"][0])
    if pair and not pair[0].low <= 0:
        low, high = pair[1].low / pair[0].high - 1, pair[1].high / pair[0].low - 1
        _add(draft, spec, (low * PERCENT, high * PERCENT), pair[1])


def _since_course_start(draft: Draft, spec: Spec) -> None:
    """The newest value minus the last before the first dose, once the course is long enough to be judged by it."""
    first = _first_dose(draft)
    readings = _readings(draft, spec["of"][0])
    fact = draft.knowledge.facts["function.judge_after"]
    long_enough = convert(draft.knowledge.number(fact.id), fact.unit, "d") * MS_PER_DAY
    before = [r for r in readings if first and r.span[1] <= first[1]]
    after = [r for r in readings if first and r.span[0] >= first[1] + long_enough]
    if before and after:
        _add(draft, spec, _minus(after[-1], before[-1]), after[-1])


def _first_dose(draft: Draft) -> Span | None:
    """When the first recorded dose of the treatment was given."""
    doses = [(r.t0, r.t1) for r in draft.seen.get("dose", ()) if r.status == YES and r.t0 > PAST]
    return min(doses, default=None)


def _difference(draft: Draft, spec: Spec) -> None:
    first, second = (_readings(draft, c)[-1:] for c in spec["of"])
    if first and second:
        _add(draft, spec, _minus(first[0], second[0]), second[0])


def _above_recent_least(draft: Draft, spec: Spec) -> None:
    rows = _readings(draft, spec["of"][0])
    earlier = rows[-1 - round(draft.knowledge.number("rise.earlier_scores")) : -1]
    if earlier:
        known = all(r.known for r in earlier)
        least = (min(r.low for r in earlier), min(r.high for r in earlier)) if known else (float("nan"), float("nan"))
        _add(draft, spec, (rows[-1].low - least[1], rows[-1].high - least[0]), rows[-1])


def _above_first(draft: Draft, spec: Spec) -> None:
    rows = _readings(draft, spec["of"][0])
    if len(rows) > 1:
        _add(draft, spec, _minus(rows[-1], rows[0]), rows[-1])


def _unanswered(draft: Draft, spec: Spec) -> None:
    """A high-risk answer that no evaluation followed never expires."""
    risks = [r for c in spec["of"] for r in draft.seen.get(c, ()) if r.status == YES]
    if not risks:
        return
    newest = max(risks, key=lambda r: (_time(r), draft.evidence[r.source].reference))
    answers = [r for c in spec["answered_by"] for r in draft.seen.get(c, ()) if r.status == YES]
    if any(r.t0 >= newest.t1 for r in answers):
        return
    possibly = any(r.t1 >= newest.t0 for r in answers)  # on the same day, with no time of day to tell which came first
    source = draft.evidence[newest.source]
    evidence = Evidence(reference=source.reference, concept=spec["concept"], value=source.value, at=source.at)
    draft.add(spec["concept"], (newest.t0, newest.t1), evidence, code="yes", status=UNKNOWN if possibly else YES)


# --- from what is taken -----------------------------------------------------------------------------------------------


def _current(draft: Draft, names: Iterable[str]) -> list[Intake]:
    """Intakes that are going on now and may be one of these substances or classes."""
    wanted = frozenset().union(*(draft.knowledge.sets.get(n, frozenset()) for n in names))
    return [
        i
        for i in draft.intakes
        if not i.denied and i.t1 >= draft.now.ms and any(wanted & set(ids) for ids in i.options.values())
    ]


def _say(draft: Draft, spec: Spec, intakes: Sequence[Intake], shown: str = "", **row: Any) -> None:
    """What holds now because of some intakes; the first of them stands for all."""
    for intake in intakes[:1]:
        concept = draft.knowledge.concepts[spec["concept"]]
        evidence = Evidence(
            reference=intake.reference,
            concept=concept.id,
            value=shown or intake.text,
            unit=concept.unit if shown else "",
            at=draft.at(present(draft)),
        )
        draft.add(concept.id, present(draft), evidence, **row)


def _daily_dose(draft: Draft, spec: Spec) -> None:
    intakes = _current(draft, spec["of"])
    _total(draft, spec, intakes, [i.per_day_mg for i in intakes])


def _equivalent(draft: Draft, spec: Spec) -> None:
    """The sum over intakes of daily amount times the factor of its substance."""
    intakes = _current(draft, spec["of"])
    amounts: list[Interval | None] = []
    for intake in intakes:
        ids = {s for ids in intake.options.values() for s in ids}
        facts = [draft.knowledge.facts.get(f"{spec['facts']}.{s}") for s in ids]
        factor = draft.knowledge.number(facts[0].id) if len(facts) == 1 and facts[0] else None
        amount = intake.per_day_mg
        amounts.append((amount[0] * factor, amount[1] * factor) if amount and factor is not None else None)
    _total(draft, spec, intakes, amounts)


def _total(draft: Draft, spec: Spec, intakes: Sequence[Intake], amounts: Sequence[Interval | None]) -> None:
    """Both ends of a sum as rows of one instant; any unknown part leaves it unknown.

    An order, a statement and a supply of one medicine are views of one intake: the sum is taken within each view, for
    each substance, and runs from the least to the greatest of them. Two equal entries of one view may be one entry
    made twice, so they count once or twice.
    """
    if not intakes:
        return
    views: dict[frozenset[str], dict[str, list[Interval]]] = {}
    for intake, amount in zip(intakes, amounts, strict=True):
        if amount is None:
            _say(draft, spec, [intake], status=UNKNOWN)
            return
        substances = frozenset(s for ids in intake.options.values() for s in ids)
        maybe = (0.0, amount[1]) if intake.status == UNKNOWN else amount
        views.setdefault(substances, {}).setdefault(intake.view, []).append(maybe)
    sums = [
        [(sum(a[0] for a in set(entries)), sum(a[1] for a in entries)) for entries in of_substance.values()]
        for of_substance in views.values()
    ]
    low, high = sum(min(s[0] for s in each) for each in sums), sum(max(s[1] for s in each) for each in sums)
    shown = f"{low:.4g}" if low == high else f"{low:.4g}\u2013{high:.4g}"
    for bound in ends(low, high):
        _say(draft, spec, intakes, shown, value=bound)


def _administered(draft: Draft, spec: Spec) -> None:
    """Each recorded administration of these substances, at the time it was given."""
    wanted = frozenset().union(*(draft.knowledge.sets[name] for name in spec["of"]))
    for intake in draft.intakes:
        given = intake.view == "MedicationAdministration" and intake.last_use is not None and not intake.denied
        if given and all(wanted & set(ids) for ids in intake.options.values()):
            assert intake.last_use is not None
            at = draft.at(intake.last_use)
            evidence = Evidence(reference=intake.reference, concept=spec["concept"], value=intake.text, at=at)
            draft.add(spec["concept"], intake.last_use, evidence, code="yes", status=intake.status)


def _elsewhere(draft: Draft, spec: Spec) -> None:
    """Use that somebody stated and no clinic gave: when it was, or, where nobody said, at some time of the statement.

    A statement of what the clinic gave, at the same time, is that dose. One without a last use stays open until the
    question itself is answered.
    """
    wanted = frozenset().union(*(draft.knowledge.sets[name] for name in spec["of"]))
    doses = [(r.t0, r.t1) for r in draft.seen.get("dose", ())]
    fact = draft.knowledge.facts["day.window"]
    since = draft.now.ms - convert(draft.knowledge.number(fact.id), fact.unit, "d") * MS_PER_DAY
    asked = any(r.status != UNKNOWN and r.t0 >= since for r in draft.seen.get(spec["concept"], ()))
    for intake in draft.intakes:
        stated = intake.view == "MedicationStatement" and not intake.denied
        if not stated or not all(wanted & set(ids) for ids in intake.options.values()):
            continue
        span = intake.last_use or (intake.t0, intake.t1)
        given = any(span[0] <= end and start <= span[1] for start, end in doses) if intake.last_use else asked
        if not given:
            evidence = Evidence(
                reference=intake.reference, concept=spec["concept"], value=intake.text, at=draft.at(span)
            )
            status = intake.status if intake.last_use else UNKNOWN
            draft.add(spec["concept"], span, evidence, code="yes" if status == YES else "", status=status)


def _duplicate(draft: Draft, spec: Spec) -> None:
    """One substance in two products, both in use. A refill, or the order behind a statement, is no second product."""
    by_substance: dict[str, dict[tuple[Any, ...], Intake]] = {}
    for intake in draft.intakes:
        if intake.denied or intake.t1 < draft.now.ms or intake.ambiguous or intake.status != YES:
            continue
        ids = next(iter(intake.options.values()))
        for substance in ids:
            products = by_substance.setdefault(substance, {})
            products.setdefault((frozenset(ids), intake.view, intake.text.casefold()), intake)
    for substance, products in by_substance.items():
        mixtures = {ids for ids, _, _ in products}
        within = {view: [i for (_, v, _), i in products.items() if v == view] for _, view, _ in products}
        found = products.values() if len(mixtures) > 1 else max(within.values(), key=len)
        if len(found) > 1:
            for intake in found:
                evidence = Evidence(reference=intake.reference, concept=spec["concept"], value=intake.text)
                draft.add(spec["concept"], present(draft), evidence, code=substance)


def _product_known(draft: Draft, spec: Spec) -> None:
    intakes = _current(draft, spec["of"])
    open_ = [i for i in intakes if i.ambiguous]
    _say(draft, spec, open_ or intakes, code="no" if open_ else "yes", status=NO if open_ else YES)


def _last_use_known(draft: Draft, spec: Spec) -> None:
    intakes = _current(draft, spec["of"])
    codes = draft.knowledge.vocabulary.codes
    stated = {r.code for r in draft.seen.get("last_use", ()) if r.t0 > PAST}
    stated |= {
        codes[s] for i in draft.intakes if i.last_use and not i.ambiguous for ids in i.options.values() for s in ids
    }
    open_ = [
        i
        for i in intakes
        if i.last_use is None and not any(codes[s] in stated for ids in i.options.values() for s in ids)
    ]
    _say(draft, spec, open_ or intakes, code="no" if open_ else "yes", status=NO if open_ else YES)


def _taken_daily(draft: Draft, spec: Spec) -> None:
    """Daily use as the regimens state it together; where one is not stated, only enough of the others answers."""
    intakes = _current(draft, spec["of"])
    times = [i.times_a_day for i in intakes if i.times_a_day is not None]
    least, most = sum(t[0] for t in times), sum(t[1] for t in times)
    if least >= 1:
        _say(draft, spec, intakes, code="yes")
    elif times and len(times) == len(intakes) and most < 1:
        _say(draft, spec, intakes, code="no", status=NO)


def _pregnancy_possible(draft: Draft, spec: Spec) -> None:
    """Female or unrecorded sex at birth, of an age at which it can be, and nothing documented that excludes it."""
    sex, age, excluded = (draft.seen.get(c, []) for c in spec["of"])
    codes = draft.knowledge.vocabulary.codes
    sexes = {codes["male"]: NO, codes["female"]: YES}
    by_sex = _agreed([sexes.get(r.code, UNKNOWN) if r.status == YES else UNKNOWN for r in sex])
    low, high = draft.knowledge.number("pregnancy.age.low"), draft.knowledge.number("pregnancy.age.high")
    by_age = _agreed([UNKNOWN if r.value != r.value else YES if low <= r.value <= high else NO for r in age])
    ruled_out = max((r.status for r in excluded), default=NO)
    truth = min(by_sex, by_age, YES - ruled_out)
    rows = [*excluded, *sex, *age]
    reference = draft.evidence[rows[0].source].reference if rows else "Patient"
    evidence = Evidence(reference=reference, concept=spec["concept"], value=("no", "not settled", "yes")[truth])
    draft.add(
        spec["concept"],
        present(draft),
        evidence,
        code="" if truth == UNKNOWN else ("no", "", "yes")[truth],
        status=truth,
    )


def _agreed(truths: Sequence[int]) -> int:
    return truths[0] if len(set(truths)) == 1 else UNKNOWN


HOW: Mapping[str, Callable[[Draft, Spec], None]] = {
    "administered": _administered,
    "above_first": _above_first,
    "above_recent_least": _above_recent_least,
    "bmi": _bmi,
    "daily_dose": _daily_dose,
    "difference": _difference,
    "duplicate": _duplicate,
    "elsewhere": _elsewhere,
    "equivalent": _equivalent,
    "last_use_known": _last_use_known,
    "mean": _mean,
    "percent_since_baseline": _percent_since_baseline,
    "pregnancy_possible": _pregnancy_possible,
    "product_known": _product_known,
    "since_baseline": _since_baseline,
    "since_course_start": _since_course_start,
    "taken_daily": _taken_daily,
    "unanswered": _unanswered,
}
