"""What is counted: requests by interaction and status, how long they took, how many writes shared a commit.

Labels come from closed lists: whatever a client sends, no id and no value of a record becomes one.
"""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from adjunct.fhir import releases

LATENCY_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTENT_TYPE = CONTENT_TYPE_LATEST

_WRITES = {"PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def interaction(method: str, path: str) -> tuple[str, str]:
    """The name that FHIR gives to a request below the base, and the resource type if R4 has it.

    >>> interaction("GET", "Patient/17"), interaction("POST", ""), interaction("GET", "Patient/Ana/x/y")
    (('read', 'Patient'), ('batch', ''), ('unknown', 'Patient'))
    """
    parts = path.strip("/").split("/")
    kind = parts[0] if parts[0] in releases.types() else ""
    return _named(method if method != "HEAD" else "GET", parts, kind), kind


def _named(method: str, parts: list[str], kind: str) -> str:
    match parts:
        case [*_, last] | [*_, last, _] if last.startswith("$"):
            return "operation"
        case [""]:
            return {"GET": "search-system", "POST": "batch"}.get(method, "unknown")
        case ["metadata"]:
            return "capabilities"
        case ["_history"]:
            return "history-system"
        case ["_search"]:
            return "search-system"
        case [_, "_history"] if kind:
            return "history-type"
        case [_, "_search"] if kind:
            return "search-type"
        case [_] if kind:
            return {"GET": "search-type", "POST": "create"}.get(method, _WRITES.get(method, "unknown"))
        case [_, _] if kind:
            return "read" if method == "GET" else _WRITES.get(method, "unknown")
        case [_, _, "_history"] if kind:
            return "history-instance"
        case [_, _, "_history", _] if kind:
            return "vread"
        case [_, _, _] | [_, _, _, "_search"] if kind:
            return "search-type"
    return "unknown"


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "adjunct_fhir_requests",
            "Requests by interaction and status.",
            ("interaction", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "adjunct_fhir_request_seconds",
            "From the first byte read to the last byte handed over.",
            ("interaction",),
            buckets=LATENCY_S,
            registry=self.registry,
        )
        self._group = Histogram(
            "adjunct_commit_writes", "Writes in one durable commit.", buckets=GROUP_SIZES, registry=self.registry
        )
        self._count = cache(self._requests.labels)
        self._time = cache(self._seconds.labels)

    def answered(self, name: str, status: int, seconds: float) -> None:
        """A request was answered, or its client left."""
        self._count(name, status).inc()
        self._time(name).observe(seconds)

    def committed(self, writes: int) -> None:
        """One commit made this many writes durable. Called from the writer's thread."""
        self._group.observe(writes)

    def text(self) -> bytes:
        return generate_latest(self.registry)
