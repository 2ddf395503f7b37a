"""Recurrent soft actor-critic on stable-baselines3's interface."""
