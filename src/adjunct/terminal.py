"""An assessment on a terminal: what, what to do, why, how sure; sources on request. Words carry what colour shows."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule as Line
from rich.text import Text

from adjunct.assessment.result import Assessment, Contact, Finding, Gap

STYLES = {
    "emergency": "bold white on red",
    "ESCALATE": "bold white on red",
    "contraindicated": "bold red",
    "NOT_ELIGIBLE": "bold red",
    "avoid": "bold yellow",
    "DEFER": "bold yellow",
    "incomplete": "bold yellow",
    "caution": "bold cyan",
    "CAUTION": "bold cyan",
}
INDENT = (0, 0, 0, 2)  # layout
DEEPER = (0, 0, 0, 4)  # layout
WIDEST = 100  # layout: longer lines are hard to read


def show(result: Assessment, *, sources: bool, console: Console | None = None) -> None:
    """Print to standard output; `NO_COLOR`, pipes and narrow terminals are rich's own business."""
    console = console or Console(highlight=False, soft_wrap=False)
    console.width = min(console.width, WIDEST)
    word = result.verdict.replace("_", " ").upper()
    console.print(Text(f" {word} ", style=STYLES.get(result.verdict, "bold")), _words(result.headline["says"]))
    for contact in result.contacts:
        _contact(console, contact)
    asking = [g for g in result.gaps if g.blocks]
    if asking:
        console.print(Line("needed before an answer", align="left", characters="-"))
        for gap in asking:
            _gap(console, gap)
    acting = [f for f in result.findings if f.action != "inform"]
    knowing = [f for f in result.findings if f.action == "inform"]
    if acting:
        console.print(Line("what was found", align="left", characters="-"))
        for finding in acting:
            _finding(console, finding, sources=sources)
    if knowing:
        console.print(Line("good to know", align="left", characters="-"))
        for finding in knowing:
            if sources:
                _finding(console, finding, sources=True)
            else:
                _note(console, finding)
    later = [g for g in result.gaps if not g.blocks]
    if later:
        console.print(Line("also ask", align="left", characters="-"))
        for gap in later:
            console.print(Padding(_words(f"- {gap.ask or gap.why}"), INDENT))
    when = f" at {result.at}" if result.at else ""
    console.print(Text(f"Knowledge {result.knowledge['version']} of {result.knowledge['as_of']}{when}.", style="dim"))


def _words(text: str, style: str = "") -> Text:
    """Words of a record may hold what moves the cursor or turns a line around: only what can be read is shown."""
    return Text("".join(c if c.isprintable() else " " for c in text), style=style)


def _contact(console: Console, contact: Contact) -> None:
    console.print(Padding(Text(contact.text, style="bold"), INDENT))


def _gap(console: Console, gap: Gap) -> None:
    console.print(Padding(Text.assemble("- ", _words(gap.why), " ", _words(gap.ask, "bold")), INDENT))


def _note(console: Console, finding: Finding) -> None:
    """What needs no action, in one paragraph; `--sources` shows the rest."""
    console.print(Padding(Text.assemble((f"{finding.title}. ", "bold"), finding.tell or finding.says), INDENT))


def _finding(console: Console, finding: Finding, *, sources: bool) -> None:
    head = Text(f"{finding.title}", style="bold")
    head.append(f"  [{finding.severity}, {finding.action}, {finding.urgency}]", style=STYLES.get(finding.verdict, ""))
    console.print(Padding(head, INDENT))
    for dependence in finding.only_if:
        kinds = " or ".join(dependence["is"])
        console.print(Padding(_words(f"if {dependence['reference']} is {kinds}:", "italic"), INDENT))
    console.print(Padding(Text(finding.says), DEEPER))
    if finding.tell and finding.tell != finding.says:
        console.print(Padding(Text.assemble(("For the person: ", "italic"), finding.tell), DEEPER))
    if finding.why:
        console.print(Padding(Text(f"Why: {finding.why}"), DEEPER))
    console.print(Padding(Text(f"How sure: grade {finding.grade}, {finding.certainty}.", style="dim"), DEEPER))
    for source in finding.disputed:
        console.print(Padding(Text(f"Disputed: {source.says} ({source.citation})"), DEEPER))
    if sources:
        for source in finding.sources:
            where = f", {source.locator}" if source.locator else ""
            console.print(Padding(Text(f"Source: {source.citation}{where} ({source.read_as})"), DEEPER))
        for reason in finding.because:
            value = " ".join(p for p in (reason.value, reason.unit) if p)
            said = f"Because: {reason.reference} {reason.concept} {value} {reason.at}".rstrip()
            console.print(Padding(_words(said), DEEPER))
