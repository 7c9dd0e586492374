"""The team around one person: who may see what, what is told to whom and by when, and referrals that come to an end.

Deny by default: a role sees what its labels allow, some of them only while the person's specific consent is in force
(substance use: 42 CFR Part 2). What is not seen leaves no trace: no text, no title, no count, no time. Roles, labels
and the minimum message set are data (`planning/team.toml`); clocks are steps of `due.py`. Instants are ms since 1970.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from adjunct.base import BadInput, shown
from adjunct.due import Step, Window, repeating
from adjunct.followup.cover import Cover
from adjunct.followup.workflow import moment
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import fold
from adjunct.planning import entries
from adjunct.planning.outgoing import Contact, contact_of
from adjunct.sheet import ENGLISH, Line, Part, Sheet
from adjunct.sheet import moment as clock

DOMAIN = "team"
SHORTEST, WITH_DIGIT = len("beer"), len("7oh")
_WORD = re.compile(r"[\w'-]+")


# --- who may see what -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The person's specific consent: one label, to one role, for one purpose, until it ends or is taken back."""

    id: str
    at: int
    by: str
    label: str
    to: str
    purpose: str
    until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """The person took a consent to share back. It counts from then on; what was seen before was seen."""

    id: str
    at: int
    by: str
    share: str


@dataclass(frozen=True, kw_only=True)
class Access:
    """What each role may see of one person at `now`. Nothing shared: only what a role sees by its task."""

    knowledge: Knowledge = field(repr=False)
    now: int
    shares: tuple[Share, ...] = ()
    taken_back: tuple[TakenBack, ...] = ()

    def sees(self, role: str, labels: Iterable[str]) -> bool:
        """Whether a role may see what carries all these labels. An unknown role or label, or no label: no."""
        entry, wanted = self.roles.get(role), set(labels)
        return entry is not None and bool(wanted) and all(self._allows(entry, label) for label in wanted)

    def may_know(self, role: str) -> bool:
        """Whether a role may be told that something is left out."""
        return role in self.roles and bool(self.roles[role]["withheld"])

    def _allows(self, role: Mapping[str, Any], label: str) -> bool:
        return label in role["sees"] or (label in role["by_consent"] and self._consented(role["id"], label))

    def _consented(self, role: str, label: str) -> bool:
        ended = {t.share for t in self.taken_back if t.at <= self.now}
        return any(
            s.to == role
            and s.label == label
            and s.purpose in self._team["purpose"]["shows"]
            and s.id not in ended
            and s.at <= self.now
            and (s.until is None or self.now < s.until)
            for s in self.shares
        )

    @property
    def _team(self) -> Mapping[str, Any]:
        team: Mapping[str, Any] = self.knowledge.content["team"]
        return team

    @cached_property
    def roles(self) -> Mapping[str, Mapping[str, Any]]:
        return {role["id"]: role for role in self._team["role"]}

    @cached_property
    def labels(self) -> Mapping[str, Mapping[str, Any]]:
        return {label["id"]: label for label in self._team["label"]}

    def labels_of(
        self, *texts: str, involves: Iterable[str] = (), about: str = "", domain: str = "", base: Iterable[str] = ()
    ) -> frozenset[str]:
        """The labels of a text: `base`, and those of the substances and subjects that it names. Doubt adds a label."""
        text = "\n".join(texts)
        named = {part for name in (*involves, *self._named(text)) for part in name.split("+")}
        found = {
            label["id"]
            for label in self.labels.values()
            if about in label.get("about", ()) or domain in label.get("domains", ()) or named & self._members(label)
        }
        found |= {name for name, pattern in self._patterns.items() if pattern.search(text)}
        return frozenset(found) | frozenset(base)

    def _named(self, text: str) -> Iterator[str]:
        """The substances that a text names as people do, in one word or two; short words mean too many things."""
        words = _WORD.findall(fold(text))
        for phrase in (*words, *map(" ".join, pairwise(words))):
            if len(phrase) >= (WITH_DIGIT if any(map(str.isdigit, phrase)) else SHORTEST):
                yield from self.knowledge.substances_by_name.get(phrase, ())

    def _members(self, label: Mapping[str, Any]) -> frozenset[str]:
        return self.knowledge.members(label.get("sets", ()))

    @cached_property
    def _patterns(self) -> Mapping[str, re.Pattern[str]]:
        """For each label, the beginnings of words that speak of it, and words that do so only as they stand."""
        return {
            label["id"]: re.compile(
                rf"(?<!\w)(?:{'|'.join(map(re.escape, label['words']))}"
                rf"|(?:{'|'.join(map(re.escape, label['whole']))})(?!\w))",
                re.IGNORECASE,
            )
            for label in self.labels.values()
            if "words" in label
        }


# --- messages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, never changed. `to`: the roles that are to acknowledge it; `red`: within minutes."""

    id: str
    at: int
    by: str
    role: str
    text: str
    labels: frozenset[str]
    to: tuple[str, ...] = ()
    red: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """Messages about one thing, between roles, in order of time. `labels` are those of its title."""

    id: str
    title: str
    labels: frozenset[str]
    roles: frozenset[str]
    messages: tuple[Message, ...] = ()


def post(thread: Thread, message: Message, access: Access) -> Thread:
    """The thread with one more message; the same one sent twice is one.

    Raises `BadInput` without author, text or label, for a role that is not of this thread, and for somebody asked to
    acknowledge who may not see it: the sender must know, or the loop never closes.
    """
    at = f"thread.{thread.id}"
    if not (message.by.strip() and message.text.strip() and message.labels):
        raise BadInput("a message has an author, a text and at least one label", at)
    strange = sorted(message.labels - set(access.labels)) + sorted({message.role, *message.to} - thread.roles)
    if strange:
        raise BadInput(f"not a label, or not a role of this thread: {shown(strange[0])}", at)
    unseen = [role for role in message.to if not (_reads(thread, role, access) and _reads(message, role, access))]
    if unseen:
        raise BadInput(f"{unseen[0]} may not see this: ask the person for specific consent, or send it without", at)
    known = {m.id: m for m in thread.messages}
    if known.get(message.id, message) != message:
        raise BadInput("another message has this id: nothing is written over; give it its own", at)
    messages = sorted({*thread.messages, message}, key=lambda m: (m.at, m.id))
    return replace(thread, messages=tuple(messages))


def visible(thread: Thread, role: str, access: Access) -> Thread | None:
    """What a role sees of a thread at the time of `access`; nothing at all where no message is left for it."""
    if role not in thread.roles or not _reads(thread, role, access):
        return None
    seen = tuple(m for m in thread.messages if m.at <= access.now and _reads(m, role, access))
    return replace(thread, messages=seen) if seen else None


def _reads(entry: Thread | Message, role: str, access: Access) -> bool:
    """By the labels given and those that the words call for: nobody lowers one by forgetting it."""
    text = entry.title if isinstance(entry, Thread) else entry.text
    return bool(entry.labels) and access.sees(role, access.labels_of(text, base=entry.labels))


def inbox(threads: Iterable[Thread], role: str, access: Access, *, zone: str, language: str = ENGLISH) -> Sheet:
    """What a role reads, the thread with the latest message first. Hidden messages change nothing in it."""
    words = access.knowledge.content["team"]["threads"]
    seen = [t for thread in threads if (t := visible(thread, role, access)) is not None]
    seen.sort(key=lambda t: (-t.messages[-1].at, t.id))
    parts = tuple(
        Part(
            id=thread.id,
            title=thread.title,
            kind="list",
            lines=tuple(
                Line(text=f"{m.by}, {clock(m.at, zone, language)}: {m.text}", strong=m.red) for m in thread.messages
            ),
        )
        for thread in seen
    )
    lead = () if parts else (Line(text=words["none"][language], language=language),)
    return Sheet(id="messages", title=words["title"][language], language=language, reader=role, lead=lead, parts=parts)


def notification(knowledge: Knowledge, language: str) -> str:
    """What stands on a locked screen. It takes nothing of the message or the task, so it can tell nothing of it."""
    texts = knowledge.content["team"]["notification"]
    return str(texts.get(language, texts[ENGLISH]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """How a person wants to be reached. `voicemail`: may a message be left; None: nobody asked, so none is left.

    `address`: the only one that post goes to (45 CFR 164.522(b)); empty: no post.
    """

    contact: Contact
    voicemail: bool | None = None
    address: str = ""


def preferences_of(section: Mapping[str, Any], knowledge: Knowledge) -> Preferences:
    """The [contact] section of an order file. Raises `BadInput` for what is not known, and for post without address."""
    contact = contact_of({name: value for name, value in section.items() if name not in ("voicemail", "address")})
    channels = knowledge.content["team"]["contact"]["channels"]
    for channel in contact.channels:
        _known(channel, channels, "channels", "contact")
    voicemail, address = section.get("voicemail"), section.get("address", "")
    if not isinstance(voicemail, bool | None):
        raise BadInput("write true or false, or leave it out while nobody has asked", "contact.voicemail")
    if not isinstance(address, str) or ("post" in contact.channels and not address.strip()):
        raise BadInput("post needs the address that the person wants it sent to", "contact.address")
    return Preferences(contact=contact, voicemail=voicemail, address=address.strip())


# --- what is told to whom, by when ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something that the team is told of: eligibility, session (with its number), medicine-change, adverse-event ..."""

    id: str
    kind: str
    at: int
    number: int | None = None


def message_steps(happened: Iterable[Happened], cover: Cover, knowledge: Knowledge, *, until: int) -> tuple[Step, ...]:
    """The minimum message set as steps: who tells the team of what happened, and by when. The same event is one event.

    What repeats after the last listed session does so up to `until`. Raises `BadInput` for a kind of event that the
    message set does not know, and for a session without its number.
    """
    rules = knowledge.content["team"]["message"]
    found: list[Step] = []
    for event in sorted(set(happened), key=lambda e: (e.at, e.id)):
        asked = [rule for rule in rules if rule["on"] == event.kind]
        if not asked:
            known = ", ".join(sorted({rule["on"] for rule in rules}))
            raise BadInput(f"nobody is told of {shown(event.kind)}; known are {known}", "team.happened")
        for rule in asked:
            found.extend(_told(rule, event, cover, knowledge, until))
    return tuple(found)


def _told(rule: Mapping[str, Any], event: Happened, cover: Cover, knowledge: Knowledge, until: int) -> Iterator[Step]:
    listed = rule.get("numbers", ())
    if listed and event.number is None:
        raise BadInput("which session was it? give its number", "team.happened")
    step = {"title": rule["title"], "domain": DOMAIN, "owner": cover.owner(rule["owner"]), "basis": rule["within"]}
    name, what = f"team.{rule['id']}.{event.id}", f"team.{rule['id']}"
    if not listed or event.number in listed:
        overdue = moment(rule["within"], event.at, cover.day_end(event.at), knowledge)
        yield Step(id=name, what=what, window=Window(opens=event.at, due=event.at, overdue=overdue), **step)
    if "then_every" in rule and event.number == max(listed):
        every = moment(rule["then_every"], 0, 0, knowledge)
        grace = moment(rule["grace"], 0, 0, knowledge)
        yield from repeating(
            name,
            what,
            every=every,
            first=event.at + every,
            until=until,
            grace=grace,
            **{**step, "basis": rule["then_every"]},
        )


def acknowledge_steps(threads: Iterable[Thread], cover: Cover, access: Access) -> tuple[Step, ...]:
    """Who has to acknowledge which message, and by when. Nobody is asked for what they may not see (any more)."""
    rule = access.knowledge.content["team"]["acknowledge"]
    found = []
    for thread in threads:
        for role in sorted(thread.roles):
            seen = visible(thread, role, access)
            for message in (m for m in (seen.messages if seen else ()) if role in m.to):
                within = rule["red" if message.red else "routine"]
                late = moment(within, message.at, 0, access.knowledge)
                found.append(
                    Step(
                        id=f"{rule['what']}.{message.id}.{role}",
                        what=rule["what"],
                        title=rule["title"],
                        domain=DOMAIN,
                        owner=cover.owner(role),
                        window=Window(opens=message.at, due=message.at, overdue=late),
                        basis=within,
                    )
                )
    return tuple(found)


# --- referrals --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One thing that happened to a referral: opened, accepted, declined, seen, answered, closed."""

    id: str
    at: int
    by: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Referral:
    """Where a referral stands: `state` since when, whose turn it is (`step`; none once it is closed), and oddities."""

    id: str
    state: str = ""
    since: int = 0
    step: Step | None = None
    flags: tuple[str, ...] = ()


FORWARD = ("", "opened", "accepted", "seen", "answered", "closed")
DECLINED = "declined"


def referral(
    name: str, sender: str, receiver: str, moves: Iterable[Move], cover: Cover, knowledge: Knowledge, *, now: int
) -> Referral:
    """A referral from one role to another at `now`, as a fold over its moves; what is later has not happened.

    Total: a move that does not fit is flagged. What is skipped is flagged and taken, what goes back is not taken; after
    a refusal it may be opened again. It is overdue when the window of its step says so.
    """
    found = Referral(id=name)
    for move in sorted({m for m in moves if m.at <= now}, key=lambda m: (m.at, m.id)):
        found = advance(found, move)
    rules = {rule["state"]: rule for rule in knowledge.content["team"]["referral"]}
    rule = rules.get(found.state, {})
    if "next" not in rule:
        return found
    window = Window(opens=found.since, due=found.since, overdue=moment(rule["within"], found.since, 0, knowledge))
    step = Step(
        id=f"referral.{name}.{found.state}.{found.since}",
        what=f"referral.{found.state}",
        title=rule["next"],
        domain=DOMAIN,
        owner=cover.owner(receiver if rule["owner"] == "to" else sender),
        window=window,
        basis=rule["within"],
    )
    return replace(found, step=step)


def advance(found: Referral, move: Move) -> Referral:
    """The referral after one more move.

    >>> moves = [Move(id=str(n), at=n, by="A", kind=k) for n, k in enumerate(("opened", "answered", "seen", "closed"))]
    >>> one = Referral(id="r")
    >>> for move in moves: one = advance(one, move)
    >>> one.state, one.flags
    ('closed', ('skipped: accepted, seen', 'out of order: seen'))
    """
    if move.kind == DECLINED and found.state == "opened":
        return replace(found, state=DECLINED, since=move.at)
    if found.state == DECLINED and move.kind in ("opened", "closed"):
        return replace(found, state=move.kind, since=move.at)
    place = FORWARD.index(found.state) if found.state in FORWARD else len(FORWARD)
    to = FORWARD.index(move.kind) if move.kind in FORWARD else 0
    if to <= place:
        return replace(found, flags=(*found.flags, f"out of order: {move.kind}"))
    skipped = FORWARD[place + 1 : to]
    flags = (f"skipped: {', '.join(skipped)}",) if skipped else ()
    return replace(found, state=move.kind, since=move.at, flags=(*found.flags, *flags))


# --- the order file ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A referral as it is written: who asked whom, and what happened since."""

    id: str
    sender: str
    receiver: str
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """The [team] section of an order file."""

    shares: tuple[Share, ...] = ()
    taken_back: tuple[TakenBack, ...] = ()
    referrals: tuple[Asked, ...] = ()
    threads: tuple[Thread, ...] = ()

    def access(self, knowledge: Knowledge, now: int) -> Access:
        """What each role may see at `now`."""
        return Access(knowledge=knowledge, now=now, shares=self.shares, taken_back=self.taken_back)


SHARE = ("id", "at", "by", "label", "to", "purpose", "until")
MESSAGE = ("id", "at", "by", "role", "text", "labels", "to", "red")


def team_of(section: Mapping[str, Any], knowledge: Knowledge) -> Team:
    """Read [[team.share]], [[team.taken_back]], [[team.referral]] and [[team.thread]].

    A consent to share names everything that makes it one: who agreed, to what, to whom, what for, and when; without
    `until` it holds until it is taken back. Raises `BadInput` with the place for what is missing or not known.
    """
    found: dict[str, list[Any]] = {"share": [], "taken_back": [], "referral": [], "thread": []}
    for kind, entry, at in entries.tables(section, tuple(found), "team"):
        found[kind].append(_READ[kind](entry, at))
    blank = Access(knowledge=knowledge, now=0)
    for share in found["share"]:
        _known(share.to, blank.roles, "role", "team.share")
        _known(share.label, blank.labels, "label", "team.share")
        _known(share.purpose, knowledge.content["team"]["purpose"]["known"], "purpose", "team.share")
    shared = {share.id for share in found["share"]}
    messages = [message for thread in found["thread"] for message in thread.messages]
    for what, written in (*found.items(), ("thread.message", messages)):
        if len({entry.id for entry in written}) < len(written):
            raise BadInput("two entries have one id: give each its own", f"team.{what}")
    for back in found["taken_back"]:
        _known(back.share, shared, "share", "team.taken_back")
    for asked in found["referral"]:
        for role in (asked.sender, asked.receiver):
            _known(role, blank.roles, "role", "team.referral")
    team = Team(shares=tuple(found["share"]), taken_back=tuple(found["taken_back"]), referrals=tuple(found["referral"]))
    return replace(team, threads=tuple(_posted(thread, team, knowledge) for thread in found["thread"]))


def _known(name: str, names: Iterable[str], what: str, at: str) -> None:
    if name not in names:
        raise BadInput(f"no such {what}: {shown(name)}; there are {', '.join(sorted(names))}", f"{at}.{what}")


def _posted(written: Thread, team: Team, knowledge: Knowledge) -> Thread:
    """The thread as if its messages had come one by one, each judged by what was shared when it was written."""
    blank = team.access(knowledge, 0)
    for role in written.roles:
        _known(role, blank.roles, "role", "team.thread")
    for label in written.labels:
        _known(label, blank.labels, "label", "team.thread")
    if not written.labels:
        raise BadInput("a thread has at least one label: without one nobody sees it", "team.thread.labels")
    thread = replace(written, messages=())
    for message in sorted(written.messages, key=lambda m: (m.at, m.id)):
        thread = post(thread, message, replace(blank, now=message.at))
    return thread


def _named(entry: Mapping[str, Any], names: Iterable[str], at: str) -> dict[str, str]:
    return {name: entries.text(entry, name, at) for name in names}


def _share(entry: Mapping[str, Any], at: str) -> Share:
    entries.only(entry, SHARE, at)
    until = entries.moment(entry, "until", at) if "until" in entry else None
    values = _named(entry, ("id", "by", "label", "to", "purpose"), at)
    return Share(at=entries.moment(entry, "at", at), until=until, **values)


def _taken_back(entry: Mapping[str, Any], at: str) -> TakenBack:
    entries.only(entry, ("id", "at", "by", "share"), at)
    return TakenBack(at=entries.moment(entry, "at", at), **_named(entry, ("id", "by", "share"), at))


def _asked(entry: Mapping[str, Any], at: str) -> Asked:
    entries.only(entry, ("id", "from", "to", "move"), at)
    moves = []
    for _, move, place in entries.tables({"move": entry.get("move", [])}, ("move",), at):
        entries.only(move, ("id", "at", "by", "kind"), place)
        named = _named(move, ("id", "by", "kind"), place)
        _known(named["kind"], (*FORWARD[1:], DECLINED), "kind", place)
        moves.append(Move(at=entries.moment(move, "at", place), **named))
    named = _named(entry, ("id", "from", "to"), at)
    return Asked(id=named["id"], sender=named["from"], receiver=named["to"], moves=tuple(moves))


def _thread(entry: Mapping[str, Any], at: str) -> Thread:
    entries.only(entry, ("id", "title", "labels", "roles", "message"), at)
    messages = []
    for _, message, place in entries.tables({"message": entry.get("message", [])}, ("message",), at):
        entries.only(message, MESSAGE, place)
        if not isinstance(message.get("red", False), bool):
            raise BadInput("write true or false", f"{place}.red")
        messages.append(
            Message(
                at=entries.moment(message, "at", place),
                labels=frozenset(entries.texts(message, "labels", place)),
                to=entries.texts(message, "to", place),
                red=message.get("red", False),
                **_named(message, ("id", "by", "role", "text"), place),
            )
        )
    roles, labels = (frozenset(entries.texts(entry, name, at)) for name in ("roles", "labels"))
    return Thread(roles=roles, labels=labels, messages=tuple(messages), **_named(entry, ("id", "title"), at))


_READ = {"share": _share, "taken_back": _taken_back, "referral": _asked, "thread": _thread}
