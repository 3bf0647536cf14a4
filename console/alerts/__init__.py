"""The watch over objectives and fleet: gather, decide in memory, tell, and only then write down."""
