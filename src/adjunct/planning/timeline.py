"""What label and knowledge say of the medicines a person takes or took, as bars on a line of time.

Washouts, the tails of depots, and what a switch does to the reading of an outcome. Facts only: no dose, and nothing
asks a person to stop or to start. A medicine that is taken now has a length and no dates; a last dose that nobody
dated gives no end. A partial date makes the bar as long as it may be. Tables and words: `planning/timeline.toml`;
washouts that follow-up already shows come from `followup/context.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adjunct.base import YES, duration_ms
from adjunct.followup.context import UNDATED
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import fold
from adjunct.planning.model import Fact
from adjunct.record import Intake, Record
from adjunct.sheet import ENGLISH, day

Span = tuple[int, int]
Table = Mapping[str, Any]
NO_TREATMENT = frozenset({"", "none"})
LENGTHS = {"min": "minute", "h": "hour", "d": "day", "wk": "week", "mo": "month", "a": "year"}  # unit: UCUM -> CLDR


@dataclass(frozen=True, slots=True)
class _Taken:
    """One medicine over all its entries. `last`: the last use if it is over, `stay`: how long a depot adds to it."""

    options: Mapping[str, tuple[str, ...]]
    reference: str
    sure: bool
    current: bool
    last: Span | None
    started: Span | None
    stay: int


def timeline(
    record: Record, knowledge: Knowledge, *, treatment: str, zone: str, language: str = ENGLISH
) -> tuple[Fact, ...]:
    """Every bar that is not over at the instant of the record, dated ones first, by when they end.

    `treatment` as in an assessment; what concerns the reading of an outcome is left out where none is planned.
    An entry that may be several substances is told of as each, a bar for each length. `zone` (IANA) names days.
    """
    shown = _Shown(knowledge, zone, language)
    taken = _taken(record, knowledge)
    data = knowledge.content["timeline"]
    lines = (*knowledge.content["context"]["washout"], *data["washout"])
    switches = [s for s in data["switch"] if not s.get("treatment") or treatment not in NO_TREATMENT]
    found = [fact for each in taken for line in lines for fact in _washout(each, line, shown)]
    found += [fact for each in taken for line in switches for fact in _switch(each, line, shown)]
    found += [fact for intake in record.intakes if not intake.denied for fact in _tails(intake, record, shown)]
    kept = {f.id: f for f in found if f.closes is None or f.closes >= record.now.ms}
    return tuple(sorted(kept.values(), key=lambda f: (f.closes is None, f.closes or 0, f.id)))


def in_words(length: str, language: str = ENGLISH) -> str:
    """A length of time as data and settings write it, in words of a language.

    >>> in_words("4 wk"), in_words("1 h", "es")
    ('4 weeks', '1 hora')
    """
    from babel.units import format_unit

    number, unit = length.split()
    return str(format_unit(float(number), f"duration-{LENGTHS[unit]}", locale=language))


# --- what is on record ------------------------------------------------------------------------------------------------


def _taken(record: Record, knowledge: Knowledge) -> list[_Taken]:
    """Each medicine once, however many lists it stands in; taken now as soon as one of them says so."""
    groups: dict[tuple[str, ...], list[Intake]] = {}
    for intake in record.intakes:
        if not intake.denied and intake.options:
            groups.setdefault(tuple(sorted(intake.options)), []).append(intake)
    return [_together(entries, record, knowledge) for entries in groups.values()]


def _together(entries: Sequence[Intake], record: Record, knowledge: Knowledge) -> _Taken:
    now, current, ends = record.now.ms, [], []
    for entry in entries:
        depots = _depots(entry, knowledge)
        given = _given(entry, now, depots)
        last = given or (entry.t0, entry.t1)
        if entry.t0 >= now and given is None:
            current.append((entry, _stay(depots)))
        elif last[0] > UNDATED:
            ends.append((last[1] + _stay(depots), last, _stay(depots), entry))
    ends.sort(key=lambda e: e[:-1])
    chosen = current[0][0] if current else ends[-1][-1] if ends else entries[0]
    starts = [e.started for e in entries if e.started is not None and e.started[0] > UNDATED]
    return _Taken(
        options=chosen.options,
        reference=chosen.reference,
        sure=chosen.status == YES,
        current=bool(current),
        last=ends[-1][1] if ends and not current else None,
        started=min(starts, default=None),
        stay=max(stay for _, stay in current) if current else ends[-1][-2] if ends else 0,
    )


def _depots(intake: Intake, knowledge: Knowledge) -> list[Table]:
    """The depot products that the words of an entry name; by their route only where no product is named."""
    known = [d for ids in intake.options.values() for s in ids for d in knowledge.substances[s].depots]
    text = fold(f"{intake.text} {intake.route}")
    for key in ("names", "routes"):
        if named := [d for d in known if any(_begins(fold(n), text) for n in d.get(key, ()))]:
            return named
    return []


def _begins(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}", text) is not None


def _given(intake: Intake, now: int, depots: Sequence[Table]) -> Span | None:
    """When a depot was last given. The record has already moved its end on by interval and tail, at most to now."""
    if not depots:
        return None
    if intake.last_use is not None:
        return intake.last_use
    back = _stay(depots)
    return (intake.t0 - back, intake.t1 - back) if intake.t0 > UNDATED and intake.t1 < now else None


def _stay(depots: Iterable[Table]) -> int:
    return max((duration_ms(d["interval"]) + duration_ms(d["tail"]) for d in depots), default=0)


# --- bars -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shown:
    """Words and days as the reader sees them."""

    knowledge: Knowledge
    zone: str
    language: str

    def when(self, span: Span) -> str:
        first, last = (day(ms, self.zone) for ms in span)
        words = self.knowledge.content["timeline"]["words"]
        return first if first == last else self.knowledge.say(words["between"], first=first, last=last)

    def tell(self, texts: Mapping[str, str], **words: str) -> str:
        used = self.language if self.language in texts else ENGLISH
        return self.knowledge.say(texts[used], used, **words)

    def name(self, substances: Iterable[str], language: str = ENGLISH) -> str:
        joined: str = self.knowledge.content["timeline"]["words"]["or"][language]
        return joined.join(self.knowledge.substances[s].name for s in substances)


def _members(taken: _Taken, sets: Iterable[str], knowledge: Knowledge, without: Iterable[str] = ()) -> list[str]:
    """Which of the substances that an entry may mean are in one of the sets."""
    wanted = knowledge.members(sets) - knowledge.members(without)
    return sorted(wanted & {s for ids in taken.options.values() for s in ids})


def _lead(taken: _Taken, hit: Sequence[str], shown: _Shown) -> str:
    """What must be said first: that the entry is uncertain, or may mean something else."""
    words = shown.knowledge.content["timeline"]["words"]
    each = all(set(ids) & set(hit) for ids in taken.options.values())
    doubt = "" if taken.sure else words["uncertain"]
    return doubt + ("" if each else shown.knowledge.say(words["if_it_is"], name=shown.name(hit)))


def _washout(taken: _Taken, row: Table, shown: _Shown) -> Iterator[Fact]:
    knowledge, words = shown.knowledge, shown.knowledge.content["timeline"]["words"]
    hit = _members(taken, [row["set"]], knowledge)
    if not hit:
        return
    fact, other = knowledge.facts[row["fact"]], row["before"]
    opens = closes = None
    said = {"name": shown.name(hit), "other": other, "length": knowledge.fact_text(fact.id)}
    if taken.last is not None:
        opens, closes = taken.last[0], taken.last[1] + taken.stay + knowledge.length_ms(fact.id)
        said |= {"last": shown.when(taken.last), "until": day(closes, shown.zone)}
    state = "current" if taken.current else "undated" if closes is None else "dated"
    others = knowledge.content["timeline"]["other"].get(shown.language, {})
    told = {"name": shown.name(hit, shown.language), "other": others.get(other, other)}
    told["length"] = knowledge.fact_text(fact.id, shown.language)
    yield Fact(
        id=f"{fact.id}:{'+'.join(hit)}:{fold(other).replace(' ', '-')}",
        title=shown.knowledge.say(words["title"], **said),
        says=_lead(taken, hit, shown)
        + (words["depot_after"] if taken.stay else "")
        + shown.knowledge.say(words[state], **said),
        tell=shown.tell(words["tell"], **told),
        opens=opens,
        closes=closes,
        involves=tuple(hit),
        source=fact.source,
        locator=fact.locator,
        status=fact.status,
        reference=taken.reference,
    )


def _switch(taken: _Taken, row: Table, shown: _Shown) -> Iterator[Fact]:
    """What a stop, a start or a change of this medicine means for the course. Without a dated move there is no bar."""
    knowledge = shown.knowledge
    hit = _members(taken, row["sets"], knowledge, row.get("without", ()))
    moved = {"stop": taken.last, "start": taken.started if taken.current else None, "": None}[row.get("moves", "")]
    if not hit or ("moves" in row and moved is None) or ("moves" not in row and not taken.current):
        return
    words = {"name": shown.name(hit)}
    opens = closes = None
    if moved is not None:
        opens, closes = moved[0], moved[1] + taken.stay + knowledge.length_ms(row["fact"])
        words["last"] = shown.when(moved)
    yield Fact(
        id=f"switch.{row['id']}:{'+'.join(hit)}",
        title=shown.knowledge.say(row["title"], **words),
        says=_lead(taken, hit, shown) + shown.knowledge.say(row["says"], **words),
        tell=shown.tell(row["tell"], name=shown.name(hit, shown.language)),
        opens=opens,
        closes=closes,
        involves=tuple(hit),
        source=row["source"]["id"],
        locator=row["source"]["locator"],
        status=row["status"],
        reference=taken.reference,
    )


def _tails(intake: Intake, record: Record, shown: _Shown) -> Iterator[Fact]:
    """A depot, implant or patch counts as taken for its interval and tail after it was last given."""
    words = shown.knowledge.content["timeline"]["tail"]
    depots = _depots(intake, shown.knowledge)
    given = _given(intake, record.now.ms, depots)
    for depot in depots:
        hit = sorted(s for ids in intake.options.values() for s in ids if depot in shown.knowledge.substances[s].depots)
        said = {key: in_words(depot[key]) for key in ("interval", "tail")} | {"name": shown.name(hit)}
        opens = closes = None
        if given is not None:
            opens, closes = given[0], given[1] + _stay([depot])
            said |= {"last": shown.when(given), "until": day(closes, shown.zone)}
        yield Fact(
            id=f"tail:{intake.reference}:{fold(depot['form']).replace(' ', '-')}",
            title=shown.knowledge.say(words["title"], form=depot["form"], **said),
            says=shown.knowledge.say(words["undated" if given is None else "dated"], **said),
            tell=shown.tell(words["tell"], name=shown.name(hit, shown.language)),
            opens=opens,
            closes=closes,
            involves=tuple(hit),
            source=depot["source"],
            locator=str(depot.get("note", "")),
            status="proposed" if depot["source"] == "uncited" else "reported",
            reference=intake.reference,
        )
