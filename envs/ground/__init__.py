"""Ground world: navigation with memory of place."""
