"""A store with a bug in it, to see that drills find it: real nodes, one part of each exchanged."""
