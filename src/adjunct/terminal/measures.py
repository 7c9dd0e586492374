"""Scores, messages, courses and safety plans on a terminal: what is certain first, then what is open, then how sure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule as Line
from rich.table import Table
from rich.text import Text

from adjunct.instruments import Score
from adjunct.knowledge import Knowledge
from adjunct.messages import Message
from adjunct.terminal.answers import DEEPER, INDENT, _console, _words

if TYPE_CHECKING:
    from adjunct.followup import FollowUp

LEVELS = {
    "suicide": "bold white on red",
    "HIGH": "bold white on red",
    "UNFINISHED": "bold white on red",
    "emergency": "bold white on red",
    "urgent": "bold red",
    "same-day": "bold red",
    "red": "bold red",
    "review": "bold yellow",
    "amber": "bold yellow",
    "routine": "bold yellow",
}
RISK = {
    "HIGH": "HIGH",
    "MODERATE": "moderate",
    "LOW": "low",
    "NONE": "none found by the last screen",
    "UNFINISHED": "unfinished: treated as HIGH until the screen is finished",
    "UNKNOWN": "not known: ask the suicide screener",
}


def show_score(result: Score, knowledge: Knowledge, console: Console | None = None) -> None:
    """What must be acted on, then total and band, then what is missing, then how sure and from where."""
    console = _console(console)
    for said in result.says:
        console.print(Text(f" {said.level.upper()} ", style=LEVELS.get(said.level, "bold")), _words(said.says))
        if said.tell:
            console.print(Padding(Text.assemble(("For the person: ", "italic"), said.tell), DEEPER))
        if said.ask:
            console.print(Padding(Text(f"Give next: {knowledge.instruments[said.ask]['title']}", "bold"), DEEPER))
    console.print(Text.assemble((result.title, "bold"), f": {_total(result)}"))
    for name, value in result.subscales.items():
        console.print(Padding(Text(f"{name}: {'unknown' if value is None else _number(value)}"), INDENT))
    if len(set(result.bands.values())) > 1:
        each = "; ".join(f"{form}: {band or 'unknown'}" for form, band in result.bands.items())
        console.print(Padding(Text(f"The band depends on the form: {each}."), INDENT))
    if result.reason:
        console.print(Padding(_words(result.reason), INDENT))
    if result.at_least:
        console.print(Padding(Text(f"Whatever the open answers are: at least {result.at_least}."), INDENT))
    notes = [a for a in result.alerts if a not in {s.alert for s in result.says}]
    if notes:
        console.print(Padding(Text("Note: " + ", ".join(note.replace("_", " ") for note in notes) + "."), INDENT))
    cited = list(dict.fromkeys(knowledge.sources[s.id].citation for s in result.sources))
    more = f" And {len(cited) - 1} more sources: --json." if len(cited) > 1 else ""
    sure = f"How sure: scoring {result.confidence}. {''.join(cited[:1])}{more}"
    console.print(Padding(Text(sure, style="dim"), INDENT))


def _total(result: Score) -> str:
    if result.total is None:
        return "no total" if result.band in (None, "unscorable") else str(result.band)
    scale = [f"{result.range[0]:g} to {result.range[1]:g}"] if result.range else []
    scale += {"worse": ["higher is worse"], "better": ["higher is better"]}.get(result.direction, [])
    scale += [f"asked about: {result.recall}"] if result.recall else []
    words = f" ({', '.join(scale)})" if scale else ""
    return f"{_points(result.total)}{words}" + (f": {result.band}" if result.band else "")


def _points(value: float) -> str:
    return f"{value:g} point" if value == 1 else f"{value:g} points"


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
    word = "NOTHING RECOGNISED" if result.level == "none" else result.level.upper()
    console.print(Text(f" {word} ", style=LEVELS.get(result.level, "bold")), _words(result.tell))
    for hit in result.hits:
        how = f" ({', '.join(hit.context)})" if hit.context else ""
        console.print(
            Padding(_words(f"{hit.flag.replace('_', ' ')} [{hit.level}]: \u201c{hit.words}\u201d{how}"), INDENT)
        )
    if result.asks:
        console.print(
            Padding(Text("Give next: " + ", ".join(result.asks) + " (adjunct questionnaire shows it)"), INDENT)
        )
    console.print(Padding(Text("A list of words, read by a machine: it raises, it never clears.", style="dim"), INDENT))


# --- the follow-up of one person --------------------------------------------------------------------------------------

MOST = 6  # entries of one kind that are listed; the rest is counted
HOLDS = ("no", "unknown", "yes")
ASKED = (
    ("response", "response"),
    ("remission", "remission"),
    ("target", "target"),
    ("reliable_change", "reliable change"),
)
URGED = {"red": "ACT", "UNKNOWN": "ASK NOW", "UNFINISHED": "UNFINISHED, AS HIGH"}
PROVEN = ("HIGH", "MODERATE", "LOW")
STANDING = {"overdue": "OVERDUE", "due": "due", "open": "open"}
LATE = {"overdue": "bold red", "due": "bold yellow"}
Json = Mapping[str, Any]


def show_follow_up(found: Json, console: Console | None = None) -> None:
    """What must be acted on and what to do; risk, with who does what by when; the scores; what is due; how sure."""
    console = _console(console)
    page = _Page(console, datetime.fromisoformat(found["at"]))
    page.say(f"Follow-up at {page.when(found['at'], always=True)}", "bold")
    _alerts(page, found)
    _risk(page, found)
    _scores(page, found)
    _signals(page, found)
    _due(page, found)
    _beside(page, found)
    _open(page, found)
    edition = found["knowledge"]
    page.head("how sure")
    page.say(
        "Scores: as answered. State and change: the definitions named. Signals: a model, tested on simulated people."
    )
    page.say("A list like this says what was recorded; what nobody recorded it cannot know.")
    page.say(f"Knowledge {edition['version']} of {edition['as_of']}. Sources: --json.", "dim")


class _Page:
    """Lines at one indentation, headings, and times as the clock of the question shows them."""

    def __init__(self, console: Console, now: datetime) -> None:
        self.console, self.now = console, now

    def head(self, words: str) -> None:
        self.console.print(Line(words, align="left", characters="-"))

    def say(self, words: str, style: str = "", place: tuple[int, int, int, int] = INDENT) -> None:
        self.console.print(Padding(_words(words, style), place))

    def more(self, words: str, style: str = "") -> None:
        self.say(words, style, DEEPER)

    def mark(self, word: str, words: str, style: str) -> None:
        self.console.print(Text(f" {word} ", style=style), _words(words))

    def when(self, text: str | None, *, always: bool = False, hour: bool = True) -> str:
        """An instant as day and hour; the year where it is not this one's."""
        if not text:
            return "a date that is not known"
        local = datetime.fromisoformat(text).astimezone(self.now.tzinfo)
        year = f" {local.year}" if always or local.year != self.now.year else ""
        return f"{local.day} {local:%b}{year}" + (f" {local:%H:%M}" if hour else "")

    def listed(self, lines: Sequence[str], what: str) -> None:
        for line in lines[:MOST]:
            self.say(f"- {line}")
        if len(lines) > MOST:
            self.say(f"- and {len(lines) - MOST} more {what}: --json")


def _alerts(page: _Page, found: Json) -> None:
    """The gravest first, each once: what it is, who must do what by when, what the person is told."""
    if not found["alerts"]:
        page.say("Nothing on record asks for action at once. That is no all-clear.", "bold")
    for alert in found["alerts"]:
        word = URGED.get(alert["level"], str(alert["level"]).upper())
        steps = [step for step in found["risk"]["worklist"] if _asked_by(step, alert)]
        says = (
            alert["says"].partition(". ")[0].rstrip(".") + "." if steps else alert["says"]
        )  # the steps stand below it
        page.mark(word, says, LEVELS.get(alert["level"], "bold red"))
        page.more(f"Since {page.when(alert['since'])}.")
        for step in steps:
            _step(page, step, DEEPER)
        page.more(f"For the person: {alert['tell']}")
    told = {alert["id"] for alert in found["alerts"]}
    for finding in found["findings"]:
        if finding["action"] != "inform" and finding["id"] not in told:
            page.mark(finding["urgency"].upper(), finding["says"], LEVELS["review"])
            if finding["tell"]:
                page.more(f"For the person: {finding['tell']}")


def _asked_by(step: Json, alert: Json) -> bool:
    """Whether a step of the worklist belongs to the concern behind an alert."""
    return str(alert["id"]) == f"risk:{str(step['id']).rpartition('/')[0]}"


def _risk(page: _Page, found: Json) -> None:
    risk = found["risk"]
    page.head("suicide risk")
    level = RISK.get(risk["level"], risk["level"])
    least = (
        f"; at least {RISK[risk['at_least']]}"
        if risk["at_least"] in PROVEN and risk["at_least"] != risk["level"]
        else ""
    )
    page.say(f"Level: {level}{least}.", LEVELS["suicide"] if risk["level"] == "HIGH" else "bold")
    if risk["history"]:
        page.say("Suicidal behaviour in the past is known: a standing risk at every visit.")
    for step in risk["worklist"]:
        if not any(_asked_by(step, alert) for alert in found["alerts"]):
            _step(page, step, INDENT)
    page.say("The person is told: " + " ".join(risk["told"]["lines"]))
    for contact in risk["told"]["contacts"]:
        page.more(contact["text"])
    page.listed([f"{flag['why']} ({flag['event']})" for flag in risk["flags"]], "flags")


def _step(page: _Page, step: Json, place: tuple[int, int, int, int]) -> None:
    """Who must do what, until when."""
    said = Text(STANDING.get(step["state"], str(step["state"])), style=LATE.get(step["state"], ""))
    said.append_text(_words(f"  {step['owner']}: {step['title']} (due {page.when(step['due'])})"))
    page.console.print(Padding(said, place))


def _scores(page: _Page, found: Json) -> None:
    """One line an instrument: before, now, change, state; under it which definitions say so."""
    page.head("scores")
    if not found["courses"]:
        page.say("No score is on record.")
    leading = (found["trajectory"] or {}).get("instrument")
    for name in sorted(found["courses"], key=lambda n: (n != leading, n)):
        _score_line(page, found["courses"][name])
    if found["why_no_trajectory"]:
        page.say(f"No course is estimated: {found['why_no_trajectory']}.")
    for why in (found["trajectory"] or {}).get("unknown", ()):
        page.say(f"- not known: {why}")


def _score_line(page: _Page, course: Json) -> None:
    latest, known = course["latest"], [p for p in course["series"] if p["value"] is not None]
    before, now = course["baseline"]["value"], latest["value"] if latest else None
    first = "no score before the first dose" if before is None else f"{before:g} before the first dose"
    if latest is None or now is None:
        last = f", the last known {known[-1]['value']:g} of {page.when(known[-1]['at'], hour=False)}" if known else ""
        last = f"no score since{last}" if latest is None else f"the newest score is not known{last}"
    else:
        last = f"{now:g} on {page.when(latest['at'], hour=False)}{_change(course)}"
    state = course["state"] or course["last_known"]
    line = Text.assemble(
        (course["title"], "bold"), f": {first}, {last}", (f"; {state['name']}" if state else "", "bold")
    )
    page.console.print(Padding(line, INDENT))
    judged = [_judged(j, words) for id_, words in ASKED for j in course["judgements"] if j["id"] == id_ and j["chosen"]]
    if judged:
        page.more("; ".join(judged))
    base = course["baseline"]
    if base["why"] and base["values"]:
        page.more(f"Before the first dose: {base['why']}")
    for why, count in Counter(out["why"] for out in course["left_out"]).items():
        page.more(f"Not used, {count}: {why}")


def _change(course: Json) -> str:
    """The change since before the first dose, in points and per cent, and which way it went."""
    values = {f["id"]: f["value"] for f in course["figures"]}
    raw, better, percent = (values.get(name) for name in ("raw_change", "improvement", "percent_change"))
    if raw is None:
        return ""
    share = "" if percent is None else f" ({abs(percent):.0f} %)"
    if not better:
        return ", no change" if raw == 0 else f", change {raw:+g} points"
    return f", {_points(abs(raw))} {'better' if better > 0 else 'worse'}{share}"


def _judged(judgement: Json, words: str) -> str:
    variant = f" ({judgement['variant']})" if judgement["variant"] else ""
    return f"{words}: {HOLDS[judgement['holds']]}{variant}" + (f", {judgement['why']}" if judgement["why"] else "")


def _signals(page: _Page, found: Json) -> None:
    if found["signals"]:
        page.head("what the course suggests")
    notes = {note["id"]: note["title"] for note in found["context"]}
    for signal in found["signals"]:
        page.mark(signal["level"].upper(), f"{signal['title']}. {signal['says']}", LEVELS.get(signal["level"], "bold"))
        rate = signal["false_alarms_per_person_year"]
        if rate is not None:
            page.more(f"How sure: {rate:g} false alarms in a year of a simulated person.")
        beside = dict.fromkeys(notes[name] for name in signal["beside"] if name in notes)
        if beside:
            page.more(f"At that time: {', '.join(beside)}. That adds; it takes nothing back.")


def _due(page: _Page, found: Json) -> None:
    """What is due or overdue, by domain, the longest waiting first; check-ins among them."""
    pressing = [s for s in (*found["surveillance"]["due"], *found["checkins"]) if s["state"] in LATE]
    missed = [c for c in found["checkins"] if c["state"] == "missed"]
    page.head("due")
    if not pressing:
        page.say("Nothing that is planned here is due.")
    for domain in dict.fromkeys(step["domain"] for step in pressing):
        page.say(domain, "bold")
        for step in (s for s in pressing if s["domain"] == domain):
            last = (
                f", last {page.when(step['last'], hour=False)}"
                if step.get("last")
                else ", never done"
                if "last" in step
                else ""
            )
            because = f"; sooner because: {step['because']}" if step.get("because") else ""
            since = f"(since {page.when(step['due'], hour=False)}{last})"
            said = Text(STANDING[step["state"]], style=LATE[step["state"]])
            said.append_text(_words(f"  {step['title']}, by {step['owner']} {since}{because}"))
            page.console.print(Padding(said, DEEPER))
    if missed:
        page.say(f"Check-ins missed: {len(missed)}, the last of {page.when(missed[-1]['due'], hour=False)}.")
    page.listed(list(found["surveillance"]["open"]), "questions")


def _beside(page: _Page, found: Json) -> None:
    exposure = found["surveillance"]["exposure"]
    page.head("treatment so far")
    if not exposure["doses"]:
        page.say("No dose is on record.")
    else:
        possibly = f", possibly {exposure['possibly']} more" if exposure["possibly"] else ""
        since = _span(exposure["days_since_last"], "d")
        rate = _span(exposure["per_week"], "a week")
        page.say(f"{exposure['doses']} doses{possibly}; the last {since} ago; lately {rate}.")
    for amount in exposure["amounts"]:
        most = "an unknown amount" if amount["most_mg"] is None else f"{amount['most_mg']:g} mg"
        total = (
            most if amount["most_mg"] == amount["least_mg"] else f"at least {amount['least_mg']:g} mg, at most {most}"
        )
        page.more(f"{amount['substance']}, {amount['route']}: {amount['given']} times, {total} in all")
    notes = [n for n in found["context"] if n["kind"] not in ("dose", "missed", "sleep")]
    if notes:
        page.head("what else happened")
        page.listed([f"{page.when(n['from'], hour=False)}: {n['title']}" for n in reversed(notes)], "notes")


def _span(ends: Sequence[float] | None, unit: str) -> str:
    if ends is None:
        return "a time that is not known"
    low, high = (f"{end:.1f}".removesuffix(".0") for end in ends)
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _open(page: _Page, found: Json) -> None:
    if found["gaps"] or found["problems"]:
        page.head("not known")
    page.listed([f"{gap['why']} {gap['ask']}" for gap in found["gaps"]], "gaps")
    page.listed([f"{p['reference']}: {p['what']}. {p['ask']}" for p in found["problems"]], "problems")


def show_safety_plan(result: FollowUp, console: Console | None = None) -> None:
    """The person's own plan, the numbers first, as it would be printed."""
    console = _console(console)
    for line in result.safety_plan_text().splitlines():
        console.print(_words(line))
