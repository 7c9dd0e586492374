"""Whole names, exact and misspelt. A first word is never enough, and a look-alike is never corrected to.

The exact table is built at once; what fuzzy search needs is built at the first misspelling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import OSA
from rapidfuzz.fuzz import ratio

from adjunct.items.text import compact, fold, tokens

WRONG = "misspelling"
CLASS = "class"


class Named(NamedTuple):
    """One way a key can be read: a row of names.csv."""

    substance: str
    kind: str
    text: str


class Correction(NamedTuple):
    """Substances that a misspelling may stand for, nearest first, and the name that is meant."""

    substances: tuple[str, ...]
    name: str | None


class Names:
    """names.csv by compact key."""

    def __init__(self, rows: Iterable[Mapping[str, str]], phrases: Mapping[str, Any]) -> None:
        self._spelling: Mapping[str, Any] = phrases["spelling"]
        self._limits: Mapping[str, Any] = phrases["limits"]
        self._not_ours: Sequence[str] = phrases["lookalikes"]["not_ours"]
        self._rows: dict[str, list[Named]] = {}
        table = self._rows
        for row in rows:
            text = row["text"]
            key = compact(fold(text))
            named = Named(row["substance"], row["kind"], text)
            if key in table:
                table[key].append(named)
            else:
                table[key] = [named]

    def find(self, key: str) -> list[Named]:
        """The rows of a whole name; a digit 0 may stand for the letter O ("7-0H"), and a plural for one."""
        if key.isdigit():
            return []
        found = self._rows.get(key)
        if not found and "0" in key:
            found = self._rows.get(key.replace("0", "o"))
        if not found and key.endswith("s") and len(key) > int(self._limits["shortest"]) + 1:
            found = self._rows.get(key[:-1])
        return found or []

    def too_short(self, key: str) -> bool:
        """One and two letters never match alone, except in scripts that write words with two signs."""
        return len(key) < int(self._limits["shortest"]) and key.isascii()

    @cached_property
    def _by_substance(self) -> dict[str, list[Named]]:
        table: dict[str, list[Named]] = {}
        for rows in self._rows.values():
            for named in rows:
                table.setdefault(named.substance, []).append(named)
        return table

    def spelt(self, key: str, substance: str) -> str:
        """The correct name nearest to a known misspelling of a substance."""
        right = [
            n.text for n in self._by_substance.get(substance, ()) if n.kind not in (WRONG, *self._spelling["never"])
        ]
        if not right:
            return substance
        return min(right, key=lambda text: OSA.distance(key, compact(fold(text))))

    # --- misspellings -------------------------------------------------------------------------------------------------

    @cached_property
    def _targets(self) -> list[str]:
        """Keys that a misspelling may be near to: ours that qualify, and real names that are not ours."""
        never = set(self._spelling["never"])
        shortest = int(self._spelling["edits"][0][0])
        ours = [
            key
            for key, rows in self._rows.items()
            if len(key) >= shortest - 1 and any(r.kind not in never for r in rows) and not key.isdigit()
        ]
        return ours + [key for key in self._strangers if key not in self._rows]

    @cached_property
    def _strangers(self) -> frozenset[str]:
        return frozenset(compact(fold(name)) for name in self._not_ours)

    def is_stranger(self, key: str) -> bool:
        """A real name, listed because it looks like one of ours, that is not ours."""
        return key in self._strangers and key not in self._rows

    def edits(self, key: str) -> int:
        """How many edits a word of this length may need."""
        return max((int(most) for length, most in self._spelling["edits"] if len(key) >= length), default=0)

    def correct(self, key: str) -> Correction | None:
        """What a misspelling stands for; None when nothing is near, or a name that is not ours is as near."""
        allowed = self.edits(key)
        if not allowed or self.is_stranger(key):
            return None
        reach = allowed + int(self._spelling["margin"])
        hits = process.extract(key, self._targets, scorer=OSA.distance, score_cutoff=reach, limit=None)
        near = [(found, int(d)) for found, d, _ in hits if self._same_start(key, found)]
        if not near:
            return None
        best = min(d for _, d in near)
        if best > allowed:
            return None
        close = [(found, d) for found, d in near if d <= min(allowed, best + int(self._spelling["margin"]))]
        if any(found in self._strangers and found not in self._rows and d <= best for found, d in close):
            return None
        return self._decided(key, close)

    def _decided(self, key: str, close: list[tuple[str, int]]) -> Correction | None:
        distance: dict[str, int] = {}
        meant: dict[str, str] = {}
        for found, d in sorted(close, key=lambda pair: pair[1]):
            if found not in self._rows:
                distance.setdefault("", d)
                continue
            for named in self._rows[found]:
                if named.kind in self._spelling["never"]:
                    continue
                if named.substance not in distance:
                    distance[named.substance] = d
                    meant[named.substance] = named.text if named.kind != WRONG else self.spelt(key, named.substance)
        distance.pop("", None)
        if not distance:
            return None
        best = min(distance.values())
        nearest = [s for s, d in distance.items() if d == best]
        if len(nearest) == 1 and len(distance) == 1:
            return Correction((nearest[0],), meant[nearest[0]])
        return Correction(tuple(distance)[: int(self._limits["candidates"])], None)

    def _same_start(self, key: str, found: str) -> bool:
        """People rarely get the first letter wrong, unless it sounds alike or changes places with the second."""
        if key[0] == found[0] or (key[:2] == found[1::-1]):
            return True
        return any({key[0], found[0]} == set(pair) for pair in self._spelling["first"])

    def near(self, folded: str) -> tuple[str, ...]:
        """Substances whose names look most like this text: to ask about, never to assume."""
        key = compact(folded)
        if len(key) < int(self._limits["shortest"]):
            return ()
        scored = process.extract(
            key,
            self._targets,
            scorer=ratio,
            score_cutoff=float(self._spelling["near"]),
            limit=self._limits["candidates"],
        )
        found = [n.substance for name, _, _ in scored for n in self._rows.get(name, ())]
        return tuple(dict.fromkeys(found))[: int(self._limits["candidates"])]


def key_of(text: str) -> str:
    """The key of a name as it stands in a text.

    >>> key_of("St John's Wort") == key_of("ST. JOHN’S-WORT")
    True
    """
    return compact(fold(text))


def words(text: str) -> tuple[str, ...]:
    """The tokens of a phrase."""
    return tuple(t.text for t in tokens(fold(text)))
