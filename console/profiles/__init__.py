"""Where the time of a process went: captured stacks as a flame graph."""
