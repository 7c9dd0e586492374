"""What people call things, compiled once from data/messages: phrases over words, found in one walk over a message.

A phrase is written as words; `a|b` either, `word*` any ending, `word?` may be missing, `@set` one of a named list,
`#` a number, `%` a substance by any one-word name of the knowledge, `~` up to two words of any kind, `~~` up to four,
`~~~` up to eight. Alternatives of several words stand in parentheses, which `?` makes optional and `*` lets stand up to
three times or not at all; a gap within an alternative is refused. A phrase runs over commas and ends with its sentence.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, product
from typing import Any, NamedTuple

from rapidfuzz.distance import OSA

from adjunct.base import Refused
from adjunct.knowledge import Knowledge
from adjunct.messages.words import STOP, Spelling, Word, pieces

NUMBER, SUBSTANCE = "#", "%"
GAPS = {"~": 2, "~~": 4, "~~~": 8}  # layout: words that a gap may hold
REPEATS = 3  # layout: how often a place marked `*` may be filled
LEAST_NAME = 5  # layout: shorter names of substances are too often ordinary words
_GLUED = re.compile(r"(\)[?*]?)(?=[^\s)?*|])")  # `(is )?red`: a place ends with its parenthesis
_DRAWN = re.compile(r"(.)\1{2,}")


class Slot(NamedTuple):
    """One place of a phrase: single words, alternatives by their first word, may it be missing, how wide a gap."""

    single: frozenset[str]
    several: Mapping[str, tuple[tuple[str, ...], ...]]
    optional: bool
    gap: int


class Phrase(NamedTuple):
    """A way to say something: what it stands for, how it weighs, in which language, and its places."""

    of: str
    level: str
    language: str
    slots: tuple[Slot, ...]
    needs: tuple[frozenset[str], ...]  # of each later place that must be filled, the words it may begin with


class Found(NamedTuple):
    """A phrase in a message: the words from `first` up to, not including, `last`."""

    phrase: Phrase
    first: int
    last: int


class Lexicon:
    """All languages at once."""

    def __init__(self, knowledge: Knowledge) -> None:
        files: Mapping[str, Mapping[str, Any]] = {f["language"]: f for f in knowledge.content["lexicons"]}
        self.reading = files["all"]
        self.languages = {code: f for code, f in files.items() if code != "all"}
        self.spelling = Spelling(self.reading["spelling"])
        self.flags = {flag["id"]: flag for flag in self.reading["flag"]}
        self.kinds = {kind["id"]: kind for kind in self.reading["kind"]}
        self.bridge = frozenset(self.spelling.fold(w) for f in self.languages.values() for w in f["bridge"])
        self.common: dict[str, list[str]] = defaultdict(list)
        for code, file in self.languages.items():
            for word in file["common"]:
                self.common[self.spelling.fold(word)].append(code)
        self.edits: Sequence[Sequence[int]] = self.reading["spelling"]["edits"]
        self._phrases: dict[str, list[Phrase]] = defaultdict(list)
        self._stems: dict[str, None] = {}
        self._words: set[str] = set()
        self._places: dict[tuple[str, str], list[Slot]] = {}
        for code, file in files.items():
            self._add(code, file)
        for flag in self.reading["flag"]:
            if flag.get("names", True) and flag["id"] in knowledge.concepts:
                for name in knowledge.concepts[flag["id"]].names:
                    self._compile(flag["id"], "", "all", [" ".join(self._plain(name))], {})
        self._lengths = sorted({len(s) for s in self._stems}, reverse=True)
        listed = (w for f in self.languages.values() for w in f["ordinary"])
        self._ordinary = frozenset(map(self.spelling.fold, listed)) | self.bridge | frozenset(self.common)
        names = (n for n in knowledge.substances_by_name if len(n) >= LEAST_NAME and n.isalnum())
        self._names = frozenset(n if n.isascii() else self.spelling.fold(n) for n in names) - self._ordinary
        self._near = self._neighbours()
        self._glued = [(re.compile("|".join(map(re.escape, g["list"]))), g["is"]) for g in self.reading["glued"]]

    # --- compiling ----------------------------------------------------------------------------------------------------

    def _add(self, code: str, file: Mapping[str, Any]) -> None:
        sets = {
            name: tuple(dict.fromkeys(" ".join(self._signed(s)) for w in entries for s in _spellings(w, code)))
            for name, entries in file["sets"].items()
        }
        for entry in file["say"]:
            self._compile(entry["is"], entry.get("level", ""), code, entry["list"], sets)

    def _plain(self, text: str) -> list[str]:
        return [w.text for w in self.spelling.words(text)]

    def _signed(self, text: str) -> Iterator[str]:
        """An entry of a named list; its signs for a number, a substance and any ending are kept."""
        for part in text.split():
            if part in (NUMBER, SUBSTANCE):
                yield part
            else:
                *most, last = self._plain(part)
                yield from (*most, last + "*" if part.endswith("*") else last)

    def _compile(
        self, of: str, level: str, code: str, texts: Iterable[str], sets: Mapping[str, tuple[str, ...]]
    ) -> None:
        for text in texts:
            for spelling in dict.fromkeys(self.spelling.fold(s) for s in _spellings(text, code)):
                slots = tuple(slot for s in _places(spelling) for slot in self._same_slots(code, s, sets))
                needs = (frozenset([*s.single, *s.several]) for s in slots[1:] if not s.optional)
                phrase = Phrase(of, level, code, slots, tuple(needs))
                if all(slot.optional for slot in slots):
                    raise Refused(f"a phrase that cannot be read: {text!r}", f"messages/{code}.toml")
                for start in _starts(slots):
                    self._phrases[start].append(phrase)

    def _same_slots(self, code: str, text: str, sets: Mapping[str, tuple[str, ...]]) -> list[Slot]:
        """The same place stands in many phrases of a language and is compiled once."""
        if (code, text) not in self._places:
            self._places[code, text] = self._slots(text, sets)
        return self._places[code, text]

    def _slots(self, text: str, sets: Mapping[str, tuple[str, ...]]) -> list[Slot]:
        if (gap := text.rstrip("?")) in GAPS:  # a gap may always be empty, so `~?` is `~`
            return [Slot(frozenset(), {}, True, GAPS[gap])]
        repeated = text.endswith(")*")
        optional = repeated or text.endswith("?")
        if optional:
            text = text[:-1]
        inner = text[1:-1] if text.startswith("(") else text
        options = [o for part in _split(inner, "|") for o in _expanded(part, sets)]
        for word in chain.from_iterable(options):
            if word in GAPS:
                raise Refused(f"a gap stands within an alternative and would never be met: {text!r}", "messages")
            if word.endswith("*"):
                self._stems[word[:-1]] = None
            else:
                self._words.add(word)
        single = frozenset(o[0] for o in options if len(o) == 1)
        several: dict[str, tuple[tuple[str, ...], ...]] = {}
        for option in options:
            if len(option) > 1:
                several[option[0]] = (*several.get(option[0], ()), option)
        slot = Slot(single, several, optional, 0)
        return [slot] * (REPEATS if repeated else 1)

    def _neighbours(self) -> dict[str, list[str]]:
        """Every word that may be misspelt, under itself and under itself with one letter left out."""
        near: dict[str, list[str]] = defaultdict(list)
        for word in sorted(self._words):
            if self._may_differ(word):
                for key in _shortened(word):
                    near[key].append(word)
        return near

    def _may_differ(self, word: str) -> int:
        return max((edits for length, edits in self.edits if len(word) >= length), default=0)

    # --- reading ------------------------------------------------------------------------------------------------------

    def find(self, words: Sequence[Word]) -> Iterator[Found]:
        """Every phrase of every language, wherever it begins."""
        known: dict[str, frozenset[str]] = {}
        meant: list[frozenset[str]] = []
        for word in words:
            if word.text not in known:
                known[word.text] = self._meant(word.text)
            meant.append(known[word.text])
        present = frozenset().union(*meant)
        possible = {
            name: [p for p in self._phrases.get(name, ()) if not any(need.isdisjoint(present) for need in p.needs)]
            for name in present
        }
        for place, names in enumerate(meant):
            for name in names:
                for phrase in possible[name]:
                    last = _end(phrase.slots, 0, place, meant, words)
                    if last > place:
                        yield Found(phrase, place, last)
            text = words[place].text
            if len(text) >= self.reading["spelling"]["glued_from"]:
                for glued, of in self._glued:
                    if glued.search(text):
                        yield Found(Phrase(of, "", "all", (), ()), place, place + 1)

    def _meant(self, text: str) -> frozenset[str]:
        """The lexicon's words that a word of a message stands for; empty for an ordinary word."""
        found = self._exact(text)
        if not found and not text.isalpha():
            readings = self.spelling.unmasked(text)
            found = frozenset(n for r in readings for n in self._exact(r))
            if not found and "*" in text:
                found = self._starred(text)
            if not found:
                found = frozenset(n for part in pieces(text) for n in self._exact(part))
        if text[0].isdigit():
            found |= {NUMBER}
        if text in self._names or (text.isalpha() and text[:-1] in self._names):
            found |= {SUBSTANCE}
        if not found and _DRAWN.search(text):
            found = self._exact(_DRAWN.sub(r"\1\1", text)) or self._exact(_DRAWN.sub(r"\1", text))
        if not found and text not in self._ordinary:
            found = self._misspelt(text)
        return found

    def _exact(self, text: str) -> frozenset[str]:
        names = [text[:n] + "*" for n in self._lengths if text[:n] in self._stems and len(text) >= n]
        if text in self._words:
            names.append(text)
        return frozenset(names)

    def _starred(self, text: str) -> frozenset[str]:
        shape = re.compile("".join("." if c == "*" else re.escape(c) for c in text))
        return frozenset(w for w in self._words if len(w) == len(text) and shape.fullmatch(w))

    def _misspelt(self, text: str) -> frozenset[str]:
        allowed = self._may_differ(text)
        if not allowed:
            return frozenset()
        near = {w for key in _shortened(text) for w in self._near.get(key, ())}
        close = [w for w in near if OSA.distance(text, w, score_cutoff=allowed) <= allowed and _same_start(text, w)]
        return frozenset(n for w in close for n in self._exact(w))


def _end(slots: Sequence[Slot], n: int, place: int, meant: Sequence[frozenset[str]], words: Sequence[Word]) -> int:
    """Where the rest of a phrase ends if it begins at `place`; -1 if it is not there."""
    if n == len(slots):
        return place
    slot = slots[n]
    if slot.gap:
        for skip in range(slot.gap + 1):
            if skip and (place + skip > len(words) or words[place + skip - 1].before == STOP):
                break
            last = _end(slots, n + 1, place + skip, meant, words)
            if last >= 0:
                return last
        return -1
    if place < len(words) and not (n and words[place].before == STOP):
        if not slot.single.isdisjoint(meant[place]):
            last = _end(slots, n + 1, place + 1, meant, words)
            if last >= 0:
                return last
        for name in meant[place] if slot.several else ():
            for option in slot.several.get(name, ()):
                after = place + len(option)
                if after <= len(words) and all(w in meant[place + i] for i, w in enumerate(option)):
                    last = _end(slots, n + 1, after, meant, words)
                    if last >= 0:
                        return last
    return _end(slots, n + 1, place, meant, words) if slot.optional else -1


def _starts(slots: Iterable[Slot]) -> Iterator[str]:
    """The words with which a phrase may begin, each once."""
    first = []
    for slot in slots:
        first += [*slot.single, *slot.several]
        if not slot.optional:
            break
    return iter(dict.fromkeys(first))


def _split(text: str, at: str) -> list[str]:
    """Cut at a sign, but not inside parentheses; a parenthesis not closed is an error of the file."""
    if "(" not in text and ")" not in text:
        return text.split(at)
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == at and not depth:
            parts.append(text[start:i])
            start = i + 1
    if depth:
        raise Refused(f"a parenthesis is not closed in {text!r}", "messages")
    return [*parts, text[start:]]


def _places(text: str) -> list[str]:
    """The places of a phrase: `(is |was )?(red|dark) urine` has three."""
    spaced = _GLUED.sub(r"\1 ", text) if ")" in text else text
    return [part for part in _split(spaced, " ") if part]


def _expanded(text: str, sets: Mapping[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    """An alternative with the named lists and inner alternatives in it written out."""
    if "(" not in text and "@" not in text:
        return [tuple(text.split())] if text.strip() else []
    choices: list[list[tuple[str, ...]]] = []
    for part in _places(text):
        inner = part.rstrip("?*") if part.endswith((")?", ")*")) else part
        if inner.startswith("("):
            options = [o for piece in _split(inner[1:-1], "|") for o in _expanded(piece, sets)]
            choices.append(options + ([()] if inner != part else []))
        else:
            choices.append([tuple(o.split()) for o in sets[inner[1:]]] if inner[0] == "@" else [(inner,)])
    return [tuple(w for part in chosen for w in part) for chosen in product(*choices)]


def _shortened(word: str) -> set[str]:
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}


def _same_start(text: str, word: str) -> bool:
    """People rarely get the first letter wrong, unless it changes places with the second."""
    return text[0] == word[0] or text[:2] == word[1::-1]


def _spellings(text: str, code: str) -> list[str]:
    """German dots above a letter are also written as an e after it."""
    written = text
    for letter, instead in (("ä", "ae"), ("ö", "oe"), ("ü", "ue")) if code == "de" else ():
        written = written.replace(letter, instead)
    return [text, written]
