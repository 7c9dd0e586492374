"""Published models, people and regimens -> how high, how long."""

from adjunct.pharmacology.simulation.exposure import simulate
from adjunct.pharmacology.simulation.result import Exposure

__all__ = ["Exposure", "simulate"]
