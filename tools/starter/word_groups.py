"""Tasks about what kind of thing a word names: its category, and the odd one out of four."""

from __future__ import annotations

from tools.starter.prompt_reading import subject_of
from tools.starter.rows import Task, items_from, lines_of


def word_group_tasks() -> tuple[Task, ...]:
    """Give the tasks of this theme."""
    return (
        Task("category", items_from(THINGS_TO_SORT), *CATEGORY_WORDINGS, check=is_the_category_of_the_thing),
        Task("odd_one_out", items_from(GROUPS_WITH_A_STRANGER), *ODD_ONE_OUT_WORDINGS, check=is_the_stranger),
    )


def is_the_category_of_the_thing(instruction: str, given: str, output: str) -> bool:
    """Find the thing in the table of groups; its category must be among those the prompt offers."""
    asked = given or instruction.split("'")[1]
    offered = instruction.rsplit(": ", 1)[1].rstrip("?.").split(", ")
    group = group_of(asked)
    return group in offered and output == str(group).capitalize()


def is_the_stranger(instruction: str, given: str, output: str) -> bool:
    """Sort the four words into groups; three must share one and the answer be in another."""
    words = [word.strip(" ?.") for word in subject_of(instruction, given).split(",")]
    groups = [group_of(word) for word in words]
    lonely = [word for word, group in zip(words, groups, strict=True) if groups.count(group) == 1]
    return len(words) == 4 and None not in groups and lonely == [output]


def group_of(word: str) -> str | None:
    """Give the group a word is listed in."""
    return next((group for group, members in WORD_GROUPS.items() if word in members.split()), None)


CATEGORY_WORDINGS = (
    lines_of("""
        Put the thing into one of these categories: {d}.
        Which category fits: {d}?
        Classify the word. Choose one label from: {d}.
        Which of these words describes it best: {d}?
        Sort the item into the right group. The groups are: {d}.
        Choose the category the word belongs to: {d}.
        What kind of thing is this: {d}?
    """),
    lines_of("""
        Which category does '{x}' belong to: {d}?
        Classify '{x}' with one of these labels: {d}.
        Label '{x}' as one of these: {d}.
        Put '{x}' into the right category: {d}.
        Choose the correct group for '{x}': {d}.
        How would you categorise '{x}'? Options: {d}.
    """),
)

THINGS_TO_SORT = """
    salmon | Fish | bird, fish, insect
    sparrow | Bird | fish, mammal, bird
    beetle | Insect | insect, bird, mammal
    elephant | Mammal | fish, mammal, insect
    carrot | Vegetable | fruit, vegetable, drink
    strawberry | Fruit | fruit, tool, vegetable
    lemonade | Drink | drink, fruit, clothing
    hammer | Tool | furniture, instrument, tool
    violin | Instrument | tool, instrument, vehicle
    lorry | Vehicle | vehicle, building, furniture
    wardrobe | Furniture | clothing, furniture, tool
    jacket | Clothing | clothing, furniture, food
    purple | Colour | colour, shape, number
    triangle | Shape | colour, number, shape
    tennis | Sport | sport, instrument, language
    Italian | Language | language, sport, planet
    plumber | Job | job, tool, sport
    Saturn | Planet | planet, metal, language
    copper | Metal | metal, fruit, planet
    daffodil | Flower | tree, flower, insect
    oak | Tree | tree, flower, bird
    cathedral | Building | vehicle, building, job
    trumpet | Instrument | instrument, sport, vehicle
    tram | Vehicle | building, tool, vehicle
    cabbage | Vegetable | flower, fruit, vegetable
    pelican | Bird | bird, fish, flower
    dentist | Job | building, job, sport
    mosquito | Insect | mammal, bird, insect
    jumper | Clothing | clothing, vehicle, instrument
    judo | Sport | language, sport, drink
"""

ODD_ONE_OUT_WORDINGS = (
    lines_of("""
        Which word does not belong with the others?
        Find the odd one out.
        Three of these words go together. Name the one that does not.
        Pick the word that is different from the rest.
        Spot the word that does not fit in.
        Which of these is the odd one out?
        One item in the list is out of place. Which one?
    """),
    lines_of("""
        Which is the odd one out: {x}?
        Find the word that does not belong: {x}
        Name the odd one out in this list: {x}
        Which of these does not fit with the others: {x}?
        Pick the one that is not like the rest: {x}
        Tell me which word is out of place: {x}
    """),
)

GROUPS_WITH_A_STRANGER = """
    apple, pear, hammer, plum | hammer
    shirt, trousers, jacket, onion | onion
    violin, table, flute, piano | table
    dog, cat, horse, bus | bus
    red, spoon, blue, green | spoon
    car, lorry, banana, tram | banana
    tiger, rose, tulip, daisy | tiger
    Monday, Friday, Tuesday, pencil | pencil
    circle, square, triangle, milk | milk
    shark, chair, tuna, salmon | chair
    saw, hammer, drill, parrot | parrot
    carrot, cabbage, guitar, onion | guitar
    gold, silver, iron, bread | bread
    robin, eagle, owl, bicycle | bicycle
    football, tennis, hockey, lamb | lamb
    sock, ant, bee, wasp | sock
    sofa, desk, wardrobe, lemon | lemon
    nurse, plumber, teacher, cloud | cloud
    tea, coffee, ladder, juice | ladder
    January, March, cheese, October | cheese
    Mars, Venus, Saturn, Spanish | Spanish
    French, German, Polish, carrot | carrot
    castle, church, peach, school | peach
    cow, pig, spanner, goat | spanner
"""

WORD_GROUPS = {
    "fruit": "apple pear plum banana lemon strawberry peach",
    "vegetable": "carrot cabbage onion",
    "tool": "hammer saw drill spanner ladder spoon pencil",
    "instrument": "violin flute piano guitar trumpet",
    "furniture": "table chair sofa desk wardrobe",
    "mammal": "dog cat horse cow pig goat tiger lamb elephant",
    "bird": "robin eagle owl sparrow parrot pelican",
    "fish": "shark tuna salmon",
    "insect": "ant bee wasp beetle mosquito",
    "vehicle": "car lorry tram bus train bicycle",
    "clothing": "shirt trousers jacket sock jumper",
    "colour": "red blue green yellow purple",
    "flower": "rose tulip daisy daffodil",
    "tree": "oak birch pine",
    "weekday": "Monday Tuesday Friday",
    "month": "January March October",
    "shape": "circle square triangle",
    "metal": "gold silver iron copper",
    "sport": "football tennis hockey judo",
    "job": "nurse plumber teacher dentist",
    "drink": "tea coffee juice milk lemonade",
    "food": "bread cheese",
    "planet": "Mars Venus Saturn",
    "language": "French German Polish Spanish Italian",
    "building": "castle church school cathedral",
    "number": "seven nine twelve",
    "sky": "cloud",
}
