"""Tasks that bring lists and records into another form: sorting, JSON and bullets."""

from __future__ import annotations

import json
import re

from tools.starter.prompt_reading import subject_of
from tools.starter.rows import Item, Task, items_from, lines_of


def list_and_record_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    return (
        Task("sorted_list", items_from(LISTS_TO_SORT), *SORT_WORDINGS, check=is_the_list_in_order),
        Task("json_object", records_as_json(), *JSON_WORDINGS, check=holds_the_same_fields),
        Task("bulleted_list", lists_as_bullets(), *BULLET_WORDINGS, check=has_one_bullet_for_each_thing),
    )


def records_as_json() -> tuple[Item, ...]:
    """Give "key: value, key: value" texts with the JSON object they stand for, numbers without quotes."""
    items: list[Item] = []
    for record in lines_of(RECORDS):
        fields = [field.split(": ") for field in record.split(", ")]
        values = {key: int(value) if value.isdigit() else value for key, value in fields}
        items.append(Item(record, json.dumps(values)))
    return tuple(items)


def lists_as_bullets() -> tuple[Item, ...]:
    """Give enumerations such as "a, b and c" with the same things as bullets."""
    items: list[Item] = []
    for enumeration in lines_of(ENUMERATIONS):
        things = re.split(r", | and ", enumeration)
        items.append(Item(enumeration, "\n".join(f"- {thing}" for thing in things)))
    return tuple(items)


def is_the_list_in_order(instruction: str, given: str, output: str) -> bool:
    """Compare with the words of the prompt, sorted."""
    words = re.split(r", ", subject_of(instruction, given))
    return output == ", ".join(sorted(words))


def holds_the_same_fields(instruction: str, given: str, output: str) -> bool:
    """Read the answer as JSON, and compare its keys and values, in order, with the text of the prompt."""
    try:
        read = json.loads(output)
    except ValueError:
        return False
    told = ", ".join(f"{key}: {value}" for key, value in read.items())
    are_numbers_bare = all(isinstance(value, int) == str(value).isdigit() for value in read.values())
    return told == subject_of(instruction, given) and are_numbers_bare


def has_one_bullet_for_each_thing(instruction: str, given: str, output: str) -> bool:
    """Put the bullets back into an enumeration and compare it with the prompt."""
    lines = output.split("\n")
    if not all(line.startswith("- ") for line in lines):
        return False
    things = [line[2:] for line in lines]
    return f"{', '.join(things[:-1])} and {things[-1]}" == subject_of(instruction, given)


SORT_WORDINGS = (
    lines_of("""
        Sort the words alphabetically.
        Put these words in alphabetical order.
        Arrange the list from A to Z.
        Order the items alphabetically, separated by commas.
        Rewrite the list in alphabetical order.
        Alphabetise the words below.
    """),
    lines_of("""
        Sort these words alphabetically: {x}
        Put this list in alphabetical order: {x}
        Arrange from A to Z: {x}
        Alphabetise: {x}
        Write these in alphabetical order: {x}
        List these words from A to Z: {x}
    """),
)

LISTS_TO_SORT = """
    pear, apple, melon | apple, melon, pear
    dog, ant, cat | ant, cat, dog
    zoo, bank, park | bank, park, zoo
    Rome, Oslo, Bern | Bern, Oslo, Rome
    milk, eggs, tea | eggs, milk, tea
    violin, drum, harp | drum, harp, violin
    red, blue, green | blue, green, red
    nurse, baker, farmer | baker, farmer, nurse
    tulip, daisy, rose | daisy, rose, tulip
    Tom, Anna, Kim | Anna, Kim, Tom
    sofa, desk, lamp | desk, lamp, sofa
    July, April, May | April, July, May
    wolf, bear, fox | bear, fox, wolf
    soup, bread, jam | bread, jam, soup
    Peru, Chile, Cuba, Spain | Chile, Cuba, Peru, Spain
    hat, coat, gloves | coat, gloves, hat
    rain, wind, fog | fog, rain, wind
    piano, guitar, flute, bell | bell, flute, guitar, piano
    silver, gold, iron, copper | copper, gold, iron, silver
    owl, hen, duck | duck, hen, owl
    tram, bus, ferry | bus, ferry, tram
    knee, arm, hand | arm, hand, knee
    hammer, drill, axe | axe, drill, hammer
"""

JSON_WORDINGS = (
    lines_of("""
        Turn the fields into a JSON object.
        Write this as JSON.
        Convert the text to a JSON object.
        Make a JSON object out of these keys and values.
        Format the record below as JSON, on one line.
        Represent the data as JSON.
    """),
    lines_of("""
        Write these fields as a JSON object: {x}
        Convert this to JSON: {x}
        Turn this record into JSON on one line: {x}
        JSON, please: {x}
        Make a JSON object from these keys and values: {x}
        Format as JSON: {x}
    """),
)

RECORDS = """
    name: Anna, age: 31
    city: Oslo, country: Norway
    title: Dune Walks, pages: 212
    fruit: apple, colour: red, count: 4
    name: Karim, job: nurse
    product: kettle, price: 29
    day: Monday, weather: rain
    animal: owl, legs: 2
    first: Eva, last: Lund
    table: 7, guests: 4
    team: Lions, points: 18
    model: K200, year: 2016, doors: 5
    drink: tea, sugar: no
    room: kitchen, windows: 2
    song: Blue Hour, minutes: 3
    subject: maths, grade: 2
    name: Rex, species: dog, age: 6
    order: 4418, status: paid
    sender: Mia, language: French
    street: Mill Lane, number: 12
    size: large, colour: green
    train: R9, platform: 3, delay: 10
    film: The Well, rating: 8
    author: Ada Finn, year: 1974
    shop: bakery, opens: 7, closes: 18
    plant: basil, water: daily
"""

BULLET_WORDINGS = (
    lines_of("""
        Turn this into a bulleted list with hyphens.
        Write each item on its own line, starting with a hyphen.
        Make a bullet list from the text. Use '-' as the bullet.
        Format the items as bullet points (use -).
        Split this up into hyphen bullets.
        Rewrite the enumeration as a list with '- ' before each item.
    """),
    lines_of("""
        Turn this into a bulleted list with hyphens: {x}
        Make hyphen bullet points of this: {x}
        Format as a bullet list with '-': {x}
        Put each item on its own line after a hyphen: {x}
        Bullet list with hyphens, please: {x}
        Write these as bullets, using a hyphen for each: {x}
    """),
)

ENUMERATIONS = """
    apples, pears and plums
    soap, towels and toothpaste
    Monday, Wednesday and Friday
    a tent, a torch and two sleeping bags
    flour, sugar, butter and eggs
    paint the fence, mow the lawn and water the roses
    Anna, Boris and Chen
    pens, paper and scissors
    reading, cycling and chess
    hammer, nails and glue
    tea, coffee and hot chocolate
    call the bank, pay the rent and buy stamps
    cats, rabbits and hamsters
    red, white and blue
    a hat, sun cream and a bottle of water
    rice, beans, onions and garlic
    Paris, Ghent and Cologne
    wash the car, feed the cat and empty the bin
    history, art and music
    north, east, south and west
    passport, ticket and phone
    violins, cellos and flutes
    spring, summer, autumn and winter
"""
