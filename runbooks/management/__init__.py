"""Long-lived processes started by name."""
