"""What is due on a treatment day: which check, which act, from when, and when it is overdue. All of it from the state.

The times stand in `knowledge/data/session/monitoring.toml`; `due` decides. A check is done by values that were taken
inside its window and by nothing else: a box cannot be ticked for a measurement. Rounds stand at fixed times from the
start or the end of the dose; what an alarm asks for, and what must be fresh before the dose, counts from the last time.
Nothing here holds a value.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, count, islice, repeat
from math import ceil
from operator import itemgetter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from adjunct.base import FAR, MS_PER_DAY, duration_ms, iso
from adjunct.due import Done, Due, Step, Window, due
from adjunct.due import State as Standing
from adjunct.knowledge import Knowledge
from adjunct.session import discharge, pump
from adjunct.session.alarms import NALOXONE, PROBE
from adjunct.session.model import DURING, Dose, Episode, Phase, State

MINUTE = duration_ms("1 min")
PRE_DOSE = "pre-dose"  # the phase of care whose age limits hold before the dose
NURSE, END = "nurse", "end"
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
    from_end: bool  # of the dose, else from its start
    at: tuple[int, ...]
    after: int
    every: int | None
    until: int  # of the repeated times; FAR: as long as the person is here
    while_dosing: bool
    settled: float | None  # no further one after a CADSS-6 at or below it
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
    """Something to be done once. `what`: the check that does it, else its own id."""

    id: str
    what: str
    title: str
    owner: str
    grace: int
    basis: str


class Plan(NamedTuple):
    """`monitoring.toml` with its facts filled in; texts and names stand in `data`."""

    data: Mapping[str, Any]
    checks: Mapping[str, Check]
    before: tuple[tuple[frozenset[str], Check, str], ...]  # treatments, check, basis
    rounds: tuple[Round, ...]
    acts: Mapping[str, Act]
    length: Mapping[str, int]
    limit: Mapping[str, float]
    pressure: tuple[int, int]  # how soon a high pressure is measured again, at the earliest and the latest

    @classmethod
    def of(cls, knowledge: Knowledge) -> Plan:
        found = _PLANS.get(knowledge)
        if found is None:
            found = _PLANS[knowledge] = _plan(knowledge)
        return found


_PLANS: WeakKeyDictionary[Knowledge, Plan] = WeakKeyDictionary()


Found = tuple[Step, int | None]  # a step, and when it was done


def due_now(state: State, now: int, knowledge: Knowledge) -> tuple[Due, ...]:
    """What is to be done at this chair and what comes next, in the order in which it falls due.

    Waiting, open, due, overdue, and what was done inside a window that is still open. What is asked for stands once,
    however many steps ask for it, and so does what waits. A window that closed unfilled is no task: see `gaps`.
    """
    plan = Plan.of(knowledge)
    if state.phase is Phase.LEFT:
        return _once(_judged(_left(state, knowledge, now), now))
    if state.phase not in OPEN:
        return ()
    closer = [*_alarmed(state, plan, now)]
    instead = {step.what for step, _ in closer}
    rounds = (f for f in _rounds(state, plan, now, since=now) if f[0].what not in instead)
    before = _before(state, plan, now) if state.dose.began is None else ()
    leaving = _leaving(state, plan, knowledge, now)
    return _once(_judged((*_acts(state, plan, now), *closer, *before, *rounds, *leaving), now))


def gaps(state: State, now: int, knowledge: Knowledge) -> tuple[Due, ...]:
    """What was missed: checks whose window closed without them, and a dose that no second person worked out."""
    plan, first = Plan.of(knowledge), state.dose.began
    found = [*_before(state, plan, now), *_rounds(state, plan, now, since=0)]
    if first is not None and state.dose.checked is None:
        never = Window(opens=first, due=first, overdue=first, closes=first)
        found.append((replace(_act(plan.acts["double-check"], first), window=never), None))
    if state.ended is None or now < state.ended.at:
        return tuple(d for d in _judged(found, now) if d.state is Standing.MISSED)
    return tuple(d for d in _judged(found, state.ended.at) if d.state in (Standing.MISSED, Standing.OVERDUE))


def _judged(found: Iterable[Found], now: int) -> tuple[Due, ...]:
    """Where each stands, in the order in which they fall due and then in that of the data."""
    pairs = list(found)
    turn = {step.id: number for number, (step, _) in enumerate(pairs)}
    acts = (Done(what=step.what, at=at, step=step.id) for step, at in pairs if at is not None)
    judged = due((step for step, _ in pairs), acts, now=now)
    return tuple(sorted(judged, key=lambda d: (d.step.window.due, turn[d.step.id])))


def _once(judged: Iterable[Due]) -> tuple[Due, ...]:
    """The first that asks for each thing and the next one that waits; what is done stays."""
    seen: set[tuple[str, bool]] = set()
    shown = []
    for one in judged:
        key = one.step.what, one.state is Standing.WAITING
        if one.state is Standing.DONE or key not in seen:
            shown.append(one)
        if one.state is not Standing.DONE:
            seen.add(key)
    return tuple(shown)


# --- when something was done ------------------------------------------------------------------------------------------


def _first(state: State, name: str, opens: int, closes: int) -> int | None:
    """The first known time of a measure or an answer from `opens` on and before `closes`."""
    track = state.track.get(name, ())
    place = bisect_left(track, opens, key=_AT)
    times = [track[place][0]] if place < len(track) else []
    asked = state.asked.get(name, ())
    times += asked[bisect_left(asked, opens) :][:1]
    last = _latest(state, name)
    times += [last] if last is not None and last >= opens else []
    return min((at for at in times if at < closes), default=None)


def _last(state: State, name: str, now: int) -> int | None:
    last = _latest(state, name)
    if last is not None and last <= now:
        return last
    asked = state.asked.get(name, ())
    if asked:
        place = bisect_right(asked, now)
        return asked[place - 1] if place else None
    track = state.track.get(name, ())
    place = bisect_right(track, now, key=_AT)
    return track[place - 1][0] if place else None


def _latest(state: State, name: str) -> int | None:
    if (found := state.last(name)) is not None:
        return found.at
    return state.overrides[name][-1] if name in state.overrides else None


def _stands(episode: Episode | None, now: int) -> bool:
    return episode is not None and episode.cleared is None and episode.raised <= now and episode.level != PROBE


# --- checks -----------------------------------------------------------------------------------------------------------


def _before(state: State, plan: Plan, now: int) -> Iterator[Found]:
    """What the dose waits for; what has grown too old is due again. Once it began: what was fresh at that moment."""
    arrived, first = state.checked_in, state.dose.began
    if arrived is None:
        return
    for treatments, check, basis in plan.before:
        if state.treatment not in treatments:
            continue
        name, title, done = f"before.{check.id}", "before", None
        last = check.last(state, now)
        if first is not None:
            opens = min(max(arrived, first - check.age), first)
            window = Window(opens=opens, due=first, overdue=first, closes=first + 1)
            done = check.done(state, opens, first + 1)
        elif last is None:
            window = Window(opens=arrived, due=arrived, overdue=arrived + plan.length["before"])
        elif now < (again := last + check.age) - plan.length["early"]:
            window, done = Window(opens=arrived, due=arrived, overdue=arrived + plan.length["before"]), last
        else:
            name, title = f"{name}.after-{last}", "again"
            window = Window(opens=again - plan.length["early"], due=again, overdue=again + plan.length["grace"])
        yield _step(name, check.id, plan.data["titles"][title].format(check=check.title), window, basis), done


def _rounds(state: State, plan: Plan, now: int, *, since: int) -> Iterator[Found]:
    """Every fixed time whose window closes after `since`, up to the next one that has not opened, or to the end."""
    ended, over, early = state.ended.at if state.ended else FAR, _end(state, plan), plan.length["early"]
    for r in plan.rounds:
        anchor = over if r.from_end else state.dose.began
        if anchor is None or state.treatment not in r.treatments:
            continue
        stop = min(ended, over) if r.while_dosing and over is not None else ended
        for offset, following in zip(r.times(), chain(islice(r.times(), 1, None), repeat(None)), strict=False):
            at = anchor + offset
            opens, closes = at - early, at + plan.length["closes"] if following is None else anchor + following - early
            if at > stop or (r.settled is not None and _settled(state, anchor + r.at[0] - early, opens, r.settled)):
                break
            if closes > since:
                window = Window(opens=opens, due=at, overdue=at + plan.length["grace"], closes=closes)
                for check in r.checks:
                    title = r.title.format(check=check.title, minutes=offset // MINUTE)
                    step = _step(f"{r.id}.{check.id}.{offset // MINUTE}", check.id, title, window, r.basis)
                    yield step, check.done(state, opens, closes)
            if opens > min(now, anchor + MS_PER_DAY):  # no session lasts longer, whatever a clock says
                break


def _alarmed(state: State, plan: Plan, now: int) -> Iterator[Found]:
    """The closer interval while an alarm of the body stands, from the last time; before the dose of the pressure alone.

    The pressure has its own interval where it is the reason.
    """
    alarms = plan.data["alarm"]
    pressure, length = alarms["pressure"], plan.length
    near = [e.raised for e in state.episodes.values() if _stands(e, now) and e.alarm not in alarms["apart"]]
    if not near:
        return
    began = min(near)
    high = any(_stands(state.episodes.get(alarm), now) for alarm in pressure["alarms"])
    names = alarms["checks"] if state.dose.began is not None else [pressure["check"]] if high else []
    for check in (plan.checks[name] for name in names):
        words, every, grace = alarms, length["alarm_every"], length["alarm_grace"]
        if high and check.id == pressure["check"]:
            words, every, grace = pressure, plan.pressure[0], plan.pressure[1] - plan.pressure[0]
        last = check.last(state, now)
        at = began if last is None else max(last + every, began)
        opens = at if last is None else min(max(at - length["alarm_early"], last + 1), at)
        name = f"alarm.{check.id}.first" if last is None else f"alarm.{check.id}.after-{last}"
        title = words["title"].format(check=check.title)
        window = Window(opens=opens, due=at, overdue=at + grace)
        yield _step(name, check.id, title, window, words["basis"]["id"]), None


def _step(name: str, what: str, title: str, window: Window, basis: str, owner: str = NURSE) -> Step:
    return Step(id=name, what=what, title=title, domain="session", owner=owner, window=window, basis=basis)


def _end(state: State, plan: Plan) -> int | None:
    """When the dose was over; an injection counts as going in for as long as a standard infusion lasts."""
    if state.treatment == INFUSION and state.phase in DURING:
        return None
    last = state.dose.watch_from if state.dose.last is None else state.dose.last
    return last if last is None or state.treatment == INFUSION else last + plan.length["injection"]


def _settled(state: State, since: int, until: int, limit: float) -> bool:
    """Whether dissociation was found to be over: a low score at or after its peak, or a clinician's word."""
    said = state.answers.get("dissociation_resolved")
    found = [at for at, value in state.track.get("cadss6", ()) if value <= limit]
    found += [said.at] if said is not None and said.value is True else []
    return any(since <= at < until for at in found)


# --- acts -------------------------------------------------------------------------------------------------------------


def _acts(state: State, plan: Plan, now: int) -> Iterator[Found]:
    """What is to be done once, because of how things stand."""
    yield from _pressure(state, plan, now)
    yield from _dose(state, plan)
    if NALOXONE in state.bands:
        yield _act(plan.acts["transfer"], state.bands[NALOXONE].since), None


def _pressure(state: State, plan: Plan, now: int) -> Iterator[Found]:
    """A first pressure that is high is measured twice; the symptoms of a very high one are asked for, each."""
    if state.phase is Phase.ARRIVED and state.checked_in is not None:
        sides = plan.checks["pressure"].names
        above = (at for name in sides for at, value in state.track.get(name, ()) if value > plan.limit[name])
        first = min((at for at in above if at >= state.checked_in), default=None)
        if first is not None:
            at = first + plan.length["second"]
            yield _act(plan.acts["pressure-second"], at), plan.checks["pressure"].done(state, at, FAR)
    for alarm in plan.data["alarm"]["pressure"]["symptoms"]:
        episode = state.episodes.get(alarm)
        if episode is not None and _stands(episode, now):
            asked = plan.checks["pressure-symptoms"].done(state, episode.since, FAR)
            yield _act(plan.acts["pressure-symptoms"], episode.since), asked


def _dose(state: State, plan: Plan) -> Iterator[Found]:
    dose, acts, stop = state.dose, plan.acts, state.stop_called
    if dose.prepared is not None and dose.checked is None and state.phase is not Phase.OBSERVING:
        yield _act(acts["double-check"], state.checked_in or 0, overdue=FAR), None
    if stop is not None and (state.phase is Phase.DOSING or (state.phase is Phase.PAUSED and stop[2])):
        yield _act(acts["stop-dose"], stop[0]), None
    if state.phase is not Phase.DOSING or stop is not None:
        return
    if state.treatment == NASAL and dose.last is not None:
        at, of, number = dose.last + plan.length["rest"], _devices(dose, plan), len(dose.given) + 1
        name = "next-device" if number <= of else "no-more-devices"
        yield _act(acts[name], at, number=number, of=of, clock=_clock(at, state)), None
    ends = pump.ends(dose)
    if ends is not None:
        opens = ends - plan.length["early"]
        yield _act(acts["infusion-end"], ends, opens=opens, clock=_clock(ends, state)), None


def _devices(dose: Dose, plan: Plan) -> int:
    """How many devices the prepared dose takes; 0 where nothing is known of it."""
    prepared = dose.prepared or {}
    return int(prepared.get("devices") or ceil(prepared.get("dose", 0) / plan.limit["device"]))


def _leaving(state: State, plan: Plan, knowledge: Knowledge, now: int) -> Iterator[Found]:
    """What the gate still lacks, from its earliest moment on. What was looked at and is not met is looked at again."""
    if state.phase is not Phase.OBSERVING:
        return
    gate, words = discharge.gate(state, now, knowledge), plan.data["leaving"]
    if gate.may_leave_from is None:
        return
    first, early, grace = gate.may_leave_from, plan.length["early"], plan.length["grace"]
    if now < first - early:
        window = Window(opens=first - early, due=first, overdue=first + grace)
        title = words["later"].format(clock=_clock(first, state))
        yield _step("leaving", "leaving", title, window, words["basis"]["id"]), None
        return
    for item in gate.lacking:
        if item.id in words["standing"]:
            continue
        seen = max((e.at for e in item.evidence), default=0)
        at = max(first, seen + plan.length["again"]) if item.state == discharge.NOT_MET else first
        window = Window(opens=first - early, due=at, overdue=at + grace)
        what = words["checks"].get(item.id, f"leaving.{item.id}")
        yield _step(f"leaving.{item.id}", what, words["title"].format(item=item.title), window, item.source), None


def _left(state: State, knowledge: Knowledge, now: int) -> Iterator[Found]:
    """Somebody walked out: the duties of `discharge.left`, with their deadlines. A call that reached nobody is open."""
    for duty in discharge.left(state, now, knowledge):
        if duty.due is not None and duty.state != "holds" and state.ended is not None:
            window = Window(opens=state.ended.at, due=state.ended.at, overdue=duty.due)
            step = _step(duty.id, duty.id, duty.title, window, duty.source, duty.owner)
            yield step, None if duty.done is None else duty.done[0]


def _act(act: Act, at: int, *, opens: int | None = None, overdue: int | None = None, **words: Any) -> Step:
    late = at + act.grace if overdue is None else overdue
    window = Window(opens=at if opens is None else opens, due=at, overdue=late)
    return _step(act.id, act.what, act.title.format(**words), window, act.basis, act.owner)


def _clock(at: int, state: State) -> str:
    return iso(at, state.zone)[CLOCK]


# --- reading ----------------------------------------------------------------------------------------------------------


def _plan(knowledge: Knowledge) -> Plan:
    data, length = knowledge.content["monitoring"], knowledge.length_ms
    checks = {c["id"]: _check(c, knowledge) for c in data["check"]}
    again = knowledge.facts[data["alarm"]["pressure"]["every"]]
    assert isinstance(again.value, tuple), f"{again.id} is no interval"
    low, high = (duration_ms(f"{value:g} {again.unit}", again.id) for value in again.value)
    return Plan(
        data=data,
        checks=checks,
        before=tuple(_asked(knowledge, checks)),
        rounds=tuple(_round(r, checks, knowledge) for r in data["round"]),
        acts={
            a["id"]: Act(a["id"], a.get("check", a["id"]), a["title"], a["owner"], length(a["grace"]), a["basis"]["id"])
            for a in data["act"]
        },
        length={name: length(fact) for name, fact in data["length"].items()},
        limit={name: knowledge.number(fact) for name, fact in data["limit"].items()},
        pressure=(low, high),
    )


def _asked(knowledge: Knowledge, checks: Mapping[str, Check]) -> Iterator[tuple[frozenset[str], Check, str]]:
    """The checks before the dose, then each question that every visit waits for and that none of them asks."""
    named: set[str] = set()
    for row in knowledge.content["monitoring"]["before"]:
        for check in (checks[name] for name in row["checks"]):
            named.update(check.names)
            yield frozenset(row["treatments"]), check, row["basis"]["id"]
    for item in knowledge.content["readiness"]["item"]:
        if item["id"] not in named and item["each"] == "visit" and item.get("blocks"):
            title = item.get("title") or knowledge.concepts[item["id"]].title
            entry = {"id": item["id"], "title": title, "all": [item["id"]]}
            yield frozenset(item["treatments"]), _check(entry, knowledge), item["source"]["id"]


def _check(entry: Mapping[str, Any], knowledge: Knowledge) -> Check:
    names = tuple(entry.get("all") or entry["any"])
    return Check(
        id=entry["id"],
        title=entry["title"],
        names=names,
        whole="all" in entry,
        age=min(knowledge.concepts[name].ages[PRE_DOSE] if name in knowledge.concepts else FAR for name in names),
    )


def _round(entry: Mapping[str, Any], checks: Mapping[str, Check], knowledge: Knowledge) -> Round:
    length = knowledge.length_ms
    every, until = entry.get("every"), entry.get("until", "")
    return Round(
        id=entry["id"],
        title=entry["title"],
        treatments=frozenset(entry["treatments"]),
        from_end=entry["from"] == END,
        at=tuple(length(fact) for fact in entry.get("at", ())),
        after=length(entry["after"]) if "after" in entry else 0,
        every=length(every) if every else None,
        until=FAR if until in ("", END) else length(until),
        while_dosing=until == END,
        settled=knowledge.number(entry["settled"]) if "settled" in entry else None,
        checks=tuple(checks[name] for name in entry["checks"]),
        basis=entry["basis"]["id"],
    )
