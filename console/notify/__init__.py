"""Paging: who is told, over which channel, and the proof that it was done."""
