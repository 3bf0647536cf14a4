"""The first page: is the fleet well, what is open, what is in progress."""
