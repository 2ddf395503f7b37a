"""The result of an audit, as a value and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rlmem.spec import TaskSpec

Result = Literal["holds", "broken", "reported"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found."""

    check: str
    """What was checked."""
    result: Result
    """``"holds"`` or ``"broken"`` for what the task claims, ``"reported"`` for all else."""
    detail: str
    """What was measured, in words and numbers."""
    value: float | None = None
    """The measured number, where there is one: success or score, or accuracy."""
    lower: float | None = None
    """Its lower confidence bound."""
    episodes: int
    """Episodes that were measured; for a search, those of the test."""
    env_steps: int
    """Control steps simulated."""
    cpu_seconds: float

    def text(self, width: int = 45) -> str:
        """Return one line; the first column ``width`` wide."""
        return f"{self.check:<{width}}  {self.result:<8}  {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Whether a task does what its specification claims, and every check behind that."""

    env_id: str
    knobs: Mapping[str, Any]
    """The knobs that were given; all others have their defaults."""
    seed: int
    seed_ranges: Mapping[str, int]
    """Purpose -> first seed."""
    spec: TaskSpec
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every claim holds."""
        return not self.broken

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Claims that do not hold."""
        return tuple(finding for finding in self.findings if finding.result == "broken")

    @property
    def env_steps(self) -> int:
        """Control steps simulated."""
        return sum(finding.env_steps for finding in self.findings)

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all checks."""
        return sum(finding.cpu_seconds for finding in self.findings)

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.broken:
            return f"REFUSED: these claims do not hold: {'; '.join(finding.check for finding in self.broken)}."
        if self.spec.oracle.value <= self.spec.memoryless.value:
            return (
                "PASSED: every claim holds. The memoryless ceiling equals the oracle: with these knobs a good result "
                "does not show memory."
            )
        return "PASSED: every claim holds, and no policy without memory exceeds the memoryless ceiling."

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "env": self.env_id,
            "knobs": dict(self.knobs),
            "seed": self.seed,
            "passed": self.passed,
            "verdict": self.verdict,
            "guarantees": list(self.spec.guarantees),
            "ceilings": {name: getattr(self.spec, name).value for name in ("random", "memoryless", "oracle")},
            "findings": [asdict(finding) for finding in self.findings],
        }

    def text(self) -> str:
        """Return the certificate as a table to print."""
        spec = self.spec
        knobs = ", ".join(f"{name}={value!r}" for name, value in self.knobs.items()) or "defaults"
        ceilings = (("random", spec.random), ("memoryless", spec.memoryless), ("oracle", spec.oracle))
        lines = [f"Audit of {self.env_id}", "", f"{'knobs':<12} {knobs}"]
        lines += [f"{'claims':<12} {', '.join(spec.guarantees) or 'none of the exact properties'}"]
        lines += [f"{'metric':<12} {spec.metric}"]
        lines += [f"{name:<12} {ceiling.value:.4g}: {ceiling.why}" for name, ceiling in ceilings]
        width = max((len(finding.check) for finding in self.findings), default=0)
        rows = [f"{'check':<{width}}  result    measured", "-" * 110]
        rows += [finding.text(width) for finding in self.findings]
        lines += ["", *rows, "", f"{'seeds':<12} {self._seeds()}"]
        lines += [f"{'cost':<12} {self.env_steps:,} env steps, {self.cpu_seconds:.1f} CPU seconds", self.verdict]
        return "\n".join(lines)

    def _seeds(self) -> str:
        starts = ", ".join(f"{purpose} from {first:,}" for purpose, first in self.seed_ranges.items())
        return f"audit seed {self.seed}: {starts}"
