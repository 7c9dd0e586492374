"""The person's report as sheets, and all of a person's sheets as files: as web pages, as PDF, together or not at all.

Verdict and why, whom to call, medicines in the words of the record, visits, routine, answers over time, next steps, and
how sure all of it is. What is not known is said; a text that exists only in English is marked where the page is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from adjunct.assessment.result import Assessment, Contact, Finding
from adjunct.base import UNKNOWN, BadInput, Instant
from adjunct.documents.drawings import dots
from adjunct.documents.page import page
from adjunct.documents.pdf import A4, pdf
from adjunct.documents.writing import written
from adjunct.due import Due, State
from adjunct.followup import FollowUp
from adjunct.instruments.course import Course
from adjunct.instruments.ratings import Measured
from adjunct.knowledge import Knowledge
from adjunct.planning.model import CarePlan, Status, Visit
from adjunct.record import Intake, Record
from adjunct.record.draft import PAST
from adjunct.sheet import ENGLISH, Line, Part, Sheet, cited, day, how_sure, line, moment

FORMATS = ("html", "pdf")
PRIVATE = 0o700  # layout: a folder with an answer about a person is its owner's
MG_PER_G = 1000  # unit: milligrams a gram
EMERGENCY = "emergency"
OPEN = "open"  # the steps of a plan that close what is open
PROJECT = "project-default"


def report_sheets(
    knowledge: Knowledge,
    *,
    language: str,
    zone: str,
    at: Instant,
    assessment: Assessment | None = None,
    record: Record | None = None,
    plan: CarePlan | None = None,
    follow: FollowUp | None = None,
    routine: Sheet | None = None,
    steps: Sequence[Due] = (),
    contacts: Sequence[Contact] = (),
) -> tuple[Sheet, ...]:
    """The report, and the routine as a sheet of its own where there is one. `steps`: what is to be done, as `due` says.

    `contacts`: lines to call beside those of the assessment; `zone`: of the clinic, for every time that is shown.
    """
    say = Words(knowledge, language, zone)
    spoken = plan.language if plan else ENGLISH
    parts = [
        *say.urgent(assessment, plan),
        say.standing(assessment),
        say.contacts(
            [*(assessment.contacts if assessment else ()), *contacts, *(follow.told.contacts if follow else ())]
        ),
        *say.why(assessment, plan, spoken),
        say.next(steps, spoken),
        *say.course(plan),
        *(say.medicines(record) if record else ()),
        *say.spans(plan),
        *say.trend(follow),
        say.how_sure(),
    ]
    report = Sheet(
        id="report",
        title=say.text("report.title"),
        language=language,
        lead=(say.line("report.lead"),),
        parts=tuple(parts),
        meta=made_of(knowledge, language, zone, at, plan),
    )
    return (report, routine) if routine else (report,)


def made_of(knowledge: Knowledge, language: str, zone: str, at: Instant, plan: CarePlan | None) -> Mapping[str, str]:
    """When a sheet was made, and from which editions of knowledge, plan and protocol."""
    made = {"made": f"{moment(at.ms, zone, language)} ({zone})", "knowledge": f"{knowledge.version}, {knowledge.as_of}"}
    if plan:
        made |= {"plan": str(plan.version), "protocol": f"{plan.protocol} {plan.protocol_version}"}
    return made


@dataclass(frozen=True, slots=True)
class Words:
    """What the report says, part by part, in one language and with the times of one zone."""

    knowledge: Knowledge
    language: str
    zone: str

    def line(self, name: str, /, **words: str) -> Line:
        """A fixed line by its place in `documents.toml`."""
        texts = self._texts(name)
        return Line(text=self.knowledge.say(texts[self.language], self.language, **words), language=self.language)

    def text(self, name: str, /, **words: str) -> str:
        return self.line(name, **words).text

    def _texts(self, name: str) -> Any:
        found: Any = self.knowledge.content["documents"]
        for key in name.split("."):
            found = found[key]
        return found

    def _own(self, text: str) -> Line:
        """Words that are already in the reader's language, or belong to none: days, names, numbers."""
        return Line(text=text, language=self.language)

    def _name(self, text: str) -> Line:
        """Words of the knowledge that exist in English only; a bare number belongs to no language."""
        return Line(text=text) if any(c.isalpha() for c in text) else self._own(text)

    def _head(self, name: str) -> tuple[str, ...]:
        return tuple(text[self.language] for text in self._texts(name))

    # --- the answer -------------------------------------------------------------------------------------------------

    def urgent(self, assessment: Assessment | None, plan: CarePlan | None) -> Iterator[Part]:
        """What cannot wait, before all else."""
        found = [self._finding(f) for f in _findings(assessment) if f.action == EMERGENCY]
        found = [self.line("report.now_call"), *found] if found else found
        told = {f.text for f in found}
        found += [Line(text=text, language=plan.language) for text in plan.told if text not in told] if plan else []
        if found:
            yield Part(title=self.text("report.now"), kind="warning", lines=tuple(found), id="now")

    def standing(self, assessment: Assessment | None) -> Part:
        """The verdict in plain words. The assessment speaks English; in another language stands what it means."""
        title = self.text("report.verdict")
        if assessment is None:
            return Part(title=title, lines=(self.line("report.verdicts.none"),), id="verdict")
        tell = assessment.headline.get("tell", "")
        if tell and self.language == ENGLISH:
            return Part(title=title, lines=(Line(text=tell),), id="verdict")
        lines = [self.line(f"report.verdicts.{assessment.verdict}")]
        lines += [] if assessment.complete else [self.line("report.verdicts.incomplete")]
        return Part(title=title, lines=tuple(lines), id="verdict")

    def why(self, assessment: Assessment | None, plan: CarePlan | None, spoken: str) -> Iterator[Part]:
        """What was found, what comes first, and what is not known."""
        findings = [self._finding(f) for f in _findings(assessment) if f.tell and f.action != EMERGENCY]
        if findings:
            yield Part(title=self.text("report.why"), kind="list", lines=tuple(findings), id="why")
        told = {f.text for f in findings}
        first = [t for t in (*plan.open, *plan.missed) if t.tell and t.tell not in told] if plan else []
        if first:
            lines = tuple(self._told(t.tell, spoken, t.source, t.locator, t.status) for t in first)
            yield Part(title=self.text("report.first"), kind="list", lines=lines, id="first")
        asks = dict.fromkeys(gap.ask for gap in (assessment.gaps if assessment else ()) if gap.ask)
        if asks:
            lines = tuple(Line(text=text) for text in asks)
            yield Part(title=self.text("report.ask"), kind="list", lines=lines, id="ask")

    def _finding(self, finding: Finding) -> Line:
        sure = [self.text(f"how_sure.grade.{finding.grade}")]
        if finding.status == "proposed":
            sure.append(how_sure(self.knowledge, "proposed", next((s.id for s in finding.sources), ""), self.language))
        source = "; ".join(_citation(s.citation, s.locator) for s in finding.sources)
        return Line(text=finding.tell or finding.says, source=source, sure="; ".join(dict.fromkeys(sure)))

    def _told(self, text: str, spoken: str, source: str, locator: str, status: str) -> Line:
        sure = how_sure(self.knowledge, status, source, self.language) if source else ""
        return Line(text=text, language=spoken, source=cited(self.knowledge, source, locator), sure=sure)

    def contacts(self, contacts: Iterable[Contact]) -> Part:
        """Numbers in large type, each with what it is; nobody's number stands in for one that is not known."""
        lines = [
            each
            for contact in sorted(dict.fromkeys(contacts), key=lambda c: c.purpose != EMERGENCY)
            for each in (replace(self._name(contact.contact), strong=True), Line(text=contact.text))
        ]
        title = self.text("report.call")
        return Part(title=title, kind="contacts", lines=tuple(lines) or (self.line("report.no_contacts"),), id="call")

    # --- what comes -------------------------------------------------------------------------------------------------

    def next(self, steps: Sequence[Due], spoken: str) -> Part:
        """What is to be done, by whom and by when; what is done is left out, what was missed is not.

        What is open has been told among the reasons, in words for the person.
        """
        rows = tuple(
            (
                Line(text=found.step.title, language=spoken),
                self._owner(found.step.owner),
                self._own(moment(found.step.window.due, self.zone, self.language)),
                self.line(f"report.states.{found.state.value}"),
            )
            for found in steps
            if found.state is not State.DONE and found.step.domain != OPEN
        )
        head, title = self._head("report.next_head"), self.text("report.next")
        if not rows:
            return Part(title=title, lines=(self.line("report.no_next"),), id="next")
        return Part(title=title, kind="table", head=head, rows=rows, id="next")

    def _owner(self, owner: str) -> Line:
        return self.line(f"report.roles.{owner}") if owner in self._texts("report.roles") else self._own(owner)

    def course(self, plan: CarePlan | None) -> Iterator[Part]:
        """The visits with day and time, and when the course is paused or stopped."""
        title = self.text("report.course")
        if plan is None:
            yield Part(title=title, lines=(self.line("report.no_plan"),), id="course")
            return
        lines = [self._own(plan.protocol_title), self.line(f"report.status.{plan.status.value}")]
        if not plan.visits:
            lines += [self.line("report.no_visits")] if plan.status is not Status.NONE else []
            yield Part(title=title, lines=tuple(lines), id="course")
            return
        rows = tuple(
            (
                self._visit(visit, before, plan.language),
                self._own(moment(visit.starts if visit.given_at is None else visit.given_at, self.zone, self.language)),
                self.line(f"report.states.{visit.state.value}"),
            )
            for before, visit in pairwise((None, *plan.visits))
            if visit is not None
        )
        lines.append(self.line("report.course_zone", zone=self.zone))
        head = self._head("report.course_head")
        yield Part(title=title, kind="table", lines=tuple(lines), head=head, rows=rows, id="course")
        stops = tuple(self._told(t.tell, plan.language, t.source, t.locator, t.status) for t in plan.stops if t.tell)
        if stops:
            yield Part(title=self.text("report.stops"), kind="list", lines=stops, id="stops")

    def _visit(self, visit: Visit, before: Visit | None, spoken: str) -> Line:
        """The first visit of a row tells what the row is; the others only their number."""
        number = self.text("report.visit", number=str(visit.number))
        same = before is not None and (before.phase, before.title) == (visit.phase, visit.title)
        return self._own(number) if same else Line(text=f"{number}: {visit.title}", language=spoken)

    # --- medicines --------------------------------------------------------------------------------------------------

    def medicines(self, record: Record) -> Iterator[Part]:
        """Each medicine and substance once, in the words of the record, with what is known of it and what is not."""
        title = self.text("report.medicines")
        entries: dict[tuple[str, tuple[str, ...]], list[Intake]] = {}
        for intake in record.intakes:
            entries.setdefault((intake.text, tuple(intake.options)), []).append(intake)
        if not entries:
            yield Part(title=title, lines=(self.line("report.no_medicines"),), id="medicines")
            return
        rows = tuple(
            (
                self._own(text or self.text("report.intake.unknown")),
                self._understood(found),
                self._own(self._amount(found)),
                self._own(self._last(found)),
            )
            for (text, _), found in entries.items()
        )
        lines, head = (self.line("report.medicines_say"),), self._head("report.medicines_head")
        yield Part(title=title, kind="table", lines=lines, head=head, rows=rows, id="medicines")

    def _understood(self, entries: Sequence[Intake]) -> Line:
        """What it can be; several entries of one name are as certain as the surest of them."""
        intake = entries[0]
        names = [self.knowledge.name_of(option) for option in intake.options]
        if not names:
            return self.line("report.intake.unknown")
        if intake.ambiguous:
            return self.line("report.intake.either", names=self.text("report.intake.or").join(names))
        if all(i.denied for i in entries):
            return self.line("report.intake.denied")
        certain = any(i.status != UNKNOWN and not i.text_only and not i.denied for i in entries)
        return self._own(names[0]) if certain else self.line("report.intake.uncertain", name=names[0])

    def _amount(self, entries: Sequence[Intake]) -> str:
        """Every amount a day that the entries say; one dose that was given is none."""
        told = dict.fromkeys(self._mass(i.per_day_mg) for i in entries if i.per_day_mg is not None and not i.denied)
        needed = [self.text("report.intake.as_needed")] if any(i.as_needed for i in entries) else []
        return ", ".join([*(told or [self.text("report.intake.unknown")]), *needed])

    def _mass(self, mg: tuple[float, float]) -> str:
        """An amount of a substance; a gram and more is told in grams."""
        unit, size = ("g", MG_PER_G) if mg[0] >= MG_PER_G else ("mg", 1)
        numbers = dict.fromkeys(self._number(each / size) for each in mg)
        return "\u2013".join(numbers) + f" {unit}"

    def _last(self, entries: Sequence[Intake]) -> str:
        """The latest time that is known."""
        used = max((i.last_use for i in entries if i.last_use and i.last_use[0] > PAST), default=None)
        if used is None:
            return self.text("report.intake.unknown")
        first, last = (day(ms, self.zone, self.language) for ms in used)
        return first if first == last else self.text("report.intake.between", first=first, last=last)

    def _number(self, value: float) -> str:
        """A number with the decimal sign of the language; one that is not known says so."""
        if math.isnan(value):
            return self.text("report.intake.unknown")
        return f"{value:g}".replace(".", self.knowledge.content["knowledge"]["decimal_sign"][self.language])

    def spans(self, plan: CarePlan | None) -> Iterator[Part]:
        """What is told about the medicines beside this treatment."""
        told = (
            tuple(self._told(f.tell, plan.language, f.source, f.locator, f.status) for f in plan.timeline if f.tell)
            if plan
            else ()
        )
        if told:
            yield Part(title=self.text("report.timeline"), kind="list", lines=tuple(dict.fromkeys(told)), id="timeline")

    # --- answers over time, and how sure ----------------------------------------------------------------------------

    def trend(self, follow: FollowUp | None) -> Iterator[Part]:
        """Each questionnaire before and now, and the answers of the leading one as dots."""
        if follow is None:
            return
        title, head = self.text("report.trend"), self._head("report.trend_head")
        rows = tuple(self._trend(course) for course in follow.courses.values() if course.latest)
        if not rows:
            yield Part(title=title, lines=(self.line("report.no_trend"),), id="trend")
            return
        yield Part(title=title, kind="table", head=head, rows=rows, id="trend")
        if follow.trajectory:
            name = follow.trajectory.scale.id
            yield from self._dots(self.knowledge.instruments[name]["title"], follow.series[name])

    def _trend(self, course: Course) -> tuple[Line, ...]:
        assert course.latest is not None
        higher, states = self._texts("report.higher"), self._texts("report.course_states")
        when = day(course.latest.at, self.zone, self.language)
        state = course.last_known.state if course.last_known else "unknown"
        name = self._own(course.title)
        return (
            replace(name, sure=self.text(f"report.higher.{course.direction}")) if course.direction in higher else name,
            self._own(self._number(course.baseline.value)),
            self._own(f"{self._number(course.latest.value)} ({when})"),
            self.line(f"report.course_states.{state if state in states else 'unknown'}"),
        )

    def _dots(self, title: str, series: Sequence[Measured]) -> Iterator[Part]:
        """The known answers; what is missing is in the table and nowhere in the picture."""
        days = [day(m.at, self.zone, self.language) for m in series]
        known = [(m.at, m.value, self._number(m.value)) for m in series if not math.isnan(m.value)]
        if not known:
            return
        first, last = (day(point[0], self.zone, self.language) for point in (known[0], known[-1]))
        words = {"title": title, "value": known[0][2], "first": first, "now": known[-1][2], "last": last}
        yield Part(
            title=self.text("report.dots", title=title),
            kind="picture",
            svg=dots(known, max(value for _, value, _ in known), first, last),
            alt=self.text("report.dots_alt", **words),
            head=self._head("report.dots_head"),
            rows=tuple((self._own(d), self._own(self._number(m.value))) for d, m in zip(days, series, strict=True)),
            id="dots",
        )

    def how_sure(self) -> Part:
        """What the words in brackets mean, and what such a page cannot know."""
        says = tuple(line(text, self.language, self.knowledge) for text in self._texts("report.sure_says"))
        return Part(title=self.text("report.sure"), lines=says, id="sure")


def _findings(assessment: Assessment | None) -> tuple[Finding, ...]:
    return assessment.findings if assessment else ()


def _citation(citation: str, locator: str) -> str:
    return ", ".join(filter(None, (citation.rstrip("."), locator))) if citation else ""


# --- files ------------------------------------------------------------------------------------------------------------


def write_report(
    folder: Path,
    sheets: Mapping[str, Sequence[Sheet]],
    knowledge: Knowledge,
    *,
    language: str,
    made: Instant,
    formats: Sequence[str] = FORMATS,
    paper: str = A4,
    pages: Mapping[str, str] | None = None,
) -> tuple[Path, ...]:
    """Write each entry of `sheets` as `NAME.html` and `NAME.pdf`, all of them or none; `pages` are ready-made HTML.

    Everything is made before anything is written, and nothing stands in its place before all is written. Each title is
    that of its first sheet; a document that has nothing in `language` speaks that of its first sheet. Raises `BadInput`
    where a file cannot be written.
    """
    content: dict[str, bytes] = {f"{name}.html": text.encode() for name, text in (pages or {}).items()}
    for name, some in sheets.items():
        spoken = {sheet.language for sheet in some}
        words = {"language": language if language in spoken else some[0].language, "title": some[0].title}
        if "html" in formats:
            content[f"{name}.html"] = page(some, knowledge, **words).encode()
        if "pdf" in formats:
            content[f"{name}.pdf"] = pdf(some, knowledge, **words, made=made, paper=paper)
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"this folder cannot be made ({error.strerror or type(error).__name__})", str(folder)) from None
    paths = tuple(folder / name for name in content)
    with ExitStack() as all_or_none:
        files = [all_or_none.enter_context(written(path, str(path))) for path in paths]
        for file, text in zip(files, content.values(), strict=True):
            file.buffer.write(text)  # type: ignore[attr-defined]
    return paths
