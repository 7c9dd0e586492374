"""The papers of one treatment day, as pages and PDF: the session on one page, and the forms that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from adjunct.base import BadInput, Instant, instant
from adjunct.documents.page import page
from adjunct.documents.pdf import pdf
from adjunct.documents.treatment_day import treatment_day_sheet
from adjunct.documents.writing import write_all
from adjunct.knowledge import Knowledge
from adjunct.session import History
from adjunct.session.day import NASAL
from adjunct.session.discharge import gate
from adjunct.session.forms import Form, adverse_event_report, form_sheet, monitoring_form, sign
from adjunct.session.predicted import predicted
from adjunct.sheet import ENGLISH, Sheet

DAY, MONITORING, ADVERSE = "treatment-day", "monitoring-form", "adverse-event"
LAST = instant("9999-12-01T00:00:00Z").ms
Drafts = tuple[tuple[str, tuple[str, ...]], ...]


def write_day(
    history: History, knowledge: Knowledge, out: Path, *, now: Instant, answers: Mapping[str, Any] | None = None
) -> tuple[tuple[Path, ...], Drafts]:
    """Write the papers to a folder: all of them, or none. With the forms that are still drafts, and what they lack.

    `answers`: what only a person can say, [monitoring] and [[adverse-event]] (with the id of its `event`), and in
    `signed_by` and `role` who signs. Raises `BadInput` for a signed form that is not complete.
    """
    sheets: dict[str, Sheet] = {DAY: _day(history, knowledge, now)}
    drafts = []
    for name, form in _forms(history, knowledge, _table(answers or {}, "toml"), now):
        sheets[name] = form_sheet(form, knowledge, now=now.ms)
        if form.signed is None:
            drafts.append((name, (*form.missing, *form.conflicts)))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"the folder cannot be made ({error.strerror})", out.name) from None
    files = {}
    for name, sheet in sheets.items():
        html = page([sheet], knowledge, language=ENGLISH, title=sheet.title)
        files[out / f"{name}.html"] = html.encode()
        files[out / f"{name}.pdf"] = pdf([sheet], knowledge, language=ENGLISH, title=sheet.title, made=now)
    write_all(files)
    return tuple(files), tuple(drafts)


def _day(history: History, knowledge: Knowledge, now: Instant) -> Sheet:
    """The session on one page; the gate as it stood when the session ended, else as it stands."""
    state = history.state
    until = now.ms if state.ended is None else state.ended.at
    before = history.before(state.ended.event) if state.ended is not None else state
    found = gate(before, until, knowledge) if state.dose.watch_from is not None else None
    curve = predicted(state, knowledge, now=until, until=until) if state.dose.first is not None else None
    return treatment_day_sheet(state, history.events, knowledge, now=now, gate=found, curve=curve)


def _forms(
    history: History, knowledge: Knowledge, answers: Mapping[str, Any], now: Instant
) -> Iterator[tuple[str, Form]]:
    state, events = history.state, history.events
    if state.treatment == NASAL and state.dose.given:
        given = _table(answers.get("monitoring", {}), "monitoring")
        yield MONITORING, _signed(monitoring_form(state, events, knowledge, _said(given)), given, now)
    reports = answers.get("adverse-event", ())
    if not isinstance(reports, (list, tuple)):
        raise BadInput("not a list: write [[adverse-event]] for each", "answers.adverse-event")
    for number, entry in enumerate(reports, start=1):
        given = _table(entry, f"adverse-event[{number}]")
        if not isinstance(given.get("event"), str):
            raise BadInput("name the `event` of the log that it reports", f"answers.adverse-event[{number}]")
        form = adverse_event_report(state, events, given["event"], knowledge, _said(given))
        yield f"{ADVERSE}-{number}", _signed(form, given, now)


def _table(given: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise BadInput("not a table of fields and answers", f"answers.{where}")
    if not all(isinstance(given.get(name, ""), str) for name in ("signed_by", "role")):
        raise BadInput("signed with a name and a role: write both as words", f"answers.{where}")
    return given


def _said(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value, name) for name, value in given.items() if name not in ("event", "signed_by", "role")}


def _plain(value: Any, name: str) -> Any:
    """A value of TOML as the forms take it: times as they are written, and no number that is none."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (int, float)) and not abs(value) < LAST:
        raise BadInput("too large a number: write what was meant", f"answers.{name}")
    return value


def _signed(form: Form, given: Mapping[str, Any], now: Instant) -> Form:
    if "signed_by" not in given:
        return form
    return sign(form, by=given["signed_by"], role=given.get("role", ""), at=now.ms)
