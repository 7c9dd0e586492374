"""The first question somebody asks a clinic: what is asked next, how urgent the answers are, and what is read at once.

A request is a check-in with a book of its own (`planning/request.toml`): where the person is, a number to call back
and the local emergency number come first, then red flags, then everything else; each question may be declined, and
declined is unknown. An alarm is read from every answer that ever arrived, so that no later one takes it back. Nothing
here refuses anybody: what may stand in the way is said early, and a clinician decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from adjunct.assessment.lines import contact, emergency_text, lines_for
from adjunct.base import BadInput, partial_date, shown
from adjunct.due import Step, Window
from adjunct.followup import checkins
from adjunct.followup.checkins import CONTACT, DECLINED, SUICIDE, Answer, CheckIn, Question, alerts, chosen, value_of
from adjunct.followup.cover import DEFAULT_LANGUAGE, Cover, Told, contacts_in
from adjunct.followup.risk import Level
from adjunct.followup.stored import ago, check_in_to_fhir, written
from adjunct.followup.workflow import moment
from adjunct.items import Item
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import LOCAL
from adjunct.record import reader_of
from adjunct.sheet import Line, line

Json = dict[str, Any]
Request = CheckIn
BOOK = "request"
EMERGENCY, SAME_DAY, SOON, ROUTINE = LEVELS = ("emergency", "same-day", "soon", "routine")  # the most urgent first
SUICIDE_LEVELS = {Level.HIGH: EMERGENCY, Level.UNFINISHED: EMERGENCY, Level.MODERATE: SAME_DAY, Level.LOW: SOON}
FIRST = ("red-flags", SUICIDE)
UNDER_AGE, BIRTH_DATE = "under-age", "birth-date"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
STATEMENT_CATEGORY = "http://terminology.hl7.org/CodeSystem/medication-statement-category"
STATUSES = {"stopped": "stopped", "not-taken": "not-taken", "planned": "intended"}  # of an item as understood
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}\Z", re.ASCII)
_LINES = re.compile(r"[\n;]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Early:
    """What may stand in the way of what the person looks for: for the clinician, for the person, and from where."""

    id: str
    says: str
    tell: Line
    source: str
    locator: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """How urgent a request is at one instant: who answers until when, what the person reads, what is still to ask."""

    level: str
    because: tuple[str, ...]
    steps: tuple[Step, ...]
    told: Told
    early: tuple[Early, ...]
    open: tuple[str, ...]

    def to_dict(self) -> Json:
        """Plain values; instants in ISO 8601, UTC."""
        return {
            "level": self.level,
            "because": list(self.because),
            "steps": [
                {"id": s.id, "title": s.title, "owner": s.owner, "due": written(s.window.due)}
                | {"overdue": written(s.window.overdue), "basis": s.basis}
                for s in self.steps
            ],
            "told": self.told.to_dict(),
            "early": [asdict(early) for early in self.early],
            "open": list(self.open),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it was answered, and what it comes to."""

    request: Request
    triage: Triage

    @property
    def urgent(self) -> tuple[str, ...]:
        """What the person reads at once where somebody must act today, with whom to call; else nothing."""
        if self.triage.level not in (EMERGENCY, SAME_DAY):
            return ()
        return (*self.triage.told.lines, *(c.text for c in self.triage.told.contacts))

    def to_dict(self) -> Json:
        """Plain values."""
        return {"id": self.request.id, "language": self.request.language} | self.triage.to_dict()

    def to_json(self) -> str:
        """What `adjunct request --json` prints."""
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2).decode()

    def to_bundle(self) -> Json:
        """See `to_bundle`."""
        return to_bundle(self.request)


def asked(given: Mapping[str, Any], knowledge: Knowledge, *, name: str, now: int, language: str, cover: Cover) -> Asked:
    """The request that a file of answers makes at `now`, and its triage."""
    request = read(given, knowledge, name=name, at=now, language=language)
    return Asked(request=request, triage=triage(request, now=now, cover=cover))


# --- asking -----------------------------------------------------------------------------------------------------------


def begin(knowledge: Knowledge, *, name: str, language: str = DEFAULT_LANGUAGE) -> Request:
    """A request with nothing answered yet. `name` is its id and, in FHIR, that of its person; no real name.

    Raises `BadInput` for what is no FHIR id.
    """
    if not _ID.match(name):
        raise BadInput(f"not an id: {shown(name)}; write letters, digits, - and . only", "name")
    return CheckIn(knowledge=knowledge, id=name, set=BOOK, book=BOOK, phq=False, language=language)


receive = checkins.receive


def next_question(state: Request) -> Question | None:
    """The first question that is still open. In an emergency only where help should go: what follows is a person."""
    question = checkins.next_question(state)
    stop = question is not None and question.id not in CONTACT and any(a.level == EMERGENCY for a in alerts(state))
    return None if stop else question


def answers_of(
    given: Mapping[str, Any], knowledge: Knowledge, *, at: int, language: str = DEFAULT_LANGUAGE
) -> tuple[Answer, ...]:
    """A file of answers (question = value) as they arrived together at `at` (ms).

    Several choices or lines are a list; "declined" leaves a question open. Raises `BadInput` for a question that there
    is not and for a value that is none of its answers; its `advice` says what the others call for all the same.
    """
    state = begin(knowledge, name="file", language=language)
    flat = dict(each for key, value in given.items() for each in _flat(key, value))
    for name, value in flat.items():
        if isinstance(value, list) and name in state.questions and state.questions[name].kind == "text":
            flat[name] = "\n".join(str(each) for each in value)
    made = tuple(Answer(id=f"file-{name}", question=name, value=v, at=at, received=at) for name, v in flat.items())
    for name, value in flat.items():
        if problem := _problem(state.questions.get(name), name, value):
            sent = _with(state, made)
            urgent = [alert.tell for alert in alerts(sent)]
            if urgent or checkins.risk(sent).open:
                urgent.append(knowledge.say(sent.words["emergency"], emergency=emergency_text(sent.country, knowledge)))
            if checkins.risk(sent).open:
                today = written(at)[: len("2026-11-21")]
                urgent += [line.text for line in contacts_in(sent.country, knowledge, today=today)]
            raise BadInput(problem, name, advice=tuple(dict.fromkeys(urgent)))
    return made


def _flat(key: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{key}.{name}", inner)
    else:
        yield key, value


def _problem(question: Question | None, name: str, value: object) -> str:
    if question is None:
        return f"no such question: {shown(name)}; take it out, or write the id of a question"
    if checkins.readable(question, value) is None:
        allowed = ", ".join(v for v, _ in question.options) or f"a {question.kind}"
        return f"this is none of its answers; write {allowed}, or {DECLINED}"
    return ""


def _with(state: Request, answers: Iterable[Answer]) -> Request:
    for answer in answers:
        state = receive(state, answer)
    return state


def read(given: Mapping[str, Any], knowledge: Knowledge, *, name: str, at: int, language: str) -> Request:
    """The request that a file of answers makes."""
    return _with(begin(knowledge, name=name, language=language), answers_of(given, knowledge, at=at, language=language))


# --- how urgent it is -------------------------------------------------------------------------------------------------


def triage(state: Request, *, now: int, cover: Cover) -> Triage:
    """How urgent it is, by the most urgent of everything that was ever said, and by what is still open."""
    knowledge, data = state.knowledge, state.knowledge.content[BOOK]
    early = [e for e in data["early"] if _brought_up(state, e) or (e["id"] == UNDER_AGE and _minor(state, now))]
    reasons = [*_reasons(state), *((e["level"], f"early:{e['id']}") for e in early if "level" in e)]
    level = min((name for name, _ in reasons), key=LEVELS.index, default=ROUTINE)
    entry = next(each for each in data["level"] if each["id"] == level)
    received = min((a.received for a in state.answers), default=now)
    within = moment(entry["within"], received, received, knowledge)
    step = Step(
        id=f"request:{state.id}",
        what="request-answered",
        title=entry["title"],
        domain=BOOK,
        owner=cover.owner(entry["owner"]),
        window=Window(opens=received, due=received, overdue=within),
        basis=entry["within"],
    )
    shown_early = () if level == EMERGENCY else tuple(_early(e, state) for e in early)
    return Triage(
        level=level,
        because=tuple(dict.fromkeys(why for _, why in reasons)),
        steps=(step, *checkins.alert_steps(state, cover)),
        told=_told(state, entry, shown_early, youth=UNDER_AGE in {e["id"] for e in early}, now=now, cover=cover),
        early=shown_early,
        open=tuple(_open(state, now)),
    )


def _reasons(state: Request) -> Iterator[tuple[str, str]]:
    """Everything that makes it urgent, each with its level."""
    for alert in alerts(state):
        level = SOON if alert.level == ROUTINE else alert.level
        yield from ((level, f"said:{flag}") for flag in alert.flags)
    risk = checkins.risk(state)
    if risk.open:
        yield SUICIDE_LEVELS.get(risk.level, SAME_DAY), f"suicide:{risk.level}"
    open_: Mapping[str, str] = state.knowledge.content[BOOK]["open"]
    for name in FIRST:
        value = value_of(state, name)
        if value in (None, DECLINED):
            yield open_["declined" if value == DECLINED else "unanswered"], f"open:{name}"


def _brought_up(state: Request, entry: Mapping[str, Any]) -> bool:
    """Whether an answer brings it up, or something on the list of what is taken, even if nobody asked by its name."""
    if _answered(state, entry.get("unless", {})):
        return False
    if _answered(state, entry.get("when", {})):
        return True
    wanted = state.knowledge.members(entry.get("takes", ()))
    taken = (item for item in _items(state) if wanted and item.status == "current")
    return any(wanted & set(part.split("+")) for item in taken for part in (item.substance or "", *item.candidates))


def _answered(state: Request, wanted: Mapping[str, Sequence[str]]) -> bool:
    return any(chosen(state, question) & set(values) for question, values in wanted.items())


def _minor(state: Request, now: int) -> bool:
    """Whether the birth date leaves it open, or makes it certain, that the person is under age."""
    born = _born(state, now)
    if not born:
        return False
    year, rest = born[: len("1985")], born[len("1985") :]
    grown = f"{int(year) + round(state.knowledge.number('age.adult')):04d}"
    try:
        _, last = partial_date(grown + rest, timedelta(0))
    except BadInput:  # born on a 29th of February: of age with the end of that month
        _, last = partial_date(grown + rest[: len("-02")], timedelta(0))
    return now <= last


def _born(state: Request, now: int) -> str:
    """The birth date as stated; empty while it is open, declined or still to come."""
    born = value_of(state, BIRTH_DATE)
    known = isinstance(born, str) and born != DECLINED and born <= written(now)
    return str(born) if known else ""


def _early(entry: Mapping[str, Any], state: Request) -> Early:
    knowledge = state.knowledge
    return Early(
        id=entry["id"],
        says=knowledge.say(entry["says"]),
        tell=line(entry["tell"], state.language, knowledge),
        source=entry["source"]["id"],
        locator=entry["source"]["locator"],
        status=entry["status"],
    )


def _told(
    state: Request, level: Mapping[str, Any], early: Sequence[Early], *, youth: bool, now: int, cover: Cover
) -> Told:
    """The alarms first, then where help answers, who reads this when, and what may stand in the way."""
    knowledge, today = state.knowledge, cover.local(now).date().isoformat()
    first = checkins.shown_now(state, cover, now=now)
    contacts = contacts_in(state.country, knowledge, today=today)
    young = (contact(x, today, state.country, knowledge) for x in lines_for("youth", state.country, knowledge) if youth)
    lines = (*first.lines, line(level["tell"], state.language, knowledge).text, *(e.tell.text for e in early))
    return Told(lines=tuple(dict.fromkeys(lines)), contacts=tuple(dict.fromkeys((*contacts, *young))))


def _open(state: Request, now: int) -> Iterator[str]:
    """What the first visit asks: every question that is open or declined, and every name that was not understood."""
    book, words = checkins.entries(state.knowledge, BOOK), state.knowledge.content[BOOK]["ask"]
    for name in checkins.asked(state):
        if value_of(state, name) in (None, DECLINED) or (name == BIRTH_DATE and not _born(state, now)):
            yield book[name].get(
                "ask", state.knowledge.say(words["again"], question=book[name]["text"][DEFAULT_LANGUAGE])
            )
    for item in _items(state):
        if item.match != "known":
            yield state.knowledge.say(words["product"], text=shown(item.text))
    if len(_listed(state)) > len(_items(state)):
        yield state.knowledge.say(words["more"], lines=str(len(_items(state))))


# --- as a record ------------------------------------------------------------------------------------------------------


def to_bundle(state: Request) -> Json:
    """What was answered as a FHIR R4 Bundle that an assessment reads. All of it is the person's own word: conditions
    are unconfirmed, medicines stand in the words used, and nothing attests that anybody reviewed or reconciled it.
    """
    subject = {"reference": f"Patient/{state.id}"}
    at = max((a.received for a in state.answers), default=0)
    responses = check_in_to_fhir(
        state.answers,
        check_in=f"{BOOK}:{state.id}",
        patient_reference=subject["reference"],
        knowledge=state.knowledge,
        language=state.language,
        book=BOOK,
    )
    made = [_patient(state, at), *responses, *_conditions(state, subject, at), *_medicines(state, subject, at)]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": written(at),
        "entry": [{"fullUrl": f"urn:adjunct:{r['resourceType']}:{r['id']}", "resource": r} for r in made],
    }


def _patient(state: Request, at: int) -> Json:
    language = {"coding": [{"system": "urn:ietf:bcp:47", "code": state.language}]}
    patient: Json = {"resourceType": "Patient", "id": state.id, "communication": [{"language": language}]}
    if born := _born(state, at):
        patient["birthDate"] = born
    if state.country:
        patient["address"] = [{"use": "temp", "country": state.country}]
    return patient


def _named(state: Request, kind: str, subject: Mapping[str, str], **more: Any) -> Json:
    """One resource with an id that is the same whenever it is made again."""
    made = {"resourceType": kind, "subject": dict(subject)} | more
    return made | {"id": str(uuid5(NAMESPACE_URL, repr((BOOK, state.id, made))))}


def _conditions(state: Request, subject: Mapping[str, str], at: int) -> Iterator[Json]:
    options = checkins.entries(state.knowledge, BOOK)["health"]["options"]
    for option in options:
        if option["value"] not in chosen(state, "health"):
            continue
        for concept in option.get("concepts", ()):
            yield _named(
                state,
                "Condition",
                subject,
                verificationStatus={"coding": [{"system": VERIFICATION, "code": "unconfirmed"}]},
                code={"coding": [{"system": LOCAL, "code": concept}], "text": option["text"][DEFAULT_LANGUAGE]},
                recordedDate=written(at),
                recorder=dict(subject),
            )


def _listed(state: Request) -> tuple[str, ...]:
    """The lines of what is taken, each once."""
    text = value_of(state, "medicines")
    lines = _LINES.split(text) if isinstance(text, str) and text != DECLINED else []
    return tuple(dict.fromkeys(part.strip() for part in lines if part.strip()))


def _items(state: Request) -> tuple[Item, ...]:
    """What is taken, one line an item, as understood; no more lines than anybody takes things."""
    most = round(state.knowledge.number("request.items.most"))
    return tuple(reader_of(state.knowledge).read(part) for part in _listed(state)[:most])


def _medicines(state: Request, subject: Mapping[str, str], at: int) -> Iterator[Json]:
    for item in _items(state):
        yield _statement(state, subject, item.text, STATUSES.get(item.status, "active"), at)
    options = checkins.entries(state.knowledge, BOOK)["kratom"]["options"]
    use: Mapping[str, str] = next((o for o in options if o["value"] in chosen(state, "kratom")), {})
    if "status" not in use:
        return
    product = value_of(state, "kratom-product")
    named = product if isinstance(product, str) and product != DECLINED else "kratom"
    known = any("kratom" in s or "mitragynine" in s for s in _substances(state, named))
    text = named if known else f"kratom {named}"
    yield _statement(state, subject, f"{text}, daily" if use["value"] == "daily" else text, use["status"], at)
    last = next((a for a in reversed(state.answers) if a.question == "kratom-last-time"), None)
    period = ago(last, BOOK, state.knowledge) if last is not None else None
    if period is not None:
        component = {"code": _own("substance"), "valueCodeableConcept": {"text": "kratom"}}
        yield _named(
            state,
            "Observation",
            subject,
            status="final",
            code=_own("last_use"),
            effectiveDateTime=written(at),
            valuePeriod=period,
            component=[component],
        )


def _substances(state: Request, text: str) -> tuple[str, ...]:
    item = reader_of(state.knowledge).read(text)
    return (item.substance,) if item.match == "known" and item.substance else item.candidates


def _own(code: str) -> Json:
    return {"coding": [{"system": LOCAL, "code": code}]}


def _statement(state: Request, subject: Mapping[str, str], text: str, status: str, at: int) -> Json:
    return _named(
        state,
        "MedicationStatement",
        subject,
        status=status,
        category={"coding": [{"system": STATEMENT_CATEGORY, "code": "patientspecified"}]},
        medicationCodeableConcept={"text": text},
        dateAsserted=written(at),
        informationSource=dict(subject),
    )
