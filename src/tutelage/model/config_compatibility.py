"""Make the configuration of exported weights readable for transformers 4 and 5, and for other programs.

transformers 5 writes rotary position settings and tokenizers in a form that transformers 4 ignores or rejects.
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
# Loads tokenizer.json as it is; both versions know the class by this name.
TOKENIZER_CLASS = "PreTrainedTokenizerFast"
# Keys that transformers 5 adds about how the tokenizer was loaded.
OF_THIS_LOADING = ("is_local", "local_files_only")
# Only transformers 5 has ROPE; it also reads the other two.
ROPE = "rope_parameters"
THETA, SHARE = "rope_theta", "partial_rotary_factor"
# Model families with other names in transformers 4 for the base frequency and the rotated share of a head.
OTHER_NAMES = {
    "gpt_neox": {"rotary_emb_base": THETA, "rotary_pct": SHARE},
    "gpt_neox_japanese": {"rotary_emb_base": THETA, "rotary_pct": SHARE},
}
# transformers 4 requires exactly these three.
SCALING_OF_PHI3 = ("type", "short_factor", "long_factor")
# A pipeline would prefer these settings to the generation config.
SETTINGS_BY_TASK = "task_specific_params"


def write_generation_config(folder: Path, tokenizer: Any, ends: Collection[int], *, vocabulary: int) -> None:
    """Write a generation config with the settings of the run's own greedy answers, without those of the base
    model.
    """
    known = sorted(token for token in ends if token < vocabulary)
    roles = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": known,
        "pad_token_id": known[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
    }
    told = {role: ids for role, ids in roles.items() if ids is not None}
    write_json(folder / GENERATION_CONFIG, {**told, "do_sample": False})


def adapt_config(folder: Path) -> None:
    """Write rotary positions in both forms, and remove settings that would change how answers are decoded."""
    config = read_json_file(folder / CONFIG)
    config.pop(SETTINGS_BY_TASK, None)
    both = {**config, **older_rope(config)}
    if _rope_read_from(both) != _rope_read_from(config):  # it would be wrong in transformers 5
        both = config
    write_json(folder / CONFIG, both)


def older_rope(config: dict[str, Any]) -> dict[str, Any]:
    """Return the rotary position settings of a config.json in the form of transformers 4."""
    ropes = config.get(ROPE)
    if not isinstance(ropes, dict):
        return {}
    kinds = {kind: rope for kind, rope in ropes.items() if isinstance(rope, dict)}
    # Take the full-attention layers; transformers 4 can only give other layers a different base.
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
    # transformers keeps `type`, the older name of `rope_type`, beside it.
    return {name: value for name, value in (ropes or {}).items() if name != "type"}


def adapt_tokenizer(folder: Path, **settings: Any) -> None:
    """Write the tokenizer's class and extra control tokens in a form that both versions read, along with
    `settings`.
    """
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
    """Record the public name of the base model in an adapter's configuration, where peft looks for it."""
    told = read_json_file(folder / ADAPTER_CONFIG)
    write_json(folder / ADAPTER_CONFIG, {**told, "base_model_name_or_path": name, "revision": revision})
