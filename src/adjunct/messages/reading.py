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
from adjunct.messages.around import Around
from adjunct.messages.lexicon import Found, Lexicon
from adjunct.messages.words import Word

LEVELS = ("none", "routine", "same-day", "emergency")
OTHER = "other-person"


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
    knowledge: Knowledge,
    text: str,
    *,
    language: str | None = None,
    country: str | None = None,
    today: str | None = None,
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


def _weigh(lexicon: Lexicon, words: Sequence[Word]) -> list[Weighed]:
    around = Around(lexicon, words)
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
    late = sorted(weighed, key=lambda w: "recent" not in w.context)  # what is felt now stands for what was felt lately
    counted = {"other", "doubt", "recent"}
    plain = {w.spec["id"]: w for w in late if not set(w.context) - counted or w.spec["kind"] == "suicide"}
    found = []
    for rule in lexicon.reading["together"]:
        members = [next((plain[i] for i in group if i in plain), None) for group in rule["needs"]]
        if all(members):
            parts = [m for m in members if m]
            spec = lexicon.flags[rule["flag"]]
            first = parts[0].found
            context = tuple(dict.fromkeys(c for p in parts for c in p.context if c == "other"))
            level = rule["level"]
            if any("recent" in p.context and p.spec["kind"] == "sign" for p in parts):
                level = _less(level, lexicon.kinds["sign"]["recent"])
            found += [Weighed(p.found, p.spec, level, p.context) for p in parts if p.spec["kind"] != "part"]
            found.append(Weighed(first, spec, level, context))
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
    return next(str(code) for code in (lexicon.reading["first"], *votes) if votes[code] == best)
