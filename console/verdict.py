"""A page's answer: its state, one sentence with its number, and a line of context."""

from dataclasses import dataclass
from typing import Literal

State = Literal["firing", "warning", "ok", "unknown", "idle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    state: State
    sentence: str
    context: str = ""


def plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
