import mmap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rows import write_split

from tutelage.data.dataset.prepared_rows import RowsWriter, id_type, map_rows
from tutelage.errors import RunFolderError
from tutelage.run.folder import split_files
from tutelage.training.load import probe_examples
from tutelage.tree import prefix_tree
from tutelage.tree.batches import BatchPlan, micro_batches
from tutelage.tree.examples import Example, PreparedRow
from tutelage.tree.prefix_tree import count_distinct, count_distinct_runs

TOKENS = st.integers(0, 3)  # so few that runs begin alike


@st.composite
def examples(draw):
    """Examples as `prepare` makes them, some of several answers, some with a judgement, and some texts with a class."""
    if draw(st.booleans()):
        text = tuple(draw(st.lists(TOKENS, min_size=1, max_size=12)))
        return Example(draw(st.integers(0, 2**40)), text, len(text), 1, label=draw(st.integers(0, 2**40)))
    ids = tuple(draw(st.lists(TOKENS, min_size=2, max_size=12)))
    last = draw(st.integers(1, len(ids) - 1))
    earlier = ((1, 2),) if last > 3 and draw(st.booleans()) else ()
    supervised = len(ids) - last + sum(end - begin for begin, end in earlier)
    label = draw(st.sampled_from([None, 0, 1]))
    return Example(draw(st.integers(0, 2**40)), ids, last, supervised, earlier, label)


def rows_of(found):
    return [PreparedRow(f"prompt 梨 {place}\u2028", "answer\n", one) for place, one in enumerate(found)]


def write_and_open(folder, rows):
    write_split(folder, "train", rows)
    return map_rows(split_files(folder, "train"))


@given(st.lists(examples(), max_size=12))
def test_rows_come_back_from_the_disk_as_they_were_written(tmp_path_factory, found):
    rows = rows_of(found)
    opened = write_and_open(tmp_path_factory.mktemp("data"), rows)
    assert list(opened) == rows
    assert list(opened.examples) == found
    assert list(opened[1:7:2].examples[1:]) == found[1:7:2][1:]
    assert opened.lengths.tolist() == [len(one.ids) for one in found]
    assert opened.tokens.tolist() == [len(one.ids) + (one.prompt_tokens == len(one.ids)) for one in found]
    assert opened.read_tokens.tolist() == [len(one.read_ids) for one in found]
    assert opened.labels.tolist() == [-1 if one.label is None else one.label for one in found]
    assert opened.supervised.tolist() == [one.supervised for one in found]
    assert opened.prompt_tokens.tolist() == [one.prompt_tokens for one in found]
    assert opened.row_numbers.tolist() == [one.row for one in found]


@given(st.lists(examples(), max_size=20), st.sampled_from([1, 3, 2**16]))
def test_the_distinct_tokens_of_all_rows_are_those_of_their_tree(tmp_path_factory, found, at_once):
    opened = write_and_open(tmp_path_factory.mktemp("data"), rows_of(found))
    assert isinstance(opened.ids.base, mmap.mmap)  # whose pages are let go of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefix_tree, "RUNS_AT_ONCE", at_once)
        assert count_distinct_runs(opened.ids, opened.begins, opened.read_tokens) == count_distinct(found)


def test_the_check_of_distinct_tokens_catches_runs_that_keep_their_last_token(tmp_path):
    found = [Example(0, (1, 2, 3), 1, 2), Example(1, (1, 2, 4), 1, 2)]
    opened = write_and_open(tmp_path, rows_of(found))
    assert count_distinct_runs(opened.ids, opened.begins, opened.tokens) != count_distinct(found) == 2


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_batches_of_mapped_rows_are_those_of_examples_in_memory(tmp_path, epochs):
    chance = np.random.default_rng(5)
    found = [
        Example(row, tuple(chance.integers(0, 9, size=length).tolist()), 1, length - 1)
        for row, length in enumerate(chance.integers(2, 40, size=61).tolist())
    ]
    mapped = write_and_open(tmp_path, rows_of(found)).examples
    plan = BatchPlan(len(mapped), 8, epochs, seed=123)
    for step in range(plan.steps):
        own, other = ([one[index] for index in plan.examples_of_step(step)] for one in (found, mapped))
        assert micro_batches(own, size=3, distinct_tokens=64) == micro_batches(
            other, size=3, distinct_tokens=64
        )


@given(st.lists(examples(), min_size=1, max_size=15))
def test_the_probes_are_the_two_examples_in_the_middle_by_length_and_ids(found):
    by_length = sorted(found, key=lambda one: (len(one.ids), one.ids))
    middle = (len(found) - 1) // 2
    probes = probe_examples(found, np.array([len(one.ids) for one in found]))
    assert [one.ids for one in probes] == [one.ids for one in by_length[middle : middle + 2]]


@pytest.mark.parametrize("shared", [0, 100, 3000])
def test_probes_of_long_rows_are_cut_behind_where_they_part(shared):
    found = [
        Example(row, (*range(shared), *range(row, row + 4000)), 10, shared + 3990) for row in (10_000, 20_000)
    ]
    probes = probe_examples(found, np.array([shared + 4000] * 2))
    longest = max(512, shared + 256)
    for probe, whole in zip(probes, found, strict=True):
        assert probe.ids == whole.ids[:longest]
        assert probe.spans == ((longest - 128, longest),)
    assert probes[0].ids[shared:] != probes[1].ids[shared:]


def test_rows_stay_mapped_when_their_files_are_gone(tmp_path):
    rows = rows_of([Example(0, (1, 2, 3), 1, 2)])
    opened = write_and_open(tmp_path, rows)
    for path in tmp_path.iterdir():
        path.unlink()
    assert list(opened) == rows


def test_ids_take_two_bytes_where_they_are_enough(tmp_path):
    assert (id_type(2**16).itemsize, id_type(2**16 + 1).itemsize) == (2, 4)
    large = Example(0, (1, 2**16), 1, 1)
    writer = RowsWriter(split_files(tmp_path, "train"), id_type(2**16 + 1))
    writer.add(*rows_of([large]))
    writer.close()
    assert list(map_rows(split_files(tmp_path, "train")).examples) == [large]
    with pytest.raises(OverflowError):
        RowsWriter(split_files(tmp_path, "test"), id_type(2**16)).add(*rows_of([large]))


@pytest.mark.parametrize("kind", ["ids", "table", "spans"])
@pytest.mark.parametrize("fault", ["empty", "cut", "no array", "pickled", "other type", "longer"])
def test_damaged_arrays_are_told_with_their_file_and_never_unpickled(tmp_path, kind, fault):
    files = split_files(tmp_path, "train")
    write_split(tmp_path, "train", rows_of([Example(0, (1, 2, 3, 4, 5, 6), 4, 3, ((1, 2),))]))
    path = getattr(files, kind)
    whole = path.read_bytes()
    if fault in ("pickled", "other type", "longer"):
        array = np.load(path)
        changed = {
            "pickled": np.array([{}]),
            "other type": np.zeros(array.shape, "V1"),
            "longer": np.append(array, array, 0),
        }
        np.save(path, changed[fault], allow_pickle=True)
    else:
        path.write_bytes({"empty": b"", "cut": whole[:-1], "no array": b"x" * len(whole)}[fault])
    with pytest.raises(RunFolderError, match=r"^Could not read .*train\."):
        map_rows(files)


@pytest.mark.parametrize("column", ["label", "supervised", "prompt_tokens"])
def test_a_label_that_does_not_fit_its_row_is_told(tmp_path, column):
    write_split(tmp_path, "train", rows_of([Example(7, (1, 2, 3), 3, 1, label=5)]))
    files = split_files(tmp_path, "train")
    table = np.load(files.table)
    assert table[column].tolist() == [{"label": 5, "supervised": 1, "prompt_tokens": 3}[column]]
    table[column] = {"label": -2, "supervised": 2, "prompt_tokens": 2}[column]
    np.save(files.table, table)
    with pytest.raises(RunFolderError, match="row 7 has a label that does not match its token counts"):
        map_rows(files)


@pytest.mark.parametrize("label", [-2, 2])
def test_an_answer_that_is_neither_desirable_nor_undesirable_is_told(tmp_path, label):
    rows = rows_of([Example(7, (1, 2, 3), 2, 1, label=0), Example(8, (1, 2, 3), 2, 1, label=1)])
    assert [one.is_desirable for one in write_and_open(tmp_path, rows).examples] == [False, True]
    files = split_files(tmp_path, "train")
    table = np.load(files.table)
    table["label"][1] = label
    np.save(files.table, table)
    with pytest.raises(RunFolderError, match="row 8 has a label that does not match its token counts"):
        map_rows(files)


def test_the_text_of_a_row_says_how_its_answer_is_labelled():
    labels = [
        PreparedRow("a", "b", Example(7, (1, 2, 3), 2, 1, label=label)).to_record().get("label")
        for label in (None, 0, 1)
    ]
    assert labels == [None, False, True]
    of_class = PreparedRow("a", "b", Example(7, (1, 2), 2, 1, label=1))
    assert "label" not in of_class.to_record()


def test_a_row_that_lost_its_label_is_told(tmp_path):
    write_split(tmp_path, "train", rows_of([Example(7, (1, 2, 3), 3, 1, label=5)]))
    files = split_files(tmp_path, "train")
    table = np.load(files.table)
    table["label"] = -1
    np.save(files.table, table)
    with pytest.raises(RunFolderError, match="row 7 has fewer ids than its token counts"):
        map_rows(files)


def test_a_line_that_belongs_to_another_row_is_told(tmp_path):
    write_split(tmp_path, "train", rows_of([Example(7, (1, 2, 3), 1, 2)]))
    path = split_files(tmp_path, "train").texts
    path.write_text(path.read_text().replace('"row": 7', '"row": 8'))
    with pytest.raises(RunFolderError, match="the text of row 7 has changed since it was prepared"):
        map_rows(split_files(tmp_path, "train"))[0]
