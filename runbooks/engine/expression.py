"""The small language of runbooks: `leader == node and lag <= 100`, and `{{ node }}` in texts.

A runbook is read by people at night and may be edited by them, so an expression can look at facts
and compare them, and can do nothing else: it is parsed by Python's own parser and then only the
forms of the table ALLOWED are walked, by us. There are no calls but those of FUNCTIONS, no
attributes of objects (a dot, or brackets around a text, look into a mapping), no loops, and a bound
on size. Nothing is ever handed to `eval`.

A fact that is not known is an error of its own kind, CannotTell, and never "false": whoever asks
decides what not knowing means. Pure.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

CHARS_MAX: Final = 400
NODES_MAX: Final = 80

Facts = Mapping[str, object]


class BadExpression(Exception):
    """This text is no expression of ours; the message says what is allowed."""


class CannotTell(Exception):
    """A fact that the expression needs is not known, or is of a kind that can't be compared."""


# What can't be compared raises TypeError, which the caller turns into CannotTell.
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: operator.contains(b, a),
    ast.NotIn: lambda a, b: not operator.contains(b, a),
}
_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
FUNCTIONS: dict[str, Callable[..., object]] = {"len": len, "min": min, "max": max, "abs": abs}

ALLOWED: Final = (
    "names, fields (a.b, a[b]), numbers, texts, True, False, None, lists, "
    "and, or, not, comparisons, in, + - * /, and " + ", ".join(sorted(FUNCTIONS))
)
_CONSTANTS = (str, int, float, bool, type(None))
_TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def check(text: str) -> frozenset[str]:
    """The first names that an expression reads (`a` of `a.b`). Raises BadExpression."""
    tree = _parse(text)
    for node in ast.walk(tree):
        _check_node(node)
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return frozenset(
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node not in called
    )


def evaluate(text: str, facts: Facts) -> object:
    """The value of an expression. Raises BadExpression, CannotTell."""
    check(text)
    return _value(_parse(text), facts)


def is_true(text: str, facts: Facts) -> bool:
    """Whether a condition holds. Raises BadExpression, and CannotTell if it is no yes or no."""
    found = evaluate(text, facts)
    if not isinstance(found, bool):
        raise CannotTell(f"{text!r} is {found!r}, which is neither true nor false")
    return found


def check_template(value: object) -> frozenset[str]:
    """The names read by all `{{ }}` inside a value of JSON. Raises BadExpression."""
    if isinstance(value, str):
        return frozenset().union(*(check(part) for part in _TEMPLATE.findall(value)))
    if isinstance(value, dict):
        return frozenset().union(*(check_template(inner) for inner in value.values()))
    if isinstance(value, list):
        return frozenset().union(*(check_template(inner) for inner in value))
    return frozenset()


def render(value: object, facts: Facts) -> object:
    """The value with every `{{ }}` worked out. A text that is one `{{ }}` keeps its type.

    Raises BadExpression, CannotTell.
    """
    if isinstance(value, dict):
        return {name: render(inner, facts) for name, inner in value.items()}
    if isinstance(value, list):
        return [render(inner, facts) for inner in value]
    if not isinstance(value, str):
        return value
    whole = _TEMPLATE.fullmatch(value.strip())
    if whole is not None and "{{" not in whole[1]:
        return evaluate(whole[1], facts)
    return _TEMPLATE.sub(lambda found: str(evaluate(found[1], facts)), value)


def _parse(text: str) -> ast.expr:
    if len(text) > CHARS_MAX:
        raise BadExpression(f"an expression has at most {CHARS_MAX} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadExpression(f"{text!r} is no expression; allowed: {ALLOWED}") from error
    if sum(1 for _ in ast.walk(tree)) > NODES_MAX:
        raise BadExpression(f"an expression has at most {NODES_MAX} parts")
    return tree


def _check_node(node: ast.AST) -> None:
    if isinstance(node, ast.Call):
        known = isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS
        if not known or node.keywords:
            raise BadExpression(f"{ast.unparse(node)!r} calls what is not {', '.join(FUNCTIONS)}")
    elif isinstance(node, ast.Constant):
        if not isinstance(node.value, _CONSTANTS):
            raise BadExpression(f"{ast.unparse(node)!r} is not allowed; allowed: {ALLOWED}")
    elif isinstance(node, ast.Attribute):
        if node.attr.startswith("_"):
            raise BadExpression(f"{ast.unparse(node)!r}: a field starts with a letter")
    elif isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Constant) and not isinstance(node.slice.value, str):
            raise BadExpression(f"{ast.unparse(node)!r}: a field is named by a text")
    elif isinstance(node, ast.expr) and not isinstance(
        node,
        ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.Compare | ast.Name | ast.List | ast.Tuple,
    ):
        raise BadExpression(f"{ast.unparse(node)!r} is not allowed; allowed: {ALLOWED}")
    elif isinstance(node, ast.BinOp) and type(node.op) not in _ARITHMETIC:
        raise BadExpression(f"{ast.unparse(node)!r} is not allowed; allowed: {ALLOWED}")
    elif isinstance(node, ast.Compare) and not all(type(op) in _COMPARE for op in node.ops):
        raise BadExpression(f"{ast.unparse(node)!r} is not allowed; allowed: {ALLOWED}")
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not | ast.USub):
        raise BadExpression(f"{ast.unparse(node)!r} is not allowed; allowed: {ALLOWED}")


def _value(node: ast.expr, facts: Facts) -> object:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return _look_up(facts, node.id, node.id)
    if isinstance(node, ast.Attribute):
        return _look_up(_value(node.value, facts), node.attr, ast.unparse(node))
    if isinstance(node, ast.Subscript):
        name = _value(node.slice, facts)
        if not isinstance(name, str):
            raise CannotTell(f"{ast.unparse(node.slice)} is {name!r}, which names nothing")
        return _look_up(_value(node.value, facts), name, ast.unparse(node))
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(inner, facts) for inner in node.elts]
    if isinstance(node, ast.BoolOp):
        return _boolean(node, facts)
    if isinstance(node, ast.Compare):
        return _compare(node, facts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _value(node.operand, facts)
    if isinstance(node, ast.UnaryOp):
        return -_number(node.operand, facts)
    if isinstance(node, ast.BinOp):
        return _arithmetic(node, facts)
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name), "checked before"
    try:
        return FUNCTIONS[node.func.id](*(_value(inner, facts) for inner in node.args))
    except (TypeError, ValueError) as error:
        raise CannotTell(f"{ast.unparse(node)} can't be worked out: {error}") from error


def _look_up(within: object, name: str, said: str) -> object:
    if not isinstance(within, Mapping) or name not in within:
        raise CannotTell(f"{said} is not known")
    return within[name]


def _boolean(node: ast.BoolOp, facts: Facts) -> bool:
    stops_at = isinstance(node.op, ast.Or)
    for inner in node.values:
        if bool(_value(inner, facts)) is stops_at:
            return stops_at
    return not stops_at


def _compare(node: ast.Compare, facts: Facts) -> bool:
    left = _value(node.left, facts)
    for op, follower in zip(node.ops, node.comparators, strict=True):
        right = _value(follower, facts)
        if isinstance(op, _ORDERED) and (left is None or right is None):
            side = node.left if left is None else follower
            raise CannotTell(f"{ast.unparse(side)} is not known")
        try:
            holds = _COMPARE[type(op)](left, right)
        except TypeError as error:
            raise CannotTell(f"{ast.unparse(node)} compares unlike things: {error}") from error
        if not holds:
            return False
        left = right
    return True


def _arithmetic(node: ast.BinOp, facts: Facts) -> float:
    left, right = _number(node.left, facts), _number(node.right, facts)
    try:
        return _ARITHMETIC[type(node.op)](left, right)
    except (ZeroDivisionError, OverflowError) as error:
        raise CannotTell(f"{ast.unparse(node)} can't be worked out: {error}") from error


def _number(node: ast.expr, facts: Facts) -> float:
    found = _value(node, facts)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise CannotTell(f"{ast.unparse(node)} is not a number")
    return found
