"""The words of phrases.toml, found in a list of tokens: each becomes a term with one letter that says its kind.

The letters make a `shape`, a short string over which the grammar is written as regular expressions:
N number, U unit, C countable form, F form, H route, r release, e salt, Q how often, S part of the day, D period,
w weekday, m month name, O once/twice, X times, R per, z article, E every, t to, ~ about, ^ up to, > at least,
u during, G ago, g ago (before the number), i since, b between, & and, | or, V doses, h and a half, P as needed,
s status, o another person, v own use, L last use, W when, J for, k reason, % percent, d ordinal, y descriptive word of
a product family, . filler, _ a name, ? a word that is not understood; signs stand for themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from adjunct.items.text import Token, fold, tokens

LANGUAGES = ("all", "en", "es", "fr", "de")
#: (section, letter): the first section that claims a phrase keeps it. A countable form becomes "C".
SECTIONS = (
    ("number", "N"), ("plus_half", "h"), ("unit", "U"), ("percent", "%"), ("status", "s"), ("form", "F"),
    ("slot", "S"), ("weekday", "w"), ("period", "D"), ("often", "Q"), ("occasion", "O"), ("when", "W"),
    ("route", "H"), ("release", "r"), ("salt", "e"), ("grammar", ""), ("calendar", "m"), ("other_person", "o"),
    ("filler", "."),
)  # fmt: skip
GRAMMAR = {
    "times": "X", "per": "R", "article": "z", "every": "E", "to": "t", "about": "~", "most": "^", "least": ">",
    "during": "u", "ago": "G", "ago_first": "g", "since": "i", "between": "b", "and": "&", "or": "|", "doses": "V",
    "as_needed": "P", "ordinal": "d",
}  # fmt: skip
SPECIAL = {"last-use": "L", "own_use": "v", "reason_before": "J", "reason": "k"}
SIGNS = frozenset("/-,+&%()<>~")


class Term(NamedTuple):
    """A phrase found: its letter, what phrases.toml says about it, and the tokens it covers."""

    letter: str
    key: str
    value: Mapping[str, Any]
    start: int
    end: int
    text: str


class Entry(NamedTuple):
    words: tuple[str, ...]
    letter: str
    key: str
    value: Mapping[str, Any]


class Lexicon:
    """Every phrase, by its first word, longest first."""

    def __init__(self, phrases: Mapping[str, Any]) -> None:
        self.phrases = phrases
        self._split: dict[str, tuple[str, ...]] = {}
        self._by_first: dict[str, list[Entry]] = {}
        seen: set[tuple[str, ...]] = set()
        for entry in self._entries():
            if entry.words and entry.words not in seen:
                seen.add(entry.words)
                self._by_first.setdefault(entry.words[0], []).append(entry)
        for entries in self._by_first.values():
            entries.sort(key=lambda e: -len(e.words))

    def _entries(self) -> Iterator[Entry]:
        for section, letter in SECTIONS:
            for key, row in self.phrases[section].items():
                row = row if isinstance(row, Mapping) else {"all": row}
                kind = GRAMMAR.get(key, letter) if section == "grammar" else SPECIAL.get(key, letter)
                if section == "form" and "count" in row:
                    kind = "C"
                for language in LANGUAGES:
                    for phrase in row.get(language, ()):
                        yield Entry(words_of(phrase), kind, key, row)
        for family in self.phrases["family"].values():
            for phrase in family["words"]:
                yield Entry(words_of(phrase), "y", "family", {})

    def terms(self, found: Sequence[Token], start: int, end: int) -> list[Term]:
        """Tokens `start` to `end` as terms, the longest phrase first; every token belongs to exactly one."""
        terms: list[Term] = []
        at = start
        while at < end:
            term = self._term(found, at, end)
            terms.append(term)
            at = term.end
        return terms

    def _term(self, found: Sequence[Token], at: int, end: int) -> Term:
        text = found[at].text
        for entry in self._by_first.get(text, ()):
            stop = _covers(entry.words, found, at, end)
            if stop:
                return Term(entry.letter, entry.key, entry.value, at, stop, " ".join(entry.words))
        if text[0].isdigit():
            return Term("N", "digits", {}, at, at + 1, text)
        if text in SIGNS:
            return Term(text, "sign", {}, at, at + 1, text)
        if not any(c.isalnum() for c in text):
            return Term(".", "sign", {}, at, at + 1, text)
        if text.endswith(("'s", "s'")):
            owner = self._by_first.get(text.rstrip("s").rstrip("'"), ())
            if any(e.letter == "o" and len(e.words) == 1 for e in owner):
                return Term("o", "who", {}, at, at + 1, text)
        return Term("?", "", {}, at, at + 1, text)


def words_of(phrase: str) -> tuple[str, ...]:
    """A phrase as the tokens that must follow one another; hyphens are optional everywhere."""
    return tuple(t.text for t in tokens(fold(phrase)) if t.text != "-")


def _covers(words: tuple[str, ...], found: Sequence[Token], at: int, end: int) -> int:
    """Where `words` end if they stand at `at`, hyphens between them skipped; 0 if they do not."""
    for number, word in enumerate(words):
        if number and at < end and found[at].text == "-":
            at += 1
        if at >= end or found[at].text != word:
            return 0
        at += 1
    return at
