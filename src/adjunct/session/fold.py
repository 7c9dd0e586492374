"""The treatment day as a fold: `advance` takes one event into the state of a session. It is pure and total.

Nothing raises: what does not fit is kept, flagged and, where it shows a danger, judged all the same. Events come in the
order of (true time, id); `history` sees to that, to duplicates and to corrections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from adjunct.base import duration_ms
from adjunct.session import alarms, dosing, seen
from adjunct.session.alarms import NO_DATA, WISH_TO_STOP
from adjunct.session.day import Day, answered, flagged
from adjunct.session.discharge import gate
from adjunct.session.model import DURING, Chain, Ended, Event, Phase, Silence, State

_MINUTE = duration_ms("1 min")
_ASKED = frozenset({"readiness", "override", "dose-prepared", "dose-checked", "discharge-check"})  # taken at any time
_AFTERWARDS = frozenset({"note", "correction", "action"})  # what is still written once the person has gone


def advance(state: State, event: Event, day: Day) -> State:
    """The state after `event`, which is not before the last one."""
    if state.episodes:
        state = _called(state, event.at, day)
    if event.was is not None and event.was.at > event.received:
        says = f"{event.type}: said to be after it arrived; it counts from its arrival: look at the clock of its source"
        state = flagged(state, event, "clock-ahead", says)
    handler = _HANDLERS.get(event.type)
    if handler is not None and state.ended is None and (state.checked_in is not None or event.type == "checked-in"):
        if event.type in _ASKED and _moment(state.phase) not in day.moments.get(event.type, ()):
            says = f"{event.type}: not where the session stands ({state.phase}); it is kept, and says so"
            state = flagged(state, event, "unusual-moment", says)
        after = (_withdrawn if event.withdrawn else handler)(state, event, day)
    else:
        after = _out_of_place(state, event, day)
    if after is state:
        after = state.but()
    after.__dict__.update(at=event.at, count=state.count + 1)  # nobody has seen it yet: no second copy
    return _called(after, event.at, day) if after.episodes else after


def _moment(phase: Phase) -> str:
    """Where a session stands, in the words of events.toml."""
    return "before" if phase in (Phase.EXPECTED, Phase.ARRIVED) else phase.value


def _called(state: State, now: int, day: Day) -> State:
    """Keep that an alarm asked for the dose to stop. A hard one is kept whenever it came and never taken back."""
    known, rows = state.stop_called, day.table.rows
    if not state.episodes or (known is not None and known[2]):
        return state
    asking = [e for e in state.episodes.values() if e.raised <= now and rows[e.alarm].dose == "stop"]
    first = min(asking, key=lambda e: (not rows[e.alarm].hard, e.raised, e.alarm), default=None)
    if first is None or not (rows[first.alarm].hard or (known is None and state.phase in DURING)):
        return state
    return state.but(stop_called=(first.raised, first.alarm, rows[first.alarm].hard))


def _out_of_place(state: State, event: Event, day: Day) -> State:
    """Before check-in, after the end, or of an unknown type: flagged; what it shows is judged but does not count."""
    if state.ended is not None:
        code, says = "after-end", "recorded after the session had ended: is it of another person?"
    elif state.checked_in is None:
        code, says = "before-check-in", "recorded before anybody checked in: whose is it?"
    else:
        code, says = "unknown-type", "of a type that is not known here"
    if event.type in _AFTERWARDS and state.ended is not None:
        return state if event.withdrawn else _HANDLERS[event.type](state, event, day)
    last = None if state.flags is None else state.flags.head
    if event.by != event.source or last is None or last.code != code:  # a monitor left on is told once
        state = flagged(state, event, code, f"{event.type}: {says}")
    if event.type in dosing.DOSES:
        state = dosing.not_of_the_plan(state, event)
    sign = event.data.get("sign")
    if isinstance(sign, str) and event.data.get("present") is not False:
        state = seen.with_sign(state, event, sign, True, day)
    return seen.judged(state, event, event.data, day, count=False)


# --- the session ------------------------------------------------------------------------------------------------------


def _checked_in(state: State, event: Event, day: Day) -> State:
    if state.checked_in is not None:
        return flagged(state, event, "double-check-in", "checked in a second time: is it of another person?")
    data = event.data
    return state.but(
        session=state.session or event.session,
        phase=Phase.ARRIVED,
        checked_in=event.at,
        patient=data["patient"],
        treatment=data["treatment"],
        visit=data.get("visit", ""),
        number=data.get("number"),
        chair=data.get("chair", ""),
        zone=event.offset,
    )


def _consent(state: State, event: Event, day: Day) -> State:
    """Consent that is taken back while the dose goes in is the wish to stop, until it is given again."""
    confirmed = event.data["confirmed"]
    if confirmed or state.phase in DURING:
        state = seen.with_sign(state, event, WISH_TO_STOP, not confirmed, day)
    return answered(state, event, {"consent": confirmed})


def _override(state: State, event: Event, day: Day) -> State:
    data = event.data
    return state.but(
        overrides={**state.overrides, data["item"]: (data["prescriber"], data["reason"], event.at)},
    )


def _escort(state: State, event: Event, day: Day) -> State:
    return answered(state, event, {f"escort_{name}": value for name, value in event.data.items()})


def _transport(state: State, event: Event, day: Day) -> State:
    return answered(state, event, {"transport_arranged": event.data["clinician"]})


def _action(state: State, event: Event, day: Day) -> State:
    return state.but(actions=(*state.actions, (event.at, event.data, event.by)))


def _note(state: State, event: Event, day: Day) -> State:
    return state  # words only


def _acknowledged(state: State, event: Event, day: Day) -> State:
    """Who answers an alarm answers those that it covers."""
    alarm, entry = event.data["alarm"], (event.at, event.by)
    episodes, row = state.episodes, day.table.rows.get(alarm)
    if row is not None and alarm in episodes and episodes[alarm].raised <= event.at:
        heard = [e for name in (alarm, *row.covers) if (e := episodes.get(name)) and e.raised <= event.at]
        now = {e.alarm: e._replace(acknowledged=(*e.acknowledged, entry)) for e in heard}
        return state.but(episodes={**episodes, **now})
    if alarm == NO_DATA and alarms.quiet(state, event.at, day.table) is not None:
        return state.but(no_data=(*state.no_data, entry))
    return flagged(state, event, "no-such-alarm", f"{alarm}: no such alarm stands; look at what stands now")


def _silenced(state: State, event: Event, day: Day) -> State:
    until, longest = event.data["until"], max(day.table.silence.values())
    levels = [
        a.level for a in alarms.standing(state, event.at, day.table) if event.data.get("alarm", "") in ("", a.alarm)
    ]
    allowed = min((day.table.silence[level] for level in levels), default=longest)
    if until <= event.at or until > event.at + allowed:
        says = f"the sound of this rests for {allowed // _MINUTE} min at most, and until a time to come"
        state = flagged(state, event, "silence-limited", says)
    silence = Silence(event.data.get("alarm", ""), event.at, until, event.by)
    standing = tuple(s for s in state.silences if s.at + longest > event.at)
    return state.but(silences=(*standing, silence))


def _assigned(state: State, event: Event, day: Day) -> State:
    device = event.data["device"]
    if event.by == device:
        return flagged(
            state, event, "not-confirmed", "a person ties a device, at the chair; a device never ties itself"
        )
    heard = state.heard
    if event.data.get("kind", "monitor") == "monitor":
        heard = {**dict.fromkeys(day.table.monitored, event.at), **heard}
    return state.but(devices={**state.devices, device: event.at}, heard=heard)


def _released(state: State, event: Event, day: Day) -> State:
    devices = {name: since for name, since in state.devices.items() if name != event.data["device"]}
    if len(devices) == len(state.devices):
        return flagged(state, event, "device-not-tied", "released a device that was not tied to this person")
    if devices:
        return state.but(devices=devices)
    keep = alarms.heard_again(alarms.kept(state), state, event.at, day.table)
    return state.but(devices={}, heard={}, no_data=(), **keep._asdict())


def _withdrawn(state: State, event: Event, day: Day) -> State:
    """It did not happen here. What it showed was seen all the same; a dose and naloxone count unless two say so."""
    if event.type == "correction":
        return flagged(state, event, "corrects-nothing", "a correction that changes nothing: see why under unread")
    second = event.second if event.second not in state.devices else ""
    if event.type in dosing.DOSES:
        return state if second else dosing.not_of_the_plan(state, event)
    if event.type == "medication-given":
        return state if second else seen.naloxone(state, event, event.data, day)
    return seen.withdrawn(state, event, day)


# --- the end ----------------------------------------------------------------------------------------------------------


def _ended(state: State, event: Event, phase: Phase, day: Day) -> State:
    past = alarms.heard_again(alarms.kept(state), state, event.at, day.table).past
    for episode in sorted(state.episodes.values()):
        if episode.raised <= event.at:
            past = Chain(episode._replace(cleared=event.at), past)
    end = Ended(phase=phase, at=event.at, by=event.by, event=event.id, data=event.data)
    dose = replace(dosing.to_here(state.dose, event), rate=None)
    return state.but(ended=end, phase=phase, dose=dose, past=past, episodes={}, bands={}, devices={}, heard={})


def _discharged(state: State, event: Event, day: Day) -> State:
    roles = day.knowledge.content["discharge"]["signs"]
    if event.data["role"] not in roles or event.data["signed_by"] in (*state.devices, event.source):
        says = f"not discharged: a person signs, as {' or '.join(roles)}"
        return flagged(state, event, "discharge-refused", says)
    found = gate(state, event.at, day.knowledge)
    if not found.open:
        missing = "; ".join(item.title for item in found.items if item.state != "met")
        return flagged(state, event, "discharge-refused", f"not discharged: {missing}")
    return _ended(state, event, Phase.DISCHARGED, day)


def _left(state: State, event: Event, day: Day) -> State:
    return _ended(state, event, Phase.LEFT if state.dose.watch_from is not None else Phase.NOT_TREATED, day)


def _transferred(state: State, event: Event, day: Day) -> State:
    return _ended(state, event, Phase.TRANSFERRED, day)


def _not_treated(state: State, event: Event, day: Day) -> State:
    if state.dose.watch_from is not None:
        return flagged(
            state, event, "was-treated", "a dose is on record: the session ends as discharged, left or transferred"
        )
    return _ended(state, event, Phase.NOT_TREATED, day)


_HANDLERS: Mapping[str, Callable[[State, Event, Day], State]] = {
    "checked-in": _checked_in,
    "consent": _consent,
    "override": _override,
    "dose-prepared": dosing.prepared,
    "dose-checked": dosing.double_checked,
    "device-given": dosing.given,
    "injection-given": dosing.given,
    "infusion-started": dosing.started,
    "rate-changed": dosing.rate_changed,
    "dose-paused": dosing.paused,
    "dose-resumed": dosing.resumed,
    "dose-stopped": dosing.stopped,
    "event": seen.sign_seen,
    "substance-disclosed": seen.disclosed,
    "action": _action,
    "medication-given": seen.medication,
    "acknowledged": _acknowledged,
    "silenced": _silenced,
    "device-assigned": _assigned,
    "device-released": _released,
    "escort": _escort,
    "transport-arranged": _transport,
    "discharged": _discharged,
    "left-before-discharge": _left,
    "transferred": _transferred,
    "not-treated": _not_treated,
    "correction": seen.corrected,
    "note": _note,
    **dict.fromkeys(
        ("readiness", "vitals", "sedation", "dissociation", "nausea", "distress", "mood", "discharge-check"),
        seen.observed,
    ),
}
