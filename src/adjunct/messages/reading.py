"""What a message means for who reads it next: emergency, same day, routine, or nothing recognised.

Every phrase found is weighed by what stands around it: negation, doubt, time, another person, a question for
information, a story. Doubt goes up: what is not certainly negated, past or invented counts as said now. A suicide word
is never read away. How much each of these lowers a level is a table in `data/messages/reading.toml`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from adjunct.base import BadInput, shown
from adjunct.knowledge import Knowledge
from adjunct.messages.advice import tell
from adjunct.messages.lexicon import Found, Lexicon
from adjunct.messages.words import PAUSE, STOP, Word

LEVELS = ("none", "routine", "same-day", "emergency")
OTHER = "other-person"
ROLES = (
    "negation", "negation_after", "or", "doubt", "past", "recent", "present", "self", "other", "asked", "story", "idiom",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Words that were recognised and their place in the message, for a clinician to see; `context` says how read."""

    flag: str
    level: str
    words: str
    start: int
    end: int
    language: str
    context: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What was recognised. `level` is the worst; `asks` names the instrument to give; `tell` is for the person."""

    level: str
    flags: tuple[str, ...]
    tell: str
    language: str
    asks: tuple[str, ...]
    hits: tuple[Hit, ...]

    def to_dict(self) -> dict[str, Any]:
        return orjson.loads(self.to_json())  # type: ignore[no-any-return]

    def to_json(self) -> str:
        return orjson.dumps(self, option=orjson.OPT_INDENT_2).decode()


class Weighed(NamedTuple):
    found: Found
    spec: Mapping[str, Any]
    level: str
    context: tuple[str, ...]


def read_message(
    knowledge: Knowledge, text: str, *, language: str | None = None, country: str | None = None, today: str | None = None
) -> Message:
    """Read a message in every language at once.

    `language` only orders the answer's text; `country` (ISO code) is where the person is now; `today` (ISO date,
    default: the date of the knowledge) decides which telephone numbers are shown as old.
    """
    lexicon = lexicon_of(knowledge)
    if language is not None and language not in lexicon.languages:
        advice = read_message(knowledge, text, country=country, today=today).tell
        known = ", ".join(sorted(lexicon.languages))
        raise BadInput(f"no such language: {shown(language)}; write one of {known}", "language", advice=(advice,))
    words = lexicon.spelling.words(text)
    weighed = _weigh(lexicon, words)
    weighed += _together(lexicon, weighed)
    shown_hits = [w for w in weighed if w.level != LEVELS[0]]
    ranked = sorted(shown_hits, key=lambda w: (-LEVELS.index(w.level), w.found.first))
    flags = list(dict.fromkeys(str(w.spec.get("shows", w.spec["id"])) for w in ranked))
    if any("other" in w.context for w in ranked):
        flags.append(OTHER)
    spoken = language or _language(lexicon, words, ranked)
    level = ranked[0].level if ranked else LEVELS[0]
    leading = [w for w in ranked if w.level == level]
    says = dict.fromkeys(s for w in leading for s in w.spec.get("say", ()))
    suicide = any(w.spec["kind"] == "suicide" for w in ranked)
    answer = tell(
        knowledge,
        {**lexicon.languages[spoken]["tell"]},
        level,
        tuple(says),
        suicide=suicide,
        other=bool(leading) and all("other" in w.context for w in leading),
        country=(country or "").strip().upper(),
        today=today or knowledge.as_of,
    )
    return Message(
        level=level,
        flags=tuple(flags),
        tell=answer,
        language=spoken,
        asks=tuple(dict.fromkeys(str(w.spec["asks"]) for w in ranked if "asks" in w.spec)),
        hits=tuple(_hit(w, words, text) for w in ranked),
    )


@lru_cache(maxsize=2)
def lexicon_of(knowledge: Knowledge) -> Lexicon:
    """The lexicons of one edition of the knowledge, compiled once."""
    return Lexicon(knowledge)


# --- weighing ---------------------------------------------------------------------------------------------------------


class _Around:
    """What stands in a message besides the hits, by role, and which sentence each word is in."""

    def __init__(self, lexicon: Lexicon, words: Sequence[Word]) -> None:
        self.words = words
        found = {(*f.phrase[:-1], f.first, f.last): f for f in lexicon.find(words)}.values()
        self.roles: dict[str, list[Found]] = {role: [] for role in ROLES}
        hits: list[Found] = []
        for f in found:
            self.roles.get(f.phrase.of, hits).append(f)
        masked = {i for f in self.roles["idiom"] for i in range(f.first, f.last)}
        for role in ("present", "past", "recent"):
            self.roles[role] = [f for f in self.roles[role] if masked.isdisjoint(range(f.first, f.last))]
        self.hits = _standing([f for f in hits if masked.isdisjoint(range(f.first, f.last))], lexicon)
        self.covered = {i for f in self.hits for i in range(f.first, f.last)}
        self.cues = [c for c in self.roles["negation"] if self.covered.isdisjoint(range(c.first, c.last))]
        self.cues.sort(key=lambda c: c.last)
        self.or_words = {i for f in self.roles["or"] for i in range(f.first, f.last)}
        self.bridge = lexicon.bridge
        concord = [c for c in self.cues if c.phrase.language in lexicon.reading["concord"]]
        self.concord = {(c.first, c.last) for c in concord}
        self.sentence: list[int] = []
        for word in words:
            self.sentence.append((self.sentence[-1] if self.sentence else 0) + (word.before == STOP))
        self.in_sentence = {
            role: {self.sentence[f.first] for f in self.roles[role]}
            for role in ("doubt", "past", "recent", "present", "story")
        }
        self.asked: dict[int, int] = {}
        for f in self.roles["asked"]:
            at = self.sentence[f.first]
            self.asked[at] = min(f.first, self.asked.get(at, f.first))
        self.who = sorted(
            [(f.first, f.last, "other") for f in self.roles["other"]] + [(f.first, f.last, "") for f in self.roles["self"]]
        )

    def context(self, hit: Found) -> tuple[str, ...]:
        """Everything that bears on one hit."""
        at = self.sentence[hit.first]
        doubt, now = at in self.in_sentence["doubt"], at in self.in_sentence["present"]
        found = []
        if self.negated(hit):
            found.append("doubt" if doubt else "negated")
        if not (now or doubt):
            found += [r for r in ("past", "recent", "story") if at in self.in_sentence[r]]
            if self.asked.get(at, hit.last) < hit.first + 1:
                found.append("asked")
        if self.other(hit):
            found.append("other")
        return tuple(found)

    def negated(self, hit: Found) -> bool:
        """One negation that certainly reaches the hit: only words between them that change nothing."""
        before = [c for c in self.cues if c.last <= hit.first and self.reaches(c.last, hit)]
        if before:
            nearest = before[-1]
            twice = [
                c
                for c in self.cues
                if c.last <= nearest.first and (c.first, c.last) not in self.concord and self.reaches(c.last, nearest)
            ]
            return not twice
        return any(
            c.first == hit.last
            and self.words[c.first].before != STOP
            and (c.last == len(self.words) or self.words[c.last].before != 0)
            for c in self.roles["negation_after"]
        )

    def reaches(self, start: int, hit: Found) -> bool:
        listed = None
        for i in range(start, hit.first + 1):
            before = self.words[i].before
            if before == STOP:
                return False
            if before == PAUSE:
                listed = self.listed(start, hit) if listed is None else listed
                if not listed:
                    return False
            if i < hit.first and not (i in self.covered or i in self.or_words or self.words[i].text in self.bridge):
                return False
        return True

    def listed(self, start: int, hit: Found) -> bool:
        """A comma goes on with a list only if the list ends with an "or": "no fever, chest pain or rash"."""
        if any(i in self.or_words for i in range(start, hit.first)):
            return True
        for i in range(hit.last, len(self.words)):
            if i in self.or_words:
                return True
            if self.words[i].before == STOP or not (i in self.covered or self.words[i].text in self.bridge):
                return False
        return False

    def other(self, hit: Found) -> bool:
        """Is the last person named up to the hit, in its sentence or the one before, somebody else?"""
        near = [w for w in self.who if w[0] < hit.last and self.sentence[hit.first] - self.sentence[w[0]] <= 1]
        return bool(near) and near[-1][2] == "other"


def _standing(hits: list[Found], lexicon: Lexicon) -> list[Found]:
    """One hit a finding and place, the longest; "not waking up" within "would not mind not waking up" is the wish."""
    flags = lexicon.flags
    wishes = [h for h in hits if flags[h.phrase.of]["kind"] == "suicide"]

    def swallowed(hit: Found) -> bool:
        same = (h for h in hits if h.phrase.of == hit.phrase.of and h.phrase.level == hit.phrase.level)
        if any(_within(hit, h) for h in same):
            return True
        return flags[hit.phrase.of].get("yields", False) and any(_within(hit, w) for w in wishes)

    unique = {(h.phrase.of, h.phrase.level, h.first, h.last): h for h in reversed(hits)}
    return [h for h in reversed(unique.values()) if not swallowed(h)]


def _within(inner: Found, outer: Found) -> bool:
    return outer.first <= inner.first and inner.last <= outer.last and outer[1:] != inner[1:]


def _weigh(lexicon: Lexicon, words: Sequence[Word]) -> list[Weighed]:
    around = _Around(lexicon, words)
    weighed = []
    for found in around.hits:
        spec = lexicon.flags[found.phrase.of]
        context = around.context(found)
        kind = lexicon.kinds[spec["kind"]]
        level = found.phrase.level or spec["level"]
        for modifier in context:
            level = _less(level, kind.get(modifier, level))
        weighed.append(Weighed(found, spec, max(level, kind["least"], key=LEVELS.index), context))
    return weighed


def _together(lexicon: Lexicon, weighed: Sequence[Weighed]) -> list[Weighed]:
    """Findings that mean more in one message than alone; what is negated, past or asked about does not count."""
    plain = {w.spec["id"]: w for w in weighed if not set(w.context) - {"other", "doubt"} or w.spec["kind"] == "suicide"}
    found = []
    for rule in lexicon.reading["together"]:
        members = [next((plain[i] for i in group if i in plain), None) for group in rule["needs"]]
        if all(members):
            parts = [m for m in members if m]
            spec = lexicon.flags[rule["flag"]]
            first = parts[0].found
            context = tuple(dict.fromkeys(c for p in parts for c in p.context if c == "other"))
            found += [Weighed(p.found, p.spec, rule["level"], p.context) for p in parts if p.spec["kind"] != "part"]
            found.append(Weighed(first, spec, rule["level"], context))
    return found


def _less(a: str, b: str) -> str:
    return min(a, b, key=LEVELS.index)


def _hit(w: Weighed, words: Sequence[Word], text: str) -> Hit:
    start, end = words[w.found.first].start, words[w.found.last - 1].end
    return Hit(
        flag=str(w.spec.get("shows", w.spec["id"])),
        level=w.level,
        words=text[start:end],
        start=start,
        end=end,
        language=w.found.phrase.language,
        context=w.context,
    )


def _language(lexicon: Lexicon, words: Iterable[Word], ranked: Iterable[Weighed]) -> str:
    """The language most of the message is in; what was recognised counts as well, and English where nothing tells."""
    votes = dict.fromkeys(lexicon.languages, 0)
    for word in words:
        for code in lexicon.common.get(word.text, ()):
            votes[code] += 1
    for w in ranked:
        if w.found.phrase.language in votes:
            votes[w.found.phrase.language] += w.found.last - w.found.first
    best = max(votes.values())
    return next(code for code in (lexicon.reading["first"], *votes) if votes[code] == best)
