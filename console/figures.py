"""How the console writes numbers: three significant digits, a unit, and a dash for no data.

Pure text; markup is the template tags' business.
"""

from datetime import UTC, datetime

NONE_TEXT = "\u2013"
THIN_SPACE = "\u202f"  # Narrow, and no line is broken between a figure and its unit.
SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
SMALLEST = 1e-6
BYTE_SCALES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def three(value: float) -> str:
    """Three significant digits, never in exponent form: 0.00412, 4.10, 41.2, 412, 4120."""
    if value == 0 or abs(value) < SMALLEST:
        return "0"
    text = f"{value:#.3g}"
    if "e" in text:
        text = f"{float(text):.0f}" if abs(value) >= 1 else f"{float(text):.6f}"
    return text.removesuffix(".")


def with_unit(value: float | None, unit: str) -> tuple[str, str]:
    """(figure, unit), with a scale letter on the unit where the unit takes one."""
    if value is None:
        return NONE_TEXT, ""
    if unit == "bytes":
        for size, name in BYTE_SCALES:
            if abs(value) >= size:
                return three(value / size), name
        return three(value), "B"
    if unit == "ms":
        return (three(value / 1000), "s") if abs(value) >= 10_000 else (three(value), "ms")
    if unit.startswith("/"):
        for scale, letter in SCALES:
            if abs(value) >= scale:
                return three(value / scale), f"{letter}{unit}"
    return three(value), unit


def quantity(value: float | None, unit: str) -> str:
    figure, unit = with_unit(value, unit)
    return f"{figure}{gap(unit)}{unit}"


def gap(unit: str) -> str:
    """Between a figure and its unit: 21.0/s, but 2.31 k/s and 4.10 ms."""
    return "" if not unit or unit.startswith("/") else THIN_SPACE


def span(seconds: float | None) -> str:
    """A length of time in its two largest units: 4 s, 2 min 32 s, 6 h 4 min, 3 d 2 h."""
    if seconds is None:
        return NONE_TEXT
    whole = max(0, int(seconds))
    for size, name, small_size, small_name in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // small_size
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{whole} s"


def clock_time(time_ms: float | None) -> str:
    if time_ms is None:
        return NONE_TEXT
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%H:%M:%S")


def iso_time(time_ms: float) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
