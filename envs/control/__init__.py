"""Control of a frictionless puck with hidden velocity and a goal that must be remembered."""
