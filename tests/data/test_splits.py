from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.book_data import book_file
from support.rows import make_rows

from tutelage.data import splits as splits_module
from tutelage.data.checks import normalised_prompt
from tutelage.data.conversations import single_turn
from tutelage.data.formats import read_conversations
from tutelage.data.sources import read_source
from tutelage.data.splits import find_leaks, split_rows
from tutelage.run_folder import SPLITS


def split(rows, rule="group", train=0.85, test=0.10):
    return split_rows(rows, rule=rule, train_share=train, test_share=test)


def sizes(parts):
    return tuple(len(parts[name]) for name in SPLITS)


def side_of(parts):
    return {row.row: name for name in SPLITS for row in parts[name]}


@pytest.fixture
def book_rows(tmp_path):
    source = read_source(str(book_file()), cache=tmp_path)
    return read_conversations(source.records, source=source.name).rows


def many_rows(count):
    return make_rows([(f"Describe thing {number}.", "", "It is a thing.") for number in range(count)])


def test_position_splits_the_books_file_as_the_article_does_and_its_leaks_are_named(book_rows):
    parts = split(book_rows, "position")
    assert sizes(parts) == (935, 110, 55)
    assert [row.row for row in [*parts["train"], *parts["test"], *parts["validation"]]] == list(range(1100))
    assert find_leaks(parts) == {"test": [975, 1034], "validation": [1050, 1060, 1068, 1090]}


def test_group_leaves_no_leak_in_the_books_file(book_rows):
    parts = split(book_rows)
    assert find_leaks(parts) == {"test": [], "validation": []}
    assert prompts_on_two_sides(parts) == set()


def test_the_leak_check_catches_a_split_by_the_hash_of_the_whole_row(book_rows, monkeypatch):
    monkeypatch.setattr(splits_module, "normalised_prompt", lambda row: f"{row.turns[0].text}{row.response}")
    assert prompts_on_two_sides(split(book_rows))


def prompts_on_two_sides(parts):
    sides = {}
    for name in SPLITS:
        for row in parts[name]:
            sides.setdefault(normalised_prompt(row), set()).add(name)
    return {prompt for prompt, names in sides.items() if len(names) > 1}


@pytest.mark.parametrize("count", [*range(12), 19, 20, 21, 100, 999])
def test_position_follows_the_formula_of_the_book(count):
    parts = split(many_rows(count), "position")
    train, test = int(count * 0.85), int(count * 0.1)
    assert sizes(parts) == (train, test, count - train - test)


def test_a_growing_file_moves_no_row():
    whole = many_rows(500)
    final = side_of(split(whole))
    for count in (1, 2, 10, 250, 499):
        assert side_of(split(whole[:count])).items() <= final.items()
    assert {row: final[row] for row in range(500)} == side_of(split(whole[::-1]))


def test_the_moving_rows_check_catches_the_split_by_position():
    whole = many_rows(500)
    final = side_of(split(whole, "position"))
    assert not side_of(split(whole[:250], "position")).items() <= final.items()


@pytest.mark.parametrize(("train", "test"), [(0.85, 0.10), (0.5, 0.25), (1, 0), (0, 1), (0.7, 0.3)])
def test_the_shares_come_near_what_is_asked(train, test):
    parts = split(many_rows(10_000), train=train, test=test)
    wanted = (train, test, 1 - train - test)
    for size, share in zip(sizes(parts), wanted, strict=True):
        # Four standard deviations of a count of 10,000 draws; exact where the share is 0 or 1.
        assert abs(size - 10_000 * share) <= 4 * (10_000 * share * (1 - share)) ** 0.5 + 1e-6


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Name a fruit", "Name a tree", "梨"]), st.sampled_from(["", ".", " !", "\n"])
        ),
        max_size=20,
    ),
    st.sampled_from(["group", "position"]),
)
def test_every_row_stands_on_one_side_in_the_order_of_the_file(prompts, rule):
    rows = make_rows([(words + sign, "", str(number)) for number, (words, sign) in enumerate(prompts)])
    parts = split(rows, rule)
    placed = [row.row for name in SPLITS for row in parts[name]]
    assert sorted(placed) == list(range(len(rows)))
    for name in SPLITS:
        assert parts[name] == sorted(parts[name], key=lambda row: row.row)
    if rule == "group":
        assert prompts_on_two_sides(parts) == set()


def test_variants_in_case_and_punctuation_stay_together():
    for row in many_rows(200):
        text = row.turns[0].text
        variants = make_rows([(text, "", "1"), (text.upper(), "", "2"), (f"  {text[:-1]} ?!", "", "3")])
        assert len(set(side_of(split(variants)).values())) == 1


def test_the_answer_does_not_decide_the_side():
    one, other = (single_turn(0, "Name a fruit.", "", output) for output in ("A pear.", "A plum."))
    assert side_of(split([one])) == side_of(split([other]))


LABELLED = st.lists(st.tuples(st.integers(0, 12), st.sampled_from("abc")), min_size=1, max_size=120)


def labelled_rows(pairs):
    """Return rows of (number of a text, label); texts of one number are equal, and have the label of the first."""
    labels = {}
    for number, label in pairs:
        labels.setdefault(number, label)
    return make_rows([(f"text {number}", "", labels[number]) for number, _ in pairs])


@given(LABELLED, st.sampled_from([(0.85, 0.1), (0.7, 0.2), (0.5, 0.5), (1.0, 0.0), (0.34, 0.33)]))
def test_a_stratified_split_keeps_equal_texts_together_and_does_not_depend_on_the_order(pairs, shares):
    rows = labelled_rows(pairs)
    parts = split(rows, "stratified", *shares)
    assert sorted(side_of(parts)) == list(range(len(rows)))
    assert prompts_on_two_sides(parts) == set()
    assert side_of(parts) == side_of(split(rows[::-1], "stratified", *shares))


@given(
    st.lists(st.sampled_from("aaaaaabbbc"), min_size=1, max_size=300),
    st.sampled_from([(0.85, 0.1), (0.7, 0.2), (0.5, 0.5), (1.0, 0.0), (0.34, 0.33)]),
)
def test_each_label_has_its_share_of_each_side_within_one_row(labels, shares):
    rows = make_rows([(f"text {number}", "", label) for number, label in enumerate(labels)])
    assert furthest_off(split(rows, "stratified", *shares), labels, shares) < 1


def furthest_off(parts, labels, shares):
    """Return by how many rows the worst side of a label is off its share."""
    counts = {name: Counter(row.response for row in parts[name]) for name in SPLITS}
    wanted = dict(zip(SPLITS, (*shares, 1 - sum(shares)), strict=True))
    return max(
        abs(counts[name][label] - wanted[name] * labels.count(label))
        for name in SPLITS
        for label in set(labels)
    )


def test_single_rows_even_out_what_groups_left():
    sizes = {"a": [9, 7, 5, 4, *[1] * 60], "b": [6, 3, *[1] * 30]}
    texts = [
        (f"{label} {n}", "", label)
        for label in sizes
        for n, size in enumerate(sizes[label])
        for _ in range(size)
    ]
    labels = [label for _, _, label in texts]
    parts = split(make_rows(texts), "stratified", 0.7, 0.2)
    assert furthest_off(parts, labels, (0.7, 0.2)) < 1
    assert prompts_on_two_sides(parts) == set()


def test_the_shares_of_labels_catch_the_split_by_group():
    labels = ["a" if number % 10 else "b" for number in range(200)]
    rows = make_rows([(f"text {number}", "", label) for number, label in enumerate(labels)])
    assert furthest_off(split(rows, "group", 0.7, 0.2), labels, (0.7, 0.2)) > 1
