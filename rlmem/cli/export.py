"""``rlmem export``: a trained policy as a file that runs without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rlmem import __version__
from rlmem.cli.options import Parsed, parse
from rlmem.cli.outputs import result_path, writable_file
from rlmem.errors import UserError
from rlmem.registry import EXPORTED
from rlmem.runs.checkpoints import checkpoint_path, fingerprint
from rlmem.suggest import one_of

_ENDINGS = {"onnx": ".onnx", "numpy": ".npz"}


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write the policy of a training run to a file for the robot: ONNX, or numpy arrays with a runner of one file.

    Both have named inputs and outputs, the hidden state among them, and say in their metadata at what rate they act,
    what the observations are and what range actions have. Neither needs PyTorch or rlmem to run.

    Args:
        to: The format: onnx runs by onnxruntime, numpy by numpy_policy.py, which is written beside the file.
        out: File to write: policy.onnx or policy.npz in the run's folder if not given, and NAME-policy.npz for
            zoo:NAME.
        value: Also the value of the state, for onnx; the critic's hidden state then follows the actor's.
        which: Weights of the run: best on validation seeds, last, or the control steps of a checkpoint that was kept.

    Examples:
        rlmem export runs/TMaze-v0/recurrent_ppo/0 --to onnx --out policy.onnx
        rlmem export runs/TMaze-v0/recurrent_ppo/0 --to numpy --out robot/policy.npz
    """

    to: Literal["onnx", "numpy"] = "onnx"
    out: Path | None = None
    value: bool = False
    which: str = "best"


def run(argv: Sequence[str]) -> int:
    """Export and say where the file is."""
    parsed = parse(Export, argv, name="export", run=True)
    options: Export = parsed.verb
    if parsed.run is None or parsed.run_settings is None:
        raise UserError("export what? Name first the folder of a run, runs/ENV/AGENT/SEED")
    agent = parsed.run_settings.agent
    if agent not in EXPORTED:
        raise UserError(f"agent {agent!r} cannot be exported: it must be {one_of(EXPORTED)}")
    if options.value and options.to != "onnx":
        raise UserError("--value needs --to onnx")
    ending = _ENDINGS[options.to]
    out = writable_file(options.out or result_path(parsed.run, parsed.run_name, f"policy{ending}"), "--out", (ending,))
    from rlmem.agents.recurrent.export import RUNNER, export_numpy, export_onnx
    from rlmem.runs.loading import load_run

    loaded = load_run(parsed.run, options.which)
    model, env = loaded.agent.model, loaded.make_env(**parsed.knobs)
    try:
        metadata = _metadata(parsed, env, agent, options.which)
    finally:
        env.close()
    written = [out]
    if options.to == "onnx":
        export_onnx(model, out, value=options.value, metadata=metadata)
    else:
        export_numpy(model, out, metadata=metadata)
        written.append(out.parent / RUNNER.name)
    rate = metadata["control_hz"]
    print(f"{agent} on {parsed.env}" + (f", to act {rate:.4g} times a second" if rate else ""))
    print(f"written to {' and '.join(map(str, written))}")
    return 0


def _metadata(parsed: Parsed, env: Any, agent: str, which: str) -> dict[str, Any]:
    """Return what whoever runs the policy must know of it."""
    task = getattr(env.unwrapped, "task", None)
    space = env.action_space
    assert parsed.run is not None
    return {
        "task": parsed.env,
        "knobs": parsed.knobs,
        "control_hz": getattr(task, "control_hz", None),
        "observation_names": list(getattr(task, "observation_names", ())),
        "action_names": list(getattr(task, "action_names", ())),
        "action_low": space.low.tolist() if hasattr(space, "low") else None,
        "action_high": space.high.tolist() if hasattr(space, "high") else None,
        "action_space": str(space),
        "agent": agent,
        "weights_sha256": fingerprint(checkpoint_path(parsed.run, which)),
        "rlmem_version": __version__,
    }
