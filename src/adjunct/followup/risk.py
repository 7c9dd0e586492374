"""What the answers to the suicide screener come to: a level, the clocks it starts, and what is still to be asked.

The band is the instrument's own, from its highest proven answer and never from a sum; an answer is yes, no or unknown,
and unknown is not no. Here come in how long ago behaviour was, what was known before, and answers that disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from adjunct.instruments import instrument, score
from adjunct.knowledge import Knowledge

SCREENER = "cssrs"
ITEMS = ("q1", "q2", "q3", "q4", "q5", "q6", "q6_recent")  # in the printed order of the screener
YES, NO, UNKNOWN = "yes", "no", "unknown"
LIFETIME, SINCE = "lifetime", "since-last-contact"
_SPOKEN = {
    **dict.fromkeys(("yes", "y", "true", "1"), YES),
    **dict.fromkeys(("no", "n", "false", "0"), NO),
    **dict.fromkeys(("unknown", "na", "-", "", "none"), UNKNOWN),
}


class Level(StrEnum):
    """Suicide risk by screener. UNFINISHED carries the clock of HIGH; UNKNOWN is shown with what is proven."""

    UNKNOWN = "UNKNOWN"
    NONE = "NONE"
    LOW = "LOW"
    MODERATE = "MODERATE"
    UNFINISHED = "UNFINISHED"
    HIGH = "HIGH"

    @property
    def rank(self) -> int:
        return list(Level).index(self)


class Clock(StrEnum):
    """Which times run: those of a level, or ASK while the screener is not finished."""

    LOW = "LOW"
    ASK = "ASK"
    MODERATE = "MODERATE"
    HIGH = "HIGH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """What one set of answers comes to: the level, what is proven at least, which clocks run, what to ask (again)."""

    level: Level
    at_least: Level
    clocks: tuple[Clock, ...]
    history: bool  # behaviour longer ago that was known before: a standing risk, whatever the level
    contradictions: tuple[str, ...]
    ask: tuple[str, ...]


def answer(value: object) -> str:
    """yes, no or unknown; what cannot be read is unknown.

    >>> [answer(v) for v in ("Y", False, None, "perhaps")]
    ['yes', 'no', 'unknown', 'unknown']
    """
    return _SPOKEN.get(str(value).strip().lower(), UNKNOWN)


def triage(
    answers: Mapping[str, object],
    knowledge: Knowledge,
    *,
    asked: str = LIFETIME,
    first_known: bool | None = None,
    disputed: Sequence[str] = (),
) -> Triage:
    """The level of one screen: answers to q1..q6 and q6_recent (behaviour in the past 3 months), each yes/no/unknown.

    `asked`: whether item 6 meant the lifetime or the time since the last contact. `first_known`: whether lifetime
    behaviour is newly learned here; it raises MODERATE then (and when nobody knows), later it stands as history.
    `disputed`: items that were answered yes and no; such a yes counts, and the HIGH clock runs until asked again.
    The band is the instrument's; this adds history, contradictions and the least that is proven.
    """
    said = {item: answer(answers.get(item)) for item in ITEMS}
    history = first_known is False and said["q6"] == YES and said["q6_recent"] == NO and asked == LIFETIME
    counted = said | ({"q6": NO} if history else {})
    contradictions = tuple(dict.fromkeys((*_contradictions(counted), *disputed)))
    level, at_least = _band(tuple(counted[item] for item in ITEMS), knowledge), proven(counted)
    if level == Level.UNKNOWN and at_least == Level.HIGH:
        level = Level.HIGH  # a proven answer leads, whatever else is missing
    if level not in (Level.UNKNOWN, Level.UNFINISHED):
        at_least = level
    return Triage(
        level=level,
        at_least=at_least,
        clocks=_clocks(level, at_least, contradictions),
        history=history,
        contradictions=contradictions,
        ask=_to_ask(counted, contradictions) if level in (Level.UNKNOWN, Level.UNFINISHED) or contradictions else (),
    )


@cache
def _band(said: tuple[str, ...], knowledge: Knowledge) -> Level:
    """The band of the instrument file, which knows what may be skipped; an unknown answer is a missing one there."""
    band = score(instrument(knowledge, SCREENER), [None if a == UNKNOWN else a for a in said]).band
    return Level(band) if band and band in Level.__members__ else Level.UNKNOWN


def proven(said: Mapping[str, str]) -> Level:
    """The highest level that the yes answers alone prove."""
    if YES in (said["q4"], said["q5"], said["q6_recent"]):
        return Level.HIGH
    if YES in (said["q3"], said["q6"]):
        return Level.MODERATE
    return Level.LOW if YES in (said["q1"], said["q2"]) else Level.UNKNOWN


def _contradictions(said: Mapping[str, str]) -> tuple[str, ...]:
    """The items whose yes cannot stand beside the no of the item before them."""
    thoughts = [item for item in ("q3", "q4", "q5") if said["q2"] == NO and said[item] == YES]
    behaviour = ["q6_recent"] if said["q6"] == NO and said["q6_recent"] == YES else []
    return tuple(thoughts + behaviour)


def _clocks(level: Level, at_least: Level, contradictions: Sequence[str]) -> tuple[Clock, ...]:
    if contradictions or level in (Level.HIGH, Level.UNFINISHED):
        return (Clock.HIGH,)
    if level == Level.UNKNOWN:
        return (Clock.ASK, *((Clock(at_least),) if at_least in (Level.LOW, Level.MODERATE) else ()))
    return () if level == Level.NONE else (Clock(level),)


def _to_ask(said: Mapping[str, str], contradictions: Sequence[str]) -> tuple[str, ...]:
    """The items still to be asked, in the screener's order; with a contradiction also both its sides."""
    again = {*contradictions, *(("q2",) if {"q3", "q4", "q5"} & set(contradictions) else ())}
    again |= {"q6"} if "q6_recent" in contradictions else set()
    skip = {"q3", "q4", "q5"} if said["q2"] == NO and "q2" not in again else set()
    skip |= {"q6_recent"} if said["q6"] == NO and "q6" not in again else set()
    return tuple(item for item in ITEMS if item in again or (said[item] == UNKNOWN and item not in skip))
