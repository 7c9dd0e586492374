"""Bulk Data `$export`: begun, asked after, fetched, cancelled. Its files lie in a private folder until the server ends.

Kick-off at the system, at `Patient` or at a `Group`; status and files by addresses that nobody guesses.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus as Status
from pathlib import Path
from tempfile import mkdtemp

from adjunct.base import instant
from adjunct.fhir.definitions import patient_compartment, resource_types
from adjunct.fhir.export import Cancelled, Export, Part, Wanted, export, members, types_of
from adjunct.fhir.outcome import Issue, Refusal
from adjunct.fhir.repository import Repository, timestamp
from adjunct.fhir.rest import Operation, Reply
from adjunct.fhir.rest.call import Call, Level, said
from adjunct.fhir.rest.operations import given
from adjunct.fhir.rest.single import content_of, current
from adjunct.fhir.wire import write_exact

AT_ONCE = 2  # exports that are being written
KEPT = 20  # exports that can still be fetched
KEPT_MS = 3_600_000
POLL_MS = 500  # asked after more often than this, the answer is "too often"
RETRY_S = 1
NAME_BYTES = 24
_SPEC = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
_TAKEN = frozenset({"_outputFormat", "_since", "_type", "patient"})
_NDJSON = ("application/fhir+ndjson", "application/ndjson", "ndjson")
_FILE = (b"content-type", b"application/fhir+ndjson")
_JSON = (b"content-type", b"application/json")


@dataclass(slots=True, kw_only=True)
class Job:
    """One export. `polled` and `ended` are ms since 1970."""

    request: str
    folder: Path
    cancelled: threading.Event = field(default_factory=threading.Event)
    progress: str = "begun"
    result: Export | None = None
    failed: bool = False
    polled: int = 0
    ended: int = 0


class Exports:
    """The exports of one server. `close` stops them and removes their files."""

    def __init__(self, repository: Repository, clock: Callable[[], int]) -> None:
        self._repository, self._clock = repository, clock
        self._folder = Path(mkdtemp(prefix="export-"))  # for its owner only
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def operations(self) -> dict[tuple[Level, str], Operation]:
        """What these exports add to the interface."""
        begin = self._begin
        return {
            ("system", "$export"): Operation(begin, ("GET", "POST"), definition=f"{_SPEC}/export"),
            ("type", "$export"): Operation(begin, ("GET", "POST"), ("Patient",), f"{_SPEC}/patient-export"),
            ("instance", "$export"): Operation(begin, ("GET", "POST"), ("Group",), f"{_SPEC}/group-export"),
            ("system", "$export-status"): Operation(
                self._status, ("GET", "DELETE"), definition="urn:adjunct:export-status"
            ),
            ("system", "$export-file"): Operation(self._file, ("GET",), definition="urn:adjunct:export-file"),
        }

    def close(self) -> None:
        """Cancel what is being written and remove every file."""
        for job in list(self._jobs.values()):
            job.cancelled.set()
        for thread in self._threads:
            thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- kick-off -----------------------------------------------------------------------------------------------------

    def _begin(self, call: Call, repository: Repository) -> Reply:
        if "respond-async" not in call.headers.get("prefer", ""):
            raise Refusal(
                Status.BAD_REQUEST, "not-supported", "an export is asynchronous: Prefer: respond-async", "Prefer"
            )
        wanted = self._wanted(call, repository)
        asked = f"{call.rules.base}/{'/'.join(filter(None, (call.type, call.id, '$export')))}"
        with self._lock:
            self._forget()
            if sum(not job.ended for job in self._jobs.values()) >= AT_ONCE:
                raise Refusal(Status.TOO_MANY_REQUESTS, "throttled", "other exports are being written: ask again later")
            name = secrets.token_urlsafe(NAME_BYTES)
            folder = self._folder / name
            folder.mkdir()
            job = self._jobs[name] = Job(request=asked, folder=folder)
            thread = threading.Thread(target=partial(self._write, job, wanted), name="export", daemon=True)
            self._threads = [*(t for t in self._threads if t.is_alive()), thread]
        thread.start()
        place = f"{call.rules.base}/$export-status?job={name}"
        begun = Issue("information", "informational", "the export has begun: ask at Content-Location")
        return said(Status.ACCEPTED, [begun], (b"content-location", place.encode()))

    def _wanted(self, call: Call, repository: Repository) -> Wanted:
        asked: dict[str, str] = {}
        for key, value in given(call):
            if key in asked and key != "patient":
                raise Refusal(Status.BAD_REQUEST, "invalid", "a parameter is given twice: say it once", key)
            asked[key] = f"{asked[key]},{value}" if key in asked else value
        if call.strict and (unknown := asked.keys() - _TAKEN):
            raise Refusal(
                Status.BAD_REQUEST, "not-supported", f"an export takes {', '.join(sorted(_TAKEN))}", min(unknown)
            )
        if asked.get("_outputFormat", _NDJSON[0]) not in _NDJSON:
            raise Refusal(
                Status.BAD_REQUEST, "not-supported", "only application/fhir+ndjson is written", "_outputFormat"
            )
        since = instant(asked["_since"], "_since").ms if "_since" in asked else None
        people = None
        if call.type == "Group":
            with repository.reading() as record:
                people = members(content_of(current(record, "Group", call.id)))
        if "patient" in asked:
            if not call.type:
                raise Refusal(Status.BAD_REQUEST, "not-supported", "only for an export of patients", "patient")
            named = frozenset(p.strip().removeprefix("Patient/") for p in asked["patient"].split(","))
            with repository.reading() as record:  # somebody who is not here must not look like somebody without data
                for own in named:
                    current(record, "Patient", own)
            people = named if people is None else people & named
        within = {"Patient", *patient_compartment()} if call.type else resource_types()
        return Wanted(
            types=types_of(asked.get("_type"), tuple(within)), people=people, any_person=bool(call.type), since=since
        )

    def _write(self, job: Job, wanted: Wanted) -> None:
        def progress(kind: str, count: int) -> None:
            job.progress = f"{kind} {count}"
            if job.cancelled.is_set():
                raise Cancelled

        try:
            done = export(self._repository, wanted, job.folder, now=self._clock(), progress=progress)
            with self._lock:  # whoever cancels sees either that it is being written or that it is done
                job.result, job.ended = done, self._clock()
                if job.cancelled.is_set():
                    raise Cancelled
        except Cancelled:
            shutil.rmtree(job.folder, ignore_errors=True)
        except Exception:  # noqa: BLE001  whoever waits for it must be told; a message could hold values of the record
            job.failed = True
            shutil.rmtree(job.folder, ignore_errors=True)
        job.ended = job.ended or self._clock()

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def _status(self, call: Call, repository: Repository) -> Reply:  # noqa: ARG002  every handler has this shape
        name, job = self._job(call)
        now = self._clock()
        if call.method == "DELETE":
            with self._lock:
                self._jobs.pop(name, None)
                job.cancelled.set()
            if job.ended:
                shutil.rmtree(job.folder, ignore_errors=True)
            return said(Status.ACCEPTED, [Issue("information", "informational", "cancelled; its files are gone")])
        if job.failed:
            told = Issue("fatal", "exception", "the export failed: begin it again")
            return said(Status.INTERNAL_SERVER_ERROR, [told])
        if job.result is None:
            soon, job.polled = now - job.polled < POLL_MS, now
            later = (b"retry-after", str(RETRY_S).encode())
            if soon:
                return said(Status.TOO_MANY_REQUESTS, [Issue("error", "throttled", "asked too often")], later)
            return Reply(Status.ACCEPTED, (later, (b"x-progress", job.progress.encode())))
        return Reply(Status.OK, (_JSON,), write_exact(self._manifest(call, name, job, job.result)))

    def _manifest(self, call: Call, name: str, job: Job, result: Export) -> dict[str, object]:
        def listed(parts: tuple[Part, ...]) -> list[dict[str, object]]:
            place = f"{call.rules.base}/$export-file?job={name}&name="
            return [{"type": p.type, "url": place + p.name, "count": p.count} for p in parts]

        return {
            "transactionTime": timestamp(result.at),
            "request": job.request,
            "requiresAccessToken": False,
            "output": listed(result.output),
            "deleted": listed(result.deleted),
            "error": [],
        }

    def _file(self, call: Call, repository: Repository) -> Reply:  # noqa: ARG002  every handler has this shape
        _, job = self._job(call)
        wanted = dict(call.query).get("name", "")
        if job.result and wanted in {part.name for part in (*job.result.output, *job.result.deleted)}:
            return Reply(Status.OK, (_FILE,), (job.folder / wanted).read_bytes())
        raise Refusal(Status.NOT_FOUND, "not-found", "no such file of this export", "name")

    def _job(self, call: Call) -> tuple[str, Job]:
        name = dict(call.query).get("job", "")
        with self._lock:
            self._forget()
            job = self._jobs.get(name)
        if job is None:
            raise Refusal(Status.NOT_FOUND, "not-found", "no such export: it was cancelled, or its time is over", "job")
        return name, job

    def _forget(self) -> None:
        """Drop what was kept long enough, the oldest first."""
        over = [n for n, job in self._jobs.items() if job.ended]
        old = [n for n in over if self._clock() - self._jobs[n].ended > KEPT_MS]
        for name in {*old, *over[: max(0, len(over) - KEPT)]}:
            shutil.rmtree(self._jobs.pop(name).folder, ignore_errors=True)
