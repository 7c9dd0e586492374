"""The treatment day as a fold: `advance` takes one event into the state of a session. It is pure and total.

Nothing raises: what does not fit is kept, flagged and, where it shows a danger, judged all the same. Events come in the
order of (true time, id); `history` sees to that, to duplicates and to corrections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from adjunct.base import duration_ms
from adjunct.knowledge import Knowledge
from adjunct.record import reader_of
from adjunct.session import alarms, pump
from adjunct.session.alarms import NALOXONE, NO_DATA, OPIOID_TOLD, Kept, Table, artefact
from adjunct.session.discharge import gate
from adjunct.session.model import Answer, Band, Chain, Dose, Ended, Event, Flag, Given, Phase, Reading, Silence, State

_MINUTE = duration_ms("1 min")
_PERCENT = "%"
_WHOLE = 100
_HAND = frozenset({"dose-prepared", "dose-checked", "device-given", "injection-given", "infusion-started"})
NASAL = "esketamine-nasal"
_DOSING = ("dosing", "paused")
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Day:
    """What a day is judged by, compiled once from the knowledge."""

    knowledge: Knowledge
    table: Table
    limits: pump.Limits
    percent: frozenset[str]  # measures that cannot pass a hundred
    rest: int  # between two nasal devices
    tolerance: int  # how far a clock may be ahead of the time of arrival
    raised_by: Mapping[str, str]  # an answer that says what a sign says

    @classmethod
    def of(cls, knowledge: Knowledge) -> Day:
        found = _DAYS.get(knowledge)
        if found is None:
            found = _DAYS[knowledge] = cls(
                knowledge=knowledge,
                table=Table.of_knowledge(knowledge),
                limits=pump.Limits.of(knowledge),
                percent=frozenset(c.id for c in knowledge.concepts.values() if c.unit == _PERCENT),
                rest=knowledge.length_ms("esketamine.device.rest"),
                tolerance=knowledge.length_ms("session.clock.tolerance"),
                raised_by={a: s["id"] for s in knowledge.content["alarms"]["sign"] for a in s.get("raised_by", ())}
                | {s["id"]: s["id"] for s in knowledge.content["alarms"]["sign"]},
            )
        return found

    def substances(self, text: str) -> frozenset[str]:
        """What somebody's own words may name; every reading of what is ambiguous."""
        item = reader_of(self.knowledge).read(text)
        named = {item.substance or "", *item.candidates}
        return frozenset(part for name in named for part in name.split("+") if part)


_DAYS: WeakKeyDictionary[Knowledge, Day] = WeakKeyDictionary()


def advance(state: State, event: Event, day: Day) -> State:
    """The state after `event`, which is not before the last one."""
    if state.episodes:
        state = _called(state, event.at, day)
    if event.was is not None and event.was.at > event.received:
        says = f"{event.type}: said to be after it arrived; it counts from its arrival: look at the clock of its source"
        state = _flag(state, event, "clock-ahead", says)
    handler = _HANDLERS.get(event.type)
    if handler is not None and state.ended is None and (state.checked_in is not None or event.type == "checked-in"):
        after = (_withdrawn if event.withdrawn else handler)(state, event, day)
    else:
        after = _out_of_place(state, event, day)
    return _called(after.but(at=event.at, count=state.count + 1), event.at, day)


def _called(state: State, now: int, day: Day) -> State:
    """Keep that an alarm asked for the dose to stop. A hard one is kept whenever it came and never taken back."""
    if not state.episodes or (state.stop_called is not None and state.stop_called[2]):
        return state
    for episode in state.episodes.values():
        row = day.table.rows[episode.alarm]
        here = row.hard or (state.stop_called is None and state.phase.moment in _DOSING)
        if here and row.dose == "stop" and episode.raised <= now and state.ended is None:
            state = state.but(stop_called=(episode.raised, row.id, row.hard))
    return state


def _flag(state: State, event: Event, code: str, says: str) -> State:
    return state.but(flags=Chain(Flag(event.id, event.at, code, says), state.flags))


def _out_of_place(state: State, event: Event, day: Day) -> State:
    """Before check-in, after the end, or of an unknown type: flagged; what it shows is judged but does not count."""
    if state.ended is not None:
        code, says = "after-end", "recorded after the session had ended: is it of another person?"
    elif state.checked_in is None:
        code, says = "before-check-in", "recorded before anybody checked in: whose is it?"
    else:
        code, says = "unknown-type", "of a type that is not known here"
    if event.type in _AFTERWARDS and state.ended is not None:
        return _HANDLERS[event.type](state, event, day)
    last = None if state.flags is None else state.flags.head
    if event.by != event.source or last is None or last.code != code:  # a monitor left on is told once
        state = _flag(state, event, code, f"{event.type}: {says}")
    if event.type in _DOSES:
        state = _not_of_the_plan(state, event)
    sign = event.data.get("sign")
    if isinstance(sign, str) and event.data.get("present") is not False:
        state = _with_sign(state, event, sign, True, day)
    return _judged(state, event, event.data, day, count=False)


# --- what is measured, rated, answered and seen -----------------------------------------------------------------------


def _observed(state: State, event: Event, day: Day) -> State:
    """Measures and scores, yes and no, words: the last value of each, and what they show."""
    if event.source == event.by and event.source not in state.devices:
        says = f"{event.source} is not tied to this person: confirm whose it is, then tie it"
        return _judged(_flag(state, event, "device-not-tied", says), event, event.data, day, count=False)
    if event.was is None:
        return _judged(state, event, event.data, day, count=True)
    # what was seen then is judged as it was seen; what counts is what it should have been
    unseen = _dangers(event, event.data, state, day) - _dangers(event, event.was.data, state, day)
    if unseen:
        says = f"corrected values show what nobody saw then: {', '.join(sorted(unseen))}"
        state = _flag(state, event, "danger-not-seen", says)
    state = _judged(state, event, event.was.data, day, count=False)
    return _judged(state, event, event.data, day, count=True, danger=False)


def _dangers(event: Event, data: Mapping[str, Any], state: State, day: Day) -> set[str]:
    """Titles of the alarms that some values show by themselves."""
    values = {n: v for n, v in data.items() if type(v) is float}
    values = {n: v for n, v in values.items() if n not in _impossible(values, day)}
    alone = Kept({}, {}, None, 0)
    found = alarms.judge(
        alone, values, day.table, at=event.at, event=event.id, baseline=state.baseline, track=state.track
    )
    return {day.table.rows[name].title for name in found.episodes}


def _judged(
    state: State, event: Event, data: Mapping[str, Any], day: Day, *, count: bool, danger: bool = True
) -> State:
    """`count`: take the values in; `danger`: see which alarms they raise."""
    at, ident = event.at, event.id
    implausible = data.get("implausible", ())
    values = {name: value for name, value in data.items() if type(value) is float}
    keep, wrong, seen = alarms.kept(state), _NONE, values
    if state.bands or implausible or not alarms.is_calm(values, state.calm or day.table.calm):
        wrong = _impossible(values, day)
        seen = {name: value for name, value in values.items() if name not in wrong}
        if danger:
            keep = alarms.judge(keep, seen, day.table, at=at, event=ident, baseline=state.baseline, track=state.track)
    if danger and (len(data) > len(values) or wrong):
        keep = _signs(keep, data, wrong, implausible, event, day)
    changes: dict[str, Any] = {}
    if count and values:
        taken = {n: v for n, v in seen.items() if n not in implausible} if implausible else seen
        changes = _taken(state, event, taken, day)
        if keep.bands:
            back = {artefact(n): None for n in taken if artefact(n) in keep.bands}
            keep = alarms.changed(keep, back, day.table, at=at) if back else keep
        if event.source in state.devices:
            changes["heard"], keep, changes["no_data"] = _heard(state, taken, keep, at, day)
        if wrong or implausible:
            changes["artefacts"] = state.artefacts + 1
    if count and len(data) > len(values):
        state = _answered(state, event, {n: v for n, v in data.items() if n not in values and n != "implausible"})
    if keep.bands is not state.bands:
        changes |= keep._asdict()
    return state.but(**changes) if changes else state


def _impossible(values: Mapping[str, float], day: Day) -> frozenset[str]:
    """Names of values that cannot be: below nothing, more than all, or a diastolic that is not under the systolic."""
    wrong = [n for n, v in values.items() if (v < 0 and n in day.table.vital) or (v > _WHOLE and n in day.percent)]
    systolic, diastolic = values.get("systolic"), values.get("diastolic")
    if systolic is not None and diastolic is not None and diastolic >= systolic:
        wrong += ["systolic", "diastolic"]
    return frozenset(wrong)


def _signs(
    keep: Kept, data: Mapping[str, Any], wrong: frozenset[str], odd: tuple[str, ...], event: Event, day: Day
) -> Kept:
    """Signs that began or ended, and probes to be checked."""
    changes: dict[str, Band | None] = {
        artefact(n): Band(event.at, event.id, data[n]) for n in (*wrong, *odd) if artefact(n) not in keep.bands
    }
    for name, value in data.items():
        sign = day.raised_by.get(name)
        if sign is not None and value is True and sign not in keep.bands:
            changes[sign] = Band(event.at, event.id, sign)
        elif sign == name and value is False and sign in keep.bands:
            changes[sign] = None
    return alarms.changed(keep, changes, day.table, at=event.at) if changes else keep


def _taken(state: State, event: Event, values: Mapping[str, float], day: Day) -> dict[str, Any]:
    """Last values, one a minute for the day's course, and the extremes since the dose began."""
    at, by, source, ident = event.at, event.by, event.source, event.id
    readings = dict(state.readings)
    track: dict[str, tuple[tuple[int, float], ...]] | None = None
    peak: dict[str, tuple[float, float]] | None = None
    for name, value in values.items():
        readings[name] = Reading(value, at, by, source, ident)
        course = state.track.get(name, ())
        if not course or at // _MINUTE > course[-1][0] // _MINUTE:
            track = track if track is not None else dict(state.track)
            track[name] = (*course, (at, value))
        if state.dose.watch_from is not None:
            low, high = state.peak.get(name, (value, value))
            if value < low or value > high or name not in state.peak:
                peak = peak if peak is not None else dict(state.peak)
                peak[name] = (min(low, value), max(high, value))
    changes: dict[str, Any] = {"readings": readings}
    if track is not None:
        changes |= {"track": track, "calm": _calm(state, track, day)}
    if peak is not None:
        changes["peak"] = peak
    return changes


def _calm(state: State, track: Mapping[str, tuple[tuple[int, float], ...]], day: Day) -> dict[str, tuple[float, float]]:
    """Between which values the next ones raise nothing."""
    table = day.table
    between = alarms.calm_between(table.limits, table.calm, state.baseline) if state.baseline else dict(table.calm)
    for name, trends in table.trends.items():
        if name in track:
            between[name] = alarms.narrowed(between[name], track[name], trends)
    return between


def _heard(
    state: State, taken: Mapping[str, float], keep: Kept, at: int, day: Day
) -> tuple[Mapping[str, int], Kept, tuple[tuple[int, str], ...]]:
    """A tied monitor was heard; a silence that was long enough to be an alarm is over."""
    fresh = taken.keys() & day.table.monitored
    if not fresh:
        return state.heard, keep, state.no_data
    heard = {**state.heard, **dict.fromkeys(fresh, at)}
    if at - min(state.heard.values(), default=at) <= day.table.no_data:
        return heard, keep, state.no_data
    silence = alarms.quiet(state, at, day.table)
    if silence is None or min(heard.values()) < silence.raised:
        return heard, keep, state.no_data
    past = Chain(silence._replace(cleared=at), keep.past)
    return heard, Kept(dict(keep.bands), keep.episodes, past, max(keep.newest, silence.raised)), ()


def _answered(state: State, event: Event, said: Mapping[str, Any]) -> State:
    """What was said last of each, and the last yes of each."""
    given = {name: Answer(value, event.at, event.by, event.id) for name, value in said.items()}
    yes = {name: answer for name, answer in given.items() if answer.value is True}
    return state.but(answers={**state.answers, **given}, yes={**state.yes, **yes} if yes else state.yes)


def _event(state: State, event: Event, day: Day) -> State:
    """A sign, present or asked for and absent; as it was seen, where a correction changed it later."""
    sign, present = event.data["sign"], event.data["present"]
    seen = event.data if event.was is None else event.was.data
    return _answered(_with_sign(state, event, seen["sign"], seen["present"], day), event, {sign: present})


def _with_sign(state: State, event: Event, sign: str, present: bool, day: Day) -> State:
    if (sign in state.bands) == present or sign not in day.table.signs:
        return state
    change = {sign: Band(event.at, event.id, sign) if present else None}
    return state.but(**alarms.changed(alarms.kept(state), change, day.table, at=event.at)._asdict())


def _medication(state: State, event: Event, day: Day) -> State:
    if NALOXONE in day.substances(event.data["substance"]):
        state = _answered(_with_sign(state, event, NALOXONE, True, day), event, {"naloxone_given": True})
    return state.but(medications=(*state.medications, (event.at, event.data, event.id)))


def _disclosed(state: State, event: Event, day: Day) -> State:
    told = (event.data["text"], event.data.get("last_use"), event.at)
    if day.substances(event.data["text"]) & day.table.opioid_like:
        state = _with_sign(state, event, OPIOID_TOLD, True, day)
    return state.but(substances=(*state.substances, told))


# --- the session ------------------------------------------------------------------------------------------------------


def _checked_in(state: State, event: Event, day: Day) -> State:
    if state.checked_in is not None:
        return _flag(state, event, "double-check-in", "checked in a second time: is it of another person?")
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
    return _answered(state, event, {"consent": event.data["confirmed"]})


def _override(state: State, event: Event, day: Day) -> State:
    data = event.data
    return state.but(
        overrides={**state.overrides, data["item"]: (data["prescriber"], data["reason"], event.at)},
    )


def _escort(state: State, event: Event, day: Day) -> State:
    return _answered(state, event, {f"escort_{name}": value for name, value in event.data.items()})


def _transport(state: State, event: Event, day: Day) -> State:
    return _answered(state, event, {"transport_arranged": event.data["clinician"]})


def _action(state: State, event: Event, day: Day) -> State:
    return state.but(actions=(*state.actions, (event.at, event.data, event.by)))


def _note(state: State, event: Event, day: Day) -> State:
    return state.but(notes=state.notes + 1)


def _acknowledged(state: State, event: Event, day: Day) -> State:
    """Who answers an alarm answers those that it covers."""
    alarm, entry = event.data["alarm"], (event.at, event.by)
    episodes, row = state.episodes, day.table.rows.get(alarm)
    if row is not None and alarm in episodes and episodes[alarm].raised <= event.at:
        answered = [e for name in (alarm, *row.covers) if (e := episodes.get(name)) and e.raised <= event.at]
        seen = {e.alarm: e._replace(acknowledged=(*e.acknowledged, entry)) for e in answered}
        return state.but(episodes={**episodes, **seen})
    if alarm == NO_DATA and alarms.quiet(state, event.at, day.table) is not None:
        return state.but(no_data=(*state.no_data, entry))
    return _flag(state, event, "no-such-alarm", f"{alarm}: no such alarm stands; look at what stands now")


def _silenced(state: State, event: Event, day: Day) -> State:
    until, longest = event.data["until"], max(day.table.silence.values())
    if until <= event.at or until > event.at + longest:
        says = f"the sound rests for {longest // _MINUTE} min at most, and until a time to come"
        state = _flag(state, event, "silence-limited", says)
    silence = Silence(event.data.get("alarm", ""), event.at, until, event.by)
    standing = tuple(s for s in state.silences if s.at + longest > event.at)
    return state.but(silences=(*standing, silence))


def _assigned(state: State, event: Event, day: Day) -> State:
    device = event.data["device"]
    if event.by == device:
        return _flag(state, event, "not-confirmed", "a person ties a device, at the chair; a device never ties itself")
    heard = state.heard
    if event.data.get("kind", "monitor") == "monitor":
        heard = {**dict.fromkeys(day.table.monitored, event.at), **heard}
    return state.but(devices={**state.devices, device: event.at}, heard=heard)


def _released(state: State, event: Event, day: Day) -> State:
    devices = {name: since for name, since in state.devices.items() if name != event.data["device"]}
    if len(devices) == len(state.devices):
        return _flag(state, event, "device-not-tied", "released a device that was not tied to this person")
    return state.but(devices=devices, heard=state.heard if devices else {}, no_data=())


def _corrected(state: State, event: Event, day: Day) -> State:
    """The original was already taken in as it should have been; here what it shows now is judged."""
    original = event.data["corrects"]
    entry = (original, event.id, event.at, event.by, event.data["reason"])
    state = state.but(corrections=(*state.corrections, entry))
    if state.ended is not None:
        return state
    keep = alarms.kept(state)
    stale = {c: None for c, band in keep.bands.items() if band.event == original and _is_stale(c, state, day)}
    keep = alarms.changed(keep, stale, day.table, at=event.at) if stale else keep
    said = {
        day.raised_by[n]
        for n, a in state.answers.items()
        if a.event == original and a.value is True and n in day.raised_by
    }
    begun = {sign: Band(event.at, event.id, sign) for sign in said if sign not in keep.bands}
    keep = alarms.changed(keep, begun, day.table, at=event.at) if begun else keep
    latest = {n: r.value for n, r in state.readings.items() if r.event == original or _measured(n, stale, day)}
    keep = alarms.judge(
        keep, latest, day.table, at=event.at, event=event.id, baseline=state.baseline, track=state.track
    )
    return state.but(**keep._asdict())


def _is_stale(condition: str, state: State, day: Day) -> bool:
    """Whether a condition rests on what was corrected, and not on what it should have been."""
    sign = day.table.signs.get(condition)
    if sign is None:
        return True
    names = (name for name, raised in day.raised_by.items() if raised == condition)
    return not sign.internal and all(state.answers.get(name, _UNASKED).value is not True for name in names)


def _measured(name: str, stale: Mapping[str, None], day: Day) -> bool:
    return any(day.table.conditions[condition].measure == name for condition in stale)


def _withdrawn(state: State, event: Event, day: Day) -> State:
    """It did not happen here. What it showed was seen all the same; a dose counts for the stay unless two say so."""
    if event.type in _DOSES:
        return state if event.data.get("witness") else _not_of_the_plan(state, event)
    if event.type == "event":
        state = _with_sign(state, event, event.data["sign"], event.data["present"], day)
    return _judged(state, event, event.data, day, count=False)


# --- the dose ---------------------------------------------------------------------------------------------------------


def _disagree(state: State, event: Event, found: tuple[pump.Disagreement, ...]) -> State:
    for code, says in found:
        state = _flag(state, event, code, says)
    return state


def _prepared(state: State, event: Event, day: Day) -> State:
    weight = state.readings.get("weight")
    found = pump.prepared(
        event.data,
        day.limits,
        treatment=state.treatment,
        at=event.at,
        number=state.number,
        measured_kg=weight.value if weight else None,
        offset=event.offset,
    )
    fresh = replace(
        state.dose,
        prepared=event.data,
        prepared_at=event.at,
        prepared_by=event.by,
        prepared_event=event.id,
        checked=None,
        checked_by="",
    )
    return _disagree(state.but(dose=fresh), event, found)


def _double_checked(state: State, event: Event, day: Day) -> State:
    found = pump.checked(state.dose, event.data, event.by, day.limits)
    if found:
        return _disagree(state, event, found)
    return state.but(dose=replace(state.dose, checked=event.data, checked_by=event.by))


def _refusal(state: State) -> tuple[str, str] | None:
    """Why nothing may be given any more, if so."""
    if state.dose.stopped is not None:
        return "dose-after-stop", "given after the dose had ended: tell the prescriber now"
    if state.stop_called is not None:
        _, alarm, hard = state.stop_called
        if hard or state.phase is not Phase.ARRIVED:
            return (
                "dose-after-alarm",
                f"given although an alarm ({alarm}) had stopped the dose: tell the prescriber now",
            )
    return None


def _not_of_the_plan(state: State, event: Event) -> State:
    """A dose that should not have been: it may well have gone in, so the stay is counted from it."""
    dose = state.dose
    return state.but(dose=replace(dose, refused=(*dose.refused, event.id), watch_from=_later(dose, event)))


def _begun(state: State, event: Event, day: Day) -> State:
    """What every dose needs before it, flagged where it is not on record; the baseline is what was last measured."""
    for missing, code, says in (
        (state.answers.get("consent", _UNASKED).value is not True, "no-consent", "consent was not confirmed today"),
        (state.dose.checked is None, "not-double-checked", "no second person has checked this dose"),
    ):
        if missing:
            state = _flag(state, event, code, f"{event.type}: {says}")
    if state.dose.first is not None:
        return state
    begun = state.but(baseline=state.readings)
    return begun.but(calm=_calm(begun, state.track, day))


_UNASKED = Answer(None, 0, "", "")


def _given(state: State, event: Event, day: Day) -> State:
    """A nasal device or an injection."""
    refusal, nasal = _refusal(state), event.type == "device-given"
    if refusal is not None:
        return _not_of_the_plan(_flag(state, event, *refusal), event)
    if nasal != (state.treatment == NASAL):
        state = _flag(state, event, "other-route", f"{event.type} in a session for {state.treatment}")
    state = _begun(state, event, day)
    dose = state.dose
    if nasal and dose.last is not None and event.at - dose.last < day.rest:
        says = f"{day.rest // _MINUTE} min of rest between two devices were not kept"
        state = _flag(state, event, "device-too-soon", says)
    if not nasal and dose.given:
        state = _flag(state, event, "second-injection", "a second injection: is it the same one, written twice?")
    number = event.data.get("number")
    if nasal and number != len(dose.given) + 1:
        state = _flag(state, event, "device-number", f"device {number}, but {len(dose.given)} are on record before it")
    mg = event.data["dose"]
    parts = (*dose.given, Given(event.at, event.at, mg, event.id, event.data.get("lot", "")))
    total, ordered = sum(part.mg for part in parts), (dose.prepared or {}).get("dose")
    if ordered is not None and total > ordered and not day.limits.same(total, ordered):
        state = _flag(state, event, "more-than-ordered", f"{total:g} mg given, {ordered:g} mg ordered")
    whole = not nasal or (ordered is not None and total >= ordered)
    taken = replace(
        dose,
        given=parts,
        first=event.at if dose.first is None else dose.first,
        last=event.at,
        watch_from=_later(dose, event),
        complete=True if whole else None,
    )
    return state.but(dose=taken, phase=Phase.OBSERVING if whole else Phase.DOSING)


def _later(dose: Dose, event: Event) -> int:
    """The stay is counted from the latest time that was ever written for the dose."""
    was = event.was.at if event.was is not None and event.was.at <= event.received else event.at
    return max(dose.watch_from or event.at, event.at, was)


def _started(state: State, event: Event, day: Day) -> State:
    if state.dose.rate is not None or (state.dose.first is not None and state.phase is not Phase.ARRIVED):
        says = "the pump runs already, or ran before: look at it; to go on after a pause, resume"
        return _flag(state, event, "double-start", says)
    refusal = _refusal(state)
    if refusal is not None:
        return _not_of_the_plan(_flag(state, event, *refusal), event)
    if state.treatment == NASAL:
        state = _flag(state, event, "other-route", f"{event.type} in a session for {state.treatment}")
    state = _disagree(_begun(state, event, day), event, pump.started(state.dose, event.data, day.limits))
    dose = replace(
        state.dose,
        rate=event.data["rate"],
        since=event.at,
        concentration=event.data["concentration"],
        volume=event.data["volume"],
        first=event.at,
        watch_from=_later(state.dose, event),
    )
    return state.but(dose=dose, phase=Phase.DOSING)


def _to_here(dose: Dose, event: Event) -> Dose:
    """The stretch of infusion that ends now becomes a part that was given."""
    if dose.rate is None:
        return dose
    mg = (pump.so_far(dose, event.at) or 0.0) - sum(part.mg for part in dose.given)
    ran = Given(dose.since, event.at, mg, event.id, (dose.prepared or {}).get("lot", ""))
    return replace(dose, given=(*dose.given, ran), since=event.at, last=event.at, watch_from=_later(dose, event))


def _rate(state: State, event: Event, day: Day) -> State:
    if state.dose.rate is None:
        return _flag(state, event, "pump-not-running", "the rate of a pump that does not run: start or resume it first")
    return state.but(dose=replace(_to_here(state.dose, event), rate=event.data["rate"]))


def _paused(state: State, event: Event, day: Day) -> State:
    if state.phase is not Phase.DOSING:
        return _flag(state, event, "nothing-to-pause", "no dose is going on")
    dose = _to_here(state.dose, event)
    return state.but(dose=replace(dose, rate=None, rate_before=state.dose.rate), phase=Phase.PAUSED)


def _resumed(state: State, event: Event, day: Day) -> State:
    if state.phase is not Phase.PAUSED:
        return _flag(state, event, "nothing-to-resume", "no dose is paused")
    if state.stop_called is not None:
        _, alarm, hard = state.stop_called
        stands = any(a.dose == "stop" for a in alarms.standing(state, event.at, day.table))
        named = event.data.get("prescriber") and event.data.get("reason")
        if hard or stands or not named:
            says = f"an alarm ({alarm}) stopped the dose: " + (
                "it is not started again today"
                if hard
                else "it still stands"
                if stands
                else "only a named prescriber lets it go on, with the reason"
            )
            return _flag(state, event, "resume-refused", says)
        state = state.but(stop_called=None)
    rate = event.data.get("rate", state.dose.rate_before)
    return state.but(dose=replace(state.dose, rate=rate, since=event.at), phase=Phase.DOSING)


def _stopped(state: State, event: Event, day: Day) -> State:
    if state.dose.stopped is not None:
        return _flag(state, event, "double-stop", "the dose had ended before")
    dose = _to_here(state.dose, event)
    shown = event.data.get("volume")
    if shown is not None and dose.concentration:
        counted = sum(part.mg for part in dose.given)
        if not day.limits.same(shown * dose.concentration, counted):
            says = f"the pump shows {shown * dose.concentration:g} mg, the record adds up to {counted:g} mg: look again"
            state = _flag(state, event, "pump-differs", says)
    ended = replace(dose, rate=None, stopped=event.at, complete=event.data["complete"])
    given = ended.first is not None or ended.refused
    return state.but(dose=ended, phase=Phase.OBSERVING if given else state.phase)


# --- the end ----------------------------------------------------------------------------------------------------------


def _ended(state: State, event: Event, phase: Phase) -> State:
    past = state.past
    for episode in sorted(state.episodes.values()):
        if episode.raised <= event.at:
            past = Chain(episode._replace(cleared=event.at), past)
    end = Ended(phase=phase, at=event.at, by=event.by, event=event.id, data=event.data)
    dose = replace(_to_here(state.dose, event), rate=None)
    return state.but(ended=end, phase=phase, dose=dose, past=past, episodes={}, bands={}, devices={}, heard={})


def _discharged(state: State, event: Event, day: Day) -> State:
    found = gate(state, event.at, day.knowledge)
    if not found.open:
        missing = "; ".join(item.title for item in found.items if item.state != "met")
        return _flag(state, event, "discharge-refused", f"not discharged: {missing}")
    return _ended(state, event, Phase.DISCHARGED)


def _left(state: State, event: Event, day: Day) -> State:
    return _ended(state, event, Phase.LEFT if state.dose.watch_from is not None else Phase.NOT_TREATED)


def _transferred(state: State, event: Event, day: Day) -> State:
    return _ended(state, event, Phase.TRANSFERRED)


def _not_treated(state: State, event: Event, day: Day) -> State:
    if state.dose.watch_from is not None:
        return _flag(
            state, event, "was-treated", "a dose is on record: the session ends as discharged, left or transferred"
        )
    return _ended(state, event, Phase.NOT_TREATED)


_AFTERWARDS = frozenset({"note", "correction", "action"})  # what is still written once the person has gone
_DOSES = frozenset({"device-given", "injection-given", "infusion-started"})
_HANDLERS: Mapping[str, Callable[[State, Event, Day], State]] = {
    "checked-in": _checked_in,
    "consent": _consent,
    "override": _override,
    "dose-prepared": _prepared,
    "dose-checked": _double_checked,
    "device-given": _given,
    "injection-given": _given,
    "infusion-started": _started,
    "rate-changed": _rate,
    "dose-paused": _paused,
    "dose-resumed": _resumed,
    "dose-stopped": _stopped,
    "event": _event,
    "substance-disclosed": _disclosed,
    "action": _action,
    "medication-given": _medication,
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
    "correction": _corrected,
    "note": _note,
    **dict.fromkeys(
        ("readiness", "vitals", "sedation", "dissociation", "nausea", "distress", "mood", "discharge-check"), _observed
    ),
}
