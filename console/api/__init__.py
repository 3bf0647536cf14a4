"""The HTTP API for programs: JSON in and out, problem+json when it is no."""
