"""Runs: the only way anyone acts. The tables hold the truth, the queue is only a bell."""
