"""The card for the day of a treatment and the week after it, and the sheet for whoever takes the person home.

The card is written for one person (`planning/aftercare.toml`, read by `pages`); the escort's sheet is made without a
record at all, so that it cannot tell a diagnosis, a substance, a pregnancy or a risk.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from adjunct.followup.cover import Cover, contacts_in
from adjunct.knowledge import Knowledge
from adjunct.planning.pages import KNOWN, Page, conditions, emergency, numbers
from adjunct.record import Record
from adjunct.sheet import Part, Sheet, day, moment

PAGE, ESCORT = "aftercare", "escort"
NASAL, INFUSION = "nasal", "infusion"
WATCH = {"watch_from": "suicide.watch.from", "watch_until": "suicide.watch.until"}
WATCH_DAYS = {"watch_first": "suicide.watch.from", "watch_last": "suicide.watch.until"}
CHECKINS = {"first": "checkin.first", "second": "checkin.second", "weekly": "checkin.weekly"}


def aftercare(
    record: Record,
    knowledge: Knowledge,
    *,
    route: str,
    given_at: int | None,
    zone: str,
    language: str,
    country: str,
    telephone: str,
    next_visit: int | None = None,
) -> Sheet:
    """The aftercare card, in `language`.

    `route` or treatment, such as "nasal" or "ketamine-iv"; `given_at`: when the dose was given (ms since 1970 UTC),
    None before it: days then stand as numbers. `country`: where the person is now. Days are of the calendar of `zone`.
    """
    words = {name: f"{knowledge.number(fact):g}" for name, fact in WATCH_DAYS.items()}
    if given_at is not None:
        words |= _days(given_at, zone, language, knowledge)
    if next_visit is not None:
        words["next_visit"] = moment(next_visit, zone, language)
    page = Page(
        name=PAGE,
        knowledge=knowledge,
        language=language,
        holds=conditions(record, knowledge, PAGE)
        | {
            "given": KNOWN[given_at is not None],
            "next-visit": KNOWN[next_visit is not None],
            "route": NASAL if route.endswith(NASAL) else INFUSION,
        },
        words=words | {"emergency": emergency(country, knowledge, language)},
    )
    return Sheet(
        id=PAGE,
        title=page.title(page.data["title"]),
        language=language,
        lead=(page.text(page.data["lead" if given_at is not None else "lead_undated"]),),
        parts=(
            *page.parts(),
            numbers(
                knowledge,
                language,
                country=country,
                telephone=telephone,
                lines=contacts_in(country, knowledge, today=record.now.date()),
            ),
        ),
    )


def escort_sheet(
    knowledge: Knowledge, *, zone: str, language: str, starts: int | None, country: str, telephone: str
) -> Sheet:
    """The sheet for whoever takes somebody home: when to come, what to do, whom to call. Nothing of the person."""
    words = {"emergency": emergency(country, knowledge, language)}
    if starts is not None:
        words["when"] = moment(starts, zone, language)
    page = Page(name=PAGE, knowledge=knowledge, language=language, holds={}, words=words)
    data = page.data[ESCORT]
    parts = tuple(
        Part(title=page.title(p["title"]), kind=p["kind"], lines=tuple(page.text(t) for t in p["lines"]), id=p["id"])
        for p in data["part"]
    )
    return Sheet(
        id=ESCORT,
        title=page.title(data["title"]),
        language=language,
        reader=ESCORT,
        lead=(page.text(data["lead" if starts is not None else "lead_undated"]),),
        parts=(*parts, numbers(knowledge, language, country=country, telephone=telephone)),
    )


def _days(given_at: int, zone: str, language: str, knowledge: Knowledge) -> Mapping[str, str]:
    """The days that the card names, counted in the calendar of the clinic from the day of the dose."""
    cover = Cover(zone=zone)
    today = cover.local(given_at).date()

    def on(days: float) -> str:
        return day(cover.instant(today + timedelta(days=days), timedelta()), zone, language)

    named = {name: on(knowledge.number(fact)) for name, fact in (WATCH | CHECKINS).items()}
    return named | {"given": moment(given_at, zone, language), "next_day": on(1)}
