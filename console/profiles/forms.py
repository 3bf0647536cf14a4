"""What may be asked of a profile by a form: numbers are read strictly, limits are the run's own."""

import re
from collections.abc import Mapping

from runbooks.errors import BadParameter

WHOLE = re.compile(r"[0-9]{1,6}")


def read_params(form: Mapping[str, str]) -> dict[str, object]:
    """`seconds` and `rate_hz` of a form; a field left empty takes the run's default."""
    params: dict[str, object] = {}
    for field in ("seconds", "rate_hz"):
        text = form.get(field, "").strip()
        if not text:
            continue
        if not WHOLE.fullmatch(text):
            raise BadParameter(field, text, "a whole number")
        params[field] = int(text)
    return params
