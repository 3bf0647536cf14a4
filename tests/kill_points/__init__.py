"""A worker that is killed at named points of a run, and the counting of what it did."""
