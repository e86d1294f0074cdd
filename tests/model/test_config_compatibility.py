"""What stands beside exported weights says the same to transformers 4 and 5, and nothing of the base's own settings."""

import json

import pytest
import torch
from support.odd_models import FAMILIES, OLDER_ROPE, SECOND_END, odd_tokenizer, write_odd_model
from support.tiny_tokenizer import chatml_tokenizer
from transformers import AutoConfig, AutoTokenizer, MinistralConfig

from tutelage.model import config_compatibility
from tutelage.model.config_compatibility import (
    adapt_config,
    adapt_tokenizer,
    name_base,
    write_generation_config,
)
from tutelage.model.loading import load_model, load_tokenizer


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def rope_of(config):
    """Return the rotary positions; `type` is the older name of `rope_type`, which transformers 5 keeps beside it."""
    ropes = getattr(config, "rope_parameters", None) or {}
    return {name: value for name, value in ropes.items() if name != "type"}


@pytest.mark.parametrize("family", FAMILIES)
def test_rotary_positions_stand_in_both_forms(family, tmp_path):
    config = FAMILIES[family](100)
    config.save_pretrained(tmp_path)
    before = read(tmp_path, "config.json")
    adapt_config(tmp_path)
    after = read(tmp_path, "config.json")
    assert {name: after.get(name) for name in OLDER_ROPE[family]} == OLDER_ROPE[family]
    assert after.get("rope_parameters") == before.get("rope_parameters")
    found, expected = AutoConfig.from_pretrained(tmp_path), AutoConfig.for_model(**before)
    assert rope_of(found) == rope_of(expected)


def test_without_the_older_form_transformers_4_would_take_its_own_base(tmp_path, monkeypatch):
    monkeypatch.setattr(config_compatibility, "older_rope", lambda config: {})
    FAMILIES["llama"](100).save_pretrained(tmp_path)
    adapt_config(tmp_path)
    assert "rope_theta" not in read(tmp_path, "config.json")


def test_an_older_form_that_transformers_5_would_misread_is_left_out(tmp_path):
    """This family has a rope for each kind of layer, and would take the older form for all of them."""
    ropes = {
        "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 50_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    }
    kinds = ["full_attention", "sliding_attention"]
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "head_dim": 16}
    MinistralConfig(layer_types=kinds, rope_parameters=ropes, **shape).save_pretrained(tmp_path)
    adapt_config(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).rope_parameters == ropes


def test_settings_by_task_of_the_base_do_not_reach_an_export(tmp_path):
    FAMILIES["gpt2"](100).save_pretrained(tmp_path)
    assert "task_specific_params" in read(tmp_path, "config.json")
    adapt_config(tmp_path)
    assert "task_specific_params" not in read(tmp_path, "config.json")


def test_the_tokenizer_has_a_class_and_names_that_both_versions_know(tmp_path):
    tokenizer = odd_tokenizer()
    tokenizer.save_pretrained(tmp_path / "base")
    load_tokenizer(tmp_path / "base").save_pretrained(tmp_path)  # which notes how it was loaded
    saved = read(tmp_path, "tokenizer_config.json")
    assert saved["tokenizer_class"] != "PreTrainedTokenizerFast"
    assert isinstance(saved["extra_special_tokens"], list)
    adapt_tokenizer(tmp_path, chat_template="{{ messages }}")
    told = read(tmp_path, "tokenizer_config.json")
    assert told["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert told["additional_special_tokens"] == [SECOND_END, "<|tool|>"]
    assert told["chat_template"] == "{{ messages }}"
    assert not {"extra_special_tokens", "is_local", "local_files_only"} & told.keys()
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    assert again.all_special_ids == tokenizer.all_special_ids


def test_a_generation_config_is_greedy_and_names_every_end(tmp_path):
    tokenizer = chatml_tokenizer()
    write_generation_config(tmp_path, tokenizer, {9, 2, 70}, vocabulary=60)
    assert read(tmp_path, "generation_config.json") == {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": [2, 9],
        "pad_token_id": 2,
        "do_sample": False,
    }


def test_what_is_loaded_is_saved_without_the_settings_of_its_base(tmp_path):
    """min_p, or a penalty, cannot be saved without sampling, or would change the answers."""
    write_odd_model(tmp_path / "odd", "llama")
    asked = read(tmp_path / "odd", "generation_config.json")
    assert {"repetition_penalty", "min_p", "no_repeat_ngram_size"} <= asked.keys()
    load_model(tmp_path / "odd", dtype=torch.float32, device="cpu").save_pretrained(tmp_path / "saved")
    kept = read(tmp_path / "saved", "generation_config.json")
    assert kept["eos_token_id"] == asked["eos_token_id"]
    assert not (asked.keys() - {"bos_token_id", "eos_token_id"}) & kept.keys()


def test_an_adapter_names_where_its_base_can_be_had(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"r": 2, "base_model_name_or_path": "mine"}')
    name_base(tmp_path, "owner/name", "0f" * 20)
    assert read(tmp_path, "adapter_config.json") == {
        "r": 2,
        "base_model_name_or_path": "owner/name",
        "revision": "0f" * 20,
    }
