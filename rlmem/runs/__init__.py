"""One training run on disk: its folder, checkpoints, training loop, validation and tuned settings."""
