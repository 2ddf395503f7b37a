"""Training algorithms compared on the same cell, data and seeds."""
