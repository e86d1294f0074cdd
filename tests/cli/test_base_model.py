"""The base model of a run is verified by every command that opens it, to the byte."""

import os
import shutil

import pytest
from support.rows import alpaca_values, write_rows
from support.systems import needs_pipes
from support.tiny_gguf import write_tiny_gguf
from support.tiny_tokenizer import write_tiny_model

from tutelage.model import sources
from tutelage.model.loading import load_tokenizer
from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines
from tutelage.system.storage import file_sha256

SETTINGS = {
    "training.max_steps": 2,
    "training.save_steps": 1,
    "training.dtype": "float32",
    "adapter.r": 2,
    "evaluation.limit": 2,
    "evaluation.max_new_tokens": 2,
    "evaluation.general_text": "false",
}
MORE_FILES = {  # which the libraries open too, where they are there
    "generation_config.json": '{"eos_token_id": 2}',
    "special_tokens_map.json": '{"eos_token": "<|im_end|>"}',
    "added_tokens.json": "{}",
}
VERBS = {
    "train": ["--overwrite"],
    "evaluate": ["--overwrite"],
    "generate": ["Name a fruit."],
    "verify": [],
    "export": ["--to", "peft", "--overwrite"],
    "serve": ["--port", "0"],
    "report": [],
}


def words(verb, run):
    return [verb, run, *VERBS[verb]]


def make_run(place, tutelage, model, *, name="run"):
    write_rows(place / "my.json", alpaca_values(80))
    settings = {**SETTINGS, "model.name_or_path": model}
    told = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = tutelage("prepare", "--data", place / "my.json", "--output", place / name, *told)
    assert done.code == 0
    assert all(line.startswith("Converting ") for line in done.err.splitlines())
    done = tutelage("train", place / name)
    assert done.code == 0
    assert all(line.startswith("Converting ") for line in done.err.splitlines())
    return RunFolder(place / name)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return {"place": tmp_path_factory.mktemp("base")}


@pytest.fixture
def run(made, tutelage, monkeypatch):
    """A trained run of a tiny model in a folder; what a test does to the folder it undoes."""
    place = made["place"]
    monkeypatch.setenv("TUTELAGE_CACHE", str(place / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if "run" not in made:
        model = write_tiny_model(place / "tiny")
        for name, content in MORE_FILES.items():
            (model / name).write_text(content)
        made["run"] = make_run(place, tutelage, model)
    return made["run"]


def with_one_byte_changed(path, *, keeps_mtime):
    content, stat = path.read_bytes(), path.stat()
    place = len(content) // 2
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    if keeps_mtime:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return content


FILES = [
    "model.safetensors",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
]


@pytest.mark.parametrize("keeps_mtime", [True, False])
@pytest.mark.parametrize("name", FILES)
def test_one_byte_changed_in_a_file_of_the_base_stops_every_command_that_opens_it(
    run, tutelage, name, keeps_mtime
):
    path = run.root.parent / "tiny" / name
    whole = with_one_byte_changed(path, keeps_mtime=keeps_mtime)
    try:
        for verb in VERBS:
            done = tutelage(*words(verb, run.root))
            assert done.code == 2, (verb, done.out, done.err)
            assert any(
                f"error[{code}]" in done.err
                for code in ("run.base_model_changed", "run.settings_changed", "model.file_unreadable")
            ), (verb, done.err)
    finally:
        path.write_bytes(whole)
    assert run.training.is_file(), "no refused command has removed anything"


def test_a_file_that_appears_beside_the_base_is_a_change(run, tutelage):
    path = run.root.parent / "tiny" / "model.safetensors.index.json"
    path.write_text('{"weight_map": {"x": "model.safetensors"}}')
    try:
        done = tutelage(*words("generate", run.root))
        assert (done.code, "error[run.base_model_changed]" in done.err) == (2, True)
        assert "model.safetensors.index.json" in done.err
    finally:
        path.unlink()


def test_an_unchanged_base_is_hashed_once_a_command(run, tutelage, monkeypatch):
    hashed = []

    def counted(path):
        hashed.append(path.name)
        return file_sha256(path)

    monkeypatch.setattr(sources, "file_sha256", counted)
    for verb in ("train", "evaluate", "generate"):
        hashed.clear()
        assert tutelage(*words(verb, run.root)).code == 0
        assert sorted(hashed) == sorted(FILES), verb


def test_skipped_checksums_hash_nothing_and_are_recorded(run, tutelage, monkeypatch, tmp_path):
    copy = RunFolder(shutil.copytree(run.root, tmp_path / "run"))
    monkeypatch.setattr(sources, "file_sha256", None)
    for verb in ("train", "evaluate", "generate"):
        done = tutelage(*words(verb, copy.root), "--skip-checksums")
        assert done.code == 0, done.err
    assert [read_json(path)["checksums"] for path in (copy.training, copy.metrics)] == ["skipped"] * 2
    assert [
        event["step"] for event in read_json_lines(copy.events) if event["event"] == "checksums_skipped"
    ] == [0]
    assert [read_json(path)["checksums"] for path in (run.training, run.preparation)] == ["verified"] * 2


def prepared(place, tutelage, model, *words, name="run"):
    """Prepare a run of a model, and return its folder."""
    write_rows(place / "my.json", alpaca_values(80))
    settings = {**SETTINGS, "model.name_or_path": model}
    told = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = tutelage("prepare", "--data", place / "my.json", "--output", place / name, *told, *words)
    assert done.code == 0
    assert all(line.startswith("Converting ") for line in done.err.splitlines())
    return RunFolder(place / name), done


def test_rows_prepared_without_checksums_can_be_trained_with_them(tutelage, tmp_path):
    run, done = prepared(tmp_path, tutelage, write_tiny_model(tmp_path / "tiny"), "--skip-checksums")
    assert "[model.checksums_skipped]" in done.out
    assert read_json(run.preparation)["model_files"] == {}
    assert read_json(run.preparation)["checksums"] == "skipped"
    done = tutelage("train", run.root)
    assert (done.code, done.err) == (0, "")


def test_rows_prepared_again_without_checksums_have_the_identity_of_their_own_model(tutelage, tmp_path):
    first, other = write_tiny_model(tmp_path / "tiny"), write_tiny_model(tmp_path / "other")
    with_one_byte_changed(other / "model.safetensors", keeps_mtime=True)
    run, _ = prepared(tmp_path, tutelage, first)
    for model in (other, first):
        prepared(tmp_path, tutelage, model, "--overwrite", "--skip-checksums")
        assert read_json(run.preparation)["model_sha256"] == file_sha256(model / "model.safetensors")
    with_one_byte_changed(first / "model.safetensors", keeps_mtime=True)
    prepared(tmp_path, tutelage, first, "--overwrite", "--skip-checksums")
    assert read_json(run.preparation)["model_sha256"] == file_sha256(first / "model.safetensors")


def test_a_change_that_a_training_from_the_beginning_accepts_is_recorded(tutelage, tmp_path):
    model = write_tiny_model(tmp_path / "tiny")
    run, _ = prepared(tmp_path, tutelage, model)
    (model / "generation_config.json").write_text('{"eos_token_id": 2}')
    assert "error[run.base_model_changed]" in tutelage("train", run.root).err
    for words in ([], ["--overwrite"]):
        done = tutelage("train", run.root, "--allow-changes", *words)
        assert (done.code, done.err) == (0, "")
        assert read_json(run.training)["allowed_changes"] == ["the model's generation_config.json"], words
    assert tutelage("generate", run.root, "Name a fruit.").code == 0


def test_what_is_wrong_with_the_tuned_weights_is_found_before_they_are_used(run, tutelage, tmp_path):
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        copy = RunFolder(shutil.copytree(run.root, tmp_path / name))
        with_one_byte_changed(copy.model / name, keeps_mtime=True)
        for verb in ("evaluate", "generate", "export"):
            done = tutelage(*words(verb, copy.root))
            assert (done.code, "error[run.model_damaged]" in done.err) == (2, True), (verb, done.err)


def test_a_model_card_that_was_edited_damages_no_model(run, tutelage, tmp_path):
    copy = RunFolder(shutil.copytree(run.root, tmp_path / "run"))
    (copy.model / "README.md").write_text("My model.")
    assert tutelage(*words("generate", copy.root)).code == 0


def test_a_damaged_conversion_is_made_again_and_gives_the_same_answer(tutelage, tmp_path, monkeypatch):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    run = make_run(tmp_path, tutelage, write_tiny_gguf(tmp_path / "tiny.gguf"))
    [folder] = [path for path in (tmp_path / "cache" / "models").iterdir() if path.is_dir()]
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    expected = tutelage(*words("generate", run.root)).out
    with_one_byte_changed(folder / "model.safetensors", keeps_mtime=True)
    done = tutelage(*words("generate", run.root))
    assert done.code == 0
    assert done.out.endswith(expected.splitlines()[-1] + "\n")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    damaged = with_one_byte_changed(folder / "model.safetensors", keeps_mtime=True)
    assert tutelage(*words("generate", run.root), "--skip-checksums").code == 0
    assert (folder / "model.safetensors").read_bytes() != damaged, "which is what skipping means"


def test_a_gguf_file_is_hashed_once_a_command_and_not_at_all_where_that_is_skipped(
    tutelage, tmp_path, monkeypatch
):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    run, _ = prepared(tmp_path, tutelage, write_tiny_gguf(tmp_path / "tiny.gguf"))
    hashed = []

    def counted(path):
        hashed.append(path.name)
        return file_sha256(path)

    monkeypatch.setattr(sources, "file_sha256", counted)
    for words, expected in ((["--dry-run"], 1), ([], 1), (["--overwrite", "--skip-checksums"], 0)):
        hashed.clear()
        done = tutelage("train", run.root, *words)
        assert (done.code, done.err) == (0, "")
        assert hashed.count("tiny.gguf") == expected, words


def test_a_dry_run_checks_targets_on_a_hub_model_that_is_here_and_asks_no_hub(
    tutelage, tmp_path, monkeypatch
):
    model = write_tiny_model(tmp_path / "snapshots" / "0123abc")
    asked = []

    def download(name, **options):
        asked.append((name, options["revision"], options["local_files_only"]))
        return str(model)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    write_rows(tmp_path / "my.json", alpaca_values(80))
    words = ["prepare", "--data", tmp_path / "my.json", "--output", tmp_path / "run", "--dry-run"]
    for target, code in (("q_proj", 0), ("no_such_layer", 2)):
        settings = ["model.name_or_path=owner/name@0123abc", f'adapter.target_modules=["{target}"]']
        done = tutelage(*words, *(word for each in settings for word in ("--set", each)))
        assert done.code == code, (target, done.err)
        assert ("error[settings.target_modules_unknown]" in done.err) == bool(code)
    assert asked == [("owner/name", "0123abc", True)] * 2


def test_a_relative_model_is_found_from_another_folder(tutelage, tmp_path, monkeypatch):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_tiny_model(tmp_path / "here" / "models" / "my")
    run = make_run(tmp_path / "here", tutelage, "models/my")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert tutelage(*words("generate", run.root)).code == 0
    assert tutelage(*words("verify", run.root)).code == 0


def test_what_was_a_folder_is_never_looked_up_on_the_hub(tutelage, tmp_path, monkeypatch):
    def asked(*_, **__):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.snapshot_download", asked)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_tiny_model(tmp_path / "models" / "my")
    (tmp_path / "my.toml").write_text('[model]\nname_or_path = "models/my"\n[data]\nsource = "my.json"\n')
    write_rows(tmp_path / "my.json", alpaca_values(80))
    assert tutelage("prepare", "my.toml", "--output", "run").code == 0
    shutil.rmtree(tmp_path / "models")
    for given in (
        ["train", "run"],
        ["train", "my.toml", "--output", "run"],
        ["run", "my.toml", "--output", "run"],
    ):
        done = tutelage(*given)
        assert (done.code, "error[model.not_found]" in done.err) == (2, True), done.err


def test_a_tokenizer_larger_than_the_embedding_is_told_with_the_tokens_text(tutelage, tmp_path, monkeypatch):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    model = write_tiny_model(tmp_path / "tiny")
    tokenizer = load_tokenizer(model)
    tokenizer.add_tokens(["zwölfboxkämpfer"])
    tokenizer.save_pretrained(model)
    rows = alpaca_values(80)
    write_rows(tmp_path / "my.json", rows)
    settings = ["--set", f"model.name_or_path={model}"]
    checked = tutelage("check", tmp_path / "my.json", *settings)
    assert (checked.code, "[model.tokenizer_larger_than_embedding]" in checked.err) == (0, True)
    assert "'zwölfboxkämpfer'" in checked.err
    prepared = tutelage("prepare", "--data", tmp_path / "my.json", "--output", tmp_path / "unused", *settings)
    assert (prepared.code, "[model.tokenizer_larger_than_embedding]" in prepared.err) == (0, True)
    rows[3] |= {"output": "zwölfboxkämpfer"}
    write_rows(tmp_path / "my.json", rows)
    refused = tutelage("prepare", "--data", tmp_path / "my.json", "--output", tmp_path / "used", *settings)
    assert (refused.code, "error[data.unknown_token_id]" in refused.err) == (2, True)
    assert "Row 3" in refused.err
    assert "'zwölfboxkämpfer'" in refused.err


@needs_pipes
def test_a_pipe_in_a_model_folder_is_refused_at_once(tutelage, tmp_path, monkeypatch):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    write_rows(tmp_path / "my.json", alpaca_values(80))
    for number, name in enumerate(
        ["config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja", "x"]
    ):
        model = write_tiny_model(tmp_path / f"tiny-{number}")
        (model / name).unlink(missing_ok=True)
        os.mkfifo(model / name)
        done = tutelage("check", tmp_path / "my.json", "--set", f"model.name_or_path={model}")
        assert (done.code, "error[model.not_a_file_or_folder]" in done.err) == (2, True), (name, done.err)
    os.mkfifo(tmp_path / "pipe.gguf")
    done = tutelage("check", tmp_path / "my.json", "--set", f"model.name_or_path={tmp_path / 'pipe.gguf'}")
    assert (done.code, "error[model.not_" in done.err) == (2, True)
