import numpy as np
import pytest
from scipy import sparse
from support.book_data import book_file
from support.rows import make_rows

from tutelage.data import near_duplicates as near
from tutelage.data.formats import read_conversations
from tutelage.data.near_duplicates import THRESHOLD, near_duplicates, shingles
from tutelage.data.prompt_identity import normalised_prompt
from tutelage.data.sources import read_source


def pairs(found):
    return {(pair.other, pair.row): pair.similarity for pair in found}


def pieces(text):
    """Cut a text as the definition says."""
    return {text[begin : begin + 5] for begin in range(len(text) - 4)}


@pytest.mark.parametrize("text", ["name a fruit", "梨 and 李 and 😀", "abcde", "aaaaaaaa", "你好，世界你好"])
def test_there_is_one_hash_for_each_different_piece(text):
    assert len(shingles(text)) == len(pieces(text))
    other = f"{text} more"
    shared = len(np.intersect1d(shingles(text), shingles(other)))
    assert shared == len(pieces(text) & pieces(other))


@pytest.mark.parametrize("text", ["", "a", "abcd", "梨"])
def test_a_text_shorter_than_a_piece_is_one_piece(text):
    assert len(shingles(text)) == 1
    assert shingles(text).tolist() != shingles("abc").tolist()


@pytest.fixture(scope="module")
def book_rows(tmp_path_factory):
    source = read_source(str(book_file()), cache=tmp_path_factory.mktemp("cache"))
    return read_conversations(source.records, source=source.name).rows


def true_pairs(rows):
    """Compare every pair of different prompts of at least one whole piece, by the definition."""
    first_of = {}
    for row in rows:
        first_of.setdefault(normalised_prompt(row), row.row)
    sets = [pieces(prompt) for prompt in first_of]
    numbers = {piece: place for place, piece in enumerate(set().union(*sets))}
    indices = [numbers[piece] for own in sets for piece in own]
    ends = np.cumsum([0, *map(len, sets)])
    matrix = sparse.csr_matrix((np.ones(len(indices)), indices, ends), shape=(len(sets), len(numbers)))
    shared = (matrix @ matrix.T).tocoo()
    found = {}
    for one, other, count in zip(shared.row, shared.col, shared.data, strict=True):
        similarity = count / (len(sets[one]) + len(sets[other]) - count)
        if one < other and similarity >= THRESHOLD:
            found[list(first_of.values())[one], list(first_of.values())[other]] = similarity
    return found


def missed(rows, found):
    """Return the pairs that are really alike and were not found, and those found that are not or have other figures."""
    wanted = true_pairs(rows)
    told = {pair: similarity for pair, similarity in pairs(found).items() if similarity < 1}
    lost = {pair for pair, similarity in wanted.items() if similarity < 1 and pair not in told}
    wrong = {pair for pair, similarity in told.items() if abs(wanted.get(pair, 0) - similarity) > 1e-9}
    return lost, wrong


def test_on_the_books_file_exactly_the_true_pairs_are_found(book_rows):
    found = near_duplicates(book_rows)
    assert missed(book_rows, found) == (set(), set())
    assert (
        sum(pair.similarity == 1 for pair in found) >= 31
    )  # the prompts that are equal but for case and punctuation


def test_the_comparison_catches_a_search_with_too_few_bands_and_one_that_confirms_nothing(
    book_rows, monkeypatch
):
    monkeypatch.setattr(near, "BANDS", 2)
    monkeypatch.setattr(near, "PERMUTATIONS", 60)
    assert missed(book_rows, near_duplicates(book_rows))[0]
    monkeypatch.setattr(near, "BANDS", 20)
    monkeypatch.setattr(near, "PERMUTATIONS", 100)
    monkeypatch.setattr(near, "THRESHOLD", 0.0)
    assert missed(book_rows, near_duplicates(book_rows))[1]


def test_test_prompts_are_as_near_to_training_as_was_measured_elsewhere(book_rows):
    near_tests = {
        max(pair) for pair in pairs(near_duplicates(book_rows)) if min(pair) < 935 <= max(pair) < 1045
    }
    assert len(near_tests) >= 8


def test_rows_with_one_prompt_are_paired_with_its_first_row_alone():
    rows = make_rows([("Name a fruit, please.", "", str(number)) for number in range(5)])
    assert pairs(near_duplicates(rows)) == {(0, other): 1.0 for other in range(1, 5)}


def test_nothing_is_like_anything_among_different_rows():
    rows = make_rows(
        [("Name a fruit.", "", "x"), ("Which river is the longest of all?", "", "y"), ("梨", "", "z")]
    )
    assert near_duplicates(rows) == []
    assert near_duplicates([]) == []
