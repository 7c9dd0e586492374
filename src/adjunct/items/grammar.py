"""What the words beside a name say, read off the shape of an item (lexicon.py): amounts, times, status, form, route.

Every term must be used up by some pattern; what is left over makes the item unknown, because a word that is not
understood may change what the product is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adjunct.items.lexicon import Term
from adjunct.items.numbers import Interval, in_unit, multiplied, number_of, read_number

NUM = r"(?:bN[&t-]N|N[-t|]N|Nh|N)"
PER = r"[/Rz]"
OFTEN = rf"(?:{NUM}X|O)"
#: Named patterns over the shape, first match wins. Each name is a method of `Sentence`.
PATTERNS = (
    ("schedule", r"i?N-N-N(?:-N)?[UC]?"),
    ("date", r"iN/N/N|i?N?mN?(?!U)|iN(?![UCDVXzt/&-])"),
    ("concentration", rf"{NUM}U/N?U(?:/D)?"),
    ("product_named", rf"{NUM}X?[_z]+{NUM}[UC]C?"),
    ("rate", rf"{NUM}U{PER}N?D"),
    ("mixed", r"NN/N(?=z?[CU])"),
    ("strengths", r"NU?(?:/NU?)+"),
    ("descending", r"NU?-NU"),
    ("product", rf"{NUM}X{NUM}U|{NUM}UXN(?!{PER}?D|Q|S)"),
    ("percent", rf"{NUM}%"),
    ("amounts", rf"{NUM}U[-t]{NUM}U|{NUM}U"),
    ("days_of", rf"{NUM}D{PER}D"),
    ("dosed", rf"{NUM}V(?:{PER}?N?D|Q)"),
    ("divided", rf"{NUM}V"),
    ("often", rf"(?:{OFTEN}|XN){PER}?N?D"),
    ("often_word", rf"(?:{OFTEN}|XN)Q"),
    ("often_slot", rf"{OFTEN}(?=S)"),
    ("every", rf"E/?{NUM}?D|E(?=[Sw])"),
    ("ago", rf"L?(?:{NUM}DG|g{NUM}D|z?DG|gzD)"),
    ("lasting", rf"[iu>]+(?:{NUM}|z)D"),
    ("counted", rf"(?:{NUM}z?|z)C(?:{PER}N?D)?"),
    ("each_day", rf"{NUM}{PER}N?D"),
    ("duration", rf"{NUM}D"),
    ("a_day", rf"{PER}N?D"),
    ("when", r"i?W"),
    ("slots", r"S(?:[&/]*S)*"),
    ("weekdays", r"i?w(?:[&/-]*w)*"),
    ("word", r"Q"),
    ("times_only", rf"{OFTEN}|XN"),
    ("bare", rf"{NUM}"),
    ("reason", r"[iJR]k(?:[&/]?k)*"),
    ("most", r"\^"),
    ("least", r">"),
    ("said", r"[_LCU/\-&ziJRVE|]"),
)
_PATTERN = re.compile("|".join(f"(?P<{name}>{shape})" for name, shape in PATTERNS))
#: Letters that are taken note of and do not take part in the patterns.
ASIDE = frozenset(".,()+~sovFHreyPd")


@dataclass(slots=True)
class Amount:
    """An amount as stated; `at` is the term it stands at."""

    low: float | None
    high: float | None
    unit: str | None
    at: int
    per_day: float | None = None


@dataclass(slots=True)
class Sentence:
    """The terms around the names of an item, and what they say."""

    terms: Sequence[Term]
    settings: Mapping[str, Any]
    combination: bool = False
    amounts: list[Amount] = field(default_factory=list)
    counts: list[Amount] = field(default_factory=list)
    bare_numbers: list[Interval] = field(default_factory=list)
    strengths: list[Amount] = field(default_factory=list)
    per_volume: tuple[float, str, float, str] | None = None
    frequencies: list[Interval] = field(default_factory=list)
    slot_count: int = 0
    weekday_count: int = 0
    parts: Interval | None = None
    since: bool = False
    point_groups: bool = False  # written by somebody for whom 1.000 is a thousand
    since_weekday: bool = False
    limit_next: str = ""
    ago_hours: list[Interval] = field(default_factory=list)
    lasting_hours: list[Interval] = field(default_factory=list)
    statuses: list[Term] = field(default_factory=list)
    forms: list[Term] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)
    release: str | None = None
    as_needed: bool = False
    other: bool = False
    own: bool = False
    alternatives: bool = False
    notes: dict[str, None] = field(default_factory=dict)
    leftover: list[Term] = field(default_factory=list)
    _shape: list[Term] = field(default_factory=list)

    def read(self) -> Sentence:
        """Use up every term; what no pattern takes is left over."""
        for term in self.terms:
            self._aside(term) if term.letter in ASIDE else self._shape.append(term)
        shape = "".join(t.letter for t in self._shape)
        at = 0
        while at < len(shape):
            found = _PATTERN.match(shape, at)
            if not found or not found.lastgroup or found.end() == at:
                self.leftover.append(self._shape[at])
                at += 1
                continue
            handler: Callable[[list[Term]], None] = getattr(self, f"_{found.lastgroup}")
            handler(self._shape[at : found.end()])
            at = found.end()
        return self

    def _aside(self, term: Term) -> None:
        match term.letter:
            case "s":
                self.statuses.append(term)
            case "o":
                self.other = True
            case "v":
                self.own = True
            case "F":
                self.forms.append(term)
            case "H":
                self.routes.append(term.key)
            case "r":
                self.release = term.key
            case "P":
                self.as_needed = True
            case "~":
                self.notes["about"] = None

    def form(self) -> str | None:
        """The form as stated; a countable one only if it was named."""
        named = [t.key for t in self.terms if t.letter in "CF"]
        return named[0] if named else self.release

    # --- amounts ------------------------------------------------------------------------------------------------------

    def _number(self, terms: Sequence[Term]) -> Interval:
        value = number_of(terms, self.notes)
        if self.limit_next:
            low, high = value
            value = (0.0, high) if self.limit_next == "most" else (low, None)
            self.limit_next = ""
        return value

    def _amounts(self, terms: list[Term]) -> None:
        cut = next(i for i, t in enumerate(terms) if t.letter == "U") + 1
        low, high = self._number(terms[: cut - 1])
        unit = terms[cut - 1].value["code"]
        if terms[cut:]:
            high = number_of(terms[cut + 1 : -1], self.notes)[1]
            last = terms[-1].value["code"]
            self._add(in_unit(low, unit, last), high, last, terms[0].start)
        else:
            self._add(low, high, self._liquid(terms[cut - 1]), terms[0].start)

    def _liquid(self, unit: Term) -> str:
        liquid = unit.value.get("liquid_forms", ())
        code: str = unit.value["liquid_code" if any(t.key in liquid for t in self._forms_named()) else "code"]
        return code

    def _forms_named(self) -> list[Term]:
        return [t for t in self.terms if t.letter in "CF"]

    def _add(
        self, low: float | None, high: float | None, unit: str | None, at: int, per_day: float | None = None
    ) -> None:
        self.amounts.append(Amount(low, high, unit, at, per_day))

    def _rate(self, terms: list[Term]) -> None:
        cut = next(i for i, t in enumerate(terms) if t.letter == "U")
        low, high = self._number(terms[:cut])
        days = _days(terms[cut + 2 :])
        unit = terms[cut].value["code"]
        if days < 1:
            self._add(low, high, f"{unit}/h" if terms[-1].key == "hour" else f"{unit}/min", terms[0].start)
        else:
            self._add(low, high, unit, terms[0].start, per_day=1 / days)

    def _concentration(self, terms: list[Term]) -> None:
        first, *others = (i for i, t in enumerate(terms) if t.letter == "U")
        low, high = self._number(terms[:first])
        top, bottom = terms[first].value["code"], terms[others[0]].value["code"]
        amount = read_number(terms[others[0] - 1].text)[0] if terms[others[0] - 1].letter == "N" else 1.0
        if bottom == "kg":
            tail = "/h" if terms[-1].key == "hour" else "/min" if terms[-1].key == "minute" else ""
            self._add(low, high, f"{top}/kg{tail}", terms[0].start)
        elif is_volume(bottom) and not is_volume(top) and low is not None and amount is not None:
            self.per_volume = (low, top, amount, bottom)
        else:
            self._strengths(terms)

    def _strengths(self, terms: list[Term]) -> None:
        numbers = [t for t in terms if t.letter == "N"]
        units = [t.value["code"] for t in terms if t.letter == "U"]
        values = [read_number(t.text)[0] for t in numbers]
        whole = [t.letter for t in terms] in (["N", "/", "N"], ["N", "/", "N", "U"])
        if whole and not self.combination and self._is_fraction(values):
            value = (values[0] or 0) / (values[1] or 1)
            if units:
                self._add(value, value, units[0], terms[0].start)
            else:
                self.counts.append(Amount(value, value, self._count_after(terms), terms[0].start))
            return
        unit = units[0] if units else None
        self.strengths += [Amount(v, v, unit, terms[0].start) for v in values]

    def _is_fraction(self, values: Sequence[float | None]) -> bool:
        top, bottom = values
        return top is not None and bottom in self.settings["fractions"]["parts"] and top < bottom

    def _count_after(self, terms: list[Term]) -> str | None:
        """The countable thing a fraction belongs to, if it follows."""
        at = self._shape.index(terms[-1]) + 1
        following = self._shape[at : at + 2]
        return next((t.value["count"] for t in following if t.letter == "C"), None)

    def _mixed(self, terms: list[Term]) -> None:
        whole, top, bottom = (read_number(t.text)[0] or 0 for t in terms if t.letter == "N")
        value = whole + top / (bottom or 1)
        self.counts.append(Amount(value, value, self._count_after(terms), terms[0].start))

    def _descending(self, terms: list[Term]) -> None:
        values = [read_number(t.text)[0] or 0 for t in terms if t.letter == "N"]
        if values[0] > values[1]:
            unit = terms[-1].value["code"]
            self.strengths += [Amount(v, v, unit, terms[0].start) for v in values]
        else:
            self._amounts(terms)

    def _product(self, terms: list[Term]) -> None:
        cut = next(i for i, t in enumerate(terms) if t.letter == "X")
        unit = next(t.value["code"] for t in terms if t.letter == "U")
        one = number_of([t for t in terms[:cut] if t.letter != "U"], self.notes)
        two = number_of([t for t in terms[cut + 1 :] if t.letter != "U"], self.notes)
        self._add(*multiplied(one, two), unit, terms[0].start)

    def _product_named(self, terms: list[Term]) -> None:
        """ "2 x Xanax 0.5 mg", "5 Valium 10 mg", "2 Xanax bars"."""
        name = next(i for i, t in enumerate(terms) if t.letter in "_z")
        count = number_of([t for t in terms[:name] if t.letter != "X"], self.notes)
        rest = [t for t in terms[name:] if t.letter not in "_z"]
        if rest[-1].letter == "C" and len(rest) > 1 and rest[-2].letter == "N":
            return self._counted(rest)
        last = next(i for i, t in enumerate(rest) if t.letter == "U")
        if any(t.letter == "X" for t in terms) and any(t.key == "extract" for t in self.terms):
            self.notes["extract_times"] = None
            return self._amounts(rest[: last + 1])
        self._add(*multiplied(count, number_of(rest[:last], self.notes)), rest[last].value["code"], terms[0].start)
        return None

    def _percent(self, _terms: list[Term]) -> None:
        self.notes["percent"] = None

    def _counted(self, terms: list[Term]) -> None:
        cut = next(i for i, t in enumerate(terms) if t.letter == "C")
        value = (1.0, 1.0) if terms[0].letter == "z" else self._number([t for t in terms[:cut] if t.letter != "z"])
        per_day = 1 / _days(terms[cut + 2 :]) if terms[cut + 1 :] else None
        self.counts.append(Amount(*value, terms[cut].value["count"], terms[0].start, per_day))

    def _schedule(self, terms: list[Term]) -> None:
        """ "1-0-1": units at morning, noon, evening and perhaps night; or a date."""
        values = [read_number(t.text)[0] or 0.0 for t in terms if t.letter == "N"]
        taken = [v for v in values if v]
        if terms[0].letter == "i" or not taken or max(values) > self.settings["limits"]["schedule_most"]:
            self.notes["date"] = None
            return
        last = terms[-1]
        unit = last.value.get("count") or last.value.get("code")
        if last.letter == "U":
            self._add(min(taken), max(taken), unit, terms[0].start)
        else:
            self.counts.append(Amount(min(taken), max(taken), unit, terms[0].start))
        self.frequencies.append((float(len(taken)), float(len(taken))))
        self.point_groups = True

    # --- how often ----------------------------------------------------------------------------------------------------

    def _frequency(self, low: float | None, high: float | None) -> None:
        if self.limit_next == "most":
            low = 0.0
        self.limit_next = ""
        self.frequencies.append((low, high))

    def _occasions(self, terms: Sequence[Term]) -> Interval:
        for term in terms:
            if term.letter == "O":
                return (float(term.value["value"]), float(term.value["value"]))
        return number_of([t for t in terms if t.letter in "bN&t-|h"], self.notes)

    def _often(self, terms: list[Term]) -> None:
        cut = max(i for i, t in enumerate(terms) if t.letter in "XO")
        cut += 1 if terms[cut].letter == "X" and terms[cut + 1].letter == "N" and not cut else 0
        low, high = self._occasions(terms[: cut + 1])
        days = _days([t for t in terms[cut + 1 :] if t.letter in "ND"])
        self._frequency(_over(low, days), _over(high, days))

    def _dosed(self, terms: list[Term]) -> None:
        cut = next(i for i, t in enumerate(terms) if t.letter == "V")
        low, high = number_of(terms[:cut], self.notes)
        days = _days([t for t in terms[cut + 1 :] if t.letter in "ND"]) if terms[-1].letter == "D" else _word(terms[-1])
        self._frequency(_over(low, days), _over(high, days))

    def _often_word(self, terms: list[Term]) -> None:
        low, high = self._occasions(terms[:-1])
        days = _word(terms[-1])
        self._frequency(_over(low, days), _over(high, days))

    def _often_slot(self, terms: list[Term]) -> None:
        self._frequency(*self._occasions(terms))

    def _days_of(self, terms: list[Term]) -> None:
        cut = next(i for i, t in enumerate(terms) if t.letter == "D")
        low, high = number_of(terms[:cut], self.notes)
        days = _days(terms[-1:])
        self._frequency(_over(low, days), _over(high, days))

    def _every(self, terms: list[Term]) -> None:
        if terms[-1].letter != "D":
            return
        low, high = number_of([t for t in terms if t.letter in "bN&t-|h"], self.notes)
        days = _days(terms[-1:])
        if not low or not high:
            low = high = 1.0 if terms[-2].letter == "E" else None
        self._frequency(_over(1.0, days * high) if high else None, _over(1.0, days * low) if low else None)

    def _word(self, terms: list[Term]) -> None:
        times, days = terms[0].value["per"]
        most_times, most_days = terms[0].value.get("most", (times, days))
        self._frequency(times / days, most_times / most_days)

    def _slots(self, terms: list[Term]) -> None:
        self.slot_count += sum(t.letter == "S" for t in terms)

    def _weekdays(self, terms: list[Term]) -> None:
        named = [t for t in terms if t.letter == "w"]
        if len(terms) > len(named) and any(t.letter == "-" for t in terms):
            week = int(self.settings["period"]["week"]["days"])
            self.weekday_count += (named[-1].value["day"] - named[0].value["day"]) % week + 1
        elif terms[0].letter == "i":
            self.since_weekday = True
        else:
            self.weekday_count += len(named)

    def _each_day(self, terms: list[Term]) -> None:
        cut = next(i for i, t in enumerate(terms) if t.letter in "/Rz")
        value = self._number(terms[:cut])
        self.counts.append(Amount(*value, None, terms[0].start, 1 / _days(terms[cut + 1 :])))

    def _a_day(self, terms: list[Term]) -> None:
        """What is left of "2 mg lorazepam a day"."""
        self._frequency(*(1 / _days(terms),) * 2)

    def _divided(self, terms: list[Term]) -> None:
        self.parts = number_of(terms[:-1], self.notes)

    def _times_only(self, _terms: list[Term]) -> None:
        self.notes["extract_times"] = None

    def _bare(self, terms: list[Term]) -> None:
        self.bare_numbers.append(self._number(terms))

    # --- when ---------------------------------------------------------------------------------------------------------

    def _hours(self, terms: Sequence[Term]) -> Interval:
        low, high = number_of([t for t in terms if t.letter in "bN&t-|h"], self.notes)
        if low is None or high is None:
            low = high = 1.0
        spread = self.settings["ago"]["spread"]
        unit = next(t for t in terms if t.letter == "D").value["days"] / self.settings["period"]["hour"]["days"]
        return (max(0.0, low - spread) * unit, (high + spread) * unit)

    def _ago(self, terms: list[Term]) -> None:
        self.ago_hours.append(self._hours(terms))

    def _lasting(self, terms: list[Term]) -> None:
        self.lasting_hours.append(self._hours(terms))

    def _duration(self, terms: list[Term]) -> None:
        self.lasting_hours.append(self._hours(terms))

    def _when(self, terms: list[Term]) -> None:
        self.since = self.since or terms[0].letter == "i"
        low, high = terms[-1].value["hours"]
        self.ago_hours.append((float(low), float(high)))

    def _date(self, _terms: list[Term]) -> None:
        self.notes["date"] = None

    # --- the rest -----------------------------------------------------------------------------------------------------

    def _reason(self, terms: list[Term]) -> None:
        """Why it is taken says nothing about what it is."""

    def _most(self, _terms: list[Term]) -> None:
        self.limit_next = "most"

    def _least(self, _terms: list[Term]) -> None:
        self.limit_next = "least"

    def _said(self, terms: list[Term]) -> None:
        if terms[0].letter == "|":
            self.alternatives = True
        if terms[0].letter == "C":
            self.forms.append(terms[0])


def _over(value: float | None, days: float) -> float | None:
    return None if value is None or not days else value / days


def _days(terms: Sequence[Term]) -> float:
    """The days of "day", "24 h", "3 weeks"."""
    unit = next(t for t in terms if t.letter == "D")
    number = next((read_number(t.text)[0] for t in terms if t.letter == "N"), None)
    return float(unit.value["days"]) * (number or 1.0)


def _word(term: Term) -> float:
    """Days between administrations of a word like "weekly"."""
    times, days = term.value["per"]
    return float(days) / float(times)


def is_volume(unit: str) -> bool:
    return unit in ("mL", "cL", "L") or unit.startswith(("[tsp", "[tbs", "[foz", "[cup", "[pt"))
