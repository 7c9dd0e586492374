"""Medicines and other substances of a FHIR record -> intakes: what, when last, how much a day.

A depot, implant or patch stays current for its label interval plus its tail after the last administration, whatever
the status field says. A name without a code is read as text and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from adjunct.base import FAR, UNKNOWN, YES, AdjunctError, convert, duration_ms, shown, unit_spellings
from adjunct.items import Item, Reader
from adjunct.knowledge.load import fold
from adjunct.record.draft import Draft, Evidence, Intake
from adjunct.record.reading import DROPPED, Codes, Resource, Span, listed, present, read_value, span_of

PLANNED = frozenset({"intended", "draft"})
OVER = frozenset({"completed", "stopped", "on-hold"})
PLANS = frozenset({"proposal", "plan", "option"})
Resolve = Callable[[Any], Resource | None]


def medication(
    draft: Draft, resource: Resource, reference: str, resolve: Resolve, reader: Callable[[], Reader]
) -> None:
    """One MedicationStatement, Request, Administration or Dispense."""
    kind, status = resource["resourceType"], resource.get("status")
    if status in DROPPED or resource.get("doNotPerform") is True or status in ("declined", "preparation"):
        return
    codes = _product(resource, resolve)
    options, item, text_only = identify(draft, codes, reader)
    text = codes.text or (item.text if item else "")
    if not options:
        _unmatched(draft, reference, text, item)
        return
    planned = status in PLANNED or (kind == "MedicationRequest" and resource.get("intent") in PLANS - {"plan"})
    if planned or (item and item.status == "planned"):
        return
    when = _when(draft, resource, reference, kind)
    t0, t1, certain = _last_on(draft, when, status, kind)
    t0, t1, certain = _depot(draft, options, resource, text, when, (t0, t1, certain))
    if t0 > draft.now.ms:
        return
    denied = status == "not-taken" or bool(item and item.status in ("not-taken", "allergy"))
    per_day = _per_day_mg(draft, resource, reference)
    if item and item.status == "allergy":
        for substance in dict.fromkeys(s for ids in options.values() for s in ids):
            evidence = Evidence(reference=reference, concept="allergy", value=text, text_only=True)
            draft.add("allergy", present(draft), evidence, code=substance, status=UNKNOWN)
    draft.take(
        Intake(
            reference=reference,
            options=options,
            text=text,
            t0=t0,
            t1=t1,
            status=certain,
            per_day_mg=per_day or (item_per_day_mg(item) if item else None),
            times_a_day=_regimen(draft, resource) or (item_times_a_day(item) if item else None),
            last_use=_last_use(draft, resource, reference, kind, item),
            text_only=text_only,
            denied=denied,
            as_needed=_as_needed(resource) or bool(item and item.as_needed),
        )
    )


def identify(
    draft: Draft, codes: Codes, reader: Callable[[], Reader]
) -> tuple[dict[str, tuple[str, ...]], Item | None, bool]:
    """What a product can be: by ingredient code, else by reading its words; the last tells which."""
    coded = [draft.knowledge.substances_by_code.get(pair) for pair in codes.pairs]
    ids = tuple(dict.fromkeys(s for found in coded if found for s in components(draft, found)))
    if ids:
        return {"+".join(sorted(ids)): ids}, None, False
    last: Item | None = None
    for words in dict.fromkeys(t for t in (codes.text, *codes.displays) if t):
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


def _product(resource: Resource, resolve: Resolve) -> Codes:
    if isinstance(resource.get("medicationCodeableConcept"), Mapping):
        return Codes.read(resource["medicationCodeableConcept"])
    found = resolve(resource.get("medicationReference"))
    if found is None:
        link = resource.get("medicationReference")
        return Codes((), str(link.get("display", "")) if isinstance(link, Mapping) else "")
    own = Codes.read(found.get("code"))
    ingredients = [
        Codes.read(i["itemCodeableConcept"])
        for i in listed(found.get("ingredient"))
        if isinstance(i, Mapping) and "itemCodeableConcept" in i
    ]
    pairs = tuple(pair for codes in (own, *ingredients) for pair in codes.pairs)
    return Codes(pairs, own.text or "; ".join(i.text for i in ingredients), own.displays)


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


def _when(draft: Draft, resource: Resource, reference: str, kind: str) -> Span:
    """From the first to the last moment an entry speaks of; open ends reach as far as they may."""
    match kind:
        case "MedicationStatement":
            return span_of(draft, reference, resource.get("effectivePeriod"), resource.get("effectiveDateTime"))
        case "MedicationAdministration":
            return span_of(draft, reference, resource.get("effectivePeriod"), resource.get("effectiveDateTime"))
        case "MedicationDispense":
            return span_of(draft, reference, resource.get("whenHandedOver"), resource.get("whenPrepared"))
    for dosage in listed(resource.get("dosageInstruction")):
        bounds = ((dosage.get("timing") or {}).get("repeat") or {}).get("boundsPeriod")
        if isinstance(bounds, Mapping):
            return span_of(draft, reference, bounds)
    return span_of(draft, reference, resource.get("authoredOn"))


def _last_on(draft: Draft, when: Span, status: Any, kind: str) -> tuple[int, int, int]:
    """The last moment the person was on it, as an interval, and whether they were at all."""
    now = draft.now.ms
    if when[0] > now:
        return when[0], when[0], YES
    if kind == "MedicationAdministration":
        return when[0], min(when[1], now), YES
    if status in OVER:
        ended = when[1] < now
        return (when[1] if ended else when[0]), (when[1] if ended else now - 1), YES
    if when[1] < now and when[1] > when[0]:
        return when[1], when[1], YES  # an active entry whose period is over has ended, whatever its status says
    return now, now, YES if status == "active" or kind == "MedicationDispense" else UNKNOWN


def _depot(
    draft: Draft,
    options: Mapping[str, tuple[str, ...]],
    resource: Resource,
    text: str,
    when: Span,
    last: tuple[int, int, int],
) -> tuple[int, int, int]:
    """Stretch the last moment by a depot product's interval and tail."""
    substances = dict.fromkeys(s for ids in options.values() for s in ids)
    words = fold(" ".join([text, *_route_words(resource)]))
    for depot in (d for s in substances for d in draft.knowledge.substances[s].depots):
        if any(fold(name) in words for name in (*depot.get("names", ()), *depot.get("routes", ()))):
            stay = duration_ms(depot["interval"]) + duration_ms(depot["tail"])
            given = when if when[0] > -FAR else (when[0], last[1])
            low, high = min(given[1] if given[0] == -FAR else given[0], draft.now.ms) + stay, last[1] + stay
            if low >= draft.now.ms:
                return draft.now.ms, draft.now.ms, YES
            return max(last[0], min(low, draft.now.ms)), min(high, draft.now.ms), last[2]
    return last


def _route_words(resource: Resource) -> Iterable[str]:
    for dosage in (*listed(resource.get("dosage")), *listed(resource.get("dosageInstruction"))):
        if isinstance(dosage, Mapping):
            yield Codes.read(dosage.get("route")).text
            yield str(dosage.get("text", ""))


def _last_use(draft: Draft, resource: Resource, reference: str, kind: str, item: Item | None) -> Span | None:
    """When it was last actually taken: an administration, a statement of one instant, or words that say so."""
    if kind == "MedicationAdministration":
        span = _when(draft, resource, reference, kind)
        return span if span[0] > -FAR else None
    moment = resource.get("effectiveDateTime")
    if kind == "MedicationStatement" and isinstance(moment, str) and "T" in moment:
        return span_of(draft, reference, moment)
    return item_last_use(draft, item) if item else None


def item_last_use(draft: Draft, item: Item) -> Span | None:
    """When somebody says they last took it, as an interval before now."""
    if item.last_use_h is None:
        return None
    hour = duration_ms("1 h")
    recent, earlier = sorted(item.last_use_h)
    return round(draft.now.ms - earlier * hour), round(draft.now.ms - recent * hour)


def item_per_day_mg(item: Item) -> tuple[float, float] | None:
    """Milligrams a day, where amount, unit and times a day are all known and the unit is a mass."""
    dose = item.dose
    if dose is None or dose.low is None or dose.high is None or not dose.unit or dose.per_day_low is None:
        return None
    try:
        low, high = (convert(v, dose.unit, "mg") for v in (dose.low, dose.high))
    except AdjunctError:
        return None
    most = dose.per_day_high if dose.per_day_high is not None else dose.per_day_low
    return low * dose.per_day_low, high * most


def item_times_a_day(item: Item) -> tuple[float, float] | None:
    """How often a day, as an interval."""
    dose = item.dose
    if dose is None or dose.per_day_low is None:
        return None
    return dose.per_day_low, dose.per_day_high if dose.per_day_high is not None else dose.per_day_low


def _regimen(draft: Draft, resource: Resource) -> tuple[float, float] | None:
    """How often a day over all dosage lines; None when none of them says."""
    dosages = [d for d in (*listed(resource.get("dosage")), *listed(resource.get("dosageInstruction"))) if d]
    times = [_times_a_day(draft, d) for d in dosages if isinstance(d, Mapping)]
    known = [t for t in times if t is not None]
    return (sum(known), sum(known)) if known else None


def _as_needed(resource: Resource) -> bool:
    dosages = (*listed(resource.get("dosage")), *listed(resource.get("dosageInstruction")))
    return any(isinstance(d, Mapping) and (d.get("asNeededBoolean") or "asNeededCodeableConcept" in d) for d in dosages)


def _per_day_mg(draft: Draft, resource: Resource, reference: str) -> tuple[float, float] | None:
    """Milligrams a day over all dosage lines, or None when any line leaves it open."""
    total_low = total_high = 0.0
    dosages = [d for d in (*listed(resource.get("dosage")), *listed(resource.get("dosageInstruction"))) if d]
    for dosage in dosages:
        amount = _dose_mg(draft, dosage, reference) if isinstance(dosage, Mapping) else None
        times = _times_a_day(draft, dosage) if isinstance(dosage, Mapping) else None
        if amount is None or times is None:
            return None
        total_low += 0.0 if _as_needed({"dosage": [dosage]}) else amount[0] * times
        total_high += amount[1] * times
    return (total_low, total_high) if dosages else None


def _dose_mg(draft: Draft, dosage: Resource, reference: str) -> tuple[float, float] | None:
    for rate in listed(dosage.get("doseAndRate")):
        holder = {"valueQuantity": rate["doseQuantity"]} if "doseQuantity" in rate else None
        holder = {"valueRange": rate["doseRange"]} if "doseRange" in rate else holder
        if holder is None:
            continue
        value = read_value(draft, reference, holder)
        unit = value.unit or unit_spellings().get(value.unit_text, value.unit_text)
        try:
            return convert(value.low, unit, "mg"), convert(value.high, unit, "mg")
        except AdjunctError:
            return None
    return None


def _times_a_day(draft: Draft, dosage: Resource) -> float | None:
    timing = dosage.get("timing") or {}
    repeat = timing.get("repeat") or {}
    if isinstance(repeat.get("period"), (int, float)) and repeat.get("periodUnit"):
        try:
            days = convert(float(repeat["period"]), repeat["periodUnit"], "d")
        except AdjunctError:
            return None
        return float(repeat.get("frequencyMax") or repeat.get("frequency") or 1) / days if days > 0 else None
    words = draft.knowledge.content["knowledge"]["timing_codes"]
    codes = Codes.read(timing.get("code"))
    return next((float(words[c]) for c in (*(c for _, c in codes.pairs), codes.text) if c in words), None)
