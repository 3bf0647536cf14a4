"""What the console sees right now, and how it tells every open page."""
