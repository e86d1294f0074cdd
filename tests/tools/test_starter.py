"""The bundled starter data set: its answers, its mixture, and that the file is what the generator writes."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tools.starter.generate import STARTER_FILE, all_tasks, generate_rows, json_text_of
from tools.starter.rows import StarterRow

BOOK_FILE = Path(__file__).parents[3] / "shared" / "data" / "instruction-data.json"


@pytest.fixture(scope="module")
def rows() -> list[StarterRow]:
    return generate_rows()


def test_every_answer_passes_its_checker(rows):
    failing = [row for row in rows if not row.passes_its_checker()]
    assert failing == []


def test_an_answer_cut_short_or_run_on_is_caught(rows):
    for row in rows:
        for spoilt in ("", row.output[:-1], row.output + "x", row.output + " indeed", row.output.swapcase()):
            if spoilt != row.output:
                assert not row.check(row.instruction, row.input, spoilt), (row, spoilt)


def test_the_answer_of_another_row_of_the_task_is_caught(rows):
    answers = defaultdict(set)
    for row in rows:
        answers[row.task].add(row.output)
    for row in rows:
        for foreign in sorted(answers[row.task] - {row.output}):
            assert not row.check(row.instruction, row.input, foreign), (row, foreign)


@pytest.mark.parametrize(
    ("task", "instruction", "given", "wrong"),
    [
        ("plural", "Make this noun plural.", "mouse", "The plural of 'mouse' is 'mouses'."),
        ("passive", "Make this passive.", "The cat ate the fish.", "The fish was ate by the cat."),
        ("past_sentence", "Past tense, please: We meet here.", "", "We meeted here."),
        ("json_object", "Write this as JSON.", "name: Ida, age: 5", '{"name": "Ida", "age": "5"}'),
        ("sorted_list", "Alphabetise: b, a, c", "", "a, c, b"),
        ("convert_metric", "Convert 3 metres to centimetres.", "", "30 centimetres"),
        ("convert_metric", "Convert 3 metres to centimetres.", "", "3000 millimetres"),
        ("iso_date", "Write 4 July 1998 in the format YYYY-MM-DD.", "", "1998-04-07"),
        ("sequence", "What comes next?", "2, 4, 8", "14"),
        ("arithmetic", "What is 6 plus 3?", "", "8"),
        ("extract_price", "Find the price: Tea is €2 here.", "", "2"),
        ("sentiment", "Positive or negative?", "The soup tasted awful.", "Positive"),
    ],
)
def test_a_plausible_wrong_answer_is_caught(task, instruction, given, wrong):
    check = next(candidate.check for candidate in all_tasks() if candidate.name == task)
    assert not check(instruction, given, wrong)


def test_at_least_95_percent_of_the_rows_are_checked_by_code(rows):
    assert sum(callable(row.check) for row in rows) >= 0.95 * len(rows)


def test_no_prompt_occurs_twice(rows):
    counts = Counter(normalised_prompt(row) for row in rows)
    assert [prompt for prompt, count in counts.items() if count > 1] == []


def test_hardly_any_prompts_differ_only_in_their_digits(rows):
    masked = Counter(re.sub(r"\d+", "#", normalised_prompt(row)) for row in rows)
    alike = sum(count for count in masked.values() if count > 1)
    assert alike <= 0.03 * len(rows)


def test_there_are_about_twelve_hundred_rows_of_many_kinds(rows):
    assert 1100 <= len(rows) <= 1300
    assert len({row.task for row in rows}) >= 24


def test_every_task_has_at_least_ten_wordings():
    for task in all_tasks():
        assert len({*task.with_input, *task.without_input}) >= 10, task.name


def test_rows_with_and_without_input_are_both_common(rows):
    with_input = sum(bool(row.input) for row in rows) / len(rows)
    assert 0.3 <= with_input <= 0.7


def test_prompts_and_answers_are_short(rows):
    prompt_words = [len(f"{row.instruction} {row.input}".split()) for row in rows]
    answer_words = [len(row.output.split()) for row in rows]
    assert max(prompt_words) <= 80
    assert sum(prompt_words) / len(rows) < 40
    assert max(answer_words) <= 25
    assert sum(answer_words) / len(rows) < 9


def test_nothing_but_a_few_accents_and_currency_signs_is_beyond_ascii(rows):
    text = "".join(row.instruction + row.input + row.output for row in rows)
    assert {letter for letter in text if not letter.isascii()} <= set("€£é")


def test_addresses_and_phone_numbers_are_made_up(rows):
    text = " ".join(f"{row.instruction} {row.input} {row.output}" for row in rows)
    assert {address.split("@")[1] for address in re.findall(r"[\w.]+@\w+\.\w+", text)} <= {
        "example.com",
        "example.org",
    }
    assert all(number.startswith("55501") for number in re.findall(r"\b\d{7}\b", text))


def test_the_shipped_file_is_what_the_generator_writes(rows):
    assert json_text_of(rows).encode("utf-8") == STARTER_FILE.read_bytes()


def test_the_shipped_file_holds_one_row_a_line_with_the_three_keys():
    lines = STARTER_FILE.read_text(encoding="utf-8").splitlines()
    records = json.loads("\n".join(lines))
    assert len(lines) == len(records) + 2
    assert all(list(record) == ["instruction", "input", "output"] for record in records)


def test_another_seed_gives_the_same_items_in_other_rows(rows):
    others = generate_rows(seed=7)
    assert Counter(row.task for row in others) == Counter(row.task for row in rows)
    assert [row.instruction for row in others] != [row.instruction for row in rows]
    assert all(row.passes_its_checker() for row in others)


@pytest.mark.skipif(not BOOK_FILE.exists(), reason="the book's data set is not beside the repository")
def test_no_row_is_one_of_the_books(rows):
    book = json.loads(BOOK_FILE.read_text(encoding="utf-8"))
    book_prompts = {normalised(f"{record['instruction']} {record['input']}") for record in book}
    assert [row for row in rows if normalised_prompt(row) in book_prompts] == []


def normalised_prompt(row: StarterRow) -> str:
    return normalised(f"{row.instruction} {row.input}")


def normalised(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()
