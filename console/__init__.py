"""The console: what people on call look at and act through.

It shows what telemetry and the nodes say and asks `runbooks` to act; it holds no truth of its own
but who may sign in and who did what. Read `live/observatory.py` for how it sees, `urls.py` for
what it serves.
"""
