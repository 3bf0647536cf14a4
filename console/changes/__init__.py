"""What changed, recorded by ourselves, so that "no change" is an answer and not a silence."""
