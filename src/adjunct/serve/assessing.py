"""`POST /fhir/Patient/[id]/$assess`: the answer of `adjunct assess`, from what the record holds about this person."""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus as Status

from adjunct.base import Instant, instant
from adjunct.fhir import read_bundle
from adjunct.fhir.outcome import Issue, Refusal
from adjunct.fhir.repository import Repository
from adjunct.fhir.rest import Operation, Reply, Service
from adjunct.fhir.rest.call import Call, Level, reply, said
from adjunct.fhir.rest.operations import given
from adjunct.fhir.rest.single import current
from adjunct.fhir.wire import write_exact
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import NONE, TREATMENTS
from adjunct.knowledge.language import PHASES
from adjunct.serve.records import bundle_of, keep

ASKED = ("treatment", "phase", "at", "country", "keep")
_COUNTRY = re.compile("[A-Za-z]{2}")
JSON = (b"content-type", b"application/json; charset=utf-8")


def operations() -> dict[tuple[Level, str], Operation]:
    """What a server of this house can do beyond FHIR."""
    definition = "urn:adjunct:OperationDefinition/Patient-assess"
    return {("instance", "$assess"): Operation(assess, ("POST",), ("Patient",), definition)}


def assess(call: Call, repository: Repository) -> Reply:
    """Parameters, in the query or as Parameters: treatment, phase (intake), at (now), country, keep (false).

    Asked as `application/fhir+json` the answer is a Bundle with a GuidanceResponse, otherwise the JSON of the command.
    With `keep=true` the Bundle is stored as well. Red flags are told whatever else goes wrong.
    """
    from adjunct.assessment import assess as weigh
    from adjunct.publish import to_fhir
    from adjunct.record import from_bundle

    asked = _asked(call)
    treatment, phase = asked.get("treatment", ""), asked.get("phase", "intake")
    _refuse_unknown(treatment, phase, asked.get("country", "US"), asked.get("keep", "false"))
    at = instant(asked["at"], "at") if "at" in asked else Instant(call.rules.clock())
    with repository.reading() as held:
        current(held, "Patient", call.id)  # 404 or 410 where there is nobody
    bundle = bundle_of(repository, call.id)
    known = knowledge()
    record = from_bundle(read_bundle(bundle), known, now=at, phase=phase, country=asked.get("country", "").upper())
    result = weigh(record, known, treatment=treatment)
    if record.refusal:
        refused = Issue("error", "business-rule", record.refusal, "Patient.birthDate")
        urgent = (f.tell or f.says for f in result.findings if f.action == "emergency")
        return said(Status.UNPROCESSABLE_ENTITY, [refused, *(Issue("warning", "business-rule", t) for t in urgent)])
    published = to_fhir(result.to_dict(), now_iso=result.at, patient_reference=f"Patient/{call.id}")
    if asked.get("keep") == "true":
        keep(Service(repository, call.rules), published)
    if "application/fhir+json" in call.headers.get("accept", ""):
        return reply(Status.OK, write_exact(published))
    return Reply(Status.OK, (JSON,), result.to_json().encode())


@cache
def knowledge() -> Knowledge:
    """This process's knowledge, loaded when first asked for."""
    return Knowledge.load()


def _asked(call: Call) -> dict[str, str]:
    """The parameters by name; each once, in the query or in the body."""
    asked: dict[str, str] = {}
    for name, value in given(call):
        if name not in ASKED or name in asked:
            why = "given twice" if name in asked else f"not a parameter of $assess: {', '.join(ASKED)}"
            raise Refusal(Status.BAD_REQUEST, "not-supported", why, name if name in ASKED else "parameter")
        asked[name] = value
    return asked


def _refuse_unknown(treatment: str, phase: str, country: str, kept: str) -> None:
    for name, value, allowed in (
        ("treatment", treatment, (*TREATMENTS, NONE)),
        ("phase", phase, PHASES),
        ("keep", kept, ("true", "false")),
    ):
        if value not in allowed:
            raise Refusal(Status.BAD_REQUEST, "value", f"one of {', '.join(allowed)}", name)
    if not _COUNTRY.fullmatch(country):  # any other would silently be an unknown one
        raise Refusal(Status.BAD_REQUEST, "value", "not a country code of two letters: write for example US", "country")
