"""Drills: the list with its buttons, and the report that says what was proved."""
