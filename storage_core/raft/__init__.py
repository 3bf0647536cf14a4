"""Consensus without input or output: messages and time go in, effects come out."""
