"""What a plan is made from, together: the protocol with the clinic's settings, the log, the record, the assessment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from adjunct.assessment import Assessment
from adjunct.base import BadInput, Instant, shown
from adjunct.clinic import Clinic
from adjunct.due import Done
from adjunct.knowledge import Knowledge
from adjunct.knowledge.columns import Program
from adjunct.knowledge.language import parse
from adjunct.planning.log import Log
from adjunct.planning.model import Override, Setting, Told
from adjunct.planning.protocols import Protocol, flat, words
from adjunct.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One person, one protocol, one clinic, one instant. `record` is read for follow-up."""

    protocol: Protocol
    values: Mapping[str, Setting]
    clinic: Clinic
    log: Log
    record: Record = field(repr=False)
    assessment: Assessment = field(repr=False)
    override: Override | None
    knowledge: Knowledge = field(repr=False)
    now: Instant
    language: str
    order: Mapping[str, Any] = field(repr=False)
    recorded: tuple[Done, ...] = ()  # what the record says was done: check-ins
    current: Mapping[str, Setting] = field(init=False, repr=False)  # the settings in force now
    filled: Mapping[str, str] = field(init=False, repr=False)  # the same, for places of texts that are named after them

    def __post_init__(self) -> None:
        current = self.log.values(self.values, self.now.ms)
        object.__setattr__(self, "current", current)
        object.__setattr__(self, "filled", words(current, self.knowledge))

    def owner(self, role: str) -> str:
        return self.clinic.cover.owner(role)

    def ms(self, fact: str) -> int:
        """A length of time that the knowledge names."""
        return self.knowledge.length_ms(fact)

    def words(self, texts: Mapping[str, str]) -> str:
        """A text for the person, in their language or else in English."""
        return self.knowledge.say(texts.get(self.language, texts.get("en", "")), **self.filled)

    def told(self, entry: Any) -> Told:
        """An entry of the protocol as the plan says it."""
        return Told(
            id=entry.id,
            title=self.knowledge.say(entry.title, **self.filled),
            says=self.knowledge.say(entry.says, **self.filled),
            tell=self.words(getattr(entry, "tell", None) or {}),
            source=entry.source["id"],
            locator=entry.source.get("locator", ""),
            status=entry.status,
            owner=self.owner(getattr(entry, "owner", "") or "prescriber"),
        )

    def note(self, name: str, id_: str, **places: str) -> Told:
        text = self.knowledge.content["plan"]["notes"][name]
        return Told(
            id=id_,
            title=text["title"],
            says=self.knowledge.say(text["says"], **places),
            owner=self.owner("prescriber"),
        )

    def truths(self, texts: tuple[tuple[str, str], ...]) -> Mapping[str, int]:
        """What is true of named conditions of the protocol, the strongest under any reading of ambiguous entries."""
        if not texts:
            return {}
        program = _program(texts, f"protocols/{self.protocol.id}.toml, ", self.knowledge, self.record.phase)
        truths = program.run(self.record.events).truths.max(axis=1)
        return dict(zip((name for name, _ in texts), map(int, truths), strict=True))


def settings_for(given: Mapping[str, Any], known: Protocol, knowledge: Knowledge) -> Mapping[str, Any]:
    """What a clinic set for one protocol: its own table, and before it what stands there for all of them.

    Raises `BadInput` for a setting that no protocol has; one that only others have is theirs.
    """
    of_all = {name: value for name, value in given.items() if name not in knowledge.protocols}
    ids = {s["id"] for p in knowledge.protocols.values() for s in p["setting"]}
    table = given.get(known.id, {})
    if not isinstance(table, Mapping):
        raise BadInput("not a table of names and values", f"clinic.protocol.{known.id}")
    own = dict(flat(table))
    for name, value in flat(of_all):
        if name not in ids:
            raise BadInput(
                f"no protocol has the setting {shown(name)}: `adjunct protocols NAME` lists them", "clinic.protocol"
            )
        if name in known.settings:
            own.setdefault(name, value)
    return own


@cache
def _program(texts: tuple[tuple[str, str], ...], where: str, knowledge: Knowledge, phase: str) -> Program:
    return Program(
        [parse(when, knowledge.vocabulary, where + name) for name, when in texts],
        knowledge.vocabulary,
        phase,
    )
