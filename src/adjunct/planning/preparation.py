"""The sheet before a visit, for the person, and what the prescriber decides about each medicine, for the clinician.

Which line stands is data (`planning/preparation.toml`, read by `pages`). Nobody who may depend on a substance, or who
uses insulin or a sulfonylurea, reads a line that asks to do without; an unknown answer counts as "may depend".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from adjunct.assessment import Assessment
from adjunct.base import NO, YES
from adjunct.followup.cover import contacts_in
from adjunct.knowledge import Knowledge
from adjunct.planning.model import Setting, Told
from adjunct.planning.pages import KNOWN, TRUTH, Page, Table, conditions, current_intakes, emergency, numbers
from adjunct.planning.protocols import value_ms
from adjunct.planning.timeline import NO_TREATMENT, in_words
from adjunct.record import Record
from adjunct.sheet import ENGLISH, Line, Part, Sheet, day, how_sure, moment

PAGE = "preparation"
RECONCILED = "reconciled"


def preparation(
    record: Record,
    knowledge: Knowledge,
    assessment: Assessment,
    *,
    protocol_settings: Mapping[str, Setting],
    starts: int | None,
    zone: str,
    language: str,
    country: str = "",
    telephone: str = "",
) -> Sheet:
    """The sheet for the next visit, in `language`.

    `protocol_settings`: those of the protocol with the clinic's own; `starts`: when the visit begins (ms since 1970
    UTC), None if it is not booked: lengths then stand without clock times. `country`: where the person is now.
    """
    route = _route(assessment)
    answers = conditions(record, knowledge, PAGE) | {
        "route": route,
        "starts": KNOWN[starts is not None],
        RECONCILED: TRUTH[YES if RECONCILED in record.attested else NO],
    }
    words, origin = _fasting(route, protocol_settings, starts, zone, language, knowledge)
    page = Page(
        name=PAGE,
        knowledge=knowledge,
        language=language,
        holds=answers,
        words=words | {"emergency": emergency(country, knowledge, language)},
        origin=origin,
    )
    data = page.data
    lead = page.text(data["lead"] if starts is not None else data["lead_undated"])
    parts = list(page.parts())
    table = _medicines(record, assessment, page)
    at = next(n for n, p in enumerate(parts) if p.id == "medicines") + 1
    parts[at:at] = [table] if table.rows else []
    return Sheet(
        id=PAGE,
        title=page.title(data["title"]),
        language=language,
        lead=(lead,),
        parts=(
            *parts,
            numbers(
                knowledge,
                language,
                country=country,
                telephone=telephone,
                lines=contacts_in(country, knowledge, today=record.now.date()),
            ),
        ),
    )


def holds(
    record: Record, knowledge: Knowledge, *, assessment: Assessment | None = None, language: str = ENGLISH
) -> tuple[Told, ...]:
    """The hold rules of the medicines taken now, for the clinician: what the prescriber decides, with source.

    An entry that may be several medicines is told under each. With an assessment, medicines of an urgent finding come
    first, and no rule for the day is told of them.
    """
    page = Page(name=PAGE, knowledge=knowledge, language=language, holds={}, words={})
    return tuple(
        Told(
            id=f"hold.{row['id']}",
            title=f"{', '.join(knowledge.substances[s].name for s in substances)}: {row['title']}",
            says=knowledge.say(row["says"]),
            tell=page.title(row["tell"]),
            source=row["source"]["id"],
            locator=row["source"]["locator"],
            status=row["status"],
            owner="prescriber",
        )
        for row, substances in _rows(record, assessment, knowledge)
    )


def _route(assessment: Assessment) -> str:
    """How the treatment is given, as far as it matters for food and drink; none where no treatment is planned."""
    if assessment.question in NO_TREATMENT:
        return "none"
    drug, _, way = assessment.question.rpartition("-")
    return "unknown" if not drug else "nasal" if way == "nasal" else "infusion"


# --- food and drink ---------------------------------------------------------------------------------------------------


def _fasting(
    route: str,
    settings: Mapping[str, Setting],
    starts: int | None,
    zone: str,
    language: str,
    knowledge: Knowledge,
) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """Lengths and, where the visit is booked, clock times; with where each length is from."""
    page = Page(name=PAGE, knowledge=knowledge, language=language, holds={}, words={})
    words = {} if starts is None else {"when": moment(starts, zone, language)}
    origin = {}
    for name, row in page.data["fasting"].get(route, {}).items():
        setting = settings.get(row["setting"])
        fact = knowledge.facts[row["fact"]]
        length = value_ms(setting) if setting else knowledge.length_ms(fact.id)
        own = setting is not None and setting.clinic
        words[name] = (
            in_words(f"{setting.value:g} {setting.unit}", language)
            if setting
            else knowledge.fact_text(fact.id, language)
        )
        origin[name] = ("", how_sure(knowledge, "clinic", code=language)) if own else page.measured(fact.id)
        if starts is not None:
            words[f"{name}_at"] = _until(starts - length, starts, zone, language)
    return words, origin


def _until(ms: int, starts: int, zone: str, language: str) -> str:
    """The clock time; with its day where that is not the day of the visit."""
    same = day(ms, zone, language) == day(starts, zone, language)
    return moment(ms, zone, language).removeprefix(f"{day(ms, zone, language)}, " if same else "")


# --- medicines --------------------------------------------------------------------------------------------------------


def _held(record: Record, knowledge: Knowledge) -> Iterator[tuple[Table, list[str]]]:
    """Each hold rule with the medicines on record that it is about."""
    taken = {s for i in current_intakes(record) for ids in i.options.values() for s in ids}
    for row in knowledge.content[PAGE]["hold"]:
        wanted = knowledge.members(row["sets"]) - knowledge.members(row.get("without", ()))
        if taken & wanted:
            yield row, sorted(taken & wanted)


def _rows(record: Record, assessment: Assessment | None, knowledge: Knowledge) -> list[tuple[Table, list[str]]]:
    """The rules with their medicines; those of an urgent finding stand first and under no other rule."""
    held, rule = list(_held(record, knowledge)), knowledge.content[PAGE]["urgent"]
    findings = assessment.findings if assessment else ()
    urgent = {s for f in findings if f.action in rule["actions"] for s in f.involves}
    first = sorted(urgent & {s for _, substances in held for s in substances})
    rest = [(row, [s for s in substances if s not in urgent]) for row, substances in held]
    return [(row, substances) for row, substances in [(rule, first), *rest] if substances]


def _medicines(record: Record, assessment: Assessment, page: Page) -> Part:
    """A row for each rule and its medicines."""
    data, named = page.data, page.knowledge.substances
    return Part(
        title=page.title(data["table"]["title"]),
        kind="table",
        head=tuple(page.title(h) for h in data["table"]["head"]),
        rows=tuple(
            (
                Line(text=", ".join(named[s].name for s in substances), language=page.language, strong=True),
                page.said(row, row["tell"]),
            )
            for row, substances in _rows(record, assessment, page.knowledge)
        ),
        id="each-medicine",
    )
