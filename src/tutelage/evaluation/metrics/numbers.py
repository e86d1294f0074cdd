"""Numbers in texts: the convention in which a test set writes them, and the last number of an answer.

A text is cut into runs of digits with what joins them ("1,234.5", "3/2", "10:30"). A run is a number, several numbers
("3-5", "2,3,5"), unreadable (a number of the other convention only, a power), or no quantity (a date, a version).
docs/decisions/0036-numbers.md gives the reasons.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from tutelage.errors import DataError
from tutelage.evaluation.metrics.number_text import CURRENCY, MARKER, UNREADABLE, plain_text

DecimalMark = Literal[".", ","]
OTHER_MARK: dict[DecimalMark, DecimalMark] = {".": ",", ",": "."}


@dataclass(frozen=True)
class NumberConvention:
    """How a set writes numbers; where `blanks_group`, a blank may part thousands, as in "1 234"."""

    decimal_mark: DecimalMark = "."
    blanks_group: bool = False


@dataclass(frozen=True)
class Number:
    """A number as it is written: that of "50 %" has the amount 50."""

    amount: Fraction
    is_percent: bool = False


ENGLISH = NumberConvention()

LARGEST_EXPONENT = 1000
MOST_DIGITS = 1000
RUN = re.compile(
    rf"[{MARKER}{UNREADABLE}]|(?:(?<![\w.,])[.,])?\d(?:[\d.,':/_^-]*\d)?(?:(?<=\d)[eE][-+]?\d+(?!\w))?"
)
GROUPS: dict[DecimalMark, str] = {
    ".": r"[1-9]\d{0,2}(?P<group>[,'_])\d{3}(?:(?P=group)\d{3})*|[1-9]\d?(?:,\d\d)+,\d{3}",
    ",": r"[1-9]\d{0,2}(?P<group>[.'_])\d{3}(?:(?P=group)\d{3})*",
}
AMOUNT = {
    mark: re.compile(
        rf"(?P<whole>{groups}|\d+)?(?:{re.escape(mark)}(?P<fraction>\d+))?(?:[eE](?P<exponent>[-+]?\d+))?"
    )
    for mark, groups in GROUPS.items()
}
ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
PREFIX = re.compile(
    rf"(?:(?<![\w)\]%])(?P<sign>[-+]|± ?))?(?:{CURRENCY}[ \u00a0]?(?P<inner>[-+±])?)?(?P<percent>百分之)?$"
)
PERCENT = re.compile(
    r"[ \u00a0\u202f]?(?:(?P<mille>‰)|%|(?:percent|per cent|prozent|procent|pour cent|por ciento|por cento)(?!\w))",
    re.IGNORECASE,
)
SCALES: dict[DecimalMark, dict[str, int]] = {
    ".": {
        word + ending: factor
        for word, factor in {
            "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
        }.items()
        for ending in ("", "s")
    },
    # "billion" is left out: its value differs between the languages that write a decimal comma.
    ",": {"tausend": 10**3, "million": 10**6, "millionen": 10**6, "millions": 10**6, "millones": 10**6, "mio": 10**6,
          "milliarde": 10**9, "milliarden": 10**9, "milliard": 10**9, "milliards": 10**9, "mrd": 10**9},
}  # fmt: skip
CHINESE_SCALES = {"千": 10**3, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
# The 3 of x/3, (1+2)/3 and 1e3/3 is not the value of what is divided.
DIVISION_BEFORE = re.compile(r"(?:\de[-+]?\d+|[)\]}]|(?<![^\W\d_])[^\W\d_]) ?/ ?$")
ROOT_BEFORE, ROOT_AFTER = re.compile(r"[√π][{( ]?$"), re.compile(r" ?[√π]")
# Letters and digits after a number make a name of it, as in 0x1F; a unit of area or volume does not.
NAME_AFTER = re.compile(r"(?![cdkm]?m[23](?!\w))[A-Za-z_]+\d")


def decide_convention(
    references: Iterable[tuple[int, str]], *, of_set: str | None = None
) -> NumberConvention:
    """Return the convention in which all references, each given with its row, are single numbers.

    A reference that is a number in one convention alone ("2,5", "1.234,50") decides; where none does, numbers are
    English. DataError with the row where a reference is not a single number, or two of them decide differently.
    """
    deciding: dict[DecimalMark, tuple[int, str]] = {}
    blanks_group = False
    for row, text in references:
        possible = [
            mark for mark in OTHER_MARK if single_number(text, NumberConvention(mark, True)) is not None
        ]
        if not possible:
            raise DataError(
                "evaluate.reference_not_a_number",
                f"{_row(row, of_set)} has the reference {text[:60]!r}, which is not a single number. Write one number"
                " as the reference (no date, time, range or second number), or choose another metric than numeric.",
                row=row,
            )
        if len(possible) == 1:
            deciding.setdefault(possible[0], (row, text))
        blanks_group |= all(single_number(text, NumberConvention(mark)) is None for mark in possible)
    if len(deciding) == 2:
        (first, one), (second, other) = sorted(deciding.values())
        raise DataError(
            "evaluate.number_conventions_mixed",
            f"{_row(second, of_set)} has the reference {other[:60]!r}, and row {first} has {one[:60]!r}: one has a"
            " decimal point, the other a decimal comma. Write all references of a test set in one convention.",
            row=second,
        )
    mark: DecimalMark = "," if "," in deciding else "."
    return NumberConvention(mark, blanks_group or mark == ",")


def _row(row: int, of_set: str | None) -> str:
    return f"Row {row}" if of_set is None else f"Row {row} of the test set {of_set}"


def single_number(text: str, convention: NumberConvention) -> Number | None:
    """Return the number of a text that holds one number and no date, time or unreadable digits; else None."""
    found = _spans(text, convention)
    is_ambiguous = re.fullmatch(r"\([^()]*\)", text.strip()) is not None  # accountants' minus five, or five
    return found[0].number if len(found) == 1 and not is_ambiguous else None


def last_number(text: str, convention: NumberConvention = ENGLISH) -> Number | None:
    """Return the last number in a text; None where there is none, or where the last one is unreadable."""
    quantities = [span for span in _spans(text, convention) if span.is_quantity]
    return quantities[-1].number if quantities else None


def are_equal(found: Number, wanted: Number, tolerance: Fraction) -> bool:
    """Compare the values of two numbers in the unit of `wanted`; 50 stands for 50 % too, but 0.5 not for 0.5 %."""
    if found.is_percent == wanted.is_percent:
        return abs(found.amount - wanted.amount) <= tolerance
    candidates = [found.amount / 100 if found.is_percent else found.amount * 100]
    if abs(wanted.amount if found.is_percent else found.amount) > 1:
        candidates.append(found.amount)
    return any(abs(candidate - wanted.amount) <= tolerance for candidate in candidates)


@dataclass(frozen=True)
class _Span:
    """What stands at one place of a text; an unreadable one is a quantity without a number, a date is neither."""

    number: Number | None
    begin: int
    end: int
    is_quantity: bool = True
    is_whole: bool = False  # bare digits, which a fraction may follow: 1 1/2
    is_proper_fraction: bool = False


def _spans(text: str, convention: NumberConvention) -> list[_Span]:
    plain = plain_text(text, decimal_mark=convention.decimal_mark, blanks_group=convention.blanks_group)
    found: list[_Span] = []
    for run in RUN.finditer(plain):
        for span in _read_run(run, convention.decimal_mark):
            joins = bool(found) and _is_mixed(found[-1], span, plain)
            found.append(_mixed(found.pop(), span) if joins else span)
    return found


def _read_run(run: re.Match[str], mark: DecimalMark) -> Iterator[_Span]:
    text, begin, end = run.string, *run.span()
    nothing, unreadable = _Span(None, begin, end, is_quantity=False), _Span(None, begin, end)
    if run[0] == UNREADABLE or DIVISION_BEFORE.search(text[max(0, begin - 8) : begin]):
        yield unreadable
        return
    if run[0] == MARKER or NAME_AFTER.match(text, end):
        yield nothing
        return
    prefix = PREFIX.search(text[max(0, begin - 24) : begin])
    assert prefix is not None, "the pattern also matches nothing"
    if not prefix[0] and _is_letter_of_a_word(text[begin - 1 : begin]):
        return  # digits of a name: CO2
    parts = _parts(run[0], mark)
    if parts is None:
        yield unreadable if _is_quantity(run[0], mark) else nothing
        return
    for part in parts[:-1]:
        yield _Span(_number(part, mark), begin, end)
    yield _dressed(parts[-1], mark, prefix if len(parts) == 1 else None, run)


def _is_letter_of_a_word(character: str) -> bool:
    # Scripts without case (Chinese, Thai) write numbers beside words without a blank.
    return character.islower() or character.isupper() or character == "_"


def _parts(run: str, mark: DecimalMark) -> list[str] | None:
    """Cut a run into the numbers that it lists; None where it is no quantity, as a date or a version."""
    if ADDRESS.fullmatch(run) and all(int(part) < 256 for part in run.split(".")):
        return None
    if _value(run, mark) is not None or _value(run, OTHER_MARK[mark]) is not None or "^" in run:
        return [run]
    for joint in ("-", "..", ","):
        parts = re.split(rf"(?<=\d){re.escape(joint)}+(?=\d)", run)
        is_range = joint == "," or len(parts) == 2
        if len(parts) > 1 and is_range and all(_value(part, mark) is not None for part in parts):
            return None if any(re.match(r"0\d", part) for part in parts) else parts
    return None


def _is_quantity(run: str, mark: DecimalMark) -> bool:
    """Tell of a run without a value whether it is a quantity all the same: too large to read, or divided by 0."""
    if len(run) > MOST_DIGITS or "e" in run.lower():
        return True
    amounts = [_amount(one, mark) for one in run.split("/")]
    is_date = any(re.match(r"0\d", one) for one in run.split("/"))
    return len(amounts) == 2 and None not in amounts and not is_date


def _dressed(part: str, mark: DecimalMark, prefix: re.Match[str] | None, run: re.Match[str]) -> _Span:
    """Read a number with its sign before it, and its percent or scale after it."""
    text, begin, end = run.string, *run.span()
    amount = _value(part, mark)
    sign = (prefix["sign"] or prefix["inner"] or "").strip() if prefix else ""
    is_of_root = ROOT_BEFORE.search(text[max(0, begin - 4) : begin]) or ROOT_AFTER.match(text, end)
    if amount is None or sign == "±" or is_of_root:
        return _Span(None, begin, end)
    is_bare = part.isdecimal()
    scale, after = _scale(text, end, mark)
    percent = PERCENT.match(text, after)
    is_percent = percent is not None or bool(prefix and prefix["percent"])
    if percent is not None and percent["mille"]:
        scale /= 10
    return _Span(
        Number((-amount if sign == "-" else amount) * scale, is_percent),
        begin,
        percent.end() if percent else after,
        is_whole=is_bare and scale == 1 and not is_percent,
        is_proper_fraction=not sign and "/" in part and amount < 1,
    )


def _scale(text: str, end: int, mark: DecimalMark) -> tuple[Fraction, int]:
    scale = Fraction(1)
    while True:
        word = re.compile(r"[ \u00a0-]?([A-Za-z]+)(?:\.(?=\s?\w))?|([千万萬亿億])").match(text, end)
        factor = word and (CHINESE_SCALES.get(word[2]) or SCALES[mark].get((word[1] or "").lower()))
        if word is None or not factor:
            return scale, end
        scale, end = scale * factor, word.end()


def _number(part: str, mark: DecimalMark) -> Number | None:
    amount = _value(part, mark)
    return None if amount is None else Number(amount)


def _value(part: str, mark: DecimalMark) -> Fraction | None:
    """Return the value of digits in a convention, as one number or a fraction of two; None where they are neither."""
    if len(part) > MOST_DIGITS:
        return None
    amounts = [_amount(one, mark) for one in part.split("/")]
    if len(amounts) == 1:
        return amounts[0]
    is_date = any(re.match(r"0\d", one) for one in part.split("/"))
    if len(amounts) > 2 or is_date or amounts[0] is None or not amounts[1]:
        return None
    return amounts[0] / amounts[1]


def _amount(part: str, mark: DecimalMark) -> Fraction | None:
    found = AMOUNT[mark].fullmatch(part)
    if found is None or not (found["whole"] or found["fraction"]):
        return None
    exponent = int(found["exponent"] or 0)
    if abs(exponent) > LARGEST_EXPONENT:
        return None
    whole, fraction = re.sub(r"\D", "", found["whole"] or "0"), found["fraction"] or ""
    return Fraction(int(whole + fraction)) * Fraction(10) ** (exponent - len(fraction))


def _is_mixed(whole: _Span, fraction: _Span, text: str) -> bool:
    return (
        whole.is_whole and fraction.is_proper_fraction and text[whole.end : fraction.begin] in (" ", "\u00a0")
    )


def _mixed(whole: _Span, fraction: _Span) -> _Span:
    """Join 1 and 1/2, whose sign and whose percent are those of both."""
    assert whole.number is not None, "a whole number is read"
    assert fraction.number is not None, "so is a proper fraction"
    amount, part = whole.number.amount, fraction.number.amount
    joined = amount - part if amount < 0 else amount + part
    return _Span(Number(joined, fraction.number.is_percent), whole.begin, fraction.end)
