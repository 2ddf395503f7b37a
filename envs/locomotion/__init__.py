"""Locomotion world: bodies whose velocities, positions, motors or loads are hidden."""
