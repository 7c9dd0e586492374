"""Medicines and other substances of a FHIR record -> intakes: what, when last, how much a day.

A depot, implant or patch stays current for its label interval plus its tail after the last administration, whatever
the status field says. A name without a code is read as text and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from adjunct.base import UNKNOWN, YES, AdjunctError, convert, duration_ms, shown
from adjunct.items import Item, Reader
from adjunct.knowledge.entries import LOCAL, fold
from adjunct.record.dosing import (
    administered_mg,
    as_needed,
    dosages,
    item_per_day_mg,
    item_times_a_day,
    per_day_mg,
    route_of,
    times_a_day,
)
from adjunct.record.draft import PAST, Draft, Evidence, Intake
from adjunct.record.values import (
    DROPPED,
    Codes,
    Resource,
    Span,
    Value,
    date_of,
    ever,
    mappings,
    period_of,
    present,
    quantity_of,
    read_value,
    span_of,
    unit_of,
)

LAST_USE = "last_use"
STATEMENT, REQUEST = "MedicationStatement", "MedicationRequest"
ADMINISTRATION, DISPENSE = "MedicationAdministration", "MedicationDispense"
MEDICATIONS = frozenset({STATEMENT, REQUEST, ADMINISTRATION, DISPENSE})
NOT_READ = DROPPED | {"declined", "preparation"}
PLANNED = frozenset({"intended", "draft"})
OVER = frozenset({"completed", "stopped", "on-hold"})
NOT_TAKEN = frozenset({"not-taken", "not-done"})
PROPOSED = frozenset({"proposal", "option"})
Options = Mapping[str, tuple[str, ...]]
Resolve = Callable[[Any], Resource | None]
Course = tuple[Span | None, Span | None]  # when an entry begins and when it ends, as far as it says
Last = tuple[int, int, int]  # the last moment on it, from..to, and whether the person was on it at all


def medication(
    draft: Draft, resource: Resource, reference: str, resolve: Resolve, reader: Callable[[], Reader]
) -> None:
    """One MedicationStatement, Request, Administration or Dispense."""
    kind, status = str(resource["resourceType"]), resource.get("status")
    if status in NOT_READ | PLANNED or resource.get("doNotPerform") is True or resource.get("intent") in PROPOSED:
        return
    denied = status in NOT_TAKEN
    name, parts = _product(draft, resource, resolve)
    readings = [(part, *identify(draft, part, reader)) for part in parts]
    for part, options, item, _ in readings:
        if not options and not denied:
            _unmatched(draft, reference, part.text or name, item)
    known = [options for _, options, _, _ in readings if options]
    item = next((item for _, _, item, _ in readings if item), None)
    if not known or (item and item.status == "planned"):
        return
    options = _together(known)
    text = name or (item.text if item else "")
    used = _last_use(draft, resource, reference, kind, text, reader) or (item_last_use(draft, item) if item else None)
    course = (None, None) if kind == DISPENSE else _course(draft, resource, reference, kind)
    last = _last_on(draft, resource, reference, kind, course)
    if item and item.status == "stopped":  # the words say so, whatever the status field says
        last = (*(used or ever(draft)), last[2])
    t0, t1, certain = depot(draft, options, " ".join([text, *_route_words(resource)]), last)
    if t0 > draft.now.ms:
        return
    if item and item.status == "allergy":
        for substance in dict.fromkeys(s for ids in options.values() for s in ids):
            evidence = Evidence(reference=reference, concept="allergy", value=text, text_only=True)
            draft.add("allergy", present(draft), evidence, code=substance, status=UNKNOWN)
    if len(options) > 1 and not denied:
        _ask_which(draft, reference, text, options)
    amount = per_day_mg(draft, resource) or (item_per_day_mg(item) if item else None)
    draft.take(
        Intake(
            reference=reference,
            options=options,
            text=text,
            t0=t0,
            t1=t1,
            status=certain,
            per_day_mg=amount if len(parts) == 1 else None,  # the amount of a mixture is that of no single part
            times_a_day=times_a_day(draft, resource) or (item_times_a_day(item) if item else None),
            last_use=used,
            text_only=any(text_only for _, options, _, text_only in readings if options),
            denied=denied or bool(item and item.status in ("not-taken", "allergy")),
            as_needed=any(as_needed(d) for d in dosages(resource)) or bool(item and item.as_needed),
            view=kind,
            started=course[0],
            dose_mg=administered_mg(draft, resource, used) if kind == ADMINISTRATION and len(parts) == 1 else None,
            route=route_of(resource),
        )
    )


def states_last_use(resource: Resource) -> bool:
    """Whether an Observation says when a substance was last really taken."""
    return (LOCAL, LAST_USE) in Codes.read(resource.get("code")).pairs


def last_use(draft: Draft, resource: Resource, reference: str, reader: Callable[[], Reader]) -> None:
    """When a substance was last really taken: the time as value, the substance as a component, by code or by name.

    A name that may be several things counts for each of them, so that a use of today is never lost.
    """
    when = read_value(draft, reference, resource).span
    for part in mappings(resource.get("component")):
        codes = read_value(draft, reference, part).codes or Codes((), read_value(draft, reference, part).text)
        options, item, text_only = identify(draft, codes, reader)
        if not options:
            _unmatched(draft, reference, codes.text, item)
        if len(options) > 1:
            _ask_which(draft, reference, codes.text, options)
        span = when or ever(draft)
        for substance in dict.fromkeys(s for ids in options.values() for s in ids):
            evidence = Evidence(
                reference=reference, concept=LAST_USE, value=substance, at=draft.at(span), text_only=text_only
            )
            draft.add(LAST_USE, span, evidence, code=substance, status=YES if when else UNKNOWN)


def _ask_which(draft: Draft, reference: str, text: str, options: Options) -> None:
    names = ", ".join(draft.knowledge.name_of(option) for option in options)
    said = f"{shown(text)} can mean {names}; it was judged as each of them"
    draft.problem(reference, said, f"Which is meant: {names}?", concept="substance", blocks=True)


# --- what it is -------------------------------------------------------------------------------------------------------


def identify(draft: Draft, codes: Codes, reader: Callable[[], Reader]) -> tuple[Options, Item | None, bool]:
    """What a product can be: by ingredient code, else by reading its words; the last tells which."""
    coded = [draft.knowledge.substances_by_code.get(pair) for pair in codes.pairs]
    ids = tuple(dict.fromkeys(s for found in coded if found for s in components(draft, found)))
    if ids:
        return {"+".join(sorted(ids)): ids}, None, False
    last: Item | None = None
    for words in codes.names:
        exact = draft.knowledge.substances_by_name.get(fold(words))
        if exact:
            return {"+".join(exact): exact}, None, True
        try:
            last = reader().read(words)
        except AdjunctError:
            continue
        options = item_options(draft, last)
        if options:
            return options, last, True
    return {}, last, True


def item_options(draft: Draft, item: Item) -> dict[str, tuple[str, ...]]:
    """Each reading of an item -> the substances it stands for."""
    names = [item.substance] if item.match == "known" and item.substance else list(item.candidates)
    if item.match == "unknown":
        return {}
    return {n: tuple(c for part in n.split("+") for c in components(draft, part)) for n in names if n}


def components(draft: Draft, substance: str) -> tuple[str, ...]:
    """What a combination is made of; any other substance is itself."""
    return draft.knowledge.substances[substance].components or (substance,)


def _together(parts: Sequence[Options]) -> Options:
    """The readings of a product with several ingredients: every combination of theirs."""
    combined = [
        dict.fromkeys(s for name, options in zip(names, parts, strict=True) for s in options[name])
        for names in product(*parts)
    ]
    return {"+".join(sorted(ids)): tuple(ids) for ids in combined} if len(parts) > 1 else parts[0]


def _product(draft: Draft, resource: Resource, resolve: Resolve) -> tuple[str, list[Codes]]:
    """What the entry is of: its name, and what has to be known of it: the product, or each of its ingredients."""
    if isinstance(resource.get("medicationCodeableConcept"), Mapping):
        codes = Codes.read(resource["medicationCodeableConcept"])
        return codes.text, [codes]
    link = resource.get("medicationReference")
    found = resolve(link)
    if found is None or found.get("status") == "entered-in-error":
        name = str(link.get("display") or "") if isinstance(link, Mapping) else ""
        return name, [Codes((), name)]
    own = Codes.read(found.get("code"))
    ingredients = [i for i in mappings(found.get("ingredient")) if i.get("isActive") is not False]
    parts = [Codes.read(i["itemCodeableConcept"]) for i in ingredients if "itemCodeableConcept" in i]
    parts += [_referred(resolve, i["itemReference"]) for i in ingredients if "itemReference" in i]
    if not parts or any(pair in draft.knowledge.substances_by_code for pair in own.pairs):
        return own.text, [own]
    return own.text or "; ".join(p.text for p in parts), parts


def _referred(resolve: Resolve, reference: Any) -> Codes:
    found = resolve(reference)
    return Codes.read(found.get("code")) if found else Codes((), "")


def _unmatched(draft: Draft, reference: str, text: str, item: Item | None) -> None:
    near = ", ".join(item.candidates) if item else ""
    name = shown(text) if text else "an entry without a name"
    draft.problem(
        reference,
        f"{name} is not a medicine or substance known here, so nothing could be checked about it",
        f"Is it one of: {near}?" if near else "What is its exact name, or its ingredient?",
        concept="substance",
        blocks=True,
    )


# --- when -------------------------------------------------------------------------------------------------------------


def _last_on(draft: Draft, resource: Resource, reference: str, kind: str, course: Course) -> Last:
    """The last moment the person was on it, as an interval, and whether they were at all."""
    now, status = draft.now.ms, resource.get("status")
    if kind == DISPENSE:
        return _supplied(draft, resource, reference)
    start, end = course
    if start and start[0] > now:
        return (*start, YES)
    began = start[0] if start else PAST
    if kind == ADMINISTRATION:
        given = end or start or ever(draft)
        ongoing = status == "in-progress" and not end
        return (now, now, YES) if ongoing else (given[0], min(given[1], now), UNKNOWN if status == "unknown" else YES)
    if end and end[0] <= now:
        return end[0], min(end[1], now), YES  # a period that is over has ended, whatever the status says
    if status == "completed" and kind == REQUEST:
        return began, now, YES  # what was ordered has been supplied; the last of it may still be in use
    if status in OVER:
        return began, now - 1, YES
    return now, now, YES if status == "active" else UNKNOWN


def _course(draft: Draft, resource: Resource, reference: str, kind: str) -> Course:
    """When an entry begins and when it ends, as far as it says. A date of an order or a statement is no end."""
    if kind != REQUEST:
        start, end = period_of(draft, reference, resource.get("effectivePeriod"))
        return start or date_of(draft, reference, resource.get("effectiveDateTime")), end
    lines = [(d.get("timing") or {}).get("repeat") or {} for d in dosages(resource)]
    bounds = [period_of(draft, reference, line.get("boundsPeriod")) for line in lines]
    starts, ends = [start for start, _ in bounds if start], [end for _, end in bounds if end]
    start = min(starts) if len(starts) == len(lines) and starts else None
    end = max(ends) if len(ends) == len(lines) and ends else None  # one open line keeps the whole order open
    return start or date_of(draft, reference, resource.get("authoredOn")), end


def _supplied(draft: Draft, resource: Resource, reference: str) -> Last:
    """A supply is in use while it lasts, and possibly until twice its length; without a length it may be in use."""
    now = draft.now.ms
    low, high = span_of(draft, reference, resource.get("whenHandedOver"), resource.get("whenPrepared"))
    if low > now:
        return low, high, YES
    days = resource.get("daysSupply")
    supply = _length_ms(quantity_of(days)) if isinstance(days, Mapping) else None
    if supply is None or low == PAST:
        return now, now, UNKNOWN
    if low + supply >= now:
        return now, now, YES
    return low + supply, min(high + 2 * supply, now), YES


def _length_ms(value: Value) -> int | None:
    try:
        length = round(convert(value.low, unit_of(value) or "d", "d") * duration_ms("1 d"))
    except (AdjunctError, ValueError, OverflowError):
        return None
    return length if length > 0 else None


def depot(draft: Draft, options: Options, words: str, last: Last) -> Last:
    """The last moment on it, moved on by the interval and the tail of the depot product that the words name."""
    substances = dict.fromkeys(s for ids in options.values() for s in ids)
    depots = [d for s in substances for d in draft.knowledge.substances[s].depots]
    text = fold(words)
    named = [d for d in depots if _says(text, d.get("names", ()))] or [
        d for d in depots if _says(text, d.get("routes", ()))
    ]
    if not named:
        return last
    stay = max(duration_ms(d["interval"]) + duration_ms(d["tail"]) for d in named)
    low = last[0] if last[0] == PAST else min(last[0] + stay, max(last[0], draft.now.ms))
    return low, max(low, min(last[1] + stay, draft.now.ms)), last[2]


def _says(text: str, names: Iterable[str]) -> bool:
    """Whether one of `names` stands in `text`; it may be the beginning of a longer word, never its middle."""
    return any(re.search(rf"(?<!\w){re.escape(fold(name))}", text) for name in names)


def _route_words(resource: Resource) -> Iterable[str]:
    for dosage in dosages(resource):
        yield from Codes.read(dosage.get("route")).names
        yield str(dosage.get("text") or "")


# --- last actual use --------------------------------------------------------------------------------------------------


def _last_use(
    draft: Draft, resource: Resource, reference: str, kind: str, text: str, reader: Callable[[], Reader]
) -> Span | None:
    """When it was last actually taken: an administration, a statement of one instant, or a note that says so."""
    moment = resource.get("effectiveDateTime")
    if kind == ADMINISTRATION:
        start, end = period_of(draft, reference, resource.get("effectivePeriod"))
        given = end or start or date_of(draft, reference, moment)
        return (start[0] if start and given else given[0], min(given[1], draft.now.ms)) if given else None
    if kind == STATEMENT and isinstance(moment, str) and "T" in moment and resource.get("status") not in NOT_TAKEN:
        used = date_of(draft, reference, moment)
        return used if used and used[0] <= draft.now.ms else None
    noted = (_noted(draft, resource, reference, note, text, reader) for note in mappings(resource.get("note")))
    return next((span for span in noted if span), None)


def _noted(
    draft: Draft, resource: Resource, reference: str, note: Resource, name: str, reader: Callable[[], Reader]
) -> Span | None:
    """The last use that a note states, counted back from when the note was written; undated, it is only before now."""
    try:
        item = reader().read(f"{name}, {note.get('text', '')}")
    except AdjunctError:
        return None
    if item.match == "unknown" or item.last_use_h is None:
        return None
    written = span_of(draft, reference, note.get("time"), resource.get("dateAsserted"))
    recent, earlier = sorted(round(hours * duration_ms("1 h")) for hours in item.last_use_h)
    low = PAST if written[0] == PAST else written[0] - earlier
    return low, min(written[1], draft.now.ms) - recent


def item_last_use(draft: Draft, item: Item) -> Span | None:
    """When somebody says they last took it, as an interval before now."""
    if item.last_use_h is None:
        return None
    hour = duration_ms("1 h")
    recent, earlier = sorted(item.last_use_h)
    return round(draft.now.ms - earlier * hour), round(draft.now.ms - recent * hour)
