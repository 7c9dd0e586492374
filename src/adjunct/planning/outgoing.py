"""What would be written to whom, and when: messages as values, worked out from the plan and from what was sent before.

Nothing is queued: the same plan, history and `now` give the same messages after any restart. A part has a key made of
what it is about and when that takes place, so that a visit that is moved makes another one; a message is all parts that
are due to somebody at one time, and its key is theirs put together. Whoever sends it records
`Done(what="message", at=..., step=message.key)`. Texts, order of importance and times: `planning/outgoing.toml`.
Alarms about suicide are no messages of this kind: they have people and clocks in `followup`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, time, timedelta
from functools import cached_property
from typing import Any

from adjunct import sheet
from adjunct.base import DAY, FAR, MS_PER_DAY, MS_PER_SECOND, BadInput, shown
from adjunct.due import Done, State, Step, due
from adjunct.followup.cover import Cover
from adjunct.knowledge import Knowledge
from adjunct.planning.entries import only
from adjunct.planning.model import CarePlan, Status, Visit

MESSAGE, WITHDRAWN = "message", "consent:withdrawn"  # an act, and what is open in a plan
PERSON, SUPPORTER, OWNER = "person", "supporter", "owner"
DIGEST = 12  # characters of a key that stand for the visit, step or change
NIGHTS = 3  # days searched for an hour at which somebody may be written to
# To whom, template, what about, and when that is (seconds since 1970); with news also when the other time was told.
_KEY = re.compile(r".+:[a-z0-9-]+\.[0-9a-f]{12}\.\d{1,11}(\.\d{1,11})?")
TELLS = ("hold", "resume", "stop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """How a person wants to be written to. Empty zone: the clinic's; empty hours: the project's default.

    Equal quiet hours are none. `reminders` False: nothing is written to the person. `supporter_ride`: whether it is
    recorded that the supporter agreed to be written to about the ride home, and about nothing else.
    """

    name: str = ""
    zone: str = ""
    language: str = sheet.ENGLISH
    quiet_from: str = ""
    quiet_to: str = ""
    channels: tuple[str, ...] = ()
    reminders: bool = True
    supporter_ride: bool = False


FIELDS = tuple(each.name for each in fields(Contact))


def contact_of(section: Mapping[str, Any], at: str = "contact") -> Contact:
    """The [contact] section of an order. Raises `BadInput` for a key, zone, language or time that does not exist."""
    only(section, FIELDS, at)
    for key, value in section.items():
        if key in ("reminders", "supporter_ride"):
            fits, wanted = isinstance(value, bool), "true or false"
        elif key == "channels":
            fits = isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(v, str) for v in value)
            wanted = "a list of names"
        else:
            fits, wanted = isinstance(value, str), "text"
        if not fits:
            raise BadInput(f"write {wanted}", f"{at}.{key}")
    given = {**section, "channels": tuple(section.get("channels", ()))}
    contact = Contact(**given)
    sheet.language(contact.language, f"{at}.language")
    for key in ("quiet_from", "quiet_to"):
        if given.get(key):
            _wall(given[key], f"{at}.{key}")
    if bool(contact.quiet_from) is not bool(contact.quiet_to):
        raise BadInput("quiet hours have a beginning and an end: give quiet_from and quiet_to", at)
    if contact.zone:
        try:
            Cover(zone=contact.zone)
        except BadInput:
            raise BadInput(
                f"no such time zone: {shown(contact.zone)}; write for example Europe/Berlin", f"{at}.zone"
            ) from None
    return contact


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message. `to`: person, supporter or the owner of a task. `text` says nothing that others must not read.

    `not_before`, `send_by` (before the next quiet hours) and `expires` (of no use from then on) are instants in ms.
    `why` are ids of visits, steps or changes, for the log: they may name a treatment and are never sent. `supersedes`
    are keys of earlier messages about the same things at other times.
    """

    key: str
    to: str
    template: str
    language: str
    subject: str
    text: str
    not_before: int
    send_by: int
    expires: int
    why: tuple[str, ...]
    supersedes: tuple[str, ...] = ()


def messages_due(
    plan: CarePlan, history: Iterable[Done], now: int, *, contact: Contact, cover: Cover, knowledge: Knowledge
) -> tuple[Outgoing, ...]:
    """What is to be sent at `now`: at most one message to each, nothing in quiet hours, at most so many a day.

    What was sent is never due again, alone or with something else; what has expired neither.
    """
    past = [act for act in history if act.at <= now]
    most = knowledge.number("outgoing.most_per_day")
    desk = _Desk(plan, tuple(past), contact, cover, knowledge)
    parts: dict[str, list[Outgoing]] = {}
    for part in desk.parts(now):
        if part.key not in desk.sent and part.not_before <= now:
            parts.setdefault(part.to, []).append(part)
    found = []
    for to, waiting in parts.items():
        clock = _clock(to, contact, cover, knowledge)
        today = clock.cover.local(now).date()
        sent = {a for a in past if _is_to(a, to) and clock.cover.local(a.at).date() == today}
        if not clock.quiet(now) and len(sent) < most:
            found.append(_together(waiting, clock.rest(now), knowledge))
    return tuple(found)


def messages(
    plan: CarePlan, history: Iterable[Done], *, contact: Contact, cover: Cover, knowledge: Knowledge
) -> tuple[Outgoing, ...]:
    """Every message of the plan that was not sent yet, each by itself, in order of time: what a person can expect."""
    desk = _Desk(plan, tuple(history), contact, cover, knowledge)
    return tuple(sorted((m for m in desk.parts() if m.key not in desk.sent), key=lambda m: (m.not_before, m.key)))


def withdrawn(
    keys: Iterable[str],
    plan: CarePlan,
    history: Iterable[Done],
    *,
    contact: Contact,
    cover: Cover,
    knowledge: Knowledge,
) -> tuple[str, ...]:
    """Of the keys that were handed over to be sent later, those that must not be any more: moved, stopped, done."""
    desk = _Desk(plan, tuple(history), contact, cover, knowledge)
    wanted = {m.key for m in desk.parts()}
    return tuple(key for key in keys if not set(_split(key)) <= wanted)


# --- keys -------------------------------------------------------------------------------------------------------------


def _split(key: str) -> list[str]:
    """The keys of the parts of a message.

    >>> _split("person:ride.1a2b.1799654400+prepare.1a2b.1799654400")
    ['person:ride.1a2b.1799654400', 'person:prepare.1a2b.1799654400']
    """
    to, _, parts = key.rpartition(":")
    return [f"{to}:{part}" for part in parts.split("+")]


def _is_to(act: Done, to: str) -> bool:
    return act.what == MESSAGE and act.step.rpartition(":")[0] == to


def _together(parts: Sequence[Outgoing], rest: int, knowledge: Knowledge) -> Outgoing:
    """One message of several parts, the most important first, to be sent before `rest`.

    Of several tasks of one kind it says only the first: whoever looks sees them all.
    """
    kinds = {entry["id"]: (turn, entry["on"]) for turn, entry in enumerate(knowledge.content["outgoing"]["message"])}
    parts = sorted(parts, key=lambda p: (kinds[p.template][0], int(p.key.rpartition(":")[2].split(".")[2]), p.key))
    lead = parts[0]
    texts = {p.template if kinds[p.template][1] in ("step", "overdue") else p.text: p.text for p in reversed(parts)}
    return replace(
        lead,
        key=lead.to + ":" + "+".join(p.key.rpartition(":")[2] for p in parts),
        text="\n\n".join(reversed(texts.values())),
        not_before=max(p.not_before for p in parts),
        send_by=min(rest, *(p.expires for p in parts)),
        expires=min(p.expires for p in parts),
        why=tuple(dict.fromkeys(w for p in parts for w in p.why)),
        supersedes=tuple(dict.fromkeys(s for p in parts for s in p.supersedes)),
    )


# --- the hours at which somebody may be written to --------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clock:
    """Wall-clock times of one zone: quiet hours from `begins` to `ends`, and the hours when messages go together."""

    cover: Cover
    begins: timedelta
    ends: timedelta
    hours: tuple[timedelta, ...]

    def quiet(self, ms: int) -> bool:
        local = self.cover.local(ms)
        wall = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
        if self.begins <= self.ends:
            return self.begins <= wall < self.ends
        return wall >= self.begins or wall < self.ends

    def next(self, wall: timedelta, ms: int) -> Iterator[int]:
        """The instants from `ms` on at which clocks show a time: both where it comes twice, near where never."""
        today = self.cover.local(ms).date()
        for ahead in range(NIGHTS):
            naive = datetime.combine(today + DAY * ahead, time()) + wall
            moments = {
                round(naive.replace(tzinfo=self.cover.clock, fold=fold).timestamp()) * MS_PER_SECOND for fold in (0, 1)
            }
            yield from sorted(m for m in moments if m >= ms)

    def awake(self, ms: int) -> int:
        """`ms`, or the end of the quiet hours it falls into; `FAR` if there is none."""
        if not self.quiet(ms):
            return ms
        return next((m for m in self.next(self.ends, ms) if not self.quiet(m)), FAR)

    def rest(self, ms: int) -> int:
        """The beginning of the next quiet hours."""
        return FAR if self.begins == self.ends else next(self.next(self.begins, ms), FAR)

    def slots(self, ms: int) -> list[int]:
        """The hours from `ms` on at which messages go together, those in quiet hours at their end."""
        since = self.cover.instant(self.cover.local(ms).date() - DAY, timedelta(0))
        moments = {self.awake(m) for hour in self.hours for m in self.next(hour, since)}
        return sorted(m for m in moments if m >= ms)


def _clock(to: str, contact: Contact, cover: Cover, knowledge: Knowledge) -> _Clock:
    """The clock of whoever is written to: for tasks the clinic's, with the project's quiet hours."""
    own = contact if to in (PERSON, SUPPORTER) else Contact()
    hours = [timedelta(milliseconds=knowledge.length_ms(name)) for name in knowledge.content["outgoing"]["slots"]]
    default = [timedelta(milliseconds=knowledge.length_ms(f"outgoing.quiet.{end}")) for end in ("from", "to")]
    quiet = [_wall(own.quiet_from, ""), _wall(own.quiet_to, "")] if own.quiet_from else default
    return _Clock(cover=Cover(zone=own.zone) if own.zone else cover, begins=quiet[0], ends=quiet[1], hours=tuple(hours))


def _wall(text: str, at: str) -> timedelta:
    try:
        wall = time.fromisoformat(text)
        if wall.tzinfo is not None:
            raise ValueError
    except ValueError:
        raise BadInput(f"not a time of day: {shown(text)}; write HH:MM, 00:00 to 23:59", at) from None
    return timedelta(hours=wall.hour, minutes=wall.minute)


# --- what there is to say ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Occasion:
    """One reason to write: the visit, step or change (its id, and as keys have it), and the time it is about.

    To be said `at`, never before `early`, better before `deadline`; of no use from `expires` on. `after`: when the
    telling was that this corrects, for a visit may be moved away and back.
    """

    digest: str
    about: int
    at: int
    expires: int
    subject: str = ""
    early: int = FAR
    deadline: int = FAR
    words: Mapping[str, int] = field(default_factory=dict)
    after: int | None = None


@dataclass(frozen=True)
class _Desk:
    plan: CarePlan
    history: tuple[Done, ...]
    contact: Contact
    cover: Cover
    knowledge: Knowledge

    @cached_property
    def own(self) -> _Clock:
        return _clock(PERSON, self.contact, self.cover, self.knowledge)

    @cached_property
    def clinic(self) -> _Clock:
        return _clock(OWNER, self.contact, self.cover, self.knowledge)

    @cached_property
    def sent(self) -> Mapping[str, int]:
        """The key of every part that was sent, with when it first was. What is no key of ours is left alone."""
        found: dict[str, int] = {}
        for act in self.history:
            for key in _split(act.step) if act.what == MESSAGE else ():
                if _KEY.fullmatch(key):
                    found[key] = min(act.at, found.get(key, FAR))
        return found

    @cached_property
    def done(self) -> frozenset[str]:
        """Ids of steps and visits that an act covers."""
        covered = {d.step.id for d in due(self.plan.steps, self.history, now=FAR) if d.state is State.DONE}
        visits = {v.id for v in self.plan.visits if v.state is State.DONE}
        return frozenset(covered | visits | {act.step for act in self.history})

    @cached_property
    def entries(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.knowledge.content["outgoing"]["message"]
        return found

    def told(self, to: str) -> Mapping[str, tuple[int, int]]:
        """For each visit (by digest) that somebody was written to about: its time as last said (0: none), and when."""
        entries = {entry["id"]: entry for entry in self.entries}
        found: dict[str, tuple[int, int]] = {}
        for key, at in sorted(self.sent.items(), key=lambda item: (item[1], item[0])):
            template, digest, about, *_ = key.rpartition(":")[2].split(".")  # as `_KEY` has it
            entry = entries.get(template)
            if entry is None or not key.startswith(f"{to}:"):
                continue
            if entry["on"] in ("visit", "moved"):
                found[digest] = int(about) * MS_PER_SECOND, at
            elif entry["on"] == "gone":
                found[digest] = 0, at
            elif set(entry.get("what", ())) & {"hold", "stop"}:
                found = dict.fromkeys(found, (0, at))
        return found

    def parts(self, now: int | None = None) -> Iterator[Outgoing]:
        """Everything there is to say, sent or not; with `now` only what may be due then."""
        if self.plan.status is Status.NONE:
            return
        over = self.plan.status is Status.STOPPED
        may = {PERSON: self.contact.reminders, SUPPORTER: self.contact.supporter_ride, OWNER: True}
        for entry in self.entries:
            if may[entry["to"]] and not (over and entry.get("during")):
                clock = self.clinic if entry["to"] == OWNER else self.own
                for to, occasion in _OCCASIONS[entry["on"]](self, entry):
                    if now is None or min(occasion.early, occasion.at) <= now < occasion.expires:
                        placed = _place(clock, occasion)
                        if placed is not None:
                            yield self._part(entry, to, occasion, placed, clock)

    def _part(self, entry: Mapping[str, Any], to: str, occasion: _Occasion, at: int, clock: _Clock) -> Outgoing:
        code = self.contact.language if to in (PERSON, SUPPORTER) else sheet.ENGLISH
        words: dict[str, Any] = {name: self._when(name, ms, code) for name, ms in occasion.words.items()}
        text = sheet.line(entry["text"], code, self.knowledge, **words)
        stem = f"{to}:{entry['id']}.{occasion.digest}."
        key = f"{stem}{occasion.about // MS_PER_SECOND}"
        if occasion.after is not None:
            key += f".{occasion.after // MS_PER_SECOND}"
        return Outgoing(
            key=key,
            to=to,
            template=entry["id"],
            language=text.language,
            subject=sheet.line(entry["subject"], code, self.knowledge).text,
            text=text.text,
            not_before=at,
            send_by=min(occasion.expires, clock.rest(at)),
            expires=occasion.expires,
            why=(occasion.subject,) if occasion.subject else (),
            supersedes=tuple(sorted(k for k in self.sent if k.startswith(stem) and k != key)),
        )

    def _when(self, name: str, ms: int, code: str) -> str:
        """A day, or a time as the clinic's clocks show it; the zone is named where the person's clocks differ."""
        if name == "day":
            return sheet.day(ms, self.cover.zone, code)
        differ = self.own.cover.local(ms).utcoffset() != self.cover.local(ms).utcoffset()
        return sheet.moment(ms, self.cover.zone, code) + (f" ({self.cover.zone})" if differ else "")

    # --- one kind of occasion each ---

    def visits(self, entry: Mapping[str, Any]) -> Iterator[tuple[str, _Occasion]]:
        """Counted back from a visit that is to come. News about its time goes first, and then stands for a reminder."""
        needless = {s.id for s in self.plan.steps if s.what in entry.get("unless", ())} & self.done
        told = self.told(entry["to"])
        for visit in self._coming():
            at, expires = (self._back(visit.starts, entry[name]) for name in ("before", "until"))
            early = at - self.knowledge.length_ms("outgoing.ahead")
            between = any(at <= v.starts < visit.starts and v.state is not State.MISSED for v in self.plan.visits)
            before, said = told.get(self._digest(visit.id), (visit.starts, -FAR))
            if before == visit.starts:
                known = said >= at
            else:
                known = at < min(before or FAR, visit.starts)
                at = early = max(at, self._since(said))
            leave_out = (
                visit.kind not in entry["kinds"]
                or (entry.get("alone") and between)
                or (entry.get("tells") and known)
                or needless & set(visit.prerequisites)
            )
            if not leave_out:
                words = {"when": visit.starts}
                yield entry["to"], self._of(visit.id, visit.starts, at, expires, early=early, words=words)

    def _back(self, start: int, fact: str) -> int:
        length = self.knowledge.length_ms(fact)
        if self.knowledge.facts[fact].unit != "d":
            return start - length
        return self.own.cover.instant(self.own.cover.local(start).date() - DAY * (length // MS_PER_DAY), timedelta(0))

    def after(self, entry: Mapping[str, Any]) -> Iterator[tuple[str, _Occasion]]:
        """The evening of a visit that took place."""
        for visit in self.plan.visits:
            if visit.kind in entry["kinds"] and visit.given_at is not None:
                ends, useful = max(visit.ends, visit.given_at), self.knowledge.length_ms(entry["useful"])
                midnight = self.own.cover.day_end(ends)  # a corrected time of the same day is no other message
                yield entry["to"], self._of(visit.id, midnight, ends, ends + useful, deadline=midnight)

    def missed(self, entry: Mapping[str, Any]) -> Iterator[tuple[str, _Occasion]]:
        """A visit to which the person did not come: since it was recorded, else since its window closed."""
        recorded = {c.data.get("visit"): c.at for c in self.plan.changes if c.kind == "missed"}
        for visit in self.plan.visits:
            if visit.kind in entry["kinds"] and visit.state is State.MISSED:
                at = max(recorded.get(visit.id, visit.window.closes), visit.starts)
                yield entry["to"], self._of(visit.id, visit.starts, at, at + self.knowledge.length_ms(entry["useful"]))

    def steps(self, entry: Mapping[str, Any]) -> Iterator[tuple[str, _Occasion]]:
        """Something that the person has to do or will be asked for, from its opening on (`ahead`: not long before).

        What was not said in time is said while it may still be done.
        """
        for step in self._open():
            asked = entry.get("instruments") and step.owner == PERSON and step.what in self.knowledge.instruments
            if step.what.partition(":")[0] in entry["what"] or asked:
                opens, due_at = step.window.opens, step.window.due
                until = due_at if due_at > max(opens, self.plan.at.ms) else step.window.overdue
                at = max(opens, due_at - self.knowledge.length_ms(entry["ahead"])) if "ahead" in entry else opens
                yield (
                    entry["to"],
                    self._of(step.id, due_at, at, until, words={"day": due_at if until == FAR else until}),
                )

    def overdue(self, entry: Mapping[str, Any]) -> Iterator[tuple[str, _Occasion]]:
        """A task of the clinic's that nobody did in time and that does not wait for the next visit."""
        for step in self._open():
            at = step.window.overdue
            if step.owner not in (PERSON, SUPPORTER) and step.what.partition(":")[0] in entry["what"]:
                expires = min(step.window.closes, at + self.knowledge.length_ms(entry["useful"]))
                yield step.owner, self._of(step.id, at, at, expires)

    def _open(self) -> Iterator[Step]:
        silent = self.knowledge.content["outgoing"]["silent"]
        for step in self.plan.steps:
            within = step.window.opens > -FAR and step.window.due < FAR
            if step.id not in self.done and step.domain not in silent and within:
                yield step

    def changes(self, entry: Mapping[str, Any]) -> Iterator[tuple[str, _Occasion]]:
        """The last time that the course was held, went on or was stopped, said before the next visit told of."""
        last = max((c for c in self.plan.changes if c.kind in TELLS), key=lambda c: (c.at, c.after), default=None)
        if last is None or last.kind not in entry["what"]:
            return
        expires = last.at + self.knowledge.length_ms(entry["useful"])
        coming = min((start for start, _ in self.told(PERSON).values() if start > last.at), default=FAR)
        deadline = coming - self.knowledge.length_ms("outgoing.useful")
        yield entry["to"], self._of(last.id, last.at, last.at, expires, deadline=deadline)

    def moved(self, entry: Mapping[str, Any]) -> Iterator[tuple[str, _Occasion]]:
        """A visit that is at another time than somebody was told, or takes place after all."""
        told = self.told(entry["to"])
        for visit in self._coming():
            digest = self._digest(visit.id)
            before, said = told.get(digest, (visit.starts, 0))
            if before != visit.starts:
                until = min(before or FAR, visit.starts)
                yield entry["to"], self._news(digest, visit.starts, said, until, visit.id)

    def gone(self, entry: Mapping[str, Any]) -> Iterator[tuple[str, _Occasion]]:
        """A visit that somebody was told of and the plan no longer has; a pause and an end tell the person more."""
        if entry["to"] == PERSON and self.plan.status in (Status.ON_HOLD, Status.STOPPED):
            return
        present = {self._digest(v.id) for v in self.plan.visits}
        starts = {v.starts for v in self.plan.visits}
        for digest, (start, said) in self.told(entry["to"]).items():
            if start and digest not in present and start not in starts:
                yield entry["to"], self._news(digest, start, said, start)

    def _coming(self) -> list[Visit]:
        """The visits that are still to be; none that is a proposal, and no dose that the person does not agree to.

        Before the first dose an open item makes proposals of all; in a course something is open before every visit,
        and people are expected all the same, unless the end of the course is what is open.
        """
        begun = any(v.given_at is not None for v in self.plan.visits)
        stops = any(told.id.startswith("stop:") for told in self.plan.open)
        goes_on = self.plan.status is Status.ACTIVE or (self.plan.status is Status.WAITING and begun)
        if stops or not goes_on:
            return []
        withdrawn = any(told.id == WITHDRAWN for told in self.plan.open)
        expected = (v for v in self.plan.visits if v.state is not State.MISSED and v.id not in self.done)
        return [v for v in expected if not (withdrawn and v.kind == "dose")]

    def _since(self, said: int) -> int:
        """Since when somebody knows that what was said is no longer so."""
        return max([said, *(c.at for c in self.plan.changes)])

    def _news(self, digest: str, start: int, said: int, until: int, subject: str = "") -> _Occasion:
        return _Occasion(
            digest=digest,
            subject=subject,
            about=start,
            at=self._since(said),
            deadline=until - self.knowledge.length_ms("outgoing.useful"),
            expires=until,
            words={"when": start},
            after=said,
        )

    def _of(self, subject: str, about: int, at: int, expires: int, **more: Any) -> _Occasion:
        return _Occasion(digest=self._digest(subject), subject=subject, about=about, at=at, expires=expires, **more)

    def _digest(self, subject: str) -> str:
        text = "|".join((self.plan.patient, self.plan.protocol, subject))
        return hashlib.sha256(text.encode()).hexdigest()[:DIGEST]


_OCCASIONS: Mapping[str, Callable[[_Desk, Mapping[str, Any]], Iterator[tuple[str, _Occasion]]]] = {
    "visit": _Desk.visits,
    "after": _Desk.after,
    "missed": _Desk.missed,
    "step": _Desk.steps,
    "overdue": _Desk.overdue,
    "change": _Desk.changes,
    "moved": _Desk.moved,
    "gone": _Desk.gone,
}


def _place(clock: _Clock, occasion: _Occasion) -> int | None:
    """When it is said: at the next hour of messages; if that is too late, as soon as quiet hours allow, else earlier.

    None if it cannot be said in time: then somebody has to call.
    """
    deadline = min(occasion.deadline, occasion.expires)
    together = next(iter(clock.slots(occasion.at)), FAR)
    if together < deadline:
        return together
    soon = clock.awake(occasion.at)
    if soon < deadline:
        return soon
    before = [m for m in clock.slots(min(occasion.early, occasion.at)) if m < occasion.at]
    if before:
        return before[-1]
    return soon if soon < occasion.expires else None
