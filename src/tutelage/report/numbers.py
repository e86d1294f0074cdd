"""Writes numbers, times and settings as people read them: rounded, with separated thousands, and in words."""

from collections.abc import Mapping
from typing import Any

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def number(value: Any) -> str:
    """Write a count with separated thousands, any other number with three digits, and what is no number in words."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return significant(value) if isinstance(value, float) else in_words(value)


def significant(value: float) -> str:
    """Write a measured number with three digits that mean something, as 0.0123, 2.41 or 1,204."""
    rounded = float(f"{value:.2e}")
    if rounded and abs(rounded) < 1e-4:
        return _power_of_ten(value)
    return f"{value:,.0f}" if abs(rounded) >= 1000 else f"{rounded:#.3g}".rstrip(".")


def percent(share: float) -> str:
    """Write a share of 1 with one decimal."""
    return f"{100 * share:.1f} %"


def signed(value: float, decimals: int) -> str:
    """Write a difference with its sign."""
    return f"{value:+z.{decimals}f}".replace("-", "\u2212")


def duration(seconds: float) -> str:
    """Write a time as minutes and seconds, of an hour and more with the hours before them."""
    if seconds < 1:
        return "less than a second"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"


def size(count: int) -> str:
    """Write a number of bytes in the largest unit that it fills."""
    power = min(max(count.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{count / 1024**power:,.3g} {_UNITS[power]}" if power else f"{count:,} bytes"


def in_words(value: Any) -> str:
    """Write the value of a setting: yes and no, lists with commas, and what is empty as none."""
    match value:
        case bool():
            words = "yes" if value else "no"
        case int():
            words = f"{value:,}"
        case float():
            words = _as_given(value)
        case Mapping():
            # A named test set is a table of settings of its own, which stand in the recipe.
            pairs = (f"{key}: {one}" if isinstance(one, str) else str(key) for key, one in value.items())
            words = ", ".join(pairs)
        case list() | tuple():
            words = ", ".join(map(in_words, value))
        case _:
            words = "" if value is None else str(value)
    return words or "none"


def _as_given(value: float) -> str:
    """Write a number that somebody chose, with all its digits but those that binary fractions add."""
    if value and abs(value) < 1e-4:
        return _power_of_ten(value)
    return f"{value:,.0f}" if abs(value) >= 1e6 else f"{value:,.6g}"


def _power_of_ten(value: float) -> str:
    digits, exponent = f"{value:.2e}".split("e")
    return f"{float(digits):g} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
