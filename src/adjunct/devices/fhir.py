"""FHIR R4 Observations of monitors, read and written: one, or a Bundle of them, a blood pressure with components."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import orjson

from adjunct.base import MS_PER_SECOND, BadInput, instant, iso, shown
from adjunct.devices.report import COUNTS, DOUBT, LOINC, MDC, NONE, Moment, Report, Row, Words, called
from adjunct.fhir.wire import Json, listed, mapped, read_json
from adjunct.knowledge import Knowledge
from adjunct.session.model import Event

PANEL = ("85354-9", "Blood pressure panel")
PRESSURES = ("systolic", "diastolic")
NUMBER = frozenset({int, float})
_BUNDLES = ("collection", "batch", "transaction", "searchset")
_CATEGORY = {
    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
    "code": "vital-signs",
    "display": "Vital Signs",
}
_FORBIDDEN = re.compile(r"[\x00-\x1f]|\\(?:\\|u00[01][0-9a-fA-F]|[bf])")  # as it is, or escaped
_UNREADABLE = "holds a control character, or bytes that are not UTF-8: read without them; send valid JSON"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def read(raw: bytes, words: Words) -> Report:
    """What an Observation, or a Bundle of them, says. `BadInput`: it is neither."""
    document, faults = _document(raw)
    kind = str(document.get("resourceType"))
    if kind == "Bundle":
        found = [mapped(mapped(e).get("resource")) for e in listed(document.get("entry"))]
    else:
        found = [document]
    seen = [r for r in found if r.get("resourceType") == "Observation"]
    if not seen or (kind == "Bundle" and document.get("type", "collection") not in _BUNDLES):
        raise BadInput(f"{shown(kind)} holds no Observation of FHIR R4: send an Observation, or a Bundle of them")
    rows, silent, unknown = [], [], []
    people = {_local(str(who)) for r in seen if (who := mapped(r.get("subject")).get("reference"))}
    if len(people) > 1:
        faults.append("Observations of several persons in one message: send each person's on their own")
    if len(seen) < len(found):
        faults.append("resources that are no Observations in the same Bundle: send Observations only")
    for number, resource in enumerate(seen, 1):
        if resource.get("modifierExtension") or resource.get("implicitRules"):
            faults.append("under a modifier extension or implicit rules that are not known here: send it without them")
        for row in _rows(resource, f"Observation {number}", words):
            if isinstance(row, str):
                unknown.append(row)
            elif row.means == NONE and row.value is None:
                silent.append((row.device, row.measure, "no value"))
            else:
                rows.append(row)
    sent = _moment(document.get("timestamp") if kind == "Bundle" else seen[0].get("issued"))
    version = str(mapped(document.get("meta")).get("versionId", ""))
    control = called("/".join(filter(None, (str(document.get("id", "")), version))))
    first, whole = next((r.device for r in rows), ""), words.doubted(rows)
    return Report(first, control, tuple(people), sent, whole, tuple(silent), tuple(unknown), tuple(faults))


def _document(raw: bytes) -> tuple[Json, list[str]]:
    """A message as JSON, and what is wrong with it where it can be read without the signs that FHIR forbids."""
    try:
        return mapped(read_json(raw)[0]), []
    except BadInput:
        plain = _FORBIDDEN.sub(" ", raw.decode("utf-8", "replace"))
        with suppress(BadInput):
            return mapped(read_json(plain)[0]), [_UNREADABLE]
        raise


def _rows(resource: Json, place: str, words: Words) -> Iterator[Row | str]:
    """The results of an Observation and of its components; the code alone of what is no measure of a session."""
    device = _device(mapped(resource.get("device")))
    period = mapped(resource.get("effectivePeriod"))
    times = (resource.get("effectiveDateTime"), resource.get("effectiveInstant"), period.get("start"))
    at = next(filter(None, map(_moment, (*times, resource.get("issued")))), None)
    means = words.said.get(("fhir", str(resource.get("status"))), DOUBT)
    parts = [mapped(c) for c in listed(resource.get("component"))]
    for part in parts or [resource]:
        codings = [mapped(c) for c in listed(mapped(part.get("code")).get("coding"))]
        known = next(filter(None, (words.codes.get((str(c.get("system")), str(c.get("code")))) for c in codings)), None)
        if known is None:
            yield next((str(c.get("code")) for c in codings), "?")
        else:
            yield _result(mapped(part.get("valueQuantity")), *known, means, at, device, place, words)


def _result(
    quantity: Json, measure: str, rank: int, means: str, at: Moment | None, device: str, place: str, words: Words
) -> Row:
    number = quantity.get("value")
    if type(number) not in NUMBER:
        return Row(measure, rank, None, NONE if means in (COUNTS, DOUBT) else means, at, device, place)
    coded = quantity.get("code") if quantity.get("system") == words.systems["UCUM"] else None
    spoken = tuple(u for u in (coded, quantity.get("code"), quantity.get("unit")) if isinstance(u, str))
    value, why, odd, looks = words.amount(measure, f"{number:.9f}", spoken)
    if means in (NONE, DOUBT) or quantity.get("comparator"):
        why = why or f"the monitor itself does not vouch for this {measure}: look at the probe and the screen"
        means = DOUBT
    return Row(measure, rank, value, means, at, device, place, why, odd, looks)


def _device(reference: Json) -> str:
    """The name of the device: its identifier, or the end of its reference, or what is displayed."""
    identifier = mapped(reference.get("identifier")).get("value")
    return called(str(identifier or _local(str(reference.get("reference") or "")) or reference.get("display") or ""))


def _local(reference: str) -> str:
    return reference.rpartition("/")[2]


def _moment(text: Any) -> Moment | None:
    with suppress(BadInput):
        if isinstance(text, str):
            found = instant(text)
            return Moment(found.ms, offset=found.offset)
    return None


# --- writing ----------------------------------------------------------------------------------------------------------


def to_fhir(
    event: Event,
    knowledge: Knowledge,
    *,
    control: str = "",
    patient: str = "",
    sent: int | None = None,
    status: str = "final",
    units: Mapping[str, str] = {},
    silent: Iterable[str] = (),
) -> bytes:
    """A vitals event as Observations of the monitor `event.source`, in one Bundle. `silent`: without a value."""
    words, ident = Words.of(knowledge), control or event.id
    values: dict[str, Json] = {m: _quantity(m, event.data[m], units, words) for m in words.canonical if m in event.data}
    values |= {m: {"dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "error"}]}} for m in silent}
    frame: Json = {
        "resourceType": "Observation",
        "status": status,
        "category": [{"coding": [_CATEGORY]}],
        **({"subject": {"reference": patient}} if patient else {}),
        "effectiveDateTime": _written(event.at, event),
        "issued": _written(event.at if sent is None else sent, event),
        "device": {"identifier": {"value": event.source}},
    }
    pressures = {m: values.pop(m) for m in PRESSURES if m in values}
    found = [frame | {"code": _code(m, words)} | value for m, value in values.items()]
    if pressures:
        panel = {"coding": [{"system": words.systems[LOINC], "code": PANEL[0], "display": PANEL[1]}]}
        parts = [{"code": _code(m, words)} | value for m, value in pressures.items()]
        found.append(frame | {"code": panel, "component": parts})
    bundle: Json = {
        "resourceType": "Bundle",
        "id": ident,
        "type": "collection",
        "timestamp": _written(event.at if sent is None else sent, event),
        "entry": [{"resource": resource} for resource in found],
    }
    return orjson.dumps(bundle)


def _quantity(measure: str, value: float, units: Mapping[str, str], words: Words) -> Json:
    unit = units.get(measure, words.canonical[measure])
    return {"valueQuantity": {"value": value, "unit": unit, "system": words.systems["UCUM"], "code": unit}}


def _code(measure: str, words: Words) -> Json:
    return {
        "coding": [
            {"system": words.systems[system], "code": code, "display": name}
            for system in (LOINC, MDC)
            for code, name in [words.written[system][measure]]
        ]
    }


def _written(ms: int, event: Event) -> str:
    """An instant with its milliseconds and the offset of the event."""
    text = iso(ms, event.offset)
    end = len("2026-11-22T09:30:00")
    return f"{text[:end]}.{ms % MS_PER_SECOND:03d}{text[end:]}"
