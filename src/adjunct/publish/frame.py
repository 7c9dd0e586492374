"""What every published Bundle has in common: ids from the content, narrative, the software, the knowledge, who made it.

Ids are derived from the content, so the same result published twice is the same resources. References to the record
stay as they were given; everything else that is referred to is in the Bundle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import metadata
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from adjunct.base import BadInput, instant
from adjunct.fhir.wire import FORBIDDEN

Json = dict[str, Any]

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ABSENT_REASON = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
LIBRARY_TYPE = "http://terminology.hl7.org/CodeSystem/library-type"
XHTML = "http://www.w3.org/1999/xhtml"
KNOWLEDGE = "urn:adjunct:knowledge"
RESULT = "urn:adjunct:result"

_LITERAL = re.compile(r"(?:https?://[!-~]+/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INPUT = re.compile(rf"{_UUID.pattern}|Bundle\.entry\[\d+\]\.resource")  # how a Bundle without ids names its patient
_CODE = re.compile(r"[!-~]+(?: [!-~]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One result on its way into FHIR: what every resource of it shares."""

    own: UUID
    now: str
    software: str
    knowledge: str
    as_of: str
    patient: Json
    has_patient: bool

    @classmethod
    def of(
        cls,
        result: object,
        *,
        now: str,
        patient: str | None,
        knowledge: str,
        as_of: str = "",
        software: str | None = None,
        at: str = "now_iso",
    ) -> Frame:
        """`result` is what the ids are made from. Without `patient` the subject is named in words only.

        Raises `BadInput` for a time without its offset, and for a patient that is no reference.
        """
        instant(now, at)
        if patient is not None and not (literal(patient) or _INPUT.fullmatch(patient)):
            raise BadInput('not a reference to a patient: write for example "Patient/123"', "patient_reference")
        software = software or _software_version()
        seed = json.dumps([result, now, patient, software], sort_keys=True, default=str, ensure_ascii=True)
        told = outside(patient or "")
        known = bool(told) and "display" not in told
        return cls(
            own=uuid5(NAMESPACE_URL, f"{RESULT}:{seed}"),
            now=now,
            software=software,
            knowledge=knowledge or "unknown",
            as_of=as_of,
            patient=told if known else {"type": "Patient", "display": "the person asked about"},
            has_patient=known,
        )

    @classmethod
    def of_result(cls, result: Mapping[str, Any], *, patient: str | None, software: str | None) -> Frame:
        """A result (its JSON, parsed) that names its instant and its knowledge itself."""
        knowledge = mapping(result.get("knowledge"))
        return cls.of(
            result,
            now=said(result.get("at")),
            patient=patient,
            knowledge=said(knowledge.get("version")),
            as_of=said(knowledge.get("as_of")),
            software=software,
            at="at",
        )

    # --- names and references ---

    def id(self, role: str) -> str:
        return str(uuid5(self.own, role))

    def ref(self, role: str) -> Json:
        return {"reference": f"urn:uuid:{self.id(role)}"}

    def start(self, kind: str, role: str, narrative: str) -> Json:
        """A resource with its id and its text."""
        div = f'<div xmlns="{XHTML}"><p>{escape(printable(narrative))}</p></div>'
        return {"resourceType": kind, "id": self.id(role), "text": {"status": "generated", "div": div}}

    # --- what made it ---

    def bundle(self, made: Sequence[Json], inputs: Sequence[Json] = ()) -> Json:
        """The resources with the software, the knowledge and the provenance; `inputs` is what they were made from."""
        targets = [{"reference": f"urn:uuid:{r['id']}"} for r in made]
        whole = [self._device(), self._library(), *made, self._provenance(targets, inputs)]
        return {
            "resourceType": "Bundle",
            "id": str(self.own),
            "type": "collection",
            "timestamp": self.now,
            "entry": [{"fullUrl": f"urn:uuid:{r['id']}", "resource": clean(r)} for r in whole],
        }

    def _device(self) -> Json:
        return self.start("Device", "device", f"Adjunct {self.software}, knowledge {self.knowledge}") | {
            "status": "active",
            "manufacturer": "Adjunct",
            "deviceName": [{"name": "Adjunct", "type": "model-name"}],
            "type": {"text": "Clinical decision support software"},
            "version": [
                {"type": {"text": "software"}, "value": self.software},
                {"type": {"text": "knowledge"}, "value": self.knowledge},
            ],
        }

    def _library(self) -> Json:
        words = f"Adjunct knowledge {self.knowledge}" + (f", as of {self.as_of}" if self.as_of else "")
        return self.start("Library", "library", words) | {
            "url": KNOWLEDGE,
            "version": self.knowledge,
            "name": "AdjunctKnowledge",
            "title": "Adjunct clinical knowledge",
            "status": "active",
            "type": {"coding": [{"system": LIBRARY_TYPE, "code": "logic-library"}]},
            "date": self.as_of,
        }

    def _provenance(self, targets: Sequence[Json], inputs: Sequence[Json]) -> Json:
        return self.start("Provenance", "provenance", f"Made by Adjunct {self.software} at {self.now}") | {
            "target": list(targets),
            "occurredDateTime": self.now,
            "recorded": self.now,
            "agent": [
                {
                    "type": {"coding": [{"system": PARTICIPATION, "code": "DEV", "display": "device"}]},
                    "who": self.ref("device"),
                }
            ],
            "entity": [{"role": "source", "what": what} for what in (self.ref("library"), *inputs)],
        }


def _software_version() -> str:
    try:
        return metadata.version("adjunct")
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"


# --- words, codes, references -----------------------------------------------------------------------------------------


def mapping(value: object) -> Mapping[str, Any]:
    """What should be an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    """What should be a list, else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def printable(text: str) -> str:
    """Without the characters that no FHIR string may hold."""
    return FORBIDDEN.sub(" ", text).strip()


def said(value: object) -> str:
    """A value in words; nothing says nothing."""
    return "" if value is None else printable(str(value))


def sentences(parts: Iterable[object]) -> str:
    """What is said, one after the other."""
    return " ".join(filter(None, map(said, parts)))


def coding(system: str, code: str, display: str = "") -> list[Json]:
    """The code, if it is one: what is only words stays in the text beside it."""
    named = {"display": display} if display else {}
    return [{"system": system, "code": code} | named] if _CODE.fullmatch(code) else []


def literal(reference: str) -> bool:
    """Whether this is a reference that FHIR can follow: Type/id, perhaps with its server."""
    return bool(_LITERAL.fullmatch(reference))


def outside(reference: str) -> Json:
    """A resource that is not in this Bundle. A UUID that only the Bundle read gave it is a name, not an address."""
    if literal(reference):
        return {"reference": reference}
    if _UUID.fullmatch(reference):
        return {"identifier": {"system": "urn:ietf:rfc:3986", "value": reference}}
    return {"display": reference} if reference else {}


def named(reference: str) -> bool:
    """Whether it is a UUID: a name that only the Bundle read gave."""
    return bool(_UUID.fullmatch(reference))


def kind_of(reference: str) -> str:
    """The type of resource that a reference names; empty where it does not say."""
    found = _LITERAL.fullmatch(reference)
    return found[1] if found else ""


def absent(code: str, why: str = "") -> Json:
    """Why there is no value, as HL7's data-absent-reason and in words."""
    return {"coding": coding(ABSENT_REASON, code), "text": why}


def clean(value: Any) -> Any:
    """Without what FHIR forbids: empty strings, nulls, empty lists and objects."""
    if isinstance(value, Mapping):
        kept = {key: clean(child) for key, child in value.items()}
        return {key: child for key, child in kept.items() if child not in (None, "", [], {})}
    if isinstance(value, list):
        return [child for child in map(clean, value) if child not in (None, "", [], {})]
    return value
