"""What exports say to whoever loads them by transformers alone, in whatever version: run as a script, on a job file.

It imports nothing of Tutelage, and generate() is given the prompt and the length alone.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

NEW_TOKENS = 32


def main(path: Path) -> None:
    """Answer for each export of a job, and write what was found beside it."""
    job = json.loads(path.read_text(encoding="utf-8"))
    found = {kind: ask(folder, job) for kind, folder in job["exports"].items()}
    for kind, one in found.items():
        np.save(path.with_suffix(f".{kind}.npy"), one.pop("log_probs"))
    told = {"version": transformers.__version__, "found": found}
    path.with_suffix(".found.json").write_text(json.dumps(told), encoding="utf-8")


def ask(export: str, job: dict[str, Any]) -> dict[str, Any]:
    tokenizer: Any = AutoTokenizer.from_pretrained(export)
    model = load(export, job["base"]).eval()
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in job["texts"]]
    answers, log_probs = [], []
    for prompt in ids:
        seen = torch.tensor([prompt])
        with torch.no_grad():
            whole = model.generate(
                input_ids=seen, attention_mask=torch.ones_like(seen), max_new_tokens=NEW_TOKENS
            )
            logits = model(seen).logits[0, -1]
        answers.append(whole[0, len(prompt) :].tolist())
        log_probs.append(logits.log_softmax(-1).numpy())
    return {
        "ids": ids,
        "plain_ids": tokenizer("A text.")["input_ids"],
        "controls": sorted(tokenizer.all_special_ids),
        "rendered": tokenizer.apply_chat_template(
            job["conversation"], tokenize=False, add_generation_prompt=True
        ),
        "answers": answers,
        "log_probs": np.stack(log_probs),
    }


def load(export: str, base: str) -> Any:
    if not (Path(export) / "adapter_config.json").exists():
        return AutoModelForCausalLM.from_pretrained(export, dtype=torch.float32)
    from peft import PeftModel

    adapted: Any = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), export
    )
    adapted.generation_config = GenerationConfig.from_pretrained(export)
    return adapted


if __name__ == "__main__":
    main(Path(sys.argv[1]))
