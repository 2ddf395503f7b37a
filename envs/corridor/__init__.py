"""Corridor world: a mobile robot between walls."""
