"""The routine of one person at one instant: what they chose, how much of it today, and what could come next.

A pure fold of decisions and log over the activities of the knowledge. The person chooses: nothing is agreed without
an act, a decline stays, and a day without a note is unknown, never a failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adjunct.base import DAY, MS_PER_DAY, YES, Instant
from adjunct.followup.cover import Cover
from adjunct.followup.surveillance import sessions
from adjunct.knowledge import Knowledge
from adjunct.record import Record
from adjunct.routine.agenda import acts_done, steps_of
from adjunct.routine.agreed import agreed, alerts
from adjunct.routine.choices import scored
from adjunct.routine.limits import STRICT, held, strictest, truths
from adjunct.routine.model import Activity, Adherence, Choices, Effect, Entry, Habit, Held, Kind, Routine, State
from adjunct.routine.standing import Standing, fold, versions
from adjunct.routine.today import GENTLE, REST, Table, Today
from adjunct.routine.voice import Voice
from adjunct.sheet import Line, day, moment
from adjunct.sheet import language as known_language

HABIT, CARE = "habit", "care"


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
    in ms, if it is not on record; `last_bp` is (systolic, diastolic) in mm[Hg]; `country` is where the person is, for
    the numbers in an alert.
    """
    voice = Voice(knowledge, known_language(language, "language"))
    acts = [act for act in choices.acts if act.at <= now.ms]
    given = [start for start, _ in sessions(record, knowledge)]
    session = max(given, default=None) if session_at is None else session_at
    today = Today(
        voice=voice,
        cover=cover,
        now=now.ms,
        energy=choices.energy if energy is None else scored(energy, knowledge, "energy"),
        pain=choices.pain if pain is None else scored(pain, knowledge, "pain"),
        session=session,
        rest_days=frozenset(cover.local(ms).date() for ms in (*given, session) if ms is not None),
        holds=truths(record, knowledge, choices.answers, last_bp=last_bp),
        log=tuple(e for e in log if e.at <= now.ms),
    )
    standing = fold(acts)
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
        alerts=tuple(alerts(acts, today.log, knowledge, language, country)),
        agreed=tuple(agreed(chosen, standing, today)),
        versions=versions(acts),
        steps=steps_of(active, today.cover, knowledge, now=now.ms, rest_days=today.rest_days),
        done=acts_done(today.log),
    )


# --- habits -----------------------------------------------------------------------------------------------------------


def _placed(today: Today, chosen: Sequence[Standing]) -> tuple[Habit, ...]:
    """Chosen habits, the oldest first. New ones beyond the greatest number at a time wait for their turn."""
    places = round(today.number("routine.new.most"))
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


def _habit(today: Today, standing: Standing) -> Habit:
    voice, entry = today.voice, today.knowledge.selfcare[standing.activity]
    dose, kept_up = today.dose(entry, standing.step), today.dose(entry, 0).days
    limits = held(entry, today.holds, voice, standing.cleared)
    lately = today.adherence(entry, standing.since, dose.days, "routine.adherence.window")
    long = today.adherence(entry, standing.since, kept_up, "routine.established.span")
    lasted = today.now - standing.since >= today.number("routine.established.span") * MS_PER_DAY
    established = lasted and long is not None and long.least >= today.number("routine.established.share")
    because, why, step, resting = _adapted(today, entry, standing, limits, lately)
    state = _state(limits)
    if state != State.ACTIVE:
        stopping = [h for h in limits if STRICT.index(h.effect) >= STRICT.index(Effect.ASK)]
        because, why = [h.tell for h in stopping], [_reason(h, voice) for h in stopping]
    good = lately is not None and lately.least >= today.number("routine.adherence.good")
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
        agreed=dose,
        adherence=lately,
        next=next_step if state == State.ACTIVE else None,
        resting=resting,
        because=tuple(because),
        why=tuple(why),
    )


def _state(limits: tuple[Held, ...]) -> State:
    """Excluded: it rests. To be asked: it waits."""
    strict = strictest(limits)
    return State.PAUSED if strict == Effect.EXCLUDE else State.WAITING if strict == Effect.ASK else State.ACTIVE


def _adapted(
    today: Today, entry: Table, standing: Standing, limits: tuple[Held, ...], lately: Adherence | None
) -> tuple[list[Line], list[str], int, bool]:
    """Today's step with the reasons, for the person and for clinicians, and whether it rests altogether."""
    voice, step = today.voice, standing.step
    because: list[Line] = []
    why: list[str] = []

    def say(name: str, **words: str) -> None:
        because.append(voice.word(name, "because", **words))
        why.append(voice.data["says"][name.partition("_")[0]])

    begins = today.starts(entry)
    if today.session_day and entry["session_day"] == REST:
        again = today.cover.instant(today.day, DAY)
        say("session", day=day(max(again, begins or again), today.cover.zone, voice.language))
        return because, why, step, True
    gentle = today.session_day and entry["session_day"] == GENTLE
    if begins is not None and today.after_session and today.now < begins and not gentle:
        say("start", day=moment(begins, today.cover.zone, voice.language))
        return because, why, step, True
    if gentle:
        step = 0
        say("session_small")
    if today.low(lately):
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


def _own_words(today: Today, entry: Table, standing: Standing, step: int) -> Activity:
    """The activity with the person's own goal and cue; their own dose only while it is the agreed step."""
    shown = today.activity(entry, step, standing.cleared)
    language = today.voice.language
    own: Any = {
        name: Line(text=text, language=language) for name in ("goal", "cue") if (text := getattr(standing, name))
    }
    dose = shown.dose
    if standing.dose and step == standing.step:
        dose = replace(dose, text=Line(text=standing.dose, language=language))
    return replace(shown, dose=dose, **own)


# --- offers -----------------------------------------------------------------------------------------------------------


def _offers(today: Today, standing: Mapping[str, Standing], chosen: Sequence[Habit]) -> tuple[Activity, ...]:
    """A few activities that fit, the best first: none that is declined, excluded or chosen, none above the places."""
    places = round(today.number("routine.new.most")) - sum(h.new and h.state != State.PAUSED for h in chosen)
    heavy = any(today.low(h.adherence) for h in chosen)
    covered = {h.activity.domain for h in chosen}
    fitting = []
    for entry in _of_kind(today.knowledge, HABIT):
        before = standing.get(entry["id"])
        if before is not None and before.kind in (Kind.CHOSEN, Kind.DECLINED):
            continue
        if heavy and (before is None or before.kind != Kind.ASKED):
            continue  # who finds it hard already is not given more, unless they ask
        offer = today.activity(entry, 0, before.cleared if before else frozenset())
        if strictest(offer.limits) != Effect.EXCLUDE:
            asked = before is not None and before.kind == Kind.ASKED
            fitting.append((_fit(today, entry, offer, covered, asked=asked), offer))
    most = max(0, min(places, round(today.number("routine.offers.shown"))))
    ranked = [offer for _, offer in sorted(fitting, key=lambda f: f[0])]
    wished = {s.activity for s in standing.values() if s.kind == Kind.ASKED}
    first = {offer.domain: offer.id for offer in reversed(ranked)}  # of one kind one is enough to choose from
    return tuple(offer for offer in ranked if offer.id in wished or first[offer.domain] == offer.id)[:most]


def _fit(today: Today, entry: Table, offer: Activity, covered: set[str], *, asked: bool) -> tuple[Any, ...]:
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
