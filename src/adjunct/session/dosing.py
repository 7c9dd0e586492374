"""The dose of a day: prepared, checked, given, paused, stopped; and what may not be given any more."""

from __future__ import annotations

from dataclasses import replace

from adjunct.base import duration_ms
from adjunct.session import alarms, pump
from adjunct.session.alarms import WISH_TO_STOP
from adjunct.session.day import NASAL, Day, flagged
from adjunct.session.model import Dose, Event, Given, Phase, State
from adjunct.session.seen import calm, with_sign

DOSES = frozenset({"device-given", "injection-given", "infusion-started"})
_MINUTE = duration_ms("1 min")


def _disagree(state: State, event: Event, found: tuple[pump.Disagreement, ...]) -> State:
    for code, says in found:
        state = flagged(state, event, code, says)
    return state


def prepared(state: State, event: Event, day: Day) -> State:
    """What was drawn up or taken out; what does not agree with itself is flagged. It needs a new check."""
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


def double_checked(state: State, event: Event, day: Day) -> State:
    """A second person worked it out anew; only a check that agrees counts."""
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


def not_of_the_plan(state: State, event: Event) -> State:
    """A dose that should not have been: it may well have gone in, so the stay is counted from it."""
    dose = state.dose
    return state.but(dose=replace(dose, refused=(*dose.refused, event.id), watch_from=_later(dose, event)))


def _waits(state: State, event: Event, day: Day) -> bool:
    rows = (day.table.rows[e.alarm] for e in state.episodes.values() if e.raised <= event.at)
    return any(row.dose in ("stop", "pause") for row in rows)


def _begun(state: State, event: Event, day: Day) -> State:
    """What every dose needs before it, flagged where it is not on record; the baseline is what was last measured."""
    consent = state.answers.get("consent")
    for missing, code, says in (
        (consent is None or consent.value is not True, "no-consent", "consent was not confirmed today"),
        (state.dose.checked is None, "not-double-checked", "no second person has checked this dose"),
        (_waits(state, event, day), "dose-with-alarm", "an alarm asks the dose to wait: tell the prescriber"),
    ):
        if missing:
            state = flagged(state, event, code, f"{event.type}: {says}")
    against = [
        title
        for name, (answer, title, hard) in day.refuses.items()
        if name in state.answers and state.answers[name].value == answer and (hard or name not in state.overrides)
    ]
    if against:
        says = f"{event.type}: given against {'; '.join(against)}: tell the prescriber"
        state = flagged(state, event, "dose-against-answer", says)
    if state.dose.first is not None:
        return state
    begun = state.but(baseline=state.readings)
    return begun.but(calm=calm(begun, state.track, day))


def given(state: State, event: Event, day: Day) -> State:
    """A nasal device or an injection."""
    refusal, nasal = _refusal(state), event.type == "device-given"
    if refusal is not None:
        return not_of_the_plan(flagged(state, event, *refusal), event)
    if nasal != (state.treatment == NASAL):
        state = flagged(state, event, "other-route", f"{event.type} in a session for {state.treatment}")
    state = _begun(state, event, day)
    dose = state.dose
    if nasal and dose.last is not None and event.at - dose.last < day.rest:
        says = f"{day.rest // _MINUTE} min of rest between two devices were not kept"
        state = flagged(state, event, "device-too-soon", says)
    if not nasal and dose.given:
        state = flagged(state, event, "second-injection", "a second injection: is it the same one, written twice?")
    for code, says in pump.package(
        event.data, dose.prepared, day.limits, nasal=nasal, at=event.at, offset=event.offset
    ):
        state = flagged(state, event, code, says)
    number = event.data.get("number")
    if nasal and number != len(dose.given) + 1:
        state = flagged(
            state, event, "device-number", f"device {number}, but {len(dose.given)} are on record before it"
        )
    mg = event.data["dose"]
    parts = (*dose.given, Given(event.at, event.at, mg, event.id, event.data.get("lot", "")))
    total, ordered = sum(part.mg for part in parts), (dose.prepared or {}).get("dose")
    if ordered is not None and total > ordered and not day.limits.same(total, ordered):
        state = flagged(state, event, "more-than-ordered", f"{total:g} mg given, {ordered:g} mg ordered")
    infusing = dose.volume is not None and state.phase is not Phase.OBSERVING
    if infusing:
        state = flagged(state, event, "beside-infusion", "given beside an infusion: tell the prescriber now")
    whole = not infusing and (not nasal or (ordered is not None and total >= ordered))
    taken = replace(
        dose,
        given=parts,
        first=event.at if dose.first is None else dose.first,
        last=event.at,
        watch_from=_later(dose, event),
        complete=True if whole else None,
    )
    return state.but(dose=taken, phase=state.phase if infusing else Phase.OBSERVING if whole else Phase.DOSING)


def _later(dose: Dose, event: Event) -> int:
    """The stay is counted from the latest time that was ever written for the dose."""
    was = event.at if event.was is None else min(event.was.at, event.received)
    return max(dose.watch_from or event.at, event.at, was)


def started(state: State, event: Event, day: Day) -> State:
    """The pump begins to run: once."""
    if state.dose.rate is not None:
        return flagged(state, event, "double-start", "the pump runs already: is it the same start, written twice?")
    refusal = _refusal(state)
    if refusal is None and state.dose.first is not None:
        refusal = "double-start", "a dose was given before: look at the pump; to go on after a pause, resume"
    if refusal is not None:
        return not_of_the_plan(flagged(state, event, *refusal), event)
    if state.treatment == NASAL:
        state = flagged(state, event, "other-route", f"{event.type} in a session for {state.treatment}")
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


def to_here(dose: Dose, event: Event) -> Dose:
    """The stretch of infusion that ends now becomes a part that was given."""
    if dose.rate is None:
        return dose
    mg = pump.running_mg(dose, event.at) or 0.0
    ran = Given(dose.since, event.at, mg, event.id, (dose.prepared or {}).get("lot", ""))
    return replace(dose, given=(*dose.given, ran), since=event.at, last=event.at, watch_from=_later(dose, event))


def rate_changed(state: State, event: Event, day: Day) -> State:
    """The pump runs on at another rate."""
    if state.dose.rate is None:
        return flagged(
            state, event, "pump-not-running", "the rate of a pump that does not run: start or resume it first"
        )
    if state.stop_called is not None:
        says = f"the pump runs on although an alarm ({state.stop_called[1]}) stopped the dose: stop it now"
        state = flagged(state, event, "dose-after-alarm", says)
    return state.but(dose=replace(to_here(state.dose, event), rate=event.data["rate"]))


def paused(state: State, event: Event, day: Day) -> State:
    """The pump stands still, or the next device waits."""
    if state.phase is not Phase.DOSING:
        return flagged(state, event, "nothing-to-pause", "no dose is going on")
    dose = to_here(state.dose, event)
    return state.but(dose=replace(dose, rate=None, rate_before=state.dose.rate), phase=Phase.PAUSED)


def resumed(state: State, event: Event, day: Day) -> State:
    """It goes on; where an alarm stopped it, only by a named prescriber, and after a hard one never."""
    if state.phase is not Phase.PAUSED:
        return flagged(state, event, "nothing-to-resume", "no dose is paused")
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
            return flagged(state, event, "resume-refused", says)
        state = state.but(stop_called=None)
    if state.dose.concentration is None and "rate" in event.data:
        state = flagged(state, event, "pump-not-running", "a rate, but no infusion was started: start it first")
    rate = None if state.dose.concentration is None else event.data.get("rate", state.dose.rate_before)
    return state.but(dose=replace(state.dose, rate=rate, since=event.at), phase=Phase.DOSING)


def stopped(state: State, event: Event, day: Day) -> State:
    """The dose is over, complete or not; what the pump shows is held against the record."""
    if state.dose.stopped is not None:
        return flagged(state, event, "double-stop", "the dose had ended before")
    dose = to_here(state.dose, event)
    shown = event.data.get("volume")
    if shown is not None and dose.concentration and not day.limits.same(shown * dose.concentration, dose.mg):
        says = f"the pump shows {shown * dose.concentration:g} mg, the record adds up to {dose.mg:g} mg: look again"
        state = flagged(state, event, "pump-differs", says)
    ended = replace(dose, rate=None, stopped=event.at, complete=event.data["complete"])
    given = ended.first is not None or ended.refused
    state = with_sign(state, event, WISH_TO_STOP, False, day)  # fulfilled
    return state.but(dose=ended, phase=Phase.OBSERVING if given else state.phase)
