"""The care plan as one sheet for clinicians: what is open, visits, what comes before them, reviews, stops, settings.

Every number stands with its source and how sure it is; a default of this project is called one. No dose is worked out:
what a label or a trial says stands as theirs.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from adjunct.base import FAR, MS_PER_SECOND
from adjunct.documents.drawings import bars, extent
from adjunct.documents.report import VISITS, Words, made_of
from adjunct.due import Due, State
from adjunct.followup import FollowUp
from adjunct.knowledge import Knowledge
from adjunct.planning.model import CarePlan, Setting, Status, Told, Visit
from adjunct.sheet import ENGLISH, Line, Part, Sheet, cited, how_sure

Key = TypeVar("Key", bound=Hashable)
MS_PER_MINUTE = 60 * MS_PER_SECOND  # unit: milliseconds a minute
MINUTES_PER_HOUR = 60  # unit: minutes an hour


def care_plan_sheet(
    plan: CarePlan,
    knowledge: Knowledge,
    *,
    standing: Sequence[Due] = (),
    holds: Sequence[Told] = (),
    follow: FollowUp | None = None,
) -> Sheet:
    """The plan as it stands, for those who carry it out: make it in English.

    `standing`: its steps, as `due` says; `holds`: what the prescriber decides about each medicine before a visit.
    """
    say = _Words(plan, knowledge)
    known = knowledge.protocols.get(plan.protocol)
    parts = (
        say.status(),
        *say.told("open", plan.open),
        *say.told("missed", plan.missed),
        *say.visits(),
        *say.told("holds", holds),
        *say.before(),
        *say.steps(standing),
        *say.told("reviews", plan.reviews),
        *say.told("stops", plan.stops),
        *say.timeline(),
        *(say.scores(follow) if follow else ()),
        *say.settings(),
        *say.changes(),
        *say.told("notes", plan.notes),
    )
    return Sheet(
        id="care-plan",
        title=say.text("title", protocol=known["title"][ENGLISH] if known else plan.protocol_title),
        reader="clinician",
        parts=parts,
        meta=made_of(knowledge, ENGLISH, plan.zone, plan.at, plan),
    )


class _Words:
    """The parts of one plan."""

    def __init__(self, plan: CarePlan, knowledge: Knowledge) -> None:
        self.plan, self.knowledge = plan, knowledge
        self.words: Mapping[str, Any] = knowledge.content["documents"]["care_plan"]
        self.zone = ZoneInfo(plan.zone)

    def text(self, name: str, /, **words: str) -> str:
        return self.knowledge.say(self.words[name], **words)

    def line(self, text: str, source: str = "", locator: str = "", status: str = "", *, strong: bool = False) -> Line:
        """A line with where it is from and how sure it is; what has no source has nothing to be sure of."""
        sure = how_sure(self.knowledge, status, source) if source else ""
        return Line(text=text, source=cited(self.knowledge, source, locator), sure=sure, strong=strong)

    def table(self, name: str, rows: Iterable[tuple[Line, ...]], lines: tuple[Line, ...] = ()) -> Iterator[Part]:
        """A table under its title, or nothing where it has no row."""
        if found := tuple(rows):
            head = tuple(self.words[f"{name}_head"])
            yield Part(title=self.text(name), kind="table", lines=lines, head=head, rows=found, id=name)

    def day(self, ms: int) -> str:
        return _day(self.local(ms))

    def clock(self, ms: int | None) -> str:
        """Date and time in the clinic's zone; what has no end says so."""
        if ms is None:
            return self.text("unknown")
        return self.text("always") if abs(ms) >= FAR else _clock(self.local(ms))

    def local(self, ms: int) -> datetime:
        return datetime.fromtimestamp(ms // MS_PER_SECOND, tz=UTC).astimezone(self.zone)

    # --- parts ------------------------------------------------------------------------------------------------------

    def status(self) -> Part:
        plan = self.plan
        says = self.knowledge.content["plan"]["status"][plan.status.value]
        lines = [Line(text=self.text("verdict", verdict=plan.verdict, status=plan.status.value)), Line(text=says)]
        if plan.override:
            by, reason = plan.override.by, plan.override.reason
            lines.append(Line(text=self.text("override", by=by, reason=reason), strong=True))
        if not plan.open and plan.status is not Status.NONE:
            lines.append(Line(text=self.text("no_open")))
        lines += [Line(text=text) for text in plan.told]
        return Part(title=self.text("status"), lines=tuple(lines), id="status")

    def told(self, name: str, entries: Sequence[Told]) -> Iterator[Part]:
        """What must be closed, looked at or obeyed: what it is, why, and who."""
        lines = tuple(
            self.line(" ".join(filter(None, (self._titled(t), self._owner(t)))), t.source, t.locator, t.status)
            for t in entries
        )
        if lines:
            yield Part(title=self.text(name), kind="steps" if name == "open" else "list", lines=lines, id=name)

    def _titled(self, told: Told) -> str:
        says = told.says if told.says.startswith(told.title) else f"{told.title.rstrip('.?')}: {told.says}"
        return says if told.says else told.title

    def _owner(self, told: Told) -> str:
        return self.text("owner", owner=told.owner) if told.owner else ""

    def visits(self) -> Iterator[Part]:
        """What was, in one line each; when the next visits are; what label or trial says of those to come."""
        plan, visits = self.plan, self.plan.visits
        coming = [v for v in visits if v.state not in (State.DONE, State.MISSED)]
        lines = [Line(text=self.text("visits_say", zone=plan.zone))]
        for name, state in (("given", State.DONE), ("not_given", State.MISSED)):
            if some := [v for v in visits if v.state is state]:
                lines.append(Line(text=self.text(name, visits=_numbers(some))))
        lines += [Line(text=text, language=plan.language) for text in dict.fromkeys(_phase(v) for v in coming)]
        if rest := coming[VISITS:]:
            lines.append(Line(text=self.text("later", visits=_numbers(rest), last=self.day(rest[-1].starts))))
        rows = (
            (
                Line(text=f"{visit.phase} {visit.number}"),
                Line(text=self.clock(visit.starts)),
                Line(text=f"{self.day(visit.window.opens)} \u2013 {self.day(visit.window.closes)}"),
                Line(text=_length(visit.observe_ms)),
            )
            for visit in coming[:VISITS]
        )
        yield from self.table("visits", rows, tuple(lines))
        facts = _by((fact, visit) for visit in coming for fact in visit.facts)
        yield from self.table(
            "facts",
            (
                (Line(text=f.title), Line(text=_numbers(having)), self.line(f.says, f.source, f.locator, f.status))
                for f, having in facts.items()
            ),
        )

    def before(self) -> Iterator[Part]:
        """What comes before a visit to come and what is measured at it, together where it is for the same visits."""
        coming = [v for v in self.plan.visits if v.state not in (State.DONE, State.MISSED)]
        steps = {step.id: step for step in self.plan.steps}
        named = [(steps[name], v) for v in coming for name in v.prerequisites if name in steps]
        before = _by(((s.title, s.owner), v) for s, v in named if s.domain != "open")
        measured = _by((self._measure(name), v) for v in coming for name in v.measures)
        kinds: dict[tuple[str, str], list[str]] = {}
        for (title, owner), having in before.items():
            kinds.setdefault((_numbers(having), owner), []).append(title)
        for name, having in measured.items():
            kinds.setdefault((_numbers(having), self.text("measured")), []).append(name)
        return self.table(
            "before",
            (
                (Line(text=visits), Line(text=owner), Line(text="; ".join(titles), language=self.plan.language))
                for (visits, owner), titles in kinds.items()
            ),
        )

    def _measure(self, name: str) -> str:
        return str(self.knowledge.instruments[name]["title"]) if name in self.knowledge.instruments else name

    def steps(self, standing: Sequence[Due]) -> Iterator[Part]:
        """What belongs to no visit and is not done, each kind once: what waits since when comes first."""
        before = {name for visit in self.plan.visits for name in (visit.id, *visit.prerequisites)}
        kinds: dict[tuple[str, str], list[Due]] = {}
        for found in standing:
            step = found.step
            if found.state not in (State.DONE, State.MISSED) and step.id not in before:
                kinds.setdefault((step.title, step.owner), []).append(found)
        now = self.plan.at.ms
        rows = []
        for (title, owner), some in kinds.items():
            times = sorted(d.step.window.due for d in some)
            late = sorted(d.step.window.due for d in some if d.state is State.OVERDUE)
            coming = next((ms for ms in times if ms >= now), None)
            row = (
                Line(text=title, language=self.plan.language),
                Line(text=owner),
                Line(text=self.text("since", count=str(len(late)), day=self.day(late[0])) if late else "\u2013"),
                Line(text="\u2013" if coming is None else self.day(coming)),
            )
            rows.append((late[0] if late else FAR, coming or FAR, row))
        return self.table("steps", (row for *_, row in sorted(rows, key=lambda r: r[:2])))

    def scores(self, follow: FollowUp) -> Iterator[Part]:
        """Every scale before and now, and the leading one as dots."""
        say = Words(self.knowledge, ENGLISH, self.plan.zone)
        rows = (
            (
                Line(text=course.title),
                Line(text=say.number(course.baseline.value)),
                Line(text=say.number(course.latest.value)),
                Line(text=self.day(course.latest.at)),
                Line(text=course.last_known.state if course.last_known else self.text("unknown")),
            )
            for course in follow.courses.values()
            if course.latest
        )
        yield from self.table("scores", rows)
        yield from say.dots(follow)

    def settings(self) -> Iterator[Part]:
        """What the clinic set; the defaults stand in the protocol, with sources and bounds."""
        own = [setting for setting in self.plan.settings if setting.clinic]
        rows = (
            (
                Line(text=setting.title),
                self.line(_with_unit(setting, setting.value), setting.source, setting.locator, setting.status),
                Line(text=_with_unit(setting, setting.default)),
                Line(text=_bounds(setting)),
            )
            for setting in own
        )
        rest = [s for s in self.plan.settings if not s.clinic]
        counts = {"count": str(len(rest)), "proposed": str(sum(s.status == "proposed" for s in rest))}
        lines = (Line(text=self.text("settings_say", protocol=self.plan.protocol, **counts)),)
        if own:
            yield from self.table("settings", rows, lines)
        elif rest:
            yield Part(title=self.text("settings"), lines=lines, id="settings")

    def changes(self) -> Iterator[Part]:
        rows = (
            (Line(text=self.clock(c.at)), Line(text=c.kind), Line(text=c.by), Line(text=c.reason))
            for c in self.plan.changes
        )
        return self.table("changes", rows)

    # --- the timeline -----------------------------------------------------------------------------------------------

    def timeline(self) -> Iterator[Part]:
        """The spans as a table, and those that are dated as bars beside it."""
        facts = self.plan.timeline
        rows = tuple(
            (
                Line(text=fact.title),
                Line(text=self.clock(fact.opens)),
                Line(text=self.clock(fact.closes)),
                self.line(fact.says, fact.source, fact.locator, fact.status),
            )
            for fact in facts
        )
        yield from self.table("timeline", rows)
        now = self.plan.at.ms
        dated = [(f.title, f.opens, f.closes) for f in facts if f.opens is not None and f.closes and f.closes < FAR]
        if dated:
            first, last = (self.clock(ms) for ms in extent(dated, now))
            alt = self.text("timeline_alt", count=str(len(dated)), first=first, last=last)
            title = self.text("timeline_picture")
            yield Part(title=title, kind="picture", svg=bars(dated, now), alt=alt, lines=(Line(text=alt),), id="bars")


# --- words ------------------------------------------------------------------------------------------------------------


def _phase(visit: Visit) -> str:
    return f"{visit.phase}: {visit.title}"


def _day(local: datetime) -> str:
    return f"{local:%a} {local.day} {local:%b %Y}"


def _clock(local: datetime) -> str:
    return f"{_day(local)} {local:%H:%M}"


def _length(ms: int) -> str:
    """A stay in hours and minutes; none where nobody has to stay."""
    hours, minutes = divmod(ms // MS_PER_MINUTE, MINUTES_PER_HOUR)
    return " ".join(filter(None, (f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""))) or "\u2013"


def _by(pairs: Iterable[tuple[Key, Visit]]) -> dict[Key, list[Visit]]:
    """What belongs to several visits once, with all of them."""
    found: dict[Key, list[Visit]] = {}
    for key, visit in pairs:
        found.setdefault(key, []).append(visit)
    return found


def _numbers(visits: Sequence[Visit]) -> str:
    """Visits by phase and number, such as "induction 1\u20138"."""
    runs: list[tuple[str, int, int]] = []
    for visit in visits:
        phase, first, last = runs[-1] if runs else ("", 0, 0)
        if phase == visit.phase and visit.number == last + 1:
            runs[-1] = (phase, first, visit.number)
        else:
            runs.append((visit.phase, visit.number, visit.number))
    return "; ".join(f"{phase} {first}" + (f"\u2013{last}" if last > first else "") for phase, first, last in runs)


def _with_unit(setting: Setting, value: object) -> str:
    return f"{value} {setting.unit}".removesuffix(" 1").strip()


def _bounds(setting: Setting) -> str:
    if setting.choices:
        return ", ".join(setting.choices)
    if setting.least is None and setting.most is None:
        return "\u2013"
    least, most = ("" if bound is None else f"{bound:g}" for bound in (setting.least, setting.most))
    return f"{least} \u2013 {most}"
