"""``rlmem audit``: check that a task needs memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rlmem.cli.arguments import check_least
from rlmem.cli.json_output import JsonOption, json_output
from rlmem.cli.options import parse
from rlmem.cli.outputs import writable_file
from rlmem.cli.work_bar import work_bar
from rlmem.files import write_text

if TYPE_CHECKING:
    from rlmem.envs.audit import Finding


@dataclass(frozen=True, kw_only=True)
class Audit(JsonOption):
    """Check that a task needs memory: test its guard bit for bit, and its ceiling against policies without memory.

    The exit status is 1 if any of the task's claims does not hold.

    Args:
        seed: Seed of actions, episodes and searches.
        budget: Effort of the searches: ``quick`` takes about ten seconds, ``thorough`` a minute or two.
        out: File to which the certificate is also written.

    Examples:
        rlmem audit TMaze-v0 --budget quick
        rlmem audit TMaze-v0 --json certificate.json
        rlmem audit RememberColor-v0 --env.guard none --out certificate.txt
    """

    seed: int = 0
    budget: Literal["thorough", "quick"] = "thorough"
    out: Path | None = None

    def __post_init__(self) -> None:
        check_least(self, seed=0)


def _progress(found: Finding) -> None:
    """Print each finished check on standard error, since an audit can take minutes."""
    print(f"  {found.check}: {found.result}", file=sys.stderr, flush=True)


def run(argv: Sequence[str]) -> int:
    """Audit, print the certificate, and return the exit status: 0 if it passed."""
    parsed = parse(Audit, argv, name="audit", positional_env=True)
    options: Audit = parsed.verb
    out = None if options.out is None else writable_file(options.out, "--out")
    from rlmem.envs.audit import QUICK, THOROUGH, audit

    budget = {"thorough": THOROUGH, "quick": QUICK}[options.budget]
    with json_output(options.json) as write:
        with work_bar("auditing") as tell:
            certificate = audit(
                parsed.env, parsed.knobs, seed=options.seed, budget=budget, on_finding=_progress, progress=tell
            )
        text = certificate.text()
        print(text)
        if out is not None:
            write_text(out, text + "\n")
        write(certificate.as_dict())
    return 0 if certificate.passed else 1
