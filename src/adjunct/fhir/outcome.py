"""What FHIR says when something cannot be done: a status, a code, where, and what to do, as an OperationOutcome."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from adjunct.base import AdjunctError
from adjunct.fhir.wire import Json

Severity = Literal["fatal", "error", "warning", "information"]


class Issue(NamedTuple):
    """One thing to say about a request or a resource. `diagnostics` never repeats a value of the record."""

    severity: Severity
    code: str  # IssueType of FHIR R4
    diagnostics: str
    expression: str = ""


class Refusal(AdjunctError):
    """A request that is not carried out; nothing of it is stored. `status` is the HTTP status that says so."""

    exit_code = 2

    def __init__(
        self, status: int, code: str, diagnostics: str, expression: str = "", *, issues: Iterable[Issue] = ()
    ) -> None:
        self.status = status
        self.issues = tuple(issues) or (Issue("error", code, diagnostics, expression),)
        super().__init__(f"{expression}: {diagnostics}" if expression else diagnostics)


def outcome(issues: Iterable[Issue]) -> Json:
    """The issues as an OperationOutcome; "all is well" where there are none.

    >>> outcome([])["issue"][0]["code"]
    'informational'
    """
    said = [
        {"severity": i.severity, "code": i.code, "diagnostics": i.diagnostics}
        | ({"expression": [i.expression]} if i.expression else {})
        for i in issues
    ]
    nothing = {"severity": "information", "code": "informational", "diagnostics": "nothing to report"}
    return {"resourceType": "OperationOutcome", "issue": said or [nothing]}
