"""Record + knowledge -> Assessment. Every rule is weighed; the worst finding leads, the others are still listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adjunct.assessment.lines import contacts, law
from adjunct.assessment.result import ACTIONS, SEVERITIES, URGENCIES, Assessment, Cited, Finding, Gap, Reason
from adjunct.base import UNKNOWN, YES, Verdict, duration_ms, worst
from adjunct.knowledge import Knowledge
from adjunct.knowledge.columns import Outcome
from adjunct.knowledge.language import EFFECT, Atom
from adjunct.knowledge.load import ATTESTATIONS, NONE, Locator, Rule
from adjunct.record import Record

OF_SUBSTANCES = ("substance", "last_use", "allergy")


@dataclass(frozen=True, slots=True)
class _Weighed:
    """One rule's outcome over all readings of the record."""

    rule: Rule
    number: int
    fired: tuple[int, ...]  # the readings in which it holds
    is_open: bool


def assess(record: Record, knowledge: Knowledge, *, treatment: str) -> Assessment:
    """Weigh every rule in force for this treatment and phase over all that is known of one person."""
    outcome = knowledge.program(record.phase).run(record.events)
    weighed = [w for w in _weigh(record, knowledge, outcome, treatment) if w.fired or w.is_open]
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


def _weigh(record: Record, knowledge: Knowledge, outcome: Outcome, treatment: str) -> Iterable[_Weighed]:
    readings = range(record.events.people)
    for number, rule in enumerate(knowledge.rule_list):
        if record.phase not in rule.phase or treatment not in rule.treatments:
            continue
        truths = outcome.truths[number].tolist()
        fired = tuple(i for i in readings if truths[i] == YES)
        yield _Weighed(rule, number, fired, not fired and UNKNOWN in truths)


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
    words = {"names": _and(knowledge, involves), "stop_sentence": stop_sentence(involves, knowledge)}
    status = rule.status
    project_default = any(s.id == "project-default" for s in rule.sources)
    return Finding(
        id=rule.id,
        title=rule.title,
        severity=rule.severity,
        action=rule.action,
        kind=rule.kind,
        about=rule.about,
        urgency=rule.urgency,
        involves=involves,
        says=knowledge.say(rule.says, **words),
        tell="" if rule.quiet else knowledge.say(rule.tell, **words),
        why=knowledge.say(rule.why, **words),
        grade=rule.grade,
        status=status,
        certainty=certainty(rule.grade, status, knowledge, project_default=project_default),
        sources=tuple(_cited(s, knowledge) for s in rule.sources),
        disputed=tuple(_cited(s, knowledge) for s in rule.disputed),
        because=reasons,
        rule=f"{rule.id}@{rule.version}",
        verdict=verdict_of(rule, record.phase, treatment, text_only=text_only).name,
        hard=rule.hard,
        only_if=_only_if(w.fired, record),
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


def _gaps(
    weighed: Sequence[_Weighed],
    record: Record,
    knowledge: Knowledge,
    outcome: Outcome,
    findings: Sequence[Finding],
    more: Sequence[Gap],
) -> list[Gap]:
    """One gap a missing fact, however many rules wait for it; those that block come first."""
    found: dict[str, Gap] = {}

    def add(gap: Gap) -> None:
        """One gap a question: facts that the same question fills are asked for together."""
        key = gap.fact if gap.fact in ATTESTATIONS.values() else gap.ask
        known = found.get(key)
        facts = dict.fromkeys([*(known.fact.split(", ") if known else ()), gap.fact])
        first = gap if known is None or (gap.blocks and not known.blocks) else known
        found[key] = replace(first, fact=", ".join(facts))

    for problem in record.problems:
        name = knowledge.concepts[problem.concept].title if problem.concept in knowledge.concepts else ""
        fact = f"{problem.concept or 'record'} ({problem.reference})"
        why = f"{name}: {problem.what}" if name and name not in problem.what else problem.what
        add(Gap(fact=fact, why=why, ask=problem.ask, blocks=problem.blocks, reference=problem.reference))
    for gap in more:
        add(gap)
    for w in weighed:
        mode = w.rule.if_unknown[record.phase]
        if not w.is_open or mode == "ignore":
            continue
        reading = next(i for i in range(record.events.people) if outcome.truths[w.number, i] == UNKNOWN)
        because = outcome.because(w.number, reading)
        open_ = [_gap(a, w.rule, reading, record, knowledge, blocks=mode == "defer") for a in because.open_atoms]
        # While nobody has gone through the history or the list, what hangs on it is not asked one by one.
        asked = [g for g in open_ if not _is_context(g.fact, knowledge)] or open_
        for gap in [g for g in asked if g.fact in ATTESTATIONS.values()] or asked:
            add(gap)
    for finding in findings:
        for reason in finding.because:
            if any(e.text_only and e.reference == reason.reference for e in record.evidence):
                text = knowledge.wording["gap"]["text_only_why"]
                ask = f"{reason.value}: confirm it, or code it."
                add(
                    Gap(
                        fact=f"text only ({reason.reference})",
                        why=text,
                        ask=ask,
                        blocks=False,
                        reference=reason.reference,
                    )
                )
    return sorted(found.values(), key=lambda g: not g.blocks)


def _gap(atom: Atom, rule: Rule, person: int, record: Record, knowledge: Knowledge, *, blocks: bool) -> Gap:
    concept_id = "substance" if atom.concept.startswith(EFFECT) else atom.concept
    concept = knowledge.concepts[concept_id]
    texts = knowledge.wording["gap"]
    rows = _rows_of(atom, person, record, knowledge)
    attestation = ATTESTATIONS.get(concept.absent)
    if attestation and concept.absent not in record.attested and not rows:
        asked = knowledge.concepts[attestation]
        key = {"history": "history_not_reviewed", "reconciled": "list_not_reconciled"}.get(
            concept.absent, "allergies_not_asked"
        )
        return Gap(fact=attestation, why=texts[key], ask=asked.ask, blocks=blocks)
    ask = rule.ask or concept.ask
    if not rows:
        return Gap(fact=concept_id, why=texts["missing"].replace("{fact}", concept.title), ask=ask, blocks=blocks)
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
    return Gap(fact=concept_id, why=why, ask=ask, blocks=blocks, reference=evidence.reference)


def _is_context(concept: str, knowledge: Knowledge) -> bool:
    """Facts that only say when a rule applies ("no dose yet") are not what is missing."""
    return concept in knowledge.concepts and bool(knowledge.concepts[concept].raw.get("context", False))


def _rows_of(atom: Atom, person: int, record: Record, knowledge: Knowledge) -> list[int]:
    """What the record holds of the thing an atom asks about, however old."""
    events = record.events
    number = knowledge.vocabulary.concepts[atom.concept]
    wanted = knowledge.vocabulary.sets[atom.in_set] if atom.in_set else None
    first, last = int(events.starts[number]), int(events.starts[number + 1])
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
