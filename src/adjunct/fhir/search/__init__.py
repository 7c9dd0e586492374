"""What a client asks, read from the parameters of a request into conditions that every store understands."""

from adjunct.fhir.search.cursor import Pairs
from adjunct.fhir.search.query import Asked, pairs, parse, parse_history
from adjunct.fhir.search.summary import apply_summary, shortened

__all__ = [
    "Asked",
    "Pairs",
    "apply_summary",
    "pairs",
    "parse",
    "parse_history",
    "shortened",
]
