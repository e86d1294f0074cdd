"""What stands beside exported weights, in words that other programs and other versions of transformers read alike.

transformers 5 writes rotary positions and tokenizers in a form that transformers 4 skips without a word, or stops at.
"""

from collections.abc import Collection
from copy import deepcopy
from pathlib import Path
from typing import Any

from tutelage.model.folders import read_json_file
from tutelage.model.loading import quietly
from tutelage.run.folder import write_json

CONFIG, TOKENIZER_CONFIG, GENERATION_CONFIG, ADAPTER_CONFIG = (
    "config.json",
    "tokenizer_config.json",
    "generation_config.json",
    "adapter_config.json",
)
# The class that takes a tokenizer.json as it is, by the name that both versions know.
TOKENIZER_CLASS = "PreTrainedTokenizerFast"
# How it was loaded here, which transformers 5 notes with the rest.
OF_THIS_LOADING = ("is_local", "local_files_only")
# Of transformers 5 alone, which reads the other two in place of them.
ROPE = "rope_parameters"
THETA, SHARE = "rope_theta", "partial_rotary_factor"
# Other names that families of transformers 4 have for the base and for the share of a head that is rotated.
OTHER_NAMES = {
    "gpt_neox": {"rotary_emb_base": THETA, "rotary_pct": SHARE},
    "gpt_neox_japanese": {"rotary_emb_base": THETA, "rotary_pct": SHARE},
}
# transformers 4 wants these three there and no other.
SCALING_OF_PHI3 = ("type", "short_factor", "long_factor")
# By task, a pipeline would take its settings from here before those of the generation config.
SETTINGS_BY_TASK = "task_specific_params"


def write_generation_config(folder: Path, tokenizer: Any, ends: Collection[int], *, vocabulary: int) -> None:
    """Write what the run's own greedy answers were taken with, and nothing of the base model's settings."""
    known = sorted(token for token in ends if token < vocabulary)
    roles = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": known,
        "pad_token_id": known[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
    }
    told = {role: ids for role, ids in roles.items() if ids is not None}
    write_json(folder / GENERATION_CONFIG, {**told, "do_sample": False})


def adapt_config(folder: Path) -> None:
    """Say rotary positions in both ways, and take out what would change how answers are searched for."""
    config = read_json_file(folder / CONFIG)
    config.pop(SETTINGS_BY_TASK, None)
    both = {**config, **older_rope(config)}
    if _rope_read_from(both) != _rope_read_from(config):  # which would be wrong in transformers 5
        both = config
    write_json(folder / CONFIG, both)


def older_rope(config: dict[str, Any]) -> dict[str, Any]:
    """Return the rotary positions of a config.json as transformers 4 has them."""
    ropes = config.get(ROPE)
    if not isinstance(ropes, dict):
        return {}
    kinds = {kind: rope for kind, rope in ropes.items() if isinstance(rope, dict)}
    # The layers that attend to everything; others can only have another base there.
    rope = kinds.get("full_attention", next(iter(kinds.values()))) if kinds else ropes
    scaling = {name: value for name, value in rope.items() if name not in (THETA, SHARE)}
    is_plain = scaling.get("rope_type", "default") == "default" and len(scaling) <= 1
    if config.get("model_type") == "phi3" and not is_plain:
        scaling = {name: {**scaling, "type": "longrope"}.get(name) for name in SCALING_OF_PHI3}
    older: dict[str, Any] = {THETA: rope.get(THETA), "rope_scaling": None if is_plain else scaling}
    if SHARE in rope:
        older[SHARE] = rope[SHARE]
    for name, same in OTHER_NAMES.get(str(config.get("model_type")), {}).items():
        older[name] = older.pop(same, None)
    if "sliding_attention" in kinds:
        older["rope_local_base_freq"] = kinds["sliding_attention"].get(THETA)
    return {name: value for name, value in older.items() if value is not None or name == "rope_scaling"}


def _rope_read_from(config: dict[str, Any]) -> Any:
    from transformers import AutoConfig  # noqa: PLC0415 - seconds that --help must not take

    kind = {name: value for name, value in config.items() if name != "model_type"}
    with quietly():
        ropes = AutoConfig.for_model(config["model_type"], **deepcopy(kind)).to_dict().get(ROPE)
    # `type` is the older name of `rope_type`, and is kept beside it.
    return {name: value for name, value in (ropes or {}).items() if name != "type"}


def adapt_tokenizer(folder: Path, **settings: Any) -> None:
    """Name the tokenizer's class and its further control tokens as both versions do, with `settings` beside them."""
    told = read_json_file(folder / TOKENIZER_CONFIG) | {"tokenizer_class": TOKENIZER_CLASS} | settings
    for name in OF_THIS_LOADING:
        told.pop(name, None)
    further = told.pop("extra_special_tokens", None)
    if isinstance(further, list):
        told["additional_special_tokens"] = further
    elif further:
        told["extra_special_tokens"] = further
    write_json(folder / TOKENIZER_CONFIG, told)


def name_base(folder: Path, name: str, revision: str | None) -> None:
    """Say in an adapter's configuration where anyone can have its base model, as peft looks for it."""
    told = read_json_file(folder / ADAPTER_CONFIG)
    write_json(folder / ADAPTER_CONFIG, {**told, "base_model_name_or_path": name, "revision": revision})
