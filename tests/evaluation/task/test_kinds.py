"""Lists of references whose kind a person tells at once."""

import json
import random
import time

import pytest

from tutelage.evaluation.task import kinds
from tutelage.evaluation.task.code_text import is_code
from tutelage.evaluation.task.kinds import is_number, kind_of, task_figures, task_kind
from tutelage.run.artifacts import TaskFigures

CITIES = [
    "Oslo",
    "Lima",
    "Quito",
    "Accra",
    "Hanoi",
    "Dublin",
    "Nairobi",
    "Montevideo",
    "Ulan Bator",
    "Cape Town",
]
PROSE = [
    "A set is written with braces, as {1, 2, 3}, and its order does not matter.",
    "Replace {name} and {date} in the letter, and send it to {email}.",
    '{"name": "Ann"} is what the server sends, and {"error": 404} is what it sends if Ann is not found.',
    "[Note: the meeting was moved to Friday.] Please bring your own laptop, and read the agenda before.",
    "{Aside} She opened the door {quietly} and saw that nobody had been there for years.",
    "The template is {{greeting}}, and then the name follows. Most people leave the comma out.",
    "We use curly braces { and } around blocks, and that is a matter of taste alone.",
    "In the sentence [1, 2] stands for the first two verses, not for a list of numbers.",
    '"Yes", he said, and [after a while] he added that it was true and that he was sorry.',
    "The JSON format has objects in braces and arrays in brackets; keys stand in double quotes.",
]
LISTS = {
    "flat objects": ("json", [json.dumps({"city": city, "rows": n}) for n, city in enumerate(CITIES)]),
    "nested objects": (
        "json",
        [json.dumps({"order": {"lines": [{"sku": f"A{n}", "count": n}]}}, indent=2) for n in range(9)],
    ),
    "arrays of objects": ("json", [json.dumps([{"name": city}, {"name": "Rome"}]) for city in CITIES]),
    "arrays of words": ("json", [json.dumps([city, city.lower()]) for city in CITIES]),
    "objects in fences": ("json", [f'```json\n{{"city": "{city}"}}\n```' for city in CITIES]),
    "objects in fences without a language": (
        "json",
        [f'```\n{{\n  "city": "{city}"\n}}\n```\n' for city in CITIES],
    ),
    "one object again and again": ("json", ['{"intent": "greet"}'] * 10),
    "Chinese objects": ("json", [f'{{"城市": "北京", "编号": {n}}}' for n in range(9)]),
    "objects, one of which is cut": ("json", [json.dumps({"n": n}) for n in range(9)] + ['{"n": ']),
    "prose with braces": ("free_text", PROSE),
    "prose about JSON in a fence": (
        "free_text",
        [
            f'The server answers to the request for {city} so, and the client reads it:\n```json\n{{"ok": 1}}\n```'
            for city in CITIES
        ],
    ),
    "sentiments": (
        "labels",
        ["positive", "negative", "Positive", "neutral", "negative", "positive.", "neutral", "negative"],
    ),
    "yes and no": ("labels", ["Yes", "No", "No", "Yes", "Yes", "No"]),
    "letters of choices": ("labels", ["A", "C", "B", "D", "A", "A", "C", "B", "D", "B", "C"]),
    "sixty intents": (
        "labels",
        random.Random(1).choices(
            [f"{a}_{b}" for a in ("open", "close", "lost", "block", "move", "ask") for b in CITIES], k=400
        ),
    ),
    "labels of several words": (
        "labels",
        [
            "Science and technology",
            "World news",
            "Sports",
            "World news",
            "Sports",
            "Science and technology",
            "Business",
            "Business",
        ],
    ),
    "several labels of a closed set": (
        "labels",
        [
            ", ".join(
                random.Random(n).sample(["sports", "politics", "science", "money", "health"], 1 + n % 3)
            )
            for n in range(20)
        ],
    ),
    "Chinese labels": ("labels", ["正面", "负面", "中性", "负面", "正面", "正面", "中性"]),
    "stars": ("labels", ["5", "4", "1", "5", "3", "4", "1", "2", "5", "3", "2", "4"]),
    "integers": ("numbers", [str(n * n - 40) for n in range(3, 15)]),
    "decimals with units": (
        "numbers",
        [
            f"{n}.{n} {unit}"
            for n, unit in enumerate(["km", "kg", "m/s", "°C", "hours", "kWh", "%"], start=11)
        ],
    ),
    "amounts of money": ("numbers", ["$5", "$1,250.50", "$17", "$3.20", "€ 12", "$90", "$7", "$80"]),
    "sentences with the number at one place": (
        "numbers",
        [f"The answer is {n}." for n in (4, 18, 23, 151, 6, 77)],
    ),
    "German decimals": ("numbers", ["2,5", "1.234,50", "17", "0,75 kg", "12,25", "99", "3,1"]),
    "Chinese quantities": ("numbers", ["5公里", "约30个苹果", "12米", "3.5千克", "8元", "120平方米"]),
    "fractions": ("numbers", ["1/2", "3/4", "5/8", "\\frac{2}{3}", "7/9", "1 1/2", "11/12"]),
    "Python": (
        "code",
        [f"def add_{n}(x):\n    # Adds {n}.\n    total = x + {n}\n    return total" for n in range(8)],
    ),
    "queries": ("code", [f"SELECT name, age FROM users WHERE age > {n} ORDER BY name;" for n in range(8)]),
    "queries in lower case": ("code", [f"select count(*) from orders where total > {n}" for n in range(8)]),
    "shell": (
        "code",
        [
            "ls -la /tmp",
            "git commit -m 'fix'",
            "find . -name '*.py' -delete",
            "tar -xzf a.tar.gz",
            "docker run -p 80:80 nginx",
            "grep -r foo src | wc -l",
        ],
    ),
    "one-liners": (
        "code",
        [
            "sorted(items, key=len)",
            "print('hello')",
            "[x * x for x in items]",
            "max(a, b)",
            "df.groupby('a').mean()",
            "lambda x: x + 1",
        ],
    ),
    "code in fences, with a word before": (
        "code",
        [f"Here it is:\n```js\nconst f = (x) => x + {n};\nconsole.log(f(1));\n```" for n in range(8)],
    ),
    "pages": (
        "code",
        [f'<ul class="menu">\n  <li><a href="/{city}">{city}</a></li>\n</ul>' for city in CITIES],
    ),
    "C": (
        "code",
        [
            f'#include <stdio.h>\n\nint main(void) {{\n    int n = {n};\n    printf("%d", n);\n    return 0;\n}}'
            for n in range(8)
        ],
    ),
    "cities": ("short_facts", CITIES),
    "days": (
        "short_facts",
        ["12 May 1990", "3 June 1804", "1 January 2000", "30 April 1945", "4 July 1776", "9 November 1989"],
    ),
    "names and years": (
        "short_facts",
        [
            "Marie Curie",
            "1969",
            "The Lord of the Rings",
            "Mount Everest",
            "gold (Au)",
            "1815",
            "J. S. Bach",
            "hydrogen",
        ],
    ),
    "Chinese facts": (
        "short_facts",
        ["北京", "李白", "《红楼梦》", "1949年", "长江", "氧气", "牛顿", "太平洋"],
    ),
    "words of another language": (
        "short_facts",
        ["Hund", "Katze", "das Haus", "Baum", "grün", "laufen", "Tisch", "Fenster"],
    ),
    "sentences": ("free_text", [f"The train to {city} leaves at noon." for city in CITIES]),
    "paragraphs": (
        "free_text",
        [
            f"{city} lies by the sea.\n\nIt has:\n- a harbour\n- two museums\n\nMany people visit it in summer."
            for city in CITIES
        ],
    ),
    "Chinese sentences": (
        "free_text",
        [
            "他昨天去了北京。",
            "我喜欢读书，也喜欢跑步。",
            "今天天气很好，我们去公园吧。",
            "这个问题很难回答。",
            "请把门关上。",
        ],
    ),
    "a derivation with its result": (
        "free_text",
        [
            f"Ann has {n} apples and buys 3 more, so that she has {n + 3} of them.\n#### {n + 3}"
            for n in range(8)
        ],
    ),
    "poems": (
        "free_text",
        [
            "The woods are lovely, dark and deep,\nBut I have promises to keep;",
            "O rose, thou art sick;\nThe invisible worm",
            "Tyger, tyger, burning bright\nIn the forests of the night;",
        ],
    ),
    "recipes": (
        "free_text",
        [
            "Ingredients:\n- 2 eggs\n- 100 g flour\n\n1. Mix all.\n2. Bake for 20 minutes.",
            "Ingredients:\n- milk\n- sugar\n\n1. Boil the milk.\n2. Add the sugar.",
        ],
    ),
    "half objects, half prose": ("free_text", [*PROSE[:5], *('{"a": 1, "b": [2, 3]}',) * 5]),
    "no answers": ("free_text", []),
}


@pytest.mark.parametrize("name", LISTS)
def test_the_kind_of_a_list_is_the_one_that_a_person_sees(name):
    kind, references = LISTS[name]
    assert task_kind(references) == kind, task_figures(references)
    turned = [f"  {text}\n" for text in reversed(references)]
    assert task_kind(turned) == kind


def test_prose_is_never_taken_for_json():
    every = [text for kind, references in LISTS.values() if kind == "free_text" for text in references]
    prose = [text for text in every if not text.startswith('{"a"')]
    assert task_figures(prose).valid_json == 0
    taken = [text for text in prose if text.startswith(("{", "["))]
    assert len(taken) >= 3  # by a rule that looks at the first character


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42", True),
        ("-7.5 kg", True),
        ("about 30 apples", True),
        ("x = 5", True),
        ("$\\frac{3}{4}$", True),
        ("12 May 1990", False),
        ("10:30", False),
        ("3-5", False),
        ("Apollo 11", False),
        ("1.2.3", False),
        ("H2O", False),
        ("5 and 6", False),
        ("She walked 5 km to the next village.", False),
        ("none", False),
    ],
)
def test_a_number_has_at_most_a_unit_and_no_name(text, expected):
    assert is_number(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = x * x;", True),
        ("if x > 0:\n    y = 1\nelse:\n    y = 2", True),
        ("cat a.txt | sort -u > b.txt", True),
        ("=SUM(A1:A5)", True),
        ("(define (square x) (* x x))", True),
        ("The set is {1, 2, 3}", False),
        ("Paul Dirac (1933)", False),
        ("and/or", False),
        ("For example: use the function f(x) = 2x where x is the number of rows.", False),
        ("Dear {name}, your order {id} has shipped.", False),
        ("If you import goods, then return here for the forms;", False),
    ],
)
def test_a_line_of_code_is_no_sentence(text, expected):
    assert is_code(text) == expected


def test_figures_of_a_list_counted_by_hand():
    references = [
        '{"a": 1}',
        "7 km",
        "Rome",
        "rome",
        "x = f(y);",
        "The cat sat on the mat today.",
        "No.",
        "no",
    ]
    # One object, one number, one line of code; all are short but the sentence of 7 words. What stands there once: the
    # object, 7 km, the code and the sentence; Rome and no stand there twice. The words are 2, 2, 1, 1, 3, 7, 1 and 1.
    assert task_figures(references) == TaskFigures(
        answers=8,
        valid_json=1 / 8,
        numbers=1 / 8,
        code=1 / 8,
        labels=7 / 8,
        facts=7 / 8,
        distinct=6,
        seen_once=4 / 8,
        median_words=1.5,
    )


def test_a_rule_that_ignores_how_often_labels_stand_there_is_caught(monkeypatch):
    monkeypatch.setattr(kinds, "OPEN_SHARE", 1.0)
    assert task_kind(CITIES) == "labels"


def test_the_figures_alone_decide():
    for kind, references in LISTS.values():
        assert kind_of(task_figures(references)) == kind


def test_ten_thousand_references_take_less_than_a_second():
    chance = random.Random(0)
    words = [*CITIES, "the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"]
    references = [" ".join(chance.choices(words, k=80)) for _ in range(10_000)]
    begin = time.process_time()
    assert task_kind(references) == "free_text"
    assert time.process_time() - begin < 1
