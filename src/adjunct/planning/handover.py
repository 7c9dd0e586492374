"""What one role is handed about a person, on one page: what is now, what is open, who does what by when, the next
visits, how it goes, as far as this role may see it. The rest stands in the care plan.

Every line has the labels of what it says; a role gets the lines it may see, in its own words. That something is left
out is said only to roles that may know it, and that it matters to this treatment, so that privacy hides no danger.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adjunct.assessment import Assessment
from adjunct.base import BadInput, Verdict, shown
from adjunct.due import Due, State
from adjunct.followup.person import FollowUp
from adjunct.planning.model import OVER, CarePlan, Told
from adjunct.planning.team import Access
from adjunct.sheet import ENGLISH, OWN, Line, Part, Sheet, cited, day, how_sure, moment
from adjunct.sheet import language as page_language

PLAIN_READERS = ("person", "supporter")  # they read what is told, in their language; the others read English
PERSON = "person"
TOLD = ("open", "visit")  # domains of steps that have a part of their own
NOW = (State.OVERDUE, State.DUE, State.OPEN)
CARE = frozenset({"mental-health"})  # what a plan of this kind says at least
WHEN = frozenset({"schedule"})
RISK = frozenset({"suicide-risk"})
VISITS = 3  # layout: visits to come on one page
INFORM = "inform"  # findings that change nothing: they are counted
WEIGHTY = frozenset({Verdict.DEFER.name, Verdict.NOT_ELIGIBLE.name, Verdict.ESCALATE.name})


@dataclass(frozen=True, slots=True)
class _Said:
    """One line with its labels; `instead` is for those who may not see it, `weighty`: it bears on the treatment.

    `apart`: it counts for what is withheld, and stands in the care plan instead of here.
    """

    line: Line
    labels: frozenset[str]
    weighty: bool = False
    apart: bool = False
    instead: Line | None = None


def handover(
    plan: CarePlan,
    assessment: Assessment,
    access: Access,
    *,
    role: str,
    followup: FollowUp | None = None,
    routine: Sequence[Told] = (),
    standing: Sequence[Due] = (),
    language: str = ENGLISH,
) -> Sheet:
    """The handover to a role at the time of `access`. `standing`: the steps of the plan, as `due` says.

    Raises `BadInput` for a role or a language that does not exist.

    What comes under 42 CFR Part 2 travels with its notice.
    """
    if role not in access.roles:
        raise BadInput(f"no such role: {shown(role)}; there are {', '.join(access.roles)}", "role")
    plain = role in PLAIN_READERS
    write = _Writer(plan, access, plain, page_language(language) if plain else ENGLISH)
    said = {
        "now": [*write.verdict(assessment), *write.alerts(followup)],
        "open": [*write.told(plan.open, weighty=True)],
        "tasks": [*write.told(plan.missed), *write.tasks(standing)],
        "visits": [*write.visits()],
        "findings": [*write.findings(assessment)],
        "medicines": [*write.timeline()],
        "follow_up": [*write.scores(followup)],
        "routine": [*write.told(routine)],
        "reviews": [*write.told(plan.reviews, brief=True), *write.told((*plan.stops, *plan.notes), apart=True)],
    }
    seen = {part: [s for s in lines if access.sees(role, s.labels)] for part, lines in said.items()}
    hidden = [s for part, lines in said.items() for s in lines if s not in seen[part]]
    labels = {label for lines in seen.values() for s in lines for label in s.labels}
    parts = {part: list(dict.fromkeys(s.line for s in lines if not s.apart)) for part, lines in seen.items()}
    if apart := sum(s.apart for s in seen["findings"]):
        parts["findings"].append(write.line("more_findings", count=str(apart)))
    if access.sees(role, WHEN):
        parts["visits"] = [s.line if s in seen["visits"] else s.instead or s.line for s in said["visits"]]
    if hidden and access.may_know(role):
        text = "withheld_affects" if any(s.weighty for s in hidden) else "withheld"
        parts["now"].append(Line(text=write.texts[text], strong=True))
    notices = [] if role == "person" else [write.notice(label) for label in sorted(labels)]
    return Sheet(
        id="handover",
        title=write.say("title", role=access.roles[role]["title"][write.language]),
        language=write.language,
        reader=role,
        lead=(write.line("when", at=moment(access.now, plan.zone, write.language)),),
        parts=tuple(
            Part(id=part, title=write.texts["parts"][part][write.language], kind="list", lines=tuple(lines))
            for part, lines in parts.items()
            if lines
        ),
        foot=tuple(notice for notice in notices if notice is not None),
    )


@dataclass(frozen=True, slots=True)
class _Writer:
    """Every line there is, with its labels, in the words of one kind of reader."""

    plan: CarePlan
    access: Access
    plain: bool
    language: str

    @property
    def texts(self) -> Mapping[str, Any]:
        texts: Mapping[str, Any] = self.access.knowledge.content["team"]["handover"]
        return texts

    def say(self, name: str, **words: str) -> str:
        text = self.texts[name]
        return self.access.knowledge.say(text if isinstance(text, str) else text[self.language], **words)

    def line(self, name: str, **words: str) -> Line:
        return Line(text=self.say(name, **words), language=self.language)

    def verdict(self, assessment: Assessment) -> Iterator[_Said]:
        """For clinicians; the person reads the report."""
        if not self.plain:
            yield _Said(self.line("verdict", question=assessment.question, verdict=assessment.verdict), CARE)
            if not assessment.complete:
                yield _Said(self.line("incomplete"), CARE)

    def alerts(self, followup: FollowUp | None) -> Iterator[_Said]:
        if followup is None:
            return
        if not self.plain:
            yield _Said(self.line("risk", level=followup.risk.level.value), RISK)
        for alert in followup.alerts:
            base = CARE | RISK if alert["id"].startswith("risk:") else CARE
            scale = self.access.knowledge.instruments.get(alert["id"].partition(":")[0], {})
            labels = self.access.labels_of(
                alert["id"], alert["says"], alert["tell"], domain=str(scale.get("domain", "")), base=base
            )
            text = alert["tell"] if self.plain else self.say("alert", level=alert["level"], says=alert["says"])
            if text:
                yield _Said(Line(text=text, strong=True), labels, weighty=True)

    def findings(self, assessment: Assessment) -> Iterator[_Said]:
        opened = {told.id for told in self.plan.open}
        for f in assessment.findings:  # what is open has been told
            labels = self.access.labels_of(f.title, f.says, f.tell, involves=f.involves, about=f.about, base=CARE)
            source = "; ".join(s.citation.rstrip(".") for s in f.sources if s.id not in OWN)
            text = f.tell if self.plain else f.says
            if text:
                weighty = f.verdict in WEIGHTY or f.action in ("contraindicated", "avoid")
                sure = how_sure(self.access.knowledge, f.status, code=self.language)
                apart = f.action == INFORM or f"finding:{f.id}" in opened
                yield _Said(Line(text=text, source=source, sure=sure), labels, weighty, apart=apart)

    def told(
        self, entries: Iterable[Told], *, weighty: bool = False, apart: bool = False, brief: bool = False
    ) -> Iterator[_Said]:
        for told in entries:
            text = told.tell if self.plain else self._titled(told, brief=brief)
            if text:
                labels = self.access.labels_of(told.id, told.title, told.says, told.tell, base=CARE)
                yield _Said(self._cited(text, told.source, told.status), labels, weighty, apart=apart)

    def _titled(self, told: Told, *, brief: bool) -> str:
        title = told.title.rstrip(".?")
        says = f"{title}." if brief else told.says if told.says.startswith(told.title) else f"{title}: {told.says}"
        return f"{says} {self.say('owner', owner=told.owner)}" if told.owner else says

    def tasks(self, standing: Sequence[Due]) -> Iterator[_Said]:
        """What others than the person have to do now, each once: since when it waits, or by when it is due."""
        kinds: dict[tuple[str, str], list[Due]] = {}
        for found in standing:
            step = found.step
            if not self.plain and found.state in NOW and step.owner != PERSON and step.domain not in TOLD:
                kinds.setdefault((step.title, step.owner), []).append(found)
        for (title, owner), some in kinds.items():
            late = [d for d in some if d.state is State.OVERDUE]
            at = day(min(d.step.window.due for d in late or some), self.plan.zone, self.language)
            what = f"{title.rstrip('.?')} (\u00d7 {len(late)})" if len(late) > 1 else title.rstrip(".?")
            text = self.line("task_late" if late else "task", title=what, owner=owner, at=at)
            yield _Said(text, self.access.labels_of(title, some[0].step.what, base=CARE))

    def timeline(self) -> Iterator[_Said]:
        for fact in self.plan.timeline:
            text = fact.tell if self.plain else fact.title
            if text:
                labels = self.access.labels_of(fact.title, fact.says, fact.tell, involves=fact.involves, base=CARE)
                yield _Said(self._cited(text, fact.source, fact.status), labels)

    def visits(self) -> Iterator[_Said]:
        """When is for those who see times alone; which treatment it is, is for those who see that."""
        states = self.texts["state"]
        coming = [v for v in self.plan.visits if v.state not in OVER]
        for visit in coming[:VISITS]:
            at = moment(visit.starts, self.plan.zone, self.language)
            words = {"number": str(visit.number), "title": visit.title, "state": states[visit.state][self.language]}
            labels = self.access.labels_of(self.plan.protocol, self.plan.protocol_title, visit.title, base=CARE)
            yield _Said(self.line("visit", at=at, **words), labels, instead=self.line("visit_plain", at=at))

    def scores(self, followup: FollowUp | None) -> Iterator[_Said]:
        """Each scale that says how it goes: now, before, and what that is called; the others are in the care plan."""
        if followup is None:
            return
        for name, course in followup.courses.items():
            if course.last_known is None:
                continue
            domain = str(self.access.knowledge.instruments[name]["domain"])
            labels = self.access.labels_of(course.title, domain=domain, base=CARE)
            last = course.latest
            if last is None or math.isnan(last.value):
                yield _Said(self.line("score_unknown", title=course.title), labels)
            else:
                at = day(last.at, self.plan.zone, self.language)
                base = course.baseline.value
                before = self.say("unknown") if math.isnan(base) else f"{base:g}"
                words = {"value": f"{last.value:g}", "before": before, "state": course.last_known.state}
                yield _Said(self.line("score", title=course.title, at=at, **words), labels)

    def _cited(self, text: str, source: str, status: str) -> Line:
        language = self.plan.language if self.plain else ENGLISH
        sure = how_sure(self.access.knowledge, status, source, self.language) if source else ""
        return Line(text=text, language=language, source=cited(self.access.knowledge, source), sure=sure)

    def notice(self, label: str) -> Line | None:
        entry = self.access.labels[label]
        if "notice" not in entry:
            return None
        source = self.access.knowledge.sources[entry["notice_source"]]
        return Line(text=entry["notice"], source=source.citation)
