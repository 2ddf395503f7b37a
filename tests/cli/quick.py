"""Knobs of a task that is over soon."""

QUICK = ["--env.robot", "planar", "--env.memory-length", "5"]
