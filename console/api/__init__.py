"""The HTTP API for programs: JSON in and out, problem+json when it is no.

One module a noun (`status`, `profiles`, ...), whose functions are registered by `endpoint` and
served by `serve`; who may call which stands in `console.access`. `openapi` writes the document
from the same registry, so that it can't lag behind.
"""
