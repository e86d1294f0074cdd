"""A tiny model with a tokenizer of a test's own, written as GGUF by the exporter."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from tutelage.export.gguf_file import write_gguf
from tutelage.export.style import Style, make_style
from tutelage.model.sources import ModelSource


def exported_gguf(tokenizer: Any, prompt: Any, folder: Path) -> tuple[Path, Style]:
    """Write random weights with a tokenizer and a prompt style; return the file and the style bound to both."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=256,
    )
    config.save_pretrained(folder)
    module = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    style = make_style(tokenizer, prompt)
    path = folder / "model.gguf"
    write_gguf(path, module, ModelSource(folder, "tiny", "0" * 64, None), style, "f32")
    return path, style
