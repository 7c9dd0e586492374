"""What one substance does to the exposure of another: measured in people first, else predicted with its interval."""

from adjunct.pharmacology.interaction.answer import ExposureRatio, interact

__all__ = ["ExposureRatio", "interact"]
