"""What was decided about a routine, read from the order file's `[routine]` section.

```toml
[routine]
energy = 4                       # 0 to 10, today; pain likewise
answers = {trauma = "no"}        # what was asked about a limit: yes, no or unknown
[[routine.chosen]]
activity = "walk"
at = "2027-01-11T10:00:00+01:00"
by = "Dana"
step = 2                         # of the ladder, from 1, the five-minute version; goal, cue, dose: own words
[[routine.log]]
activity = "walk"
at = "2027-01-12T18:00:00+01:00"
done = "part"                    # yes, part or no
note = "to the corner"
```

Further tables: `edited`, `declined`, `asked` (again for what was declined), `stopped`, and `cleared`: a named
clinician has said yes to one limit (`about`) that had to be asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from adjunct.base import NO, UNKNOWN, YES, BadInput, instant, shown
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import fold
from adjunct.routine.model import NOT_DONE, Act, Choices, Entry, Kind

SECTION = "routine"
TRUTHS = {"yes": YES, "no": NO, "unknown": UNKNOWN}
DONE = ("yes", "part", NOT_DONE)
WORDS = ("goal", "cue", "dose")
KEYS = frozenset({"energy", "pain", "answers", "log", *Kind})
ACT_KEYS = frozenset({"activity", "at", "by"})
MORE_KEYS = {
    Kind.CHOSEN: frozenset({"step", *WORDS}),
    Kind.EDITED: frozenset({"step", *WORDS}),
    Kind.CLEARED: frozenset({"about"}),
}
OPEN = frozenset({Kind.CHOSEN, Kind.EDITED})  # after these, an activity may be edited or stopped
NEEDS_ONE = frozenset({Kind.EDITED, Kind.STOPPED})
HABIT = "habit"
KRATOM = "kratom"
AMBIGUOUS = frozenset({"abbreviation", "street"})  # kinds of names such as "K"
_WORD = re.compile(r"\w+")


def choices_of(section: Mapping[str, Any], knowledge: Knowledge) -> tuple[Choices, tuple[Entry, ...]]:
    """The decisions and the log of a `[routine]` section. Raises `BadInput` naming section and key."""
    _known(section, KEYS, SECTION)
    acts = sorted(
        (act for kind in Kind for act in _acts(section, kind, knowledge)),
        key=lambda a: (a.at, list(Kind).index(a.kind), a.activity),
    )
    _in_order(acts)
    log = tuple(sorted(_log(section, knowledge), key=lambda e: (e.at, e.activity)))
    scale = {name: scored(section.get(name), knowledge, f"{SECTION}.{name}") for name in ("energy", "pain")}
    return Choices(acts=tuple(acts), answers=_answers(section.get("answers", {}), knowledge), **scale), log


def _acts(section: Mapping[str, Any], kind: Kind, knowledge: Knowledge) -> Iterator[Act]:
    for row, where in _rows(section, kind):
        _known(row, ACT_KEYS | MORE_KEYS.get(kind, frozenset()), where)
        activity = _activity(row, knowledge, where)
        by = row.get("by")
        if not isinstance(by, str) or not by.strip():
            raise BadInput("nobody is named; write who decided it", f"{where}.by")
        if kind == Kind.CHOSEN and knowledge.selfcare[activity]["kind"] != HABIT:
            raise BadInput("this is part of the treatment and need not be chosen; leave it out", f"{where}.activity")
        own = {name: _own(row.get(name, ""), knowledge, f"{where}.{name}") for name in WORDS}
        yield Act(
            kind=kind,
            activity=activity,
            at=_instant(row, where),
            by=by.strip(),
            step=_step(row.get("step"), len(knowledge.selfcare[activity]["step"]), f"{where}.step"),
            about=_about(row, knowledge, where) if kind == Kind.CLEARED else "",
            **own,
        )


def _log(section: Mapping[str, Any], knowledge: Knowledge) -> Iterator[Entry]:
    for row, where in _rows(section, "log"):
        _known(row, {"activity", "at", "done", "note"}, where)
        if row.get("done") not in DONE:
            raise BadInput("not said whether it was done; write yes, part or no", f"{where}.done")
        note = row.get("note", "")
        if not isinstance(note, str):
            raise BadInput("not a text; write the note in quotes", f"{where}.note")
        activity, at = _activity(row, knowledge, where), _instant(row, where)
        yield Entry(activity=activity, at=at, done=row["done"], note=note)


def _in_order(acts: Sequence[Act]) -> None:
    """What is edited or stopped was chosen before and not ended since."""
    last: dict[str, Kind] = {}
    for act in acts:
        if act.kind in NEEDS_ONE and last.get(act.activity) not in OPEN:
            raise BadInput(
                f"{act.activity} is {act.kind} without having been chosen; add routine.chosen with an earlier time",
                f"{SECTION}.{act.kind}",
            )
        if act.kind != Kind.CLEARED:
            last[act.activity] = act.kind


def _rows(section: Mapping[str, Any], name: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    rows = section.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise BadInput(f"not a list of tables; write [[{SECTION}.{name}]]", f"{SECTION}.{name}")
    yield from ((row, f"{SECTION}.{name}[{number}]") for number, row in enumerate(rows, start=1))


def _known(row: Mapping[str, Any], keys: frozenset[str] | set[str], where: str) -> None:
    for key in row:
        if key not in keys:
            raise BadInput(f"no such key: {shown(str(key))}; there are {', '.join(sorted(keys))}", where)


def _activity(row: Mapping[str, Any], knowledge: Knowledge, where: str) -> str:
    name = row.get("activity")
    if not isinstance(name, str) or name not in knowledge.selfcare:
        raise BadInput(f"no such activity; write one of {', '.join(sorted(knowledge.selfcare))}", f"{where}.activity")
    return name


def _about(row: Mapping[str, Any], knowledge: Knowledge, where: str) -> str:
    """The condition that was cleared: a yes to one is no yes to what comes later."""
    limits = [limit["if"] for limit in knowledge.selfcare[row["activity"]].get("limit", ())]
    if row.get("about") not in limits:
        raise BadInput(f"no such limit of this activity; write one of {', '.join(limits)}", f"{where}.about")
    return str(row["about"])


def _instant(row: Mapping[str, Any], where: str) -> int:
    value = row.get("at")
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.isoformat(timespec="seconds")
    if not isinstance(value, str):
        raise BadInput("no time with an offset; write for example 2027-01-11T10:00:00+01:00", f"{where}.at")
    return instant(value, f"{where}.at").ms


def _step(value: object, steps: int, where: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= steps:
        raise BadInput(f"no such step of this activity; write a number from 1 to {steps}", where)
    return value - 1


def _own(value: object, knowledge: Knowledge, where: str) -> str:
    """The person's own words; long ones are no cue, and kratom is no part of a routine."""
    if not isinstance(value, str) or len(value) > knowledge.number("routine.words.most"):
        raise BadInput(f"not a text of at most {knowledge.fact_text('routine.words.most')} characters", where)
    words = f" {_plain(value)} "
    if any(f" {name} " in words for name in _kratom(knowledge)):
        raise BadInput("a kratom or 7-OH product is never part of a routine; leave it out and tell the team", where)
    return " ".join(value.split())


@cache
def _kratom(knowledge: Knowledge) -> frozenset[str]:
    """Every name under which kratom, 7-OH and what is made of them are sold; not those that any text may hold."""
    members = knowledge.sets[KRATOM]
    rows = (r for r in knowledge.content["names"] if r["substance"] in members and r["kind"] not in AMBIGUOUS)
    return frozenset(_plain(r["text"]) for r in rows)


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(fold(text)))


def _answers(given: object, knowledge: Knowledge) -> Mapping[str, int]:
    where = f"{SECTION}.answers"
    if not isinstance(given, Mapping):
        raise BadInput('not a table; write for example answers = {trauma = "no"}', where)
    asked = {c["id"] for c in knowledge.content["routine"]["condition"]}
    for name, value in given.items():
        if name not in asked:
            raise BadInput(f"no such question; there are {', '.join(sorted(asked))}", where)
        if not isinstance(value, str) or value not in TRUTHS:
            raise BadInput("not an answer; write yes, no or unknown", f"{where}.{name}")
    return {name: TRUTHS[value] for name, value in given.items()}


def scored(value: object, knowledge: Knowledge, where: str) -> int | None:
    """Energy or pain, from 0 to the greatest answer; None if it was not asked."""
    most = knowledge.number("routine.scale.most")
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most):
        raise BadInput(f"not a whole number from 0 to {most:g}; leave it out when it was not asked", where)
    return value
