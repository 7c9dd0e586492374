"""The person's report as sheets, and all of a person's sheets as files: as web pages, as PDF, together or not at all.

Verdict and why, whom to call, medicines in the words of the record, visits, routine, answers over time, next steps, and
how sure all of it is. What is not known is said; a text that exists only in English is marked where the page is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from adjunct.assessment import Assessment, Finding
from adjunct.assessment.result import Cited
from adjunct.base import UNKNOWN, BadInput, Instant, Verdict
from adjunct.documents.drawings import dots
from adjunct.documents.page import page
from adjunct.documents.pdf import A4, pdf
from adjunct.documents.writing import write_all
from adjunct.due import Due, State, Step
from adjunct.followup import FollowUp
from adjunct.followup.schedule import WHAT as CHECKIN
from adjunct.instruments.course import Course
from adjunct.knowledge import Knowledge
from adjunct.planning.model import CarePlan, Status, Visit
from adjunct.record import Intake, Record
from adjunct.record.draft import PAST
from adjunct.routine import Routine
from adjunct.sheet import ENGLISH, OWN, Line, Part, Sheet, cited, day, how_sure, line, moment, short_day

FORMATS = ("html", "pdf")
VISITS = 6  # layout: visits to come that are told with their day
FIGURES = ".3g"  # layout: of an amount that was worked out
PRIVATE = 0o700  # layout: a folder with an answer about a person is its owner's
MG_PER_G = 1000  # unit: milligrams a gram
EMERGENCY = "emergency"
GIVEN = "MedicationAdministration"
PERSON = "person"
ASKED = ("before", "task", "taper", "check-in", "team")  # domains of steps with a title for the person
ELSEWHERE = ("visit", "open", "routine", "review")  # domains of steps that have a part of their own
TOLD_LAST = ("inform",)


def report_sheet(
    knowledge: Knowledge,
    *,
    language: str,
    zone: str,
    at: Instant,
    call: Part,
    emergency: str = "",
    assessment: Assessment | None = None,
    record: Record | None = None,
    plan: CarePlan | None = None,
    follow: FollowUp | None = None,
    routine: Routine | None = None,
    steps: Sequence[Due] = (),
) -> Sheet:
    """The report. `steps`: what is to be done, as `due` says; `call`: whom to call; `emergency`: that number.

    `zone`: of the clinic, for every time that is shown.
    """
    say = Words(knowledge, language, zone)
    told_language = plan.language if plan else ENGLISH
    urgent = tuple(say.urgent(assessment, plan, emergency))
    parts = [
        *urgent,
        *([call] if urgent else []),
        say.standing(assessment, plan),
        *say.first(assessment, plan, told_language),
        *say.visits(plan),
        *say.own(steps, told_language),
        *say.why(assessment, plan),
        *([] if urgent else [call]),
        *(say.medicines(record) if record else ()),
        *say.spans(plan),
        *say.routine(routine),
        *say.trend(follow),
        *say.stops(plan),
        *say.known(assessment),
        say.how_sure(),
    ]
    return Sheet(
        id="report",
        title=say.text("report.title"),
        language=language,
        lead=(say.line("report.lead"),),
        parts=tuple(parts),
        meta=made_of(knowledge, language, zone, at, plan),
    )


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

    def _head(self, name: str) -> tuple[str, ...]:
        return tuple(text[self.language] for text in self._texts(name))

    # --- the answer -------------------------------------------------------------------------------------------------

    def urgent(self, assessment: Assessment | None, plan: CarePlan | None, emergency: str) -> Iterator[Part]:
        """What cannot wait, before all else: whom to call, then why."""
        found = [self._finding(f) for f in _findings(assessment) if f.action == EMERGENCY]
        told = {f.text for f in found} | {c.text for c in (assessment.contacts if assessment else ())}  # called below
        found += (
            [Line(text=text) for text in plan.told if text not in told] if plan else []
        )  # told of findings: English
        escalated = assessment is not None and assessment.verdict == Verdict.ESCALATE.name
        if found or escalated:
            number = emergency or self.text("report.now_unknown")
            lines = (replace(self.line("report.now_call", emergency=number), strong=True), *found)
            yield Part(title=self.text("report.now"), kind="warning", lines=lines, id="now")

    def standing(self, assessment: Assessment | None, plan: CarePlan | None) -> Part:
        """The verdict in plain words, and where the plan stands."""
        lines = [self.line("report.verdicts.none" if assessment is None else f"report.verdicts.{assessment.verdict}")]
        lines += [self.line("report.verdicts.incomplete")] if assessment and not assessment.complete else []
        lines.append(self.line(f"report.status.{plan.status.value}" if plan else "report.no_plan"))
        return Part(title=self.text("report.verdict"), lines=tuple(lines), id="verdict")

    def first(self, assessment: Assessment | None, plan: CarePlan | None, spoken: str) -> Iterator[Part]:
        """What is to be settled first, in words for the person; what has none is told by its number alone.

        What a clinician must ask in private stands on no page that others may read.
        """
        open_ = (*plan.open, *plan.missed) if plan else ()
        lines = [
            self._told(t.tell, ENGLISH if t.id.startswith("finding:") else spoken, t.source, t.locator, t.status)
            for t in open_
            if t.tell
        ]
        facts = [t.id.split(":")[1] for t in open_ if not t.tell and t.id.startswith("gap:")]
        if plan is None:
            facts = [gap.fact for gap in (assessment.gaps if assessment else ()) if gap.blocks]
        texts = self._texts("report.gaps")
        asked = [self.line(f"report.gaps.{fact}") for fact in dict.fromkeys(facts) if fact in texts]
        lines += dict.fromkeys(asked)
        if rest := len([fact for fact in dict.fromkeys(facts) if fact not in texts]):
            lines.append(self.line("report.more_gaps", count=str(rest)))
        if lines:
            yield Part(title=self.text("report.first"), kind="steps", lines=tuple(lines), id="first")

    def why(self, assessment: Assessment | None, plan: CarePlan | None) -> Iterator[Part]:
        """What changes or delays something, unless it was told among what comes first."""
        told = {t.tell for t in (*plan.open, *plan.missed)} if plan else set()
        found = [f for f in _findings(assessment) if f.action not in (*TOLD_LAST, EMERGENCY) and f.tell not in told]
        yield from self._found("why", found)

    def known(self, assessment: Assessment | None) -> Iterator[Part]:
        """What is told to everybody with this treatment: it changes nothing now."""
        yield from self._found("known", [f for f in _findings(assessment) if f.action in TOLD_LAST])

    def _found(self, name: str, findings: Sequence[Finding]) -> Iterator[Part]:
        if lines := tuple(self._finding(f) for f in findings if f.tell):
            yield Part(title=self.text(f"report.{name}"), kind="list", lines=lines, id=name)

    def _finding(self, finding: Finding) -> Line:
        sure = [self.text(f"how_sure.grade.{finding.grade}")]
        if finding.status == "proposed":
            sure.append(how_sure(self.knowledge, "proposed", next((s.id for s in finding.sources), ""), self.language))
        source = "; ".join(_citation(s) for s in finding.sources if s.id not in OWN)
        return Line(text=finding.tell or finding.says, source=source, sure="; ".join(dict.fromkeys(sure)))

    def _told(self, text: str, spoken: str, source: str, locator: str, status: str) -> Line:
        sure = how_sure(self.knowledge, status, source, self.language) if source else ""
        return Line(
            text=text, language=spoken, source=cited(self.knowledge, source, _place(source, locator)), sure=sure
        )

    # --- what comes -------------------------------------------------------------------------------------------------

    def own(self, steps: Sequence[Due], spoken: str) -> Iterator[Part]:
        """What the person is asked for, each once; what is late says since when. The team's own tasks are theirs.

        Questionnaires are one row: what they ask about.
        """
        mine: dict[Line, list[Due]] = {}
        forms: list[Due] = []
        for found in steps:
            step = found.step
            if step.owner == PERSON and step.domain in ASKED:
                said = Line(text=step.title, language=spoken) if step.what != CHECKIN else self.line("report.checkin")
                mine.setdefault(said, []).append(found)
            elif step.owner == PERSON and step.domain not in ELSEWHERE:
                forms.append(found)
        if forms:
            about = ", ".join(dict.fromkeys(self._about(d.step) for d in forms))
            mine[self.line("report.forms", about=about)] = forms
        if rows := tuple((said, self._when(some)) for said, some in mine.items()):
            head = self._head("report.next_head")
            yield Part(title=self.text("report.next"), kind="table", head=head, rows=rows, id="next")

    def _about(self, step: Step) -> str:
        """What a questionnaire asks about, in a word; else its name."""
        domain = self.knowledge.instruments.get(step.what, {}).get("domain", step.domain)
        return self.text(f"report.domains.{domain}") if domain in self._texts("report.domains") else step.title

    def _when(self, some: Sequence[Due]) -> Line:
        """By when, or since when it waits."""
        first = min(some, key=lambda d: d.step.window.due)
        name = "late" if any(d.state is State.OVERDUE for d in some) else "by"
        return self.line(f"report.{name}", day=day(first.step.window.due, self.zone, self.language))

    def visits(self, plan: CarePlan | None) -> Iterator[Part]:
        """The visits to come with day and time, and how many there were."""
        if plan is None or plan.status is Status.NONE:
            return
        title = self.text("report.course")
        lines = [self._own(plan.protocol_title)]
        over = [v for v in plan.visits if v.state in (State.DONE, State.MISSED)]
        coming = [v for v in plan.visits if v.state not in (State.DONE, State.MISSED)]
        if over:
            missed = sum(v.state is State.MISSED for v in over)
            lines.append(self.line("report.visits_over", done=str(len(over) - missed), missed=str(missed)))
        if not coming:
            yield Part(title=title, lines=(*lines, self.line("report.no_visits")), id="course")
            return
        shown = coming[:VISITS]
        rows = tuple(
            (
                self._visit(visit, before, plan.language),
                self._own(moment(visit.starts, self.zone, self.language)),
            )
            for before, visit in pairwise((None, *shown))
            if visit is not None
        )
        if rest := coming[len(shown) :]:
            last = day(rest[-1].starts, self.zone, self.language)
            lines.append(self.line("report.visits_more", count=str(len(rest)), last=last))
        lines.append(self.line("report.course_zone", zone=self.zone))
        yield Part(
            title=title, kind="table", lines=tuple(lines), head=self._head("report.course_head"), rows=rows, id="course"
        )

    def stops(self, plan: CarePlan | None) -> Iterator[Part]:
        """When the course is paused or stopped."""
        if plan is None:
            return
        lines = tuple(self._told(t.tell, plan.language, t.source, t.locator, t.status) for t in plan.stops if t.tell)
        if lines:
            yield Part(title=self.text("report.stops"), kind="list", lines=lines, id="stops")

    def _visit(self, visit: Visit, before: Visit | None, spoken: str) -> Line:
        """The first visit of a row tells what the row is; the others only their number."""
        number = self.text("report.visit", number=str(visit.number))
        same = before is not None and (before.phase, before.title) == (visit.phase, visit.title)
        return self._own(number) if same else Line(text=f"{number}: {visit.title}", language=spoken)

    def routine(self, routine: Routine | None) -> Iterator[Part]:
        """What was agreed, in short; the routine has a page of its own."""
        if routine is None or not routine.habits:
            return
        lines = [
            replace(h.activity.dose.text, text=f"{h.activity.title.text}: {h.activity.dose.text.text}")
            for h in routine.habits
        ]
        title = self.text("report.routine")
        yield Part(title=title, kind="list", lines=(*lines, self.line("report.routine_page")), id="routine")

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
                self._own(self._stopped(found, record.now.ms) or self._amount(found)),
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

    def _stopped(self, entries: Sequence[Intake], now: int) -> str:
        """What every entry says has ended, and since when; a dose that was given has not been stopped."""
        if any(i.t1 >= now or i.denied or i.view == GIVEN for i in entries):
            return ""
        last = max(i.t0 for i in entries)  # a day is an interval: its beginning is that day in every zone near by
        if last <= PAST:
            return self.text("report.intake.stopped")
        return self.text("report.intake.stopped_on", day=day(last, self.zone, self.language))

    def _amount(self, entries: Sequence[Intake]) -> str:
        """Every amount a day that the entries say; one dose that was given is none."""
        told = dict.fromkeys(self._mass(i.per_day_mg) for i in entries if i.per_day_mg is not None and not i.denied)
        needed = [self.text("report.intake.as_needed")] if any(i.as_needed for i in entries) else []
        return ", ".join([*(told or [self.text("report.intake.unknown")]), *needed])

    def _mass(self, mg: tuple[float, float]) -> str:
        """An amount of a substance; a gram and more is told in grams."""
        unit, size = ("g", MG_PER_G) if mg[0] >= MG_PER_G else ("mg", 1)
        numbers = dict.fromkeys(self.number(float(f"{each / size:{FIGURES}}")) for each in mg)
        return "\u2013".join(numbers) + f" {unit}"

    def _last(self, entries: Sequence[Intake]) -> str:
        """The latest time that is known."""
        used = max((i.last_use for i in entries if i.last_use and i.last_use[0] > PAST), default=None)
        if used is None:
            return self.text("report.intake.unknown")
        first, last = (day(ms, self.zone, self.language) for ms in used)
        return first if first == last else self.text("report.intake.between", first=first, last=last)

    def number(self, value: float) -> str:
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
        told = [c for c in follow.courses.values() if c.latest and c.last_known is not None]
        rows = tuple(self._trend(course) for course in told)
        if not rows:
            yield Part(title=title, lines=(self.line("report.no_trend"),), id="trend")
            return
        lines = (self.line("report.trend_say"),)
        yield Part(title=title, kind="table", lines=lines, head=head, rows=rows, id="trend")
        yield from self.dots(follow)

    def _trend(self, course: Course) -> tuple[Line, ...]:
        """One questionnaire: what it asks about, before and now, and what that means."""
        assert course.latest is not None
        domains, higher, states = (self._texts(f"report.{name}") for name in ("domains", "higher", "course_states"))
        state = course.last_known.state if course.last_known else "unknown"
        domain = self.knowledge.instruments[course.instrument]["domain"]
        about = f"{self.text(f'report.domains.{domain}')} ({course.title})" if domain in domains else course.title
        better = self.text(f"report.higher.{course.direction}") if course.direction in higher else ""
        when = day(course.latest.at, self.zone, self.language)
        return (
            self._own(", ".join(filter(None, (about, better)))),
            self._own(self.number(course.baseline.value)),
            self._own(f"{self.number(course.latest.value)} ({when})"),
            self.line(f"report.course_states.{state if state in states else 'unknown'}"),
        )

    def dots(self, follow: FollowUp) -> Iterator[Part]:
        """The known answers of the leading scale; what is missing is in the table and nowhere in the picture."""
        if not follow.trajectory:
            return
        name = follow.trajectory.scale.id
        title, series = str(self.knowledge.instruments[name]["title"]), follow.series[name]
        days = [short_day(m.at, self.zone, self.language) for m in series]
        known = [(m.at, m.value, self.number(m.value)) for m in series if not math.isnan(m.value)]
        if len(known) <= 2:  # two numbers are no course: they stand in the table before
            return
        first, last = (day(point[0], self.zone, self.language) for point in (known[0], known[-1]))
        words = {"title": title, "value": known[0][2], "first": first, "now": known[-1][2], "last": last}
        yield Part(
            title=self.text("report.dots", title=title),
            kind="picture",
            svg=dots(known, max(value for _, value, _ in known), first, last),
            alt=self.text("report.dots_alt", **words),
            head=self._head("report.dots_head"),
            rows=tuple((self._own(d), self._own(self.number(m.value))) for d, m in zip(days, series, strict=True)),
            id="dots",
        )

    def how_sure(self) -> Part:
        """What the words in brackets mean, and what such a page cannot know."""
        says = tuple(line(text, self.language, self.knowledge) for text in self._texts("report.sure_says"))
        return Part(title=self.text("report.about"), lines=says, id="sure")


def _findings(assessment: Assessment | None) -> tuple[Finding, ...]:
    return assessment.findings if assessment else ()


def _citation(source: Cited) -> str:
    return ", ".join(filter(None, (source.citation.rstrip("."), source.locator)))


def _place(source: str, locator: str) -> str:
    """Where in a source; a place in this project's own rules says nothing to a reader of the page."""
    return "" if source in OWN else locator


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
    files: Mapping[str, bytes] | None = None,
) -> tuple[Path, ...]:
    """Write each entry of `sheets` as `NAME.html` and `NAME.pdf`, all of them or none; `files` go along.

    Everything is made before anything is written, and nothing stands in its place before all is written. Each title is
    that of its first sheet; a document that has nothing in `language` speaks that of its first sheet. Raises `BadInput`
    where a file cannot be written.
    """
    content = dict(files or {})
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
    write_all(dict(zip(paths, content.values(), strict=True)))
    return paths
