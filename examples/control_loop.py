"""Act with an exported policy at its control rate, as on a robot: no torch, no rlmem; prints latency and jitter.

rlmem export runs/TMaze-v0/recurrent_ppo/0 --to numpy --out robot/policy.npz
cp examples/control_loop.py robot && cd robot && python control_loop.py policy.npz 10
"""

import sys
import time

import numpy as np
from numpy_policy import NumpyPolicy  # written beside the policy by `rlmem export --to numpy`

rng = np.random.default_rng(0)


def read_sensors(names):
    """Return an observation; here is the place for your robot's sensors, in the order of these names."""
    return rng.uniform(-1.0, 1.0, len(names)).astype(np.float32)


def send(action, names):
    """Give a command; here is the place for your robot's motors."""


def control(policy, seconds):
    """Run one episode; return how long it took to act, and how late each step began, in seconds."""
    about, state = policy.metadata, None
    period, latencies, lateness = 1.0 / about["control_hz"], [], []
    due = time.perf_counter() + period
    for _ in range(round(seconds / period)):
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        action, state = policy.predict(read_sensors(about["observation_names"]), state)
        send(action, about["action_names"])
        latencies.append(time.perf_counter() - began)
        lateness.append(began - due)
        due += period
    return latencies, lateness


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python control_loop.py POLICY.npz SECONDS")
    measured = control(NumpyPolicy(sys.argv[1]), float(sys.argv[2]))
    for name, values in zip(("latency", "jitter"), measured, strict=True):
        p50, p99 = 1e3 * np.percentile(values, [50, 99])
        print(f"{name:<8} p50 {p50:.3f} ms   p99 {p99:.3f} ms   worst {1e3 * max(values):.3f} ms")
