"""What is kept in memory to answer reads."""
