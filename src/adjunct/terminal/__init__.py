"""Answers on a terminal: what, what to do, why, how sure. Words carry what colour shows."""

from __future__ import annotations

from adjunct.terminal.answers import show, show_checks, show_exposure, show_model, show_models, show_ratio
from adjunct.terminal.measures import show_follow_up, show_instruments, show_message, show_safety_plan, show_score
from adjunct.terminal.planning import (
    show_plan,
    show_protocol,
    show_protocols,
    show_request,
    show_sheet,
    show_timetable,
)
from adjunct.terminal.session import run as run_day
from adjunct.terminal.session import show_readiness, show_replay, show_stock

__all__ = [
    "run_day",
    "show",
    "show_checks",
    "show_exposure",
    "show_follow_up",
    "show_instruments",
    "show_message",
    "show_model",
    "show_models",
    "show_plan",
    "show_protocol",
    "show_protocols",
    "show_ratio",
    "show_readiness",
    "show_replay",
    "show_request",
    "show_safety_plan",
    "show_score",
    "show_sheet",
    "show_stock",
    "show_timetable",
]
