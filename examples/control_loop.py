"""Act with an exported policy at its control rate, as on a robot: no torch, no rlmem; prints latency and jitter.

rlmem export runs/TMaze-v0/recurrent_ppo/0 --to numpy --out robot/policy.npz
cp examples/control_loop.py robot && cd robot && python control_loop.py policy.npz 10

Until `read_sensors` and `send` are edited, the policy is fed random numbers and moves nothing. A policy that was
trained on an environment of another package does not know its rate: name the steps per second after the seconds.
"""

import sys
import time

import numpy as np
from numpy_policy import NumpyPolicy  # written beside the policy by `rlmem export --to numpy`

rng = np.random.default_rng(0)


def read_sensors(names, shape):  # noqa: ARG001 - names are for your robot
    """Return an observation; here is the place for your robot's sensors, in the order of these names, if it has any."""
    return rng.uniform(-1.0, 1.0, shape).astype(np.float32)


def send(action, names):
    """Give a command; here is the place for your robot's motors."""


def control(policy, seconds, rate):
    """Run one episode at a rate in Hz; return how long it took to act, and how late each step began, in seconds."""
    about, state = policy.metadata, None
    period, latencies, lateness = 1.0 / rate, [], []
    due = time.perf_counter() + period
    for _ in range(round(seconds / period)):
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        action, state = policy.predict(read_sensors(about["observation_names"], policy.observation_shape), state)
        send(action, about["action_names"])
        latencies.append(time.perf_counter() - began)
        lateness.append(began - due)
        due += period
    return latencies, lateness


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python control_loop.py POLICY.npz SECONDS [STEPS_PER_SECOND]")
    policy = NumpyPolicy(sys.argv[1])
    rate = float(sys.argv[3]) if len(sys.argv) == 4 else policy.metadata["control_hz"]
    if not rate:
        sys.exit(f"{sys.argv[1]} does not say at what rate it acts: name the steps per second after the seconds")
    measured = control(policy, float(sys.argv[2]), rate)
    for name, values in zip(("latency", "jitter"), measured, strict=True):
        p50, p99 = 1e3 * np.percentile(values, [50, 99])
        print(f"{name:<8} p50 {p50:.3f} ms   p99 {p99:.3f} ms   worst {1e3 * max(values):.3f} ms")
