"""Agents from stable-baselines3 and sb3-contrib, and the adapter that gives them our vector environments."""
