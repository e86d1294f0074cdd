"""What a run can go on from, and what comes of it: runs that went on, checkpoints, folders of peft, exports."""

import shutil

import pytest
import torch
from peft import PeftModel
from support.further_runs import ROUNDING, finetune, log_probs
from support.tiny_models import log_probs_token_by_token
from transformers import AutoModelForCausalLM

import tutelage
from tutelage.run.folder import RunFolder, read_json
from tutelage.stages.starting_adapter import find_adapter
from tutelage.tree.examples import Example


@torch.no_grad()
def of_plain(module):
    """What a program without Tutelage gives the answers; their ids are those of the exported tokenizer's text."""
    return torch.stack([log_probs_token_by_token(module.eval(), example).sum() for example in EXAMPLES])


EXAMPLES = [Example(row, tuple(range(5 + row, 40 + row)), prompt_tokens=30, supervised=5) for row in range(6)]


@pytest.mark.usefixtures("few_prompts", "in_this_process")
def test_exports_hold_one_adapter_on_the_original_base(home, first, second, tmp_path):
    base = str(home / "tiny")
    peft, hf = (second.export(kind, output=tmp_path).folder for kind in ("peft", "hf"))
    assert read_json(peft / "adapter_config.json")["r"] == 3

    def plain(folder=base):
        return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)

    trained = of_plain(PeftModel.from_pretrained(plain(), str(second.folder / "model")))
    assert (of_plain(PeftModel.from_pretrained(plain(), str(peft))) - trained).abs().max() < ROUNDING
    assert (of_plain(plain(hf)) - trained).abs().max() < ROUNDING
    start = of_plain(PeftModel.from_pretrained(plain(), str(first.folder / "model")))
    assert (start - trained).abs().max() > 0.1, "the adapter of the first run would pass as well"
    for card in (peft / "README.md", second.folder / "model" / "README.md"):
        assert "Started from: the adapter first" in card.read_text()


def test_a_run_that_went_on_can_be_gone_on_with(home, second):
    third = finetune(home, "third", adapter=second.folder, max_steps=2)
    assert torch.equal(log_probs(third.load("base")), log_probs(second.load("tuned")))
    assert third.recipe.adapter == second.recipe.adapter


def test_a_checkpoint_can_be_gone_on_with(home, first):
    step = RunFolder(first.folder).saved_steps()[0]
    named = [f"{first.folder}@{step}", RunFolder(first.folder).checkpoint(step)]
    starts = [
        log_probs(finetune(home, f"of-step-{place}", adapter=name, max_steps=1).load("base"))
        for place, name in enumerate(named)
    ]
    assert all(torch.equal(start, log_probs(first.load(step=step))) for start in starts)
    assert not torch.equal(starts[0], log_probs(first.load()))


def test_a_folder_of_peft_is_gone_on_with_and_what_is_not_known_of_it_is_noted(home, first, tmp_path, heard):
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / "bare").mkdir(exist_ok=True)
        shutil.copy(first.folder / "model" / name, tmp_path / "bare" / name)
    run = finetune(
        home,
        "of-peft",
        adapter=tmp_path / "bare",
        name_or_path=str(home / "tiny"),
        max_steps=1,
        listener=heard,
    )
    assert torch.equal(log_probs(run.load("base")), log_probs(first.load()))
    assert "model.adapter_base_unknown" in heard.codes
    assert "model.adapter_other_prompt" not in heard.codes


def test_another_prompt_style_is_noted(home, first, heard):
    finetune(home, "phi3", adapter=first.folder, prompt_template="phi3", max_steps=1, listener=heard)
    assert heard.codes.count("model.adapter_other_prompt") == 1
    assert "model.adapter_base_unknown" not in heard.codes


@pytest.mark.usefixtures("few_prompts", "in_this_process")
def test_an_export_in_a_run_is_the_adapter_of_the_run(home, first, tmp_path):
    shutil.copytree(first.folder, tmp_path / "whole")
    exported = tutelage.Run(tmp_path / "whole").export("peft").folder
    found, whole = find_adapter(str(exported)), find_adapter(str(tmp_path / "whole"))
    assert (found.sha256, found.base_sha256) == (whole.sha256, whole.base_sha256)
    run = finetune(home, "of-export", adapter=exported, max_steps=1)
    assert run.recipe.model.name_or_path == str(home / "tiny")
