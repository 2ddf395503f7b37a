"""Tuned hyperparameters, plain data: one TOML file an agent."""
