"""The engine: what a run is made of (plan), what comes next (machine), and doing it (executor)."""
