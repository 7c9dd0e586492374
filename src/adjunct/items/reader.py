"""An item as a person writes it -> what it is, how much, how often, and whether it is taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, product
from typing import Any

from adjunct.items.amounts import dose_of
from adjunct.items.grammar import Sentence
from adjunct.items.lexicon import Lexicon
from adjunct.items.model import Item, Match
from adjunct.items.names import Names
from adjunct.items.status import last_use_of, status_of
from adjunct.items.text import Token, clean, tokens
from adjunct.items.windows import Finder, Window

JOINING = frozenset("&/,|+-(")


class Reader:
    """Reads items; built once from the names and the phrases of the knowledge."""

    def __init__(self, names: Iterable[Mapping[str, str]], phrases: Mapping[str, Any]) -> None:
        self._phrases = phrases
        self._most = int(phrases["limits"]["text"])
        self._candidates = int(phrases["limits"]["candidates"])
        self._compounds: Mapping[str, str] = phrases["compounds"]
        self._names = Names(names, phrases)
        self._lexicon = Lexicon(phrases)
        self._finder = Finder(self._names, self._lexicon, phrases)

    def read(self, text: str) -> Item:
        """Read one item. A text that holds control characters is BadInput.

        A text is only understood if all of it is: one name (or several joined), amounts, times, form, route, status.
        """
        if len(text) > self._most:
            return Item(text=text, match="unknown", notes=(self._phrases["notes"]["too_long"],))
        found = self._tokens(clean(text))
        windows = self._finder.windows(found)
        for window in windows:
            if window.options and not self._names.too_short(window.key):
                sentence = self._sentence(found, [window])
                if not sentence.leftover:
                    return self._one(text, window, sentence)
        if len(windows) > 1:
            item = self._several(text, found, _apart(windows))
            if item:
                return item
        return self._misspelt(text, found, windows) or self._unknown(text, found, windows)

    def _tokens(self, cleaned: str) -> list[Token]:
        found = tokens(cleaned)
        if any(t.text in self._compounds for t in found):
            found = tokens(" ".join(self._compounds.get(t.text, t.text) for t in found))
        return found

    def _sentence(self, found: Sequence[Token], windows: Sequence[Window]) -> Sentence:
        combination = len(windows) > 1 or any("+" in option for w in windows for option in w.options)
        return Sentence(self._finder.terms(found, windows), self._phrases, combination).read()

    # --- one name -----------------------------------------------------------------------------------------------------

    def _one(self, text: str, window: Window, sentence: Sentence) -> Item:
        if not window.certain and window.family:
            sentence.notes["form_needed"] = None
        if window.read_as:
            sentence.notes["spelling"] = None
        return self._item(text, window.options, window.certain, sentence, read_as=window.read_as)

    def _item(
        self,
        text: str,
        options: Sequence[str],
        certain: bool,
        sentence: Sentence,
        *,
        read_as: str | None = None,
        names: int = 1,
        label: bool = False,
        match: Match | None = None,
    ) -> Item:
        status = status_of(sentence)
        known = certain and match is None
        dose = dose_of(sentence, names=names, label=label, stopped=status == "stopped")
        return Item(
            text=text,
            match=match or ("known" if certain else "ambiguous"),
            substance=options[0] if known else None,
            candidates=() if known else tuple(options),
            dose=dose,
            status=status,
            read_as=read_as,
            route=sentence.routes[0] if sentence.routes else None,
            form=sentence.form(),
            as_needed=sentence.as_needed,
            last_use_h=last_use_of(sentence, status),
            notes=tuple(self._phrases["notes"][key] for key in sentence.notes),
        )

    # --- several names ------------------------------------------------------------------------------------------------

    def _several(self, text: str, found: Sequence[Token], windows: list[Window]) -> Item | None:
        """Names joined by a sign or a word, as one combination; None if the text says something else."""
        sentence = self._sentence(found, windows)
        if sentence.leftover or len(windows) < 2 or not self._joined(sentence, windows):
            return None
        kept, label = self._reduced(sentence, windows)
        certain = [w for w in kept if w.certain]
        known = {part for w in certain for part in w.parts()}
        kept = [w for w in kept if w.certain or not self._says_again(w, known, _has_joiner(sentence, windows))]
        if any(self._names.too_short(w.key) for w in kept):
            return None
        options = self._options(sentence, kept)
        if options is None:
            return None
        if self._says_apart(sentence, windows):
            sentence.notes["mixed_status"] = None
            return self._item(text, options[: self._candidates], False, sentence, names=len(kept), match="unknown")
        many = len({w.options for w in kept})
        if sentence.alternatives:
            sentence.notes["alternatives"] = None
        elif "conflict" not in sentence.notes and many > 1 and not _plainly_joined(sentence, self._phrases):
            sentence.notes["combination"] = None
        corrections = [w.read_as for w in kept if w.read_as]
        if corrections:
            sentence.notes["spelling"] = None
        read_as = " + ".join(corrections) or None
        return self._item(text, options, len(options) == 1, sentence, read_as=read_as, names=many, label=label)

    def _says_again(self, window: Window, known: set[str], joined: bool) -> bool:
        """An ambiguous name that only repeats a certain one: "potassium K+", "MET (metformin)"."""
        repeats = any(set(o.split("+")) <= known for o in window.options)
        return repeats and (not joined or self._names.too_short(window.key))

    def _options(self, sentence: Sentence, kept: Sequence[Window]) -> tuple[str, ...] | None:
        """Each reading of the names together; with "or", or one name in brackets after another, each by itself."""
        each = {option for w in kept for option in w.options}
        if sentence.alternatives:
            return tuple(sorted(each))
        parts = [w.parts() for w in kept]
        if any(t.letter == "(" for t in sentence.terms) and not _nested(parts) and _bracketed(sentence):
            sentence.notes["conflict"] = None
            return tuple(sorted(each))
        readings = list(product(*(w.options for w in kept)))
        if len(readings) > int(self._phrases["limits"]["readings"]):
            return None
        return tuple(sorted({"+".join(sorted({p for o in reading for p in o.split("+")})) for reading in readings}))

    def _joined(self, sentence: Sentence, windows: Sequence[Window]) -> bool:
        """Names that follow one another without a joining word must both be proper names."""
        ordered = sorted(windows, key=lambda w: w.start)
        return all(
            (one.joins and two.joins)
            or any(t.letter in JOINING for t in sentence.terms if one.end <= t.start < two.start)
            for one, two in pairwise(ordered)
        )

    def _reduced(self, sentence: Sentence, windows: list[Window]) -> tuple[list[Window], bool]:
        """Leave out a generic name beside a specific one, and an ingredient that is only named on the label."""
        label = False
        kept = list(windows)
        for name, family in self._finder.families.items():
            members = [w for w in kept if w.parts() and w.parts() <= family.members]
            if len(members) < 2 or _has_joiner(sentence, members):
                continue
            labels = [w for w in members if w.parts() <= family.labels]
            others = [w for w in members if w not in labels]
            generic = [w for w in others if w.family == name and not w.certain]
            if labels and others:
                label = True
                kept = [w for w in kept if w not in labels]
            if generic and len(generic) < len(others):
                kept = [w for w in kept if w not in generic]
        return kept, label

    def _says_apart(self, sentence: Sentence, windows: Sequence[Window]) -> bool:
        """A word like "no" or "stopped" between two names, or a time, belongs to one of them only."""
        first, last = min(w.end for w in windows), max(w.start for w in windows)
        between = [t for t in sentence.terms if first <= t.start < last]
        if any(t.letter == "s" and t.key != "current" for t in between):
            return True
        parting = any(t.letter in "WGgLoi" or t.text in self._phrases["joined"]["apart"] for t in between)
        return parting and any(t.key != "current" for t in sentence.statuses)

    # --- misspelt and unknown -----------------------------------------------------------------------------------------

    def _misspelt(self, text: str, found: Sequence[Token], windows: list[Window]) -> Item | None:
        terms = self._lexicon.terms(found, 0, len(found))
        strange = [t for t in terms if t.letter == "?"]
        if not strange:
            return None
        start, end = strange[0].start, strange[-1].end
        for low, high in ((start, end), (start, end + 1), (start - 1, end)):
            if low < 0 or high > len(found):
                continue
            window = self._finder.corrected(low, high, found)
            if window:
                sentence = self._sentence(found, [window])
                if not sentence.leftover:
                    return self._one(text, window, sentence)
        return self._misspelt_among(text, found, windows)

    def _misspelt_among(self, text: str, found: Sequence[Token], windows: list[Window]) -> Item | None:
        """One of several joined names is misspelt."""
        apart = _apart(windows)
        covered = {i for w in apart for i in range(w.start, w.end)}
        runs: list[list[int]] = []
        for term in self._finder.terms(found, apart):
            if term.letter == "?" and term.start not in covered:
                if runs and runs[-1][1] == term.start:
                    runs[-1][1] = term.end
                else:
                    runs.append([term.start, term.end])
        corrected = [self._finder.corrected(low, high, found) for low, high in runs]
        if not runs or not all(corrected):
            return None
        return self._several(text, found, apart + [w for w in corrected if w])

    def _unknown(self, text: str, found: Sequence[Token], windows: Sequence[Window]) -> Item:
        terms = self._lexicon.terms(found, 0, len(found))
        strange = [t for t in terms if t.letter == "?"]
        sentence = Sentence(terms, self._phrases).read()
        if windows and all(self._names.too_short(w.key) for w in windows):
            sentence.notes["short"] = None
        inside = [o for w in windows for o in w.options if not self._names.too_short(w.key)]
        words = found[strange[0].start : strange[-1].end] if strange else found
        near = self._names.near("".join(t.text for t in words)) if found else ()
        short = [o for w in windows for o in w.options]
        candidates = tuple(dict.fromkeys([*inside, *near, *short]))[: self._candidates]
        return self._item(text, candidates, False, sentence, match="unknown")


def _apart(windows: Sequence[Window]) -> list[Window]:
    """Windows that do not overlap, the longest kept."""
    kept: list[Window] = []
    for window in windows:
        if all(window.end <= k.start or k.end <= window.start for k in kept):
            kept.append(window)
    return kept


def _nested(parts: Sequence[set[str]]) -> bool:
    """A brand beside its own ingredients says one thing twice."""
    union = set().union(*parts)
    return any(p == union for p in parts)


def _bracketed(sentence: Sentence) -> bool:
    """A bracket opens right before a name."""
    return any(one.letter == "(" and two.letter == "_" for one, two in pairwise(sentence.terms))


def _has_joiner(sentence: Sentence, windows: Sequence[Window]) -> bool:
    first, last = min(w.end for w in windows), max(w.start for w in windows)
    return any(t.letter in "&/,|" for t in sentence.terms if first <= t.start < last)


def _plainly_joined(sentence: Sentence, phrases: Mapping[str, Any]) -> bool:
    """Only signs that spell a combination product stand between the names."""
    names = [i for i, t in enumerate(sentence.terms) if t.letter == "_"]
    between = [
        t.text for i, t in enumerate(sentence.terms) if names and names[0] < i < names[-1] and t.letter not in "_NUe"
    ]
    return bool(between) and all(text in phrases["joined"]["plain"] for text in between)
