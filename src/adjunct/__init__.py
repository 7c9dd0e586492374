"""Adjunct: checks what people take beside an antidepressant, and assesses readiness for supervised ketamine care.

>>> import adjunct
>>> result = adjunct.check(["sertraline 100 mg daily", "phenelzine 45 mg"])
>>> result.verdict
'contraindicated'

These calls are shells: `at=None` means the machine's clock, and nothing below them reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adjunct.assessment import Assessment
    from adjunct.base import Instant
    from adjunct.knowledge import Knowledge

__version__ = "0.1.0"
__all__ = ["Knowledge", "assess", "check"]


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
