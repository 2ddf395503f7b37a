"""Robot environments that provably need memory: simulation, robots, tasks.

Needs gymnasium, numpy and pybullet; never torch.
"""
