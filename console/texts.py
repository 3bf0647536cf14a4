"""Texts of strangers: which of them can be stored, and read as they are by whoever sees them.

UTF-8 can't hold half of a pair of surrogates, a control character breaks a log or a terminal, and a
sign that turns the direction of what follows makes a line say something else than it holds. Who
types or sends such a text is told so; a foreign alert, which must page whatever it holds, is made
whole instead.
"""

import re

UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
EXPECTED = "text without control characters"
REPLACEMENT = "?"


def is_seen(text: str) -> bool:
    """Whether every character can be stored and seen; tabs and ends of lines can."""
    return UNSEEN.search(text) is None


def made_whole(text: str) -> str:
    """The text with a question mark for each character that can't."""
    return UNSEEN.sub(REPLACEMENT, text)
