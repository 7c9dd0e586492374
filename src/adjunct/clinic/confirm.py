"""What is asked and reminded before a booked visit, as steps of `due.py`; whose task each is. Nothing is sent here."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from adjunct.base import MS_PER_DAY
from adjunct.clinic.model import Booking
from adjunct.clinic.settings import Clinic
from adjunct.due import Step, Window
from adjunct.knowledge import Knowledge

DOMAIN = "visit"
FRONT_DESK = "front-desk"
REMINDERS = ("week", "eve")


def confirm(booking: Booking, clinic: Clinic, knowledge: Knowledge) -> tuple[Step, ...]:
    """The escort's confirmation, where one is needed, and the reminders, counted back from the start of the visit.

    Days are of the clinic's calendar: a reminder a day before stands at the same time of day, whatever the clocks do.
    An act that names the step covers it; what nobody confirmed by the start is missed, and shown so.
    """

    def before(fact: str) -> int:
        return _back(booking.starts, knowledge.length_ms(fact), clinic)

    owner = clinic.cover.owner(FRONT_DESK)
    name = f"visit:{booking.request.id}:{booking.starts}"
    found = []
    if booking.request.escort:
        opens, due, late = (before(f"clinic.escort.{part}") for part in ("ask", "due", "late"))
        found.append(
            Step(
                id=f"{name}:escort",
                what="escort-confirmed",
                title="A named adult is confirmed who takes the person home",
                domain=DOMAIN,
                owner=owner,
                window=Window(opens=opens, due=due, overdue=late, closes=booking.starts),
                basis="clinic.escort.due",
            )
        )
    for which in REMINDERS:
        at = before(f"clinic.remind.{which}")
        found.append(
            Step(
                id=f"{name}:remind-{which}",
                what="visit-reminder",
                title="Reminder of the visit",
                domain=DOMAIN,
                owner=owner,
                window=Window(opens=at, due=at, overdue=booking.starts, closes=booking.starts),
                basis=f"clinic.remind.{which}",
            )
        )
    return tuple(found)


def _back(ms: int, length_ms: int, clinic: Clinic) -> int:
    """So long before an instant: whole days on the clinic's calendar, the rest in real time."""
    days, rest = divmod(length_ms, MS_PER_DAY)
    local = clinic.cover.local(ms).replace(tzinfo=None)
    wall = local - datetime.combine(local.date(), time())
    return clinic.cover.instant(local.date() - timedelta(days=days), wall) - rest
