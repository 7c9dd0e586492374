"""What others are shown of a routine: red flags in what the person wrote, and lines for therapist and prescriber."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from adjunct.knowledge import Knowledge
from adjunct.messages import LEVELS, read_message
from adjunct.routine.model import Act, Alert, Entry, Habit, Kind, State
from adjunct.routine.standing import Standing
from adjunct.routine.today import Today
from adjunct.routine.voice import Voice
from adjunct.sheet import ENGLISH, day


def alerts(
    acts: Sequence[Act], log: Sequence[Entry], knowledge: Knowledge, language: str, country: str
) -> Iterator[Alert]:
    """Red-flag words in what the person wrote, the worst first."""
    written = [(e.at, e.activity, e.note) for e in log]
    written += [(a.at, a.activity, " ".join(filter(None, (a.goal, a.cue, a.dose)))) for a in acts]
    found = []
    for at, activity, text in written:
        read = read_message(knowledge, text, language=language, country=country or None) if text.strip() else None
        if read is not None and read.level != LEVELS[0]:
            found.append(Alert(at=at, activity=activity, level=read.level, flags=read.flags, tell=read.tell))
    yield from sorted(found, key=lambda a: (-LEVELS.index(a.level), -a.at, a.activity))


def agreed(chosen: Sequence[Habit], standing: Mapping[str, Standing], today: Today) -> Iterator[str]:
    """One line an activity, in English: what was agreed, since when, by whom, how it goes, and what limits it."""
    english = Voice(today.knowledge, ENGLISH)
    says, zone = english.data["says"], today.cover.zone
    shown = replace(today, voice=english)
    for habit in chosen:
        own, entry = standing[habit.activity.id], today.knowledge.selfcare[habit.activity.id]
        plain = shown.activity(entry, own.step)
        since = english.knowledge.say(says["since"], day=day(habit.since, zone), by=habit.by)
        if habit.changed != habit.since:
            changed = {"day": day(habit.changed, zone), "by": habit.by, "version": str(habit.version)}
            since += "; " + english.knowledge.say(says["changed"], **changed)
        yield english.knowledge.say(
            says["habit"],
            title=plain.title.text,
            dose=own.dose or plain.dose.text.text,
            goal=own.goal or plain.goal.text,
            cue=own.cue or plain.cue.text,
            since=since,
            state=" ".join(_states(habit, english, round(today.number("routine.adherence.window")))),
        )
    for own in standing.values():
        if own.kind in (Kind.DECLINED, Kind.STOPPED):
            title = english.told(today.knowledge.selfcare[own.activity]["title"]).text
            yield f"{title}: " + english.knowledge.say(says[own.kind], day=day(own.changed, zone), by=own.by)


def _states(habit: Habit, english: Voice, window: int) -> Iterator[str]:
    says, why = english.data["says"], ", ".join(habit.why)
    if habit.state != State.ACTIVE:
        yield english.knowledge.say(says[habit.state], why=why)
        return
    yield says["new" if habit.new else "established"]
    if habit.adherence is not None:
        yield english.knowledge.say(
            says["adherence"],
            window=f"{window} days",
            done=str(habit.adherence.done),
            planned=f"{habit.adherence.planned:.0f}",
            unknown=str(habit.adherence.unknown),
        )
    if why:
        yield english.knowledge.say(says["smaller"], why=why)
