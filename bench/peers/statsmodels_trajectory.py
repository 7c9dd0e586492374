"""Peer of bench/trajectory.py: statsmodels' state-space filter and smoother, once for each setting; prints seconds.

Level, effect and gain with a transition that varies from step to step, as the first form of the model has it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother


def main() -> None:
    sent = json.loads(Path(sys.argv[1]).read_text())
    values = np.array(sent["values"])
    settings = list(zip(*sent["settings"], strict=True))
    _run(values, *settings[0])
    best = min(_all(values, settings) for _ in range(5))
    print(best)


def _all(values: np.ndarray, settings: list[tuple[float, float, float]]) -> float:
    start = time.perf_counter()
    for setting in settings:
        _run(values, *setting)
    return time.perf_counter() - start


def _run(values: np.ndarray, drift: float, noise: float, loss_d: float) -> None:
    model = KalmanSmoother(k_endog=1, k_states=3, k_posdef=1)
    model.bind(values[:, None])
    count = len(values)
    transition = np.repeat(np.eye(3)[:, :, None], count, axis=2)
    transition[1, 1] = np.exp(-2 / loss_d)
    transition[1, 2, ::10], transition[1, 1, ::10] = -0.43, transition[1, 1, ::10] * 0.57  # a dose
    model["design"] = np.array([[1.0, 1.0, 0.0]])
    model["transition"] = transition
    model["selection"] = np.array([[1.0], [0.0], [0.0]])
    model["state_cov"] = np.array([[(drift * 5.5) ** 2 * 2]])
    model["obs_cov"] = np.array([[(noise * 2.2) ** 2]])
    start = np.array([[121.0, 0, 54.0], [0, 0, 0], [54.0, 0, 60.0]])
    model.initialize_known(np.array([15.4, 0.0, 6.9]), start)
    model.smooth()


if __name__ == "__main__":
    main()
