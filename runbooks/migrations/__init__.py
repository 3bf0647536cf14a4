"""Schema changes of the run tables, one step each."""
