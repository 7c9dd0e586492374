"""What a day is judged by, and how its state notes what was said and what did not fit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from adjunct.knowledge import Knowledge
from adjunct.record import reader_of
from adjunct.session import pump
from adjunct.session.alarms import Table
from adjunct.session.model import Answer, Chain, Event, Flag, State

NASAL = "esketamine-nasal"
_PERCENT = "%"
_PIECES = re.compile(r"[,;.]|\band\b|\bbut\b")
_DENIED, _UNKNOWN = "not-taken", "unknown"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Day:
    """What a day is judged by, compiled once from the knowledge."""

    knowledge: Knowledge
    table: Table
    limits: pump.Limits
    percent: frozenset[str]  # measures that cannot pass a hundred
    rest: int  # between two nasal devices
    tolerance: int  # how far a clock may be ahead of the time of arrival
    raised_by: Mapping[str, str]  # an answer that says what a sign says
    refuses: Mapping[str, tuple[Any, str, bool]]  # question -> the answer that speaks against a dose, its title, hard
    moments: Mapping[str, frozenset[str]]  # type -> when it belongs

    @classmethod
    def of(cls, knowledge: Knowledge, emergency: str = "") -> Day:
        """`emergency`: the number that this clinic calls, where it has told one."""
        known = _DAYS.setdefault(knowledge, {})
        if emergency not in known:
            signs = knowledge.content["alarms"]["sign"]
            known[emergency] = cls(
                knowledge=knowledge,
                table=Table.of_knowledge(knowledge, emergency),
                limits=pump.Limits.of(knowledge),
                percent=frozenset(c.id for c in knowledge.concepts.values() if c.unit == _PERCENT),
                rest=knowledge.length_ms("esketamine.device.rest"),
                tolerance=knowledge.length_ms("session.clock.tolerance"),
                raised_by={a: s["id"] for s in signs for a in s.get("raised_by", ())}
                | {s["id"]: s["id"] for s in signs},
                refuses={
                    i["id"]: (i["refuses"], i.get("title") or knowledge.concepts[i["id"]].title, i["hard"])
                    for i in knowledge.content["readiness"]["item"]
                    if "refuses" in i
                },
                moments={
                    t["id"]: frozenset(t["moments"]) for t in knowledge.content["events"]["type"] if "moments" in t
                },
            )
        return known[emergency]

    def substances(self, text: str) -> frozenset[str]:
        """What somebody's own words may name as taken; every reading of what is ambiguous, nothing that is denied."""
        readable = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)
        named: set[str] = set()
        for piece in _PIECES.split(readable):
            item = reader_of(self.knowledge).read(piece)
            if item.status != _DENIED or item.match == _UNKNOWN:  # what is not understood is not taken for a no
                named |= {item.substance or "", *item.candidates}
        return frozenset(part for name in named for part in name.split("+") if part)


_DAYS: WeakKeyDictionary[Knowledge, dict[str, Day]] = WeakKeyDictionary()


def flagged(state: State, event: Event, code: str, says: str) -> State:
    """The state with one more thing that did not fit."""
    return state.but(flags=Chain(Flag(event.id, event.at, code, says), state.flags))


def answered(state: State, event: Event, said: Mapping[str, Any]) -> State:
    """What was said last of each, and the last yes of each."""
    given = {name: Answer(value, event.at, event.by, event.id) for name, value in said.items()}
    yes = {name: answer for name, answer in given.items() if answer.value is True}
    return state.but(
        answers={**state.answers, **given},
        yes={**state.yes, **yes} if yes else state.yes,
        asked={**state.asked, **{name: (*state.asked.get(name, ()), event.at) for name in given}},
    )
