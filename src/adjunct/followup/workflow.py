"""From an alarm to an answer: a fold over everything that was recorded about one person's suicide risk.

What is recorded is never changed: a correction is one more event, a late event is placed by its true time, the same
one counts once, and one that does not fit becomes a flag. A clock starts when an alarm is received. A person's act
answers only for what had been received when they acted, and HIGH is closed by nothing but a recorded outcome.
What is due comes from `due.py`. Instants are milliseconds since 1970 UTC. Knowledge: `followup/workflow.toml`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adjunct.followup.risk import (
    ITEMS,
    LIFETIME,
    NO,
    SCREENER,
    SINCE,
    UNKNOWN,
    YES,
    Clock,
    Level,
    Triage,
    answer,
    proven,
    triage,
)
from adjunct.instruments import Score
from adjunct.knowledge import Knowledge

NAMED = frozenset({"acknowledged", "evaluated", "decision", "closed", "correction", "level"})  # nobody's word is none
PLAIN = frozenset({"acknowledged", "notified", "escalated", "not-alone", "means", "closed"})
OTHER_ITEM, SUICIDE = "other-item", "suicide"
URGENT = "emergency"
ALARMS = ("trigger", "screen", "level")
OPEN_ENDED = "-open"  # an evaluation that came to nothing that closes
FAILED = "contact-failed"
ASKED = "ALARM"  # the text that asks for the screener
SCREEN = "screen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened: true time `at`, time of receipt, who said so, in which capacity.

    Types and their data: trigger {kind, urgency, screen}; screen {screen, answers, asked, first_known}; level {level};
    acknowledged, notified, escalated, not-alone, means, closed; evaluated {outcome}; contact {result: made | failed};
    plan {declined}; decision {decision, consent, reason}; correction {of, data | withdrawn}.
    """

    id: str
    at: int
    received: int
    type: str
    by: str = ""
    source: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something a person did about it. `note` is its outcome, decision or result."""

    kind: str
    at: int
    by: str
    event: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """An event that does not fit, with why. It is kept and shown; nothing is thrown away."""

    event: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """One reason to act, from its receipt until it is answered for.

    `clocks`: each with the receipt that started it. `raised`: the receipt that last raised the level; what a person
    did before that does not answer for it.
    """

    id: str
    kind: str
    at: int
    received: int
    raised: int
    source: str
    level: Level
    at_least: Level
    clocks: Mapping[Clock, int]
    urgent: bool = False
    complete: bool = False
    contradictions: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    history: bool = False
    screen: str = ""
    acknowledged: Act | None = None
    done: Mapping[str, Act] = field(default_factory=dict)  # by action
    closed: Act | None = None
    settled: bool = False
    originals: tuple[Mapping[str, Any], ...] = ()  # what was recorded before corrections


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything known of one person's risk. `events` are all that was recorded, in order of true time and id."""

    knowledge: Knowledge = field(repr=False, compare=False)
    events: tuple[Event, ...] = ()
    concerns: tuple[Concern, ...] = ()
    acts: tuple[Act, ...] = ()
    flags: tuple[Flag, ...] = ()

    @property
    def open(self) -> tuple[Concern, ...]:
        """What still asks for something: not closed, and not everything done."""
        return tuple(c for c in self.concerns if c.closed is None and not c.settled)

    @property
    def level(self) -> Level:
        """The highest open level. Nothing open: NONE if the last screen was all no; else only asking again can tell."""
        if self.open:
            return max((c.level for c in self.open), key=lambda level: level.rank)
        screens = [c for c in self.concerns if c.kind == "screen"]
        last = max(screens, key=lambda c: (c.at, c.id), default=None)
        return Level.NONE if last is not None and last.level == Level.NONE else Level.UNKNOWN

    @property
    def at_least(self) -> Level:
        return max((c.at_least for c in self.open), key=lambda level: level.rank, default=Level.UNKNOWN)

    @property
    def reads(self) -> str:
        """Which text the person reads: a screener still to be asked leads over what an older one came to, save HIGH."""
        asked = any(c.level is Level.UNKNOWN and SCREEN not in c.done for c in self.open)
        return ASKED if asked and self.level.rank < Level.UNFINISHED.rank else self.level.value

    @property
    def history(self) -> bool:
        """Whether lifetime behaviour is known: a standing risk at every later visit."""
        return any(c.history for c in self.concerns)


def start(knowledge: Knowledge) -> State:
    """Nothing recorded yet."""
    return State(knowledge=knowledge)


def advance(state: State, event: Event) -> State:
    """The state with one more event, whenever it arrives. Total: what does not fit is flagged, never raised."""
    return replay(state.knowledge, (*state.events, event))


def replay(knowledge: Knowledge, events: Iterable[Event]) -> State:
    """The state after `events`, in whatever order they come, and however often each."""
    recorded = _once(events)
    flags: list[Flag] = []
    read = _corrected(_named_apart(recorded, flags), knowledge, flags)
    acts = tuple(act for entry in read for act in _acts(entry, knowledge, flags))
    concerns = [*_alarms(read, knowledge, flags), *_screens(read, knowledge, flags)]
    concerns = [_covered(c, concerns, acts, knowledge) for c in concerns]
    for act in acts:
        if act.kind == "closed":
            concerns = [_closed(c, act, knowledge, flags) for c in concerns]
    return State(
        knowledge=knowledge,
        events=recorded,
        concerns=tuple(sorted(concerns, key=lambda c: (c.at, c.id))),
        acts=acts,
        flags=tuple(sorted(set(flags), key=lambda f: (f.event, f.why))),
    )


def triggers_of(
    scored: Score, knowledge: Knowledge, *, name: str, at: int, received: int, by: str = "", source: str = ""
) -> tuple[Event, ...]:
    """The trigger that a score raises, whatever its total; `name` is that of the answers. None without an alert."""
    if scored.instrument == SCREENER or not any(said.level == SUICIDE for said in scored.says):
        return ()
    known = {t.get("instrument"): t["id"] for t in knowledge.content["workflow"]["trigger"]}
    data = {"kind": known.get(scored.instrument, OTHER_ITEM), "instrument": scored.instrument}
    return (Event(id=f"{name}/trigger", at=at, received=received, type="trigger", by=by, source=source, data=data),)


# --- reading what was recorded ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """An event as it counts: with its corrected data (None: withdrawn), and what stood there before."""

    event: Event
    data: Mapping[str, Any] | None
    before: tuple[Mapping[str, Any], ...] = ()

    @property
    def versions(self) -> tuple[Mapping[str, Any], ...]:
        return (*self.before, *((self.data,) if self.data is not None else ()))


def _content(event: Event) -> tuple[int, str, str, str, str, str]:
    written = repr(sorted((str(k), repr(v)) for k, v in event.data.items()))
    return event.at, event.id, event.type, event.by, event.source, written


def _once(events: Iterable[Event]) -> tuple[Event, ...]:
    """Each event once, the copy that was received first, in order of true time and id."""
    first: dict[tuple[int, str, str, str, str, str], Event] = {}
    for event in events:
        known = first.setdefault(_content(event), event)
        if event.received < known.received:
            first[_content(event)] = event
    return tuple(first[key] for key in sorted(first))


def _named_apart(events: Sequence[Event], flags: list[Flag]) -> list[Event]:
    """Different events under one id are all kept: dropping one could drop an alarm. No true time is after receipt."""
    seen: dict[str, int] = defaultdict(int)
    found = []
    for event in events:
        seen[event.id] += 1
        name = event.id if seen[event.id] == 1 else f"{event.id}#{seen[event.id]}"
        if name != event.id:
            flags.append(Flag(event=name, why="the id was used for another event: both are kept"))
        if event.at > event.received:
            flags.append(Flag(event=name, why="dated after its receipt: read as of its receipt"))
        found.append(replace(event, id=name, at=min(event.at, event.received)))
    return sorted(found, key=lambda e: (e.at, e.id))


def _corrected(events: Sequence[Event], knowledge: Knowledge, flags: list[Flag]) -> list[_Read]:
    """Events with their last correction applied; the corrections themselves go no further."""
    lay = knowledge.content["workflow"]["lay_sources"]
    plain = {e.id: _Read(event=e, data=e.data) for e in events if e.type != "correction"}
    for event in events:
        if event.type != "correction":
            continue
        target, data = plain.get(str(event.data.get("of"))), event.data.get("data")
        if target is None or not event.by.strip():
            flags.append(Flag(event=event.id, why="a correction needs a name and the id of what it corrects"))
        elif event.source in lay:
            flags.append(Flag(event=event.id, why="nobody but the team corrects what is recorded: it stays as it was"))
        elif event.data.get("withdrawn") is True or isinstance(data, Mapping):
            new = data if isinstance(data, Mapping) else None
            plain[target.event.id] = replace(target, data=new, before=target.versions)
        else:
            flags.append(Flag(event=event.id, why="a correction says the new data, or that it withdraws"))
    return list(plain.values())


def _acts(entry: _Read, knowledge: Knowledge, flags: list[Flag]) -> Iterable[Act]:
    """What a person did, if the event says it in full; what is missing is flagged, and the act does not count."""
    event, data = entry.event, entry.data
    if event.type in ALARMS:
        return
    if data is None:
        flags.append(Flag(event=event.id, why="withdrawn"))
        return
    kind, note, why = _kind_of(event.type, data, knowledge)
    if event.type in NAMED and not event.by.strip():
        why = "needs the name of the person who did it"
    if event.source in knowledge.content["workflow"]["lay_sources"]:
        why = "this is done by the team: what the person or a supporter sends does not count as it"
    if why:
        flags.append(Flag(event=event.id, why=why))
    else:
        yield Act(kind=kind, at=event.at, by=event.by, event=event.id, note=note)


def _kind_of(kind: str, data: Mapping[str, Any], knowledge: Knowledge) -> tuple[str, str, str]:
    """The act that an event of this type is, its note, and why it is none."""
    settings = knowledge.content["workflow"]
    if kind in PLAIN:
        return kind, "", ""
    if kind == "evaluated":
        outcome = next((o for o in settings["outcome"] if o["id"] == data.get("outcome")), None)
        if outcome is None:
            return "", "", "an evaluation needs one of the outcomes listed"
        return (kind if outcome["closes"] else kind + OPEN_ENDED), outcome["id"], ""
    if kind == "contact":
        result = data.get("result")
        return {"made": (kind, "made", ""), "failed": (FAILED, "failed", "")}.get(
            str(result), ("", "", "a contact was made or failed")
        )
    if kind == "plan":
        return ("plan-declined" if data.get("declined") is True else kind), "", ""
    if kind == "decision":
        decision = str(data.get("decision"))
        if decision not in {d["id"] for d in settings["decision"]}:
            return "", "", "not one of the decisions listed"
        if not str(data.get("reason") or "").strip() and not (decision == "call-again" or data.get("consent") is True):
            return "", "", "this decision needs its reason"
        return kind, decision, ""
    return "", "", "of a type that is not known here"


def _alarms(read: Iterable[_Read], knowledge: Knowledge, flags: list[Flag]) -> Iterable[Concern]:
    """Triggers and levels that somebody stated. A trigger asks for the screener; by itself it is never a level."""
    kinds = {t["id"] for t in knowledge.content["workflow"]["trigger"]}
    for entry in read:
        event, data = entry.event, entry.data if entry.data is not None else (entry.before or ({},))[-1]
        if event.type == "trigger":
            kind = str(data.get("kind") or "")
            if kind not in kinds:
                flags.append(Flag(event=event.id, why="an alarm of a kind that is not known here: it counts"))
            level, clocks = Level.UNKNOWN, {Clock.ASK: event.received}
        elif event.type == "level":
            kind, stated = "stated", str(data.get("level"))
            if Level.HIGH in (version.get("level") for version in entry.versions):
                stated = Level.HIGH.value  # a correction does not take back a HIGH: an outcome does
            if stated not in (Clock.HIGH, Clock.MODERATE, Clock.LOW) or not event.by.strip():
                flags.append(Flag(event=event.id, why="a stated level is HIGH, MODERATE or LOW, with a name"))
                continue
            level, clocks = Level(stated), {Clock(stated): event.received}
        else:
            continue
        if entry.data is None:
            flags.append(Flag(event=event.id, why="withdrawn; it stays open until somebody answers for it"))
        yield Concern(
            id=f"{event.type}:{event.id}",
            kind=kind,
            at=event.at,
            received=event.received,
            raised=event.received,
            source=event.source or event.by,
            level=level,
            at_least=level,
            clocks=clocks,
            urgent=data.get("urgency") == URGENT,
            screen=str(data.get("screen") or ""),
            originals=entry.before,
        )


# --- screens ----------------------------------------------------------------------------------------------------------


def _screens(read: Sequence[_Read], knowledge: Knowledge, flags: list[Flag]) -> list[Concern]:
    """One concern for each screen, put together from the parts in which it was answered."""
    parts: dict[str, list[_Read]] = defaultdict(list)
    for entry in read:
        if entry.event.type == "screen":
            parts[str(entry.event.data.get("screen") or entry.event.id)].append(entry)
    learned = _where_learned(parts)
    found = [_screen(name, p, learned not in ("", name), knowledge, flags) for name, p in parts.items()]
    return [_answered_elsewhere(c, found, knowledge) for c in found]


def _where_learned(parts: Mapping[str, Sequence[_Read]]) -> str:
    """The screen from which behaviour was first learned, by receipt: one that arrives later delays no clock."""
    told = ((p.event.received, p.event.at, name) for name, entries in parts.items() for p in entries if _told_of(p))
    return min(told, default=(0, 0, ""))[-1]


def _told_of(part: _Read) -> bool:
    return _said(part.data)["q6"] == YES


def _screen(name: str, parts: Sequence[_Read], known: bool, knowledge: Knowledge, flags: list[Flag]) -> Concern:
    """What the parts received so far came to, one after the other: a clock starts with the part that started it."""
    arrived = sorted(parts, key=lambda p: (p.event.received, p.event.id))
    flags.extend(
        Flag(event=part.event.id, why="answers are written as item and answer")
        for part in arrived
        if not all(isinstance(version.get("answers", {}), Mapping) for version in part.versions)
    )
    started: dict[Clock, int] = {}
    raised, before = arrived[0].event.received, Level.UNKNOWN.rank
    for number, part in enumerate(arrived, start=1):
        so_far = _come_to(arrived[:number], known, knowledge)
        reached = max(so_far.level.rank, so_far.at_least.rank)
        raised, before = (part.event.received if reached > before else raised), reached
        for clock in so_far.clocks:
            started.setdefault(clock, part.event.received)
    result = _come_to(arrived, known, knowledge)
    high = started.get(Clock.HIGH, arrived[-1].event.received)
    return Concern(
        id=f"screen:{name}",
        kind="screen",
        at=max(p.event.at for p in parts),
        received=arrived[0].event.received,
        raised=raised,
        source=next((p.event.source for p in arrived if p.event.source), ""),
        level=result.level,
        at_least=result.at_least,
        clocks={clock: min(started[clock], high) for clock in result.clocks},
        complete=result.level not in (Level.UNKNOWN, Level.UNFINISHED) and not result.contradictions,
        contradictions=result.contradictions,
        ask=result.ask,
        history=any(map(_told_of, parts)),
        screen=name,
        originals=tuple(version for p in parts for version in p.before),
    )


def _come_to(parts: Sequence[_Read], known: bool, knowledge: Knowledge) -> Triage:
    """The triage of these parts. A HIGH answer that was corrected stays HIGH until an outcome is recorded."""
    counted = [p.data for p in sorted(parts, key=lambda p: (p.event.at, p.event.id)) if p.data is not None]
    said, disputed = _union(counted)
    stated = next((answer(d["first_known"]) for d in reversed(counted) if d.get("first_known") is not None), UNKNOWN)
    asked = next((d["asked"] for d in reversed(counted) if d.get("asked") in (LIFETIME, SINCE)), LIFETIME)
    first = {YES: True, NO: False}.get(stated, False if known else None)
    result = triage(said, knowledge, asked=asked, first_known=first, disputed=disputed)
    if proven(_union([v for p in parts for v in p.versions])[0]) == Level.HIGH:
        return replace(result, level=Level.HIGH, at_least=Level.HIGH, clocks=(Clock.HIGH,))
    return result


def _said(data: Mapping[str, Any] | None) -> dict[str, str]:
    answers = (data or {}).get("answers")
    return {item: answer(answers.get(item)) if isinstance(answers, Mapping) else UNKNOWN for item in ITEMS}


def _union(versions: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], tuple[str, ...]]:
    """All answers as one set, and the items that were answered yes and no: there the yes counts."""
    given = [_said(version) for version in versions]
    said = {item: {g[item] for g in given} for item in ITEMS}
    merged = {item: YES if YES in said[item] else NO if NO in said[item] else UNKNOWN for item in ITEMS}
    return merged, tuple(item for item in ITEMS if {YES, NO} <= said[item])


def _answered_elsewhere(concern: Concern, screens: Sequence[Concern], knowledge: Knowledge) -> Concern:
    """An unfinished screen comes down to what it proves once a later one was finished.

    The later one counts if it agrees with what is proven, or if a person asked it: somebody who says yes and then
    fills in no everywhere has not been asked. HIGH is untouched.
    """
    if concern.complete or concern.level == Level.HIGH:
        return concern
    human = knowledge.content["workflow"]["human_sources"]
    for other in screens:
        later = (other.at, other.id) > (concern.at, concern.id)
        if other.complete and later and (other.source in human or other.level.rank >= concern.at_least.rank):
            level = max(concern.at_least, Level.NONE, key=lambda v: v.rank)
            start_at = concern.clocks.get(Clock.HIGH, concern.received)
            clocks = {} if level == Level.NONE else {Clock(level): concern.clocks.get(Clock(level), start_at)}
            return replace(concern, level=level, clocks=clocks, contradictions=(), ask=(), complete=True)
    return concern


# --- what was done about it -------------------------------------------------------------------------------------------


def actions_of(concern: Concern, knowledge: Knowledge) -> list[tuple[Mapping[str, Any], int]]:
    """The actions that a concern's clocks ask for, each with the receipt from which its times count."""
    found = []
    for action in knowledge.content["workflow"]["action"]:
        clocks = [clock for clock in concern.clocks if clock in action["clocks"]]
        only = action.get("only", ())
        wanted = not only or concern.level in only or ("contradiction" in only and bool(concern.contradictions))
        wanted = wanted and action.get("unless") not in concern.done
        if clocks and wanted:
            found.append((action, min(concern.clocks[clock] for clock in clocks)))
    return found


def moment(name: str, since: int, day_end: int, knowledge: Knowledge) -> int:
    """A time of the workflow file as an instant: the receipt, the end of that day, or so long after receipt."""
    if name == "receipt":
        return since
    if name == "day-end":
        return day_end
    return since + knowledge.length_ms(name)


def _covered(concern: Concern, all_: Sequence[Concern], acts: Sequence[Act], knowledge: Knowledge) -> Concern:
    """The concern with who confirmed it first, and what covered each action. One contact answers one of its steps."""
    answered = [*acts, *_screens_for(concern, all_)]
    used: set[str] = set()
    done: dict[str, Act] = {}
    for action, since in actions_of(concern, knowledge):
        opens = max(concern.raised, moment(action["opens"], since, since, knowledge))
        fitting = (
            act
            for act in sorted(answered, key=lambda a: (a.at, a.event))
            if act.kind in action["done_by"] and act.at >= opens and act.event not in used
        )
        first = next(fitting, None)
        if first is not None:
            done[action["id"]] = first
            used |= {first.event} if action["what"] == "contact" else set()
    confirmed = (a for a in acts if a.kind == "acknowledged" and a.at >= concern.raised)
    acknowledged = min(confirmed, key=lambda a: (a.at, a.event), default=None)
    waiting = acknowledged is None and any(c in confirming(knowledge) for c in concern.clocks)
    answered_for = replace(concern, acknowledged=acknowledged, done=done)
    missing = [action["id"] for action, _ in actions_of(answered_for, knowledge) if action["id"] not in done]
    return replace(answered_for, settled=not waiting and not missing)


def _screens_for(concern: Concern, screens: Sequence[Concern]) -> Iterable[Act]:
    """The finished screens that answer an alarm: the one it belongs to, or one asked after it and when it was known."""
    if concern.kind == "screen":
        return
    for other in screens:
        belongs = bool(concern.screen) and other.screen == concern.screen
        later = other.at >= concern.at and other.received >= concern.received
        if other.kind == "screen" and other.complete and (belongs or later):
            at = max(concern.received, other.received)
            yield Act(kind="screen", at=at, by=other.source, event=other.id, note=other.level.value)


def confirming(knowledge: Knowledge) -> Mapping[str, str]:
    """The clocks under which a named person must confirm, each with the fact that says within what time."""
    within: Mapping[str, str] = knowledge.content["workflow"]["acknowledge"]["within"]
    return within


def _closed(concern: Concern, act: Act, knowledge: Knowledge, flags: list[Flag]) -> Concern:
    """The concern as closed, if what closing needs was done by then; else it stays open and the attempt is flagged."""
    if concern.closed is not None or concern.raised > act.at or not concern.clocks:
        return concern
    confirmed = concern.acknowledged is not None and concern.acknowledged.at <= act.at
    if not confirmed and any(clock in confirming(knowledge) for clock in concern.clocks):
        flags.append(Flag(event=act.event, why="closed before anybody confirmed the alarm: it stays open"))
        return concern
    for action, _ in actions_of(concern, knowledge):
        if action.get("closing") and (action["id"] not in concern.done or concern.done[action["id"]].at > act.at):
            flags.append(
                Flag(event=act.event, why=f"closed before this was recorded: {action['title']}; it stays open")
            )
            return concern
    return replace(concern, closed=act)
