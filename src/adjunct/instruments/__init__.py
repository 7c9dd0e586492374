"""Instruments: answers -> scores, bands, alerts, change. What each means is said in `knowledge/data/instruments`."""

from adjunct.instruments.model import Instrument
from adjunct.instruments.reading import instrument
from adjunct.instruments.result import Said, Score, score
from adjunct.instruments.scoring import Scores, score_many

__all__ = ["Instrument", "Said", "Score", "Scores", "instrument", "score", "score_many"]
