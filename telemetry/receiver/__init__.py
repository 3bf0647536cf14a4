"""How signals arrive: OTLP over HTTP, on disk first, stored after."""
