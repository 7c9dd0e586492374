"""Record + knowledge -> Assessment. Every rule is weighed; the worst finding leads, the others are still listed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from adjunct.assessment.lines import contacts, law
from adjunct.assessment.result import ACTIONS, SEVERITIES, URGENCIES, Assessment, Cited, Finding, Gap, Reason
from adjunct.base import NO, UNKNOWN, YES, Verdict, duration_ms, worst
from adjunct.knowledge import Knowledge
from adjunct.knowledge.columns import Outcome
from adjunct.knowledge.language import EFFECT, Atom
from adjunct.knowledge.load import ATTESTATIONS, NONE, Locator, Rule
from adjunct.record import Record

OF_ATTESTATIONS = frozenset(ATTESTATIONS.values())
OF_SUBSTANCES = ("substance", "last_use", "allergy")


class _Weighed(NamedTuple):
    """One rule's outcome over all readings of the record."""

    rule: Rule
    number: int
    fired: tuple[int, ...]  # the readings in which it holds
    is_open: bool


def assess(record: Record, knowledge: Knowledge, *, treatment: str) -> Assessment:
    """Weigh every rule in force for this treatment and phase over all that is known of one person."""
    outcome = knowledge.program(record.phase).run(record.events)
    weighed = _weigh(knowledge.in_force(record.phase, treatment), knowledge, outcome)
    replaced = {r for w in weighed if w.fired for r in w.rule.instead_of}
    findings = [
        _finding(w, record, knowledge, outcome, treatment) for w in weighed if w.fired and w.rule.id not in replaced
    ]
    legal, legal_gaps = law(record, knowledge)
    findings = sorted([*findings, *legal], key=_first_things_first)
    gaps = _gaps(weighed, record, knowledge, outcome, findings, legal_gaps)
    open_ = any(g.blocks for g in gaps)
    verdict = worst(Verdict[f.verdict] for f in findings)
    if open_:
        verdict = max(verdict, Verdict.CAUTION if record.phase == "during" else Verdict.DEFER)
    return Assessment(
        knowledge={"version": knowledge.version, "as_of": knowledge.as_of},
        question=treatment,
        phase=record.phase,
        verdict=verdict.name,
        complete=not open_,
        headline=_headline(verdict, findings, gaps, record, knowledge, treatment),
        findings=tuple(findings),
        gaps=tuple(gaps),
        contacts=contacts(record, knowledge, findings),
        at=record.now.iso(),
        patient=record.patient,
        weight=verdict,
    )


def _weigh(in_force: Sequence[int], knowledge: Knowledge, outcome: Outcome) -> list[_Weighed]:
    """The rules in force that hold or are open under some reading."""
    truths = outcome.truths[in_force]
    speaking = np.flatnonzero(truths.max(axis=1, initial=NO) > NO)
    rules, alone = knowledge.rule_list, truths.shape[1] == 1
    weighed = []
    for number, row in zip(in_force[speaking].tolist(), truths[speaking].tolist(), strict=True):
        if alone:
            fired: tuple[int, ...] = (0,) if row[0] == YES else ()
        else:
            fired = tuple(person for person, truth in enumerate(row) if truth == YES)
        weighed.append(_Weighed(rules[number], number, fired, not fired))
    return weighed


def _first_things_first(finding: Finding) -> tuple[int, ...]:
    """What to do first: the verdict it forces, then how soon, how strong, how severe."""
    return (
        -Verdict[finding.verdict],
        -URGENCIES.index(finding.urgency),
        -ACTIONS.index(finding.action),
        -SEVERITIES.index(finding.severity),
    )


# --- findings ---------------------------------------------------------------------------------------------------------


def _finding(w: _Weighed, record: Record, knowledge: Knowledge, outcome: Outcome, treatment: str) -> Finding:
    rule = w.rule
    rows = dict.fromkeys(row for person in w.fired for row in outcome.because(w.number, person).rows)
    reasons, text_only = _reasons(rows, record)
    involves = _involved(rows, rule, record, knowledge)
    fixed = _fixed(rule, knowledge)
    words = {"names": _and(knowledge, involves), "stop_sentence": stop_sentence(involves, knowledge)}
    return Finding(
        id=rule.id,
        title=rule.title,
        severity=rule.severity,
        action=rule.action,
        kind=rule.kind,
        about=rule.about,
        urgency=rule.urgency,
        involves=involves,
        says=fixed.says.format_map(words),
        tell=fixed.tell.format_map(words),
        why=fixed.why.format_map(words),
        grade=rule.grade,
        status=rule.status,
        certainty=fixed.certainty,
        sources=fixed.sources,
        disputed=fixed.disputed,
        because=reasons,
        rule=f"{rule.id}@{rule.version}",
        verdict=verdict_of(rule, record.phase, treatment, text_only=text_only).name,
        hard=rule.hard,
        only_if=_only_if(w.fired, record),
    )


class _Fixed(NamedTuple):
    """What a finding says whoever it is about; only names of substances are still to be filled in."""

    says: str
    tell: str
    why: str
    certainty: str
    sources: tuple[Cited, ...]
    disputed: tuple[Cited, ...]


@cache
def _fixed(rule: Rule, knowledge: Knowledge) -> _Fixed:
    words = {name: "{" + name + "}" for name in ("names", "stop_sentence")}
    by_default = any(s.id == "project-default" for s in rule.sources)
    return _Fixed(
        says=knowledge.say(rule.says, **words),
        tell="" if rule.quiet else knowledge.say(rule.tell, **words),
        why=knowledge.say(rule.why, **words),
        certainty=certainty(rule.grade, rule.status, knowledge, project_default=by_default),
        sources=tuple(_cited(s, knowledge) for s in rule.sources),
        disputed=tuple(_cited(s, knowledge) for s in rule.disputed),
    )


def verdict_of(rule: Rule, phase: str, treatment: str, *, text_only: bool) -> Verdict:
    """What one finding does to the verdict (design, section 5)."""
    own = rule.verdict or Verdict.ELIGIBLE
    about_treatment = NONE not in rule.treatments
    match rule.action:
        case "emergency":
            verdict = Verdict.ESCALATE
        case "contraindicated":
            verdict = max(own, Verdict.NOT_ELIGIBLE if about_treatment else Verdict.DEFER)
        case "avoid" | "defer" | "adjust" | "monitor":
            verdict = max(own, Verdict.CAUTION)
        case _:
            verdict = own
    if verdict is Verdict.NOT_ELIGIBLE and (treatment == NONE or text_only):
        verdict = Verdict.DEFER  # what was only matched by text asks; without a treatment nobody is ruled out of one
    if verdict is Verdict.DEFER and phase == "during":
        verdict = Verdict.CAUTION
    return verdict


def _reasons(rows: Iterable[int], record: Record) -> tuple[tuple[Reason, ...], bool]:
    sources = dict.fromkeys(int(record.events.source[row]) for row in rows)
    evidence = [record.evidence[s] for s in sources if s >= 0]
    reasons = dict.fromkeys(
        Reason(reference=e.reference, concept=e.concept, value=e.value, unit=e.unit, at=e.at) for e in evidence
    )
    return tuple(reasons), any(e.text_only for e in evidence)


def _involved(rows: Iterable[int], rule: Rule, record: Record, knowledge: Knowledge) -> tuple[str, ...]:
    """The substances among the rows that carried the rule."""
    events = record.events
    found = []
    for row in rows:
        concept = knowledge.concept_ids[events.concept[row]]
        if (concept in OF_SUBSTANCES or concept.startswith(EFFECT)) and events.code[row] >= 0:
            found.append(knowledge.code_ids[events.code[row]])
    names = dict.fromkeys(found)
    if rule.involves:
        wanted = frozenset().union(*(knowledge.sets[name] for name in rule.involves))
        names = {n: None for n in names if n in wanted}
    return tuple(names)


def _only_if(fired: Sequence[int], record: Record) -> tuple[Mapping[str, Any], ...]:
    """Which readings of ambiguous entries a finding depends on; empty when it holds under every reading."""
    if len(fired) == len(record.worlds):
        return ()
    depends = []
    for reference in record.worlds[0]:
        every = dict.fromkeys(world[reference] for world in record.worlds)
        here = dict.fromkeys(record.worlds[i][reference] for i in fired)
        if len(here) < len(every):
            depends.append({"reference": reference, "is": list(here)})
    return tuple(depends)


def stop_sentence(involves: Sequence[str], knowledge: Knowledge) -> str:
    """What a person reads about a contraindicated pair; what must not be stopped abruptly is never named."""
    texts = knowledge.wording["stop"]
    protected = [s for s in involves if knowledge.substances[s].protected_stop]
    others = [s for s in involves if s not in protected]
    if not others:
        return str(texts["pair_both_protected"])
    names = f" {texts['joiner']} ".join(knowledge.substances[s].name for s in others)
    return str(texts["pair_one_protected" if protected else "pair_none_protected"]).replace("{names}", names)


def certainty(grade: str, status: str, knowledge: Knowledge, *, project_default: bool = False) -> str:
    """How sure we are, in words."""
    words = knowledge.wording["certainty"]
    key = "proposed_project_default" if status == "proposed" and project_default else status
    return f"{words['grade'][grade]}; {words['status'][key]}"


def _cited(locator: Locator, knowledge: Knowledge) -> Cited:
    source = knowledge.sources[locator.id]
    return Cited(
        id=source.id,
        citation=source.citation,
        locator=locator.locator,
        read_as=source.read_as,
        url=f"https://doi.org/{source.doi}" if source.doi else source.url,
        says=knowledge.say(locator.says),
    )


def _and(knowledge: Knowledge, substances: Sequence[str]) -> str:
    names = [knowledge.substances[s].name for s in substances]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


# --- gaps -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Question:
    """One question, the facts it would fill, and whether any rule waits for the answer."""

    facts: dict[str, None]
    why: str
    ask: str
    blocks: bool
    reference: str


def _gaps(
    weighed: Sequence[_Weighed],
    record: Record,
    knowledge: Knowledge,
    outcome: Outcome,
    findings: Sequence[Finding],
    more: Sequence[Gap],
) -> list[Gap]:
    """One gap a question, however many rules wait for it; those that block come first."""
    found: dict[str, _Question] = {}

    def add(gap: Gap, ask: str, *, blocks: bool) -> None:
        key = gap.fact if gap.fact in OF_ATTESTATIONS else ask
        known = found.get(key)
        if known is None:
            found[key] = _Question({gap.fact: None}, gap.why, ask, blocks, gap.reference)
            return
        known.facts[gap.fact] = None
        if blocks and not known.blocks:
            known.why, known.ask, known.blocks, known.reference = gap.why, ask, True, gap.reference

    for gap in (*_problem_gaps(record, knowledge), *more):
        add(gap, gap.ask, blocks=gap.blocks)
    missing: dict[tuple[int, int], Gap] = {}
    alone = record.events.people == 1
    for w in weighed:
        mode = w.rule.if_unknown[record.phase]
        if not w.is_open or mode == "ignore":
            continue
        reading = 0 if alone else outcome.truths[w.number].tolist().index(UNKNOWN)
        open_ = []
        for number in outcome.program.open_atoms(outcome, w.number, reading):
            key = number, reading
            if key not in missing:
                missing[key] = _gap(outcome.program.atoms[number], reading, record, knowledge)
            open_.append(missing[key])
        # While nobody has gone through the history or the list, what hangs on it is not asked one by one.
        asked = [g for g in open_ if not _is_context(g.fact, knowledge)] or open_
        attestations = [g for g in asked if g.fact in OF_ATTESTATIONS]
        for gap in attestations or asked:
            add(gap, gap.ask if attestations else w.rule.ask or gap.ask, blocks=mode == "defer")
    for gap in _text_gaps(record, knowledge, findings):
        add(gap, gap.ask, blocks=False)
    questions = sorted(found.values(), key=lambda q: not q.blocks)
    return [
        Gap(fact=", ".join(q.facts), why=q.why, ask=q.ask, blocks=q.blocks, reference=q.reference) for q in questions
    ]


def _problem_gaps(record: Record, knowledge: Knowledge) -> Iterator[Gap]:
    """What could not be read."""
    for problem in record.problems:
        name = knowledge.concepts[problem.concept].title if problem.concept in knowledge.concepts else ""
        fact = f"{problem.concept or 'record'} ({problem.reference})"
        why = f"{name}: {problem.what}" if name and name not in problem.what else problem.what
        yield Gap(fact=fact, why=why, ask=problem.ask, blocks=problem.blocks, reference=problem.reference)


def _text_gaps(record: Record, knowledge: Knowledge, findings: Sequence[Finding]) -> Iterator[Gap]:
    """Findings that rest on words alone ask for confirmation."""
    text_only = frozenset(e.reference for e in record.evidence if e.text_only)
    for reason in (r for f in findings for r in f.because if r.reference in text_only):
        why = knowledge.wording["gap"]["text_only_why"]
        ask = f"{reason.value}: confirm it, or code it."
        yield Gap(fact=f"text only ({reason.reference})", why=why, ask=ask, blocks=False, reference=reason.reference)


def _gap(atom: Atom, person: int, record: Record, knowledge: Knowledge) -> Gap:
    """Why an atom could not be answered, and the question that would answer it."""
    rows = _rows_of(atom, person, record, knowledge)
    if not rows:
        return _silent_gap(atom.concept, record.attested, knowledge)
    concept_id = "substance" if atom.concept.startswith(EFFECT) else atom.concept
    concept = knowledge.concepts[concept_id]
    texts = knowledge.wording["gap"]
    newest = max(rows, key=lambda r: int(record.events.t1[r]))
    evidence = record.evidence[int(record.events.source[newest])]
    window = knowledge.vocabulary.window(atom, record.phase)
    too_old = int(record.events.t1[newest]) < record.now.ms - window
    key = (
        "too_old"
        if too_old
        else "text_only"
        if evidence.text_only
        else "uncertain_time"
        if evidence.at
        else "missing_time"
    )
    if not too_old and not evidence.text_only and record.events.status[newest] == UNKNOWN:
        key = "missing"
    why = (
        texts[key]
        .replace("{fact}", concept.title)
        .replace("{at}", evidence.at or "an unknown date")
        .replace("{limit}", _length(window))
        .replace("{text}", evidence.value)
    )
    return Gap(fact=concept_id, why=why, ask=concept.ask, blocks=False, reference=evidence.reference)


@cache
def _silent_gap(concept_id: str, attested: frozenset[str], knowledge: Knowledge) -> Gap:
    """What to ask about a concept of which the record says nothing."""
    concept_id = "substance" if concept_id.startswith(EFFECT) else concept_id
    concept = knowledge.concepts[concept_id]
    texts = knowledge.wording["gap"]
    attestation = ATTESTATIONS.get(concept.absent)
    if attestation and concept.absent not in attested:
        keys = {"history": "history_not_reviewed", "reconciled": "list_not_reconciled"}
        key = keys.get(concept.absent, "allergies_not_asked")
        return Gap(fact=attestation, why=texts[key], ask=knowledge.concepts[attestation].ask, blocks=False)
    why = texts["missing"].replace("{fact}", concept.title)
    return Gap(fact=concept_id, why=why, ask=concept.ask, blocks=False)


def _is_context(concept: str, knowledge: Knowledge) -> bool:
    """Facts that only say when a rule applies ("no dose yet") are not what is missing."""
    return concept in knowledge.concepts and bool(knowledge.concepts[concept].raw.get("context", False))


def _rows_of(atom: Atom, person: int, record: Record, knowledge: Knowledge) -> list[int]:
    """What the record holds of the thing an atom asks about, however old."""
    events = record.events
    number = knowledge.vocabulary.concepts[atom.concept]
    first, last = int(events.starts[number]), int(events.starts[number + 1])
    if first == last:
        return []
    wanted = knowledge.vocabulary.sets[atom.in_set] if atom.in_set else None
    return [
        row
        for row in range(first, last)
        if events.person[row] == person and (wanted is None or int(events.code[row]) in (*wanted, -1))
    ]


def _length(ms: int) -> str:
    """A window in the largest unit that divides it."""
    units = ("wk", "d", "h", "min")
    return next((f"{ms // duration_ms(f'1 {u}')} {u}" for u in units if ms and ms % duration_ms(f"1 {u}") == 0), "now")


# --- headline ---------------------------------------------------------------------------------------------------------


def _headline(
    verdict: Verdict,
    findings: Sequence[Finding],
    gaps: Sequence[Gap],
    record: Record,
    knowledge: Knowledge,
    treatment: str,
) -> Mapping[str, str]:
    texts = knowledge.wording["headline"]
    group = texts["none"] if treatment == NONE else texts["assess"]
    chosen = group[verdict.name] if verdict.name in group else texts["assess"][verdict.name]
    lead = [f.title for f in findings if Verdict[f.verdict] == verdict and verdict]
    open_ = [g.ask for g in gaps if g.blocks] if verdict is Verdict.DEFER else []
    urgency = max(
        (f.urgency for f in findings if Verdict[f.verdict] == verdict), key=URGENCIES.index, default="routine"
    )
    words = {
        "checked": checked(record, knowledge),
        "treatment": treatment,
        "open": "; ".join(dict.fromkeys([*lead, *open_])) or "see below",
        "urgency": f"{knowledge.wording['urgency'][urgency]}: {'; '.join(lead)}" if lead else "",
        "names": "; ".join(lead),
    }
    prefix = texts["incomplete_prefix"] if any(g.blocks for g in gaps) else ""
    return {side: prefix + knowledge.say(chosen[side], **words) for side in ("says", "tell")}


def checked(record: Record, knowledge: Knowledge) -> str:
    """What was looked at, counted in words."""
    taken = [i for i in record.intakes if not i.denied]
    events = record.events
    other = len({int(s) for s, p in zip(events.source, events.person, strict=True) if p == 0}) - len(taken)
    parts = [f"{len(taken)} substance{'s' * (len(taken) != 1)}", f"{max(other, 0)} other recorded facts"]
    return f"{' and '.join(parts)}, with {len(knowledge.rules)} rules of {knowledge.as_of}"
