"""A plan, the protocols and their settings on a terminal: what comes first, then when, then what is due and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from adjunct.knowledge import Knowledge
from adjunct.sheet import day, moment
from adjunct.terminal.answers import DEEPER, INDENT, _console, _words
from adjunct.terminal.measures import LEVELS

if TYPE_CHECKING:
    from adjunct.clinic import Timetable
    from adjunct.planning import Planned
    from adjunct.planning.model import Setting, Told
    from adjunct.planning.protocols import Protocol
    from adjunct.planning.request import Asked
    from adjunct.sheet import Sheet

STYLES = {
    "none": "bold white on red",
    "waiting": "bold black on yellow",
    "active": "bold",
    "on-hold": "bold black on yellow",
    "stopped": "bold",
}
MOST = 12  # steps that are listed; the rest is counted
PROPOSED = "default of this project"
STANDING = ("overdue", "due", "open")


def show_plan(planned: Planned, knowledge: Knowledge, console: Console | None = None) -> None:
    """Status and what is open; the visits; what was missed and is noted; washouts; what is due now."""
    console, plan = _console(console), planned.plan
    said = knowledge.content["plan"]["status"][plan.status.value]
    console.print(Text(f" {plan.status.value.upper()} ", style=STYLES[plan.status.value]), _words(said))
    console.print(Padding(_words(f"{plan.protocol_title}. Version {plan.version}. Verdict {plan.verdict}."), INDENT))
    if plan.override is not None:
        console.print(Padding(_words(f"Override by {plan.override.by}: {plan.override.reason}", "bold"), INDENT))
    for words in plan.told:
        console.print(Padding(_words(words, "bold"), INDENT))
    _all(console, "first of all", plan.open)
    _all(console, "missed", plan.missed)
    if plan.visits:
        console.print(Rule("visits", align="left", characters="-"))
        _visits(console, planned)
    _pressing(console, planned.to_dict()["steps"])
    if plan.timeline:
        console.print(Rule("medicines in time", align="left", characters="-"))
        for fact in plan.timeline:
            console.print(Padding(_words(f"- {fact.says}"), INDENT))
    _all(console, "reviews", plan.reviews)
    _all(console, "reasons to stop or wait", plan.stops)
    _settings(console, [s for s in plan.settings if s.clinic], "settings of the clinic")
    _all(console, "notes", plan.notes)
    counted = Counter(s.status for s in plan.settings)
    sure = f"How sure: {counted['proposed']} of {len(plan.settings)} settings are defaults of this project."
    console.print(Padding(Text(f"{sure} Knowledge {plan.knowledge['version']}.", style="dim"), INDENT))


def _pressing(console: Console, steps: Iterable[Mapping[str, Any]]) -> None:
    """What is to be done now, the late first; what is asked for again and again stands once, with how often."""
    found = sorted(
        (s for s in steps if s["state"] in STANDING and s["domain"] != "open"),
        key=lambda s: (STANDING.index(s["state"]), s["due"]),
    )
    if not found:
        return
    console.print(Rule("to do now", align="left", characters="-"))
    often = Counter((s["state"], s["what"], s["title"], s["owner"]) for s in found)
    for (state, _, title, owner), count in list(often.items())[:MOST]:
        times = f" ({count} of them)" if count > 1 else ""
        console.print(Padding(Text.assemble((f"{state}  ", "bold"), _words(f"{title}{times}, {owner}")), INDENT))
    if len(often) > MOST:
        console.print(Padding(Text(f"and {len(often) - MOST} more: --json"), INDENT))


def _all(console: Console, title: str, told: Iterable[Told]) -> None:
    found = list(told)
    if not found:
        return
    console.print(Rule(title, align="left", characters="-"))
    for entry in found:
        owner = f" ({entry.owner})" if entry.owner else ""
        console.print(Padding(Text.assemble("- ", _words(entry.title, "bold"), owner), INDENT))
        if entry.says and entry.says != entry.title:
            console.print(Padding(_words(entry.says), DEEPER))


def _visits(console: Console, planned: Planned) -> None:
    plan, phase = planned.plan, ""
    for visit in plan.visits:
        if visit.title != phase:
            phase = visit.title
            console.print(Padding(_words(phase, "italic"), INDENT))
            for fact in visit.facts:
                console.print(Padding(_words(f"{fact.title}: {fact.says}", "dim"), DEEPER))
        last = max(visit.window.closes - 1, visit.window.opens)
        window = f"may move from {day(visit.window.opens, plan.zone)} to {day(last, plan.zone)}"
        when = moment(visit.starts if visit.given_at is None else visit.given_at, plan.zone)
        state = visit.state.value if visit.state.value in ("done", "missed") else window
        console.print(Padding(Text.assemble(f"{visit.number:>2}  {when}  ", (state, "dim")), DEEPER))


# --- protocols --------------------------------------------------------------------------------------------------------


def show_protocols(knowledge: Knowledge, console: Console | None = None) -> None:
    """Every course that can be planned, and how sure it is."""
    from adjunct.planning.protocols import names, protocol

    table = Table("name", "for", "how sure")
    for name in names(knowledge):
        found = protocol(knowledge, name)
        table.add_row(name, found.title["en"], PROPOSED if found.status == "proposed" else found.status)
    _console(console).print(table)


def show_protocol(found: Protocol, knowledge: Knowledge, console: Console | None = None) -> None:
    """What a protocol is, its phases, and every setting with bounds and provenance."""
    from adjunct.planning.protocols import words

    console = _console(console)
    console.print(_words(found.title["en"], "bold"))
    console.print(Padding(_words(knowledge.say(found.clinician, **words(found.settings, knowledge))), INDENT))
    for phase in found.phases:
        console.print(Padding(_words(f"- {phase.title['en']}"), INDENT))
    _settings(console, found.settings.values(), "settings")
    cited = knowledge.sources[found.source["id"]].citation
    console.print(Padding(_words(f"{found.status}: {cited}", "dim"), INDENT))


def _settings(console: Console, settings: Iterable[Setting], title: str) -> None:
    from adjunct.planning.protocols import bounds

    found = list(settings)
    if not found:
        return
    console.print(Rule(title, align="left", characters="-"))
    for setting in found:
        where = PROPOSED if setting.status == "proposed" else f"{setting.status}, {setting.source}"
        amount = setting.value if isinstance(setting.value, str) else f"{setting.value:g}"
        value = f"{amount} {setting.unit if setting.unit != '1' else ''}".strip()
        console.print(Padding(Text.assemble((setting.id, "bold"), f" = {value}; {bounds(setting)}"), INDENT))
        console.print(Padding(_words(f"{setting.title}. From: {where}."), DEEPER))


# --- pages, timetables, requests --------------------------------------------------------------------------------------


def show_sheet(sheet: Sheet, console: Console | None = None) -> None:
    """A page for a person, as plain lines; what is printed with it, its sources, stands on the page itself."""
    console = _console(console)
    console.print(_words(sheet.title, "bold"))
    for line in sheet.lead:
        console.print(Padding(_words(line.text), INDENT))
    for part in sheet.parts:
        console.print(Rule(part.title, align="left", characters="-"))
        if part.head:
            table = Table(*part.head)
            for row in part.rows:
                table.add_row(*(_words(cell.text) for cell in row))
            console.print(table)
        for line in part.lines:
            mark = "" if part.kind == "text" else "- "
            sure = f"  ({line.sure})" if line.sure else ""
            console.print(Padding(Text.assemble(mark, _words(line.text), (sure, "dim")), INDENT))
    for line in sheet.foot:
        console.print(Padding(_words(line.text, "dim"), INDENT))


def show_timetable(found: Timetable, zone: str, console: Console | None = None) -> None:
    """Who comes when; what cannot be placed, and why; whom a freed place is offered to."""
    console = _console(console)
    table = Table("when", "until", "visit", "place", "with")
    for booking in found.booked:
        names = ", ".join(dict.fromkeys(duty.staff for duty in booking.duties))
        until = moment(booking.ends, zone).rpartition(" ")[-1]
        table.add_row(moment(booking.starts, zone), until, booking.request.id, booking.chair, names)
    console.print(table)
    for title, entries in (("waiting", found.waiting), ("cannot be", found.conflicts)):
        if entries:
            console.print(Rule(title, align="left", characters="-"))
        for entry in entries:
            console.print(Padding(Text.assemble((f"{entry.request.id}: ", "bold"), _words(entry.says)), INDENT))
    for says in (*found.faults, *(offer.says for offer in found.offers)):
        console.print(Padding(_words(says), INDENT))
    console.print(Padding(Text(f"{len(found.booked)} placed, {len(found.waiting)} waiting.", style="dim"), INDENT))


def show_request(found: Asked, console: Console | None = None) -> None:
    """How urgent, what the person reads at once, whom to call; then what may stand in the way and what is to ask."""
    console, triage = _console(console), found.triage
    console.print(Text(f" {triage.level.upper()} ", style=LEVELS.get(triage.level, "bold")), ", ".join(triage.because))
    for line in triage.told.lines:
        console.print(Padding(_words(line), INDENT))
    for contact in triage.told.contacts:
        console.print(Padding(_words(contact.text, "bold"), INDENT))
    for step in triage.steps:
        console.print(Padding(_words(f"To do: {step.title} ({step.owner})"), INDENT))
    for early in triage.early:
        console.print(Padding(Text.assemble("- ", _words(early.says)), INDENT))
    if triage.open:
        console.print(Rule("still to ask", align="left", characters="-"))
    for text in triage.open:
        console.print(Padding(_words(f"- {text}"), INDENT))
