"""``rlmem audit``: a certificate that a task needs memory, or the leak."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rlmem.cli.options import parse
from rlmem.envs.audit import QUICK, THOROUGH, Finding, audit
from rlmem.files import write_text


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Check a task's guard bit for bit, and let memoryless adversaries try to beat its ceiling.

    The exit status is 1 where the ceiling is broken.

    Args:
        seed: Of actions, episodes and adversaries.
        budget: How hard the adversaries try: some ten seconds, or a minute or two.
        out: Write the certificate to this file too.
    """

    seed: int = 0
    budget: Literal["thorough", "quick"] = "thorough"
    out: Path | None = None


def _progress(found: Finding) -> None:
    """Say on standard error which check is done, since the whole takes minutes."""
    print(f"  {found.check}: {found.result}", file=sys.stderr, flush=True)


def run(argv: Sequence[str]) -> int:
    """Audit, print the certificate, and say by the exit status whether it passed."""
    parsed = parse(Audit, argv, name="audit", positional_env=True)
    options: Audit = parsed.verb
    budget = {"thorough": THOROUGH, "quick": QUICK}[options.budget]
    certificate = audit(parsed.env, parsed.knobs, seed=options.seed, budget=budget, report=_progress)
    text = certificate.text()
    print(text)
    if options.out is not None:
        write_text(options.out, text + "\n")
    return 0 if certificate.passed else 1
