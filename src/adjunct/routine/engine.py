"""The routine of one person at one instant: what they chose, how much of it today, and what could come next.

A pure fold of decisions and log over the activities of the knowledge. The person chooses: nothing is agreed without
an act, a decline stays, and a day without a note is unknown, never a failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from adjunct.base import MS_PER_DAY, YES, Instant, convert, duration_ms
from adjunct.followup.cover import Cover
from adjunct.knowledge import Knowledge
from adjunct.messages import LEVELS, read_message
from adjunct.record import Record
from adjunct.routine.agenda import acts_done, steps_of
from adjunct.routine.limits import STRICT, held, strictest, truths
from adjunct.routine.model import (
    NOT_DONE,
    Act,
    Activity,
    Adherence,
    Alert,
    Choices,
    Dose,
    Effect,
    Entry,
    Habit,
    Held,
    Kind,
    Routine,
    State,
    Version,
)
from adjunct.routine.voice import Voice
from adjunct.sheet import Line, day, moment
from adjunct.sheet import language as known_language

HABIT, CARE = "habit", "care"
NEXT_DAY = timedelta(days=1)
Table = Mapping[str, Any]


def routine(
    record: Record,
    knowledge: Knowledge,
    *,
    choices: Choices,
    log: Sequence[Entry],
    now: Instant,
    cover: Cover,
    language: str = "en",
    country: str = "",
    energy: int | None = None,
    pain: int | None = None,
    session_at: int | None = None,
    last_bp: tuple[float, float] | None = None,
) -> Routine:
    """The routine of the person of `record` at `now`. What was decided or noted after `now` has not happened.

    `energy` and `pain` (0 to 10) go before those of `choices`; `session_at` is the session of today or the last one,
    in ms; `last_bp` is (systolic, diastolic) in mm[Hg]; `country` is where the person is, for numbers in an alert.
    """
    voice = Voice(knowledge, known_language(language, "language"))
    acts = [act for act in choices.acts if act.at <= now.ms]
    today = _Today(
        voice=voice,
        cover=cover,
        now=now.ms,
        energy=choices.energy if energy is None else energy,
        pain=choices.pain if pain is None else pain,
        session=session_at,
        holds=truths(record, knowledge, choices.answers, last_bp=last_bp),
        log=tuple(e for e in log if e.at <= now.ms),
    )
    standing = _fold(acts)
    chosen = _placed(today, [s for s in standing.values() if s.kind == Kind.CHOSEN])
    care = tuple(today.activity(entry, 0) for entry in _of_kind(knowledge, CARE))
    offers = _offers(today, standing, chosen)
    active, waiting, paused = (tuple(h for h in chosen if h.state == state) for state in State)
    shown = (*care, *(h.activity for h in chosen), *offers)
    return Routine(
        at=now,
        zone=cover.zone,
        language=language,
        habits=active,
        waiting=waiting,
        paused=paused,
        offers=offers,
        care=care,
        declined=tuple(s.activity for s in standing.values() if s.kind == Kind.DECLINED),
        questions=_questions(shown, voice, private=False),
        ask_privately=_questions(shown, voice, private=True),
        alerts=tuple(_alerts(acts, today.log, knowledge, language, country)),
        agreed=tuple(_agreed(chosen, standing, today)),
        versions=_versions(acts),
        steps=steps_of(active, today.cover, knowledge, now=now.ms, session=session_at),
        done=acts_done(today.log),
    )


# --- what was decided -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """What holds of one activity after all decisions; `since` is when it was chosen, `changed` the last of them."""

    activity: str
    kind: Kind
    since: int
    changed: int
    by: str
    version: int
    step: int = 0
    goal: str = ""
    cue: str = ""
    dose: str = ""
    cleared: str = ""


def _fold(acts: Sequence[Act]) -> dict[str, _Standing]:
    """Decisions in order of time, each a version; what an edit leaves out stays as it was."""
    found: dict[str, _Standing] = {}
    for number, act in enumerate(acts, start=1):
        before = found.get(act.activity)
        mark: Any = {"changed": act.at, "by": act.by, "version": number}
        if act.kind == Kind.CLEARED:
            kept = before or _Standing(activity=act.activity, kind=Kind.CLEARED, since=act.at, **mark)
            found[act.activity] = replace(kept, cleared=act.by)
        elif act.kind == Kind.EDITED and before is not None:
            words = {name: getattr(act, name) or getattr(before, name) for name in ("goal", "cue", "dose")}
            step = before.step if act.step is None else act.step
            found[act.activity] = replace(before, step=step, **words, **mark)
        else:
            found[act.activity] = _Standing(
                activity=act.activity,
                kind=act.kind,
                since=act.at,
                step=act.step or 0,
                goal=act.goal,
                cue=act.cue,
                dose=act.dose,
                cleared=before.cleared if before else "",
                **mark,
            )
    return found


def _versions(acts: Sequence[Act]) -> tuple[Version, ...]:
    return tuple(
        Version(
            number=number,
            at=act.at,
            by=act.by,
            kind=act.kind,
            activity=act.activity,
            words="; ".join(f"{name}: {text}" for name in ("goal", "cue", "dose") if (text := getattr(act, name))),
        )
        for number, act in enumerate(acts, start=1)
    )


# --- today ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Today:
    """Everything that decides how much of an activity is right today."""

    voice: Voice
    cover: Cover
    now: int
    energy: int | None
    pain: int | None
    session: int | None
    holds: Mapping[str, int]
    log: tuple[Entry, ...]

    @property
    def knowledge(self) -> Knowledge:
        return self.voice.knowledge

    def number(self, name: str) -> float:
        return self.knowledge.number(f"routine.{name}")

    @property
    def day(self) -> date:
        return self.cover.local(self.now).date()

    @property
    def session_day(self) -> bool:
        return self.session is not None and self.cover.local(self.session).date() == self.day

    @property
    def tired(self) -> bool:
        return self.energy is not None and self.energy <= self.number("energy.low")

    @property
    def hurting(self) -> bool:
        return self.pain is not None and self.pain >= self.number("pain.high")

    def dose(self, entry: Table, step: int) -> Dose:
        given = entry["step"][step]
        return Dose(
            step=step,
            minutes=self.knowledge.number(given["minutes"]),
            days=self.knowledge.number(given["days"]),
            text=self.voice.told(given["text"], status="proposed"),
        )

    def activity(self, entry: Table, step: int) -> Activity:
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
            limits=held(entry, self.holds, voice),
            clinician=self.knowledge.say(entry["clinician"]),
            **told,
        )

    def starts(self, entry: Table) -> int | None:
        """When it may begin again after the last session; None: now. A pressure that is unknown waits the longer."""
        if self.session is None or "start" not in entry or self.session > self.now:
            return None
        fact = entry["start_high"] if "start_high" in entry and self.holds["bp-high"] else entry["start"]
        found = self.knowledge.facts[fact]
        begins = self.session + round(convert(self.knowledge.number(fact), found.unit, "d") * MS_PER_DAY)
        return begins if begins > self.now else None

    def adherence(self, name: str, since: int, days: float, window: str) -> Adherence | None:
        """How often it was done in the last days; None before there are enough of them."""
        span = round(self.number(window))
        first = max(self.cover.local(since).date(), self.day - timedelta(days=span - 1))
        length = (self.day - first).days + 1
        if length < self.number("adherence.enough"):
            return None
        done, not_done = set[date](), set[date]()
        for entry in self.log:
            noted = self.cover.local(entry.at).date()
            if entry.activity == name and first <= noted <= self.day:
                (not_done if entry.done == NOT_DONE else done).add(noted)
        not_done -= done
        planned = days * length / (duration_ms("1 wk") / MS_PER_DAY)
        return Adherence(
            done=len(done),
            planned=planned,
            unknown=length - len(done) - len(not_done),
            least=min(1.0, len(done) / planned),
            most=min(1.0, (length - len(not_done)) / planned),
        )


# --- habits -----------------------------------------------------------------------------------------------------------


def _placed(today: _Today, chosen: Sequence[_Standing]) -> tuple[Habit, ...]:
    """Chosen habits, the oldest first. New ones beyond the greatest number at a time wait for their turn."""
    places = round(today.number("new.most"))
    found = []
    for standing in sorted(chosen, key=lambda s: (s.since, s.activity)):
        habit = _habit(today, standing)
        if habit.state == State.ACTIVE and habit.new:
            if places == 0:
                habit = replace(
                    habit,
                    state=State.WAITING,
                    because=(today.voice.word("full", "because"),),
                    why=(today.voice.data["says"]["full"],),
                )
            else:
                places -= 1
        found.append(habit)
    return tuple(found)


def _habit(today: _Today, standing: _Standing) -> Habit:
    voice, entry = today.voice, today.knowledge.selfcare[standing.activity]
    agreed = today.dose(entry, standing.step)
    limits = held(entry, today.holds, voice)
    lately = today.adherence(standing.activity, standing.since, agreed.days, "adherence.window")
    long = today.adherence(standing.activity, standing.since, agreed.days, "established.span")
    lasted = today.now - standing.since >= today.number("established.span") * MS_PER_DAY
    established = lasted and long is not None and long.least >= today.number("established.share")
    because, why, step, resting = _adapted(today, entry, standing, limits, lately)
    state = _state(limits, standing)
    if state != State.ACTIVE:
        stopping = [h for h in limits if STRICT.index(h.effect) >= STRICT.index(Effect.ASK)]
        because, why = [h.tell for h in stopping], [_reason(h, voice) for h in stopping]
    good = lately is not None and lately.least >= today.number("adherence.good")
    may_grow = good and step == standing.step and strictest(limits) in (None, Effect.CAUTION)
    next_step = today.dose(entry, step + 1) if may_grow and step + 1 < len(entry["step"]) else None
    if state == State.ACTIVE and lately is not None and not lately.done and lately.unknown:
        because.append(voice.word("unasked", "because"))
    if state == State.ACTIVE and next_step is not None and not resting:
        because.append(voice.word("good", "because", text=next_step.text.text))
    return Habit(
        activity=_own_words(today, entry, standing, step),
        state=state,
        since=standing.since,
        changed=standing.changed,
        by=standing.by,
        version=standing.version,
        new=not established,
        agreed=agreed,
        adherence=lately,
        next=next_step if state == State.ACTIVE else None,
        resting=resting,
        because=tuple(because),
        why=tuple(why),
    )


def _state(limits: tuple[Held, ...], standing: _Standing) -> State:
    """Excluded: it rests. To be asked: it waits, unless a clinician has said yes."""
    strict = strictest(limits)
    if strict == Effect.EXCLUDE:
        return State.PAUSED
    return State.WAITING if strict == Effect.ASK and not standing.cleared else State.ACTIVE


def _adapted(
    today: _Today, entry: Table, standing: _Standing, limits: tuple[Held, ...], lately: Adherence | None
) -> tuple[list[Line], list[str], int, bool]:
    """Today's step with the reasons, for the person and for clinicians, and whether it rests altogether."""
    voice, step = today.voice, standing.step
    because: list[Line] = []
    why: list[str] = []

    def say(name: str, **words: str) -> None:
        because.append(voice.word(name, "because", **words))
        why.append(voice.data["says"][name.partition("_")[0]])

    begins = today.starts(entry)
    if today.session_day and entry["session_day"] == "rest":
        again = today.cover.instant(today.day, NEXT_DAY)
        say("session", day=day(max(again, begins or again), today.cover.zone, voice.language))
        return because, why, step, True
    if today.session_day and entry["session_day"] == "gentle":
        say("session_small")
        return because, why, 0, False
    if begins is not None:
        say("start", day=moment(begins, today.cover.zone, voice.language))
        return because, why, step, True
    if lately is not None and lately.most < today.number("adherence.low"):
        step = max(step - 1, 0)
        say("low")
    if today.tired:
        step = 0
        say("energy")
    if today.hurting and entry["body"]:
        step = 0
        say("pain")
    for limit in limits:
        because.append(limit.tell)
        if limit.effect == Effect.SHRINK:
            step = 0
            why.append(_reason(limit, voice))
    return because, why, step, False


def _reason(limit: Held, voice: Voice) -> str:
    return voice.knowledge.say(voice.data["says"]["limit" if limit.known else "unknown"], title=limit.title)


def _own_words(today: _Today, entry: Table, standing: _Standing, step: int) -> Activity:
    """The activity with the person's own goal and cue; their own dose only while it is the agreed step."""
    shown = today.activity(entry, step)
    own: Any = {name: _own(text) for name in ("goal", "cue") if (text := getattr(standing, name))}
    dose = replace(shown.dose, text=_own(standing.dose)) if standing.dose and step == standing.step else shown.dose
    return replace(shown, dose=dose, **own)


def _own(text: str) -> Line:
    return Line(text=text, language="")  # the person's own words, in whatever language


# --- offers -----------------------------------------------------------------------------------------------------------


def _offers(today: _Today, standing: Mapping[str, _Standing], chosen: Sequence[Habit]) -> tuple[Activity, ...]:
    """A few activities that fit, the best first: none that is declined, excluded or chosen, none above the places."""
    places = round(today.number("new.most")) - sum(h.new and h.state != State.PAUSED for h in chosen)
    covered = {h.activity.domain for h in chosen}
    fitting = []
    for entry in _of_kind(today.knowledge, HABIT):
        before = standing.get(entry["id"])
        if before is not None and before.kind in (Kind.CHOSEN, Kind.DECLINED):
            continue
        offer = today.activity(entry, 0)
        if strictest(offer.limits) != Effect.EXCLUDE:
            fitting.append((_fit(today, entry, offer, covered, asked=before is not None), offer))
    most = max(0, min(places, round(today.number("offers.shown"))))
    return tuple(offer for _, offer in sorted(fitting, key=lambda f: f[0]))[:most]


def _fit(today: _Today, entry: Table, offer: Activity, covered: set[str], *, asked: bool) -> tuple[Any, ...]:
    """What the person asked for first; then what fits their complaints, needs least asking, and is new to them."""
    strict = strictest(offer.limits)
    return (
        not asked,
        strict == Effect.ASK,
        not any(today.holds[name] == YES for name in entry.get("fits", ())),
        (today.tired and entry["effort"] != "low") or (today.hurting and entry["body"]),
        strict == Effect.SHRINK,
        entry["domain"] in covered,
        entry["grade"],
        entry["order"],
    )


def _of_kind(knowledge: Knowledge, kind: str) -> Iterator[Table]:
    yield from sorted((e for e in knowledge.selfcare.values() if e["kind"] == kind), key=lambda e: int(e["order"]))


def _questions(shown: Sequence[Activity], voice: Voice, *, private: bool) -> tuple[Line, ...]:
    """What is not known about the activities on the page, each question once, in the order of the table."""
    unknown = {h.condition for a in shown for h in a.limits if not h.known}
    rows = (c for c in voice.data["condition"] if c["id"] in unknown and ("private" in c) == private)
    return tuple(voice.told(c["ask"]) for c in rows)


# --- what others read -------------------------------------------------------------------------------------------------


def _alerts(
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


def _agreed(chosen: Sequence[Habit], standing: Mapping[str, _Standing], today: _Today) -> Iterator[str]:
    """One line an activity, in English: what was agreed, since when, by whom, how it goes, and what limits it."""
    english = Voice(today.knowledge, "en")
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
            state=" ".join(_states(habit, english, round(today.number("adherence.window")))),
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
