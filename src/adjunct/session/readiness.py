"""Whether the dose may be given today: what is asked before it, what the answers come to, and what is still open.

The rules are those of `assess` before a dose, over the person's record and what was recorded in this session. Beside
them an item that belongs to every visit holds the dose until it was recorded at this one; nothing is carried over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any, NamedTuple

from adjunct.assessment.result import Assessment, Finding, Gap, Reason
from adjunct.assessment.weigh import assess
from adjunct.base import (
    MS_PER_SECOND,
    YES,
    AdjunctError,
    BadInput,
    Instant,
    Verdict,
    convert,
    instant,
    iso,
    shown,
    worst,
)
from adjunct.clinic import Clinic
from adjunct.fhir import Bundle, Entry, read_bundle
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import NONE
from adjunct.record import Record, from_bundle
from adjunct.session.model import Answer, Reading, State
from adjunct.session.resources import entries, told_today

PHASE = "pre-dose"
LAST_USE = "last_use"
SAME = {"consent_confirmed": "consent"}  # items that an event of their own answers as well
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(\S+)\s*")

Texts = Mapping[str, str]  # language -> words for the person


class Override(NamedTuple):
    """A named prescriber goes on, with the reason. `refused`, unless empty, is why that does not count."""

    prescriber: str
    reason: str
    at: int
    refused: str = ""


class Limit(NamedTuple):
    """A number by which this clinic decides; `own` where the clinic set it itself. `entry` is its row of the file."""

    entry: Mapping[str, Any]
    value: float
    unit: str
    own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing to ask or measure before the dose, and what was recorded. `open`, unless empty, is why it is open."""

    id: str
    title: str
    ask: str
    why: str
    blocks: bool
    hard: bool
    open: str
    kind: str = ""  # of the answer, as in events.toml
    tell: Texts = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)  # none: a rule of the assessment asks
    status: str = ""
    value: Any = None
    unit: str = ""
    at: int | None = None
    by: str = ""
    event: str = ""
    override: Override | None = None

    @property
    def holds(self) -> bool:
        """Whether the dose waits for it."""
        return bool(self.open) and self.blocks and not _counts(self.override)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One reason that speaks to the dose. `leads` is its verdict after an override that counts."""

    id: str
    title: str
    verdict: str
    leads: str
    hard: bool
    says: str
    tell: Texts
    because: tuple[Reason, ...] = ()
    sources: tuple[str, ...] = ()
    status: str = ""
    override: Override | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The verdict; open questions first; grounds, worst first; the limits that the clinic set itself."""

    verdict: str
    questions: tuple[Question, ...]
    grounds: tuple[Ground, ...]
    limits: tuple[Limit, ...]
    assessment: Assessment

    def to_dict(self) -> dict[str, Any]:
        """Plain values; every instant in the calendar of the one that counted as now."""
        offset = instant(self.assessment.at).offset
        return {
            "verdict": self.verdict,
            "questions": [_plain(question, offset) for question in self.questions],
            "grounds": [_plain(ground, offset) for ground in self.grounds],
            "limits": [
                {"id": li.entry["id"], "title": li.entry["title"], "value": li.value, "unit": li.unit}
                for li in self.limits
            ],
            "assessment": self.assessment.to_dict(),
        }


def _plain(found: Any, offset: timedelta) -> Any:
    if isinstance(found, Mapping):
        return {name: _plain(value, offset) for name, value in found.items()}
    if is_dataclass(found):
        told = {f.name: _plain(getattr(found, f.name), offset) for f in fields(found)}
    elif isinstance(found, Override):
        told = found._asdict()
    else:
        return [_plain(one, offset) for one in found] if isinstance(found, (tuple, list)) else found
    for name in ("at", "value") if told.get("kind") == "instant" else ("at",):
        if isinstance(told.get(name), int):
            told[name] = iso(told[name], offset)
    return told


def readiness(
    state: State,
    knowledge: Knowledge,
    *,
    now: Instant,
    bundle: Bundle | Mapping[str, Any] | None = None,
    clinic: Clinic | None = None,
    country: str = "",
) -> Readiness:
    """Weigh the person's record (`bundle`) with what this session holds, at `now`; `clinic` may set limits of its own.

    Raises `BadInput` for a record of somebody else, a record that nobody can answer, and a limit out of its bounds;
    its `advice` says what the record calls for all the same.
    """
    record = from_bundle(with_today(state, knowledge, bundle), knowledge, now=now, phase=PHASE, country=country)
    result = assess(record, knowledge, treatment=state.treatment or NONE)
    urgent = tuple(f.tell or f.says for f in result.findings if f.action == "emergency")
    if record.refusal:
        raise BadInput(record.refusal, "Patient.birthDate", advice=urgent)
    try:
        limits = limits_of(clinic.protocol if clinic else {}, state.treatment, knowledge)
    except BadInput as error:  # a fault of a file keeps back nothing that the record calls for at once
        error.advice = (*error.advice, *urgent)
        raise
    questions = tuple(_questions(state, result, knowledge, now))
    replaced = {rule for limit in limits if limit.own for rule in limit.entry["rules"]}
    heard = _heard_instead(record, knowledge)
    grounds = [_of_finding(f, heard.get(f.id), state, knowledge) for f in result.findings if f.id not in replaced]
    for limit in limits:
        judged = limit.own or not replaced.isdisjoint(limit.entry["rules"])
        if judged and (since := _crossed(limit, record, knowledge)) is not None:
            grounds.append(_of_limit(limit, since, state, knowledge))
    grounds += _refusals(questions, knowledge)
    leads = [Verdict[ground.leads] for ground in grounds]
    leads += [Verdict.DEFER if q.holds else Verdict.CAUTION for q in questions if q.open and (q.holds or q.override)]
    return Readiness(
        verdict=worst(leads).name,
        questions=tuple(sorted(questions, key=lambda q: (not q.holds, not q.open))),
        grounds=tuple(sorted(grounds, key=lambda g: (-Verdict[g.leads], -Verdict[g.verdict]))),
        limits=tuple(limit for limit in limits if limit.own),
        assessment=result,
    )


def with_today(
    state: State, knowledge: Knowledge, bundle: Bundle | Mapping[str, Any] | None, *, dose: bool = False
) -> Bundle:
    """The person's record with what was recorded today; without a record, of a person of whom nothing is known.

    `dose`: with the dose of today, for what comes after it. Raises `BadInput` for the record of somebody else.
    """
    if bundle is None:
        named = state.patient.rpartition("/")[2] or "unknown"
        bundle = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": named}}]}
    read = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    if state.patient and state.patient.rpartition("/")[2] != read.patient_reference.rpartition("/")[2]:
        raise BadInput("the record is of another person than the one who checked in: take the right one", "patient")
    today = entries(state, knowledge, patient=read.patient_reference, dose=dose)
    own = [Entry(e["resource"], e["fullUrl"], "session", e["fullUrl"]) for e in today]
    return replace(read, resources=(*read.resources, *own))


# --- overrides --------------------------------------------------------------------------------------------------------


def _counts(override: Override | None) -> bool:
    return override is not None and not override.refused


def _override(
    names: Iterable[str], state: State, knowledge: Knowledge, *, hard: bool, since: int = 0
) -> Override | None:
    """What a prescriber decided about any of `names`. It counts for what was known then, and for nothing hard."""
    found = [Override(*state.overrides[name]) for name in names if name in state.overrides]
    if not found:
        return None
    last, words = max(found, key=lambda o: o.at), knowledge.content["readiness"]["words"]
    if hard:
        return last._replace(refused=words["hard"])
    if not last.prescriber.strip() or not last.reason.strip():
        return last._replace(refused=words["unnamed"])
    return last._replace(refused=words["earlier"]) if last.at < since else last


@cache
def hard_facts(knowledge: Knowledge, treatment: str) -> frozenset[str]:
    """The facts on which a hard rule of this treatment waits: unknown, they cannot be overridden either."""
    program, in_force = knowledge.program(PHASE), knowledge.in_force(PHASE, treatment or NONE)[0].tolist()
    numbers = {c for n in in_force if knowledge.rule_list[n].hard for c in program.concepts_of_rule[n]}
    return frozenset(knowledge.concept_ids[c] for c in numbers)


# --- questions --------------------------------------------------------------------------------------------------------


def _questions(state: State, result: Assessment, knowledge: Knowledge, now: Instant) -> Iterator[Question]:
    """The items of this treatment, what the rules ask beside them, and the times of what was told."""
    every = knowledge.content["readiness"]["item"]
    items = [item for item in every if not state.treatment or state.treatment in item["treatments"]]
    gaps = {fact: gap for gap in reversed(result.gaps) for fact in gap.fact.split(", ")}
    wanted = {name for item in items if _follow_up_open(item, state) for name in item["then"]}
    known: set[str] = set()
    for item in items:
        gap = next((gaps[name] for name in (item["id"], *item.get("no_of", ())) if name in gaps), None)
        if item["each"] == "visit" or gap or item["id"] in wanted or _held(item["id"], state):
            known.add(item["id"])
            yield _question(item, gap, state, knowledge, now)
    hard = hard_facts(knowledge, state.treatment)
    for gap in result.gaps:
        if not known.issuperset(facts := gap.fact.split(", ")):
            yield _asked_by_rules(
                gap, facts, state, knowledge, hard=not hard.isdisjoint(f.split(" ")[0] for f in facts)
            )
    words = knowledge.content["readiness"]["words"]
    for text, last_use, told in told_today(state):
        if last_use is None:
            yield Question(
                id=f"{LAST_USE}: {text}",
                **{name: words[f"last_use_{name}"] for name in ("title", "ask", "why", "tell")},
                blocks=True,
                hard=True,
                open=words["not_asked"],
                at=told,
                override=_override((LAST_USE,), state, knowledge, hard=True),
            )


def _asked_by_rules(gap: Gap, facts: Sequence[str], state: State, knowledge: Knowledge, *, hard: bool) -> Question:
    concept = knowledge.concepts.get(facts[0])
    return Question(
        id=gap.fact,
        title=concept.title if concept else gap.ask,
        ask=gap.ask,
        why=gap.why,
        blocks=gap.blocks,
        hard=hard,
        open=gap.why,
        override=_override((gap.fact, *facts), state, knowledge, hard=hard),
    )


def _question(item: Mapping[str, Any], gap: Gap | None, state: State, knowledge: Knowledge, now: Instant) -> Question:
    name, held = item["id"], _held(item["id"], state)
    concept = knowledge.concepts.get(name)
    return Question(
        id=name,
        title=item.get("title") or knowledge.concepts[name].title,
        ask=item.get("ask") or knowledge.concepts[name].ask,
        why=item["why"],
        blocks=gap.blocks if gap and item["each"] == "asked" else item["blocks"] or bool(gap and gap.blocks),
        hard=item["hard"],
        open=_open(item, held, gap, state, knowledge, now),
        kind=item["kind"],
        tell=item["tell"],
        source=item["source"],
        status=item["status"],
        value=held.value if held else None,
        unit=concept.unit if held and concept else "",
        at=held.at if held else None,
        by=held.by if held else "",
        event=held.event if held else "",
        override=_override((name,), state, knowledge, hard=item["hard"]),
    )


def _held(name: str, state: State) -> Answer | Reading | None:
    """What this session last recorded of an item."""
    names = (name, SAME[name]) if name in SAME else (name,)
    return max((held for n in names if (held := state.last(n))), key=lambda held: held.at, default=None)


def _open(
    item: Mapping[str, Any],
    held: Answer | Reading | None,
    gap: Gap | None,
    state: State,
    knowledge: Knowledge,
    now: Instant,
) -> str:
    """Why an item is open; empty where it was recorded at this visit and is not too old."""
    words, concept = knowledge.content["readiness"]["words"], knowledge.concepts.get(item["id"])
    if held is None:
        return str(gap.why if gap and item["each"] == "asked" else words["not_asked"])
    limit = concept.ages[PHASE] if concept else None
    if held.at > now.ms:
        return str(words["not_yet"])
    if limit and held.at < now.ms - limit:
        return str(words["too_old"])
    if _follow_up_open(item, state):
        return str(words["scored"])
    return gap.why if gap else ""


def _follow_up_open(item: Mapping[str, Any], state: State) -> bool:
    """Whether the answer is yes and nothing of what a yes asks for was recorded."""
    held = _held(item["id"], state)
    return held is not None and held.value is True and "then" in item and not any(_held(n, state) for n in item["then"])


# --- grounds ----------------------------------------------------------------------------------------------------------


def _heard_instead(record: Record, knowledge: Knowledge) -> Mapping[str, Texts]:
    """What somebody hears in the place of a rule's words who must never be told to skip a substance for a visit."""
    never, events = knowledge.content["readiness"]["never_skip"], record.events
    yes = knowledge.code_ids.index("yes")
    stated = any(events.code[row] == yes for concept in never["yes"] for row in _rows(record, concept, knowledge))
    scored = any(
        events.value[row] >= knowledge.number(never["from"]) for row in _rows(record, never["score"], knowledge)
    )
    return dict.fromkeys(never["rules"], never["tell"]) if stated or scored else {}


def _rows(record: Record, concept: str, knowledge: Knowledge) -> list[int]:
    """What is certain and not to come of one fact: its rows in the record's table."""
    events, number = record.events, knowledge.vocabulary.concepts[concept]
    rows = range(int(events.starts[number]), int(events.starts[number + 1]))
    return [row for row in rows if events.status[row] == YES and events.t0[row] <= record.now.ms]


def _of_finding(finding: Finding, instead: Texts | None, state: State, knowledge: Knowledge) -> Ground:
    verdict = Verdict[finding.verdict]
    hard = finding.hard or verdict is Verdict.ESCALATE
    since = max((_ms(reason.at) for reason in finding.because), default=0)
    override = _override((finding.id,), state, knowledge, hard=hard, since=since)
    return Ground(
        id=finding.id,
        title=finding.title,
        verdict=verdict.name,
        leads=min(verdict, Verdict.CAUTION).name if _counts(override) else verdict.name,
        hard=hard,
        says=finding.says,
        tell=instead or {"en": finding.tell},
        because=finding.because,
        sources=tuple(source.id for source in finding.sources),
        status=finding.status,
        override=override,
    )


def _ms(text: str) -> int:
    """When a reason was recorded; a partial date was before any override of today."""
    try:
        return instant(text).ms
    except AdjunctError:
        return 0


def _refusals(questions: Iterable[Question], knowledge: Knowledge) -> Iterator[Ground]:
    """Answers with which no dose is given, whatever else is known."""
    must = {i["id"]: i["must_be"] for i in knowledge.content["readiness"]["item"] if "must_be" in i}
    for q in questions:
        if q.id in must and q.value is not None and q.value is not must[q.id]:
            verdict = Verdict.CAUTION if _counts(q.override) else Verdict.DEFER
            yield Ground(
                id=q.id,
                title=q.title,
                verdict=Verdict.DEFER.name,
                leads=verdict.name,
                hard=q.hard,
                says=q.why,
                tell=q.tell,
                sources=(q.source["id"],),
                status=q.status,
                override=q.override,
            )


# --- what the clinic set ----------------------------------------------------------------------------------------------


def limits_of(given: Mapping[str, Any], treatment: str, knowledge: Knowledge) -> tuple[Limit, ...]:
    """The numbers by which the day is judged for a treatment, with those that the clinic set under [protocol].

    What is set for one protocol comes before what is set for all; of several protocols the strictest number counts.
    Raises `BadInput` that names the setting, its value and its bounds.
    """
    protocols = knowledge.protocols
    tables = [given[n] for n, p in protocols.items() if n in given and p.get("treatment") == treatment]
    if any(not isinstance(table, Mapping) for table in tables):
        raise BadInput("not a table of names and values", "settings.protocol")
    for_all = {name: value for name, value in given.items() if name not in protocols}
    sets = [dict(_flat(for_all)) | dict(_flat(table)) for table in tables or [{}]]
    there_is = {setting["id"] for entry in protocols.values() for setting in entry["setting"]}
    for name in (name for values in sets for name in values if name not in there_is):
        raise BadInput(f"no setting is called {shown(name)}: `adjunct protocols NAME` lists them", "settings.protocol")
    found = []
    for row in knowledge.content["readiness"]["setting"]:
        if treatment in row["treatments"]:
            fact = knowledge.facts[row["fact"]]
            own = [_number(row, values[row["id"]], fact.unit) for values in sets if row["id"] in values]
            strictest = max if row["test"] == "within" else min
            found.append(Limit(row, strictest(own, default=knowledge.number(fact.id)), fact.unit, bool(own)))
    return tuple(found)


def _flat(given: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values, where a table in a table is a name with a dot."""
    for name, value in given.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _number(row: Mapping[str, Any], value: object, unit: str) -> float:
    """A clinic's value in the unit of its limit: a number, or a text with a unit of the same kind."""
    parts = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    number = float("nan")
    if parts:
        with suppress(AdjunctError):
            number = convert(float(parts[1]), parts[2], unit)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    if not row["least"] <= number <= row["most"]:
        said = f"{row['id']} = {shown(str(value))}: it may be {row['least']:g} to {row['most']:g} {unit}"
        raise BadInput(said, "settings.protocol")
    return number


def _crossed(limit: Limit, record: Record, knowledge: Knowledge) -> int | None:
    """When the newest value was recorded that is on the wrong side of a limit, under any reading of the record."""
    events, known = record.events, _rows(record, limit.entry["concept"], knowledge)
    for person in range(events.people):
        mine = [(int(events.t1[row]), int(events.t0[row]), row) for row in known if events.person[row] == person]
        if mine and _wrong_side(limit, float(events.value[max(mine)[-1]]), *max(mine)[:2], record.now):
            return max(mine)[1]
    return None


def _wrong_side(limit: Limit, value: float, latest: int, earliest: int, now: Instant) -> bool:
    match limit.entry["test"]:
        case "from":
            return value >= limit.value
        case "above":
            return value > limit.value
        case "within":
            return now.ms - latest < convert(limit.value, limit.unit, "s") * MS_PER_SECOND
        case _:  # older
            return _days(earliest, now) > limit.value


def _days(ms: int, now: Instant) -> int:
    """Days between two dates of the calendar."""
    zone = timezone(now.offset)
    days = [datetime.fromtimestamp(t // MS_PER_SECOND, tz=UTC).astimezone(zone).date() for t in (ms, now.ms)]
    return (days[1] - days[0]).days


def _of_limit(limit: Limit, since: int, state: State, knowledge: Knowledge) -> Ground:
    row, verdict = limit.entry, Verdict[limit.entry["verdict"]]
    override = _override((row["id"],), state, knowledge, hard=False, since=since)
    return Ground(
        id=row["id"],
        title=f"{row['title']}: {limit.value:g} {limit.unit}",
        verdict=verdict.name,
        leads=min(verdict, Verdict.CAUTION).name if _counts(override) else verdict.name,
        hard=False,
        says=row["says"],
        tell=row["tell"],
        sources=(knowledge.facts[row["fact"]].source,),
        status="proposed",
        override=override,
    )
