"""Data sets with a name: downloaded once, checked by their hash, and read with the defaults of their entry."""

import csv
import hashlib
import json
import tomllib
from pathlib import Path

import pytest
from support.spam_data import spam_file

from tutelage.config.built_in_data import REMOTE_DATA, RemoteData, built_in_names
from tutelage.config.extensions import FILE_FORMATS
from tutelage.config.recipe import DataSettings
from tutelage.config.recipe_file import load, to_toml
from tutelage.data.formats.formats import read_conversations
from tutelage.data.sources.sources import is_here, is_path, read_source
from tutelage.errors import DataError, FetchError
from tutelage.evaluation.eval_sets.sets import load_eval_sets
from tutelage.system import fetching

WORDS = ["pay", "win", "call", "meet", "sun", "tea", "ring", "prize", "bus", "lunch"]
MESSAGES = [f"{one} {other} now" for one in WORDS for other in WORDS if one != other]
LABELS = ["spam" if "win" in text or "prize" in text else "ham" for text in MESSAGES]
NOTES = "".join(
    ["kind\tnote\n", *(f'{label}\t"{text}\n' for label, text in zip(LABELS, MESSAGES, strict=True))]
).encode()


@pytest.fixture
def notes(monkeypatch):
    """Make one entry, whose messages begin with a quotation mark that nothing closes."""
    entry = RemoteData(
        "https://files.example/notes.tsv",
        hashlib.sha256(NOTES).hexdigest(),
        "notes.tsv",
        {"column_map": {"text": "note", "label": "kind"}, "quoting": "none", "license": "CC0-1.0"},
    )
    monkeypatch.setitem(REMOTE_DATA, "notes", entry)
    return entry


@pytest.fixture
def downloads(monkeypatch):
    """Answer every download with what stands in `bodies`; a URL that is not there fails the test."""
    bodies, asked = {}, []

    def download(url, destination, max_bytes):
        asked.append(url)
        return bodies[url]

    monkeypatch.setattr(fetching, "_download", download)
    return bodies, asked


def data_settings(*assignments, recipe=None, source="sms-spam", **options):
    given = {"--data data.source": source, **{f"--option data.{name}": one for name, one in options.items()}}
    return load(recipe, given, assignments)


def pairs(settings, *, cache):
    """Return the question and the answer of each row."""
    source = read_source(settings.source, cache=cache, settings=settings)
    found = read_conversations(source.records, source=source.name, settings=settings)
    return [tuple(message.content for message in row.messages) for row in found.rows]


def test_every_entry_is_complete():
    files = [entry.file for entry in REMOTE_DATA.values()]
    assert len(set(files)) == len(files)
    for name, entry in REMOTE_DATA.items():
        assert entry.url.startswith("https://")
        assert Path(entry.file).suffix in FILE_FORMATS
        assert not is_path(name)
        # A hash or a setting that data.* would not take is an error here, and not on the user's machine.
        DataSettings(source=name, sha256=entry.sha256, **entry.settings)


def test_a_data_set_is_downloaded_once_and_then_read_from_the_cache(tmp_path, notes, downloads):
    bodies, asked = downloads
    settings = data_settings(source="notes").recipe.data
    assert not is_here(settings, cache=tmp_path)
    bodies[notes.url] = NOTES
    expected = [(f'"{text}', label) for text, label in zip(MESSAGES, LABELS, strict=True)]
    assert pairs(settings, cache=tmp_path) == pairs(settings, cache=tmp_path) == expected
    assert asked == [notes.url]
    assert (tmp_path / "data" / "notes.tsv").read_bytes() == NOTES
    assert is_here(settings, cache=tmp_path)


@pytest.mark.parametrize("name", REMOTE_DATA)
def test_a_download_with_another_hash_is_refused_and_not_kept(tmp_path, downloads, name):
    bodies, _ = downloads
    entry = REMOTE_DATA[name]
    bodies[entry.url] = b"label\tmsg\nham\tchanged\n"
    with pytest.raises(
        FetchError, match=f"nothing was kept.*Put the correct file at .*{entry.file}"
    ) as fault:
        read_source(name, cache=tmp_path)
    assert fault.value.code == "fetch.checksum_mismatch"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", REMOTE_DATA)
def test_a_damaged_file_in_the_cache_is_not_read(tmp_path, monkeypatch, name):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    cached = tmp_path / "data" / REMOTE_DATA[name].file
    cached.parent.mkdir()
    cached.write_bytes(b"label\tmsg\nham\tchanged\n")
    with pytest.raises(FetchError, match=f"put the file at .*{cached.name} yourself"):
        read_source(name, cache=tmp_path)


@pytest.mark.parametrize(
    ("name", "meant"), [("sms-span", "sms-spam"), ("instruction-dta", "instruction-data")]
)
def test_a_misspelt_name_is_told_with_the_right_one(tmp_path, name, meant):
    with pytest.raises(DataError, match=rf"Did you mean {meant}\?"):
        read_source(name, cache=tmp_path)


def test_the_help_names_every_built_in_data_set(tutelage):
    shown = " ".join(tutelage("prepare", "--help").out.replace("│", " ").split())
    assert f"built-in data set ({', '.join(built_in_names())})" in shown


# Defaults of an entry


def test_defaults_of_a_data_set_hold_where_nothing_else_is_given():
    loaded = data_settings()
    data = loaded.recipe.data
    assert (data.column_map, data.quoting, data.license) == ({"text": "msg"}, "none", "CC-BY-4.0")
    assert {loaded.origins[f"data.{name}"] for name in ("column_map", "quoting", "license")} == {"sms-spam"}
    for source in ("starter", "instruction-data", "mine.csv", "./sms-spam"):
        assert data_settings(source=source).recipe.data == DataSettings(source=source)


def test_options_recipes_and_assignments_replace_defaults_of_a_data_set(tmp_path):
    other = {"instruction": "msg", "output": "label"}
    assert data_settings(column_map=other).recipe.data.column_map == other
    assert data_settings("data.column_map={}").recipe.data.column_map == {}
    assert data_settings("data.quoting=double").recipe.data.quoting == "double"
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[data]\nlicense = "mine"\n[data.column_map]\ninput = "msg"\n')
    data = data_settings(recipe=recipe).recipe.data
    assert (data.column_map, data.license, data.quoting) == ({"input": "msg"}, "mine", "none")
    # Another source in place of a built-in one takes none of its defaults.
    recipe.write_text('[data]\nsource = "sms-spam"\n')
    assert data_settings(recipe=recipe, source="mine.csv").recipe.data == DataSettings(source="mine.csv")


def test_a_run_records_the_defaults_and_keeps_them(tmp_path):
    first = data_settings()
    written = tmp_path / "recipe.toml"
    written.write_text(to_toml(first.recipe))
    assert tomllib.loads(written.read_text())["data"]["column_map"] == {"text": "msg"}
    assert load(written, {}, []).recipe == first.recipe
    mapped_by_hand = data_settings("data.column_map={}")
    written.write_text(to_toml(mapped_by_hand.recipe))
    assert load(written, {}, []).recipe == mapped_by_hand.recipe


@pytest.mark.usefixtures("notes")
def test_both_objectives_take_a_data_set_of_labels_by_its_name_alone(workplace, model, tutelage, downloads):
    bodies, asked = downloads
    bodies[REMOTE_DATA["notes"].url] = NOTES
    for name, words in {"classify": ["classify"], "instructed": []}.items():
        outcome = tutelage("prepare", *words, "--data", "notes", "--model", model, "--output", name)
        assert outcome.code == 0, outcome.err
        trained = workplace / name / "data" / "train.jsonl"
        for row in map(json.loads, trained.read_text(encoding="utf-8").splitlines()):
            assert f'"{MESSAGES[row["row"]]}' in row["prompt"]
            assert row["response"] == LABELS[row["row"]]
            # A classifier reads the text alone; an instruction is answered in the prompt template.
            assert row["prompt"].startswith('"' if name == "classify" else "<|im_start|>user\n")
    assert len(asked) == 1


@pytest.mark.usefixtures("notes")
def test_a_named_test_set_is_read_with_the_defaults_of_its_source(tmp_path, model, downloads):
    bodies, _ = downloads
    bodies[REMOTE_DATA["notes"].url] = NOTES

    def rows_of(*assignments):
        given = [
            "data.prompt_template=chat",
            "evaluation.sets.notes.source=notes",
            "evaluation.sets.notes.metric=exact_match",
            *assignments,
        ]
        (read,) = load_eval_sets(load(None, {}, given).recipe, model, training=[], cache=tmp_path)
        return [(row.prompt, row.response) for row in read.rows]

    found = rows_of()
    assert [label for _, label in found] == LABELS
    assert all(f'"{text}' in prompt for text, (prompt, _) in zip(MESSAGES, found, strict=True))
    turned = rows_of('evaluation.sets.notes.column_map={text = "kind", label = "note"}')
    assert [answer for _, answer in turned] == [f'"{text}' for text in MESSAGES]


# sms-spam


def test_every_line_of_the_messages_is_a_row_and_its_quotation_marks_stay(tmp_path):
    content = spam_file().read_bytes()
    lines = [line.split("\t") for line in content.decode().splitlines()[1:]]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sms-spam.tsv").write_bytes(content)
    found = pairs(data_settings().recipe.data, cache=tmp_path)
    assert found == [(text, label) for label, text in lines]
    assert len(found) == 5574
    assert sum(label == "spam" for _, label in found) == 747
    instructed = {"instruction": "msg", "output": "label"}
    assert pairs(data_settings(column_map=instructed).recipe.data, cache=tmp_path) == found
    # Read with quotes, as csv does by default, messages lose their marks, and some would run over lines.
    quoted = list(csv.reader(content.decode().splitlines(keepends=True)[1:], delimiter="\t"))
    assert [(text, label) for label, text in quoted] != found
    with pytest.raises(DataError, match="malformed CSV"):
        pairs(data_settings("data.quoting=double").recipe.data, cache=tmp_path)
