"""The routine: few small habits that the person chose, fitted to the day; graded, limited, and never imposed."""

from __future__ import annotations

from adjunct.routine.choices import choices_of
from adjunct.routine.engine import routine
from adjunct.routine.model import Act, Choices, Effect, Entry, Habit, Kind, Routine, State
from adjunct.routine.page import sheet

__all__ = ["Act", "Choices", "Effect", "Entry", "Habit", "Kind", "Routine", "State", "choices_of", "routine", "sheet"]
