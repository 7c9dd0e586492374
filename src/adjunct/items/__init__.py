"""Items as people write them, read: whole names only, amounts as intervals, negation in its scope."""

from __future__ import annotations

from adjunct.items.model import Dose, Item
from adjunct.items.reader import Reader

__all__ = ["Dose", "Item", "Reader"]
