"""The person's report as sheets, and all of a person's sheets as files: as web pages, as PDF, together or not at all.

Verdict and why, whom to call, medicines in the words of the record, visits, routine, answers over time, next steps, and
how sure all of it is. What is not known is said; a text that exists only in English is marked where the page is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adjunct.assessment.result import Assessment, Cited, Contact, Finding
from adjunct.base import UNKNOWN, BadInput, Instant
from adjunct.documents.page import page
from adjunct.documents.pdf import A4, pdf
from adjunct.documents.writing import written
from adjunct.due import Due, State
from adjunct.followup import FollowUp
from adjunct.knowledge import Knowledge
from adjunct.planning.model import CarePlan, Status
from adjunct.record import Intake, Record
from adjunct.record.draft import PAST
from adjunct.sheet import ENGLISH, Line, Part, Sheet, day, line, moment

FORMATS = ("html", "pdf")
PRIVATE = 0o700  # layout: a folder with an answer about a person is its owner's
EMERGENCY = "emergency"
UNCITED = "uncited"
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
    drawing: tuple[str, str] | None = None,
) -> tuple[Sheet, ...]:
    """The report, and the routine as a sheet of its own where there is one. `steps`: what is to be done, as `due` says.

    `contacts`: lines to call beside those of the assessment; `drawing`: the picture of the course and its alternative
    text (`drawn`). `zone`: of the clinic, for every time that is shown.
    """
    say = Words(knowledge, language, zone)
    spoken = plan.language if plan else ENGLISH
    parts = [
        *say.urgent(assessment, plan),
        *say.standing(assessment, plan, spoken),
        say.contacts(
            [*(assessment.contacts if assessment else ()), *contacts, *(follow.told.contacts if follow else ())]
        ),
        say.next(steps, spoken),
        *say.course(plan),
        *(say.medicines(record) if record else ()),
        *say.spans(plan),
        *say.trend(follow, drawing),
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


def cited(knowledge: Knowledge, source: str, locator: str = "") -> str:
    """A source as a reader may look it up; one that this knowledge does not have keeps its name."""
    found = knowledge.sources.get(source)
    return ", ".join(filter(None, (found.citation if found else source, locator))) if source else ""


def how_sure(knowledge: Knowledge, status: str, source: str, language: str = ENGLISH) -> str:
    """In words, how far what a source says may be trusted: a number without a published rule says so."""
    texts = knowledge.content["documents"]["how_sure"]["status"]
    return str(texts[UNCITED if status == "proposed" and source == UNCITED else status][language])


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

    def _head(self, name: str) -> tuple[str, ...]:
        return tuple(text[self.language] for text in self._texts(name))

    # --- the answer -------------------------------------------------------------------------------------------------

    def urgent(self, assessment: Assessment | None, plan: CarePlan | None) -> Iterator[Part]:
        """What cannot wait, before all else."""
        found = [self._finding(f) for f in assessment.findings if f.action == EMERGENCY] if assessment else []
        told = {f.text for f in found}
        found += [Line(text=text, language=plan.language) for text in plan.told if text not in told] if plan else []
        if found:
            yield Part(title=self.text("report.now"), kind="warning", lines=tuple(found), id="now")

    def standing(self, assessment: Assessment | None, plan: CarePlan | None, spoken: str) -> Iterator[Part]:
        """The verdict in plain words, why, what is open, and what is not known."""
        title = self.text("report.verdict")
        if assessment is None:
            yield Part(title=title, lines=(self.line("report.verdicts.none"),), id="verdict")
            return
        lines = [self.line(f"report.verdicts.{assessment.verdict}")]
        if not assessment.complete:
            lines.append(self.line("report.verdicts.incomplete"))
        if assessment.headline.get("tell"):
            lines.append(Line(text=assessment.headline["tell"]))
        yield Part(title=title, lines=tuple(lines), id="verdict")
        findings = tuple(self._finding(f) for f in assessment.findings if f.tell and f.action != EMERGENCY)
        if findings:
            yield Part(title=self.text("report.why"), kind="list", lines=findings, id="why")
        told = {f.text for f in findings}
        first = (
            tuple(
                self._told(t.tell, spoken, t.source, t.locator, t.status)
                for t in (*plan.open, *plan.missed)
                if t.tell and t.tell not in told
            )
            if plan
            else ()
        )
        if first:
            yield Part(title=self.text("report.first"), kind="list", lines=first, id="first")
        asks = tuple(Line(text=text) for text in dict.fromkeys(gap.ask for gap in assessment.gaps if gap.ask))
        if asks:
            yield Part(title=self.text("report.ask"), kind="checklist", lines=asks, id="ask")

    def _finding(self, finding: Finding) -> Line:
        sure = [self.text(f"how_sure.grade.{finding.grade}")]
        if finding.status == "proposed":
            sure.append(how_sure(self.knowledge, "proposed", next((s.id for s in finding.sources), ""), self.language))
        source = "; ".join(_citation(s) for s in finding.sources)
        return Line(text=finding.tell or finding.says, source=source, sure="; ".join(dict.fromkeys(sure)))

    def _told(self, text: str, spoken: str, source: str, locator: str, status: str) -> Line:
        sure = how_sure(self.knowledge, status, source, self.language) if source else ""
        return Line(text=text, language=spoken, source=cited(self.knowledge, source, locator), sure=sure)

    def contacts(self, contacts: Iterable[Contact]) -> Part:
        """Numbers in large type, each with what it is; nobody's number stands in for one that is not known."""
        lines = [
            each
            for contact in dict.fromkeys(contacts)
            for each in (Line(text=contact.contact, strong=True, language=self.language), Line(text=contact.text))
        ]
        title = self.text("report.call")
        return Part(title=title, kind="contacts", lines=tuple(lines) or (self.line("report.no_contacts"),), id="call")

    # --- what comes -------------------------------------------------------------------------------------------------

    def next(self, steps: Sequence[Due], spoken: str) -> Part:
        """What is to be done, by whom and by when; what is done is left out, what was missed is not."""
        rows = tuple(
            (
                Line(text=found.step.title, language=spoken),
                self._owner(found.step.owner),
                self._own(moment(found.step.window.due, self.zone, self.language)),
                self.line(f"report.states.{found.state.value}"),
            )
            for found in steps
            if found.state is not State.DONE
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
                Line(text=visit.title, language=plan.language),
                self._own(moment(visit.starts if visit.given_at is None else visit.given_at, self.zone, self.language)),
                self.line(f"report.states.{visit.state.value}"),
            )
            for visit in plan.visits
        )
        lines.append(self.line("report.course_zone", zone=self.zone))
        head = self._head("report.course_head")
        yield Part(title=title, kind="table", lines=tuple(lines), head=head, rows=rows, id="course")
        stops = tuple(self._told(t.tell, plan.language, t.source, t.locator, t.status) for t in plan.stops if t.tell)
        if stops:
            yield Part(title=self.text("report.stops"), kind="list", lines=stops, id="stops")

    # --- medicines --------------------------------------------------------------------------------------------------

    def medicines(self, record: Record) -> Iterator[Part]:
        """Each medicine and substance once, in the words of the record, with what is known of it and what is not."""
        title = self.text("report.medicines")
        once: dict[tuple[str, tuple[str, ...], str, str], Intake] = {}
        for intake in record.intakes:
            once.setdefault((intake.text, tuple(intake.options), self._amount(intake), self._last(intake)), intake)
        if not once:
            yield Part(title=title, lines=(self.line("report.no_medicines"),), id="medicines")
            return
        rows = tuple(
            (self._own(intake.text or "\u2013"), self._understood(intake), self._own(amount), self._own(last))
            for (_, _, amount, last), intake in once.items()
        )
        yield Part(
            title=title,
            kind="table",
            lines=(self.line("report.medicines_say"),),
            head=self._head("report.medicines_head"),
            rows=rows,
            id="medicines",
        )

    def _understood(self, intake: Intake) -> Line:
        names = [self.knowledge.name_of(option) for option in intake.options]
        if not names:
            return self.line("report.intake.unknown")
        if intake.ambiguous:
            return self.line("report.intake.either", names=self.text("report.intake.or").join(names))
        if intake.denied:
            return self.line("report.intake.denied")
        certain = intake.status != UNKNOWN and not intake.text_only
        return self._own(names[0]) if certain else self.line("report.intake.uncertain", name=names[0])

    def _amount(self, intake: Intake) -> str:
        told = []
        if intake.per_day_mg is not None:
            sign = self.knowledge.content["knowledge"]["decimal_sign"][self.language]
            numbers = dict.fromkeys(f"{mg:g}".replace(".", sign) for mg in intake.per_day_mg)
            told.append(self.text("report.intake.amount", amount="\u2013".join(numbers)))
        elif not intake.denied:
            told.append(self.text("report.intake.unknown"))
        return ", ".join([*told, *([self.text("report.intake.as_needed")] if intake.as_needed else [])])

    def _last(self, intake: Intake) -> str:
        used = intake.last_use
        if used is None or used[0] <= PAST:
            return self.text("report.intake.unknown") if not intake.denied else ""
        first, last = (day(ms, self.zone, self.language) for ms in used)
        return first if first == last else self.text("report.intake.between", first=first, last=last)

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

    def trend(self, follow: FollowUp | None, drawing: tuple[str, str] | None) -> Iterator[Part]:
        """The scores before and now, in words; with a picture where one was drawn."""
        if follow is None:
            return
        title, head = self.text("report.trend"), self._head("report.trend_head")
        rows = []
        for course in follow.courses.values():
            latest = course.latest
            if latest is None:
                continue
            spell = course.last_known
            better = (
                self.text(f"report.higher.{course.direction}")
                if course.direction in self._texts("report.higher")
                else ""
            )
            when = day(latest.at, self.zone, self.language)
            rows.append(
                (
                    Line(text=course.title, sure=better),
                    self._own(self._score(course.baseline.value)),
                    self._own(f"{self._score(latest.value)} ({when})"),
                    Line(text=spell.name) if spell else self.line("report.intake.unknown"),
                )
            )
        if not rows:
            yield Part(title=title, lines=(self.line("report.no_trend"),), id="trend")
            return
        if drawing:
            svg, alt = drawing
            yield Part(title=title, kind="picture", svg=svg, alt=alt, head=head, rows=tuple(rows), id="trend")
        else:
            yield Part(title=title, kind="table", head=head, rows=tuple(rows), id="trend")

    def _score(self, value: float) -> str:
        if math.isnan(value):
            return self.text("report.intake.unknown")
        return f"{value:g}".replace(".", self.knowledge.content["knowledge"]["decimal_sign"][self.language])

    def how_sure(self) -> Part:
        """What the words in brackets mean, and what such a page cannot know."""
        says = tuple(line(text, self.language, self.knowledge) for text in self._texts("report.sure_says"))
        return Part(title=self.text("report.sure"), lines=says, id="sure")


def _citation(source: Cited) -> str:
    return ", ".join(filter(None, (source.citation, source.locator)))


def drawn(follow: FollowUp) -> tuple[str, str] | None:
    """The picture of a course and its alternative text; None without a score, or where pictures cannot be made."""
    from adjunct.documents.course import described, draw  # late: pictures are an extra

    with TemporaryDirectory() as folder:
        try:
            path, _ = draw(follow, Path(folder) / "course.svg")
        except BadInput:
            return None
        return path.read_text(encoding="utf-8"), ". ".join(described(follow))


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
    that of its first sheet. Raises `BadInput` where a file cannot be written.
    """
    content: dict[str, bytes] = {f"{name}.html": text.encode() for name, text in (pages or {}).items()}
    for name, some in sheets.items():
        title = some[0].title
        if "html" in formats:
            content[f"{name}.html"] = page(some, knowledge, language=language, title=title).encode()
        if "pdf" in formats:
            content[f"{name}.pdf"] = pdf(some, knowledge, language=language, title=title, made=made, paper=paper)
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
