"""What is due on a treatment day: which check, which act, from when, and when it is overdue. All of it from the state.

The times stand in `knowledge/data/session/monitoring.toml`; `due` decides. A check is done by values that were taken
inside its window and by nothing else, so that a box cannot be ticked for a measurement. Rounds stand at fixed times
from the start of the dose, from its end, or from the earliest moment of leaving; what an alarm asks for, and what must
be fresh before the dose, counts from the last time. Nothing here holds a value.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, count, islice, repeat
from operator import itemgetter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from adjunct.base import FAR, duration_ms, iso
from adjunct.due import Done, Due, Step, Window, due
from adjunct.due import State as Standing
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import fold
from adjunct.session import pump
from adjunct.session.model import Phase, State

MINUTE = duration_ms("1 min")
BEFORE, DURING = frozenset({Phase.EXPECTED, Phase.ARRIVED}), frozenset({Phase.DOSING, Phase.PAUSED})
OPEN = frozenset({Phase.ARRIVED, *DURING, Phase.OBSERVING})
NASAL, INFUSION = "esketamine-nasal", "ketamine-iv"
CLOCK = slice(len("2026-11-22T"), len("2026-11-22T09:30"))
_AT = itemgetter(0)


class Check(NamedTuple):
    """What is looked at together, and by which measures or answers it is done: all of `names`, or any of them."""

    id: str
    title: str
    names: tuple[str, ...]
    whole: bool
    age: int  # how old it may be when the dose begins

    def done(self, state: State, opens: int, closes: int) -> int | None:
        """When it was first complete inside a window; None where it was not."""
        found = [_first(state, name, opens, closes) for name in self.names]
        known = [at for at in found if at is not None]
        if not known or (self.whole and len(known) < len(found)):
            return None
        return max(known) if self.whole else min(known)

    def last(self, state: State, now: int) -> int | None:
        """Since when the oldest part of what was last known of it stands; None where a part was never taken."""
        found = [_last(state, name, now) for name in self.names]
        known = [at for at in found if at is not None]
        if not known or (self.whole and len(known) < len(found)):
            return None
        return min(known) if self.whole else max(known)


class Round(NamedTuple):
    """Checks at fixed times from an anchor; lengths in milliseconds."""

    id: str
    title: str
    treatments: frozenset[str]
    since: str  # start | end | gate
    at: tuple[int, ...]
    after: int
    every: int | None
    until: int  # of the repeated times; FAR: to leaving
    while_dosing: bool
    back: int  # counted back from the anchor
    stays: bool
    settled: bool
    checks: tuple[Check, ...]
    basis: str

    def times(self) -> Iterator[int]:
        """How long after the anchor each falls due."""
        yield from self.at
        if self.every is not None:
            first = self.at[-1] if self.at else self.after
            for offset in count(first + self.every, self.every):
                if offset > self.until:
                    return
                yield offset


class Act(NamedTuple):
    id: str
    title: str
    owner: str
    grace: int
    basis: str


class Plan(NamedTuple):
    """`monitoring.toml` with its facts filled in."""

    checks: Mapping[str, Check]
    before: tuple[tuple[frozenset[str], Check, str], ...]
    rounds: tuple[Round, ...]
    alarm: tuple[Check, ...]
    words: Mapping[str, Any]  # of the alarm table: titles, bases, the alarms of a high pressure
    acts: Mapping[str, Act]
    length: Mapping[str, int]
    pressure_repeat: tuple[int, int]
    high: tuple[tuple[str, float], ...]  # a first pressure above one of these is taken twice
    settled: float  # CADSS-6 at or below it
    device_mg: float
    naloxone: frozenset[str]

    @classmethod
    def of(cls, knowledge: Knowledge) -> Plan:
        found = _PLANS.get(knowledge)
        if found is None:
            found = _PLANS[knowledge] = _plan(knowledge)
        return found


_PLANS: WeakKeyDictionary[Knowledge, Plan] = WeakKeyDictionary()
_LENGTHS = {
    "early": "monitoring.early",
    "grace": "monitoring.grace",
    "closes": "monitoring.closes",
    "before": "monitoring.before.grace",
    "alarm.every": "alarm.interval",
    "alarm.early": "monitoring.alarm.early",
    "alarm.grace": "monitoring.alarm.grace",
    "second": "bp.between_readings",
    "rest": "esketamine.device.rest",
    "gate.nasal": "esketamine.observation",
    "gate.other": "discharge.infusion.minimum",
    "injection": "monitoring.injection.active",
}
_HIGH = {"systolic": "esketamine.bp.delay_considered.systolic", "diastolic": "esketamine.bp.delay_considered.diastolic"}


def due_now(state: State, now: int, knowledge: Knowledge, *, alarm: bool = False) -> tuple[Due, ...]:
    """What is to be done at this chair and what comes next, in the order in which it falls due.

    Waiting, open, due, overdue, and what was done inside a window that is still open. `alarm`: an alarm stands, also
    one that only the clock knows (missing data). A window that closed unfilled is no task any more: see `gaps`.
    """
    plan = Plan.of(knowledge)
    found = [*_acts(state, plan, now)]
    if state.phase in OPEN:
        near = alarm or any(_stands(state, a, now) for a in state.episodes if state.episodes[a].level != "probe")
        kept = frozenset(c.id for c in plan.alarm) if near else frozenset()
        found += _before(state, plan, now) if state.dose.first is None else ()
        found += (f for f in _rounds(state, plan, now) if f[0].window.closes > now and f[0].what not in kept)
        found += _alarmed(state, plan, now) if near and state.phase not in BEFORE else ()
    return _judged(found, now)


def gaps(state: State, now: int, knowledge: Knowledge) -> tuple[Due, ...]:
    """What was missed: checks whose window closed without them, and a dose that nobody checked a second time."""
    plan = Plan.of(knowledge)
    found = [*_before(state, plan, now), *_rounds(state, plan, now)]
    if state.dose.first is not None and _unchecked(state):
        at = state.dose.first
        found.append(
            (replace(_act(plan.acts["double-check"], at), window=Window(opens=at, due=at, overdue=at, closes=at)), None)
        )
    return tuple(d for d in _judged(found, now) if d.state is Standing.MISSED)


Found = tuple[Step, int | None]  # a step and when it was done


def _judged(found: Iterable[Found], now: int) -> tuple[Due, ...]:
    pairs = list(found)
    acts = (Done(what=step.what, at=at, step=step.id) for step, at in pairs if at is not None)
    return due((step for step, _ in pairs), acts, now=now)


# --- when something was done ------------------------------------------------------------------------------------------


def _first(state: State, name: str, opens: int, closes: int) -> int | None:
    """The first known time of a measure or an answer from `opens` on and before `closes`."""
    track = state.track.get(name, ())
    place = bisect_left(track, opens, key=_AT)
    times = [track[place][0]] if place < len(track) else []
    last = _latest(state, name)
    times += [last] if last is not None and last >= opens else []
    return min((at for at in times if at < closes), default=None)


def _last(state: State, name: str, now: int) -> int | None:
    last = _latest(state, name)
    if last is not None and last <= now:
        return last
    track = state.track.get(name, ())
    place = bisect_right(track, now, key=_AT)
    return track[place - 1][0] if place else None


def _latest(state: State, name: str) -> int | None:
    found = state.readings.get(name) or state.answers.get(name)
    return None if found is None else found.at


def _stands(state: State, alarm: str, now: int) -> bool:
    episode = state.episodes.get(alarm)
    return episode is not None and episode.cleared is None and episode.raised <= now


# --- checks -----------------------------------------------------------------------------------------------------------


def _before(state: State, plan: Plan, now: int) -> Iterator[Found]:
    """What the dose waits for; what has grown too old is due again. Once it began: what was fresh at that moment."""
    arrived, first = state.checked_in, state.dose.first
    if arrived is None:
        return
    for treatments, check, basis in plan.before:
        if state.treatment not in treatments:
            continue
        name, title, done = f"before.{check.id}", f"{check.title}, before the dose", None
        last = check.last(state, now)
        if first is not None:
            opens = min(max(arrived, first - check.age), first)
            window = Window(opens=opens, due=first, overdue=first, closes=first + 1)
            done = check.done(state, opens, first + 1)
        elif last is None or last < arrived:
            window = Window(opens=arrived, due=arrived, overdue=arrived + plan.length["before"])
        elif now < (again := last + check.age) - plan.length["early"]:
            window, done = Window(opens=arrived, due=arrived, overdue=arrived + plan.length["before"]), last
        else:
            name, title = f"{name}.after-{last}", f"{title}, again"
            window = Window(opens=again - plan.length["early"], due=again, overdue=again + plan.length["grace"])
        yield _step(name, check.id, title, "nurse", window, basis), done


def _rounds(state: State, plan: Plan, now: int) -> Iterator[Found]:
    """Every fixed time up to the next one that has not opened, or up to the end of the session."""
    ended, over = state.ended.at if state.ended else FAR, _end(state, plan)
    for r in plan.rounds:
        anchor = _anchor(r.since, state, plan) if state.treatment in r.treatments else None
        if anchor is None:
            continue
        stop = min(ended, over) if r.while_dosing and over is not None else ended
        for offset, following in zip(r.times(), chain(islice(r.times(), 1, None), repeat(None)), strict=False):
            at = anchor + offset - r.back
            opens = at - plan.length["early"]
            if at > stop:
                break
            if (
                r.settled
                and offset != r.at[0]
                and _settled(state, anchor + r.at[0] - plan.length["early"], opens, plan)
            ):
                break
            closes = at + plan.length["closes"] if following is None else opens + following - offset
            closes = max(ended, at + plan.length["grace"]) if r.stays else closes
            window = Window(opens=opens, due=at, overdue=at + plan.length["grace"], closes=closes)
            minutes = offset // MINUTE
            for check in r.checks:
                title = r.title.format(check=check.title, minutes=minutes)
                step = _step(f"{r.id}.{check.id}.{minutes}", check.id, title, "nurse", window, r.basis)
                yield step, check.done(state, opens, closes)
            if opens > now:
                break


def _alarmed(state: State, plan: Plan, now: int) -> Iterator[Found]:
    """The closer interval while an alarm stands, from the last time; the pressure's own where that is the reason."""
    began = min(
        (e.raised for a, e in state.episodes.items() if _stands(state, a, now) and e.level != "probe"), default=0
    )
    pressure, length = plan.words["pressure"], plan.length
    high = any(_stands(state, a, now) for a in pressure["alarms"])
    for check in plan.alarm:
        last = check.last(state, now)
        words, every, grace = plan.words, length["alarm.every"], length["alarm.grace"]
        if high and check.id == pressure["check"]:
            words, every = pressure, plan.pressure_repeat[0]
            grace = plan.pressure_repeat[1] - every
        since = state.dose.first if last is None else last + every
        at = max(began, now if since is None else since)
        opens = at if last is None else min(max(at - length["alarm.early"], last + 1), at)
        name = f"alarm.{check.id}.first" if last is None else f"alarm.{check.id}.after-{last}"
        title = words["title"].format(check=check.title)
        window = Window(opens=opens, due=at, overdue=at + grace)
        yield _step(name, check.id, title, "nurse", window, words["basis"]["id"]), None


def _step(name: str, what: str, title: str, owner: str, window: Window, basis: str) -> Step:
    return Step(id=name, what=what, title=title, domain="session", owner=owner, window=window, basis=basis)


def _anchor(since: str, state: State, plan: Plan) -> int | None:
    if since == "start":
        return state.dose.first
    if since == "end":
        return _end(state, plan)
    running = state.treatment == INFUSION and state.phase in DURING
    if state.dose.watch_from is None or running:
        return None
    return state.dose.watch_from + plan.length["gate.nasal" if state.treatment == NASAL else "gate.other"]


def _end(state: State, plan: Plan) -> int | None:
    """When the dose was over; an injection counts as given for as long as a standard infusion lasts."""
    if state.treatment == INFUSION:
        return None if state.phase in DURING else state.dose.last
    return None if state.dose.last is None else state.dose.last + plan.length["injection"]


def _settled(state: State, since: int, until: int, plan: Plan) -> bool:
    """Whether dissociation was found to be over: a low score at or after its peak, or a clinician's word."""
    track = state.track.get("cadss6", ())
    said = state.answers.get("dissociation_resolved")
    return any(since <= at < until and value <= plan.settled for at, value in track) or (
        said is not None and said.value is True and since <= said.at < until
    )


# --- acts -------------------------------------------------------------------------------------------------------------


def _acts(state: State, plan: Plan, now: int) -> Iterator[Found]:
    """What is to be done once, because of how things stand."""
    if state.phase is Phase.LEFT:
        yield from _left(state, plan)
    if state.phase in OPEN:
        yield from _pressure(state, plan, now)
        yield from _dose(state, plan)
        given = _naloxone(state, plan)
        if given is not None:
            yield _act(plan.acts["transfer"], given), None


def _pressure(state: State, plan: Plan, now: int) -> Iterator[Found]:
    """A first pressure that is high is measured twice; the symptoms of a very high one are asked for, each."""
    if state.phase is Phase.ARRIVED and state.checked_in is not None:
        above = (at for name, limit in plan.high for at, value in state.track.get(name, ()) if value > limit)
        first = min((at for at in above if at >= state.checked_in), default=None)
        if first is not None:
            at = first + plan.length["second"]
            yield _act(plan.acts["pressure-second"], at), plan.checks["pressure"].done(state, at, FAR)
    for alarm in plan.words["pressure"]["symptoms"]:
        if _stands(state, alarm, now):
            since = state.episodes[alarm].since
            yield _act(plan.acts["pressure-symptoms"], since), plan.checks["pressure-symptoms"].done(state, since, FAR)


def _dose(state: State, plan: Plan) -> Iterator[Found]:
    dose, asked = state.dose, state.stop_called
    if dose.prepared is not None and state.phase in BEFORE | DURING and _unchecked(state):
        yield _act(plan.acts["double-check"], state.checked_in or 0, overdue=FAR), None
    if state.phase in DURING and asked is not None and state.treatment in (NASAL, INFUSION):
        yield _act(plan.acts["stop-dose"], asked[0]), None
    if state.phase is not Phase.DOSING or asked is not None:
        return
    of = _devices(state, plan)
    if dose.last is not None and dose.stopped is None and len(dose.given) < of:
        at = dose.last + plan.length["rest"]
        yield _act(plan.acts["next-device"], at, number=len(dose.given) + 1, of=of, clock=_clock(at, state)), None
    ends = pump.ends(dose)
    if ends is not None:
        opens = ends - plan.length["early"]
        yield _act(plan.acts["infusion-end"], ends, opens=opens, clock=_clock(ends, state)), None


def _left(state: State, plan: Plan) -> Iterator[Found]:
    """Somebody walked out: who is called and told. A call that reached nobody is not done."""
    assert state.ended is not None
    at = state.ended.at
    for name in ("call-person", "call-escort", "tell-prescriber"):
        yield _act(plan.acts[name], at), _did(state, name, at)
    if _did(state, "call-person", at) is None:
        calls = at + plan.acts["call-person"].grace
        act = plan.acts["welfare-check"]
        yield _act(act, calls, opens=at, overdue=at + act.grace), _did(state, act.id, at)


def _unchecked(state: State) -> bool:
    """Whether the dose that is drawn up, or was given, still wants a second person. A nasal device is not drawn up."""
    dose = state.dose
    if state.treatment == NASAL or (dose.prepared is None and dose.first is None):
        return False
    checked = dose.checked or {}
    return checked.get("agrees") is not True or checked.get("prepared") != dose.prepared_event


def _devices(state: State, plan: Plan) -> int:
    """How many devices the prepared dose takes; none where that is not known."""
    prepared = state.dose.prepared or {}
    if state.treatment != NASAL:
        return 0
    return int(prepared.get("devices") or -(-prepared.get("dose", 0) // plan.device_mg))


def _did(state: State, act: str, since: int) -> int | None:
    """When an action was recorded that names this act and did not fail to reach anybody."""
    times = (
        at
        for at, data, _ in state.actions
        if act in (data.get("step"), data["what"]) and data.get("reached") is not False
    )
    return min((at for at in times if at >= since), default=None)


def _naloxone(state: State, plan: Plan) -> int | None:
    given = (at for at, data, _ in state.medications if plan.naloxone & set(fold(data["substance"]).split()))
    return min(given, default=None)


def _act(act: Act, at: int, *, opens: int | None = None, overdue: int | None = None, **words: Any) -> Step:
    late = at + act.grace if overdue is None else overdue
    window = Window(opens=at if opens is None else opens, due=at, overdue=late)
    return _step(act.id, act.id, act.title.format(**words), act.owner, window, act.basis)


def _clock(at: int, state: State) -> str:
    return iso(at, state.zone)[CLOCK]


# --- reading ----------------------------------------------------------------------------------------------------------


def _plan(knowledge: Knowledge) -> Plan:
    data, length = knowledge.content["monitoring"], knowledge.length_ms
    checks = {c["id"]: _check(c, knowledge) for c in data["check"]}
    repeat_every = knowledge.facts[data["alarm"]["pressure"]["every"]]
    assert isinstance(repeat_every.value, tuple)
    low, high = (duration_ms(f"{value:g} {repeat_every.unit}") for value in repeat_every.value)
    return Plan(
        checks=checks,
        before=tuple(
            (frozenset(b["treatments"]), checks[name], b["basis"]["id"]) for b in data["before"] for name in b["checks"]
        ),
        rounds=tuple(_round(r, checks, data["basis"], knowledge) for r in data["round"]),
        alarm=tuple(checks[name] for name in data["alarm"]["checks"]),
        words=data["alarm"],
        acts={a["id"]: Act(a["id"], a["title"], a["owner"], length(a["grace"]), a["basis"]["id"]) for a in data["act"]},
        length={name: length(fact) for name, fact in _LENGTHS.items()},
        pressure_repeat=(low, high),
        high=tuple((measure, knowledge.number(fact)) for measure, fact in _HIGH.items()),
        settled=knowledge.number("discharge.cadss6"),
        device_mg=knowledge.number("esketamine.device.dose"),
        naloxone=frozenset(name for name, ids in knowledge.substances_by_name.items() if ids == ("naloxone",)),
    )


def _check(entry: Mapping[str, Any], knowledge: Knowledge) -> Check:
    names = tuple(entry.get("all") or entry["any"])
    return Check(
        id=entry["id"],
        title=entry["title"],
        names=names,
        whole="all" in entry,
        age=min(knowledge.concepts[name].ages["pre-dose"] for name in names),
    )


def _round(entry: Mapping[str, Any], checks: Mapping[str, Check], basis: Mapping[str, str], k: Knowledge) -> Round:
    every, until = entry.get("every"), entry.get("until", "leaving")
    at = tuple(k.length_ms(fact) for fact in entry.get("at", ()))
    return Round(
        id=entry["id"],
        title=entry["title"],
        treatments=frozenset(entry["treatments"]),
        since=entry["from"],
        at=at if at or every else (0,),
        after=k.length_ms(entry["after"]) if "after" in entry else 0,
        every=k.length_ms(every) if every else None,
        until=FAR if until in ("end", "leaving") else k.length_ms(until),
        while_dosing=until == "end",
        back=k.length_ms(entry["before"]) if "before" in entry else 0,
        stays=entry.get("stays", False),
        settled=entry.get("settled", False),
        checks=tuple(checks[name] for name in entry["checks"]),
        basis=entry.get("basis", basis)["id"],
    )
