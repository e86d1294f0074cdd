"""`tutelage export` as it is typed: what it leaves, and what it refuses."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from unittest.mock import patch

import pytest
from support.command_line import contents
from support.failpoints import failing
from support.rows import alpaca_values, write_rows
from support.tiny_gguf import write_tiny_gguf
from support.tiny_tokenizer import write_tiny_model

from tutelage.data.prompts.prompts import render_template
from tutelage.errors import RunFolderError
from tutelage.export import verification
from tutelage.export.gguf_file import QUANTIZATIONS
from tutelage.export.style import make_style
from tutelage.model.config_compatibility import write_generation_config
from tutelage.model.loading import load_tokenizer
from tutelage.model.sources import DEFAULT_ORIGINAL
from tutelage.run.folder import ExportFolder, RunFolder, read_json
from tutelage.run.lock import locked
from tutelage.stages.inputs import Inputs


def trained_on(model, place):
    """Train a model for two steps."""
    write_rows(place / "my.json", alpaca_values(80))
    words = ["--data", place / "my.json", "--output", place / "run", "--set", f"model.name_or_path={model}"]
    words += ["--set", "training.max_steps=2", "--set", "training.dtype=float32", "--set", "adapter.r=2"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TUTELAGE_CACHE", str(place / "cache"))
        from tutelage.cli.main import main

        for verb in (["prepare", *words], ["train", place / "run"]):
            with pytest.raises(SystemExit) as left:
                main([str(word) for word in verb])
            assert not left.value.code
    return RunFolder(place / "run")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished training of the tiny model."""
    place = tmp_path_factory.mktemp("export")
    return trained_on(write_tiny_model(place / "tiny"), place)


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    shutil.copytree(trained.root, tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.fixture
def unread(monkeypatch, few_prompts):
    """Let the fresh process find what the run's own model does."""
    asked = []

    def same(job, kind, path, base):
        asked.append(kind)
        return found[-1]

    found = []
    original = verification.ask_reference

    def remember(*words, **named):
        reference = original(*words, **named)
        found.append(reference.behaviour)
        return reference

    monkeypatch.setattr("tutelage.export.export.ask_reference", remember)
    monkeypatch.setattr(verification, "_ask_in_a_fresh_process", same)
    return asked


@pytest.mark.parametrize("inside", [".", "model", "data/deeper", "evaluation", "link/../run/model"])
@pytest.mark.parametrize("extra", [[], ["--dry-run"], ["--overwrite"]])
def test_no_export_goes_among_what_the_stages_wrote(tutelage, run, monkeypatch, inside, extra):
    monkeypatch.chdir(run.root.parent)
    (run.root / "link").symlink_to(run.root)
    before = contents(run.root)
    refused = tutelage("export", run.root, "--to", "peft", "--output", run.root / inside, *extra)
    assert refused.code == 2
    assert "is inside the run" in refused.err
    assert contents(run.root) == before


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("", "An empty path was given"),
        ("file", "file is a file"),
        ("file/deeper", "file is a file"),
        ("dangling", "dangling is a link that does not lead to a folder"),
        ("odd\udcff", "odd\\udcff is not valid UTF-8"),
        ("long" * 100, "longlong' cannot be used as a folder: File name too long"),
    ],
)
def test_an_output_that_can_be_no_folder_is_told_before_anything_long(
    tutelage, run, monkeypatch, place, told
):
    tmp_path = run.root.parent
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    refused = tutelage("export", run.root, "--to", "peft", "--output", place)
    assert (refused.code, refused.out) == (2, "")
    assert told in refused.err


@pytest.mark.parametrize("leads", ["far", "run/model", "nowhere"])
def test_a_link_in_place_of_the_exports_gives_way_and_what_it_leads_to_stays(tutelage, run, unread, leads):
    place = run.root.parent
    (place / "far").mkdir()
    (place / "far" / "own").write_text("precious")
    run.export.symlink_to(place / leads)
    before = contents(place / leads) if leads != "nowhere" else None
    done = tutelage("export", run.root, "--to", "peft")
    assert (done.code, done.err) == (0, "")
    assert not run.export.is_symlink()
    assert {path.name for path in run.export.iterdir()} == {"peft", "verification.json"}
    assert before == (contents(place / leads) if leads != "nowhere" else None)
    assert not (place / "nowhere").exists()


def test_behind_a_link_an_export_is_replaced_only_when_that_is_asked_for(tutelage, run, unread):
    far = run.root.parent / "far"
    (far / "peft").mkdir(parents=True)
    run.export.symlink_to(far)
    assert tutelage("export", run.root, "--to", "peft").code == 2
    assert run.export.is_symlink()
    assert tutelage("export", run.root, "--to", "peft", "--overwrite").code == 0
    assert [*far.iterdir()] == [far / "peft"]
    assert not [*(far / "peft").iterdir()]


@pytest.mark.parametrize("damaged", [b"", b"[]", b'{"peft": ', b"\xff"])
def test_a_damaged_record_of_earlier_exports_is_written_anew(tutelage, run, unread, damaged):
    folder = ExportFolder(run.export)
    folder.root.mkdir()
    folder.verification.write_bytes(damaged)
    done = tutelage("export", run.root, "--to", "peft")
    assert (done.code, done.err) == (0, "")
    assert list(read_json(folder.verification)) == ["peft"]


def test_every_format_is_published_with_its_proof(tutelage, run, few_prompts):
    pytest.importorskip("xllamacpp", exc_type=ImportError)
    targets = ["--to", "peft", "--to", "hf", "--to", "gguf", "--to", "ollama"]
    made = tutelage("export", run.root, *targets, "--quantization", "f32")
    assert (made.code, made.err) == (0, "")
    assert "3 of 3" in made.out
    folder = ExportFolder(run.export)
    proof = read_json(folder.verification)
    assert set(proof) == {"peft", "hf", "gguf", "ollama"}
    for target, entry in proof.items():
        assert entry["answers_equal"] == entry["ids_equal"] == entry["prompts"] == 3
        assert entry["largest_log_prob_difference"] < 1e-3
        assert (folder.of(target) / "README.md").is_file()
    assert proof["gguf"]["verified_with"] == "llama.cpp"
    tokenizer = load_tokenizer(folder.of("hf"))
    messages = [{"role": "user", "content": "Name a fruit."}]
    asked = render_template(tokenizer, messages, add_generation_prompt=True)
    assert asked == "<|im_start|>user\nName a fruit.<|im_end|>\n<|im_start|>assistant\n"
    assert read_json(folder.of("hf") / "tokenizer_config.json")["chat_template"] == tokenizer.chat_template
    modelfile = (folder.of("ollama") / "Modelfile").read_text(encoding="utf-8")
    assert "FROM ./model-f32.gguf\n" in modelfile
    assert 'PARAMETER stop "<|im_end|>"\n' in modelfile
    assert not list(run.export.glob(".*")), "something staged was left behind"


@pytest.mark.parametrize("quantization", [name for name in QUANTIZATIONS if name != "f32"])
def test_each_quantisation_has_a_file_of_its_name(tutelage, run, unread, quantization):
    made = tutelage("export", run.root, "--to", "gguf", "--quantization", quantization)
    assert (made.code, made.err) == (0, "")
    assert (run.export / "gguf" / f"model-{quantization}.gguf").is_file()


def test_a_wrong_template_is_not_published(tutelage, run, few_prompts, in_this_process):
    def wrong(tokenizer, prompt):
        style = make_style(tokenizer, prompt)
        return type(style)(**{**vars(style), "jinja": style.jinja.replace("<|im_start|>", "<|im_start|> ")})

    with patch("tutelage.export.export.make_style", wrong):
        refused = tutelage("export", run.root, "--to", "peft")
    assert refused.code == 6
    assert "chat template renders 2 of 2 conversations differently" in refused.err
    assert {path.name for path in run.export.iterdir()} == {"rejected-peft.json"}
    assert read_json(run.export / "rejected-peft.json")["evidence"]


def test_an_export_is_replaced_only_when_that_is_asked_for(tutelage, run, unread):
    assert tutelage("export", run.root, "--to", "peft").code == 0
    before = contents(run.root)
    refused = tutelage("export", run.root, "--to", "peft")
    assert (refused.code, contents(run.root)) == (2, before)
    assert "already holds an export. Add --overwrite" in refused.err
    assert tutelage("export", run.root, "--to", "peft", "--overwrite").code == 0


def test_a_full_disk_leaves_no_half_export(tutelage, run, unread):
    for number in (1, 3, 5):
        with failing(number, code=errno.ENOSPC):
            refused = tutelage("export", run.root, "--to", "peft")
        assert refused.code == 4, refused.err
        assert not (run.export / "peft").exists()
        assert not list(run.export.glob(".*"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--to", "onnx"], "onnx"),
        ([], "--to"),
        (["--to", "gguf", "--quantization", "q2_k"], "q2_k"),
        (["--to", "hf", "--quantization", "q8_0"], "only applies to gguf and ollama"),
        (["--to", "hf", "--output", "/dev/null"], "is a file"),
    ],
)
def test_what_means_nothing_is_refused(tutelage, run, words, told):
    before = contents(run.root)
    refused = tutelage("export", run.root, *words)
    assert refused.code == 2
    assert told in refused.err
    assert contents(run.root) == before


def test_a_run_that_is_not_trained_is_refused(tutelage, run):
    shutil.rmtree(run.model)
    refused = tutelage("export", run.root, "--to", "peft")
    assert refused.code == 2
    assert "tutelage train" in refused.err


def test_damaged_weights_are_refused(tutelage, run):
    weights = run.model / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    refused = tutelage("export", run.root, "--to", "peft")
    assert refused.code == 2
    assert "could not be loaded" in refused.err
    assert not run.export.exists()


def test_a_dry_run_writes_nothing(tutelage, run):
    before = contents(run.root)
    shown = tutelage("export", run.root, "--to", "hf", "--dry-run")
    assert (shown.code, contents(run.root)) == (0, before)
    assert str(run.export / "hf") in shown.out


def test_the_card_tells_the_license_of_the_data_which_may_be_said_after_the_training(tutelage, run, unread):
    assert tutelage("export", run.root, "--to", "peft").code == 0
    card = run.export / "peft" / "README.md"
    assert "), license not stated\n" in card.read_text(encoding="utf-8")
    told = run.recipe.read_text(encoding="utf-8")
    assert 'license = ""' in told
    run.recipe.write_text(told.replace('license = ""', 'license = "CC-BY-4.0"'), encoding="utf-8")
    done = tutelage("export", run.root, "--to", "peft", "--overwrite")
    assert done.code == 0, done.err
    assert "), license CC-BY-4.0\n" in card.read_text(encoding="utf-8")


def test_the_card_holds_the_facts_of_the_run(tutelage, run, unread):
    assert tutelage("export", run.root, "--to", "peft").code == 0
    card = (run.export / "peft" / "README.md").read_text(encoding="utf-8")
    preparation, training = read_json(run.preparation), read_json(run.training)
    for fact in (
        preparation["sha256"],
        preparation["model_sha256"],
        f"{training['loss']['before']:.3f} before, {training['loss']['best']:.3f} after (nats per token)",
        "LoRA, rank 2, alpha 32.0, 2 steps, 8 rows per step",
        "This model was not evaluated.",
        f"row has {preparation['tokens']['longest']:,} tokens",
        "PeftModel.from_pretrained",
        # vLLM would else take the base model's own template, and it knows bounds on ranks alone.
        "vllm serve BASE --enable-lora --max-lora-rank 8 --lora-modules tuned=. --chat-template chat_template.jinja",
    ):
        assert fact in card, fact


def test_without_llama_cpp_transformers_reads_the_file_back_and_the_table_says_so(
    tutelage, run, few_prompts, in_this_process, monkeypatch
):
    monkeypatch.setattr("tutelage.export.targets.gguf_folder.is_installed", lambda: False)
    done = tutelage("export", run.root, "--to", "gguf", "--quantization", "f32")
    assert done.code == 0, done.err
    told = "transformers' GGUF loader; llama.cpp is not installed"
    found = read_json(ExportFolder(run.export).verification)["gguf"]
    assert found["verified_with"] == told
    assert found["answers_equal"] == found["prompts"] == 3
    assert all(word in done.out for word in told.split())  # a narrow table breaks its lines
    assert {path.name for path in (run.export / "gguf").iterdir()} == {
        "README.md",
        "manifest.json",
        "model-f32.gguf",
    }


def test_a_base_that_was_a_gguf_file_is_exported_from_the_plain_install(
    tutelage, tmp_path, few_prompts, in_this_process, monkeypatch
):
    """Its tokenizer ends with a cut of its own making, as the default model's does, and no extra is there."""
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    run = trained_on(write_tiny_gguf(tmp_path / "tiny.gguf", pre="smollm", add_eot_token_id=1), tmp_path)
    for part in ("converter", "targets.gguf_folder"):
        monkeypatch.setattr(f"tutelage.export.{part}.is_installed", lambda: False)
    monkeypatch.setattr("tutelage.export.converter._script", lambda: None)
    done = tutelage("export", run.root, "--to", "gguf", "--to", "ollama", "--quantization", "f32")
    assert done.code == 0, done.err
    found = read_json(ExportFolder(run.export).verification)
    assert {target: proof["answers_equal"] for target, proof in found.items()} == {"gguf": 3, "ollama": 3}


@pytest.fixture
def of_the_hub(monkeypatch, few_prompts, in_this_process):
    """Let the base be one that anyone can have from the hub."""
    locate = Inputs.locate
    monkeypatch.setattr(
        Inputs, "locate", lambda self, **options: replace(locate(self, **options), original=DEFAULT_ORIGINAL)
    )


@pytest.mark.slow
def test_an_adapter_is_loaded_as_its_card_says_with_the_base_that_it_names(
    tutelage, run, trained, of_the_hub, tmp_path
):
    assert tutelage("export", run.root, "--to", "peft").code == 0
    folder = run.export / "peft"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"base_model: {DEFAULT_ORIGINAL.name}\n" in card
    told = read_json(folder / "adapter_config.json")
    assert told["base_model_name_or_path"] == DEFAULT_ORIGINAL.name
    assert told["revision"] == DEFAULT_ORIGINAL.revision
    # The hub's cache as its client leaves it, so that nothing is fetched.
    owner, _, name = DEFAULT_ORIGINAL.name.partition("/")
    kept = tmp_path / "hub" / f"models--{owner}--{name}" / "snapshots" / DEFAULT_ORIGINAL.revision
    shutil.copytree(trained.root.parent / "tiny", kept)
    [documented, *_] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    asked = (
        f"{documented}\nids = tokenizer('Name a fruit.', return_tensors='pt')\n"
        "print(model.generate(**ids, max_new_tokens=4).shape[1] > 0, model.generation_config.do_sample)\n"
        f"from peft import AutoPeftModelForCausalLM\nAutoPeftModelForCausalLM.from_pretrained('.')\n"
    )
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", asked]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "False"]


def test_a_base_that_others_cannot_have_is_named_by_its_hash(tutelage, run, unread):
    assert tutelage("export", run.root, "--to", "peft").code == 0
    card = (run.export / "peft" / "README.md").read_text(encoding="utf-8")
    assert read_json(run.preparation)["model_sha256"] in card
    assert read_json(run.export / "peft" / "adapter_config.json")["base_model_name_or_path"] == "tiny"


def test_more_ends_than_a_gguf_file_can_name_are_refused_before_anything_long(
    tutelage, tmp_path, monkeypatch
):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    model = write_tiny_model(tmp_path / "tiny")
    told = {"eos_token_id": [2, 70, 71]}
    (model / "generation_config.json").write_text(json.dumps(told), encoding="utf-8")
    run = trained_on(model, tmp_path)
    monkeypatch.setattr("tutelage.export.export.load_merged", None)
    refused = tutelage("export", run.root, "--to", "gguf")
    assert refused.code == 2
    assert "error[export.too_many_end_tokens]" in refused.err
    assert not run.export.exists() or not list(run.export.iterdir())


def test_generate_of_an_export_decides_and_not_a_loop_of_ours(
    tutelage, run, few_prompts, in_this_process, monkeypatch
):
    """Settings that are left in the export change what its own generate() says, and nothing else."""

    def as_the_base_has_them(folder, *words, **named):
        write_generation_config(folder, *words, **named)
        told = read_json(folder / "generation_config.json") | {"suppress_tokens": list(range(3, 380))}
        (folder / "generation_config.json").write_text(json.dumps(told), encoding="utf-8")

    monkeypatch.setattr("tutelage.export.targets.hf_folder.write_generation_config", as_the_base_has_them)
    refused = tutelage("export", run.root, "--to", "hf")
    assert refused.code == 6
    assert "error[export.not_the_trained_model]" in refused.err


def test_a_run_in_use_is_exported_later_wherever_to(tutelage, run, unread, tmp_path):
    with locked(run):
        for words in ([], ["--output", tmp_path / "elsewhere"]):
            refused = tutelage("export", run.root, "--to", "peft", *words)
            assert (refused.code, "error[run.locked]" in refused.err) == (2, True)
            # Another place would help only where the place is what is in use.
            assert ("--output" in refused.err) == (not words)
    assert tutelage("export", run.root, "--to", "peft", "--output", tmp_path / "elsewhere").code == 0


def test_a_run_that_cannot_be_written_is_exported_to_elsewhere(tutelage, run, unread, tmp_path, monkeypatch):
    def refuse(run):
        raise RunFolderError("run.not_writable", f"{run.root} cannot be written")

    monkeypatch.setattr("tutelage.stages.export.locked", refuse)
    before = contents(run.root)
    assert tutelage("export", run.root, "--to", "peft").code == 2
    assert tutelage("export", run.root, "--to", "peft", "--output", tmp_path / "elsewhere").code == 0
    assert (tmp_path / "elsewhere" / "peft" / "adapter_model.safetensors").exists()
    assert contents(run.root) == before
