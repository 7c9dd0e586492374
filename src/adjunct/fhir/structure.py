"""The structure of R4: names, cardinalities, JSON types and formats, as fhirkit knows them, without any value.

fhirkit repeats the value it complains about; a value of a record stands in no message of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import fhirkit

_WRONG_TYPE = (
    "expected ",
    "only one type may be given",
    "null is not allowed in an array",
    "a resource needs a resourceType",
    "not a FHIR R4 resource type",
    "nested too deeply",
)
_MISSING = "required element missing"
_UNTIDY = (
    _MISSING,
    "unknown element",
    "null is not allowed",
    "an empty ",  # and the name of a type
    "null with no extension in its place",
)
_INVALID = re.compile(r"is (not an? (?:valid \w+|FHIR integer|FHIR R4 resource type|positiveInt|unsignedInt))[^\"]*\Z")
_PLACE = re.compile(r"[\w.\[\]]{1,500}")


class Fault(NamedTuple):
    """One deviation from R4. `place` is empty where the place itself repeats what was sent."""

    said: str
    place: str
    path: str  # as fhirkit has it; not to be shown

    @property
    def wrong(self) -> bool:
        """What is there cannot be read, not even with care: it has another JSON type than R4 says."""
        return self.said.startswith(_WRONG_TYPE)

    @property
    def missing(self) -> bool:
        return self.said == _MISSING


def faults(raw: bytes) -> Iterator[Fault]:
    """Every deviation from the structure of R4, in the order of the document."""
    for issue in fhirkit.validate(raw):
        yield Fault(without_values(issue.message), issue.path if _PLACE.fullmatch(issue.path) else "", issue.path)


def without_values(message: str) -> str:
    """Only what the validator says of its own.

    >>> without_values('"1985-13-01" is not a valid date')
    'not a valid date'
    """
    if message.startswith(_WRONG_TYPE + _UNTIDY):
        return message
    invalid = _INVALID.search(message)
    return invalid[1] if invalid else "not as FHIR R4 says"
