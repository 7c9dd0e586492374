"""What stands beside the scores on a chart: doses, medicines, washouts, kratom withdrawal, sleep, life events, gaps.

A note adds and never replaces: it holds no score and no alarm, and nothing here takes one away. Times are intervals,
because a partial date and a withdrawal both are: a note is certain where every reading of the record has it, possible
where one has. Texts, windows and sources stand in `followup/context.toml`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeVar

from adjunct.base import FAR, MS_PER_DAY, NO, YES, convert, iso
from adjunct.due import Due, State
from adjunct.instruments.ratings import Measured
from adjunct.knowledge import Knowledge
from adjunct.record import Intake, Record

Span = tuple[int, int]
Table = Mapping[str, Any]
Signal = TypeVar("Signal")
UNDATED = -FAR // 2  # at or before this no calendar reaches
ENTRIES = ("MedicationRequest", "MedicationStatement")


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One note: it begins within `begins` and ends within `ends` (ms since 1970). It adds, and replaces nothing."""

    id: str
    kind: str
    begins: Span
    ends: Span
    title: str
    says: str
    tell: str
    reference: str
    sources: tuple[str, ...]
    status: str

    @property
    def possible(self) -> Span:
        """From the earliest beginning to the latest end."""
        return self.begins[0], self.ends[1]

    @property
    def certain(self) -> Span | None:
        """Where it holds whatever the dates turn out to be; None where they leave no such time."""
        low, high = self.begins[1], self.ends[0]
        return (low, high) if low <= high else None

    def at(self, moment: int) -> bool:
        """Whether it may hold at `moment`."""
        return self.possible[0] <= moment <= self.possible[1]

    def to_dict(self) -> dict[str, Any]:
        """Plain values; instants in ISO 8601, UTC; None where the date is not known."""
        certain = self.certain or (UNDATED, UNDATED)
        return {
            "id": self.id,
            "kind": self.kind,
            "from": _iso(self.possible[0]),
            "until": _iso(self.possible[1]),
            "certain_from": _iso(certain[0]),
            "certain_until": _iso(certain[1]),
            "title": self.title,
            "says": self.says,
            "tell": self.tell,
            "reference": self.reference,
            "sources": list(self.sources),
            "status": self.status,
        }


def context(
    record: Record,
    knowledge: Knowledge,
    series: Mapping[str, Sequence[Measured]],
    *,
    due: Sequence[Due] = (),
) -> tuple[Annotation, ...]:
    """Everything on record that helps to read the scores in `series` (instrument id -> ratings), oldest first.

    `due` are steps as `due` returns them; of the missed ones, those of the kinds that the data name are shown.
    """
    medicines = tuple(_medicines(record, knowledge))
    cuts = _apart(_cuts(record, knowledge))
    found = [
        *_events(record, knowledge),
        *(note for note, _ in medicines),
        *_washouts(medicines, knowledge),
        *_withdrawals(cuts, knowledge),
        *_rises(cuts, series, knowledge),
        *_missed(due, knowledge),
    ]
    once = {note.id: note for note in found}
    return tuple(sorted(once.values(), key=lambda note: (note.begins, note.ends, note.id)))


def beside(
    signals: Iterable[tuple[int, Signal]], notes: Iterable[Annotation]
) -> tuple[tuple[Signal, tuple[Annotation, ...]], ...]:
    """Each signal (with its instant), unchanged and in its order, and the notes that may hold at that moment."""
    kept = tuple(notes)
    return tuple((signal, tuple(note for note in kept if note.at(moment))) for moment, signal in signals)


# --- events -----------------------------------------------------------------------------------------------------------


def _rows(record: Record, knowledge: Knowledge, concept: str) -> Iterator[tuple[Span, int, str, str, str]]:
    """Rows of a concept that are not denied: when, how surely, reference, value and unit as recorded."""
    events, number = record.events, knowledge.vocabulary.concepts[concept]
    for row in range(int(events.starts[number]), int(events.starts[number + 1])):
        if events.person[row] == 0 and events.status[row] != NO and events.source[row] >= 0:
            evidence = record.evidence[events.source[row]]
            span = int(events.t0[row]), int(events.t1[row])
            yield span, int(events.status[row]), evidence.reference, evidence.value, evidence.unit


def _events(record: Record, knowledge: Knowledge) -> Iterator[Annotation]:
    for line in knowledge.content["context"]["event"]:
        for span, status, reference, value, unit in _rows(record, knowledge, line["concept"]):
            if span[0] <= UNDATED:
                continue
            words = {"value": " ".join(filter(None, (value, unit)))}
            yield Annotation(
                id=_id(line["concept"], reference, span),
                kind=line["kind"],
                begins=span,
                ends=span,
                title=knowledge.say(line["title"], **words) + ("" if status == YES else " (uncertain)"),
                says=knowledge.say(line["says"], **words),
                tell=line["tell"],
                reference=reference,
                sources=(),
                status="reported",
            )


def _missed(steps: Sequence[Due], knowledge: Knowledge) -> Iterator[Annotation]:
    data = knowledge.content["context"]
    for each in steps:
        if each.state is State.MISSED and each.step.what in data["missed"]:
            window, words = each.step.window, data["missed_step"]
            yield Annotation(
                id=f"missed:{each.step.id}",
                kind="missed",
                begins=(window.due, window.due),
                ends=(window.closes, window.closes),
                title=knowledge.say(words["title"], title=each.step.title),
                says=words["says"],
                tell=words["tell"],
                reference="",
                sources=tuple(filter(None, (each.step.basis.partition(",")[0],))),
                status="reported",
            )


# --- medicines --------------------------------------------------------------------------------------------------------

Change = tuple[Annotation, frozenset[str]]  # a note, and the substances that end with it


def _medicines(record: Record, knowledge: Knowledge) -> Iterator[Change]:
    """Starts, stops and changes of dose, each once, however many lists the medicine stands in."""
    found: dict[str, list[tuple[str, Span, Intake, Intake | None]]] = {}
    views: dict[tuple[str, str], list[Intake]] = {}
    for intake in record.intakes:
        if intake.view in ENTRIES and not intake.denied and intake.options and intake.status == YES:
            views.setdefault((_name(intake, knowledge), intake.view), []).append(intake)
    gap = _length(knowledge, knowledge.content["context"]["change_gap"])
    for (name, _), entries in sorted(views.items()):
        found.setdefault(name, []).extend(_moves(sorted(entries, key=_began), record.now.ms, gap))
    for name, moves in found.items():
        for kind, span, intake, before in _each_once(moves):
            yield (
                _medicine(name, kind, span, intake, before, knowledge),
                frozenset(s for ids in intake.options.values() for s in ids) if kind == "stop" else frozenset(),
            )


def _moves(entries: Sequence[Intake], now: int, gap: int) -> Iterator[tuple[str, Span, Intake, Intake | None]]:
    """What one list says of one medicine. An entry that soon follows another changes the dose, or only renews it."""
    follows = {id(b): a for a, b in pairwise(entries) if b.started and a.t1 < now and _near(_end(a), b.started, gap)}
    continued = {id(a) for a in follows.values()}
    for entry in entries:
        before = follows.get(id(entry))
        if before is not None and entry.started is not None:
            if entry.per_day_mg is None or before.per_day_mg != entry.per_day_mg:
                yield "change", entry.started, entry, before
        elif entry.started is not None and entry.started[0] > UNDATED:
            yield "start", entry.started, entry, None
        if entry.t1 < now and entry.t0 > UNDATED and id(entry) not in continued:
            yield "stop", _end(entry), entry, None


def _each_once(
    moves: Sequence[tuple[str, Span, Intake, Intake | None]],
) -> Iterator[tuple[str, Span, Intake, Intake | None]]:
    """Several lists may tell of one move: the most exact one stays; a change leaves no start or stop beside it."""
    order = {"change": 0, "start": 1, "stop": 1}
    kept: list[tuple[str, Span, Intake, Intake | None]] = []
    for move in sorted(moves, key=lambda m: (order[m[0]], m[1][1] - m[1][0], m[1], m[2].reference)):
        same = (k for k in kept if k[0] in (move[0], "change"))
        if not any(k[1][0] <= move[1][1] and move[1][0] <= k[1][1] for k in same):
            kept.append(move)
    yield from kept


def _medicine(
    name: str, kind: str, span: Span, intake: Intake, before: Intake | None, knowledge: Knowledge
) -> Annotation:
    data = knowledge.content["context"]["medicine"]
    amounts = [_amount(i.per_day_mg) for i in (before, intake) if i is not None and i.per_day_mg is not None]
    known = kind != "change" or len(amounts) > 1
    text = data[kind if known else "change_unknown"]
    words = {"name": name} | (dict(zip(("before", "after"), amounts, strict=False)) if kind == "change" else {})
    return Annotation(
        id=_id(f"medicine-{kind}", intake.reference, span),
        kind=f"medicine-{kind}",
        begins=span,
        ends=span,
        title=knowledge.say(text["title"], **words),
        says=knowledge.say(text["says"], **words),
        tell=knowledge.say(text["title"], **words),
        reference=intake.reference,
        sources=(),
        status=data["status"],
    )


def _washouts(changes: Iterable[Change], knowledge: Knowledge) -> Iterator[Annotation]:
    """From a stop to the end of each washout that the medicine has; which other medicine waits is said."""
    data = knowledge.content["context"]
    for note, stopped in changes:
        for line in data["washout"]:
            for substance in sorted(stopped & knowledge.sets[line["set"]]):
                fact, text = knowledge.facts[line["fact"]], data["washout_words"]
                length = _length(knowledge, line["fact"])
                words = {
                    "name": knowledge.substances[substance].name,
                    "length": knowledge.fact_text(fact.id),
                    "other": line["before"],
                }
                yield Annotation(
                    id=_id(f"{fact.id}:{substance}", note.reference, note.begins),
                    kind="washout",
                    begins=note.begins,
                    ends=(note.begins[0] + length, note.begins[1] + length),
                    title=knowledge.say(text["title"], **words),
                    says=knowledge.say(text["says"], **words),
                    tell=text["tell"],
                    reference=note.reference,
                    sources=(fact.source,),
                    status=fact.status,
                )


def _name(intake: Intake, knowledge: Knowledge) -> str:
    return " or ".join(sorted({knowledge.name_of(option) for option in intake.options}))


def _began(intake: Intake) -> tuple[int, int, str]:
    return (intake.started or (UNDATED, UNDATED))[0], intake.t1, intake.reference


def _end(intake: Intake) -> Span:
    return intake.t0, intake.t1


def _near(one: Span, other: Span, gap: int) -> bool:
    return other[0] - one[1] <= gap and one[0] - other[1] <= gap


def _amount(per_day: tuple[float, float]) -> str:
    low, high = per_day
    return f"{low:g}" if low == high else f"{low:g}\u2013{high:g}"


# --- kratom -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cut:
    """A recorded reduction or stop: when, where it stands, and whether it was of a concentrate."""

    span: Span
    reference: str
    fast: bool = False


def _cuts(record: Record, knowledge: Knowledge) -> Iterator[_Cut]:
    """Stated reductions, entries that ended, and entries that go on with less; each is one."""
    data = knowledge.content["context"]["withdrawal"]
    wanted, fast = knowledge.sets[data["substances"]], knowledge.sets[data["fast"]]
    for span, _, reference, _, _ in _rows(record, knowledge, data["concept"]):
        yield _Cut(span, reference)
    views: dict[str, list[Intake]] = {}
    for intake in record.intakes:
        names = {s for ids in intake.options.values() for s in ids}
        if names & wanted and not intake.denied and intake.view in ENTRIES:
            views.setdefault(intake.view, []).append(intake)
    gap = _length(knowledge, knowledge.content["context"]["change_gap"])
    for entries in views.values():
        for kind, span, intake, before in _moves(sorted(entries, key=_began), record.now.ms, gap):
            quick = any(set(ids) & fast for ids in intake.options.values())
            if kind == "stop" or (kind == "change" and _less(before, intake)):
                yield _Cut(span, intake.reference, quick)


def _apart(cuts: Iterable[_Cut]) -> tuple[_Cut, ...]:
    """Cuts that may be one and the same are one, with the most exact date."""
    kept: list[_Cut] = []
    for cut in sorted(cuts, key=lambda c: (c.span[1] - c.span[0], c.span, not c.fast, c.reference)):
        same = [n for n, k in enumerate(kept) if k.span[0] <= cut.span[1] and cut.span[0] <= k.span[1]]
        if not same:
            kept.append(cut)
        elif cut.fast:
            kept[same[0]] = replace(kept[same[0]], fast=True)
    return tuple(sorted(kept, key=lambda c: (c.span, c.reference)))


def _less(before: Intake | None, after: Intake) -> bool:
    """Whether a new entry may mean less a day; one that does not say how much may."""
    if before is None or before.per_day_mg is None or after.per_day_mg is None:
        return True
    return after.per_day_mg[0] < before.per_day_mg[1]


def _withdrawals(cuts: Iterable[_Cut], knowledge: Knowledge) -> Iterator[Annotation]:
    """The reduction itself, and the windows in which withdrawal begins, is worst, passes and lags behind."""
    data = knowledge.content["context"]["withdrawal"]
    for cut in cuts:
        dated = cut.span[0] > UNDATED
        yield _note("reduction", cut, cut.span, cut.span, data, data["says"] if dated else data["undated"], knowledge)
        for phase in data["phase"] if dated else ():
            if "moment" in phase:
                begins = ends = _shifted(cut.span, _range(knowledge, phase["moment"]))
            else:
                low, high = _range(knowledge, phase["from"])
                if "from_also" in phase:
                    high = max(high, _range(knowledge, phase["from_also"])[1])
                    low = 0 if cut.fast else low
                begins = _shifted(cut.span, (low, high))
                ends = _shifted(cut.span, _range(knowledge, phase["until"]))
            says = " ".join([phase["says"], *([data["fast_says"]] if cut.fast and "from_also" in phase else [])])
            yield _note(f"withdrawal-{phase['id']}", cut, begins, ends, phase, says, knowledge)


def _note(kind: str, cut: _Cut, begins: Span, ends: Span, words: Table, says: str, knowledge: Knowledge) -> Annotation:
    return Annotation(
        id=_id(kind, cut.reference, cut.span),
        kind=kind,
        begins=begins,
        ends=ends,
        title=words["title"],
        says=knowledge.say(says),
        tell=words["tell"],
        reference=cut.reference,
        sources=tuple(words["sources"]) if "sources" in words else (words["source"]["id"],),
        status=words["status"],
    )


def _rises(
    cuts: Sequence[_Cut], series: Mapping[str, Sequence[Measured]], knowledge: Knowledge
) -> Iterator[Annotation]:
    """A depression score that rose soon after a reduction: over the one before it, or over the last before the cut."""
    data = knowledge.content["context"]["withdrawal"]
    note, within = data["note"], _length(knowledge, data["note"]["fact"])
    for instrument in data["series"]:
        points = sorted(
            (p for p in series.get(instrument, ()) if p.value == p.value), key=lambda p: (p.at, p.reference)
        )
        title = str(knowledge.instruments.get(instrument, {}).get("title", instrument))
        for number, point in enumerate(points):
            span = point.at, point.at if point.until is None else point.until
            near = [c for c in cuts if _follows(c, span, within) and _rise(points[: number + 1], c) > 0]
            if not near:
                continue
            certain = any(c.span[1] <= span[0] and span[1] <= c.span[0] + within for c in near)
            rise = max(_rise(points[: number + 1], c) for c in near)
            yield Annotation(
                id=_id(f"possible-withdrawal:{instrument}", point.reference, span),
                kind="possible-withdrawal",
                begins=span,
                ends=span,
                title=note["title"] + ("" if certain else " (the dates allow it)"),
                says=knowledge.say(note["says"], instrument=title, rise=f"{rise:g}"),
                tell=note["tell"],
                reference=" ".join(filter(None, (point.reference, *(c.reference for c in near)))),
                sources=tuple(note["sources"]),
                status=note["status"],
            )


def _follows(cut: _Cut, span: Span, within: int) -> bool:
    """Whether a time may lie in the days after a reduction; one without a date leads to nothing."""
    return cut.span[0] > UNDATED and span[1] >= cut.span[0] and span[0] <= cut.span[1] + within


def _rise(points: Sequence[Measured], cut: _Cut) -> float:
    """Points the last one stands above the one before it, or above the last before the cut, whichever is more."""
    *earlier, last = points
    base = [p.value for p in (earlier[-1:] + [p for p in earlier if p.at <= cut.span[1]][-1:])]
    return last.value - min(base, default=last.value)


# --- lengths ----------------------------------------------------------------------------------------------------------


def _length(knowledge: Knowledge, fact: str) -> int:
    found = knowledge.facts[fact]
    return round(convert(knowledge.number(fact), found.unit, "d") * MS_PER_DAY)


def _range(knowledge: Knowledge, fact: str) -> Span:
    """A range of lengths, in ms."""
    found = knowledge.facts[fact]
    assert isinstance(found.value, tuple), f"{fact} is one number"
    low, high = (round(convert(v, found.unit, "d") * MS_PER_DAY) for v in found.value)
    return low, high


def _shifted(span: Span, by: Span) -> Span:
    return span[0] + by[0], span[1] + by[1]


def _id(kind: str, reference: str, span: Span) -> str:
    return f"{kind}:{reference}:{span[0]}"


def _iso(ms: int) -> str | None:
    return None if ms <= UNDATED else iso(ms, timedelta(0))
