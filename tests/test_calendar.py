"""The calendar of a plan: read back by a parser, by a second reader of the text, and by the rules of its time zone."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar, Event
from icalendar.timezone import tzp

from adjunct.base import BadInput
from adjunct.documents.calendar import calendar, cancellation
from adjunct.due import State
from adjunct.planning.model import CarePlan, Status
from test_outgoing import HOUR, KNOWLEDGE, MONDAY, at, change, plan, visit

NOW = at("2027-01-02 10:00")
OCTETS = 75
WEEK = 7 * 24 * HOUR


def made(the_plan: CarePlan, **more: Any) -> bytes:
    return calendar(the_plan, KNOWLEDGE, **({"language": "en", "now": NOW} | more))


def events(data: bytes) -> list[Event]:
    return list(Calendar.from_ical(data).walk("VEVENT"))


def lines(data: bytes) -> list[str]:
    """The content lines as RFC 5545 3.1 has them: broken by CRLF, none over 75 octets, continued by one space."""
    assert data.endswith(b"\r\n")
    folded = data.split(b"\r\n")[:-1]
    assert b"\n" not in b"".join(folded)
    assert max(map(len, folded)) <= OCTETS
    for line in folded:
        line.decode()  # no character is cut in two
    return data[:-2].decode().replace("\r\n ", "").split("\r\n")


def value(data: bytes, name: str) -> str:
    """The text of a property with its escapes taken back (RFC 5545 3.3.11)."""
    raw = next(x.partition(":")[2] for x in lines(data) if x.partition(":")[0] == name)
    assert not re.search(r"(?<!\\)[;,]", raw.replace("\\\\", ""))
    return re.sub(r"\\([nN;,\\])", lambda m: "\n" if m[1] in "nN" else m[1], raw)


def test_one_entry_as_it_stands_in_the_file() -> None:
    data = made(plan(replace(MONDAY, booked=True)), telephone="+49 30 1234", location="Door 3; 2nd floor, left\nBell 5")
    (event,) = events(data)
    assert {k: event[k].to_ical().decode() for k in ("DTSTART", "DTEND", "DTSTAMP", "STATUS", "CLASS", "TRANSP")} == {
        "DTSTART": "20270111T090000",
        "DTEND": "20270111T120000",
        "DTSTAMP": "20270102T090000Z",
        "STATUS": "CONFIRMED",
        "CLASS": "PRIVATE",
        "TRANSP": "OPAQUE",
    }
    assert event["DTSTART"].params["TZID"] == "Europe/Berlin"
    assert event["SUMMARY"] == "Appointment"
    assert event["LOCATION"] == value(data, "LOCATION") == "Door 3; 2nd floor, left\nBell 5"
    assert event["DESCRIPTION"].endswith("please call us.\nTelephone: +49 30 1234")
    alarms = [(a["ACTION"], a["TRIGGER"].dt) for a in event.walk("VALARM")]
    assert alarms == [("DISPLAY", -timedelta(days=1)), ("DISPLAY", -timedelta(hours=2))]
    assert {"BEGIN:VCALENDAR", "VERSION:2.0", "TZID:Europe/Berlin", "BEGIN:VTIMEZONE"} <= set(lines(data))


def test_spanish_survives_folding() -> None:
    where = "Edificio Ñandú, 3.ª planta; pregunte por María José en la recepción del ala sur, señal amarilla"
    data = made(plan(replace(MONDAY, booked=True)), language="es", location=where)
    (event,) = events(data)
    assert event["SUMMARY"] == value(data, "SUMMARY") == "Cita"
    assert event["LOCATION"] == value(data, "LOCATION") == where
    assert any(len(x.encode()) > OCTETS for x in lines(data))  # something had to be folded


def test_an_entry_tells_nobody_what_it_is_or_whose() -> None:
    text = made(plan(MONDAY, visit(2, "2027-01-14 09:00"))).decode().lower().replace("\r\n ", "")
    for word in ("ketamin", "induction", "ana", "patient", "session", "trd", "dose"):
        assert word not in re.sub(r"^uid:.*$", "", text, flags=re.MULTILINE)
        assert word not in re.findall(r"^uid:(.*)$", text, re.MULTILINE)[0].removesuffix("@adjunct.invalid")


def uid(the_plan: CarePlan, **more: Any) -> str:
    return str(events(made(the_plan, **more))[0]["UID"])


def test_a_uid_is_the_visits_own() -> None:
    first = uid(plan(MONDAY))
    assert (
        uid(plan(replace(MONDAY, starts=MONDAY.starts + HOUR, title="Other", state=State.OPEN)), now=NOW + HOUR)
        == first
    )
    assert len({first, uid(plan(visit(2, "2027-01-11 09:00"))), uid(replace(plan(MONDAY), patient="Patient/ben"))}) == 3
    assert first != uid(plan(MONDAY), course="2028-01-10")
    assert first != uid(plan(MONDAY), key="secret of the clinic")


@pytest.mark.parametrize(
    ("status", "state", "booked", "expected"),
    [
        (Status.ACTIVE, State.WAITING, True, "CONFIRMED"),
        (Status.ACTIVE, State.WAITING, False, "TENTATIVE"),  # a proposal: nobody has booked it
        (Status.WAITING, State.WAITING, True, "TENTATIVE"),
        (Status.ON_HOLD, State.WAITING, False, "TENTATIVE"),
        (Status.STOPPED, State.WAITING, False, "CANCELLED"),
        (Status.STOPPED, State.DONE, False, "CONFIRMED"),
        (Status.WAITING, State.DONE, False, "CONFIRMED"),
    ],
)
def test_status(status: Status, state: State, booked: bool, expected: str) -> None:
    (event,) = events(made(plan(replace(MONDAY, state=state, booked=booked), status=status)))
    assert event["STATUS"] == expected
    assert event["SUMMARY"] == ("Appointment (not confirmed yet)" if expected == "TENTATIVE" else "Appointment")
    assert bool(event.walk("VALARM")) is (expected != "CANCELLED")


def test_a_past_visit_rings_no_alarm() -> None:
    (event,) = events(made(plan(replace(MONDAY, state=State.DONE)), now=MONDAY.ends))
    assert event.walk("VALARM") == []


def test_a_visit_that_a_change_removed_is_cancelled_in_every_calendar_that_has_it() -> None:
    old = plan(MONDAY, visit(2, "2027-01-14 09:00"), replace(visit(3, "2027-01-05 09:00"), state=State.DONE))
    new = plan(MONDAY, changes=(change("amend", "2027-01-03 09:00"),))
    data = cancellation(old, new, KNOWLEDGE, language="en", now=NOW)
    (event,) = events(data)
    kept = {str(e["UID"]): e["SEQUENCE"] for e in events(made(old))}
    assert str(event["UID"]) in kept
    assert event["SEQUENCE"] > kept[str(event["UID"])]
    assert (event["STATUS"], event["TRANSP"]) == ("CANCELLED", "TRANSPARENT")
    assert "Europe/Berlin" in data.decode()
    without = replace(old, visits=old.visits[:1])  # gone without anybody's decision, in the same version
    (unversioned,) = events(cancellation(old, without, KNOWLEDGE, language="en", now=NOW + HOUR))
    assert unversioned["SEQUENCE"] > kept[str(unversioned["UID"])]
    back = plan(MONDAY, visit(2, "2027-01-14 09:00"), changes=(*new.changes, change("amend", "2027-01-04 09:00", 2)))
    again = {str(e["UID"]): e["SEQUENCE"] for e in events(made(back))}
    assert again[str(event["UID"])] > event["SEQUENCE"]  # and it may come back


def test_a_stop_cancels_all_that_is_to_come() -> None:
    old = plan(MONDAY, visit(2, "2027-01-14 09:00"))
    stopped = plan(status=Status.STOPPED, changes=(change("stop", "2027-01-03 09:00"),))
    found = events(cancellation(old, stopped, KNOWLEDGE, language="en", now=NOW))
    assert {str(e["UID"]) for e in found} == {str(e["UID"]) for e in events(made(old))}
    assert cancellation(old, old, KNOWLEDGE, language="en", now=NOW).count(b"VEVENT") == 0


def test_plans_of_two_people_or_in_the_wrong_order_are_refused() -> None:
    later = plan(MONDAY, changes=(change("amend", "2027-01-03 09:00"),))
    for old, new in ((later, plan(MONDAY)), (plan(MONDAY), replace(later, patient="Patient/ben"))):
        with pytest.raises(BadInput, match="two versions of one plan are needed, the earlier one first"):
            cancellation(old, new, KNOWLEDGE, language="en", now=NOW)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"])
def test_the_rules_in_the_file_give_the_instants_of_the_plan(zone: str) -> None:
    """A year of weekly visits, over every change of the clocks, read with the VTIMEZONE of the file alone."""
    weekly = tuple(visit(n, MONDAY.starts + n * 7 * 24 * HOUR + 5 * HOUR) for n in range(53))
    data = made(replace(plan(*weekly), zone=zone))
    read = Calendar.from_ical(data)
    zones = read.walk("VTIMEZONE")
    assert len(zones) == (zone != "UTC")
    rules = zones[0].to_tz(tzp, lookup_tzid=False) if zones else UTC
    starts = [e["DTSTART"].dt.replace(tzinfo=None).replace(tzinfo=rules) for e in read.walk("VEVENT")]
    assert [round(s.timestamp()) * 1000 for s in starts] == [v.starts for v in weekly]
    assert [e["DTSTART"].dt.astimezone(UTC) for e in read.walk("VEVENT")] == [
        datetime.fromtimestamp(v.starts / 1000, tz=UTC) for v in weekly
    ]


def test_a_plan_without_visits_is_an_empty_calendar() -> None:
    assert lines(made(plan(status=Status.NONE)))[0] == "BEGIN:VCALENDAR"
    assert events(made(plan(status=Status.NONE))) == []


@pytest.mark.parametrize("zone", ["Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "America/Santiago"])
def test_the_clocks_change_when_they_change(zone: str) -> None:
    """Every onset of the file is the instant at which the zone itself changes, and no moment before."""
    first = round(datetime(2027, 1, 11, 9, 0, tzinfo=ZoneInfo(zone)).timestamp() * 1000)
    weeks = [
        replace(MONDAY, id=f"v{n}", starts=first + n * WEEK, ends=first + n * WEEK + HOUR) for n in range(0, 52, 13)
    ]
    read = Calendar.from_ical(made(replace(plan(*weeks), zone=zone)))
    onsets = set()
    for part in read.walk("VTIMEZONE")[0].subcomponents:
        dates = part.get("RDATE", [])
        later = [d.dt for each in (dates if isinstance(dates, list) else [dates]) for d in each.dts]
        onsets |= {w - part["TZOFFSETFROM"].td for w in (part.decoded("DTSTART"), *later)}
    for onset in sorted(onsets)[1:]:  # the first one is where the file begins
        just = onset.replace(tzinfo=UTC)
        before, after = (t.astimezone(ZoneInfo(zone)).utcoffset() for t in (just - timedelta(seconds=1), just))
        assert before != after, (zone, onset)
