"""What stands beside the course in one plan: consent, the routine, the team's tasks, and how the person is reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from adjunct.base import YES, BadInput
from adjunct.due import Done, State, Step
from adjunct.planning import consent
from adjunct.planning.case import Case
from adjunct.planning.course import DOSE, Course
from adjunct.planning.model import Told
from adjunct.planning.outgoing import WITHDRAWN, Contact
from adjunct.planning.team import (
    Happened,
    Preferences,
    Team,
    acknowledge_steps,
    message_steps,
    preferences_of,
    referral,
    team_of,
)
from adjunct.routine import Routine, choices_of, routine

CONSENT, SESSION = "consent", "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Of a plan that is none, nothing but the person's preferences."""

    preferences: Preferences = field(default_factory=lambda: Preferences(contact=Contact()))
    team: Team = field(default_factory=Team)
    routine: Routine | None = None
    form: consent.Form | None = None
    consent: consent.ConsentState | None = None  # None: nothing of it is written here
    open: tuple[Told, ...] = ()
    steps: tuple[Step, ...] = ()
    acts: tuple[Done, ...] = ()


def beside(case: Case, main: Course, start: date, *, renewed: int | None = None) -> Beside:
    """Everything that the order says beside the course. Raises `BadInput` with section and key.

    `renewed`: when a pause began so long that consent is asked for anew; what was agreed before it does not count.
    """
    order, now = case.order, case.now.ms
    team = team_of(_table(order, "team"), case.knowledge)
    found = _routine(case, main)
    form, state = _consent(case, start, renewed)
    cover = case.clinic.cover
    given = [v for v in main.visits if v.kind == DOSE and v.given_at is not None]
    happened = [Happened(id=v.id, kind=SESSION, at=v.given_at or 0, number=v.number) for v in given[-1:]]
    return Beside(
        preferences=preferences_of(_table(order, "contact"), case.knowledge),
        team=team,
        routine=found,
        form=form,
        consent=state,
        open=() if state is None or state.valid else (_reasked(case, state),),
        steps=(
            *found.steps,
            *_referrals(case, team),
            *acknowledge_steps(team.threads, cover, team.access(case.knowledge, now)),
            *message_steps(happened, cover, case.knowledge, until=now),
        ),
        acts=(*found.done, *_agreed(case, state)),
    )


def _table(order: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = order.get(name, {})
    if not isinstance(found, Mapping):
        raise BadInput(f"not a table of names and values: write [{name}]", f"order.{name}")
    return found


def _routine(case: Case, main: Course) -> Routine:
    """The routine of the day, around the session of today or else the last one."""
    choices, log = choices_of(_table(case.order, "routine"), case.knowledge)
    local = case.clinic.cover.local
    today = local(case.now.ms).date()
    doses = [v for v in main.visits if v.kind == DOSE and v.state is not State.MISSED]
    past = [v.given_at or v.starts for v in doses if v.given_at is not None or local(v.starts).date() == today]
    return routine(
        case.record,
        case.knowledge,
        choices=choices,
        log=log,
        now=case.now,
        cover=case.clinic.cover,
        language=case.language,
        country=case.record.country,
        session_at=max(past, default=None),
    )


def _referrals(case: Case, team: Team) -> Iterator[Step]:
    """Whose turn it is in each referral that is not closed."""
    for asked in team.referrals:
        found = referral(
            asked.id, asked.sender, asked.receiver, asked.moves, case.clinic.cover, case.knowledge, now=case.now.ms
        )
        if found.step is not None:
            yield found.step


def _consent(case: Case, start: date, renewed: int | None) -> tuple[consent.Form | None, consent.ConsentState | None]:
    """The form that counts now, and where consent to it stands, if anything of it is written."""
    if not case.protocol.substance:
        return None, None
    form = consent.form(
        case.knowledge,
        case.protocol.treatment,
        region=case.clinic.country or case.record.country,
        language=case.language,
    )
    events = consent.events_of(_table(case.order, CONSENT))
    if not events:
        return form, None
    began = case.clinic.cover.instant(start, timedelta(0)) - case.ms("plan.consent.before")
    return form, consent.state(events, form.version, now=case.now.ms, course_start=max(began, renewed or began))


def _agreed(case: Case, state: consent.ConsentState | None) -> list[Done]:
    """The consent that holds: the one of the order file, or else of the record."""
    if state is None:
        return _signed(case)
    if state.since is None:
        return []
    return [Done(what=CONSENT, at=state.since, step=f"{case.protocol.id}:{CONSENT}")]


def _signed(case: Case) -> list[Done]:
    """The consent that the record holds, where nothing else is written of it; the newest entry is what counts."""
    events, knowledge = case.record.events, case.knowledge
    number = knowledge.vocabulary.concepts[CONSENT]
    rows = range(int(events.starts[number]), int(events.starts[number + 1]))
    latest = max((int(events.t0[r]) for r in rows), default=0)
    signed = [r for r in rows if events.status[r] == YES and knowledge.code_ids[int(events.code[r])] == "signed"]
    if any(int(events.t0[r]) == latest and r not in signed for r in rows):
        return []
    return [
        Done(what=CONSENT, at=int(events.t0[r]), reference=case.record.evidence[events.source[r]].reference)
        for r in signed
    ]


def _reasked(case: Case, state: consent.ConsentState) -> Told:
    said = state.says(case.knowledge)
    return Told(
        id=WITHDRAWN if state.status is consent.Status.WITHDRAWN else CONSENT,
        title=said,
        says=said,
        tell=state.tell(case.knowledge, case.language).text,
        source="project-default",
        owner=case.owner("prescriber"),
    )
