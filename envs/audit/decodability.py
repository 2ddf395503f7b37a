"""Predict the cue from what there is when the query begins, with a classifier, on episodes that it was not fitted to.

Axes: E episodes, X features, K cues.
"""

from __future__ import annotations

import numpy as np

from rlmem.envs.audit.bench import Played
from rlmem.envs.audit.bounds import rate_bounds
from rlmem.envs.audit.certificate import Finding, Result
from rlmem.envs.memory_task import Floats, Ints

_RIDGE = 1.0
_BINS = 8


def decode(features: Floats, cues: Ints, num_cues: int) -> tuple[int, int]:
    """Fit a classifier (regularized least squares) on the first half of the episodes; test it on the second.

    Args:
        features: [E, X]. Columns that never change are dropped. The others are standardized, whatever their scale;
            their squares, and in which bin between quantiles they lie, are inputs too.
        cues: [E] from 0 to K - 1.
        num_cues: K.

    Returns:
        Right predictions and all predictions on the second half; (0, 0) if no feature ever changes.
    """
    half = len(features) // 2
    varied = features[:, np.ptp(features[:half], axis=0) > 0.0]
    if varied.shape[1] == 0:
        return 0, 0
    scaled = (varied - varied[:half].mean(axis=0)) / varied[:half].std(axis=0)
    edges = np.quantile(scaled[:half], np.linspace(0.0, 1.0, _BINS + 1)[1:-1], axis=0)
    bins = [(scaled >= edge).astype(np.float64) for edge in edges]
    inputs = np.concatenate(
        (np.ones((len(scaled), 1)), scaled.clip(-5.0, 5.0), scaled.clip(-5.0, 5.0) ** 2, *bins), axis=1
    )
    targets = np.eye(num_cues)[cues[:half]] - 1.0 / num_cues
    known = inputs[:half]
    weights = np.linalg.solve(known.T @ known + _RIDGE * np.eye(known.shape[1]), known.T @ targets)
    guesses = (inputs[half:] @ weights).argmax(axis=1)
    return int((guesses == cues[half:]).sum()), len(guesses)


def check_decodability(
    played: Played, actions: str, num_cues: int, *, claimed: bool, confidence: float, cost: tuple[int, float]
) -> list[Finding]:
    """Try to predict the cue from the query's first observation, the reward before it, and the steps until then.

    Args:
        played: E episodes with cues as drawn.
        actions: Whose actions they were, in words.
        num_cues: K.
        claimed: Whether the task claims that the cue cannot be predicted.
        confidence: Of the one-sided lower bound on the accuracy.
        cost: Control steps and CPU seconds of the episodes.
    """
    reached = played.reached
    cues = played.cue[reached]
    sources = {
        "observation": played.observation[reached].astype(np.float64),
        "reward": played.reward[reached, None],
        "elapsed steps": played.elapsed[reached, None].astype(np.float64),
    }
    findings = []
    for number, (name, features) in enumerate(sources.items()):
        hits, tries = decode(features, cues, num_cues) if len(cues) >= 4 * num_cues else (0, -1)
        value = lower = None
        result: Result = "holds" if claimed else "reported"
        if tries < 0:
            detail = f"too few episodes reached the query: {len(cues)} of {len(reached)}"
        elif tries == 0:
            detail = f"the same in all {len(cues)} episodes"
        else:
            value, (lower, upper) = hits / tries, rate_bounds(hits, tries, confidence)
            predicted = lower > 1.0 / num_cues
            if predicted and claimed:
                result = "broken"
            chance = f"chance {1.0 / num_cues:.3g}"
            said = "" if claimed else f"not claimed, {'predicted' if predicted else 'not predicted'}: "
            detail = f"{said}accuracy {value:.3f} [{lower:.3f}, {upper:.3f}] in {tries} episodes, {chance}"
        steps, seconds = cost if number == 0 else (0, 0.0)
        findings.append(
            Finding(
                check=f"cue predicted from the {name} ({actions})",
                result=result,
                detail=detail,
                value=value,
                lower=lower,
                episodes=len(reached),
                env_steps=steps,
                cpu_seconds=seconds,
            )
        )
    return findings
