"""Who did what to which target, written before the effect, never changed."""
