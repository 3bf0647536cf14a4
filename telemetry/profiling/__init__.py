"""Where the time of a process goes: stacks sampled from outside it."""
