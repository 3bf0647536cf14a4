"""Triage: from the signals of the last minutes to a named cause, or to "unknown, this moved"."""
