"""Alarms: which limits and signs hold, what they ask for, whose turn it is. All of it follows from the state and `now`.

There are no timers. The fold keeps which conditions hold and since when; delays, missing data, escalation and silence
are read from that at any instant, so that a server, a screen and a replay say the same. Limits, texts and sources are
data (`knowledge/data/session/alarms.toml`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from math import inf, nan, nextafter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from adjunct.base import Verdict, duration_ms
from adjunct.knowledge import Knowledge
from adjunct.session.model import Alarm, Band, Chain, Episode, Reading, State

LEVELS = ("probe", "low", "medium", "high", "emergency")
NO_DATA = "no-data"
PROBE = "probe"
NALOXONE, WISH_TO_STOP = "naloxone", "wants_to_stop"  # signs that other events set
_PERCENT = 100
MINUTE = duration_ms("1 min")


class Condition(NamedTuple):
    """One limit on one measure, or one sign. `side` is 1 above a limit and -1 below it; `clears` ends it."""

    id: str
    measure: str = ""
    side: int = 0
    limit: float = 0.0
    reached: bool = False  # a value at the limit counts
    clears: float = 0.0
    of: str = ""
    within: int = 0
    delay: int = 0
    own: str = ""  # the documented usual value: the limit is no stricter than that


class Persist(NamedTuple):
    after: int
    level: str
    to: str
    says: str


class Row(NamedTuple):
    """One alarm of the table."""

    id: str
    level: str
    title: str
    dose: str
    hard: bool
    any: tuple[tuple[str, ...], ...]
    covers: tuple[str, ...]
    first: tuple[str, ...]
    tell: Mapping[str, str]
    persist: tuple[Persist, ...]
    rule: str
    turns: tuple[tuple[int, str], ...]  # of its own; none: those of its level
    place: int  # in the table: of what is equally grave, the first comes first


class Told(NamedTuple):
    """Substances whose use is a sign, when it is told to be no longer ago than `within`, or nobody knows."""

    sign: str
    substances: frozenset[str]
    within: int


class Sign(NamedTuple):
    id: str
    title: str
    concept: str
    internal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The alarms of one edition of the knowledge, ready to be asked a thousand times a second."""

    conditions: Mapping[str, Condition]
    by_measure: Mapping[str, tuple[Condition, ...]]
    rows: Mapping[str, Row]
    of: Mapping[str, tuple[Row, ...]]  # condition -> the alarms that it is part of
    signs: Mapping[str, Sign]
    escalation: Mapping[str, tuple[tuple[int, str], ...]]  # level -> (after, whose turn)
    silence: Mapping[str, int]  # level -> the longest rest of the sound
    no_data: int
    vital: frozenset[str]
    limits: tuple[Condition, ...]  # of measures
    calm: Mapping[str, tuple[float, float]]  # between these no limit that needs no baseline is passed
    usual: frozenset[str]  # documented values that loosen a limit
    trends: Mapping[str, tuple[tuple[int, int, float], ...]]  # measure -> values to look back at, direction, limit
    monitored: frozenset[str]
    short: Mapping[str, str]  # names of measures, for an alarm
    unassigned: Mapping[str, Any]
    told: tuple[Told, ...]
    before_dose: tuple[tuple[str, str], ...]  # words for the dose that has begun, and for one that has not

    @classmethod
    def of_knowledge(cls, knowledge: Knowledge, emergency: str = "") -> Table:
        """`emergency`: the number that this clinic calls; without one the texts point to its settings."""
        known = _TABLES.setdefault(knowledge, {})
        if emergency not in known:
            known[emergency] = _table(knowledge, emergency)
        return known[emergency]


_TABLES: WeakKeyDictionary[Knowledge, dict[str, Table]] = WeakKeyDictionary()


def _table(knowledge: Knowledge, emergency: str) -> Table:
    data = knowledge.content["alarms"]
    signs = [
        Sign(s["id"], knowledge.say(s["title"]), s.get("concept", ""), s.get("internal", False)) for s in data["sign"]
    ]
    vital = [f["id"] for t in knowledge.content["events"]["type"] if t["id"] == "vitals" for f in t["field"]]
    conditions = [
        *(_condition(c, knowledge) for c in data["condition"]),
        *(Condition(s.id) for s in signs),
        *(Condition(artefact(m)) for m in vital),
    ]
    no_data, probe = data["no_data"], data["probe"]
    artefacts = [[artefact(m)] for m in vital]
    entries = [
        *data["alarm"],
        {"id": NO_DATA, "dose": "", "hard": False, "any": [], **no_data},
        {"id": PROBE, "level": PROBE, "dose": "", "hard": False, "any": artefacts, **probe},
    ]
    call = f"{emergency} (this clinic's emergency number)" if emergency else data["emergency"]
    rows = [_row(entry, knowledge, place, call) for place, entry in enumerate(entries)]
    return Table(
        conditions={c.id: c for c in conditions},
        by_measure={m: tuple(c for c in conditions if c.measure == m) for m in {c.measure for c in conditions} - {""}},
        rows={row.id: row for row in rows},
        of={c.id: tuple(r for r in rows if any(c.id in together for together in r.any)) for c in conditions},
        signs={s.id: s for s in signs},
        escalation={e["level"]: _whose(e["turns"], knowledge) for e in data["escalation"]},
        silence={level: knowledge.length_ms(fact) for level, fact in data["silence"].items()},
        no_data=knowledge.length_ms(no_data["after"]),
        vital=frozenset(vital),
        limits=tuple(c for c in conditions if c.measure),
        calm=calm_between(conditions, {name: _possible(name, knowledge) for name in vital}, {}),
        usual=frozenset(c.own for c in conditions) - {""},
        trends={
            m: tuple(
                (c.within // MINUTE + 1, -1 if c.of == "fall" else 1, c.limit)
                for c in conditions
                if c.measure == m and c.within
            )
            for m in {c.measure for c in conditions if c.within}
        },
        monitored=frozenset(data["monitored"]),
        short=data["short"],
        unassigned=data["unassigned"],
        told=tuple(
            Told(t["sign"], knowledge.members(t["sets"]), knowledge.length_ms(t["within"])) for t in data["told"]
        ),
        before_dose=tuple((stop, wait) for stop, wait in data["before_dose"]),
    )


def _condition(entry: Mapping[str, Any], knowledge: Knowledge) -> Condition:
    limit, side = knowledge.number(entry["limit"]), 1 if entry["is"] in (">", ">=") else -1
    back = knowledge.number(entry["clear"]) if "clear" in entry else 0.0
    return Condition(
        id=entry["id"],
        measure=entry["measure"],
        side=side,
        limit=limit,
        reached=entry["is"] in (">=", "<="),
        clears=limit - side * back,
        of=entry.get("of", ""),
        within=knowledge.length_ms(entry["within"]) if "within" in entry else 0,
        delay=knowledge.length_ms(entry["delay"]) if "delay" in entry else 0,
        own=entry.get("own", ""),
    )


def _row(entry: Mapping[str, Any], knowledge: Knowledge, place: int, call: str) -> Row:
    unnamed = knowledge.content["alarms"]["emergency"]

    def say(text: str) -> str:
        return knowledge.say(text).replace(unnamed, call)

    return Row(
        id=entry["id"],
        level=entry["level"],
        title=entry["title"],
        dose=entry["dose"],
        hard=entry["hard"],
        any=tuple(tuple(together) for together in entry["any"]),
        covers=tuple(entry.get("covers", ())),
        first=tuple(say(text) for text in entry["first"]),
        tell=entry.get("tell", {}),
        persist=tuple(
            Persist(knowledge.length_ms(p["after"]), p["level"], p["to"], say(p["says"]))
            for p in entry.get("persist", ())
        ),
        rule=entry.get("rule", ""),
        turns=_whose(entry.get("turns", ()), knowledge),
        place=place,
    )


def _whose(turns: Iterable[Mapping[str, str]], knowledge: Knowledge) -> tuple[tuple[int, str], ...]:
    return tuple((knowledge.length_ms(t["after"]) if "after" in t else 0, t["to"]) for t in turns)


def _possible(measure: str, knowledge: Knowledge) -> tuple[float, float]:
    concept = knowledge.concepts.get(measure)
    return 0.0, nextafter(_PERCENT, inf) if concept is not None and concept.unit == "%" else inf


def calm_between(
    conditions: Iterable[Condition], possible: Mapping[str, tuple[float, float]], baseline: Mapping[str, Reading]
) -> dict[str, tuple[float, float]]:
    """Between which values no limit of a measure is passed, not against this baseline either."""
    found = dict(possible)
    for c in conditions:
        own = baseline.get(c.measure)
        if not c.measure or c.within or (c.of and own is None):
            continue
        limit = c.limit
        if own is not None and c.of:
            limit = own.value + c.limit if c.of == "rise" else own.value * (1 + c.limit / _PERCENT)
        low, high = found.get(c.measure, (-inf, inf))
        found[c.measure] = (low, min(high, limit)) if c.side > 0 else (max(low, limit), high)
    return found


def narrowed(
    between: tuple[float, float], course: Iterable[tuple[int, float]], trends: tuple[tuple[int, int, float], ...]
) -> tuple[float, float]:
    """The calm values of a measure, less those that would be a trend against the last ones of its course."""
    (low, high), last = between, tuple(course)
    for back, direction, limit in trends:
        recent = [value for _, value in last[-back:]]
        low, high = (max(low, max(recent) - limit), high) if direction < 0 else (low, min(high, min(recent) + limit))
    return low, high


def is_calm(values: Mapping[str, float], between: Mapping[str, tuple[float, float]]) -> bool:
    """Whether new values plainly raise nothing: the quick way past `judge` for nearly every value of a day."""
    for name, value in values.items():
        bounds = between.get(name)
        if bounds is not None and not bounds[0] < value < bounds[1]:
            return False
    return "diastolic" not in values or values["diastolic"] < values.get("systolic", inf)


def artefact(measure: str) -> str:
    """The condition of a measure whose last value is not possible."""
    return f"artefact-{measure}"


# --- what the fold keeps ----------------------------------------------------------------------------------------------


class Kept(NamedTuple):
    """What a state keeps of its alarms."""

    bands: Mapping[str, Band]
    episodes: Mapping[str, Episode]
    past: Chain | None
    newest: int


def kept(state: State) -> Kept:
    """What a state keeps of its alarms."""
    return Kept(state.bands, state.episodes, state.past, state.newest)


def judge(
    before: Kept,
    values: Mapping[str, float],
    table: Table,
    *,
    at: int,
    event: str,
    baseline: Mapping[str, Reading],
    track: Mapping[str, tuple[tuple[int, float], ...]],
) -> Kept:
    """What holds after new values. `track` is of the time before them."""
    changes: dict[str, Band | None] = {}
    bands = before.bands
    for measure, value in values.items():
        for c in table.by_measure.get(measure, ()):
            x = value if not c.of else _compared(c, value, at, baseline, track)
            if x is None:
                continue  # without a baseline nothing is known of a rise
            limit, clears = _for_one(c, baseline.get(c.own)) if c.own else (c.limit, c.clears)
            over = (x - limit) * c.side
            if over > 0 or (c.reached and over == 0):
                if c.id not in bands:
                    changes[c.id] = Band(at, event, value)
            elif c.id in bands and (clears - x) * c.side >= 0:  # back by as much as ends it
                changes[c.id] = None
    return changed(before, changes, table, at=at) if changes else before


def _for_one(c: Condition, usual: Reading | None) -> tuple[float, float]:
    """Limit and end of a condition: no stricter than the documented usual value of this person."""
    if usual is None:
        return c.limit, c.clears
    furthest = max if c.side > 0 else min
    return furthest(c.limit, usual.value), furthest(c.clears, usual.value)


def _compared(
    c: Condition,
    value: float,
    at: int,
    baseline: Mapping[str, Reading],
    track: Mapping[str, tuple[tuple[int, float], ...]],
) -> float | None:
    """A value against the person's own baseline, or against the furthest value of a while; None without one."""
    if c.within:
        recent = [v for moment, v in takewhile(lambda t: t[0] >= at - c.within, reversed(track.get(c.measure, ())))]
        if not recent:
            return None
        return max(recent) - value if c.of == "fall" else value - min(recent)
    own = baseline.get(c.measure)
    if own is None or (c.of == "change" and not own.value):
        return None
    return value - own.value if c.of == "rise" else (value - own.value) / own.value * _PERCENT


def changed(before: Kept, changes: Mapping[str, Band | None], table: Table, *, at: int) -> Kept:
    """What is kept after some conditions began (a band) or ended (None)."""
    bands = dict(before.bands)
    touched: dict[str, Row] = {}
    for condition, band in changes.items():
        if band is None:
            if bands.pop(condition, None) is None:
                continue
        else:
            bands[condition] = band
        touched |= {row.id: row for row in table.of[condition]}
    episodes, past, newest = dict(before.episodes), before.past, before.newest
    for row in touched.values():
        old, new = episodes.pop(row.id, None), _episode(row, bands, table)
        if new is None:
            if old is not None and old.raised <= at:
                past, newest = Chain(old._replace(cleared=at), past), max(newest, old.raised)
        else:
            known = old is not None and old.raised <= at
            episodes[row.id] = old if known and old else _answered_already(new, episodes, table, at)
    return Kept(bands, episodes, past, newest)


def _answered_already(new: Episode, episodes: Mapping[str, Episode], table: Table, at: int) -> Episode:
    """A new alarm; whoever answered the one that covers it is at the chair, and its clock starts answered."""
    for e in episodes.values():
        if e.acknowledged and e.raised <= at and new.alarm in table.rows[e.alarm].covers:
            return new._replace(acknowledged=((max(at, new.raised), e.acknowledged[-1][1]),))
    return new


def _episode(row: Row, bands: Mapping[str, Band], table: Table) -> Episode | None:
    """The alarm as its conditions make it: raised by whichever of its rows was complete first, delays included."""
    best: Episode | None = None
    for together in row.any:
        held = [bands.get(c) for c in together]
        if None in held:
            continue
        complete = [
            (band.since + table.conditions[c].delay, band, c) for c, band in zip(together, held, strict=True) if band
        ]
        raised = max(moment for moment, _, _ in complete)
        if best is None or raised < best.raised:
            latest = max((band for _, band, _ in complete), key=lambda band: band.since)
            by = tuple((table.conditions[c].measure or c, band.value) for _, band, c in complete)
            best = Episode(row.id, row.level, min(band.since for _, band, _ in complete), raised, latest.event, by)
    return best


# --- what stands at an instant ----------------------------------------------------------------------------------------


def standing(state: State, now: int, table: Table) -> tuple[Alarm, ...]:
    """The alarms that stand at `now`, the worst first. One that another one covers says nothing of its own."""
    raised = [e for e in state.episodes.values() if e.raised <= now]
    silence = quiet(state, now, table)
    if silence is not None:
        raised.append(silence)
    if not raised:
        return ()
    covered = {name for e in raised for name in table.rows[e.alarm].covers}
    newest = max(state.newest, *(start for e in raised for start, *_ in _starts(e, table, now)))
    alarms = [_alarm(e, state, now, newest, table) for e in raised if e.alarm not in covered]
    return tuple(sorted(alarms, key=lambda a: (-LEVELS.index(a.level), table.rows[a.alarm].place, a.raised)))


def quiet(state: State, now: int, table: Table) -> Episode | None:
    """No value from a tied monitor for too long."""
    if not state.devices or state.ended is not None:
        return None
    silent = {m: last for m, last in state.heard.items() if now - last > table.no_data}
    if not silent:
        return None
    last = min(silent.values())
    by = tuple((m, nan) for m in sorted(silent))
    return Episode(NO_DATA, table.rows[NO_DATA].level, last, last + table.no_data, "", by, state.no_data)


def heard_again(keep: Kept, state: State, now: int, table: Table) -> Kept:
    """What is kept once missing data is an alarm no more: it stays in the log."""
    silence = quiet(state, now, table)
    if silence is None:
        return keep
    past = Chain(silence._replace(cleared=now), keep.past)
    return keep._replace(past=past, newest=max(keep.newest, silence.raised))


def _starts(episode: Episode, table: Table, now: int) -> list[tuple[int, str, str, str]]:
    """When its clock starts anew: when raised, and whenever it has lasted too long. With level, turn and words."""
    row = table.rows[episode.alarm]
    later = [(episode.raised + p.after, p.level, p.to, p.says) for p in row.persist if episode.raised + p.after <= now]
    return [(episode.raised, row.level, "", ""), *later]


def _turns(episode: Episode, table: Table, now: int) -> Iterator[tuple[int, str]]:
    """Whose turn it was, from when on. An acknowledgement stops the clock until it starts anew."""
    starts = _starts(episode, table, now)
    ends = [start for start, *_ in starts[1:]] + [now + 1]
    for (start, level, to, _), end in zip(starts, ends, strict=True):
        answered = next((at for at, _ in episode.acknowledged if at >= start), now + 1)
        turns = (not to and table.rows[episode.alarm].turns) or table.escalation[level]
        if to:  # it never goes back down the line
            names = [whose for _, whose in turns]
            rest = turns[names.index(to) + 1 :] if to in names else turns[-1:]
            turns = ((0, to), *rest)
        for after, whose in turns:
            if start + after < end and (after == 0 or start + after < answered):
                yield start + after, whose


def _alarm(episode: Episode, state: State, now: int, newest: int | None, table: Table) -> Alarm:
    row, starts = table.rows[episode.alarm], _starts(episode, table, now)
    last, level = starts[-1][:2]
    turns = tuple(_turns(episode, table, now))
    answered = next(((at, by) for at, by in episode.acknowledged if at >= last), None)
    return Alarm(
        alarm=row.id,
        level=level,
        title=row.title,
        says=(*(says for *_, says in starts if says), *_first(row, state, table)),
        tell=row.tell,
        dose=row.dose,
        hard=row.hard,
        since=episode.since,
        raised=episode.raised,
        by=episode.by,
        acknowledged=answered[0] if answered else None,
        acknowledged_by=answered[1] if answered else "",
        to=turns[-1][1],
        escalated=turns[-1][0] if len(turns) > 1 else None,
        silent_until=None if newest is None else _silent(state, row.id, last, level, now, newest, table),
        turns=turns,
        because=row.rule,
        cleared=episode.cleared,
    )


def _first(row: Row, state: State, table: Table) -> tuple[str, ...]:
    """First actions; before the dose there is nothing to stop."""
    if state.dose.began is not None or not row.dose:
        return row.first
    words = row.first
    for stop, wait in table.before_dose:
        words = tuple(text.replace(stop, wait) for text in words)
    return words


def _silent(state: State, alarm: str, since: int, level: str, now: int, newest: int, table: Table) -> int | None:
    """Until when its sound rests: what was silenced while it stood, for no longer than its level allows."""
    ends = [
        end
        for s in state.silences
        if s.alarm in ("", alarm) and since <= s.at and newest <= s.at
        if s.at <= now < (end := min(s.until, s.at + table.silence[level]))
    ]
    return max(ends, default=None)


def log(state: State, now: int, table: Table) -> tuple[Alarm, ...]:
    """Every alarm of the session, oldest first, with its turns, acknowledgements and end; covered ones too."""
    past: Iterable[Episode] = state.past or ()
    open_ = [e for e in state.episodes.values() if e.raised <= now]
    silence = quiet(state, now, table)
    open_ += [silence] if silence else []
    newest = max((state.newest, *(start for e in open_ for start, *_ in _starts(e, table, now))))
    alarms = [_alarm(e, state, e.cleared or now, None, table) for e in past]
    alarms += [_alarm(e, state, now, newest, table) for e in open_]
    return tuple(sorted(alarms, key=lambda a: (a.raised, a.alarm)))


def verdict(alarms: Iterable[Alarm]) -> Verdict:
    """What the standing alarms come to during a session: go on, pause and manage, or emergency."""
    worst = max((LEVELS.index(a.level) for a in alarms), default=0)
    if LEVELS[worst] == "emergency":
        return Verdict.ESCALATE
    return Verdict.CAUTION if LEVELS[worst] in ("high", "medium") else Verdict.ELIGIBLE
