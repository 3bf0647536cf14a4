"""Figures that the documents claim, printed by one command."""
