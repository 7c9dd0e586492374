"""The day as far as it matters to a habit: energy, pain, session, limits, and what was noted lately."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from adjunct.base import MS_PER_DAY, duration_ms
from adjunct.followup.cover import Cover
from adjunct.knowledge import Knowledge
from adjunct.routine.limits import held
from adjunct.routine.model import NOT_DONE, Activity, Adherence, Dose, Entry
from adjunct.routine.voice import Voice

Table = Mapping[str, Any]
REST, GENTLE = "rest", "gentle"  # what a session day is for an activity


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """Everything that decides how much of an activity is right today."""

    voice: Voice
    cover: Cover
    now: int
    energy: int | None
    pain: int | None
    session: int | None  # of today, or the last one
    rest_days: frozenset[date]  # days with a session, as far as they are on record
    holds: Mapping[str, int]
    log: tuple[Entry, ...]

    @property
    def knowledge(self) -> Knowledge:
        """The edition that speaks."""
        return self.voice.knowledge

    def number(self, name: str) -> float:
        """A number of the routine's own facts."""
        return self.knowledge.number(name)

    @property
    def day(self) -> date:
        """The day of the clinic's calendar."""
        return self.cover.local(self.now).date()

    @property
    def session_day(self) -> bool:
        """Whether a session is, or was, today."""
        return self.session is not None and self.cover.local(self.session).date() == self.day

    @property
    def after_session(self) -> bool:
        """Whether the session has been."""
        return self.session is not None and self.session <= self.now

    @property
    def tired(self) -> bool:
        """Whether energy is known to be low."""
        return self.energy is not None and self.energy <= self.number("routine.energy.low")

    @property
    def hurting(self) -> bool:
        """Whether pain is known to be high."""
        return self.pain is not None and self.pain >= self.number("routine.pain.high")

    def low(self, lately: Adherence | None) -> bool:
        """Whether less was done than planned, even if every day without a note was a good one."""
        return lately is not None and lately.most < self.number("routine.adherence.low")

    def dose(self, entry: Table, step: int) -> Dose:
        """One step of an activity's ladder."""
        given = entry["step"][step]
        return Dose(
            step=step,
            minutes=self.knowledge.number(given["minutes"]),
            days=self.knowledge.number(given["days"]),
            text=self.voice.told(given["text"], status="proposed"),
        )

    def activity(self, entry: Table, step: int, cleared: frozenset[str] = frozenset()) -> Activity:
        """An activity as this person is told it, at a step of its ladder."""
        voice, grade = self.voice, self.voice.pick(self.voice.data["grade"][entry["grade"]])
        told = {name: voice.told(entry[name]) for name in ("title", "text", "goal", "cue", "stop")}
        known = voice.told(entry["known"], source=entry["source"]["id"], status=entry["status"])
        late = voice.pick(voice.data["grade"][entry["after_grade"]])
        after = replace(voice.told(entry["after"]), sure=late)
        return Activity(
            id=entry["id"],
            kind=entry["kind"],
            domain=entry["domain"],
            known=replace(known, sure=f"{grade}; {known.sure}"),
            after=after,
            grade=entry["grade"],
            after_grade=entry["after_grade"],
            dose=self.dose(entry, step),
            limits=held(entry, self.holds, voice, cleared),
            clinician=self.knowledge.say(entry["clinician"]),
            **told,
        )

    def starts(self, entry: Table) -> int | None:
        """From when after the session it may be done; None without one. A pressure that is unknown waits the longer."""
        if self.session is None or "start" not in entry:
            return None
        fact = entry["start_high"] if "start_high" in entry and self.holds["bp-high"] else entry["start"]
        return self.session + self.knowledge.length_ms(fact)

    def adherence(self, entry: Table, since: int, days: float, window: str) -> Adherence | None:
        """How often it was done in the last days; None before there are enough of them. Rest days do not count."""
        span = round(self.number(window))
        first = max(self.cover.local(since).date(), self.day - timedelta(days=span - 1))
        resting = self.rest_days if entry["session_day"] == REST else frozenset()
        length = (self.day - first).days + 1 - sum(first <= day <= self.day for day in resting)
        if length < self.number("routine.adherence.enough"):
            return None
        done, not_done = set[date](), set[date]()
        for note in self.log:
            noted = self.cover.local(note.at).date()
            if note.activity == entry["id"] and first <= noted <= self.day:
                (not_done if note.done == NOT_DONE else done).add(noted)
        not_done -= done | resting
        planned = days * length / (duration_ms("1 wk") / MS_PER_DAY)
        return Adherence(
            done=len(done),
            planned=planned,
            unknown=max(0, length - len(done) - len(not_done)),
            least=min(1.0, len(done) / planned),
            most=min(1.0, (length - len(not_done)) / planned),
        )
