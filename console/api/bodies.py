"""Reading what a stranger sent: bounded, strict, and each error names field and limit.

Strings stand at the edges of JSON that parsers differ in: a name given twice, NaN, and depth are
refused here, and the rest is the schema's.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from console.api.problems import Refusal
from console.api.registry import Json, Schema

NAME_CHARS_SHOWN = 60
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
        value = json.loads(body, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise bad("body", "a JSON object") from error
    if not isinstance(value, dict):
        raise bad("body", "a JSON object")
    return value


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
        found[name] = value
    check(found, {"type": "object", "properties": dict(known)})
    return found
