"""Benchmarks: a suite of tasks, knobs, agents and seeds, run in parallel, resumable, in one table with intervals."""
