"""Learning agents and baselines."""
