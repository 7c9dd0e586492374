"""The first question somebody asks a clinic: what is asked next, how urgent the answers are, and what is read at once.

A request is a check-in with a book of its own (`planning/request.toml`): where the person is, a number to call back
and the local emergency number come first, then red flags, then everything else; each question may be declined, and
declined is unknown. An alarm is read from every answer that ever arrived, so that no later one takes it back. Nothing
here refuses anybody: what may stand in the way is said early, and a clinician decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from adjunct.assessment.lines import contact, lines_for
from adjunct.base import NO, UNKNOWN, YES, BadInput, partial_date, shown
from adjunct.due import Step, Window
from adjunct.followup import checkins
from adjunct.followup.checkins import CONTACT, DECLINED, SUICIDE, Answer, CheckIn, Question, alerts, chosen, value_of
from adjunct.followup.cover import DEFAULT_LANGUAGE, Cover, Told, contacts_in
from adjunct.followup.risk import Level
from adjunct.followup.stored import ago, check_in_to_fhir, written
from adjunct.followup.workflow import moment
from adjunct.items import Item
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import LOCAL
from adjunct.record import reader_of
from adjunct.sheet import Line, line

Json = dict[str, Any]
Request = CheckIn
BOOK = "request"
EMERGENCY, SAME_DAY, SOON, ROUTINE = LEVELS = ("emergency", "same-day", "soon", "routine")  # the most urgent first
SUICIDE_LEVELS = {Level.HIGH: EMERGENCY, Level.UNFINISHED: EMERGENCY, Level.MODERATE: SAME_DAY, Level.LOW: SOON}
FIRST = ("red-flags", SUICIDE)
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}\Z", re.ASCII)
_LINES = re.compile(r"[\n;]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Early:
    """What may stand in the way of what the person looks for: for the clinician, for the person, and from where."""

    id: str
    says: str
    tell: Line
    source: str
    locator: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """How urgent a request is at one instant: who answers until when, what the person reads, what is still to ask."""

    level: str
    because: tuple[str, ...]
    steps: tuple[Step, ...]
    told: Told
    early: tuple[Early, ...]
    open: tuple[str, ...]

    def to_dict(self) -> Json:
        """Plain values; instants in ISO 8601, UTC."""
        return {
            "level": self.level,
            "because": list(self.because),
            "steps": [
                {"id": s.id, "title": s.title, "owner": s.owner, "due": written(s.window.due)}
                | {"overdue": written(s.window.overdue), "basis": s.basis}
                for s in self.steps
            ],
            "told": self.told.to_dict(),
            "early": [asdict(early) for early in self.early],
            "open": list(self.open),
        }


# --- asking -----------------------------------------------------------------------------------------------------------


def begin(knowledge: Knowledge, *, id: str, language: str = DEFAULT_LANGUAGE) -> Request:
    """A request with nothing answered yet. `id` names it and, in FHIR, its person; raises `BadInput` for another."""
    if not _ID.match(id):
        raise BadInput(f"not an id: {shown(id)}; write letters, digits, - and . only", "id")
    return CheckIn(knowledge=knowledge, id=id, set=BOOK, book=BOOK, phq=False, language=language)


receive = checkins.receive


def next_question(state: Request) -> Question | None:
    """The first question that is still open. In an emergency only where help should go: what follows is a person."""
    question = checkins.next_question(state)
    stop = question is not None and question.id not in CONTACT and any(a.level == EMERGENCY for a in alerts(state))
    return None if stop else question


def answers_of(given: Mapping[str, Any], knowledge: Knowledge, *, at: int) -> tuple[Answer, ...]:
    """A file of answers (question = value) as they arrived together at `at` (ms).

    Several choices or lines are a list; "declined" leaves a question open. Raises `BadInput` for a question that there
    is not and for a value that is none of its answers; its `advice` says what the others call for all the same.
    """
    asked = begin(knowledge, id="file").questions
    flat = {name: v for key, value in given.items() for name, v in _flat(key, value)}
    made = {name: Answer(id=f"file-{name}", question=name, value=v, at=at, received=at) for name, v in flat.items()}
    problem = next((p for name, v in flat.items() if (p := _unreadable(asked.get(name), name, v))), None)
    if problem:
        state = _with(begin(knowledge, id="file"), made.values())
        said = (*(a.tell for a in alerts(state)), *_screened(state))
        raise BadInput(problem[0], problem[1], advice=tuple(dict.fromkeys(said)))
    return tuple(made.values())


def _screened(state: Request) -> Iterator[str]:
    if state.answers and checkins.risk(state).open:
        yield state.knowledge.content["workflow"]["tell"][DEFAULT_LANGUAGE]["emergency_line"]


def _flat(key: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{key}.{name}", inner)
    else:
        yield key, value


def _unreadable(question: Question | None, name: str, value: object) -> tuple[str, str] | None:
    if question is None:
        return f"no such question: {shown(name)}; take it out, or write its id as in docs/reference/request.md", name
    if checkins.readable(question, value) is None:
        allowed = ", ".join(v for v, _ in question.options) or f"a {question.kind}"
        return f"not an answer to it; write {allowed}, or {DECLINED}", name
    return None


def _with(state: Request, answers: Any) -> Request:
    for answer in answers:
        state = receive(state, answer)
    return state


def read(given: Mapping[str, Any], knowledge: Knowledge, *, id: str, at: int, language: str) -> Request:
    """The request that a file of answers makes."""
    return _with(begin(knowledge, id=id, language=language), answers_of(given, knowledge, at=at))
