"""Adjunct: checks what people take beside an antidepressant, and assesses readiness for supervised ketamine care.

>>> import adjunct
>>> result = adjunct.check(["sertraline 100 mg daily", "phenelzine 45 mg"])
>>> result.verdict
'contraindicated'

These calls are shells: `at=None` means the machine's clock, and nothing below them reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adjunct.assessment import Assessment
    from adjunct.base import Instant
    from adjunct.clinic import Timetable
    from adjunct.fhir import Bundle
    from adjunct.followup import FollowUp
    from adjunct.instruments import Score
    from adjunct.knowledge import Knowledge
    from adjunct.messages import Message
    from adjunct.pharmacology.interaction import ExposureRatio
    from adjunct.pharmacology.simulation import Exposure
    from adjunct.planning import Planned
    from adjunct.planning.request import Asked
    from adjunct.routine import Routine
    from adjunct.session import Event, Held, Replayed, Tick

__version__ = "0.1.0"
__all__ = [
    "Knowledge",
    "assess",
    "check",
    "follow",
    "interact",
    "plan",
    "rehearse",
    "replay",
    "report",
    "request",
    "schedule",
    "score",
    "simulate",
    "suggest",
    "triage",
    "watch",
]


def check(
    items: Sequence[str],
    *,
    conditions: Sequence[str] = (),
    age: float | None = None,
    country: str | None = None,
    jurisdiction: str | None = None,
    at: str | None = None,
    knowledge: Knowledge | None = None,
) -> Assessment:
    """Check a list of what somebody takes, in their own words.

    `items`: such as "kratum powder 5g 3x/day"; `conditions`: names as people say them; `age` in years; `country`
    (ISO 3166-1) is where the person is now and decides whom to call; `jurisdiction` (ISO 3166-2, "US-TX") whose law
    is shown; `at` an instant with its offset. Raises `BadInput` for what cannot be read, `Refused` without knowledge.
    """
    from adjunct.assessment import check_items

    return check_items(
        items,
        knowledge or _knowledge(),
        conditions=conditions,
        age=age,
        country=(country or "").upper(),
        jurisdiction=(jurisdiction or "").upper(),
        now=_instant(at),
    )


def assess(
    bundle: Mapping[str, Any] | bytes | str | Path | IO[bytes],
    *,
    treatment: str,
    phase: str = "intake",
    at: str | None = None,
    country: str | None = None,
    knowledge: Knowledge | None = None,
) -> Assessment:
    """Assess one person's FHIR R4 Bundle for a treatment and a phase of care.

    `treatment`: ketamine-iv, ketamine-im, ketamine-sc, esketamine-nasal or none; `phase`: intake, pre-dose, during,
    discharge or follow-up; `at` an instant with its offset (default: now).
    """
    from adjunct.assessment import assess as weigh
    from adjunct.base import BadInput, shown
    from adjunct.fhir import read_bundle
    from adjunct.knowledge.entries import NONE, TREATMENTS
    from adjunct.knowledge.language import PHASES
    from adjunct.record import from_bundle

    for name, value, allowed in (("treatment", treatment, (*TREATMENTS, NONE)), ("phase", phase, PHASES)):
        if value not in allowed:
            raise BadInput(f"{name} {shown(value)} is not one of {', '.join(allowed)}")
    known = knowledge or _knowledge()
    record = from_bundle(read_bundle(bundle), known, now=_instant(at), phase=phase, country=(country or "").upper())
    result = weigh(record, known, treatment=treatment)
    if record.refusal:
        urgent = tuple(f.tell or f.says for f in result.findings if f.action == "emergency")
        raise BadInput(record.refusal, "Patient.birthDate", advice=urgent)
    return result


def simulate(
    model_or_drug: str,
    *,
    dose: str,
    route: str,
    weight: float | None = None,
    over: str | None = None,
    age: float | None = None,
    repeat: str | None = None,
    missed: Sequence[int] = (),
    pauses: Sequence[str] = (),
    stop: str | None = None,
    hours: float | None = None,
    above: str | None = None,
    n: int | None = None,
    seed: int = 1,
    knowledge: Knowledge | None = None,
    **covariates: float,
) -> Exposure:
    """The concentrations that published models predict: a drug runs every model valid for this person and route.

    `dose` with its unit ("0.5 mg/kg", "56 mg"), `over` a duration ("40 min"), `weight` in kg, `age` in years, `repeat`
    such as "2x/week for 4 weeks" with the numbers of `missed` doses, `pauses` of an infusion ("20 min for 10 min") and
    its early `stop` ("30 min"), `hours` how long to look, `above` a level with its unit; `n` people (None: 100) that
    differ as published, the same for the same `seed`. Raises `OutsideModel` where no model speaks of such a person,
    dose or route, and other `BadInput` for what cannot be read.
    """
    from adjunct.pharmacology.simulation import simulate as run

    return run(
        knowledge or _knowledge(),
        model_or_drug,
        dose=dose,
        route=route,
        weight_kg=weight,
        over=over,
        age_a=age,
        repeat=repeat,
        missed=missed,
        pauses=pauses,
        stop=stop,
        hours=hours,
        above=above,
        n=n,
        seed=seed,
        covariates=covariates,
    )


def interact(
    victim: str,
    perpetrators: str | Sequence[str],
    *,
    victim_route: str = "oral",
    regimen: str | None = None,
    phenotype: Mapping[str, str] | None = None,
    stopped_h: float | None = None,
    lag_h: float | None = None,
    predict: bool = False,
    knowledge: Knowledge | None = None,
) -> ExposureRatio:
    """How the exposure of `victim` changes beside `perpetrators`: observed in people first, else predicted.

    `regimen` of the perpetrator ("20 mg daily, 9 d"), `phenotype` such as {"CYP2D6": "poor"}, `stopped_h` hours since
    the perpetrator was stopped, `lag_h` hours from the perpetrator to the victim; `predict` leaves out what was
    measured. Raises `CannotPredict` with the missing input; it never answers 1 for what it does not know.
    """
    from adjunct.pharmacology.interaction import interact as run

    return run(
        knowledge or _knowledge(),
        victim,
        [perpetrators] if isinstance(perpetrators, str) else list(perpetrators),
        victim_route=victim_route,
        regimen=regimen,
        phenotype=phenotype,
        stopped_h=stopped_h,
        lag_h=lag_h,
        predict=predict,
    )


def score(
    instrument: str,
    answers: Sequence[object] | Mapping[str, object],
    *,
    form: str | None = None,
    version: int | str | None = None,
    knowledge: Knowledge | None = None,
) -> Score:
    """Score one questionnaire: total, band, subscales, alerts.

    `instrument` by id or title, case and hyphens ignored ("phq-9"); `answers` in printed order, None where one is
    missing, "na" where it does not apply, or by item id; `form` such as "woman" where bands differ; `version` the
    edition that was filled in. A total that cannot be computed is None, with its reason. Raises `BadInput` for another
    number of answers or another edition; its `advice` says what the answers that did arrive call for all the same.

    >>> import adjunct
    >>> adjunct.score("phq-9", [1, 1, 1, 1, 0, 1, 0, 0, 1]).alerts
    ('suicide_item',)
    """
    from adjunct.instruments import instrument as find
    from adjunct.instruments import score as run

    return run(find(knowledge or _knowledge(), instrument), answers, form=form, version=version)


def follow(
    bundle: Mapping[str, Any] | bytes | str | Path | IO[bytes],
    *,
    at: str | None = None,
    country: str | None = None,
    route: str | None = None,
    level: float | None = None,
    settings: Mapping[str, Any] | None = None,
    knowledge: Knowledge | None = None,
) -> FollowUp:
    """Follow one person's course from a FHIR R4 Bundle: change, trajectory, warnings, suicide risk, what is due.

    `country` (ISO 3166-1) is where the person is now and decides whom to call; `route` ("iv", "nasal" ...) how doses
    are given where the record does not say; `level` the chance of having lost half of the gain that the interval
    review looks for; `settings` the clinic's hours, people and own expected course. Raises `BadInput` for what cannot
    be read; for an option, its `advice` says what the record calls for all the same.
    """
    from adjunct.base import BadInput
    from adjunct.fhir import read_bundle
    from adjunct.followup import follow as run
    from adjunct.record import from_bundle

    known, now = knowledge or _knowledge(), _instant(at)
    read = read_bundle(bundle)
    record = from_bundle(read, known, now=now, phase="follow-up", country=(country or "").upper())
    try:
        return run(read, record, known, route=route, level=level, settings=settings)
    except BadInput as error:  # an option that cannot be read must not keep back an alarm that the record holds
        error.advice = (*error.advice, *_urgent(run(read, record, known)))
        raise


def _urgent(result: FollowUp) -> tuple[str, ...]:
    """What somebody must do now, each once."""
    return tuple(dict.fromkeys(str(alert["tell"] or alert["says"]) for alert in result.alerts))


def plan(
    bundle: Bundle | Mapping[str, Any] | bytes | str | Path | IO[bytes],
    *,
    protocol: str,
    start: str,
    clinic: Mapping[str, Any] | None = None,
    order: Mapping[str, Any] | None = None,
    override: str | None = None,
    at: str | None = None,
    country: str | None = None,
    language: str = "en",
    knowledge: Knowledge | None = None,
) -> Planned:
    """Plan one course for one person from a FHIR R4 Bundle: visits with windows, what comes before, reviews, due steps.

    `protocol` such as "esketamine-trd"; `start` the day of the first visit ("2027-01-11"); `clinic` its file as plain
    values: hours, zone, settings within their bounds; `order` what people decided for this person: changes, tapers,
    companions, contact; `override` "NAME: reason" of a prescriber for somebody who is not eligible; `language` of the
    words for the person (en, es). An emergency gives no plan (status "none"), something open one that begins with it.
    Raises `BadInput` for what cannot be planned; its `advice` says what the record calls for all the same.
    """
    from adjunct.base import BadInput
    from adjunct.clinic import Clinic
    from adjunct.fhir import Bundle, read_bundle
    from adjunct.planning import plan as run
    from adjunct.planning.log import day
    from adjunct.planning.person import urgent
    from adjunct.sheet import language as known_language

    known, now = knowledge or _knowledge(), _instant(at)
    read, where = bundle if isinstance(bundle, Bundle) else read_bundle(bundle), (country or "").upper()
    try:
        begins, place, spoken = day(start, "--start"), Clinic.of(clinic, known), known_language(language)
    except BadInput as error:  # a fault of a file keeps back nothing that the record calls for at once
        error.advice = (*error.advice, *urgent(read, known, now=now, country=where))
        raise
    return run(
        read,
        known,
        protocol_name=protocol,
        start=begins,
        clinic=place,
        now=now,
        order=order,
        override=override,
        country=where,
        language=spoken,
    )


def _red_flags(
    bundle: Mapping[str, Any] | bytes | str | Path | IO[bytes], *, at: str | None, country: str | None
) -> tuple[str, ...]:
    """What a record calls for at once, for a question that cannot be answered; nothing of one that cannot be read."""
    from adjunct.base import BadInput
    from adjunct.fhir import read_bundle
    from adjunct.planning.person import urgent

    try:
        return urgent(read_bundle(bundle), _knowledge(), now=_instant(at), country=(country or "").upper())
    except BadInput as error:
        return tuple(error.advice)


def report(
    bundle: Mapping[str, Any] | bytes | str | Path | IO[bytes],
    out: str | Path,
    *,
    protocol: str,
    start: str,
    clinic: Mapping[str, Any] | None = None,
    order: Mapping[str, Any] | None = None,
    override: str | None = None,
    at: str | None = None,
    country: str | None = None,
    language: str = "en",
    knowledge: Knowledge | None = None,
) -> tuple[Path, ...]:
    """Write one person's papers to a folder, as pages and PDF: all of them, or none. Arguments as of `plan`.

    Report, care plan, preparation, aftercare, the escort's sheet, consent, routine, safety plan, handover, calendar.
    In an emergency there is no plan and the report says whom to call.
    """
    from adjunct.documents.folder import write_folder
    from adjunct.fhir import read_bundle
    from adjunct.followup import follow as run
    from adjunct.record import from_bundle

    known, read = knowledge or _knowledge(), read_bundle(bundle)
    now = _instant(at)
    made = plan(
        read,
        protocol=protocol,
        start=start,
        clinic=clinic,
        order=order,
        override=override,
        at=now.iso(),
        country=country,
        language=language,
        knowledge=known,
    )
    record = from_bundle(read, known, now=now, phase="follow-up", country=(country or "").upper())
    return write_folder(made, run(read, record, known, settings=clinic), known, Path(out))


def suggest(
    bundle: Mapping[str, Any] | bytes | str | Path | IO[bytes],
    *,
    order: Mapping[str, Any] | None = None,
    clinic: Mapping[str, Any] | None = None,
    energy: int | None = None,
    pain: int | None = None,
    session: str | None = None,
    at: str | None = None,
    country: str | None = None,
    language: str = "en",
    knowledge: Knowledge | None = None,
) -> Routine:
    """Suggest a routine: what the person chose, fitted to the day, and what they may choose next.

    `order` holds what was decided under [routine]; `energy` and `pain` are 0 to 10, today; `session` is the instant of
    the session of today or of the last one.
    """
    from adjunct.base import BadInput, instant
    from adjunct.clinic import Clinic
    from adjunct.fhir import read_bundle
    from adjunct.planning.person import urgent
    from adjunct.record import from_bundle
    from adjunct.routine import choices_of
    from adjunct.routine import routine as run

    known, now = knowledge or _knowledge(), _instant(at)
    read, where = read_bundle(bundle), (country or "").upper()
    try:
        choices, log = choices_of((order or {}).get("routine", {}), known)
        record = from_bundle(read, known, now=now, phase="follow-up", country=where)
        return run(
            record,
            known,
            choices=choices,
            log=log,
            now=now,
            cover=Clinic.of(clinic, known).cover,
            language=language,
            country=record.country,
            energy=energy,
            pain=pain,
            session_at=None if session is None else instant(session, "--session").ms,
        )
    except BadInput as error:  # what is wrong with the question keeps back nothing that the record calls for at once
        error.advice = (*error.advice, *urgent(read, known, now=now, country=where))
        raise


def schedule(
    requests: Sequence[Mapping[str, Any]],
    *,
    clinic: Mapping[str, Any],
    at: str | None = None,
    best: bool = False,
    cancelled: Sequence[str] = (),
    knowledge: Knowledge | None = None,
) -> Timetable:
    """Place visits into a clinic's chairs, rooms, staff and hours. What cannot be placed says why, and what would help.

    `requests` as plain values (see the example `visits.json`); `best` looks for a better timetable with OR-tools;
    `cancelled` are ids of visits whose places are free again: the answer says to whom each is offered.
    """
    from dataclasses import replace

    from adjunct.clinic import Clinic, confirm, rebook
    from adjunct.clinic import requests as read
    from adjunct.clinic import schedule as run

    known, now = knowledge or _knowledge(), _instant(at).ms
    place, asked = Clinic.of(clinic, known), read(requests)
    if best:
        from adjunct.clinic.optimise import optimise as run
    found = run(asked, place, now=now)
    found = rebook(found, place, cancelled=cancelled, now=now) if cancelled else found
    return replace(found, steps=tuple(step for b in found.booked for step in confirm(b, place, known)))


def request(
    answers: Mapping[str, Any],
    *,
    clinic: Mapping[str, Any] | None = None,
    at: str | None = None,
    language: str = "en",
    name: str = "request",
    knowledge: Knowledge | None = None,
) -> Asked:
    """Read what somebody answered to a clinic's first questions: how urgent, what they read at once, what is open.

    `answers`: question = value; `name` is an id, no real name. Red flags come before anything else, and what is wrong
    with an answer does not keep them back (`BadInput.advice`).
    """
    from adjunct.base import BadInput
    from adjunct.clinic import Clinic
    from adjunct.planning.request import asked

    known, now = knowledge or _knowledge(), _instant(at).ms
    try:
        cover = Clinic.of(clinic, known).cover
    except BadInput as error:
        usual = Clinic.of(None, known).cover
        error.advice = asked(answers, known, name=name, now=now, language=language, cover=usual).urgent
        raise
    return asked(answers, known, name=name, now=now, language=language, cover=cover)


def rehearse(
    scenario: str, *, seed: int = 1, wire: str = "hl7", knowledge: Knowledge | None = None
) -> Iterator[Event | Held]:
    """Play a treatment day with simulated monitors: what people write and what monitors send, as it arrives.

    `scenario` such as "hypertensive-surge"; the same `seed` plays the same day; `wire` is how the monitors speak
    (hl7, fhir). Nobody in it is real. Raises `BadInput` for an unknown name, and lists those there are.
    """
    from adjunct.devices.simulator import heard
    from adjunct.devices.simulator import scenario as played

    known = knowledge or _knowledge()
    return heard(played(scenario, seed, known, wire=wire), known)


def replay(
    log: str | Path | bytes | Iterable[Event | Held],
    *,
    at: str | None = None,
    clinic: Mapping[str, Any] | None = None,
    knowledge: Knowledge | None = None,
) -> Replayed:
    """Read the log of a treatment day back: state, alarms, what is due, gaps, what was kept aside.

    `log` is the path of JSON Lines, their bytes, or items already read; `at` the instant to look from (default: the
    last one that the log speaks of); `clinic` its file as plain values, for the number that first actions name. A line
    that cannot be read is kept aside with the reason; nothing is lost.
    """
    from adjunct.base import BadInput, instant
    from adjunct.session import Shape, read_items
    from adjunct.session import replay as run

    known = knowledge or _knowledge()
    if isinstance(log, (str, Path)):
        path = Path(log)
        try:
            log = path.read_bytes()
        except OSError as error:
            raise BadInput(f"the log cannot be read ({error.strerror})", path.name) from None
    items = read_items(log.splitlines(), Shape.of(known)) if isinstance(log, bytes) else log
    now = None if at is None else instant(at, "--at").ms
    try:
        number = _emergency(clinic, known)
    except BadInput as error:  # a fault of a file keeps back nothing that the log calls for at once
        alarms = [a for s in run(items, known, at=now).to_dict()["sessions"] for a in s["alarms"]]
        standing = (a for a in alarms if a["standing"] and a["level"] == "emergency")
        error.advice = (*error.advice, *(says for alarm in standing for says in alarm["do"]))
        raise
    return run(items, known, at=now, emergency=number)


def watch(
    items: Iterable[Event | Held],
    *,
    clock: Iterable[int],
    clinic: Mapping[str, Any] | None = None,
    knowledge: Knowledge | None = None,
) -> Iterator[Tick]:
    """Watch a day as it arrives: after every item, and at every instant of `clock` (ms since 1970 UTC, in order).

    The same items and the same clock give the same states, alarms and duties, wherever they are looked at. `clinic` is
    its file as plain values, for the number that first actions name.
    """
    from adjunct.session import watch as run

    known = knowledge or _knowledge()
    return run(items, clock, known, _emergency(clinic, known))


def _emergency(clinic: Mapping[str, Any] | None, knowledge: Knowledge) -> str:
    """The number that this clinic calls; empty where it has told none."""
    from adjunct.clinic import Clinic

    return Clinic.of(clinic, knowledge).emergency


def triage(
    text: str, *, language: str | None = None, country: str | None = None, knowledge: Knowledge | None = None
) -> Message:
    """Look for red flags in what somebody wrote, in English, Spanish, French and German at once.

    `language` (en, es, fr, de) is for the answer; `country` (ISO 3166-1) is where the person is now. It only ever
    raises: a hit asks and alerts a person, and nothing found is no all-clear.
    """
    from adjunct.messages import read_message

    return read_message(
        knowledge or _knowledge(), text, language=language, country=(country or "").upper(), today=_instant(None).date()
    )


def _instant(at: str | None) -> Instant:
    from adjunct.base import instant

    return instant(at or datetime.now(UTC).isoformat(timespec="seconds"), "--at")


_loaded: list[Knowledge] = []


def _knowledge() -> Knowledge:
    """This process's knowledge, loaded once."""
    if not _loaded:
        from adjunct.knowledge import Knowledge

        _loaded.append(Knowledge.load())
    return _loaded[0]


def __getattr__(name: str) -> Any:
    if name == "Knowledge":  # imported late, so that `adjunct --help` stays quick
        from adjunct.knowledge import Knowledge

        return Knowledge
    raise AttributeError(f"module 'adjunct' has no attribute {name!r}")
