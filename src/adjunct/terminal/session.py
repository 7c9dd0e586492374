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

from adjunct.base import Instant, Verdict, duration_ms, iso
from adjunct.due import PRESSING, Due
from adjunct.knowledge import Knowledge
from adjunct.session import pump
from adjunct.session.alarms import LEVELS
from adjunct.session.model import Alarm, Held, State
from adjunct.session.monitoring import due_now
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
FLAT = 0.2  # layout: a range smaller than this share of its least value is not drawn as if it were large
WIDTH = 60  # layout: characters of a curve: one a minute
BESIDE = 54  # layout: characters beside a curve
MOST = 6  # layout: duties that are listed; the rest is counted
LAST = 4  # layout: things that happened, at the least
CURVES = ("systolic", "diastolic", "heart_rate", "spo2", "resp_rate")
BRIEF = {"BP": ("systolic", "diastolic"), "HR": ("heart_rate",), "SpO2": ("spo2",), "RR": ("resp_rate",)}
NOTABLE = frozenset({"phase", "raised", "turn", "acknowledged", "silenced", "sounds", "cleared", "flag", "held"})
MINUTE = duration_ms("1 min")
FRAME = duration_ms("5 s")  # layout: of the day, between two pictures of a live screen
NOWHERE = -1
STRANGE = "nobody has checked in"


def clock(ms: int, zone: timedelta) -> str:
    """The time of day, to the second."""
    return _at(iso(ms, zone))


def news_line(news: News, zone: timedelta) -> Text:
    """One thing that changed, on one line."""
    line = Text(f"{clock(news.at, zone)}  ")
    line.append_text(_words(f"{news.session or 'floor'}  ", "dim"))
    line.append(f" {news.kind.upper()} ", style=STYLES.get(news.level, "bold"))
    return line.append_text(_words(f" {news.says}"))


def run(
    ticks: Iterable[Tick], knowledge: Knowledge, *, live: bool, pace: Iterator[None], console: Console | None = None
) -> None:
    """Show a day as it runs: chairs on a terminal, one line a change anywhere else. `pace` waits between pictures."""
    console = _console(console)
    floor = _Floor(knowledge, console)
    if not live:
        for tick in ticks:
            for line in floor.take(tick):
                console.print(line, soft_wrap=True)
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as screen:
        for tick in ticks:
            if floor.take(tick) or tick.at >= floor.drawn + FRAME:
                screen.update(floor.picture(tick), refresh=True)
                next(pace, None)


class _Floor:
    """The chairs as they were last seen, and what happened. The worst alarm stands first, whatever the room."""

    def __init__(self, knowledge: Knowledge, console: Console) -> None:
        self.knowledge, self.console, self.drawn = knowledge, console, NOWHERE
        self._seen: dict[str, Seen] = {}
        self._said: list[Text] = []
        self._held: dict[str, str] = {}
        self._predicted: dict[str, tuple[int, list[RenderableType]]] = {}

    def take(self, tick: Tick) -> list[Text]:
        """What is new in a tick, as lines. What is kept aside again for the same reason is said once."""
        self._seen |= {seen.session: seen for seen in tick.seen}
        zone = next((s.state.zone for s in self._seen.values() if s.state.checked_in is not None), timedelta(0))
        lines = [news_line(n, zone) for n in tick.news if n.kind in NOTABLE and not self._repeated(n)]
        self._said += lines
        return lines

    def _repeated(self, news: News) -> bool:
        if news.kind != "held":
            return False
        before, self._held[news.session] = self._held.get(news.session), news.says
        return before == news.says

    def picture(self, tick: Tick) -> RenderableType:
        """Every chair with its alarms, whole as far as the terminal has room, in the order of how bad it is."""
        self.drawn = tick.at
        loose: list[RenderableType] = [
            _one_line((f" {x.alarm.level.upper()} {_words(x.says)} ", STYLES[x.alarm.level])) for x in tick.loose
        ]
        looked = (  # an arrival tells no duties
            s._replace(at=tick.at, due=due_now(s.state, tick.at, self.knowledge)) for s in self._seen.values()
        )
        chairs = sorted(looked, key=_how_bad, reverse=True)
        shown: list[RenderableType] = [brief(seen) for seen in chairs]
        room = self.console.height - 2 - LAST - len(loose) - sum(map(self._height, shown))
        for place, seen in enumerate(chairs):
            whole = chair(seen, self.knowledge, self.console.width, self._prediction(seen))
            more = self._height(whole) - self._height(shown[place])
            if more <= room:
                shown[place], room = whole, room - more
        rule = Rule("what happened", style="dim")
        lines = [_one_line(line) for line in self._said[-(LAST + max(room, 0)) :]]
        return Group(*loose, *shown, rule, *lines)

    def _height(self, rendered: RenderableType) -> int:
        return len(self.console.render_lines(rendered, pad=False))

    def _prediction(self, seen: Seen) -> list[RenderableType]:
        """Once a minute: a picture must not wait for a model."""
        minute, rows = self._predicted.get(seen.session, (NOWHERE, []))
        if minute != seen.at // MINUTE:
            rows = _predicted(seen.state, seen.at, self.knowledge, self.console.width)
            self._predicted[seen.session] = seen.at // MINUTE, rows
        return rows


def _one_line(*parts: Text | str | tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _how_bad(seen: Seen) -> int:
    return max((LEVELS.index(alarm.level) for alarm in seen.alarms), default=NOWHERE)


def _head(seen: Seen) -> Text:
    state, now = seen.state, seen.at
    strange = f", {STRANGE}" if state.checked_in is None and state.count else ""
    head = _one_line(f"{clock(now, state.zone)}  {state.phase.value}{strange}")
    if state.dose.watch_from is not None:
        head.append(f"  since the dose {(now - (state.dose.first or state.dose.watch_from)) // MINUTE} min")
        given = pump.so_far(state.dose, now)
        head.append(f"  given {given:.1f} mg" if given is not None else "  given: unknown")
    return head


def _name(seen: Seen) -> str:
    return _words(f"{seen.session or 'session'}  {seen.state.treatment}  {seen.state.chair}").plain.strip()


def brief(seen: Seen) -> RenderableType:
    """One chair in as few lines as will do: its alarms, and the last values."""
    rows: list[RenderableType] = [_one_line((_name(seen), "bold"), "  ", _head(seen))]
    rows += [_alarm(alarm, seen.state.zone) for alarm in seen.alarms]
    rows.append(Padding(_one_line("   ".join(_last(seen))), INDENT))
    return Group(*rows)


def _last(seen: Seen) -> Iterator[str]:
    readings, now = seen.state.readings, seen.at
    for title, names in BRIEF.items():
        found = [readings[name] for name in names if name in readings]
        values = "/".join(f"{r.value:g}" for r in found) or "not measured"
        yield f"{title} {values}{_age(min(r.at for r in found), now) if found else ''}"
    if pressing := _pressing(seen):
        yield f"{len(pressing)} to do"


def _pressing(seen: Seen) -> list[Due]:
    """What is due or overdue; where nobody looked, nothing is said."""
    return [d for d in seen.due or () if d.state in PRESSING]


def _age(at: int, now: int) -> str:
    return f" {(now - at) // MINUTE} min ago" if now - at >= MINUTE else ""


def chair(seen: Seen, knowledge: Knowledge, width: int, predicted: Iterable[RenderableType] = ()) -> RenderableType:
    """One chair: where it stands, alarms, curves with the last value, the prediction, duties."""
    rows: list[RenderableType] = [_head(seen), *(_alarm(alarm, seen.state.zone) for alarm in seen.alarms)]
    rows += [_curves(seen.state, seen.at, knowledge, width), *predicted]
    pressing = _pressing(seen)
    rows += [_words(f"{d.state.value}: {d.step.title} ({d.step.owner})") for d in pressing[:MOST]]
    if len(pressing) > MOST:
        rows.append(Text(f"and {len(pressing) - MOST} more to do", style="dim"))
    border = STYLES[seen.alarms[0].level] if seen.alarms else "dim"
    return Panel(Group(*rows), title=Text(_name(seen)), border_style=border)


def _curves(state: State, now: int, knowledge: Knowledge, width: int) -> Table:
    table = Table.grid(padding=(0, 1))
    minutes = _minutes(width)
    for name in CURVES:
        course = [v for at, v in state.track.get(name, ()) if at > now - minutes * MINUTE]
        last, concept = state.readings.get(name), knowledge.concepts[name]
        if last is None:
            table.add_row(concept.title, "not measured", "", "")
            continue
        unit = knowledge.content["knowledge"]["unit_display"].get(concept.unit, concept.unit)
        table.add_row(concept.title, f"{last.value:g} {unit}", _age(last.at, now).strip() or "now", curve(course))
    return table


def _minutes(width: int) -> int:
    """How long a curve may be beside its name, value and age."""
    return min(WIDTH, max(width - BESIDE, 1))


def curve(values: list[float]) -> str:
    """Values as a line of blocks, from the least to the greatest; what hardly moves is drawn as hardly moving.

    >>> curve([100, 200, 300]), curve([97, 98, 97]), curve([])
    ('▁▅█', '▁▁▁', '')
    """
    if not values:
        return ""
    low, top = min(values), len(BLOCKS) - 1
    span = max(max(values) - low, FLAT * abs(low))
    return "".join(BLOCKS[round((v - low) / span * top) if span else 0] for v in values)


def _predicted(state: State, now: int, knowledge: Knowledge, width: int) -> list[RenderableType]:
    """The predicted concentration up to now, said to be a prediction; nothing where no model can say."""
    if state.dose.first is None or state.ended is not None:
        return []
    found = predicted(state, knowledge, now=now, until=now)
    if not found.t_ms:
        return [_one_line(("no predicted concentration: no model holds for this dose", "dim"))]
    words = f"predicted {found.substance} {found.typical[-1]:.0f} {found.unit} (not measured)"
    return [_one_line((f"{words}  {curve(_each_minute(found, now, _minutes(width)))}", "dim"))]


def _each_minute(found: Curve, now: int, minutes: int) -> list[float]:
    points = zip(found.t_ms, found.typical, strict=True)
    return list({at // MINUTE: v for at, v in points if now - minutes * MINUTE < at <= now}.values())


def _alarm(alarm: Alarm, zone: timedelta) -> RenderableType:
    line = Text(f" {alarm.level.upper()} ", style=STYLES[alarm.level])
    line.append(f" {alarm.title} since {clock(alarm.raised, zone)}", style="bold")
    line.append_text(_words(f"  {alarm.acknowledged_by} is there" if alarm.acknowledged_by else f"  for: {alarm.to}"))
    if alarm.dose:
        line.append(f"  dose: {alarm.dose}")
    return Group(line, Padding(Text(alarm.says[0]), INDENT)) if alarm.says else line


# --- a log read back --------------------------------------------------------------------------------------------------


def show_replay(replayed: Replayed, console: Console | None = None) -> None:
    """Where each session of a log stands, the worst first: its alarms with times, what is due, what was missed; and
    what was kept aside.
    """
    console, told = _console(console), replayed.to_dict()
    for session in sorted(told["sessions"], key=_how_bad_it_is, reverse=True):
        _session(console, session)
    for loose in told["loose"]:
        console.print(Text(f" {loose['level'].upper()} ", style=STYLES[loose["level"]]), _words(loose["says"]))
    if told["held"]:
        console.print(Rule("kept aside, not lost", align="left", characters="-"))
        for held in told["held"][:MOST]:
            console.print(Padding(_words(f"- {held['where']}: {held['why']}"), INDENT))
        if len(told["held"]) > MOST:
            console.print(Padding(_words(f"and {len(told['held']) - MOST} more, see --json"), INDENT))
    if not told["sessions"] and not told["held"]:
        console.print(Padding(_words("There is no event in this log."), INDENT))
    timing = told["timing"]
    told_times = ", ".join(f"{count} {name.replace('_ms', ' (ms)')}" for name, count in timing.items())
    console.print(Padding(Text(f"{told_times}. Knowledge {told['knowledge']['version']}.", style="dim"), INDENT))


def _how_bad_it_is(session: Mapping[str, Any]) -> tuple[int, bool, int]:
    """By the worst alarm that stands, then by what is open after somebody left, then by the verdict."""
    level = max((LEVELS.index(a["level"]) for a in session["alarms"] if a["standing"]), default=NOWHERE)
    open_ = any(duty["state"] in ("open", "overdue") for duty in session["duties"])
    return level, open_, Verdict[session["verdict"]] if session["verdict"] else NOWHERE


def _stands(session: Mapping[str, Any]) -> str:
    """What the session comes to now; before the dose a person still has to look at what is open."""
    found, dose = session["verdict"], session["state"]["dose"]
    if found in (None, Verdict.ELIGIBLE.name):
        return ""
    if found == Verdict.DEFER.name and not dose["stay_counts_from"]:
        return "" if session["state"]["checked_in"] is None else f"no dose yet: {found}, see adjunct session ready"
    return f"what stands now: {found}"


def _session(console: Console, session: Mapping[str, Any]) -> None:
    state = session["state"]
    over = state["ended"] is not None
    phase = state["phase"] if state["checked_in"] else STRANGE
    console.print(Rule(_words(f"{session['session'] or 'session'}: {phase}"), align="left", characters="="))
    since = state["checked_in"] or state["last_event"] or ""
    words = [f"{since[: len('2027-01-11')]}, times UTC{since[-len('+01:00') :]}"] if since else []
    words += [state["treatment"], f"{state['events']} event{'s' if state['events'] > 1 else ''}", _stands(session)]
    console.print(Padding(_words(", ".join(filter(None, words)) + "."), INDENT))
    dose = state["dose"]
    if dose["first"]:
        given = "unknown" if dose["so_far_mg"] is None else f"{dose['so_far_mg']:.4g} mg"
        console.print(Padding(_words(f"Given {given} from {_at(dose['first'])}."), INDENT))
    _listed(console, "alarms", [_past(a) for a in session["alarms"]])
    if session["gate"] and not over:
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
    _listed(console, "gaps", [f"{_at(d['due'])} {d['title']}" for d in session["gaps"]])
    _listed(console, "flags", [f"{_at(f['at'])} {f['says']}" for f in state["flags"]])
    _listed(console, "corrections", [f"{_at(c['at'])} {c['by']}: {c['reason']}" for c in session["corrections"]])


def _at(instant: str) -> str:
    """The time of day of an instant, to the second."""
    return instant[len("2027-01-11T") : len("2027-01-11T09:00:00")]


def _past(alarm: Mapping[str, Any]) -> str:
    parts = [f"{_at(alarm['raised'])} {alarm['level']}: {alarm['title']}"]
    parts += [f"to {turn['to']} {_at(turn['at'])}" for turn in alarm["turns"][1:]]
    if alarm["acknowledged"]:
        parts.append(f"acknowledged {_at(alarm['acknowledged'])} by {alarm['acknowledged_by']}")
    parts.append("stands" if alarm["standing"] else f"over {_at(alarm['cleared'])}")
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
        table.add_row(_words(lot.product), _words(lot.lot), str(lot.balance), expires)
    console.print(table)
    _listed(console, "look into", [f"{f.says}" for f in book.flags])
    _listed(console, "kept aside, not lost", [f"{h.where}: {h.why}" for h in held])
