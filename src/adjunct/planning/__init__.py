"""One plan for the whole person: course, preparation, consent, team, messages; derived, versioned, for `due.py`."""

from __future__ import annotations

from adjunct.planning.model import CarePlan
from adjunct.planning.person import Planned, first_version, in_language, plan

__all__ = ["CarePlan", "Planned", "first_version", "in_language", "plan"]
