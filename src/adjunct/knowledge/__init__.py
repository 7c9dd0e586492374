"""Cited clinical knowledge: data first, a small rule language over it, and the book that shows both."""

from adjunct.knowledge.load import Knowledge

__all__ = ["Knowledge"]
