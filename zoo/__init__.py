"""Trained agents, a folder each, made by ``scripts/zoo.py``: ``rlmem render zoo:TMaze-v0``."""
