"""The visits of a plan as an iCalendar file (RFC 5545) that any calendar can take in, and the file that takes them out.

A calendar is often shared and lies on other people's servers: an entry says that there is an appointment and no more.
Its UID is a hash of course and visit, the same in every version; its SEQUENCE rises with every version of the plan, so
that the newer file wins whatever order they arrive in; between files of one version the later DTSTAMP wins.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Alarm, Calendar, Event, vDDDTypes

from adjunct import sheet
from adjunct.base import MS_PER_SECOND, BadInput
from adjunct.due import State
from adjunct.followup.workflow import moment
from adjunct.knowledge import Knowledge
from adjunct.planning.model import CarePlan, Status, Visit

UID_LENGTH = 32
DOMAIN = "adjunct.invalid"  # RFC 2606: a name that is nobody's
MARGIN = timedelta(days=366)  # the rules of a zone are given for this long around the visits


def calendar(
    plan: CarePlan,
    knowledge: Knowledge,
    *,
    language: str,
    telephone: str = "",
    location: str = "",
    course: str = "",
    key: str = "",
    now: int,
    earlier: CarePlan | None = None,
) -> bytes:
    """The visits as they are planned at `now`; proposals are TENTATIVE, those of a stopped plan CANCELLED.

    Visits of an `earlier` version that this one no longer has are CANCELLED too.

    `course` tells two courses of one protocol apart, such as the day on which this one was to start. `key`: a secret
    of the clinic, without which nobody can try out whose visits these are.
    """
    stopped = plan.status is Status.STOPPED
    events = []
    for visit in plan.visits:
        cancelled = stopped and visit.state is not State.DONE
        event = _event(plan, visit, cancelled, knowledge, language, _uid(plan, visit, course, key), now)
        if not cancelled:
            words = [sheet.line(knowledge.content["outgoing"]["calendar"]["description"], language, knowledge)]
            if telephone:
                call = knowledge.content["outgoing"]["calendar"]["call"]
                words.append(sheet.line(call, language, knowledge, telephone=telephone))
            event.add("description", "\n".join(sheet.plain(words)))
            if location:
                event.add("location", location)
        events.append(event)
    left = {v.id for v in plan.visits}
    gone = [v for v in (earlier.visits if earlier else ()) if v.id not in left and v.state is not State.DONE]
    events += [_event(plan, v, True, knowledge, language, _uid(plan, v, course, key), now) for v in gone]
    return _file(events)


def cancellation(
    old: CarePlan, new: CarePlan, knowledge: Knowledge, *, language: str, course: str = "", key: str = "", now: int
) -> bytes:
    """The visits of an earlier version that a later one no longer has, each CANCELLED and newer than any file before.

    Raises `BadInput` for plans of two people or protocols, or given in the wrong order.
    """
    if (old.patient, old.protocol) != (new.patient, new.protocol) or new.version < old.version:
        raise BadInput("two versions of one plan are needed, the earlier one first", "cancellation")
    left = {v.id for v in new.visits} if new.status is not Status.STOPPED else set()
    gone = [v for v in old.visits if v.id not in left and v.state is not State.DONE]
    return _file([_event(new, v, True, knowledge, language, _uid(new, v, course, key), now) for v in gone])


def _event(
    plan: CarePlan, visit: Visit, cancelled: bool, knowledge: Knowledge, language: str, uid: str, now: int
) -> Event:
    texts = knowledge.content["outgoing"]["calendar"]
    zone = ZoneInfo(plan.zone)
    confirmed = (plan.status is Status.ACTIVE and visit.booked) or visit.state is State.DONE
    summary = sheet.line(texts["summary" if confirmed or cancelled else "proposed"], language, knowledge).text
    event = Event()
    event.add("uid", uid)
    event.add("sequence", 2 * plan.version + cancelled)  # cancelled in a version is newer than planned in it
    event.add("dtstamp", _time(now, ZoneInfo("UTC")))
    event.add("dtstart", _time(visit.starts, zone))
    event.add("dtend", _time(visit.ends, zone))
    event.add("status", "CANCELLED" if cancelled else "CONFIRMED" if confirmed else "TENTATIVE")
    event.add("class", "PRIVATE")
    event.add("transp", "TRANSPARENT" if cancelled else "OPAQUE")
    event.add("summary", summary)
    for fact in texts["alarms"] if visit.starts > now and not cancelled else ():
        alarm = Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", summary)
        alarm.add("trigger", -timedelta(milliseconds=moment(fact, 0, 0, knowledge)))
        event.add_component(alarm)
    return event


def _file(events: Sequence[Event]) -> bytes:
    made = Calendar()
    made.add("version", "2.0")
    made.add("prodid", "-//Adjunct//Appointments//EN")
    made.add("calscale", "GREGORIAN")
    for event in events:
        made.add_component(event)
    if events:  # the whole history of a zone is longer than most plans
        times: list[datetime] = [event.decoded(name) for event in events for name in ("dtstart", "dtend")]
        made.add_missing_timezones(first_date=(min(times) - MARGIN).date(), last_date=(max(times) + MARGIN).date())
        for zone in made.walk("VTIMEZONE"):
            _onsets(zone)
    return bytes(made.to_ical())


def _onsets(zone: Any) -> None:  # its properties are of some thirty types
    """Each change of the clocks at the wall-clock time before it (RFC 5545 3.6.5).

    Where clocks go forward the library writes the time after it, which is the gap too late.
    """
    zone.pop("COMMENT", None)  # of the library; it has no place in this component
    for part in zone.subcomponents:
        gap = part["TZOFFSETTO"].td - part["TZOFFSETFROM"].td
        if gap <= timedelta(0):
            continue
        start, later = part.decoded("DTSTART"), part.pop("RDATE", None)
        part["DTSTART"] = vDDDTypes(start - gap)
        for dates in later if isinstance(later, list) else [later] if later is not None else []:
            part.add("RDATE", [each.dt - gap for each in dates.dts])


def _uid(plan: CarePlan, visit: Visit, course: str, key: str) -> str:
    text = "|".join((plan.patient, plan.protocol, course, visit.id))
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:UID_LENGTH] + f"@{DOMAIN}"


def _time(ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ms // MS_PER_SECOND, tz=UTC).astimezone(zone)
