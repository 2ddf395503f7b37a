"""Evaluation on held-out seeds, and experiments on what a trained agent remembers."""
