"""Floor 2: published models of exposure, what a regimen leads to in them, and how another drug changes it."""

from __future__ import annotations

from adjunct.base import BadInput


class OutsideModel(BadInput):
    """A person, route or dose that the paper behind a model does not cover."""


class UnknownModel(BadInput):
    """No model of this name is shipped."""


class CannotPredict(BadInput):
    """A prediction needs something that nobody has measured; the message names it."""
