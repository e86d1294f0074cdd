from fractions import Fraction

import pytest

from tutelage.errors import DataError
from tutelage.evaluation.metrics.numbers import (
    Number,
    NumberConvention,
    are_equal,
    decide_convention,
    last_number,
    single_number,
)

COMMA = NumberConvention(",", blanks_group=True)


def amount(number):
    return None if number is None else number.amount


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is 42.", "42"),
        ("3 + 4 = 7", "7"),
        ("about 1,234.5 km", "1234.5"),
        ("−5 degrees", "-5"),
        ("x = -0.5e3", "-500"),
        ("1e2", "100"),
        ("In 2024, 12 of 100", "100"),
        ("pages 3-5", "5"),
        ("2,3,5", "5"),
        ("row 3 250", "250"),
        ("20 000 people", "20000"),  # no number of its own is written 000
        ("1,2345", None),  # a number with a decimal comma, and nothing in English
        ("1e999999999999999999999", None),
        ("none", None),
        ("", None),
    ],
)
def test_the_last_number_of_a_text(text, expected):
    assert amount(last_number(text)) == (None if expected is None else Fraction(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("-US$5", "-5"),
        ("−5 €", "-5"),
        ("−€ 5", "-5"),
        ("-USD 5", "-5"),
        ("The fee ($5)", "5"),
        ("the change: - 5", "-5"),
        ("- 5", "-5"),
        ("- 5\n- 6", "6"),  # items of a list
        ("minus 5", "-5"),
        ("8 minus 5", "5"),
        ("负5", "-5"),
        ("10-5", "5"),
        ("5%-3%", "3"),
    ],
)
def test_a_sign_may_stand_before_a_currency_and_a_dash_is_none(text, expected):
    assert amount(last_number(text)) == Fraction(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3/2", "3/2"),
        ("5/10", "1/2"),
        ("10 / 4", "5/2"),
        ("½", "1/2"),
        ("1½", "3/2"),
        ("1 ½", "3/2"),
        ("1 1/2 cups", "3/2"),
        ("-1 1/2", "-3/2"),
        ("2⁄3", "2/3"),
        (r"\frac{3}{2}", "3/2"),
        (r"-1\dfrac{1}{2}", "-3/2"),
        (r"\frac13", "1/3"),
        ("in step 1 3/2", "3/2"),  # no mixed number: 3/2 is more than 1
        (".5", "1/2"),
        ("= -.25.", "-1/4"),
        ("1.5 × 10^3", "1500"),
        (r"3 \times 10^{-2}", "3/100"),
        ("10³", "1000"),
        ("5 million", "5000000"),
        ("5万", "50000"),
        ("１２．５", "25/2"),
        ("٣٫٥", "7/2"),
        (r"\boxed{1{,}234}", "1234"),
        ("答案是5", "5"),
        ("USD5", "5"),
    ],
)
def test_numbers_in_other_forms(text, expected):
    assert amount(last_number(text)) == Fraction(expected)


@pytest.mark.parametrize(
    ("text", "english", "comma"),
    [
        ("2.5", "2.5", None),
        ("2,5", None, "2.5"),
        ("1,234.5", "1234.5", None),
        ("1.234,5", None, "1234.5"),
        ("1 234,5", None, "1234.5"),
        ("1\u202f234,5", None, "1234.5"),
        ("1'234.5", "1234.5", None),
        ("1’234,5", None, "1234.5"),
        ("1,23,456", "123456", None),
        ("12,34,567.8", "1234567.8", None),
        ("1,234", "1234", "1.234"),
        ("1.234", "1.234", "1234"),
        ("1.234.567", None, "1234567"),
        ("0,250", None, "0.25"),
        ("1234,5", None, "1234.5"),
        ("12", "12", "12"),
        ("12 345 67", "67", "67"),
    ],
)
def test_each_convention_reads_its_own_numbers_and_no_others(text, english, comma):
    for convention, expected in ((NumberConvention(), english), (COMMA, comma)):
        assert amount(last_number(text, convention)) == (None if expected is None else Fraction(expected))


NOT_NUMBERS = [
    "2024-03-15",
    "15.03.2024",
    "3/15/2024",
    "03/2024",
    "March 15",
    "15 March 2024",
    "le 5 juillet",
    "3月15日",
    "2024年3月15日",
    "10:30",
    "10:30:45",
    "5 pm",
    "9 a.m.",
    "5 o'clock",
    "17 Uhr",
    "192.168.0.1",
    "192.168.100.200",
    "2001:db8::1",
    "1.2.3",
    "v2.0",
    "1:3",
]


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_dates_times_addresses_and_versions_are_passed_over_in_answers(text):
    assert last_number(text) is None
    assert amount(last_number(f"It is 7, as of {text}")) == 7


@pytest.mark.parametrize(
    "text",
    [
        *NOT_NUMBERS,
        "3-5",
        "3–5",
        "3 to 5",
        "5 ± 1",
        "±5",
        "2, 3",
        "2,3,5",
        "7 of 10",
        "555-1234",
        "+1 555 123 4567",
        "2^10",
        "2π",
        "√2",
        "(5)",
        "1/0",
        "H2O",
        "0x1F",
        "five",
        "",
        "1e99999",
        "9" * 5000,
    ],
)
def test_a_reference_that_is_not_a_single_number_is_refused_with_its_row(text):
    with pytest.raises(DataError) as refused:
        decide_convention([(4, "7"), (9, text), (11, "8")])
    assert (refused.value.code, refused.value.row) == ("evaluate.reference_not_a_number", 9)


@pytest.mark.parametrize("text", ["7 apples", "about $7.", "**7**", "7 km2", "7 kg of CO2", "x = 7", "7th"])
def test_a_reference_may_have_words_beside_its_number(text):
    assert single_number(text, decide_convention([(0, text)])) == Number(Fraction(7))


@pytest.mark.parametrize(
    ("references", "mark", "blanks_group"),
    [
        (["1,234"], ".", False),
        (["1,234", "7"], ".", False),
        (["1,234", "2,5"], ",", True),
        (["1.234", "2,5"], ",", True),
        (["1.234", "2.5"], ".", False),
        (["1 234"], ".", True),
        (["1 234", "2.5"], ".", True),
        (["1 234,5"], ",", True),
        (["20 000"], ".", False),
        (["1/2", "50 %"], ".", False),
        ([], ".", False),
    ],
)
def test_all_references_together_decide_the_convention(references, mark, blanks_group):
    assert decide_convention(enumerate(references)) == NumberConvention(mark, blanks_group)


@pytest.mark.parametrize(
    ("references", "row"),
    [(["2.5", "1,234", "2,5"], 2), (["1.234,50", "7", "0.5"], 2), (["1,234.5", "1.234.567"], 1)],
)
def test_references_of_both_conventions_are_refused_with_the_row(references, row):
    with pytest.raises(DataError) as refused:
        decide_convention(enumerate(references))
    assert (refused.value.code, refused.value.row) == ("evaluate.number_conventions_mixed", row)


@pytest.mark.parametrize(
    ("answer", "reference", "tolerance", "expected"),
    [
        ("50 %", "1/2", 0, True),
        ("1/2", "50%", 0, True),
        ("0.5", "50 percent", 0, True),
        ("5‰", "0.5 %", 0, True),
        ("百分之50", "0.5", 0, True),
        ("50 %", "50", 0, True),  # the question asked for a percentage
        ("50", "50 %", 0, True),
        ("0.5 %", "0.5", 0, False),
        ("0.5", "0.5 %", 0, False),
        ("50 %", "51 %", 0, False),
        ("50.4 %", "50 %", Fraction(1, 2), True),  # in the unit of the reference
        ("50.4 %", "0.5", Fraction(1, 2), True),
        ("0.333", "1/3", 0, False),
        ("0.333", "1/3", Fraction(1, 1000), True),
        ("0.1", "1/10", 0, True),
    ],
)
def test_numbers_are_compared_by_their_values(answer, reference, tolerance, expected):
    assert are_equal(last_number(answer), last_number(reference), Fraction(tolerance)) is expected
