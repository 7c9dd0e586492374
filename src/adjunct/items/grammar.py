"""What the words beside a name say, read off the shape of an item (lexicon.py): amounts, times, status, form, route.

Every term must be used up by some pattern; what is left over makes the item unknown, because a word that is not
understood may change what the product is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from adjunct.items.lexicon import Term
from adjunct.items.numbers import Interval, number_of
from adjunct.items.quantities import Quantities
from adjunct.items.stated import Amount, days_between, days_in, over

NUM = r"(?:bN[&t-]N|N[-t|]N|Nh|N)"
PER = r"[/Rz]"
OFTEN = rf"(?:{NUM}X|O)"
#: Named patterns over the shape, first match wins. Each name is a method of `Sentence`.
PATTERNS = (
    ("schedule", r"i?N-N-N(?:-N)?[UC]?"),
    ("date", r"iN/N/N|i?N?mN?(?!U)|iN(?![UCDVXzt/&-])"),
    ("concentration", rf"{NUM}U/N?U(?:/D)?"),
    ("product_named", rf"{NUM}X?[_z]+{NUM}[UC]C?"),
    ("per_unit", rf"{NUM}U[/R]C"),
    ("lasting_form", r"D(?=_)"),
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


class Sentence(Quantities):
    """The terms around the names of an item, read whole."""

    def read(self) -> Sentence:
        """Use up every term; what no pattern takes is left over."""
        for term in self.terms:
            self._aside(term) if term.letter in ASIDE else self.shaped.append(term)
        shape = "".join(t.letter for t in self.shaped)
        at = 0
        while at < len(shape):
            found = _PATTERN.match(shape, at)
            if not found or not found.lastgroup or found.end() == at:
                self.leftover.append(self.shaped[at])
                at += 1
                continue
            handler: Callable[[list[Term]], None] = getattr(self, f"_{found.lastgroup}")
            handler(self.shaped[at : found.end()])
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
        days = days_in([t for t in terms[cut + 1 :] if t.letter in "ND"])
        self._frequency(over(low, days), over(high, days))

    def _dosed(self, terms: list[Term]) -> None:
        cut = next(i for i, t in enumerate(terms) if t.letter == "V")
        low, high = number_of(terms[:cut], self.notes)
        days = (
            days_in([t for t in terms[cut + 1 :] if t.letter in "ND"])
            if terms[-1].letter == "D"
            else days_between(terms[-1])
        )
        self._frequency(over(low, days), over(high, days))

    def _often_word(self, terms: list[Term]) -> None:
        low, high = self._occasions(terms[:-1])
        days = days_between(terms[-1])
        self._frequency(over(low, days), over(high, days))

    def _often_slot(self, terms: list[Term]) -> None:
        self._frequency(*self._occasions(terms))

    def _days_of(self, terms: list[Term]) -> None:
        cut = next(i for i, t in enumerate(terms) if t.letter == "D")
        low, high = number_of(terms[:cut], self.notes)
        days = days_in(terms[-1:])
        self._frequency(over(low, days), over(high, days))

    def _every(self, terms: list[Term]) -> None:
        if terms[-1].letter != "D":
            return
        low, high = number_of([t for t in terms if t.letter in "bN&t-|h"], self.notes)
        days = days_in(terms[-1:])
        if not low or not high:
            low = high = 1.0 if terms[-2].letter == "E" else None
        self._frequency(over(1.0, days * high) if high else None, over(1.0, days * low) if low else None)

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
        self.counts.append(Amount(*value, None, terms[0].start, 1 / days_in(terms[cut + 1 :])))

    def _a_day(self, terms: list[Term]) -> None:
        """What is left of "2 mg lorazepam a day"."""
        self._frequency(*(1 / days_in(terms),) * 2)

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

    def _lasting_form(self, terms: list[Term]) -> None:
        """ "24 HR venlafaxine": how long one dose lasts."""

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
