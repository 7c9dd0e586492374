"""One administration and administrations a day, composed from what a sentence states.

A strength in mg beside a number of units is multiplied; capsules, spoons and grams of leaf are never turned into
milligrams of anything else, because nobody knows what is in them.
"""

from __future__ import annotations

from itertools import pairwise

from adjunct.items.grammar import Sentence
from adjunct.items.model import Dose
from adjunct.items.numbers import Interval, in_unit, multiplied
from adjunct.items.stated import Amount, is_volume

NOTHING: Interval = (None, None)


def dose_of(said: Sentence, *, names: int, label: bool, stopped: bool) -> Dose | None:
    """The dose of an item with `names` different names; `label`: the amount is that of an ingredient on the label."""
    low, high, unit, total_per_day = _amount(said, names, label)
    if said.point_groups and said.notes.pop("thousands", 0) is None:
        low = high
    per_day = _per_day(said, stopped, total_per_day)
    least, most = said.parts or NOTHING
    if least and most and per_day in ((1.0, 1.0), NOTHING):
        said.notes["divided"] = None
        low = None if low is None else low / most
        high = None if high is None else high / least
        per_day = (least, most)
    elif (
        total_per_day is not None and per_day[1] is not None and per_day[1] > 1 and low is not None and high is not None
    ):
        said.notes["divided"] = None
        low, high = low / per_day[1], high / max(per_day[0] or per_day[1], 1)
    if said.as_needed and per_day[1] is not None:
        per_day = (0.0, per_day[1])
    if low is None and high is None and per_day == NOTHING:
        return None
    if low is None and high is None:
        unit = None
    return Dose(low=low, high=high, unit=unit, per_day_low=per_day[0], per_day_high=per_day[1])


def _amount(said: Sentence, names: int, label: bool) -> tuple[float | None, float | None, str | None, float | None]:
    """(low, high, unit, administrations a day if the amount is a total of some days)."""
    if label and said.amounts:
        said.notes["label_amount"] = None
        said.amounts.clear()
    count = said.counts[0] if said.counts else None
    if said.per_volume:
        return *_from_concentration(said), None
    if said.amounts:
        if names > 1 and len(said.amounts) > 1:
            said.notes["several_doses"] = None
            return None, None, None, None
        return _stated(said, said.amounts, count)
    if said.strengths:
        if len(said.strengths) > 1:
            said.notes["first_part"] = None
        return _stated(said, said.strengths[:1], count)
    if count:
        low, high = _merged_counts(said.counts)
        return low, high, count.unit, count.per_day
    if said.bare_numbers:
        said.notes["no_unit"] = None
        low, high = said.bare_numbers[0]
        return low, high, None, None
    return None, None, None, None


def _stated(
    said: Sentence, amounts: list[Amount], count: Amount | None
) -> tuple[float | None, float | None, str | None, float | None]:
    first = next((a for a in amounts if not is_volume(a.unit or "")), amounts[0])
    low, high, unit = first.low, first.high, first.unit
    others = [a for a in amounts if a is not first and a.unit]
    comparable = [(in_unit(a.low, a.unit or "", unit or ""), in_unit(a.high, a.unit or "", unit or "")) for a in others]
    comparable = [pair for pair in comparable if None not in pair]
    if comparable and low is not None and high is not None:
        low = min([low, *(a for a, _ in comparable if a is not None)])
        high = max([high, *(b for _, b in comparable if b is not None)])
        if said.slot_count < 2:
            said.notes["several_amounts"] = None
    per_day = first.per_day
    if count and unit and "/" not in unit and per_day is None:
        low, high = _multiplied(said, (low, high), count)
        per_day = count.per_day
    elif not count and unit and said.bare_numbers and "/" not in unit and _is_count(said):
        low, high = multiplied((low, high), said.bare_numbers[0])
    return low, high, unit, per_day


def _multiplied(said: Sentence, amount: Interval, count: Amount) -> Interval:
    """Strength times number of units; in "100 mg (2 tablets)" it is not said which, so both stay."""
    low, high = multiplied(amount, (count.low, count.high))
    bracketed = any(t.letter == "(" for t in said.terms)
    if bracketed and amount[0] is not None and amount[1] is not None and low is not None and high is not None:
        if (low, high) != amount:
            said.notes["count_or_total"] = None
        return min(low, amount[0]), max(high, amount[1])
    return low, high


def _is_count(said: Sentence) -> bool:
    """ "sertraline 50 mg 2 daily": a number right before a word of time is a number of units."""
    letters = [t.letter for t in said.terms if t.letter not in ".,"]
    return any(one == "N" and two in "QS" for one, two in pairwise(letters))


def _merged_counts(counts: list[Amount]) -> Interval:
    same = [c for c in counts if c.unit == counts[0].unit and c.low is not None and c.high is not None]
    if not same:
        return counts[0].low, counts[0].high
    return min(c.low for c in same if c.low is not None), max(c.high for c in same if c.high is not None)


def _from_concentration(said: Sentence) -> tuple[float | None, float | None, str | None]:
    """Strength times volume, or the amount that is stated beside the strength."""
    assert said.per_volume is not None
    strength, unit, volume, volume_unit = said.per_volume
    for amount in said.amounts:
        if not is_volume(amount.unit or ""):
            return amount.low, amount.high, amount.unit
    for amount in said.amounts:
        low = in_unit(amount.low, amount.unit or "", volume_unit)
        high = in_unit(amount.high, amount.unit or "", volume_unit)
        if low is not None and high is not None and volume:
            # rounded where floats leave their own dust: 0.7 mL of 50 mg/mL is 35 mg
            return _plain(low * strength / volume), _plain(high * strength / volume), unit
    said.notes["strength_only"] = None
    return None, None, None


def _plain(value: float) -> float:
    return float(f"{value:.12g}")


def _per_day(said: Sentence, stopped: bool, total: float | None) -> Interval:
    stated = list(said.frequencies)
    if said.weekday_count and not stopped:
        stated.append((said.weekday_count / _week(said), said.weekday_count / _week(said)))
    if said.slot_count > 1 and all(f in ((1.0, 1.0), NOTHING) for f in stated):
        stated = [(float(said.slot_count), float(said.slot_count))]
    if not stated:
        if total is not None:
            return (total, total)
        return (1.0, 1.0) if said.slot_count else NOTHING
    return _combined([f for f in stated if f[1] is not None] or [NOTHING])


def _combined(stated: list[Interval]) -> Interval:
    """ "twice daily, three days a week" multiplies; otherwise two different statements leave an interval."""
    often = [f for f in stated if f[1] is not None and f[1] >= 1]
    seldom = [f for f in stated if f[1] is not None and f[1] < 1]
    if len(often) == 1 and len(seldom) == 1:
        return multiplied(often[0], seldom[0])
    lows = [f[0] for f in stated if f[0] is not None]
    highs = [f[1] for f in stated if f[1] is not None]
    return (min(lows) if lows else None, max(highs) if highs else None)


def _week(said: Sentence) -> float:
    return float(said.settings["period"]["week"]["days"])
