"""Answers on a terminal: what, what to do, why, how sure; sources on request. Words carry what colour shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule as Line
from rich.table import Table
from rich.text import Text

from adjunct.assessment.exposure import in_words
from adjunct.assessment.result import Assessment, Contact, Finding, Gap
from adjunct.documents.plots import dose_words

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
    for pair in finding.exposure:
        console.print(Padding(_words(in_words(pair)), DEEPER))
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


# --- exposure ---------------------------------------------------------------------------------------------------------

METRICS = {
    "cmax": "highest level",
    "tmax": "time of the highest level",
    "auc_inf": "exposure, all of it (AUC)",
    "auc_last": "exposure in the time shown (AUC)",
    "half_life": "half-life",
    "time_above": "time above the level asked for",
    "metabolite_ratio": "metabolite to parent (AUC)",
    "cmax_ss": "highest level, repeated for ever",
    "ctrough_ss": "level before each dose, repeated for ever",
    "auc_tau_ss": "exposure of one interval, repeated for ever (AUC)",
    "accumulation": "accumulation: how much more than one dose",
}
NOT_KNOWN = "not published"
SHOWN_DIGITS = 3  # significant digits: no model is surer than that
THOUSAND = 1000
DAY_H = 24
HOUR_MIN = 60


def _console(console: Console | None) -> Console:
    console = console or Console(highlight=False, soft_wrap=False)
    console.width = min(console.width, WIDEST)
    return console


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return NOT_KNOWN
    text = f"{value:.{SHOWN_DIGITS}g}" if abs(value) < THOUSAND else f"{value:,.0f}"
    return f"{text} {unit}".strip()


def show_exposure(exposure: Mapping[str, Any], console: Console | None = None) -> None:
    """What the models predict: the envelope first, then each model; what refused and why."""
    console = _console(console)
    console.print(
        Text("Predicted, not measured. ", style="bold"),
        _words(f"{exposure['drug']}, {dose_words(exposure['dose'])}, {exposure['route']}."),
    )
    for name, analyte in exposure["analytes"].items():
        console.print(Line(name, align="left", characters="-"))
        for metric, words in METRICS.items():
            found = analyte["metrics"].get(metric)
            if found:
                unit = "" if found["unit"] == "1" else found["unit"]
                said = f"{words}: {_lasting(found['typical'], unit)}{_spread(found, unit)}{_people(found, unit)}"
                console.print(Padding(_words(said), INDENT))
    console.print(Line("models", align="left", characters="-"))
    for entry in exposure["models"]:
        console.print(Padding(_words(f"{entry['id']}: {entry.get('population', '')}"), INDENT))
        for gap in entry.get("gaps", ()):
            console.print(Padding(_words(f"Gap: {gap}", "dim"), DEEPER))
        for note in entry.get("notes", ()):
            console.print(Padding(_words(f"Note: {note}", "dim"), DEEPER))
    elsewhere = [r["model"] for r in exposure["refused"] if r["why"].startswith("route ")]
    for refused in exposure["refused"]:
        if refused["model"] not in elsewhere:
            console.print(Padding(_words(f"not used: {refused['model']}: {refused['why']}", "dim"), INDENT))
    if elsewhere:
        console.print(Padding(_words(f"not used, other routes only: {', '.join(elsewhere)}", "dim"), INDENT))
    if len(exposure["models"]) == 1 and exposure["n"] is None:
        alone = "One model, and nobody published how people differ: the true range is not known."
        console.print(Padding(_words(alone, "bold"), INDENT))
    elif exposure["n"]:
        console.print(
            Padding(_words(f"{exposure['n']} people simulated for each model that says how they differ."), INDENT)
        )
    edition = exposure["knowledge"]
    console.print(Text(f"Knowledge {edition['version']} of {edition['as_of']}.", style="dim"))


def _lasting(value: float | None, unit: str) -> str:
    """A number with its unit; short times as minutes."""
    if value is not None and unit == "h" and value < 2:
        return f"{value * HOUR_MIN:.0f} min"
    return _number(value, unit)


def _between(low: float | None, high: float | None, unit: str, words: str, join: str) -> str:
    """Two limits with their unit; nothing where there are none, or both read the same."""
    if low is None or high is None or _lasting(low, unit) == _lasting(high, unit):
        return ""
    if unit == "h" and high < 2:
        low, high, unit = round(low * HOUR_MIN), round(high * HOUR_MIN), "min"
    return f"; {words} {_number(low)} {join} {_number(high, unit)}"


def _people(metric: Mapping[str, Any], unit: str) -> str:
    return _between(metric["p5"], metric["p95"], unit, "90 % of people between", "and")


def _spread(metric: Mapping[str, Any], unit: str) -> str:
    return _between(metric.get("low"), metric.get("high"), unit, "between the models", "to")


def show_ratio(ratio: Mapping[str, Any], console: Console | None = None) -> None:
    """What is known of one exposure ratio: measured first, predicted beside it, why, and what it does not say."""
    console = _console(console)

    def line(words: str, place: tuple[int, int, int, int] = INDENT, style: str = "") -> None:
        console.print(Padding(_words(words, style), place))

    others = " + ".join(ratio["perpetrators"])
    console.print(Text.assemble((f"{ratio['victim']} ({ratio['victim_route']}) with {others}", "bold")))
    if ratio["analyte"] != ratio["victim"]:
        line(f"What is asked for: {ratio['analyte']}.")
    seen = ratio["observed"]
    for n, arm in enumerate(seen):
        line(f"Measured in people: {_times(arm)}")
        given = [arm["regimen"], arm["phenotype"], f"{arm['n']} people" if arm["n"] else ""]
        if any(given):
            line(", ".join(filter(None, given)), DEEPER)
        if n + 1 == len(seen) or seen[n + 1]["source"]["id"] != arm["source"]["id"]:  # once for all arms of one study
            line(arm["source"]["citation"], DEEPER, "dim")
    predicted = ratio["predicted"]
    if predicted and predicted["auc_ratio"] is not None:
        line(f"Predicted: {_times(predicted)}")
        line(f"gut x{_number(predicted['gut'])}, liver x{_number(predicted['hepatic'])}", DEEPER)
    elif predicted and predicted["ceiling"] is not None:
        line(f"Not studied; the mechanism ends at x{_number(predicted['ceiling'])}.")
    moiety = ratio["active_moiety"]
    if moiety:
        if moiety["auc_ratio"] is not None:
            line(f"What acts, {moiety['name']}: {_times(moiety)}")
        for part in moiety["of"]:
            line(f"{part['id']}: x{_number(part['auc_ratio'])}, predicted", DEEPER)
    course = ratio["time_course"]
    if course:
        line(f"Full effect after {_hours(course['onset_h'])}; gone {_hours(course['offset_h'])} after stopping.")
    for why in ratio["why"]:
        line(f"- {why}")
    for missing in ratio["missing"]:
        line(f"- not known: {missing}")
    console.print(Text(f"Basis: {ratio['basis']}; prediction {ratio['validity']}.", style="dim"))


def _times(ratio: Mapping[str, Any]) -> str:
    text = f"x{_number(ratio['auc_ratio'])} (AUC)"
    if ratio.get("low") is not None:
        text += f", {ratio['interval_kind'] or 'interval'} {_number(ratio['low'])} to {_number(ratio['high'])}"
    return text


def _hours(hours: float | None) -> str:
    if hours is None:
        return "a time that is not known"
    return f"{hours:.0f} h" if hours < 2 * DAY_H else f"{hours / DAY_H:.0f} days"


def show_checks(checks: Sequence[Mapping[str, Any]], console: Console | None = None) -> None:
    """Every published figure beside what the model gives; misses first."""
    console = _console(console)
    table = Table("", "model", "figure", "published", "here", "off by")
    for check in checks:
        table.add_row(
            check["status"],
            check["model"],
            f"{check['analyte']} {check['metric']}, {check['id']}",
            _number(check["published"], check["unit"]),
            _number(check["predicted"]),
            "" if check["percent"] is None else f"{check['percent']:+.1f} %",
        )
    console.print(table)
    missed = sum(c["status"] != "ok" for c in checks)
    console.print(Text(f"{len(checks)} published figures; {missed} are not met.", style="bold"))


def show_models(models: Sequence[Mapping[str, Any]], console: Console | None = None) -> None:
    """The published models, drug by drug: what each is of, by which routes, how far its paper was read."""
    console = _console(console)
    for drug in dict.fromkeys(entry["drug"] for entry in sorted(models, key=lambda m: str(m["drug"]))):
        console.print(Line(drug, align="left", characters="-"))
        for entry in (m for m in models if m["drug"] == drug):
            routes = ", ".join(r["name"] for r in entry.get("route", ())) or "no curve: see its gaps"
            console.print(Padding(Text.assemble((entry["id"], "bold"), f" ({routes})"), INDENT))
            console.print(Padding(_words(f"{entry['title']} [{entry['read_as']}, {entry['status']}]"), DEEPER))


def show_model(entry: Mapping[str, Any], sources: Mapping[str, Any], console: Console | None = None) -> None:
    """One model: what it says of whom, every number with its unit and place, what is wrong or missing."""
    console = _console(console)
    console.print(Text(entry["title"], style="bold"))
    console.print(_words(f"{sources[entry['source']].citation} ({entry['read_as']}: {entry['read_note']})"))
    console.print(_words(f"People: {entry['population']}"))
    table = Table("parameter", "value", "unit", "place", "note")
    for parameter in entry.get("parameter", ()):
        table.add_row(
            parameter["name"],
            f"{parameter['value']:g}",
            parameter["unit"],
            parameter["locator"],
            parameter.get("note", ""),
        )
    console.print(table)
    for kind in ("errata", "gaps"):
        for text in entry.get(kind, ()):
            console.print(Padding(_words(f"{kind}: {text}"), INDENT))
