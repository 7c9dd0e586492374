"""How a message is spelt: one plain word after the other, each with its place in what the person wrote.

Case, accents, width, look-alike letters of other scripts, hidden signs, letters spaced out and emoji are undone here,
so that the lexicons may be written in plain words. Which sign stands for what is data (`data/messages/reading.toml`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

NOTHING, PAUSE, STOP = 0, 1, 2  # what stands before a word: a blank, a comma or a line, the end of a sentence
LEAST_RUN = 3  # layout: "k i l l", single letters one after the other that are one word

_TOKEN = re.compile(r"[$@]?[^\W_]+(?:['*@$!|]+[^\W_]+)*|[^\w\s]+|\n+")
_SPLIT = re.compile(r"[^\W_]+")
_ENDS = re.compile(r"[.]\s|[!?。]|\n\s*\n")  # "i.want.to" is one sentence


class Word(NamedTuple):
    """A word as it is compared, where it stands in the text, and what stands before it."""

    text: str
    start: int
    end: int
    before: int


class Spelling:
    """The signs that stand for letters or words, as the reading file lists them."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._elided = frozenset(given["elided"])
        self._digits: Mapping[str, str] = given["digits"]
        self._sign: dict[str, str] = dict.fromkeys(given["hidden"], "")
        self._sign |= {c: plain for plain, signs in given["lookalikes"].items() for c in signs}
        self._sign |= {c: f" {word} " for c, word in given["emoji"].items()}

    def words(self, text: str) -> list[Word]:
        """Every word of the text, folded, in order."""
        folded, at = self.folded(text)
        found: list[Word] = []
        last = 0
        for token in _TOKEN.finditer(folded):
            if not token[0][-1].isalnum():
                continue
            before = _pause(folded[last : token.start()], first=not found)
            for n, (part, start, end) in enumerate(self._parts(token[0], token.start())):
                found.append(Word(part, at[start], at[end - 1] + 1, NOTHING if n else before))
            last = token.end()
        return _respaced(found)

    def folded(self, text: str) -> tuple[str, range | list[int]]:
        """The text without case, accents and disguise, and where each of its letters stood."""
        if text.isascii():
            return text.lower(), range(len(text))
        table, letters, at = self._table, [], []
        for place, sign in enumerate(text):
            plain = table.get(sign)
            if plain is None:
                plain = table[sign] = self._plain(sign)
            letters.append(plain)
            at.extend([place] * len(plain))
        return "".join(letters), at

    def fold(self, text: str) -> str:
        """A lexicon's own words, in the spelling in which messages are compared."""
        return self.folded(text)[0].replace("'", "")

    def unmasked(self, word: str) -> list[str]:
        """What a word with digits or signs in it may stand for: "su1cide"."""
        readings = [""]
        for letter in word:
            readings = [r + c for r in readings for c in self._digits.get(letter, letter)][: 1 << LEAST_RUN]
        return readings

    @cached_property
    def _table(self) -> dict[str, str]:
        return dict(self._sign)

    def _plain(self, sign: str) -> str:
        plain = unicodedata.normalize("NFKD", sign).casefold()
        return "".join(self._sign.get(c, c) for c in plain if not unicodedata.combining(c))

    def _parts(self, token: str, start: int) -> list[tuple[str, int, int]]:
        """A French elision is two words, an English contraction is one."""
        head, mark, tail = token.partition("'")
        if mark and tail and head in self._elided:
            after = start + len(head) + 1
            return [(head, start, after), *self._parts(tail, after)]
        return [(token.replace("'", ""), start, start + len(token))]


def pieces(word: str) -> list[str]:
    """The plain runs of a word that holds other signs."""
    return _SPLIT.findall(word)


def _pause(gap: str, *, first: bool) -> int:
    if first:
        return STOP
    if "..." in gap or "\u2026" in gap:
        return PAUSE
    if _ENDS.search(gap):
        return STOP
    return PAUSE if gap.strip(" '\"*_\t") or "\n" in gap else NOTHING


def _respaced(words: list[Word]) -> list[Word]:
    """Single letters one after the other are one word."""
    out: list[Word] = []
    run: list[Word] = []
    for word in words:
        single = len(word.text) == 1 and word.text.isalpha()
        if run and not (single and word.before != STOP):
            out.extend(_one(run))
            run = []
        if single:
            run.append(word)
        else:
            out.append(word)
    return [*out, *_one(run)]


def _one(run: list[Word]) -> list[Word]:
    if len(run) < LEAST_RUN:
        return run
    return [Word("".join(w.text for w in run), run[0].start, run[-1].end, run[0].before)]
