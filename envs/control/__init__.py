"""Control world: a puck without friction, pushed to where a goal was flashed."""
