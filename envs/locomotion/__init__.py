"""Walking robots whose velocities or positions are hidden."""
