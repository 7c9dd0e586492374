"""The routine as a page to print: what is agreed first, how much today, when to stop; evidence stands beside it."""

from __future__ import annotations

from collections.abc import Iterator

from adjunct.base import MS_PER_DAY
from adjunct.knowledge import Knowledge
from adjunct.routine.model import Activity, Alert, Habit, Routine
from adjunct.routine.voice import Voice
from adjunct.sheet import Line, Part, Sheet, moment
from adjunct.sheet import language as known_language


def sheet(routine: Routine, knowledge: Knowledge, language: str | None = None) -> Sheet:
    """The page for the person, in the language in which the routine was made.

    A routine holds its own texts: for a page in another language, make the routine in it. Raises `BadInput` for one
    in which there are no pages.
    """
    voice = Voice(knowledge, known_language(language or routine.language, "language"))
    alerts = [Line(text=a.tell, language=routine.language) for a in _lately(routine, knowledge)]
    parts = [
        _part("alerts", voice, alerts, "warning"),
        *(_habit(habit, voice) for habit in routine.habits),
        _part("none", voice, [voice.word("none")] if not routine.habits else []),
        _part("waiting", voice, list(_short(routine.waiting))),
        _part("paused", voice, list(_short(routine.paused))),
        _part("questions", voice, list(routine.questions), "checklist"),
        *(_offer(offer, voice) for offer in routine.offers),
        _part("care", voice, [line for a in routine.care for line in (_titled(a), *_limits(a))]),
    ]
    return Sheet(
        id="routine",
        title=voice.word("title").text,
        language=voice.language,
        lead=(voice.word("lead"),),
        parts=tuple(part for part in parts if part.lines),
        foot=(voice.word("time"), voice.word("foot")),
        meta={"made": moment(routine.at.ms, routine.zone, voice.language), "knowledge": knowledge.version},
    )


def _lately(routine: Routine, knowledge: Knowledge) -> list[Alert]:
    """Alerts of the last days; older ones are with those who answer for them."""
    window = round(knowledge.number("routine.adherence.window") * MS_PER_DAY)
    return [alert for alert in routine.alerts if routine.at.ms - alert.at < window]


def _part(name: str, voice: Voice, lines: list[Line], kind: str = "list") -> Part:
    title = voice.word("habits" if name == "none" else name).text
    return Part(id=name, title=title, kind=kind, lines=tuple(lines))  # type: ignore[arg-type]


def _habit(habit: Habit, voice: Voice) -> Part:
    shown = habit.activity
    asked = {h.tell for h in shown.limits} - set(_limits(shown))
    dose = [] if habit.resting else [voice.within("dose", shown.dose.text)]
    lines = [*dose, *(line for line in habit.because if line not in asked), *_how(shown, voice)]
    return Part(id=f"habits-{shown.id}", title=shown.title.text, kind="list", lines=tuple(dict.fromkeys(lines)))


def _offer(offer: Activity, voice: Voice) -> Part:
    title = f"{voice.word('offers').text}: {offer.title.text}"
    lines = (offer.text, voice.within("dose", offer.dose.text), *_limits(offer), *_how(offer, voice))
    return Part(id=f"offer-{offer.id}", title=title, kind="list", lines=tuple(dict.fromkeys(lines)))


def _limits(shown: Activity) -> tuple[Line, ...]:
    """What limits it for this person. What is not known is a question of the page; what is private is asked apart."""
    return tuple(held.tell for held in shown.limits if held.known)


def _how(shown: Activity, voice: Voice) -> Iterator[Line]:
    """What for and when, when to stop, and what is known: of itself, and after ketamine."""
    yield voice.word("aim", goal=shown.goal.text, cue=shown.cue.text)
    yield voice.within("stop", shown.stop)
    yield shown.known
    yield voice.within("after", shown.after)


def _short(habits: tuple[Habit, ...]) -> Iterator[Line]:
    for habit in habits:
        yield habit.activity.title
        yield from habit.because


def _titled(shown: Activity) -> Line:
    return Line(
        text=f"{shown.title.text}: {shown.text.text}",
        language=shown.text.language,
        source=shown.known.source,
        sure=shown.known.sure,
    )
