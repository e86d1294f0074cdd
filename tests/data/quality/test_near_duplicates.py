import numpy as np
import pytest
from scipy import sparse
from scipy.stats import binom
from support.book_data import book_file
from support.rows import make_rows

from tutelage.data.formats.formats import read_conversations
from tutelage.data.quality import near_duplicates as near
from tutelage.data.quality import sketches
from tutelage.data.quality.near_duplicates import LIKELY, THRESHOLD, LikePrompts, Prompts, near_duplicates
from tutelage.data.quality.prompt_fingerprint import normalised_prompt
from tutelage.data.quality.sketches import PERMUTATIONS, piece_hashes, similarity, sketch
from tutelage.data.sources.sources import STARTER, read_source


def pairs(found):
    return {(pair.other, pair.row): pair.similarity for pair in found}


def pieces(text):
    """Cut a text as the definition says."""
    return {text[begin : begin + 5] for begin in range(len(text) - 4)}


TEXTS = ["name a fruit", "梨 and 李 and 😀", "abcde", "aaaaaaaa", "你好，世界你好", "half \ud800 of one"]


@pytest.mark.parametrize("text", TEXTS)
def test_there_is_one_hash_for_each_different_piece(text):
    def hashes(of):
        return set(piece_hashes([of])[0].tolist())

    assert len(hashes(text)) == len(sketches.pieces(text)) == len(pieces(text))
    other = f"{text} more"
    assert len(hashes(text) & hashes(other)) == len(pieces(text) & pieces(other))


def test_texts_that_are_hashed_together_have_the_hashes_that_each_has_alone():
    texts = [*TEXTS, "", "a", "abcd", "梨"]
    together, begins = piece_hashes(texts)
    parts = np.split(together, begins[1:])
    assert [part.tolist() for part in parts] == [piece_hashes([text])[0].tolist() for text in texts]
    assert (sketch(texts) == np.concatenate([sketch([text]) for text in texts])).all()


@pytest.mark.parametrize("text", ["", "a", "abcd", "梨"])
def test_a_text_shorter_than_a_piece_is_one_piece(text):
    assert len(sketches.pieces(text)) == len(piece_hashes([text])[0]) == 1
    assert piece_hashes([text])[0].tolist() != piece_hashes(["abc"])[0].tolist()


def changed(texts, generator, count):
    """Give each text another letter at so many places."""
    for text in texts:
        places = generator.integers(len(text), size=count)
        yield "".join("xyzw"[place % 4] if place in places else sign for place, sign in enumerate(text))


def agreement(make_sketch):
    """Return how far the agreement of sketches is from the similarity: its mean, and its spread by the binomial's."""
    generator = np.random.default_rng(5)
    texts = ["".join(generator.choice(list("abcdefgh "), size=150)) for _ in range(600)]
    others = list(changed(texts, generator, 3))
    alike = np.array(
        [similarity(pieces(one), pieces(other)) for one, other in zip(texts, others, strict=True)]
    )
    share = (make_sketch(texts) == make_sketch(others)).mean(axis=1)
    estimate = (share - 1 / 256) / (1 - 1 / 256)
    spread = np.sqrt((alike * (1 - alike)).mean() / PERMUTATIONS)
    return (estimate - alike).mean(), (estimate - alike).std() / spread


def test_sketches_agree_as_often_as_their_texts_are_alike_with_the_spread_of_independent_draws():
    bias, spread = agreement(sketch)
    # 600 pairs: the mean is known within 0.0016, the spread within 3 %; four and three times that.
    assert abs(bias) < 0.0064
    assert spread == pytest.approx(1, abs=0.09)


def test_the_statistic_catches_orders_that_are_not_independent_and_ones_that_prefer_a_piece(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sketches, "MASKS", np.repeat(sketches.MASKS[::4], 4))
        patch.setattr(sketches, "FACTORS", np.repeat(sketches.FACTORS[::4], 4))
        assert agreement(sketch)[1] > 1.5
    monkeypatch.setattr(sketches, "FACTORS", sketches.FACTORS << np.uint64(40))
    assert abs(agreement(sketch)[0]) > 0.0064


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
    """Return the rows that are like an earlier one and were not found, and the pairs found that are not alike."""
    wanted = true_pairs(rows)
    told = {pair: alike for pair, alike in pairs(found).items() if alike < 1}
    lost = {row for _, row in wanted} - {pair.row for pair in found}
    wrong = {pair for pair, alike in told.items() if abs(wanted.get(pair, 0) - alike) > 1e-9}
    return lost, wrong


def true_clusters(rows):
    """Return for each row the place of the first one that it is joined to, by all pairs."""
    places = {row.row: place for place, row in enumerate(rows)}
    first_with = {}
    joined = [(first_with.setdefault(normalised_prompt(row), place), place) for place, row in enumerate(rows)]
    joined += [(places[one], places[other]) for one, other in true_pairs(rows)]
    ones, others = zip(*joined, strict=True)
    graph = sparse.coo_matrix((np.ones(len(ones)), (ones, others)), shape=(len(rows), len(rows)))
    _, component = sparse.csgraph.connected_components(graph, directed=False)
    _, first, own = np.unique(component, return_index=True, return_inverse=True)
    return first[own].tolist()


def test_on_the_books_file_each_row_that_is_like_an_earlier_one_is_found_once(book_rows):
    found = near_duplicates(book_rows)
    assert missed(book_rows, found) == (set(), set())
    assert len(found) == len({pair.row for pair in found})
    assert (found.bounded, found.undecided) == (0, 0)
    assert (
        sum(pair.similarity == 1 for pair in found) >= 31
    )  # the prompts that are equal but for case and punctuation
    assert found.first_of.tolist() == true_clusters(book_rows)


def test_a_row_is_paired_with_the_likest_row_of_its_cluster():
    texts = [
        f"Say in {number} words what a harbour is, name a few, and tell how the largest of them grew in two centuries."
        for number in ("two", "seven")
    ]
    rows = make_rows([(text, "", "x") for text in [*texts, texts[1] + " Now"]])
    assert set(true_pairs(rows)) == {(0, 1), (0, 2), (1, 2)}
    assert set(pairs(near_duplicates(rows))) == {(0, 1), (1, 2)}


def test_the_comparison_catches_a_search_with_too_few_bands_and_one_that_confirms_nothing(
    book_rows, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(sketches, "BANDS", 2)
        found = near_duplicates(book_rows)
        assert missed(book_rows, found)[0]
        assert found.first_of.tolist() != true_clusters(book_rows)
    with monkeypatch.context() as patch:
        patch.setattr(near, "LIKELY", 0.95)
        assert missed(book_rows, near_duplicates(book_rows))[0]
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
    for found in (near_duplicates(rows), near_duplicates([])):
        assert list(found) == [] and found.bounded == 0
    assert near_duplicates(rows).first_of.tolist() == [0, 1, 2]


def rows_of_templates(count):
    """Make rows of three templates, each with its word, and as many that are like nothing."""
    generator = np.random.default_rng(3)

    def word(length):
        return "".join(generator.choice(list("abcdefghijklmnopqrstuvwxyz"), size=length))

    texts = [
        f"Write {kind} about the old {word(7)} and say why it matters to those who live near it, in a few plain lines."
        for _ in range(count // 6)
        for kind in ("a letter of complaint", "the opening of a novel", "three questions for a teacher")
    ]
    texts += [word(90) for _ in range(count - len(texts))]
    return make_rows([(text, "", "x") for text in texts])


def test_clusters_of_templates_are_those_of_all_pairs():
    rows = rows_of_templates(480)
    found = near_duplicates(rows)
    assert found.first_of.tolist() == true_clusters(rows)
    assert len(set(found.first_of.tolist())) == 3 + 240
    assert missed(rows, found) == (set(), set())


def compared(rows, monkeypatch):
    """Return what was found, and how often two prompts were compared."""
    count = 0

    def counted(one, other):
        nonlocal count
        count += 1
        return similarity(one, other)

    with monkeypatch.context() as patch:
        patch.setattr(near, "similarity", counted)
        return near_duplicates(rows), count


def test_rows_of_one_template_cost_a_comparison_each_and_not_one_for_each_pair(monkeypatch):
    rows = rows_of_templates(480)
    assert compared(rows, monkeypatch)[1] < 2 * len(rows)
    monkeypatch.setattr(near._Clusters, "first", lambda self, place: place)
    assert compared(rows, monkeypatch)[1] > 10 * len(rows)


def test_with_bounded_buckets_the_rows_of_a_template_are_found_and_what_was_not_compared_is_counted(
    monkeypatch,
):
    rows = rows_of_templates(480)
    monkeypatch.setattr(near, "COMPARISONS", 1)
    found, _ = compared(rows, monkeypatch)
    assert missed(rows, found) == (set(), set())
    assert found.first_of.tolist() == true_clusters(rows)
    assert found.bounded > 100 and found.undecided == 0


def test_rows_that_are_alike_too_little_are_compared_a_bounded_number_of_times(monkeypatch):
    generator = np.random.default_rng(4)
    words = np.array(["".join(generator.choice(list("abcdefghijkl"), size=6)) for _ in range(600)])
    rows = make_rows(
        [
            (
                f"Put the {a} beside the {b}, and tell me what both of them will have to do with all of it then",
                "",
                "x",
            )
            for a, b in words.reshape(300, 2)
        ]
    )
    found, count = compared(rows, monkeypatch)
    assert (len(found), found.bounded) == (0, 0) and missed(rows, found) == (set(), set())
    monkeypatch.setattr(near, "COMPARISONS", 1)
    monkeypatch.setattr(near, "LEAST_BOUND", 2)
    found, fewer = compared(rows, monkeypatch)
    assert fewer <= 2 * len(rows) < count
    assert found.undecided == found.bounded > 100


def test_prompts_that_wait_in_a_file_are_compared_as_those_in_memory_are(book_rows, monkeypatch):
    in_memory = list(near_duplicates(book_rows))
    for name in ("BYTES_IN_MEMORY", "PIECES_AT_HAND", "CHARACTERS_AT_ONCE", "CANDIDATES_AT_ONCE"):
        monkeypatch.setattr(near, name, 1)
    assert list(near_duplicates(book_rows)) == in_memory


def test_a_pair_just_above_the_threshold_is_likely_by_its_sketch():
    # The chance that of 100 places at most as many agree as are too few: what is lost beside the bands.
    assert binom.cdf(LIKELY * PERMUTATIONS - 1, PERMUTATIONS, THRESHOLD) < 1e-5
    assert binom.cdf(0.7 * PERMUTATIONS - 1, PERMUTATIONS, THRESHOLD) > 1e-5


def test_a_further_prompt_is_compared_with_those_that_were_added(book_rows):
    book_rows = book_rows[:400]
    prompts = [normalised_prompt(row) for row in book_rows]
    alike = true_pairs(book_rows)
    known = LikePrompts()
    for place, prompt in enumerate(prompts):
        is_alike = any(row == place for _, row in alike) or prompt in prompts[:place]
        assert known.is_like_any(prompt) == is_alike
        known.add(prompt)
    for place, prompt in enumerate(prompts):
        assert known.is_like_any(prompt)  # itself
        is_alike = any(place in pair for pair in alike) or prompts.count(prompt) > 1
        assert known.is_like_any(prompt, besides=place) == is_alike


def test_a_prompt_of_a_template_is_compared_with_few_of_many_like_it(monkeypatch):
    known, compared = LikePrompts(), []
    monkeypatch.setattr(near, "COMPARISONS", 2**10)
    monkeypatch.setattr(near, "similarity", lambda *both: compared.append(both) or similarity(*both))
    template = "translate the following sentence into formal german and keep its tone: number {}"
    for place in range(300):
        assert known.is_like_any(template.format(place)) == (place > 0)
        known.add(template.format(place))
    assert len(compared) < 600  # each with each would be 45,000
    monkeypatch.setattr(near, "THRESHOLD", 1.1)  # and where none is confirmed, no more than the bound
    compared.clear()
    assert not known.is_like_any(template.format(0))
    assert len(compared) <= near.LEAST_BOUND


def test_rows_beyond_those_compared_are_joined_by_equal_prompts_alone():
    prompts = Prompts(2)
    for row, text in enumerate(
        ["name a fruit that is red", "name a bird", "name a fruit that is red", "name a bird."]
    ):
        prompts.add(row, text)
    found = prompts.near_duplicates()
    assert pairs(found) == {(0, 2): 1.0}
    assert found.first_of.tolist() == [0, 1, 0, 3]
    assert prompts.uncompared == 2


def test_the_starter_data_have_the_clusters_of_all_pairs(tmp_path):
    source = read_source(STARTER, cache=tmp_path)
    rows = read_conversations(source.records, source=source.name).rows
    assert near_duplicates(rows).first_of.tolist() == true_clusters(rows)
