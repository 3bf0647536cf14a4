"""Signals: what we observe of ourselves and of others, kept outside the patient."""
