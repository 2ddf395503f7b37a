"""Recurrent cells, heads and actor-critic networks."""
