"""Drills: break the store on purpose, and prove with numbers that nothing was lost."""
