from collections import Counter
from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.book_data import book_file
from support.rows import make_rows

from tutelage.data.dataset import splits as splits_module
from tutelage.data.dataset.splits import SplitAssigner, find_leaks, split_rows
from tutelage.data.formats.formats import read_conversations
from tutelage.data.quality.prompt_fingerprint import normalised_prompt
from tutelage.data.rows.conversations import ChatMessage, Conversation, single_exchange_of
from tutelage.data.sources.sources import read_source
from tutelage.run.folder import SPLITS


def split(rows, rule="group", train=0.85, test=0.10):
    return split_rows(rows, rule=rule, train_size=train, test_size=test)


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
    whole = (f"{row.messages[0].text}{row.response}" for row in book_rows)
    monkeypatch.setattr(splits_module, "prompts_of", lambda row, **_: (next(whole), []))
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
        text = row.messages[0].text
        variants = make_rows([(text, "", "1"), (text.upper(), "", "2"), (f"  {text[:-1]} ?!", "", "3")])
        assert len(set(side_of(split(variants)).values())) == 1


def test_the_answer_does_not_decide_the_side():
    one, other = (single_exchange_of(0, "Name a fruit.", "", output) for output in ("A pear.", "A plum."))
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


def chat(number, *texts, system=None, supervised=None):
    turns = [ChatMessage("user" if place % 2 == 0 else "assistant", text) for place, text in enumerate(texts)]
    if supervised is not None:
        answers = iter(supervised)
        turns = [
            replace(turn, is_supervised=next(answers)) if turn.role == "assistant" else turn for turn in turns
        ]
    before = [] if system is None else [ChatMessage("system", system)]
    return Conversation(number, (*before, *turns), "messages")


def trained_prompts(rows):
    """Return all that is answered in training, by a definition of its own: the turns before each supervised answer."""
    return {
        tuple((turn.role, turn.text.casefold()) for turn in row.messages[:place])
        for row in rows
        for place, turn in enumerate(row.messages)
        if turn.role == "assistant" and turn.is_supervised
    }


def leaked(parts):
    trained = trained_prompts(parts["train"])
    return [
        row.row
        for name in SPLITS[1:]
        for row in parts[name]
        if tuple((turn.role, turn.text.casefold()) for turn in row.context) in trained
    ]


TREES = st.lists(
    st.tuples(st.lists(st.sampled_from(["a", "b", "A"]), min_size=1, max_size=4), st.integers(0, 7)),
    min_size=1,
    max_size=40,
)


def rows_of_tree(drawn):
    """Return conversations of few different turns, many the beginnings of others; some answers are masked."""
    return [
        chat(
            number,
            *chain.from_iterable((text, "x") for text in asked),
            supervised=[*(bool(masks >> place & 1) for place in range(len(asked) - 1)), True],
        )
        for number, (asked, masks) in enumerate(drawn)
    ]


@given(
    TREES, st.sampled_from(["group", "stratified"]), st.sampled_from([(0.85, 0.1), (0.4, 0.3), (0.0, 1.0)])
)
def test_no_prompt_of_a_test_row_is_answered_anywhere_in_training(drawn, rule, shares):
    parts = split(rows_of_tree(drawn), rule, *shares)
    assert leaked(parts) == []
    assert find_leaks(parts) == {"test": [], "validation": []}


@given(TREES)
def test_by_position_exactly_the_prompts_that_are_answered_in_training_are_leaks(drawn):
    rows = rows_of_tree(drawn)
    parts = split(rows, "position", 0.5, 0.3)
    assert sorted(chain.from_iterable(find_leaks(parts).values())) == leaked(parts)
    sides = SplitAssigner(rule="position", train_size=0.5, test_size=0.3)
    for row in rows:
        sides.add_row(row)
    assert sides.leaks() == find_leaks(parts)


def test_the_tree_of_prompts_catches_a_split_by_the_last_prompt_alone(monkeypatch):
    rows = [chat(n, *[f"question {n // 4}", "x"] * (n % 4 + 1)) for n in range(200)]
    assert leaked(split(rows, train=0.5, test=0.3)) == []
    monkeypatch.setattr(splits_module, "prompts_of", lambda row, **_: (normalised_prompt(row), []))
    assert leaked(split(rows, train=0.5, test=0.3))


def test_a_conversation_that_is_given_turn_by_turn_stays_together():
    rows = [
        chat(10 * talk + length, *chain.from_iterable((f"{talk} {turn}", "x") for turn in range(length + 1)))
        for talk in range(60)
        for length in range(5)
    ]
    sides = side_of(split(rows, train=0.5, test=0.3))
    assert all(len({sides[10 * talk + length] for length in range(5)}) == 1 for talk in range(60))
    assert set(sides.values()) == set(SPLITS)


@pytest.mark.parametrize("greetings", [0, 1, 3])
def test_chats_that_begin_with_one_greeting_are_split_and_the_greeting_alone_is_trained(greetings):
    chats = [chat(number, "Hi", "Hello!", f"What is thing {number}?", "It is.") for number in range(400)]
    hi = [chat(400 + number, "hi!", f"Hello {number}.") for number in range(greetings)]
    parts = split([*chats, *hi])
    assert {row.row for row in parts["train"]} >= {row.row for row in hi}
    for size, share in zip(sizes(parts), (0.85, 0.10, 0.05), strict=True):
        assert abs(size - 400 * share) <= 4 * (400 * share * (1 - share)) ** 0.5 + greetings
    assert leaked(parts) == []


def test_documents_in_the_system_text_are_other_prompts_and_one_question_is_split():
    rows = [chat(number, "Summarise it.", "x", system=f"Document {number}") for number in range(200)]
    parts = split(rows)
    assert all(sizes(parts))
    assert find_leaks(split(rows, "position")) == {"test": [], "validation": []}


def test_where_the_last_answer_alone_is_trained_an_earlier_prompt_is_no_leak():
    rows = [chat(0, "a", "x", "b", "y"), chat(1, "a", "x")]
    for trains_all, leaks in ((True, [1]), (False, [])):
        sides = SplitAssigner(rule="position", train_size=0.5, test_size=0.5)
        for row in rows:
            sides.add_row(row, trains_all=trains_all)
        assert sides.leaks()["test"] == leaks
