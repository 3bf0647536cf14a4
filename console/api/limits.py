"""Limits of the API, with their units and reasons."""

BODY_BYTES_MAX = 16 * 1024  # An operation that takes more says so.
PATH_CHARS_MAX = 1024
KEY_CHARS_MAX = 100
REPLAY_HOURS = 24  # As long as a pipeline may take to try again.
CLAIM_S = 60  # No request runs this long; a claim older than that was left by a process that died.
RETRY_AFTER_S = 5
