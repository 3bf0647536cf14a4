"""Objectives as people see them: what is left of each budget, and who spent it."""
