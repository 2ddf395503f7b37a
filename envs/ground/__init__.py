"""Navigation in a maze, which needs a memory of places."""
