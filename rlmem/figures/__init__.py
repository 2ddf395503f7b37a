"""Every figure, frame overlay and video."""
