"""The cache goes by the name that the installed transformers gives it."""

import inspect
from pathlib import Path

from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaForCausalLM

import tutelage
from tutelage.model.cache_name import CACHE


def test_models_and_layers_take_the_cache_by_this_name():
    for kind in (LlamaForCausalLM, LlamaDecoderLayer):
        assert CACHE in inspect.signature(kind.forward).parameters


def test_no_other_file_names_the_cache():
    source = Path(tutelage.__file__).parent
    naming = [
        path.name for path in source.rglob("*.py") if "past_key_values" in path.read_text(encoding="utf-8")
    ]
    assert naming == ["cache_name.py"]
