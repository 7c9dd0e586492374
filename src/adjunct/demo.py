"""Invented people that come with Adjunct, so that the first command shows a whole answer."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the bundle describes, and the question that is asked of it."""

    file: str
    story: str
    treatment: str
    phase: str
    at: str
    country: str


PEOPLE = (
    Person(
        "ana-first-visit.json",
        "Ana, 44, sertraline 150 mg, two trials without response, history and medicines reviewed today.",
        "esketamine-nasal",
        "intake",
        "2026-11-21T09:00:00-06:00",
        "US",
    ),
    Person(
        "ben-kratom-this-morning.json",
        "Ben, 33, sertraline 200 mg and 25 g of kratom powder a day, last taken five hours ago; first infusion today.",
        "ketamine-iv",
        "pre-dose",
        "2026-11-21T09:00:00-06:00",
        "US",
    ),
    Person(
        "carla-two-antidepressants.json",
        "Carla, 58, phenelzine, a new prescription for sertraline, and a blood pressure of 168/102 before her spray.",
        "esketamine-nasal",
        "pre-dose",
        "2026-11-21T09:00:00+01:00",
        "ES",
    ),
)

FOLLOWED = Person(
    "dana-course.json",
    "Dana, nine infusions since August; well in October, and now a score that rises, with a yes to item 9.",
    "",
    "follow-up",
    "2026-11-21T09:00:00+01:00",
    "DE",
)


def bundle_path(file: str) -> Path:
    """Where the bundle lies in the installed package."""
    return Path(str(resources.files("adjunct") / "examples" / file))
