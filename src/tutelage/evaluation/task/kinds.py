"""The kind of task that some references show: what is counted in them, and the rules that decide by the counts.

Only references that are trained on may be given, so that no test row has a say in how it is scored.
"""

import random
import re
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import takewhile
from typing import TypeVar

from tutelage.evaluation.metrics.json_values import read_container
from tutelage.evaluation.metrics.label_answers import MOST_LABELS
from tutelage.evaluation.metrics.number_text import CURRENCY
from tutelage.evaluation.metrics.numbers import NumberConvention, single_number
from tutelage.evaluation.metrics.words import UNSPACED
from tutelage.evaluation.task.code_text import is_code
from tutelage.run.artifacts import TaskFigures, TaskKind

Item = TypeVar("Item")

MOST_READ = 3_000  # references, which tell a share to 2 points
SEED = 123

# The least shares of the answers that make a kind.
JSON_SHARE = 0.8
NUMBER_SHARE = 0.8
CODE_SHARE = 0.6
SHORT_SHARE = 0.8  # for labels and for facts

# Labels come from a closed set. The share of answers that stand there once estimates the chance that the next answer is
# a new one (Good 1953, Biometrika 40:237-264).
OPEN_SHARE = 0.3  # where it is larger, the set is not closed
LABEL_WORDS = 6
LISTS_SHARE = 0.3  # of answers that are lists, for their parts to be the labels
# Numbers are labels where so few of them are distinct, and stand there so often on average.
MOST_RATINGS = 11
ANSWERS_PER_RATING = 2

FACT_WORDS = 6
FACT_MEDIAN_WORDS = 4
SENTENCE_WORDS = 3  # an answer that ends as a sentence does and has so many words is no fact
UNIT_WORDS = 3  # that may stand after a number
CHARACTERS_READ = 400  # a longer answer has too many words anyway
UNSPACED_PER_WORD = 2  # Chinese characters of a word, on average
NUMBER_CHARACTERS = 60

WORD = re.compile(r"[^\W_]+(?:[-'’.,/:@_&+][^\W_]+)*")
SENTENCE_END = re.compile(r"(?:[.!?]|(?P<chinese>[。！？]))[\"'”’»)\]]*$")
SEPARATOR = re.compile(r"\s*[,;|、，；]\s*")
DOLLARS = re.compile(r"\$([^$]*)\$")  # around a formula
BEFORE_NUMBER = re.compile(
    r"(?:about|approximately|approx\.?|around|roughly|nearly|almost|over|ca\.|约|大约|大概|[a-z] ?="
    rf"|{CURRENCY}|\\boxed\{{|\\frac\{{|\\|[-+−±~≈=(*#.\s])*",
    re.IGNORECASE,
)
CONVENTIONS = (NumberConvention(".", blanks_group=True), NumberConvention(",", blanks_group=True))


def task_kind(references: Sequence[str]) -> TaskKind:
    """Return the kind of task that references show; up to MOST_READ of them their order does not count."""
    return kind_of(task_figures(references))


def kind_of(figures: TaskFigures) -> TaskKind:
    """Return the kind that the counts decide, by the first rule that holds."""
    is_closed = figures.seen_once <= OPEN_SHARE and figures.distinct <= MOST_LABELS
    if figures.valid_json >= JSON_SHARE:
        return "json"
    if figures.numbers >= NUMBER_SHARE:
        return "labels" if _are_ratings(figures) else "numbers"
    if figures.labels >= SHORT_SHARE and is_closed:
        return "labels"
    if figures.code >= CODE_SHARE:
        return "code"
    if figures.facts >= SHORT_SHARE and figures.median_words <= FACT_MEDIAN_WORDS:
        return "short_facts"
    return "free_text"


def _are_ratings(figures: TaskFigures) -> bool:
    return figures.distinct <= MOST_RATINGS and figures.answers >= ANSWERS_PER_RATING * figures.distinct


def sample_of(items: Sequence[Item]) -> list[Item]:
    """Return MOST_READ of some items, the same ones each time, or all where they are fewer."""
    if len(items) <= MOST_READ:
        return [*items]
    return [items[place] for place in random.Random(SEED).sample(range(len(items)), MOST_READ)]


def task_figures(references: Sequence[str]) -> TaskFigures:
    """Count in references what `kind_of` decides by; of more than MOST_READ in a sample, the same each time."""
    counts = Counter(text.strip() for text in sample_of(references))
    answers = counts.total()
    if not answers:
        names = ("valid_json", "numbers", "code", "labels", "facts", "distinct", "seen_once", "median_words")
        return TaskFigures(answers=0, **dict.fromkeys(names, 0))
    code = {text for text in counts if is_code(text)}
    lead = _common_lead(counts)
    words = {text: count_words(text) for text in counts}
    labels = _label_counts(counts)

    def share(is_one: Callable[[str], bool]) -> float:
        return sum(count for text, count in counts.items() if is_one(text)) / answers

    return TaskFigures(
        answers=answers,
        valid_json=share(lambda text: read_container(text) is not None),
        numbers=share(lambda text: is_number(text) or (text not in code and is_number(text[lead:]))),
        code=share(lambda text: text in code),
        labels=share(_is_label_like),
        facts=share(lambda text: words[text] <= FACT_WORDS and not _is_sentence(text, words[text])),
        distinct=len(labels),
        seen_once=_seen_once(labels),
        median_words=float(statistics.median(words[text] for text in counts.elements())),
    )


def _common_lead(texts: Collection[str]) -> int:
    """Return the length of the words that all texts begin with, as of "It is 7" and "It is 9"."""
    first, last = min(texts), max(texts)  # what these two share all others between them share too
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    return first.rfind(" ", 0, shared) + 1 if len(texts) > 1 else 0


def count_words(text: str) -> float:
    """Return about how many words a text has, its first characters if it is long."""
    text = text[:CHARACTERS_READ]
    spaced, unspaced = UNSPACED.subn(" ", text)
    return len(WORD.findall(spaced)) + unspaced / UNSPACED_PER_WORD


def _label_counts(counts: Counter[str]) -> Counter[str]:
    """Count the answers whatever their case or, where they are lists from a closed set, the parts of the lists."""
    whole: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    lists = 0
    for text, count in counts.items():
        whole[_normalized(text)] += count
        cut = _parts(text)
        lists += count * (len(cut) > 1)
        for part in cut:
            parts[part] += count
    are_lists = lists >= LISTS_SHARE * counts.total() and _seen_once(parts) <= OPEN_SHARE < _seen_once(whole)
    return parts if are_lists else whole


def _seen_once(counts: Counter[str]) -> float:
    return sum(count == 1 for count in counts.values()) / counts.total() if counts else 0.0


def _normalized(text: str) -> str:
    return text.casefold().rstrip(".。")


def _parts(text: str) -> list[str]:
    return [_normalized(part) for part in SEPARATOR.split(text[:CHARACTERS_READ]) if part]


def _is_label_like(text: str) -> bool:
    """Tell whether a text is a line short enough for a label, or a list of them."""
    return (
        0 < len(text) <= CHARACTERS_READ
        and "\n" not in text
        and all(count_words(part) <= LABEL_WORDS for part in _parts(text))
    )


def _is_sentence(text: str, words: float) -> bool:
    found = SENTENCE_END.search(text)
    return found is not None and (words >= SENTENCE_WORDS or found["chinese"] is not None)


def is_number(text: str) -> bool:
    """Tell whether a text is one number, with a sign, a currency or "about" before it and a unit after it."""
    text = text.strip()
    if len(text) > NUMBER_CHARACTERS or not any(character.isdecimal() for character in text):
        return False
    formula = DOLLARS.fullmatch(text)
    text = formula[1] if formula else text
    digits = [place for place, character in enumerate(text) if character.isdecimal()]
    before, after = text[: digits[0]], text[digits[-1] + 1 :]
    if BEFORE_NUMBER.fullmatch(before) is None or count_words(after) > UNIT_WORDS:
        return False
    return any(single_number(text, convention) is not None for convention in CONVENTIONS)
