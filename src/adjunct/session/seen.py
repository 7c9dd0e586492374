"""What is measured, rated, said and seen: the last value of each, and which alarms it raises or ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adjunct.base import duration_ms
from adjunct.session import alarms
from adjunct.session.alarms import NALOXONE, Kept, artefact
from adjunct.session.day import Day, answered, flagged
from adjunct.session.model import Band, Event, Reading, State

_MINUTE = duration_ms("1 min")
_WHOLE = 100
_NONE: frozenset[str] = frozenset()


def observed(state: State, event: Event, day: Day) -> State:
    """Measures and scores, yes and no, words: the last value of each, and what they show."""
    if event.source == event.by and event.source not in state.devices:
        says = f"{event.source} is not tied to this person: confirm whose it is, then tie it"
        return judged(flagged(state, event, "device-not-tied", says), event, event.data, day, count=False)
    if event.was is None:
        return judged(state, event, event.data, day, count=True)
    # what was seen then is judged as it was seen; what counts is what it should have been
    shown, right = (judged(state, event, data, day, count=False) for data in (event.was.data, event.data))
    unseen = right.episodes.keys() - shown.episodes.keys()
    if unseen:
        titles = ", ".join(sorted(day.table.rows[alarm].title for alarm in unseen))
        shown = flagged(shown, event, "danger-not-seen", f"corrected values show what nobody saw then: {titles}")
    return judged(_mistaken(shown, event, right), event, event.data, day, count=True, danger=False)


def withdrawn(state: State, event: Event, day: Day) -> State:
    """It did not happen here; what it showed was seen all the same."""
    shown = with_sign(state, event, event.data["sign"], event.data["present"], day) if event.type == "event" else state
    return _mistaken(judged(shown, event, event.data, day, count=False), event, state)


def _mistaken(state: State, event: Event, right: State) -> State:
    """Remember which alarms an event raised that it would not have raised as it should have been."""
    raised = {e.alarm for e in state.episodes.values() if e.event == event.id}
    wrong = {(alarm, event.id) for alarm in raised - right.episodes.keys()}
    return state.but(mistaken=state.mistaken | wrong) if wrong else state


def _against(state: State, day: Day) -> Mapping[str, Reading]:
    """The values before the dose, and at any time the documented usual ones."""
    usual = {name: state.readings[name] for name in day.table.usual if name in state.readings}
    return {**state.baseline, **usual} if usual else state.baseline


def judged(state: State, event: Event, data: Mapping[str, Any], day: Day, *, count: bool, danger: bool = True) -> State:
    """`count`: take the values in; `danger`: see which alarms they raise."""
    at, ident = event.at, event.id
    implausible = data.get("implausible", ())
    values = {name: value for name, value in data.items() if type(value) is float}
    before, wrong, seen = alarms.kept(state), _NONE, values
    keep = before
    if state.bands or implausible or not alarms.is_calm(values, state.calm or day.table.calm):
        wrong = _impossible(values, day)
        seen = {name: value for name, value in values.items() if name not in wrong}
        if danger:
            against = _against(state, day)
            keep = alarms.judge(keep, seen, day.table, at=at, event=ident, baseline=against, track=state.track)
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
        state = answered(state, event, {n: v for n, v in data.items() if n not in values and n != "implausible"})
    if keep is not before:
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
        artefact(n): Band(event.at, event.id, data[n])
        for n in (*wrong, *odd)
        if n in day.table.vital and artefact(n) not in keep.bands
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
    readings, tracks, peaks = dict(state.readings), state.track, state.peak
    minute, begun = at // _MINUTE, state.dose.watch_from is not None
    track: dict[str, tuple[tuple[int, float], ...]] | None = None
    peak: dict[str, tuple[float, float]] | None = None
    for name, value in values.items():
        readings[name] = Reading(value, at, by, source, ident)
        course = tracks.get(name, ())
        if not course or minute > course[-1][0] // _MINUTE:
            track = track if track is not None else dict(tracks)
            track[name] = (*course, (at, value))
        if begun:
            low, high = peaks.get(name) or (value, value)
            if not low < value < high and (value < low or value > high or name not in peaks):
                peak = peak if peak is not None else dict(peaks)
                peak[name] = (min(low, value), max(high, value))
    changes: dict[str, Any] = {"readings": readings}
    if track is not None:
        changes |= {"track": track, "calm": calm(state, track, day)}
    if peak is not None:
        changes["peak"] = peak
    return changes


def calm(state: State, track: Mapping[str, tuple[tuple[int, float], ...]], day: Day) -> dict[str, tuple[float, float]]:
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
    heard, oldest, fresh = dict(state.heard), at, False
    for name in day.table.monitored:
        if name in taken:
            oldest, fresh = min(oldest, heard.get(name, at)), True
            heard[name] = at
    if not fresh:
        return state.heard, keep, state.no_data
    if at - min(oldest, *heard.values()) <= day.table.no_data:
        return heard, keep, state.no_data
    silence = alarms.quiet(state, at, day.table)
    if silence is None or min(heard.values()) < silence.raised:
        return heard, keep, state.no_data
    return heard, alarms.heard_again(keep, state, at, day.table), ()


def sign_seen(state: State, event: Event, day: Day) -> State:
    """A sign, present or asked for and absent; as it was seen, where a correction changed it later."""
    sign, present = event.data["sign"], event.data["present"]
    if event.was is None:
        return answered(with_sign(state, event, sign, present, day), event, {sign: present})
    was, right = event.was.data, with_sign(state, event, sign, present, day)
    shown = _mistaken(with_sign(state, event, was["sign"], was["present"], day), event, right)
    return answered(shown, event, {sign: present})


def with_sign(state: State, event: Event, sign: str, present: bool, day: Day) -> State:
    """The state with a sign present, or no longer."""
    if (sign in state.bands) == present or sign not in day.table.signs:
        return state
    change = {sign: Band(event.at, event.id, sign) if present else None}
    return state.but(**alarms.changed(alarms.kept(state), change, day.table, at=event.at)._asdict())


def medication(state: State, event: Event, day: Day) -> State:
    """Anything given but the dose; naloxone asks for a transfer."""
    state = naloxone(state, event, event.data, day)
    if event.was is not None and not event.second:  # nobody takes naloxone back alone
        state = naloxone(state, event, event.was.data, day)
    return state.but(medications=(*state.medications, (event.at, event.data, event.id)))


def naloxone(state: State, event: Event, data: Mapping[str, Any], day: Day) -> State:
    """The state with naloxone given, if that is what was given."""
    if NALOXONE not in day.substances(data["substance"]):
        return state
    return answered(with_sign(state, event, NALOXONE, True, day), event, {"naloxone_given": True})


def disclosed(state: State, event: Event, day: Day) -> State:
    """What the person says was taken; what slows the breathing and was used lately is an alarm."""
    text, last_use = event.data["text"], event.data.get("last_use")
    named = day.substances(text)
    for told in day.table.told:
        if named & told.substances and (last_use is None or event.at - last_use <= told.within):
            state = with_sign(state, event, told.sign, True, day)
    return state.but(substances=(*state.substances, (text, last_use, event.at)))


def corrected(state: State, event: Event, day: Day) -> State:
    """The original was already taken in as it should have been; here is judged what all that is known now shows."""
    original = event.data["corrects"]
    entry = (original, event.id, event.at, event.by, event.data["reason"])
    state = state.but(corrections=(*state.corrections, entry))
    if state.ended is not None:
        return state
    keep, present = alarms.kept(state), _present(state, day)
    kept_signs = {*present, *(sign.id for sign in day.table.signs.values() if sign.internal)}
    stale = {c: None for c, band in keep.bands.items() if band.event == original and c not in kept_signs}
    keep = alarms.changed(keep, stale, day.table, at=event.at) if stale else keep
    begun = {sign: Band(event.at, event.id, sign) for sign in present if sign not in keep.bands}
    keep = alarms.changed(keep, begun, day.table, at=event.at) if begun else keep
    latest = {name: reading.value for name, reading in state.readings.items()}
    keep = alarms.judge(
        keep, latest, day.table, at=event.at, event=event.id, baseline=_against(state, day), track=state.track
    )
    return state.but(**keep._asdict())


def _present(state: State, day: Day) -> list[str]:
    """The signs that were said to be there, and not to be over since; a no to one of several questions ends nothing."""
    there: dict[str, int] = {}
    for name, sign in day.raised_by.items():
        said = state.answers.get(name)
        if said is not None and said.value is True:
            there[sign] = max(said.at, there.get(sign, said.at))
    over = {sign: own.at for sign in there if (own := state.answers.get(sign)) and own.value is False}
    return [sign for sign, at in there.items() if over.get(sign, at) <= at]
