"""Where names stand in a text: every run of tokens that is a whole name, and what it can mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from adjunct.items.lexicon import Lexicon, Term
from adjunct.items.names import CLASS, WRONG, Names
from adjunct.items.text import Token, compact, fold, tokens

SPELLED = 2**2  # letters; up to here spaced letters may be an abbreviation, "T H C"


class Window(NamedTuple):
    """A run of tokens read as a name. `options`: the substances it can stand for, each 'a' or 'a+b'."""

    start: int
    end: int
    key: str
    options: tuple[str, ...]
    certain: bool
    joins: bool
    read_as: str | None = None
    family: str | None = None

    def parts(self) -> set[str]:
        return {part for option in self.options for part in option.split("+")}


class Family:
    """Products sold under one generic word, told apart by their form."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.name: str = row["name"]
        self.substances: tuple[str, ...] = tuple(row["substances"])
        self.members = frozenset((*row["substances"], *row["labels"]))
        self.labels = frozenset(row["labels"])
        self.generic = frozenset(compact(fold(text)) for text in row["generic"])
        self.correct = frozenset(compact(fold(text)) for text in row["correct"])
        self._decides = [
            ([tuple(t.text for t in tokens(fold(word))) for word in entry["words"]], tuple(entry["substances"]))
            for entry in row["decides"]
        ]

    def decide(self, outside: Sequence[str]) -> tuple[str, ...]:
        """The substances left when these words stand around the generic name."""
        for phrases, substances in self._decides:
            if any(_contains(outside, phrase) for phrase in phrases):
                return substances
        return self.substances


class Finder:
    """Finds names in tokens."""

    def __init__(self, names: Names, lexicon: Lexicon, phrases: Mapping[str, Any]) -> None:
        self._names = names
        self._lexicon = lexicon
        self._most = int(phrases["limits"]["name_words"])
        self._alone = frozenset(phrases["spelling"]["never_joined"])
        self.families = {key: Family(row) for key, row in phrases["family"].items()}
        self._blocked = [tuple(t.text for t in tokens(fold(p))) for p in phrases["not_a_name"]["phrases"]]

    def windows(self, found: Sequence[Token]) -> list[Window]:
        """Every whole name of the text, longest first."""
        windows = list(self._exact(found))
        generic = [w for w in windows if w.family]
        windows = [w for w in windows if w.family or not self._only_describes(w, generic, found)]
        blocked = [span for phrase in self._blocked for span in _spans(found, phrase)]
        windows = [w for w in windows if not any(_cuts(w, span) for span in blocked)]
        windows = [w for w in windows if not _spelled_out(w, found) and not self._swallows_amount(w, windows, found)]
        return sorted(windows, key=lambda w: (-len(w.key), w.start))

    def _exact(self, found: Sequence[Token]) -> Iterator[Window]:
        keys = [compact(t.text) for t in found]
        for start, first in enumerate(keys):
            if not first:
                continue
            key = ""
            for end in range(start, min(len(keys), start + self._most)):
                key += keys[end]
                if not keys[end]:
                    continue
                rows = self._names.find(key)
                if rows or any(key in f.generic for f in self.families.values()):
                    yield self._window(start, end + 1, key, found)

    def _window(self, start: int, end: int, key: str, found: Sequence[Token]) -> Window:
        for name, family in self.families.items():
            if key in family.generic:
                outside = [t.text for t in (*found[:start], *found[end:])]
                options = family.decide(outside)
                read_as = None if key in family.correct else family.name
                return Window(start, end, key, options, len(options) == 1, True, read_as, name)
        rows = self._names.find(key)
        options = _without_twins({r.substance for r in rows})
        kinds = {r.kind for r in rows}
        certain = len(options) == 1 and kinds != {CLASS} and not self._names.too_short(key)
        read_as = self._names.spelt(key, options[0]) if certain and kinds == {WRONG} else None
        return Window(start, end, key, options, certain, not kinds <= self._alone, read_as)

    def _swallows_amount(self, window: Window, windows: Sequence[Window], found: Sequence[Token]) -> bool:
        """A name that ends in a strength, where the same thing is a name without it: the strength is the amount."""
        for inner in windows:
            if inner.start == window.start and inner.end < window.end and inner.options == window.options:
                rest = self._lexicon.terms(found, inner.end, window.end)
                if all(t.letter in "NUCFr.-/" for t in rest) and any(t.letter == "N" for t in rest):
                    return True
        return False

    def _only_describes(self, window: Window, generic: Sequence[Window], found: Sequence[Token]) -> bool:
        """ "kratom powder": the generic word and words that stand in the lexicon anyway; the form is read there."""
        for inner in generic:
            if window.start <= inner.start and inner.end <= window.end and inner.key != window.key:
                around = self._lexicon.terms(found, window.start, inner.start)
                around += self._lexicon.terms(found, inner.end, window.end)
                if all(t.letter in "FCy.UrH" for t in around):
                    return True
        return False

    def corrected(self, start: int, end: int, found: Sequence[Token]) -> Window | None:
        """Tokens that are no name, as the misspelling of one."""
        key = "".join(compact(t.text) for t in found[start:end])
        correction = self._names.correct(key)
        if correction is None:
            return None
        options = tuple(sorted(correction.substances))
        for name, family in self.families.items():
            if set(family.substances) <= set(options) and set(options) <= family.members:
                narrowed = family.decide([t.text for t in (*found[:start], *found[end:])])
                return Window(start, end, key, narrowed, len(narrowed) == 1, False, family.name, name)
        return Window(start, end, key, options, len(options) == 1, False, correction.name)

    def terms(self, found: Sequence[Token], windows: Sequence[Window]) -> list[Term]:
        """The terms of a text with each window as one name."""
        terms: list[Term] = []
        at = 0
        for window in sorted(windows, key=lambda w: w.start):
            terms += self._lexicon.terms(found, at, window.start)
            terms.append(self._name(found, window))
            at = window.end
        return terms + self._lexicon.terms(found, at, len(found))

    def _name(self, found: Sequence[Token], window: Window) -> Term:
        """A name; one that is itself countable ("3 beers", "10 cigarettes") also counts what stands before it."""
        own = self._lexicon.terms(found, window.start, window.end)
        if len(own) == 1 and own[0].letter == "C":
            return own[0]
        return Term("_", "name", {}, window.start, window.end, window.key)


def _without_twins(substances: set[str]) -> tuple[str, ...]:
    """A fixed combination that has an id of its own is the same as its parts joined by a plus."""
    joined = {s.replace("+", "-") for s in substances if "+" in s}
    return tuple(sorted(s for s in substances if s not in joined))


def _contains(text: Sequence[str], phrase: tuple[str, ...]) -> bool:
    size = len(phrase)
    return any(tuple(text[i : i + size]) == phrase for i in range(len(text) - size + 1))


def _spans(found: Sequence[Token], phrase: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    size = len(phrase)
    for start in range(len(found) - size + 1):
        if all(found[start + i].text == word for i, word in enumerate(phrase)):
            yield start, start + size


def _spelled_out(window: Window, found: Sequence[Token]) -> bool:
    """Single letters with blanks between them are no name."""
    inside = found[window.start : window.end]
    return (
        len(inside) == len(window.key)
        and len(inside) > SPELLED
        and all(one.end < two.start for one, two in pairwise(inside))
    )


def _cuts(window: Window, span: tuple[int, int]) -> bool:
    """A window that lies in a blocked phrase without covering it."""
    overlaps = window.start < span[1] and span[0] < window.end
    return overlaps and not (window.start <= span[0] and span[1] <= window.end)
