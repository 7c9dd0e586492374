"""The treatment day: readiness, infusion, monitoring, discharge, as a fold over what people and monitors record."""

from adjunct.session.day import Day
from adjunct.session.events import Shape
from adjunct.session.fold import advance
from adjunct.session.history import History
from adjunct.session.model import Event, Held, State
from adjunct.session.watch import Tick, log_line, read_items, watch
from adjunct.session.written import Replayed, replay

__all__ = [
    "Day",
    "Event",
    "Held",
    "History",
    "Replayed",
    "Shape",
    "State",
    "Tick",
    "advance",
    "log_line",
    "read_items",
    "replay",
    "watch",
]
