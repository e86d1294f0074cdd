"""What the data doctor keeps of a source while its rows go by."""

import json
import tracemalloc
from dataclasses import replace

import pytest
from support.rows import alpaca_values
from support.tiny_tokenizer import chatml_tokenizer

from tutelage.config.recipe import DataSettings
from tutelage.data.lint import report
from tutelage.data.lint.report import lint_rows
from tutelage.data.prompts import prompts
from tutelage.data.prompts.prompts import make_renderer
from tutelage.data.quality import near_duplicates
from tutelage.data.sources.sources import find_source

# Hashes for repeats, questions and prompts, a length and a line; a row below has 4,000 bytes.
BYTES_KEPT_OF_A_ROW = 500
ANSWER = "The guest has to wait. " * 170


@pytest.fixture(scope="module")
def renderer():
    """Render a few rows at a time, so that some hundreds are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prompts, "CHARACTERS_AT_ONCE", 2**16)
        yield make_renderer(chatml_tokenizer(), "alpaca")


@pytest.fixture
def opened(tmp_path):
    def read_values(values):
        path = tmp_path / f"{len(values)}.jsonl"
        path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
        return find_source(str(path), cache=tmp_path)

    return read_values


def bytes_for_each_further_row(opened, renderer, change=lambda source: source):
    few, many = 700, 1_400
    peaks = []
    for count in (few, many):
        source = change(opened([{**value, "output": ANSWER} for value in alpaca_values(count)]))
        tracemalloc.start()
        lint_rows(source, DataSettings(), renderer, context_length=10_000, with_near_duplicates=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return (peaks[1] - peaks[0]) / (many - few)


def test_of_a_row_that_was_looked_at_hashes_alone_are_kept(opened, renderer):
    assert bytes_for_each_further_row(opened, renderer) < BYTES_KEPT_OF_A_ROW


def test_the_bound_catches_a_source_that_is_held_as_a_whole(opened, renderer):
    def held(source):
        return replace(source, records=lambda: iter(list(source.records())))

    assert bytes_for_each_further_row(opened, renderer, held) > BYTES_KEPT_OF_A_ROW


def test_beyond_a_number_of_rows_prompts_are_compared_for_equality_alone(opened, monkeypatch):
    values = alpaca_values(60)
    like = {
        **values[40],
        "instruction": values[40]["instruction"] + "!!",
        "input": values[40]["input"] + " x",
    }
    values += [values[0] | {"output": "another"}, like]
    whole = lint_rows(opened(values), DataSettings(), None)
    assert {(pair.other, pair.row) for pair in whole.near_duplicates} >= {(0, 60), (40, 61)}
    assert not any("first" in finding.message for finding in whole.findings if finding.rule == 13)
    monkeypatch.setattr(report, "ROWS_COMPARED", 61)
    partly = lint_rows(opened(values), DataSettings(), None)
    pairs = {(pair.other, pair.row) for pair in partly.near_duplicates}
    assert (0, 60) in pairs and (40, 61) not in pairs
    (told,) = [finding for finding in partly.findings if finding.rule == 13 and finding.row is None]
    assert told.message.startswith(
        "near-duplicates were searched among the first 61 rows; in the 1 rows after them"
    )


def test_languages_are_read_of_rows_spread_evenly_over_the_source(opened, monkeypatch):
    monkeypatch.setattr(report, "MOST_READ_FOR_LANGUAGE", 8)
    german = {"instruction": "Was ist das und wie nennt man es?", "output": "Das ist nicht ein Baum."}
    english = {"instruction": "What is that and how is it called?", "output": "That is not a tree."}
    values = [{**german, "input": str(n)} for n in range(32)] + [
        {**english, "input": str(n)} for n in range(32)
    ]
    counts = lint_rows(opened(values), DataSettings(), None).languages
    assert counts["de"] == counts["en"] <= 8


def test_the_answer_that_most_rows_have_is_found_wherever_it_stands(opened):
    same, other = [{"output": "yes"}] * 11, [{"output": str(n)} for n in range(9)]
    for answers in (
        same + other,
        other + same,
        [one for pair in zip(same, other, strict=False) for one in pair],
    ):
        values = [{"instruction": f"Is {n} even?", **answer} for n, answer in enumerate(answers)]
        count = sum(value["output"] == "yes" for value in values)
        findings = lint_rows(opened(values), DataSettings(), None).findings
        told = [finding.message for finding in findings if finding.rule == 26]
        expected = [f"{count} of {len(values)} rows have the same answer: 'yes'"]
        assert told == (expected if count * 2 > len(values) else [])


def test_rows_with_more_candidates_than_are_compared_are_counted(opened, monkeypatch):
    def counted(values):
        findings = lint_rows(opened(values), DataSettings(), None).findings
        return [one.row for one in findings if one.code == "data.near_duplicates_not_compared"]

    told = "Rewrite the sentence in the passive voice, and keep the name {} as it stands in the text."
    values = [{"instruction": told.format(f"{n:07}"), "output": str(n)} for n in range(60)]
    assert counted(values) == []
    monkeypatch.setattr(near_duplicates, "COMPARISONS", 1)
    assert counted(values) == [None]
