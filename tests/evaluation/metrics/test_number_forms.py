"""Months that are words, fractions and powers in other spellings, and quantities that are not read."""

from fractions import Fraction

import pytest

from tutelage.evaluation.metrics.numbers import NumberConvention, last_number, single_number

COMMA = NumberConvention(",", blanks_group=True)


def amount(number):
    return None if number is None else number.amount


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer of 42 may seem surprising.", "42"),
        ("The answer of 12 may seem surprising.", "12"),
        ("She ate 12 Mars bars", "12"),
        ("12 mars bars", "12"),
        ("5 dec", "5"),
        ("They march 20 km", "20"),
        ("It may 5 times", "5"),
        ("In March 15 people came", "15"),
        ("42 January sales", "42"),
        ("3 mayo sandwiches", "3"),
        ("12 august members", "12"),
    ],
)
def test_a_word_that_is_a_month_too_takes_no_number_from_a_sentence(text, expected):
    assert amount(last_number(text)) == Fraction(expected)


@pytest.mark.parametrize(
    "date",
    [
        "3 May",
        "3 may 2024",
        "the 3rd of May we met",
        "on 12 Mar.",
        "le 5 mars",
        "5 de mayo",
        "am 5. August fuhren wir",
        "Dec 25th",
        "Sept. 3, 2024",
        "(March 15)",
        "May 3, it was",
        "31 December was cold",
    ],
)
def test_dates_of_months_that_are_words_too_are_dates(date):
    assert amount(last_number(f"It is 7; {date}")) == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\frac{-1}{2}", "-1/2"),
        (r"\frac{1}{-2}", "-1/2"),
        (r"\frac{-1}{-2}", "1/2"),
        (r"$\dfrac{-3}{4}$", "-3/4"),
        (r"\boxed{\frac{-1}{2}}", "-1/2"),
        (r"x = \cfrac{ 1.5 }{2}", "3/4"),
        (r"\frac{.5}{2}", "1/4"),
        (r"\frac{1{,}000}{2}", "500"),
        (r"{3 \over 4}", "3/4"),
        ("2*10**3", "2000"),
        ("3 × 10**2", "300"),
        ("3 × 10 ** 2", "300"),
        ("1.5*10**(-2)", "3/200"),
        ("10^(3)", "1000"),
        ("It is **7**", "7"),
        ("答案是**7**。", "7"),
        ("2 **3**", "3"),
        ("a wall of 7 m^2", "7"),
    ],
)
def test_fractions_and_powers_have_their_whole_values(text, expected):
    assert amount(last_number(text)) == Fraction(expected)


@pytest.mark.parametrize(
    "text",
    [
        r"\frac{x}{3}",
        r"\frac{3}{x}",
        r"\frac{1+1}{3}",
        r"\frac{\sqrt{3}}{2}",
        r"\frac{\frac{1}{2}}{3}",
        r"\frac x3",
        r"\frac\pi2",
        r"\frac123",
        r"-\frac{-1}{2}",
        r"{x \over 3}",
        "2**10",
        "3**2",
        "(1+2)**2",
        "(1+2)^2",
        "(1+2)²",
        "2^n",
        "2^{10}",
        "10^{1/2}",
        "10^(1/2)",
        "x/3",
        "10^3/2",
        "(1+2)/3",
        "1e9999",
        "-1e9999",
        "1E9999 %",
        "1/1e9999",
        "1/0",
        "9" * 5000,
    ],
)
def test_a_quantity_that_is_not_read_is_no_other_number(text):
    assert last_number(text) is None
    assert last_number(f"It is 7, and {text}.") is None
    assert last_number(f"It is {text} = 7").amount == 7
    assert single_number(text, NumberConvention()) is None


@pytest.mark.parametrize(
    ("text", "convention", "expected"),
    [
        ("3 millions", NumberConvention(), 3 * 10**6),
        ("5 thousands", NumberConvention(), 5000),
        ("2 Billions of them", NumberConvention(), 2 * 10**9),
        ("2,5 millions", COMMA, 2_500_000),
        ("1 Milliarde", COMMA, 10**9),
    ],
)
def test_scales_may_be_in_the_plural(text, convention, expected):
    assert amount(last_number(text, convention)) == expected
