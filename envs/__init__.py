"""Robot environments that require memory: simulation, robots and tasks.

Needs gymnasium, numpy and pybullet; never torch.
"""
