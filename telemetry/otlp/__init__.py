"""How signals leave a process: encoded as OTLP, sent by one bounded thread."""
