"""FHIR R4 and nothing clinical: what a Bundle says, whom it is about, and what its references point to."""

from __future__ import annotations

from adjunct.fhir.bundle import Bundle, Entry, Problem, read_bundle

__all__ = ["Bundle", "Entry", "Problem", "read_bundle"]
