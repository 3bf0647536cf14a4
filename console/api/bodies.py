"""Reading what a stranger sent: bounded, strict, and each error names field and limit.

What parsers of JSON differ in is refused here: a name given twice, NaN, an encoding other than
UTF-8, depth, and texts that UTF-8 can't hold or nobody can see. The rest is the schema's.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from console.api.problems import Refusal
from console.api.registry import Json, Schema
from console.texts import EXPECTED, is_seen

NAME_CHARS_SHOWN = 60
DEPTH_MAX = 16  # Levels. No operation's body has more than five, and each costs stack to walk.
WHOLE = re.compile(r"[0-9]{1,18}")
KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def bad(field: str, expected: str) -> Refusal:
    return Refusal(400, f"{field}: {expected} expected", field=field, expected=expected)


def parse(body: bytes) -> Json:
    """The JSON object in `body`. Raises Refusal."""
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise bad("body", "a JSON object in UTF-8") from error
    if not isinstance(value, dict):
        raise bad("body", "a JSON object in UTF-8")
    _check_inside(value)
    return value


def _check_inside(whole: Json) -> None:
    """Raises Refusal for what lies too deep, and for a text that can't be stored and read again."""
    waiting: list[tuple[str, object, int]] = [("", whole, 1)]
    while waiting:
        place, value, depth = waiting.pop()
        if isinstance(value, str):
            _check_text(place, value)
        elif isinstance(value, dict | list):
            if depth > DEPTH_MAX:
                raise bad("body", f"at most {DEPTH_MAX} levels")
            inside = value.items() if isinstance(value, dict) else enumerate(value)
            for name, part in inside:
                _check_text("body", str(name))
                where = f"{place}.{str(name)[:NAME_CHARS_SHOWN]}".lstrip(".")
                waiting.append((where, part, depth + 1))


def _check_text(place: str, text: str) -> None:
    if not is_seen(text):
        raise bad(place, f"a {EXPECTED}")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise bad("body", "each name once")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise bad("body", f"JSON without {name}")


def check(value: Json, schema: Schema) -> None:
    """Raises Refusal for the first field, in the order of the schema, that is not as it says."""
    errors = sorted(Draft202012Validator(schema).iter_errors(value), key=_order)
    if errors:
        raise _refusal(errors[0])


def _order(error: ValidationError) -> tuple[bool, str]:
    # An unknown name first: whoever misspelled one has also left out another.
    return error.validator != "additionalProperties", "/".join(map(str, error.absolute_path))


def _refusal(error: ValidationError) -> Refusal:
    place = [str(part) for part in error.absolute_path]
    schema = error.schema
    assert isinstance(schema, Mapping), "a schema of true or false refuses nothing by itself"
    instance: Any = error.instance
    if error.validator == "required":
        missing = next(name for name in schema["required"] if name not in instance)
        return bad(".".join([*place, missing]), _expected(schema["properties"][missing]))
    if error.validator == "additionalProperties":
        known = schema.get("properties", {})
        unknown = next(name for name in instance if name not in known)
        names = f"only {', '.join(sorted(known))}" if known else "no names"
        return bad(".".join([*place, unknown[:NAME_CHARS_SHOWN]]), names)
    return bad(".".join(place) or "body", _expected(schema))


def _expected(schema: Schema) -> str:
    """What a schema allows, in words."""
    if "description" in schema:
        return str(schema["description"])
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "anyOf" in schema:
        return " or ".join(_expected(each) for each in schema["anyOf"])
    words = KINDS.get(str(schema.get("type")), "another value")
    if "minimum" in schema or "maximum" in schema:
        return f"{words} from {schema.get('minimum', 'any')} to {schema.get('maximum', 'any')}"
    if "maxLength" in schema:
        return f"{words} of {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    if "maxItems" in schema:
        return f"{words} of {schema.get('minItems', 0)} to {schema['maxItems']}"
    return words


def read_query(
    given: Iterable[tuple[str, Sequence[str]]], known: Mapping[str, Schema]
) -> Mapping[str, Any]:
    """Query parameters as their schemas have them. Raises Refusal."""
    found: dict[str, Any] = {}
    for name, values in given:
        schema = known.get(name)
        if schema is None:
            names = f"only {', '.join(sorted(known))}" if known else "no parameters"
            raise bad(name[:NAME_CHARS_SHOWN], names)
        if len(values) != 1:
            raise bad(name, "one value")
        value: Any = values[0]
        if schema.get("type") == "integer":
            if not WHOLE.fullmatch(value):
                raise bad(name, _expected(schema))
            value = int(value)
        else:
            _check_text(name, value)
        found[name] = value
    check(found, {"type": "object", "properties": dict(known)})
    return found
