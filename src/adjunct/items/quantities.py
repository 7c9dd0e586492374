"""The parts of the grammar that read amounts."""

from __future__ import annotations

from collections.abc import Sequence

from adjunct.items.lexicon import Term
from adjunct.items.numbers import Interval, in_unit, multiplied, number_of, read_number
from adjunct.items.stated import Amount, Stated, days_in, is_volume


class Quantities(Stated):
    """Amounts, counts, strengths, schedules. Each method takes the terms that its pattern matched."""

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

    def _per_unit(self, terms: list[Term]) -> None:
        """ "28 MG/ACTUAT", "5 mg per tablet": the strength of one unit."""
        self._amounts(terms[:-2])

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
        days = days_in(terms[cut + 2 :])
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
        return top is not None and bottom is not None and bottom in self.settings["fractions"]["parts"] and top < bottom

    def _count_after(self, terms: list[Term]) -> str | None:
        """The countable thing a fraction belongs to, if it follows."""
        at = self.shaped.index(terms[-1]) + 1
        following = self.shaped[at : at + 2]
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
        per_day = 1 / days_in(terms[cut + 2 :]) if terms[cut + 1 :] else None
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
