"""The treatment day on a terminal: chairs with curves, alarms and duties as they run; a log read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from adjunct.base import Instant, duration_ms, iso
from adjunct.due import PRESSING
from adjunct.knowledge import Knowledge
from adjunct.session import pump
from adjunct.session.model import Alarm, Held, State
from adjunct.session.predicted import Curve, predicted
from adjunct.session.watch import News, Seen, Tick
from adjunct.session.written import Replayed
from adjunct.terminal.answers import INDENT, _console, _words

if TYPE_CHECKING:
    from adjunct.session.readiness import Readiness
    from adjunct.session.stock import Ledger

STYLES = {
    "emergency": "bold white on red",
    "high": "bold black on yellow",
    "medium": "bold black on cyan",
    "low": "bold",
    "probe": "bold magenta",
}
BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 60  # characters of a curve: one a minute
MOST = 6  # duties that are listed; the rest is counted
CURVES = ("systolic", "diastolic", "heart_rate", "spo2", "resp_rate")
NOTABLE = frozenset({"phase", "raised", "turn", "acknowledged", "silenced", "sounds", "cleared", "flag", "held"})
MINUTE = duration_ms("1 min")


def clock(ms: int, zone: timedelta) -> str:
    """The time of day, to the second."""
    return iso(ms, zone)[len("2027-01-11T") : len("2027-01-11T09:00:00")]


def news_line(news: News, zone: timedelta) -> Text:
    """One thing that changed, on one line."""
    line = Text(f"{clock(news.at, zone)}  ")
    line.append(f"{news.session or 'floor'}  ", style="dim")
    line.append(f" {news.kind.upper()} ", style=STYLES.get(news.level, "bold"))
    line.append(f" {news.says}")
    return line


def run(
    ticks: Iterable[Tick], knowledge: Knowledge, *, live: bool, pace: Iterator[None], console: Console | None = None
) -> None:
    """Show a day as it runs: chairs on a terminal, one line a change anywhere else. `pace` waits between ticks."""
    console = _console(console)
    if not live:
        for tick in ticks:
            zone = _zone(tick)
            for news in tick.news:
                if news.kind in NOTABLE:
                    console.print(news_line(news, zone))
        return
    seen: dict[str, Seen] = {}
    said: list[Text] = []
    with Live(console=console, auto_refresh=False) as screen:
        for tick in ticks:
            seen |= {s.session: s for s in tick.seen}
            said += [news_line(n, _zone(tick)) for n in tick.news if n.kind in NOTABLE]
            screen.update(_floor(tick, seen, said[-MOST:], knowledge), refresh=True)
            next(pace, None)


def _zone(tick: Tick) -> timedelta:
    return next((s.state.zone for s in tick.seen if s.state.checked_in is not None), timedelta(0))


def _floor(tick: Tick, seen: Mapping[str, Seen], said: list[Text], knowledge: Knowledge) -> RenderableType:
    loose = [Text(f" {x.alarm.level.upper()} {x.says} ", style=STYLES[x.alarm.level]) for x in tick.loose]
    return Group(*loose, *(chair(s, knowledge) for s in seen.values()), Rule("what happened", style="dim"), *said)


def chair(seen: Seen, knowledge: Knowledge) -> RenderableType:
    """One chair: where it stands, curves with the last value, the prediction, alarms, duties."""
    state, now = seen.state, seen.at
    head = Text(f"{clock(now, state.zone)}  {state.phase.value}")
    if state.dose.watch_from is not None:
        head.append(f"  since the dose {(now - (state.dose.first or state.dose.watch_from)) // MINUTE} min")
        given = pump.so_far(state.dose, now)
        head.append(f"  given {given:.1f} mg" if given is not None else "  given: unknown")
    rows: list[RenderableType] = [head, _curves(state, now, knowledge), *_predicted(state, now, knowledge)]
    rows += [_alarm(a, state.zone) for a in seen.alarms]
    pressing = [d for d in seen.due if d.state in PRESSING]
    rows += [Text(f"{d.state.value}: {d.step.title} ({d.step.owner})") for d in pressing[:MOST]]
    if len(pressing) > MOST:
        rows.append(Text(f"and {len(pressing) - MOST} more to do", style="dim"))
    worst = seen.alarms[0].level if seen.alarms else "low"
    title = f"{seen.session or 'session'}  {state.treatment}  {state.chair}".strip()
    return Panel(Group(*rows), title=title, border_style=STYLES[worst] if seen.alarms else "dim")


def _curves(state: State, now: int, knowledge: Knowledge) -> Table:
    table = Table.grid(padding=(0, 1))
    for name in CURVES:
        course = [(at, v) for at, v in state.track.get(name, ()) if at > now - WIDTH * MINUTE]
        last, concept = state.readings.get(name), knowledge.concepts[name]
        if last is None:
            table.add_row(concept.title, "not measured", "", "")
            continue
        unit = knowledge.content["knowledge"]["unit_display"].get(concept.unit, concept.unit)
        age = f"{(now - last.at) // MINUTE} min ago" if now - last.at >= MINUTE else "now"
        table.add_row(concept.title, f"{last.value:g} {unit}", age, curve([v for _, v in course]))
    return table


def curve(values: list[float]) -> str:
    """Values as a line of blocks, from the least to the greatest.

    >>> curve([1, 2, 3]), curve([5, 5]), curve([])
    ('▁▄█', '▁▁', '')
    """
    if not values:
        return ""
    low, span = min(values), max(values) - min(values)
    top = len(BLOCKS) - 1
    return "".join(BLOCKS[round((v - low) / span * top) if span else 0] for v in values)


def _predicted(state: State, now: int, knowledge: Knowledge) -> list[RenderableType]:
    """The predicted concentration up to now, said to be a prediction."""
    if state.dose.first is None or state.ended is not None:
        return []
    found = predicted(state, knowledge, now=now, until=now)
    if not found.t_ms:
        return [Text(f"prediction: {found.says}", style="dim")]
    shown = _each_minute(found, now)
    return [
        Text(
            f"predicted {found.substance} {found.typical[-1]:.0f} {found.unit} (not measured)  {curve(shown)}",
            style="dim",
        )
    ]


def _each_minute(found: Curve, now: int) -> list[float]:
    points = zip(found.t_ms, found.typical, strict=True)
    kept = {at // MINUTE: v for at, v in points if now - WIDTH * MINUTE < at <= now}
    return list(kept.values())


def _alarm(alarm: Alarm, zone: timedelta) -> RenderableType:
    line = Text(f" {alarm.level.upper()} ", style=STYLES[alarm.level])
    line.append(f" {alarm.title} since {clock(alarm.raised, zone)}", style="bold")
    line.append(f"  {alarm.acknowledged_by} is there" if alarm.acknowledged_by else f"  for: {alarm.to}")
    if alarm.dose:
        line.append(f"  dose: {alarm.dose}")
    return Group(line, Padding(Text(alarm.says[0]), INDENT)) if alarm.says else line


# --- a log read back --------------------------------------------------------------------------------------------------


def show_replay(replayed: Replayed, console: Console | None = None) -> None:
    """Where each session of a log stands, its alarms with times, what is due, what was missed, what was kept aside."""
    console, told = _console(console), replayed.to_dict()
    for session in told["sessions"]:
        _session(console, session)
    for loose in told["loose"]:
        console.print(Text(f" {loose['level'].upper()} ", style=STYLES[loose["level"]]), _words(loose["says"]))
    if told["held"]:
        console.print(Rule("kept aside, not lost", align="left", characters="-"))
        for held in told["held"][:MOST]:
            console.print(Padding(_words(f"- {held['where']}: {held['why']}"), INDENT))
        if len(told["held"]) > MOST:
            console.print(Padding(_words(f"and {len(told['held']) - MOST} more, see --json"), INDENT))
    timing = told["timing"]
    told_times = ", ".join(f"{count} {name.replace('_ms', ' (ms)')}" for name, count in timing.items())
    console.print(Padding(Text(f"{told_times}. Knowledge {told['knowledge']['version']}.", style="dim"), INDENT))


def _session(console: Console, session: Mapping[str, Any]) -> None:
    state = session["state"]
    name = session["session"] or "session"
    console.print(Rule(f"{name}: {state['phase']}", align="left", characters="="))
    console.print(Padding(_words(f"{session['verdict']}. {state['treatment']}, {state['events']} events."), INDENT))
    dose = state["dose"]
    if dose["first"]:
        given = "unknown" if dose["so_far_mg"] is None else f"{dose['so_far_mg']:g} mg"
        console.print(Padding(_words(f"Given {given} from {dose['first']}."), INDENT))
    _listed(console, "alarms", [_past(a) for a in session["alarms"]])
    if session["gate"]:
        open_ = session["gate"]["open"]
        missing = [i for i in session["gate"]["items"] if i["state"] != "met"]
        title = "the gate is open: a person signs" if open_ else "not before the gate is open"
        _listed(console, title, [f"{i['title']}: {i['state']}. {i['says']}" for i in missing])
    _listed(console, "after leaving early", [f"{d['title']}: {d['state']}" for d in session["duties"]])
    _listed(
        console,
        "due now",
        [f"{d['state']}: {d['title']} ({d['owner']})" for d in session["due"] if d["state"] in PRESSING],
    )
    _listed(console, "gaps", [f"{d['title']}, due {d['due']}" for d in session["gaps"]])
    _listed(console, "flags", [f"{f['at']} {f['says']}" for f in state["flags"]])
    _listed(console, "corrections", [f"{c['at']} {c['by']}: {c['reason']}" for c in session["corrections"]])


def _past(alarm: Mapping[str, Any]) -> str:
    parts = [f"{alarm['raised']} {alarm['level']}: {alarm['title']}"]
    parts += [f"to {turn['to']} {turn['at']}" for turn in alarm["turns"][1:]]
    if alarm["acknowledged"]:
        parts.append(f"acknowledged {alarm['acknowledged']} by {alarm['acknowledged_by']}")
    parts.append("stands" if alarm["standing"] else f"over {alarm['cleared']}")
    return ", ".join(parts)


def _listed(console: Console, title: str, lines: list[str]) -> None:
    if not lines:
        return
    console.print(Rule(title, align="left", characters="-"))
    for line in lines:
        console.print(Padding(_words(f"- {line}"), INDENT))


def show_readiness(found: Readiness, knowledge: Knowledge, console: Console | None = None) -> None:
    """The verdict; what is open, with the reason; what speaks against the dose; what was answered."""
    console = _console(console)
    console.print(Text(f" {found.verdict} ", style=VERDICTS.get(found.verdict, "bold")))
    open_ = [q for q in found.questions if q.open]
    _listed(console, "open", [f"{q.title}: {q.open} {q.ask}" for q in open_])
    grounds = [g for g in found.grounds if g.leads != "ELIGIBLE"]
    _listed(
        console, "speaks to the dose", [f"{g.leads}{' (hard)' if g.hard else ''}: {g.title}. {g.says}" for g in grounds]
    )
    _listed(console, "answered", [q.title for q in found.questions if not q.open])
    limits = [f"{li.entry['title']}: {li.value:g} {li.unit}" for li in found.limits]
    _listed(console, "limits of this clinic", limits)
    console.print(Padding(Text(f"Knowledge {knowledge.version}.", style="dim"), INDENT))


VERDICTS = {
    "ESCALATE": "bold white on red",
    "NOT_ELIGIBLE": "bold white on red",
    "DEFER": "bold black on yellow",
    "CAUTION": "bold black on yellow",
}


def show_stock(book: Ledger, held: Iterable[Held], now: Instant, console: Console | None = None) -> None:
    """Balance by product and lot, what does not add up, what was kept aside."""
    console = _console(console)
    table = Table("product", "lot", "in the book", "expires", box=None, pad_edge=False)
    for lot in book.lots:
        expires = "unknown" if lot.expires is None else iso(lot.expires, now.offset)[: len("2027-01-11")]
        table.add_row(lot.product, lot.lot, str(lot.balance), expires)
    console.print(table)
    _listed(console, "look into", [f"{f.says}" for f in book.flags])
    _listed(console, "kept aside, not lost", [f"{h.where}: {h.why}" for h in held])
