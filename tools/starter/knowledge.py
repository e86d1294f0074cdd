"""Tasks about things that most people know: true or false, capital cities and chemical symbols."""

from __future__ import annotations

import re

from tools.starter.prompt_reading import subject_of
from tools.starter.rows import Item, Task, items_from, lines_of


def knowledge_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    return (
        Task("true_or_false", items_from(STATEMENTS), *TRUE_WORDINGS, check=is_the_known_truth),
        Task(
            "capital_city", items_from(CAPITALS), *CAPITAL_CITY_WORDINGS, check=is_the_capital_of_the_country
        ),
        Task("chemical_symbol", items_from(SYMBOLS), *SYMBOL_WORDINGS, check=is_the_symbol_of_the_element),
    )


def is_the_known_truth(instruction: str, given: str, output: str) -> bool:
    """Look the statement up in the table of statements."""
    truths = {item.text: item.answer for item in items_from(STATEMENTS)}
    return truths.get(subject_of(instruction, given)) == output


def is_the_capital_of_the_country(instruction: str, given: str, output: str) -> bool:
    """Find the one country that the prompt names and look its capital up."""
    return the_one_named(items_from(CAPITALS), f"{instruction} {given}") == output


def is_the_symbol_of_the_element(instruction: str, given: str, output: str) -> bool:
    """Find the one element that the prompt names and look its symbol up."""
    named = the_one_named(items_from(SYMBOLS), f"{instruction} {given}")
    return named == output and re.fullmatch(r"[A-Z][a-z]?", output) is not None


def the_one_named(items: tuple[Item, ...], prompt: str) -> str | None:
    """Give the answer of the only item whose text stands in the prompt."""
    named = [item.answer for item in items if re.search(rf"\b{item.text}\b", prompt)]
    return named[0] if len(named) == 1 else None


TRUE_WORDINGS = (
    lines_of("""
        True or false?
        Is this statement true or false?
        Decide whether the statement is true. Answer True or False.
        Check the claim and answer True or False.
        Mark the sentence as True or False.
        Is this correct? Reply with True or False.
        Label the statement True or False.
    """),
    lines_of("""
        True or false: {x}
        Is it true or false? "{x}"
        Say whether this is true or false: {x}
        Answer with True or False: {x}
        Is this statement true or false? "{x}"
        Quiz time, true or false: {x}
    """),
)

STATEMENTS = """
    The sun is a star. | True
    Fish breathe with lungs. | False
    A year has twelve months. | True
    Snow is hot. | False
    Spiders are insects. | False
    The heart pumps blood. | True
    Paris is the capital of Germany. | False
    Cows eat grass. | True
    A square has five sides. | False
    Ice is frozen water. | True
    The moon is bigger than the Earth. | False
    Birds lay eggs. | True
    Africa is a continent. | True
    There are thirty hours in a day. | False
    Lemons taste sour. | True
    An octopus has eight arms. | True
    Elephants are smaller than mice. | False
    Wood floats on water. | True
    London is in France. | False
    Humans need oxygen. | True
    Sharks live in trees. | False
    The Pacific is an ocean. | True
    Christmas is in July. | False
    Caterpillars turn into butterflies. | True
    The sun rises in the west. | False
    A dozen is twelve. | True
    Dogs have six legs. | False
    Rome is a city in Italy. | True
    Bread is made from flour. | True
    Frogs have feathers. | False
"""

CAPITAL_CITY_WORDINGS = (
    lines_of("""
        Name the capital city of this country.
        What is the capital?
        Which city is the capital of the country below?
        Give the capital city.
        I'll name a country, you name its capital.
        Answer with the capital of the country.
    """),
    lines_of("""
        Which city is the capital of {x}?
        Name the capital of {x}.
        Tell me the capital city of {x}.
        What city is {x}'s capital?
        The government of {x} sits in its capital. Which city is that?
        Quiz question: what is the capital of {x}?
    """),
)

CAPITALS = """
    France | Paris
    Germany | Berlin
    Italy | Rome
    Spain | Madrid
    Portugal | Lisbon
    Austria | Vienna
    Greece | Athens
    Poland | Warsaw
    Hungary | Budapest
    Ireland | Dublin
    Norway | Oslo
    Sweden | Stockholm
    Finland | Helsinki
    Denmark | Copenhagen
    Belgium | Brussels
    Russia | Moscow
    Turkey | Ankara
    Egypt | Cairo
    Kenya | Nairobi
    Japan | Tokyo
    China | Beijing
    Thailand | Bangkok
    Peru | Lima
    Canada | Ottawa
    Argentina | Buenos Aires
"""

SYMBOL_WORDINGS = (
    lines_of("""
        Give the chemical symbol of this element.
        What is the symbol for the element?
        Which letters stand for this element in the periodic table?
        Write the chemical symbol.
        How is this element abbreviated in chemistry?
        Name the symbol used for the element below.
    """),
    lines_of("""
        What is the chemical symbol of {x}?
        Which chemical symbol stands for {x}?
        Give me the symbol of the element {x}.
        How is {x} written in the periodic table?
        Write the chemical symbol for {x}.
        In chemistry, what is the symbol of {x}?
    """),
)

SYMBOLS = """
    hydrogen | H
    helium | He
    carbon | C
    nitrogen | N
    oxygen | O
    sodium | Na
    sulfur | S
    potassium | K
    calcium | Ca
    iron | Fe
    copper | Cu
    zinc | Zn
    silver | Ag
    gold | Au
    lead | Pb
"""
