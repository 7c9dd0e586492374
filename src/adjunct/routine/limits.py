"""What limits an activity for one person: conditions of the record, of what was asked, and of the blood pressure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from adjunct.base import NO, UNKNOWN, YES
from adjunct.knowledge import Knowledge
from adjunct.knowledge.columns import Program
from adjunct.knowledge.language import parse
from adjunct.record import Record
from adjunct.routine.model import Effect, Held
from adjunct.routine.voice import Voice

STRICT = tuple(Effect)  # from mild to strict
CAREFUL = {Effect.EXCLUDE: Effect.ASK}  # what an unknown condition does, unless the limit says otherwise
PRESSURE = "bp"


def truths(
    record: Record, knowledge: Knowledge, answers: Mapping[str, int], *, last_bp: tuple[float, float] | None
) -> Mapping[str, int]:
    """Each condition: yes, no or unknown. An answer fills what the record leaves open, and a yes is never undone.

    `last_bp` is (systolic, diastolic) in mm[Hg], newer than the record; it decides about the pressure by itself.
    """
    read = _program(knowledge, record.phase).run(record.events).truths.max(axis=1)  # any reading of what is ambiguous
    found = dict(zip(_asked(knowledge), read, strict=True))
    result: dict[str, int] = {}
    for row in knowledge.content["routine"]["condition"]:
        name = row["id"]
        truth, said = int(found.get(name, UNKNOWN)), answers.get(name, UNKNOWN)
        if row.get("signal") == PRESSURE and last_bp is not None:
            truth = _high(last_bp, knowledge)
        result[name] = YES if YES in (truth, said) else said if truth == UNKNOWN else truth
    return result


def held(
    activity: Mapping[str, Any], holds: Mapping[str, int], voice: Voice, cleared: frozenset[str]
) -> tuple[Held, ...]:
    """The limits of an activity that hold or may hold, the strictest first. What was `cleared` need not be asked."""
    conditions = {c["id"]: c for c in voice.data["condition"]}
    found = []
    for limit in activity.get("limit", ()):
        truth = holds[limit["if"]]
        if truth == NO:
            continue
        effect = Effect(limit["effect"])
        if truth == UNKNOWN:
            effect = Effect(limit["unknown"]) if "unknown" in limit else CAREFUL.get(effect, effect)
        if effect == Effect.ASK and limit["if"] in cleared:
            effect = Effect.CAUTION
        line = voice.told(limit["tell"], source=limit["source"]["id"], status=limit["status"])
        if truth == UNKNOWN or "private" in conditions[limit["if"]]:  # a page may be read by others
            named = conditions[limit["if"]].get("if")
            line = voice.within("if", line, condition=voice.pick(named)) if named else voice.within("applies", line)
        found.append(
            Held(
                condition=limit["if"],
                truth=truth,
                effect=effect,
                title=conditions[limit["if"]]["title"],
                says=voice.knowledge.say(limit["says"]),
                tell=line,
            )
        )
    return tuple(sorted(found, key=lambda h: (-STRICT.index(h.effect), not h.known)))


def strictest(limits: tuple[Held, ...]) -> Effect | None:
    """What all limits together do; None without any."""
    return limits[0].effect if limits else None


def _high(pressure: tuple[float, float], knowledge: Knowledge) -> int:
    limits = knowledge.number("bp.defer.systolic"), knowledge.number("bp.defer.diastolic")
    return YES if any(p >= limit for p, limit in zip(pressure, limits, strict=True)) else NO


@cache
def _asked(knowledge: Knowledge) -> tuple[str, ...]:
    return tuple(c["id"] for c in knowledge.content["routine"]["condition"] if "when" in c)


@cache
def _program(knowledge: Knowledge, phase: str) -> Program:
    rows = [c for c in knowledge.content["routine"]["condition"] if "when" in c]
    where = "planning/routine.toml, condition "
    return Program([parse(c["when"], knowledge.vocabulary, where + c["id"]) for c in rows], knowledge.vocabulary, phase)
