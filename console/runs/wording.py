"""What a run says to people: what a step is, what a change changes, and prose with a few marks.

Everything here is text from values; nothing looks at the fleet or at a table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from runbooks.engine.plan import StepKind
from runbooks.queries import StepRow

OUTPUT_CHARS_MAX = 6_000

Call = Mapping[str, object]


def tag_of(step: StepRow) -> str:
    """What doing this step means: reads; changes, repeatable; changes, fenced: only if ..."""
    if step.kind == StepKind.READ:
        return "reads"
    if step.kind == StepKind.APPROVAL:
        return "asks"
    if step.kind == StepKind.IDEMPOTENT:
        return "changes, repeatable"
    fence = fence_of(step)
    return f"changes, fenced: only if {fence}" if fence else "changes once"


def fence_of(step: StepRow) -> str:
    """`node-1 leads in term 41`, from what was sent or approved; the words of the file before."""
    sent = step.attempts[-1].sent if step.attempts else {}
    fence = sent.get("fence") or step.call.get("fence") or step.spec.get("fence")
    if not isinstance(fence, dict) or not fence:
        return ""
    leader, term = str(fence.get("leader")), str(fence.get("term"))
    if "{{" in leader + term:
        return "the world is as approved"
    return f"{leader} leads in term {term}"


def call_of(step: StepRow) -> Call:
    """What the step sends: as sent, as approved, or as the file says."""
    sent = step.attempts[-1].sent if step.attempts else {}
    for found in (sent.get("call"), step.call.get("call"), step.spec.get("call")):
        if isinstance(found, dict) and found:
            return found
    return {}


_CHANGES: Mapping[str, Callable[[Call, str | None], str]] = {
    "raft.transfer_leader": lambda call, leader: f"leader: {leader or 'none'} → {call['to']}",
    "node.drain": lambda call, _: f"{call['node']}: may lead → may not lead",
    "node.undrain": lambda call, _: f"{call['node']}: may not lead → may lead",
    "node.restart": lambda call, _: f"{call['node']}: this process → a new one",
    "node.resume": lambda call, _: f"{call['node']}: stopped → runs on",
    "tenant.throttle": lambda call, _: _throttled(call),
    "config.set": lambda call, _: f"{call['name']} on {call['node']} → {call['value']}",
    "store.spot_check": lambda _call, _leader: "one blob of our own: written, read, deleted",
}


def _throttled(call: Call) -> str:
    limit = call["ops_per_s"]
    after = f"{limit} requests/s a node" if limit else "no limit"
    return f"{call['tenant']} → {after}"


def change_of(action: str, call: Call, leader: str | None) -> str:
    """Before → after of one change, in one line."""
    told = _CHANGES.get(action)
    try:
        return told(call, leader) if told is not None else f"{action}: {as_text(call)}"
    except KeyError:
        return f"{action}: {as_text(call)}"


def as_text(value: object) -> str:
    """An output or a call, as people read it: indented, bounded."""
    text = json.dumps(value, indent=1, ensure_ascii=False, default=str)
    if len(text) > OUTPUT_CHARS_MAX:
        text = f"{text[:OUTPUT_CHARS_MAX]} … {len(text) - OUTPUT_CHARS_MAX:,} characters more"
    return text


_MARK = re.compile(r"\*\*(.+?)\*\*|`(.+?)`|\*(.+?)\*")
_NUMBERED = re.compile(r"\d+\.\s+")


def prose(text: str) -> SafeString:
    """Markdown of runbooks as HTML: paragraphs, lists, **strong**, *said*, `code`; else text."""
    return format_html_join("\n", "{}", ((_block(block),) for block in _blocks(text)))


def _blocks(text: str) -> list[list[str]]:
    """Paragraphs and list items, each as its lines joined; a blank line or a new item ends one."""
    blocks: list[list[str]] = [[]]
    for line in text.strip().splitlines():
        stripped = line.strip()
        is_item = stripped.startswith("- ") or _NUMBERED.match(stripped) is not None
        if not stripped:
            blocks.append([])
        elif is_item and blocks[-1] and not _is_list(blocks[-1]):
            blocks.append([stripped])
        elif is_item or not _is_list(blocks[-1]):
            blocks[-1].append(stripped)
        else:
            blocks[-1][-1] += f" {stripped}"
    return [block for block in blocks if block]


def _is_list(block: list[str]) -> bool:
    return bool(block) and (block[0].startswith("- ") or _NUMBERED.match(block[0]) is not None)


def _block(lines: list[str]) -> SafeString:
    if not _is_list(lines):
        return format_html("<p>{}</p>", _marked(" ".join(lines)))
    name = "ul" if lines[0].startswith("- ") else "ol"
    items = [line[2:] if name == "ul" else _NUMBERED.sub("", line, count=1) for line in lines]
    inner = format_html_join("", "<li>{}</li>", ((_marked(item),) for item in items))
    return format_html('<{} class="prose-list">{}</{}>', name, inner, name)


def _marked(text: str) -> SafeString:
    parts, at = [], 0
    for found in _MARK.finditer(text):
        strong, code, said = found.groups()
        parts.append(conditional_escape(text[at : found.start()]))
        name = "strong" if strong else "code" if code else "em"
        parts.append(format_html("<{}>{}</{}>", name, strong or code or said, name))
        at = found.end()
    parts.append(conditional_escape(text[at:]))
    return mark_safe("".join(parts))
