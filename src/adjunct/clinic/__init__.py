"""The clinic: what it has, when it is open, and which visit stands where. No person's health is known here."""

from __future__ import annotations

from adjunct.clinic.confirm import confirm
from adjunct.clinic.model import Booking, Duty, Need, Offer, Request, Timetable, Unplaced, requests
from adjunct.clinic.schedule import rebook, schedule
from adjunct.clinic.settings import Clinic

__all__ = [
    "Booking",
    "Clinic",
    "Duty",
    "Need",
    "Offer",
    "Request",
    "Timetable",
    "Unplaced",
    "confirm",
    "rebook",
    "requests",
    "schedule",
]
