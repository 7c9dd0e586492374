"""What stands around a finding in a message: negation, doubt, time, another person, a question, a story.

Every walk is bounded by `reach`, so that a message of any length is read whole in a time that grows with its length.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from adjunct.messages.lexicon import Found, Lexicon
from adjunct.messages.words import NOTHING, PAUSE, STOP, Word

ROLES = tuple("negation negation_after denial or doubt past recent present anchor self other asked story idiom".split())
TIMES = ("past", "recent", "present")


class Around:
    """One message: what was found in it, by role, and in which sentence each word stands."""

    def __init__(self, lexicon: Lexicon, words: Sequence[Word]) -> None:
        self.words = words
        self.bridge = lexicon.bridge
        self.violent = {flag["id"] for flag in lexicon.flags.values() if flag["kind"] == "violence"}
        self.reach: int = lexicon.reading["reach"]
        unique = {(*f.phrase[:2], f.phrase.language, f.first, f.last): f for f in lexicon.find(words)}.values()
        roles: dict[str, list[Found]] = {role: [] for role in ROLES}
        hits: list[Found] = []
        for f in unique:
            roles.get(f.phrase.of, hits).append(f)
        masked = _places(roles["idiom"])
        elsewhere = masked | _places(roles["anchor"])  # "started it two weeks ago" does not date what is felt now
        for role in TIMES:
            roles[role] = [f for f in roles[role] if elsewhere.isdisjoint(range(f.first, f.last))]
        turns = [c.first for c in roles["negation"] if words[c.first].before == PAUSE]
        whole = [f for f in hits if not _turned(f, turns, lexicon)]
        self.hits = _standing([f for f in whole if masked.isdisjoint(range(f.first, f.last))], lexicon)
        self.covered = _places(self.hits)
        self.or_words = _places(roles["or"])
        free = [c for c in roles["negation"] if self.covered.isdisjoint(range(c.first, c.last))]
        self.cues = sorted(free, key=lambda c: c.last)
        self.cue_ends = [c.last for c in self.cues]
        self.denials = {c.last for c in roles["denial"]}
        self.concord = {(c.first, c.last) for c in free if c.phrase.language in lexicon.reading["concord"]}
        self.after_starts = {c.first: c for c in roles["negation_after"] if self._closes(c)}
        self.sentence: list[int] = []
        for word in words:
            self.sentence.append((self.sentence[-1] if self.sentence else 0) + (word.before == STOP))
        self.said = {role: {self.sentence[f.first] for f in roles[role]} for role in ("doubt", "story", *TIMES)}
        self.asked: dict[int, int] = {}
        for f in roles["asked"]:
            at = self.sentence[f.first]
            self.asked[at] = min(f.first, self.asked.get(at, f.first))
        who = sorted((f.first, role) for role in ("self", "other") for f in roles[role])
        self.who_at, self.who = [at for at, _ in who], [role for _, role in who]

    def context(self, hit: Found) -> tuple[str, ...]:
        """Everything that bears on one hit. Doubt in the sentence undoes what would lower it."""
        at = self.sentence[hit.first]
        doubt, now = at in self.said["doubt"], at in self.said["present"]
        found = []
        if self.negated(hit):
            found.append("doubt" if doubt else "negated")
        if not (now or doubt):
            found += [role for role in ("past", "recent", "story") if at in self.said[role]]
            if self.asked.get(at, hit.last) <= hit.first:
                found.append("asked")
        if self.other(hit):
            found.append("other")
        return tuple(found)

    def negated(self, hit: Found) -> bool:
        """One negation that certainly reaches the hit: only words between them that change nothing; two undo it."""
        nearest = next((c for c in self._before(hit) if self.reaches(c.last, hit)), None)
        if nearest is None:
            return hit.last in self.after_starts
        return not any(
            (c.first, c.last) not in self.concord and self.reaches(c.last, nearest) for c in self._before(nearest)
        )

    def _before(self, hit: Found) -> Sequence[Found]:
        low = bisect_left(self.cue_ends, hit.first - self.reach)
        return self.cues[low : bisect_right(self.cue_ends, hit.first)][::-1]

    def _closes(self, cue: Found) -> bool:
        """A negation behind its finding ends the clause: "chest pain: none"."""
        if self.words[cue.first].before == STOP:
            return False
        return cue.last == len(self.words) or self.words[cue.last].before != NOTHING

    def reaches(self, start: int, hit: Found) -> bool:
        """May a negation that ends before `start` be carried to the hit?"""
        for i in range(start, hit.first + 1):
            before = self.words[i].before
            if before == STOP or (before == PAUSE and not self._listed(start, hit)):
                return False
            if i < hit.first and not (i in self.covered or i in self.or_words or self.words[i].text in self.bridge):
                return False
        return True

    def _listed(self, start: int, hit: Found) -> bool:
        """A comma goes on with a list only if it ends with an "or", or was charted: "denies fever, chest pain"."""
        if start in self.denials or any(i in self.or_words for i in range(start, hit.first)):
            return True
        for i in range(hit.last, min(len(self.words), hit.last + self.reach)):
            if i in self.or_words:
                return True
            if self.words[i].before == STOP or not (i in self.covered or self.words[i].text in self.bridge):
                return False
        return False

    def other(self, hit: Found) -> bool:
        """Is the last person named up to the hit, in its sentence or the one before, somebody else?"""
        victims = hit.phrase.of in self.violent  # who is named within a threat is whom it is aimed at
        n = bisect_left(self.who_at, hit.first if victims else hit.last) - 1
        return n >= 0 and self.who[n] == "other" and self.sentence[hit.first] - self.sentence[self.who_at[n]] <= 1


def _places(found: Sequence[Found]) -> set[int]:
    return {i for f in found for i in range(f.first, f.last)}


def _turned(hit: Found, turns: Sequence[int], lexicon: Lexicon) -> bool:
    """Does a clause that denies begin within a bodily sign: "no rash, no trouble breathing"? Then it is no one sign."""
    return lexicon.flags[hit.phrase.of]["kind"] == "sign" and any(hit.first < at < hit.last for at in turns)


def _standing(hits: list[Found], lexicon: Lexicon) -> list[Found]:
    """One hit a finding and place, the longest; "not waking up" within "would not mind not waking up" is the wish."""
    flags = lexicon.flags
    ends: dict[tuple[str, str], int] = {}
    wish = 0
    standing = []
    for hit in sorted(hits, key=lambda h: (h.first, -h.last, flags[h.phrase.of]["kind"] != "suicide")):
        key = hit.phrase.of, hit.phrase.level
        yields = flags[hit.phrase.of].get("yields", False)
        if hit.last > ends.get(key, 0) and not (yields and hit.last <= wish):
            standing.append(hit)
        ends[key] = max(hit.last, ends.get(key, 0))
        if flags[hit.phrase.of]["kind"] == "suicide":
            wish = max(wish, hit.last)
    return standing
