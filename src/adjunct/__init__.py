"""Adjunct: checks what people take beside an antidepressant, and assesses readiness for supervised ketamine care."""

__version__ = "0.1.0"
