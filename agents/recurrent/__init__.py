"""Recurrent PPO and A2C on stable-baselines3's interface."""
