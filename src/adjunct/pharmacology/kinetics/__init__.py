"""Exact, fast answers of linear compartment systems. Knows nothing of models or medicines."""

from adjunct.pharmacology.kinetics.system import Flow, Input, System

__all__ = ["Flow", "Input", "System"]
