"""Each runbook against its real fault, on a fleet of its own."""
