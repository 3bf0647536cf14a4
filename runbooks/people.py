"""Who counts as a second person, told from the names that are written down.

A token and a policy carry a blank in their names, which no person's name has. The terminal is
whoever sits at the machine: it may be the very person who asked for a run in the browser, so it is
nobody's second person, and nobody is its. A program that asks for a run is nobody either, but can't
have been the person who then approves it under their name.
"""

from __future__ import annotations

TERMINAL = "terminal"
NAMES_OF_OURS = frozenset({TERMINAL, "engine", "holdfast", "nobody", "triage", "watcher", "worker"})
"""What parts of ours sign with. No person may be called so."""


def is_person(actor: str) -> bool:
    """Whether the name is that of a person who signed in."""
    return " " not in actor and actor not in NAMES_OF_OURS


def is_second_person(actor: str, *, requester: str) -> bool:
    """Whether two pairs of eyes saw it if `actor` approves what `requester` asked for."""
    return is_person(actor) and actor != requester and requester != TERMINAL
