"""The discharge gate: what is met by what evidence, what is missing, what is not met; who may sign; who walked out.

The gate is a question and refuses nothing; `sign` refuses. It reads only what was seen and said: no predicted value,
no score alone and no signature opens it, and nothing in it can be overridden. Limits and words are those of the rules
of `adjunct assess --phase discharge`; which criteria there are stands in `discharge.toml`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple
from weakref import WeakKeyDictionary

from adjunct.assessment import Finding, assess
from adjunct.base import MS_PER_SECOND, BadInput, Verdict, convert, shown
from adjunct.knowledge import Knowledge
from adjunct.record import Record
from adjunct.session.model import Answer, Episode, Phase, Reading, State

DISCHARGE = "discharge"  # the phase of care whose age limits hold
MET: Final = "met"
MISSING: Final = "missing"
NOT_MET: Final = "not-met"

OVER = frozenset({Phase.OBSERVING, Phase.DISCHARGED})

Standing = Literal["met", "missing", "not-met"]


class Evidence(NamedTuple):
    """What was measured, seen or said: in the unit of its concept, when, and by whom."""

    what: str
    value: Any
    unit: str
    at: int
    by: str


class Item(NamedTuple):
    """One criterion of the gate. `missing` is what nobody looked at, or too long ago: never taken as settled.

    `says`: what to do, empty where it is met. `until`: from then on the evidence is too old. `evidence` holds what is
    too old as well, with its time.
    """

    id: str
    title: str
    state: Standing
    evidence: tuple[Evidence, ...]
    says: str
    until: int | None
    hard: bool
    source: str
    locator: str
    status: str


class Gate(NamedTuple):
    """Whether the person may leave at this instant. `may_leave_from`: the end of the shortest stay, whatever else."""

    open: bool
    items: tuple[Item, ...]
    may_leave_from: int | None

    @property
    def lacking(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.state != MET)


class _Speaks(NamedTuple):
    """A criterion's words, from one rule or its own."""

    says: str
    ask: str
    rest: tuple[bool, str, str, str]  # hard, source, locator, status


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Terms:
    """The gate as one edition of the knowledge has it, read once."""

    criteria: tuple[tuple[str, str, str, Mapping[str, _Speaks]], ...]  # id, title, item to be answered, words by rule
    infusion: frozenset[str]  # treatments with the shorter stay; any other stays as long as after the nasal spray
    limits: Mapping[str, float]
    lengths: Mapping[str, int]
    ages: Mapping[str, int]
    units: Mapping[str, str]
    closing: frozenset[str]
    closing_alarms: frozenset[str]
    levels: frozenset[str]
    standing: frozenset[str]
    heard: frozenset[str]


LIMITS = (
    *"moaas.awake discharge.cadss6 discharge.score discharge.within discharge.within.below spo2.minimum".split(),
    *(f"{measure}.{end}" for measure in ("heart_rate", "resp_rate") for end in ("low", "high")),
    *(f"discharge.bp{band}.{side}" for band in ("", ".exam", ".never") for side in ("systolic", "diastolic")),
)
AFTER_SPRAY, AFTER_INFUSION = "discharge-two-hours-nasal", "discharge-time-after-infusion"
STAY = {AFTER_SPRAY: "esketamine.observation", AFTER_INFUSION: "discharge.infusion.minimum"}
LENGTHS = (*STAY.values(), "discharge.recheck")
MEASURES = ("systolic", "diastolic", "heart_rate", "resp_rate", "spo2", "moaas", "cadss6", "aldrete", "padss")
_compiled: WeakKeyDictionary[Knowledge, _Terms] = WeakKeyDictionary()


def _terms(knowledge: Knowledge) -> _Terms:
    found = _compiled.get(knowledge)
    if found is None:
        found = _compiled[knowledge] = _compile(knowledge)
    return found


def _compile(knowledge: Knowledge) -> _Terms:
    data = knowledge.content[DISCHARGE]
    concepts = knowledge.concepts
    ages = {name: concepts[name].ages[DISCHARGE] for name in (*MEASURES, "escort_present")}
    for item in data["item"]:
        within = item.get("within", item["id"])
        ages[item["id"]] = knowledge.length_ms(within) if "." in within else concepts[within].ages[DISCHARGE]
    signs = knowledge.content["alarms"].get("sign", ())
    closing = set(data["closing"])
    return _Terms(
        criteria=tuple(
            (c["id"], c["title"], c.get("answer", ""), dict(_words(c, knowledge))) for c in data["criterion"]
        ),
        infusion=knowledge.rules[AFTER_INFUSION].treatments,
        limits={name: knowledge.number(name) for name in LIMITS},
        lengths={name: knowledge.length_ms(name) for name in LENGTHS},
        ages=ages,
        units={name: concepts[name].unit for name in (*MEASURES, "spo2_baseline")},
        closing=frozenset(closing | {s["id"] for s in signs if s.get("concept") in closing}),
        closing_alarms=frozenset(data["closing_alarms"]),
        levels=frozenset(data["levels"]),
        standing=frozenset(data["standing"]),
        heard=frozenset(data["heard"]),
    )


def _words(criterion: Mapping[str, Any], knowledge: Knowledge) -> Iterator[tuple[str, _Speaks]]:
    if "rules" not in criterion:
        source, says, ask = criterion["source"], knowledge.say(criterion["says"]), knowledge.say(criterion["ask"])
        yield "", _Speaks(says, ask, (criterion["hard"], source["id"], source["locator"], criterion["status"]))
    for name in criterion.get("rules", ()):
        rule = knowledge.rules[name]
        says, first = knowledge.say(rule.says), rule.sources[0]
        yield name, _Speaks(says, rule.ask or says, (rule.hard, first.id, first.locator, rule.status))


# --- the gate ---------------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """How a criterion stands, by what, and which of its rules has the word ("" the first)."""

    state: Standing
    evidence: tuple[Evidence, ...] = ()
    rule: str = ""
    until: int | None = None


def gate(state: State, now: int, knowledge: Knowledge) -> Gate:
    """What is met at `now`, by what evidence, and what is missing. Total: any state has an answer."""
    look = _Look(state, now, _terms(knowledge))
    items = []
    for name, title, answer, words in look.terms.criteria:
        found = look.yes(answer) if answer else _CRITERIA[name](look)
        speaks = words[found.rule] if found.rule else next(iter(words.values()))
        says = "" if found.state == MET else speaks.says if found.state == NOT_MET else speaks.ask
        until = found.until if found.state == MET else None
        items.append(Item(name, title, found.state, found.evidence, says, until, *speaks.rest))
    return Gate(all(item.state == MET for item in items), tuple(items), look.leaves_from())


class _Look(NamedTuple):
    """One look at the state: values count while they are young enough, and never before they happened."""

    state: State
    now: int
    terms: _Terms

    def fresh(self, what: str, at: int) -> bool:
        return 0 <= self.now - at <= self.terms.ages[what]

    def reading(self, measure: str) -> Reading | None:
        found = self.state.readings.get(measure)
        return found if found and self.fresh(measure, found.at) else None

    def answer(self, name: str) -> Answer | None:
        found = self.state.answers.get(name)
        return found if found and self.fresh(name, found.at) else None

    def said(self, name: str) -> bool | None:
        """Yes, no, or None where nobody asked in time."""
        found = self.answer(name)
        return None if found is None else bool(found.value)

    def seen(self, *names: str) -> tuple[Evidence, ...]:
        """What the state holds of these, in time or not; what has not happened yet is nothing."""
        found = []
        for name in names:
            held = self.state.last(name)
            if held and held.at <= self.now:
                found.append(Evidence(name, held.value, self.terms.units.get(name, ""), held.at, held.by))
        return tuple(found)

    def until(self, *names: str) -> int | None:
        """When the first of these will be too old."""
        return min((held.at + self.terms.ages[n] for n in names if (held := self.state.last(n))), default=None)

    def yes(self, name: str) -> _Found:
        said = self.said(name)
        standing: Standing = MISSING if said is None else MET if said else NOT_MET
        return _Found(standing, self.seen(name), until=self.until(name))

    def measured(self, measure: str, settled: Callable[[float], bool]) -> _Found:
        seen, last = self.seen(measure), self.reading(measure)
        if last is None:
            return _Found(MISSING, seen)
        return _Found(MET if settled(last.value) else NOT_MET, seen, until=self.until(measure))

    @property
    def stay(self) -> str:
        """The rule of the shortest stay."""
        return AFTER_INFUSION if self.state.treatment in self.terms.infusion else AFTER_SPRAY

    def leaves_from(self) -> int | None:
        """The end of the shortest stay, counted from the latest dose that was ever recorded."""
        start = self.state.dose.watch_from
        return None if start is None else start + self.terms.lengths[STAY[self.stay]]


def _dose(look: _Look) -> _Found:
    return _Found(MET if look.state.phase in OVER else NOT_MET)


def _stay(look: _Look) -> _Found:
    start, leaves = look.state.dose.watch_from, look.leaves_from()
    if start is None or leaves is None:
        return _Found(MISSING, rule=look.stay)
    minutes = convert((look.now - start) / MS_PER_SECOND, "s", "min")
    watched = (Evidence("watched", minutes, "min", start, ""),)
    return _Found(MET if look.now >= leaves else NOT_MET, watched, look.stay)


def _pressure(look: _Look) -> _Found:
    """At or below the limit; or near the own baseline and falling; or, from the second limit, examined since."""
    sides, limits = ("systolic", "diastolic"), look.terms.limits
    seen, until = look.seen(*sides), look.until(*sides)
    known = {side: r for side in sides if (r := look.reading(side))}

    def reaches(band: str) -> bool:
        return any(r.value >= limits[f"discharge.bp.{band}.{side}"] for side, r in known.items())

    if reaches("never"):
        return _Found(NOT_MET, seen, "discharge-bp-never")
    if len(known) < len(sides):
        return _Found(MISSING, seen)
    if reaches("exam"):
        return _examined(look, max(r.at for r in known.values()), seen, until)
    high = [side for side, r in known.items() if r.value > limits[f"discharge.bp.{side}"]]
    near = all(_near(look, side, r.value) for side, r in known.items())
    if not high or (near and all(_falling(look, side, known[side]) for side in high)):
        return _Found(MET, seen, until=until)
    return _Found(NOT_MET, seen, "discharge-bp-not-settled")


def _examined(look: _Look, measured: int, seen: tuple[Evidence, ...], until: int | None) -> _Found:
    """By a prescriber with a name, in one entry, not before the reading."""
    exam, by = look.answer("bp_prescriber_exam"), look.answer("bp_examined_by")
    seen += look.seen("bp_prescriber_exam", "bp_examined_by")
    done = exam and exam.value and exam.at >= measured and by and by.value and by.event == exam.event
    return _Found(MET if done else NOT_MET, seen, "discharge-bp-needs-exam", until)


def _near(look: _Look, measure: str, value: float) -> bool:
    """Not further above the own value before the dose than a part of it."""
    base = look.state.baseline.get(measure)
    return base is not None and _change(value, base.value) <= look.terms.limits["discharge.within"]


def _change(value: float, base: float) -> float:
    return convert((value - base) / base, "1", "%") if base > 0 else float("inf")


def _falling(look: _Look, measure: str, last: Reading) -> bool:
    """Lower than the reading before it, at least the stated time apart, both after the dose."""
    began, apart = look.state.dose.first, last.at - look.terms.lengths["discharge.recheck"]
    earlier = [v for at, v in look.state.track.get(measure, ()) if at <= apart and (began is None or at >= began)]
    return bool(earlier) and last.value < earlier[-1]


def _pulse(look: _Look) -> _Found:
    limits, base = look.terms.limits, look.state.baseline.get("heart_rate")

    def settled(value: float) -> bool:
        normal = limits["heart_rate.low"] <= value <= limits["heart_rate.high"]
        if normal or base is None:
            return normal
        return limits["discharge.within.below"] <= _change(value, base.value) <= limits["discharge.within"]

    return look.measured("heart_rate", settled)


def _saturation(look: _Look) -> _Found:
    """On room air: a saturation while oxygen flows, or where nobody said whether it does, settles nothing."""
    seen, last = look.seen("spo2", "oxygen", "room_air", "spo2_baseline"), look.reading("spo2")
    usual, least = look.state.readings.get("spo2_baseline"), look.terms.limits["spo2.minimum"]
    if last is not None and last.value < (min(least, usual.value) if usual else least):
        return _Found(NOT_MET, seen)
    words = [(at, flows) for at, flows in look.state.oxygen() if at <= look.now]
    if last is None or not words or not look.fresh("room_air", words[-1][0]):
        return _Found(MISSING, seen)
    said, flows = words[-1]
    before = [was for at, was in words if at <= last.at]
    if not flows and before and before[-1]:
        return _Found(MISSING, seen)  # the oxygen is off, the saturation is from before
    return _Found(NOT_MET if flows else MET, seen, until=min(last.at, said) + look.terms.ages["spo2"])


def _breathing(look: _Look) -> _Found:
    limits = look.terms.limits
    return look.measured("resp_rate", lambda value: limits["resp_rate.low"] <= value <= limits["resp_rate.high"])


def _sedation(look: _Look) -> _Found:
    return look.measured("moaas", lambda value: value >= look.terms.limits["moaas.awake"])


def _dissociation(look: _Look) -> _Found:
    """The later word counts, of the score and of the clinician; at one instant the clinician's."""
    seen = look.seen("cadss6", "dissociation_resolved")
    score, word = look.reading("cadss6"), look.answer("dissociation_resolved")
    if word and (score is None or word.at >= score.at):
        return _Found(MET if word.value else NOT_MET, seen, until=look.until("dissociation_resolved"))
    if score is None:
        return _Found(MISSING, seen)
    settled = score.value <= look.terms.limits["discharge.cadss6"]
    return _Found(MET if settled else NOT_MET, seen, until=look.until("cadss6"))


def _recovery(look: _Look) -> _Found:
    names = ("aldrete", "padss")
    scores = [(n, r) for n in names if (r := look.reading(n))]
    passed = [n for n, r in scores if r.value >= look.terms.limits["discharge.score"]]
    standing: Standing = MET if passed else NOT_MET if scores else MISSING
    return _Found(standing, look.seen(*names), until=look.until(*passed))


def _suicide(look: _Look) -> _Found:
    """The screen asked anew; no intent, plan or behaviour; thoughts of a method only after the prescriber's visit.

    Items 3 to 5 are asked where there are thoughts. Intent that was named in this session is not undone by a later no.
    """
    names = [n for n in look.terms.ages if n.startswith("cssrs_")]
    seen = look.seen(*names, "suicidal_intent", "suicide_prescriber_seen")
    said = {n: look.said(n) for n in names}
    if any(n in look.state.yes for n in ("cssrs_q4", "cssrs_q5", "cssrs_q6_recent", "suicidal_intent")):
        return _Found(NOT_MET, seen, "suicide-high")
    if said["cssrs_declined"]:
        return _Found(NOT_MET, seen, "discharge-suicide-not-asked")
    thoughts = said["cssrs_q2"] or said["cssrs_q3"]
    asked = ["cssrs_q1", "cssrs_q2", "cssrs_q6"]
    asked += ["cssrs_q3", "cssrs_q4", "cssrs_q5"] if thoughts else []
    asked += ["cssrs_q6_recent"] if said["cssrs_q6"] else []
    if any(said[n] is None for n in asked):
        return _Found(MISSING, seen, "suicide-unfinished" if thoughts else "")
    visit, method = look.answer("suicide_prescriber_seen"), look.state.yes.get("cssrs_q3")
    if method and not (visit and visit.value and visit.at >= method.at):
        return _Found(NOT_MET, seen, "discharge-suicide-moderate-unseen")
    return _Found(MET, seen, until=look.until(*asked))


def _escort(look: _Look) -> _Found:
    """Here and fit, looked at lately; else a named clinician arranged accompanied transport. A taxi alone is none."""
    transport = look.state.answers.get("transport_arranged")
    seen = look.seen("escort_present", "escort_fit", "transport_arranged")
    here = look.state.escort if look.answer("escort_present") else None
    if here:
        return _Found(MET, seen, until=look.until("escort_present"))
    if transport and transport.value:
        return _Found(MET, seen)
    return _Found(MISSING if here is None else NOT_MET, seen)


def _alarms(look: _Look) -> _Found:
    terms = look.terms
    standing = [
        e
        for e in look.state.episodes.values()
        if e.raised <= look.now
        and (e.level in terms.levels or e.alarm in terms.standing)
        and not (e.alarm in terms.heard and e.acknowledged)
    ]
    seen = tuple(
        Evidence(e.alarm, e.level, "", e.raised, e.acknowledged[0][1] if e.acknowledged else "") for e in standing
    )
    return _Found(NOT_MET if standing else MET, seen)


def _emergency(look: _Look) -> _Found:
    state, terms, yes = look.state, look.terms, look.state.yes
    signs = [Evidence(name, True, "", yes[name].at, yes[name].by) for name in terms.closing & yes.keys()]
    alarms = [
        Evidence(e.alarm, e.level, "", e.raised, "")
        for e in _episodes(state)
        if e.raised <= look.now and e.alarm in terms.closing_alarms and (e.alarm, e.event) not in state.mistaken
    ]
    seen = tuple(sorted((*signs, *alarms), key=lambda x: (x.at, x.what)))
    return _Found(NOT_MET if seen else MET, seen)


def _naloxone(look: _Look) -> _Found:
    names = [n for n in ("naloxone", "naloxone_given") if n in look.state.yes]
    return _Found(NOT_MET if names else MET, look.seen(*names))


def _episodes(state: State) -> Iterator[Episode]:
    """Every alarm of the session, standing and over."""
    yield from state.episodes.values()
    yield from state.past or ()


_CRITERIA: Mapping[str, Callable[[_Look], _Found]] = {
    "dose": _dose,
    "stay": _stay,
    "sedation": _sedation,
    "dissociation": _dissociation,
    "pressure": _pressure,
    "pulse": _pulse,
    "saturation": _saturation,
    "breathing": _breathing,
    "recovery": _recovery,
    "suicide": _suicide,
    "escort": _escort,
    "alarms": _alarms,
    "emergency": _emergency,
    "naloxone": _naloxone,
}


# --- signing ----------------------------------------------------------------------------------------------------------


def sign(
    state: State, now: int, by: str, role: str, knowledge: Knowledge, record: Record | None = None
) -> Mapping[str, Any]:
    """The data of a `discharged` event, signed by a person. Raises `BadInput` that names everything still open.

    This is the only place that refuses; a signature opens no criterion. With the person's `record`, read for the phase
    "discharge", what the whole record says against leaving counts too.
    """
    if not by.strip() or by in state.devices:
        raise BadInput("a discharge is signed by a person: give a name", "signed_by")
    roles = knowledge.content[DISCHARGE]["signs"]
    if role not in roles:
        raise BadInput(f"role {shown(role)} does not sign a discharge; {' or '.join(roles)} does", "role")
    names = [item.title for item in gate(state, now, knowledge).lacking]
    if record is not None:
        held = [f for f in assess(record, knowledge, treatment=state.treatment).findings if _holds_back(f)]
        names += [f"{len(held)} findings of the record, see the check before leaving"] if held else []
    if names:  # titles only: a message is no place for what was found
        raise BadInput(
            f"the discharge gate is closed, still open: {'; '.join(names)}. See to each, then sign", "discharged"
        )
    return {"signed_by": by.strip(), "role": role}


def _holds_back(finding: Finding) -> bool:
    return finding.rule != SIGN_OFF and bool(finding.verdict) and Verdict[finding.verdict] >= Verdict.DEFER


SIGN_OFF = "discharge-sign-off"  # the rule that this signature answers


# --- walking out ------------------------------------------------------------------------------------------------------


class Duty(NamedTuple):
    """What follows when a person walks out. `state`: open, overdue, done, or holds, for what nobody has to do."""

    id: str
    title: str
    says: str
    owner: str
    due: int | None
    state: Literal["open", "overdue", "done", "holds"]
    done: tuple[int, str] | None  # when, by whom
    tried: int  # times it was tried and nobody was reached
    source: str
    locator: str
    status: str


def left(state: State, now: int, knowledge: Knowledge) -> tuple[Duty, ...]:
    """What must follow now that the person has left before discharge; nothing for any other end of a session.

    A duty is done by an action whose `step` is its id. A call that reached nobody is a try, not done.
    """
    ended = state.ended
    if ended is None or ended.phase is not Phase.LEFT:
        return ()
    duties = []
    for entry in knowledge.content[DISCHARGE]["duty"]:
        if state.treatment not in entry.get("treatments", (state.treatment,)):
            continue
        acts = [(at, data, by) for at, data, by in state.actions if data.get("step") == entry["id"] and at <= now]
        done = next(((at, by) for at, data, by in acts if data.get("reached") is not False), None)
        if entry.get("warned") and ended.data.get("warned"):
            done = (ended.at, ended.by)
        due = ended.at + knowledge.length_ms(entry["within"]) if "within" in entry else None
        holds, late = entry.get("holds", False), due is not None and now >= due
        standing: Literal["open", "overdue", "done", "holds"] = "overdue" if late else "open"
        if holds or done:
            standing = "holds" if holds else "done"
        tried = sum(data.get("reached") is False for _, data, _ in acts)
        says, source = knowledge.say(entry["says"]), entry["source"]
        cited = source["id"], source["locator"], entry["status"]
        duties.append(Duty(entry["id"], entry["title"], says, entry["owner"], due, standing, done, tried, *cited))
    return tuple(duties)
