"""A check-in between visits: which question comes next, what an answer starts, and when the next one is due.

Two pure functions over what was answered so far: `next_question(state)` and `receive(state, answer)`. Where the person
is, a number to call back and the local emergency number come first; a suicide question comes every time. An alarm is
read from every answer that ever arrived, so that changing an answer cannot take it back; "I would rather not say" is
unknown, not no. Texts and sets: `followup/checkins.toml`; items of questionnaires come from their instrument file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any

from adjunct.assessment.lines import emergency_text
from adjunct.base import BadInput, partial_date
from adjunct.due import Step, Window
from adjunct.followup.cover import DEFAULT_LANGUAGE, Cover, Told, told, who_reads
from adjunct.followup.risk import SCREENER, Level
from adjunct.followup.workflow import URGENT, Event, moment, replay
from adjunct.followup.workflow import State as Risk
from adjunct.instruments import instrument, score
from adjunct.knowledge import Knowledge
from adjunct.messages import Message, read_message

PHQ, PHQ_FIRST = "phq9", ("i1", "i2")
DECLINED = "declined"  # "I would rather not say"
PAST_MONTH = ("q1", "q2", "q3", "q4", "q5")
SPOKEN = {1: "yes", 0: "no"}
SUICIDE, COUNTRY = "suicide", "country"
CONTACT = (COUNTRY, "place", "call-back")  # before anything else: where help would go
TRIES = 2
PERSON = "person"
DOMAIN = "check-in"
BOOK = "checkins"  # the knowledge that holds the questions; another book adds its own to these
_COUNTRY = re.compile(r"[A-Za-z]{2}\Z")
_PHONE = re.compile(r"[+(]?\d(?:[\s()./-]*\d){2,}\Z")
Reader = Callable[[Knowledge, str, str], Message]


def _reader(knowledge: Knowledge, text: str, country: str) -> Message:
    return read_message(knowledge, text, country=country)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the person sent: to which question, when it was true and when it arrived (ms). `id` names the submission."""

    id: str
    question: str
    value: object
    at: int
    received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question as it is shown. `intro` goes before an item of a questionnaire, `notice` is the local emergency
    number, `problem` says why it is asked again, `decline` is how one may leave it open, `credit` the publisher's line.
    """

    id: str
    kind: str
    text: str
    intro: str = ""
    options: tuple[tuple[str, str], ...] = ()
    least: float | None = None
    most: float | None = None
    notice: str = ""
    problem: str = ""
    decline: str = ""
    credit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckIn:
    """One check-in so far. `answers` are all that arrived, by true time and id; `phq`: whether PHQ-9 may be asked."""

    knowledge: Knowledge = field(repr=False, compare=False)
    id: str
    set: str
    phq: bool
    language: str = DEFAULT_LANGUAGE
    history_known: bool = False  # lifetime suicidal behaviour was learned before
    answers: tuple[Answer, ...] = ()
    book: str = BOOK
    reader: Reader = field(default=_reader, repr=False, compare=False)

    @property
    def words(self) -> Mapping[str, str]:
        texts: Mapping[str, Mapping[str, str]] = self.knowledge.content["checkins"]["words"]
        return texts.get(self.language, texts[DEFAULT_LANGUAGE])

    @property
    def questions(self) -> Mapping[str, Question]:
        return _questions(self.knowledge, self.book, self.language)

    @property
    def country(self) -> str:
        """Where the person says they are now (ISO code); empty while unknown: no country is a default."""
        value = value_of(self, COUNTRY)
        alias: Mapping[str, str] = self.knowledge.content["checkins"]["country_alias"]
        return alias.get(value, value) if isinstance(value, str) and value != DECLINED else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something in an answer that a named person must read, apart from suicide risk, and what was told at once."""

    id: str
    level: str
    flags: tuple[str, ...]
    tell: str
    at: int
    received: int


def begin(
    knowledge: Knowledge,
    step: Step,
    *,
    last_phq9: int | None,
    cover: Cover,
    language: str = DEFAULT_LANGUAGE,
    history_known: bool = False,
    reader: Reader = _reader,
) -> CheckIn:
    """A check-in for one step of the schedule; a weekly one asks PHQ-9 if the last is a week ago by calendar."""
    kind = step.id.rpartition(":")[-1]
    chosen = next((s for s in knowledge.content["checkins"]["set"] if s["id"] == kind), None)
    week = moment("phq9.interval", 0, 0, knowledge)
    days = cover.local(step.window.due).date() - cover.local(last_phq9 or 0).date()
    due = last_phq9 is None or days >= timedelta(milliseconds=week)
    return CheckIn(
        knowledge=knowledge,
        id=step.id,
        set=kind if chosen is not None else "daily",
        phq=chosen is not None and chosen["phq"] and due,
        language=language,
        history_known=history_known,
        reader=reader,
    )


# --- what was answered ------------------------------------------------------------------------------------------------


def receive(state: CheckIn, answer: Answer) -> CheckIn:
    """The check-in with one more answer, early or late, once. Total: what cannot be read is asked again."""
    timely = replace(answer, at=min(answer.at, answer.received))
    known = {(a.id, a.question, repr(a.value), a.at): a for a in (*state.answers, timely)}
    for a in (*state.answers, timely):  # the same one sent again keeps its first receipt
        key = a.id, a.question, repr(a.value), a.at
        known[key] = min(known[key], a, key=lambda e: e.received)
    order = sorted(known.values(), key=lambda a: (a.at, a.id, a.question, repr(a.value)))
    return replace(state, answers=tuple(order))


def value_of(state: CheckIn, question: str) -> object:
    """The last readable answer to a question; `declined`; or None while there is none."""
    asked = state.questions.get(question)
    if asked is None:
        return None
    read = (readable(asked, a.value) for a in reversed(state.answers) if a.question == question)
    return next((value for value in read if value is not None), None)


def readable(question: Question, value: object) -> object:
    """An answer as it counts, None if it cannot be read. Out of range is not the nearest end of the range."""
    if value == DECLINED or (value is None and question.kind == "text"):
        return DECLINED
    if question.kind in ("choice", "many"):
        allowed = {option for option, _ in question.options}
        said = [str(v) for v in value] if isinstance(value, list | tuple) else [str(value)]
        if not said or not set(said) <= allowed or (question.kind == "choice" and len(said) > 1):
            return None
        return tuple(said) if question.kind == "many" else said[0]
    text = str(value).strip()
    if question.kind == "date":
        return text if _is_date(text) else None
    if question.kind == COUNTRY:
        return text.upper() if _COUNTRY.match(text) else None
    if question.kind == "phone":
        return text if _PHONE.match(text) else None
    if question.kind == "scale":
        number = int(float(text)) if re.fullmatch(r"\d+(\.0+)?", text, re.ASCII) else None
        inside = number is not None and (question.least or 0) <= number <= (question.most or 0)
        return number if inside else None
    return text or DECLINED


def _is_date(text: str) -> bool:
    try:
        partial_date(text, timedelta(0))
    except BadInput:
        return False
    return True


def results(state: CheckIn) -> dict[str, Any]:
    """What was answered, by question: None is unanswered or unreadable, `declined` is declined; PHQ-9 by its items."""
    plain = {q: value_of(state, q) for q in _set(state)["questions"]}
    items = {i: _item_value(state, PHQ, i) for i in _shipped(state.knowledge, PHQ)} if state.phq else {}
    return plain | {PHQ: items}


def _item_value(state: CheckIn, name: str, item: str) -> object:
    value = value_of(state, f"{name}.{item}")
    return None if value == DECLINED else value


# --- which question comes next ----------------------------------------------------------------------------------------


def next_question(state: CheckIn) -> Question | None:
    """The first question that is not answered yet; None when the check-in is over.

    A suicide trigger brings the screener's questions next, as soon as it is known where the person is; once they come
    to HIGH or cannot be finished, nothing more is asked: what follows is a person. What could not be read twice is left
    open: no field stands between a person and the next question.
    """
    table = state.questions
    for name in _wanted(state):
        sent = sum(a.question == name for a in state.answers)
        if value_of(state, name) is None and sent < TRIES:
            number = emergency_text(state.country, state.knowledge)
            return replace(
                table[name],
                notice=state.knowledge.say(state.words["emergency"], emergency=number),
                problem=_problem(state, table[name]) if sent else "",
            )
    return None


def _wanted(state: CheckIn) -> Iterator[str]:
    names = asked(state)
    cut = names.index(SUICIDE) + 1
    if _triggers(state):
        begun = {a.question for a in state.answers} & {SUICIDE}  # an answer that cannot be read is asked again first
        yield from (name for name in names if name in CONTACT or name in begun)
        yield from _screener(state)
        if _screen_level(state) in (Level.HIGH, Level.UNFINISHED):
            return
    yield from names[:cut]
    if state.phq:
        yield from _phq(state)
    yield from names[cut:]


def asked(state: CheckIn) -> list[str]:
    """The questions of the set that apply after what was answered, in their order."""
    return [name for name in _set(state)["questions"] if _applies(state, name)]


def _applies(state: CheckIn, name: str) -> bool:
    """Whether a question is asked: always, or only after certain answers to others, or unless these were given."""
    entry = entries(state.knowledge, state.book)[name]
    return all(chosen(state, q) & set(values) for q, values in entry.get("when", {}).items()) and not any(
        chosen(state, q) & set(values) for q, values in entry.get("unless", {}).items()
    )


def chosen(state: CheckIn, question: str) -> frozenset[str]:
    """The options of a question that stand now; empty while it is open or declined."""
    value = value_of(state, question)
    return frozenset(value if isinstance(value, tuple) else () if value in (None, DECLINED) else (str(value),))


def _screener(state: CheckIn) -> Iterator[str]:
    """Items 1 and 2; 3 to 5 unless 2 is no; 6; how recent unless 6 is no. Nothing without the publisher's wording."""
    shipped = _shipped(state.knowledge, SCREENER)
    value = {item: value_of(state, f"{SCREENER}.{item}") for item in shipped}
    for item in shipped:
        skipped = (item in ("q3", "q4", "q5") and value.get("q2") == "no") or (
            item == "q6_recent" and value.get("q6") == "no"
        )
        if not skipped:
            yield f"{SCREENER}.{item}"


def _phq(state: CheckIn) -> Iterator[str]:
    """The first two items, and the other seven if these reach the limit or one of them is open."""
    items = _shipped(state.knowledge, PHQ)
    if not items:
        return
    first = [_item_value(state, PHQ, i) for i in PHQ_FIRST]
    yield from (f"{PHQ}.{i}" for i in PHQ_FIRST)
    known = [float(str(v)) for v in first if v is not None]
    if len(known) < len(first) or sum(known) >= state.knowledge.number("phq2.go_on"):
        yield from (f"{PHQ}.{i}" for i in items if i not in PHQ_FIRST)


def _set(state: CheckIn) -> Mapping[str, Any]:
    sets: Sequence[Mapping[str, Any]] = state.knowledge.content[state.book]["set"]
    return next(s for s in sets if s["id"] == state.set)


@cache
def _shipped(knowledge: Knowledge, name: str) -> tuple[str, ...]:
    """The items of a questionnaire that may be shown: only in the publisher's wording, all of them or none."""
    given = knowledge.instruments.get(name, {})
    items = [i for i in given.get("item", ()) if not i.get("extra")]
    shipped = given.get("licence", {}).get("text") == "shipped" and all(i.get("text") for i in items)
    return tuple(i["id"] for i in items) if shipped else ()


@cache
def entries(knowledge: Knowledge, book: str) -> Mapping[str, Mapping[str, Any]]:
    """Every question of a book as it is written there, by name; those of the check-ins belong to each."""
    return {q["id"]: q for each in dict.fromkeys((BOOK, book)) for q in knowledge.content[each]["question"]}


@cache
def _questions(knowledge: Knowledge, book: str, language: str) -> Mapping[str, Question]:
    """Every question by name, in a language or else in English."""
    words = knowledge.content[BOOK]["words"]
    words = words.get(language, words[DEFAULT_LANGUAGE])

    def say(texts: Mapping[str, str]) -> str:
        return knowledge.say(_in(texts, language), language)

    found = {}
    for entry in entries(knowledge, book).values():
        found[entry["id"]] = Question(
            id=entry["id"],
            kind=entry["kind"],
            text=say(entry["text"]),
            options=tuple((o["value"], say(o["text"])) for o in entry.get("options", ())),
            least=entry.get("least"),
            most=entry.get("most"),
            decline=words["rather_not"],
        )
    for name in (SCREENER, PHQ):
        given = knowledge.instruments.get(name, {})
        for item in given.get("item", ()):
            if item["id"] in _shipped(knowledge, name):
                found[f"{name}.{item['id']}"] = _item_question(name, given, item, words)
    return found


def _item_question(name: str, given: Mapping[str, Any], item: Mapping[str, Any], words: Mapping[str, str]) -> Question:
    options = next((a["options"] for a in given.get("answers", ()) if a["id"] == item.get("answers")), ())
    if item["kind"] == "yes-no":
        choices = tuple((SPOKEN[o["value"]], str(o.get("text", SPOKEN[o["value"]]))) for o in options)
    else:
        choices = tuple((f"{o['value']:g}", str(o.get("text", o["value"]))) for o in options)
    intro = words["past_month"] if name == SCREENER and item["id"] in PAST_MONTH else ""
    return Question(
        id=f"{name}.{item['id']}",
        kind="choice",
        text=item["text"],
        intro=str(given.get("instruction", intro)),
        options=choices,
        decline=words["rather_not"],
        credit=given["licence"].get("notice", ""),
    )


def _problem(state: CheckIn, question: Question) -> str:
    texts = state.words
    if question.kind == "scale":
        return state.knowledge.say(texts["again_scale"], least=f"{question.least:g}", most=f"{question.most:g}")
    return texts.get(f"again_{question.kind}", texts["again"])


def _in(texts: Mapping[str, str], language: str) -> str:
    return texts.get(language, texts[DEFAULT_LANGUAGE])


# --- what the answers start -------------------------------------------------------------------------------------------


def events(state: CheckIn) -> tuple[Event, ...]:
    """What the workflow of suicide risk must know: one trigger for each alarm, one part of a screen for each answer."""
    screened = {f"{SCREENER}.{item}": item for item in _shipped(state.knowledge, SCREENER)}
    found = list(_triggers(state))
    for a in state.answers:
        if a.question in screened:
            said = readable(state.questions[a.question], a.value)
            data: dict[str, Any] = {"screen": state.id, "answers": {screened[a.question]: said}}
            if state.history_known:
                data["first_known"] = False
            found.append(_event(state, a, "screen", data))
    return tuple(found)


def _triggers(state: CheckIn) -> tuple[Event, ...]:
    """The suicide question answered with anything but no, the alerts of PHQ-9, and words in a message."""
    found = []
    for a in state.answers:
        data: dict[str, Any] = {"screen": state.id}
        if a.question == SUICIDE and readable(state.questions[SUICIDE], a.value) != "no":
            found.append(_event(state, a, "trigger", data | {"kind": "check-in"}))
        elif a.question.startswith(f"{PHQ}.") and _raises(state, a):
            found.append(_event(state, a, "trigger", data | {"kind": "phq9-item9"}))
        message = _message(state, a)
        if message is not None and SCREENER in message.asks:
            urgency = {"urgency": message.level} if message.level == URGENT else {}
            words = data | {"kind": "free-text", "flags": message.flags} | urgency
            found.append(replace(_event(state, a, "trigger", words), id=f"{state.id}/{a.id}/words-{a.question}"))
    return tuple(found)


def _event(state: CheckIn, a: Answer, kind: str, data: Mapping[str, Any]) -> Event:
    return Event(
        id=f"{state.id}/{a.id}/{kind}-{a.question}",
        at=a.at,
        received=a.received,
        type=kind,
        by=PERSON,
        source=PERSON,
        data=data,
    )


def _raises(state: CheckIn, a: Answer) -> bool:
    """Whether this one answer, whatever else is missing, raises the suicide alert; declined counts as its highest."""
    question = state.questions.get(a.question)
    value = readable(question, a.value) if question is not None else None
    if question is None or value is None:
        return False
    highest = max((option for option, _ in question.options), key=float)
    return _alarming(state.knowledge, a.question.removeprefix(f"{PHQ}."), str(highest if value == DECLINED else value))


@cache
def _alarming(knowledge: Knowledge, item: str, value: str) -> bool:
    return any(said.level == "suicide" for said in score(instrument(knowledge, PHQ), {item: value}).says)


def _message(state: CheckIn, a: Answer) -> Message | None:
    """What was recognised in a free text; words sent to a question that is none here are read too."""
    question = state.questions.get(a.question)
    if (
        isinstance(a.value, str)
        and a.value.strip()
        and (question is None or readable(question, a.value) is None or question.kind == "text")
    ):
        return state.reader(state.knowledge, a.value, state.country)
    return None


def alerts(state: CheckIn) -> tuple[Alert, ...]:
    """What a named person must read apart from suicide risk: other red flags in words, and urgent side effects."""
    found = []
    for a in state.answers:
        message = _message(state, a)
        if message is not None and message.level != "none":
            found.append(_alert(state, a, message.level, message.flags, message.tell))
        for option in _options(state, a):
            said = state.knowledge.say(
                _in(option["tell"], state.language), emergency=emergency_text(state.country, state.knowledge)
            )
            found.append(_alert(state, a, option["level"], (option["value"],), said))
    first: dict[str, Alert] = {}  # sent again, it keeps the clock that began
    for alert in sorted(found, key=lambda alert: alert.received):
        first.setdefault(alert.id, alert)
    return tuple(first.values())


def of_suicide(alert: Alert, knowledge: Knowledge) -> bool:
    """Whether words spoke of suicide and of nothing else: the risk workflow has them, and no second task is due."""
    return bool(alert.flags) and set(alert.flags) <= _suicide_flags(knowledge)


@cache
def _suicide_flags(knowledge: Knowledge) -> frozenset[str]:
    flags = (flag for file in knowledge.content["lexicons"] for flag in file.get("flag", ()))
    return frozenset(flag.get("shows", flag["id"]) for flag in flags if flag["kind"] == SUICIDE)


def _options(state: CheckIn, a: Answer) -> Iterable[Mapping[str, Any]]:
    """The options chosen that carry an urgency of their own."""
    entry = entries(state.knowledge, state.book).get(a.question, {})
    said = [str(v) for v in a.value] if isinstance(a.value, list | tuple) else [str(a.value)]
    return (o for o in entry.get("options", ()) if "level" in o and o["value"] in said)


def _alert(state: CheckIn, a: Answer, level: str, flags: tuple[str, ...], tell: str) -> Alert:
    return Alert(
        id=f"{state.id}/{a.id}/{'+'.join(flags)}", level=level, flags=flags, tell=tell, at=a.at, received=a.received
    )


def alert_steps(state: CheckIn, cover: Cover) -> tuple[Step, ...]:
    """One task of a named person for each alert; its clock starts at receipt."""
    settings = state.knowledge.content[BOOK]["message"]
    return tuple(
        Step(
            id=f"message:{alert.id}",
            what="message-read",
            title=settings["title"],
            domain=DOMAIN,
            owner=cover.owner(settings["owner"]),
            window=Window(
                opens=alert.received,
                due=alert.received,
                overdue=moment(settings[alert.level], alert.received, alert.received, state.knowledge),
            ),
            basis=settings[alert.level],
        )
        for alert in alerts(state)
    )


def risk(state: CheckIn) -> Risk:
    """What this check-in alone comes to in the workflow of suicide risk."""
    return replay(state.knowledge, events(state))


def _screen_level(state: CheckIn) -> Level:
    """The level of the screener once every item of it is answered or declined; until then it is not known."""
    if any(value_of(state, name) is None for name in _screener(state)):
        return Level.UNKNOWN
    return risk(state).level


def shown_now(state: CheckIn, cover: Cover, *, now: int) -> Told:
    """What the person sees beside the questions: who reads this when, the local numbers, what an alarm asks of them.

    Nobody is promised a call.
    """
    found = [alert.tell for alert in alerts(state)]
    triggers = _triggers(state)
    if triggers:
        open_ = told(risk(state).reads, state.knowledge, cover, country=state.country, now=now, language=state.language)
        by_person = () if _shipped(state.knowledge, SCREENER) else (state.words["no_screen"],)
        return replace(open_, lines=(*dict.fromkeys((*found, *open_.lines)), *by_person))
    texts = state.knowledge.content["workflow"]["tell"]
    reading = who_reads(cover, texts.get(state.language, texts[DEFAULT_LANGUAGE]), state.knowledge, now=now)
    first = state.words["thanks"] if next_question(state) is None else state.words["start"]
    emergency = state.knowledge.say(state.words["emergency"], emergency=emergency_text(state.country, state.knowledge))
    return Told(lines=tuple(dict.fromkeys((*found, first, emergency, reading))))
