"""Tasks about amounts in other units and about sequences: metric units, time, and what comes next."""

from __future__ import annotations

import calendar
import re
import string
from itertools import pairwise

from tools.starter.prompt_reading import numbers_in, subject_of
from tools.starter.rows import Task, items_from, lines_of


def unit_and_sequence_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    return (
        Task("convert_metric", items_from(METRIC), *METRIC_WORDINGS, check=is_the_same_amount),
        Task("convert_time", items_from(TIMES), *TIME_WORDINGS, check=is_the_same_amount),
        Task("sequence", items_from(SEQUENCES), *SEQUENCE_WORDINGS, check=goes_on_in_the_same_way),
    )


def is_the_same_amount(instruction: str, given: str, output: str) -> bool:
    """Bring both amounts to the smallest unit of their kind and compare, in the unit asked for."""
    prompt = f"{instruction} {given}"
    unit_names = "|".join(SIZES)
    told = [
        (numbers_in(quantity), unit)
        for quantity, unit in re.findall(rf"([\w-]+) ({unit_names})\b", prompt)
        if numbers_in(quantity)
    ]
    answer = re.fullmatch(rf"(\d+) ({unit_names})", output)
    if len(told) != 1 or answer is None:
        return False
    (quantities, unit), wanted = told[0], answer[2]
    is_asked_for = wanted != unit and re.search(rf"\b{wanted}\b", prompt) is not None
    kinds_match = any(unit in kind and wanted in kind for kind in KINDS_OF_UNIT)
    return is_asked_for and kinds_match and quantities[0] * SIZES[unit] == int(answer[1]) * SIZES[wanted]


def goes_on_in_the_same_way(instruction: str, given: str, output: str) -> bool:
    """Continue a known series of words, or else numbers with equal steps or equal factors."""
    members = [member.strip(" ?.") for member in subject_of(instruction, given).split(",")]
    for series in SERIES:
        if all(member in series for member in members):
            places = [series.index(member) for member in members]
            step = places[1] - places[0]
            steps_are_equal = all(b - a == step for a, b in pairwise(places))
            return steps_are_equal and output == series[places[-1] + step]
    numbers = numbers_in(", ".join(members))
    following = numbers_in(output)
    is_one_small_word = " " not in output and output == output.lower()
    if len(numbers) != len(members) or len(following) != 1 or not is_one_small_word:
        return False
    if members[0].isdigit() != output.isdigit():
        return False
    run = [*numbers, *following]
    has_equal_steps = len({b - a for a, b in pairwise(run)}) == 1
    has_equal_factors = all(b * run[0] == a * run[1] for a, b in pairwise(run))
    return has_equal_steps or has_equal_factors


KINDS_OF_UNIT = (
    {"millimetres": 1, "centimetres": 10, "metres": 1000, "kilometres": 1_000_000},
    {"milligrams": 1, "grams": 1000, "kilograms": 1_000_000, "tonnes": 1_000_000_000},
    {"millilitres": 1, "litres": 1000},
    {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 604_800},
    {"months": 1, "years": 12, "decades": 120, "centuries": 1200},
)

SIZES = {unit: size for kind in KINDS_OF_UNIT for unit, size in kind.items()}

SERIES: tuple[list[str], ...] = (
    list(calendar.day_name) * 2,
    calendar.month_name[1:] * 2,
    list(string.ascii_uppercase),
    ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"],
    ["spring", "summer", "autumn", "winter"] * 2,
)

METRIC_WORDINGS = (
    lines_of("""
        Convert to {d}.
        How many {d} is this?
        Express the amount in {d}.
        Change the measurement to {d}.
        Write the same amount in {d}.
        Give the value in {d}.
    """),
    lines_of("""
        Convert {x} to {d}.
        How many {d} are there in {x}?
        What is {x} in {d}?
        Express {x} in {d}.
        Change {x} into {d}.
        Please give {x} in {d}.
    """),
)

METRIC = """
    3 metres | 300 centimetres | centimetres
    seven metres | 700 centimetres | centimetres
    5 centimetres | 50 millimetres | millimetres
    nine centimetres | 90 millimetres | millimetres
    2 kilometres | 2000 metres | metres
    eight kilometres | 8000 metres | metres
    400 centimetres | 4 metres | metres
    600 centimetres | 6 metres | metres
    5000 metres | 5 kilometres | kilometres
    7000 metres | 7 kilometres | kilometres
    four metres | 4000 millimetres | millimetres
    80 millimetres | 8 centimetres | centimetres
    4 kilograms | 4000 grams | grams
    six kilograms | 6000 grams | grams
    9000 grams | 9 kilograms | kilograms
    3000 grams | 3 kilograms | kilograms
    2 tonnes | 2000 kilograms | kilograms
    five tonnes | 5000 kilograms | kilograms
    8000 kilograms | 8 tonnes | tonnes
    3 grams | 3000 milligrams | milligrams
    6 litres | 6000 millilitres | millilitres
    ten litres | 10000 millilitres | millilitres
    two litres | 2000 millilitres | millilitres
    4000 millilitres | 4 litres | litres
    9000 millilitres | 9 litres | litres
"""

TIME_WORDINGS = (
    lines_of("""
        Convert the time to {d}.
        How many {d} is this?
        Express this length of time in {d}.
        Write the same time in {d}.
        Change the time into {d}.
        Give this in {d}.
    """),
    lines_of("""
        Convert {x} to {d}.
        How many {d} are {x}?
        What is {x} expressed in {d}?
        It took {x}. How many {d} is that?
        Change {x} into {d}.
        How long is {x} in {d}?
    """),
)

TIMES = """
    2 hours | 120 minutes | minutes
    three hours | 180 minutes | minutes
    5 minutes | 300 seconds | seconds
    two minutes | 120 seconds | seconds
    ten minutes | 600 seconds | seconds
    2 days | 48 hours | hours
    three days | 72 hours | hours
    3 weeks | 21 days | days
    two weeks | 14 days | days
    4 weeks | 28 days | days
    2 years | 24 months | months
    three years | 36 months | months
    five years | 60 months | months
    4 decades | 40 years | years
    two decades | 20 years | years
    3 centuries | 300 years | years
    five centuries | 500 years | years
    180 seconds | 3 minutes | minutes
    240 seconds | 4 minutes | minutes
    240 minutes | 4 hours | hours
    300 minutes | 5 hours | hours
    48 months | 4 years | years
    35 days | 5 weeks | weeks
    42 days | 6 weeks | weeks
    50 years | 5 decades | decades
"""

SEQUENCE_WORDINGS = (
    lines_of("""
        What comes next?
        Continue the sequence with one more item.
        Give the next item in the series.
        Complete the pattern. Write only the next item.
        Which one follows?
        Find the next member of this sequence.
    """),
    lines_of("""
        What comes next in this sequence: {x}?
        Continue the pattern by one: {x}
        Which item follows: {x}?
        Give only the next item: {x}
        Complete the series with the next item: {x}
        Which one is next after these: {x}?
    """),
)

SEQUENCES = """
    Monday, Tuesday, Wednesday | Thursday
    Thursday, Friday, Saturday | Sunday
    Friday, Saturday, Sunday | Monday
    January, February, March | April
    April, May, June | July
    August, September, October | November
    May, June, July | August
    A, B, C, D | E
    first, second, third | fourth
    fifth, sixth, seventh | eighth
    spring, summer, autumn | winter
    2, 4, 6, 8 | 10
    5, 10, 15 | 20
    20, 40, 60 | 80
    one, two, three | four
    two, four, six | eight
    ten, twenty, thirty | forty
    A, C, E, G | I
    one, three, five, seven | nine
    100, 200, 300 | 400
    9, 8, 7, 6, 5 | 4
    ten, nine, eight | seven
    five, ten, fifteen, twenty | twenty-five
    1, 2, 4, 8, 16 | 32
    30, 25, 20, 15 | 10
"""
