"""Scores, messages, courses and safety plans on a terminal: what is certain first, then what is open, then how sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule as Line
from rich.table import Table
from rich.text import Text

from adjunct.base import iso
from adjunct.instruments import Score
from adjunct.knowledge import Knowledge
from adjunct.messages import Message
from adjunct.terminal.answers import DEEPER, INDENT, _console, _words

if TYPE_CHECKING:
    from adjunct.followup import FollowUp

LEVELS = {
    "suicide": "bold white on red",
    "emergency": "bold white on red",
    "urgent": "bold red",
    "same-day": "bold red",
    "red": "bold red",
    "review": "bold yellow",
    "amber": "bold yellow",
    "routine": "bold yellow",
}


def show_score(result: Score, knowledge: Knowledge, console: Console | None = None) -> None:
    """What must be acted on, then total and band, then what is missing, then how sure and from where."""
    console = _console(console)
    for said in result.says:
        console.print(Text(f" {said.level.upper()} ", style=LEVELS.get(said.level, "bold")), _words(said.says))
        if said.tell:
            console.print(Padding(Text.assemble(("For the person: ", "italic"), said.tell), DEEPER))
    console.print(Text.assemble((result.title, "bold"), f"  {_total(result)}"))
    for name, value in result.subscales.items():
        console.print(Padding(Text(f"{name}: {'unknown' if value is None else _number(value)}"), INDENT))
    if result.bands:
        each = "; ".join(f"{form}: {band or 'unknown'}" for form, band in result.bands.items())
        console.print(Padding(Text(f"The band depends on the form: {each}."), INDENT))
    if result.reason:
        console.print(Padding(_words(result.reason), INDENT))
    if result.at_least:
        console.print(Padding(Text(f"Whatever the open answers are: at least {result.at_least}."), INDENT))
    notes = [a for a in result.alerts if a not in {s.alert for s in result.says}]
    if notes:
        console.print(Padding(Text("Note: " + ", ".join(note.replace("_", " ") for note in notes) + "."), INDENT))
    sources = "; ".join(dict.fromkeys(knowledge.sources[s.id].citation for s in result.sources))
    console.print(Padding(Text(f"How sure: scoring {result.confidence}. {sources}", style="dim"), INDENT))


def _total(result: Score) -> str:
    if result.total is None:
        return "no total" if result.band in (None, "unscorable") else str(result.band)
    span = "" if result.range is None else f" of {result.range[0]:g} to {result.range[1]:g}"
    higher = {"worse": ", higher is worse", "better": ", higher is better"}.get(result.direction, "")
    return f"{result.total:g} points{span}{higher}" + (f": {result.band}" if result.band else "")


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def show_instruments(knowledge: Knowledge, console: Console | None = None) -> None:
    """Every instrument, what it measures, and whether its wording comes with Adjunct."""
    table = Table("id", "instrument", "measures", "filled in by", "wording")
    where = {"shipped": "here", "clinic": "your licensed text", "none": "none"}
    for entry in knowledge.instruments.values():
        wording = where[entry["licence"]["text"]]
        table.add_row(entry["id"], entry["title"], entry["construct"], entry["respondent"], wording)
    _console(console).print(table)


def show_message(result: Message, console: Console | None = None) -> None:
    """What to do first; then what was recognised and where, for the person who reads messages."""
    console = _console(console)
    console.print(Text(f" {result.level.upper()} ", style=LEVELS.get(result.level, "bold")), _words(result.tell))
    for hit in result.hits:
        how = f" ({', '.join(hit.context)})" if hit.context else ""
        console.print(Padding(_words(f"{hit.flag} [{hit.level}]: \u201c{hit.words}\u201d{how}"), INDENT))
    if result.asks:
        console.print(Padding(Text("Ask now: " + ", ".join(result.asks)), INDENT))
    console.print(Padding(Text("A list of words, read by a machine: it raises, it never clears.", style="dim"), INDENT))
