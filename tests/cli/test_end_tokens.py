"""A base model that names two end tokens is evaluated with both, as its own generate() ends."""

import json
from collections import Counter

import torch
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import write_tiny_model
from transformers import AutoModelForCausalLM, GenerationConfig

from tutelage.model.loading import load_tokenizer
from tutelage.run.folder import RunFolder
from tutelage.run.lines import read_json_lines
from tutelage.stages.prepared import read_prepared

LONGEST = 12
SETTINGS = {
    "training.max_steps": 1,
    "training.dtype": "float32",
    "adapter.r": 2,
    "evaluation.max_new_tokens": LONGEST,
    "evaluation.general_text": "false",
}


def own_answers(folder, prompts, ends):
    """Return what transformers' generate() adds to each prompt, and whether it ended by itself."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=ends[0])
    found = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        whole = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=LONGEST)
        answer = whole[0, len(prompt) :].tolist()
        found.append((len(answer) - (answer[-1] in ends), answer[-1] in ends))
    return found


def test_the_base_stops_at_each_of_its_end_tokens(tutelage, workplace):
    model = write_tiny_model(workplace / "tiny")
    write_rows(workplace / "my.json", alpaca_values(80))
    words = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    words += ["--set", f"model.name_or_path={model}"]
    assert tutelage("prepare", "--data", "my.json", "--output", "run", *words).code == 0
    run, tokenizer = RunFolder(workplace / "run"), load_tokenizer(model)
    prompts = [list(row.example.prompt_ids) for row in read_prepared(run, "test")]
    usual = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|endoftext|>")]
    assert len(prompts) >= 5
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    said = Counter(
        base.generate(torch.tensor([prompt]), max_new_tokens=4, min_new_tokens=4, do_sample=False)[
            0, -1
        ].item()
        for prompt in prompts
    )
    second = said.most_common(1)[0][0]
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": [usual[0], second]}))
    assert tutelage("prepare", "--data", "my.json", "--output", "run", "--overwrite", *words).code == 0
    assert tutelage("train", "run").code == 0
    assert tutelage("evaluate", "run").code in (0, 7, 8)
    records = read_json_lines(run.root / "evaluation" / "base.jsonl")
    found = [(record["response_tokens"], record["stopped"]) for record in records]
    assert found == own_answers(model, prompts, [*usual, second])
    assert found != own_answers(model, prompts, usual), "one end alone understates the base"
