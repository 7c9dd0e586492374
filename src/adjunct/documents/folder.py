"""The papers of one person's plan, each as a sheet: report, care plan, before and after, consent, routine, handover.

Nothing is decided here: each room says what stands on its own page, and this brings the pages together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from adjunct.documents import calendar as calendars
from adjunct.documents.care_plan import care_plan_sheet
from adjunct.documents.pdf import pdf
from adjunct.documents.report import report_sheet, write_report
from adjunct.documents.writing import write_all
from adjunct.due import Due, State
from adjunct.followup import FollowUp
from adjunct.followup.cover import contacts_in
from adjunct.knowledge import Knowledge
from adjunct.planning import Planned, first_version, in_language
from adjunct.planning.aftercare import aftercare, escort_sheet
from adjunct.planning.bookings import visit_requests
from adjunct.planning.handover import handover
from adjunct.planning.model import OVER, Status, Told, Visit
from adjunct.planning.pages import contact_in, emergency, numbers
from adjunct.planning.preparation import holds, preparation
from adjunct.planning.team import inbox
from adjunct.planning.written import standing
from adjunct.routine import sheet as routine_sheet
from adjunct.sheet import ENGLISH, Part, Sheet

ROLES = ("prescriber", "therapist", "primary-care")  # who gets a handover of their own
PRESSING = (State.OVERDUE, State.DUE, State.OPEN)
REPORT, CARE_PLAN = "report", "care-plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Sheets by file name; `pages` are ready-made HTML."""

    sheets: Mapping[str, tuple[Sheet, ...]]
    pages: Mapping[str, str]
    language: str


def folder(planned: Planned, follow: FollowUp, knowledge: Knowledge) -> Folder:
    """Every paper for the person of a plan, in the language of the plan. An emergency gives the report alone."""
    plan, case, clinic = planned.plan, planned.case, planned.case.clinic
    language, zone, country = plan.language, plan.zone, planned.record.country
    routine = planned.beside.routine
    page = routine_sheet(routine, knowledge, language) if routine is not None else None
    sheets: dict[str, tuple[Sheet, ...]] = {
        REPORT: (
            report_sheet(
                knowledge,
                language=language,
                zone=zone,
                at=plan.at,
                assessment=planned.assessment,
                record=planned.record,
                plan=plan,
                follow=follow,
                routine=routine,
                steps=pressing(planned),
                call=_call(planned, follow, knowledge, country),
                emergency=emergency(country, knowledge, language),
            ),
        )
    }
    english = in_language(planned, ENGLISH)
    if plan.visits:
        sheets[CARE_PLAN] = (_care_plan(english, knowledge, follow),)
    coming = _coming(planned)
    if case.protocol.substance and plan.visits:
        starts = None if coming is None else coming.starts
        common = {"zone": zone, "language": language, "country": country, "telephone": clinic.telephone}
        sheets["preparation"] = (
            preparation(
                planned.record,
                knowledge,
                planned.assessment,
                protocol_settings=case.current,
                starts=starts,
                **common,
            ),
        )
        sheets["aftercare"] = (
            aftercare(
                planned.record,
                knowledge,
                route=case.protocol.treatment,
                given_at=_lately(planned),
                next_visit=starts,
                **common,
            ),
        )
        sheets["escort"] = (escort_sheet(knowledge, starts=starts, **common),)
    if planned.beside.form is not None and plan.visits:
        sheets["consent"] = (planned.beside.form.sheet, planned.beside.form.record)
    if page is not None:
        sheets["routine"] = (page,)
    if plan.visits:
        sheets["handover"] = tuple(_handover(english, follow, knowledge, role) for role in ROLES)
    team = planned.beside.team
    if team.threads:
        access = team.access(knowledge, plan.at.ms)
        sheets["messages"] = tuple(inbox(team.threads, role, access, zone=zone) for role in ROLES)
    return Folder(
        sheets=sheets, pages={"safety-plan": _safety_plan(follow, knowledge, language, country)}, language=language
    )


def _safety_plan(follow: FollowUp, knowledge: Knowledge, language: str, country: str) -> str:
    contacts = tuple(contact_in(c, knowledge, language, country) for c in follow.told.contacts)
    return replace(follow, told=replace(follow.told, contacts=contacts)).safety_plan_page(language)


def pressing(planned: Planned) -> tuple[Due, ...]:
    """What is to be done now, the most pressing first."""
    found = [d for d in standing(planned) if d.state in PRESSING]
    return tuple(sorted(found, key=lambda d: PRESSING.index(d.state)))


def _call(planned: Planned, follow: FollowUp, knowledge: Knowledge, country: str) -> Part:
    """Whom to call: the clinic, what belongs to what was found, and the crisis lines of where the person is."""
    plan = planned.plan
    found = {
        (c.name, c.contact): c
        for c in (
            *planned.assessment.contacts,
            *follow.told.contacts,
            *contacts_in(country, knowledge, today=plan.at.date()),
        )
    }
    telephone = planned.case.clinic.telephone
    return numbers(knowledge, plan.language, country=country, telephone=telephone, lines=found.values())


def _coming(planned: Planned) -> Visit | None:
    """The next dose of the course."""
    return next((v for v in planned.course.visits if v.state not in OVER), None)


def _lately(planned: Planned) -> int | None:
    """The last dose while its card still speaks of days to come."""
    last = max((v.given_at for v in planned.course.given if v.given_at is not None), default=None)
    week = planned.case.ms("checkin.weekly")
    return None if last is None or planned.plan.at.ms - last > week else last


def _care_plan(planned: Planned, knowledge: Knowledge, follow: FollowUp | None = None) -> Sheet:
    """The care plan of a plan in English."""
    held = holds(planned.record, knowledge, assessment=planned.assessment) if planned.case.protocol.substance else ()
    return care_plan_sheet(planned.plan, knowledge, standing=standing(planned), holds=held, follow=follow)


def _handover(planned: Planned, follow: FollowUp, knowledge: Knowledge, role: str) -> Sheet:
    routine = planned.beside.routine
    agreed = () if routine is None else routine.agreed
    return handover(
        planned.plan,
        planned.assessment,
        planned.beside.team.access(knowledge, planned.plan.at.ms),
        role=role,
        followup=follow,
        routine=[Told(id=f"agreed-{n}", title=text, says=text) for n, text in enumerate(agreed)],
        standing=standing(planned),
        language=ENGLISH,
    )


def write_folder(planned: Planned, follow: FollowUp, knowledge: Knowledge, out: Path) -> tuple[Path, ...]:
    """Write every paper as HTML and PDF, all of them or none, and the calendar of the visits beside them."""
    made = folder(planned, follow, knowledge)
    files = {f"{name}.html": text.encode() for name, text in made.pages.items()}
    if planned.plan.visits:
        files["visits.ics"] = calendar(planned, knowledge)
    return write_report(out, made.sheets, knowledge, language=made.language, made=planned.plan.at, files=files)


def write_plan(
    planned: Planned,
    knowledge: Knowledge,
    *,
    ics: Path | None = None,
    pdf_path: Path | None = None,
    requests: Path | None = None,
) -> tuple[Path, ...]:
    """The calendar, the care plan and the visits for the timetable: what is asked for, all of it or nothing.

    A held or stopped plan has no visit to come; its calendar cancels those that were announced.
    """
    plan, files = planned.plan, dict[Path, bytes]()
    if ics is not None and (plan.visits or plan.changes):
        files[ics] = calendar(planned, knowledge)
    if pdf_path is not None and plan.status is not Status.NONE:
        sheet = _care_plan(in_language(planned, ENGLISH), knowledge)
        files[pdf_path] = pdf([sheet], knowledge, language=sheet.language, title=sheet.title, made=plan.at)
    if requests is not None and plan.visits:
        files[requests] = orjson.dumps(visit_requests(planned), option=orjson.OPT_INDENT_2)
    write_all(files)
    return tuple(files)


def calendar(planned: Planned, knowledge: Knowledge) -> bytes:
    """The visits as a calendar, with the clinic's telephone and address; what is left out since is cancelled."""
    clinic = planned.case.clinic
    return calendars.calendar(
        planned.plan,
        knowledge,
        language=planned.plan.language,
        telephone=clinic.telephone,
        location=clinic.address,
        course=planned.start.isoformat(),
        now=planned.plan.at.ms,
        earlier=first_version(planned) if planned.plan.changes else None,
    )
