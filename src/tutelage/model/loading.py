"""Loads tokenizers and models from local folders; torch and transformers are imported when one is loaded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.errors import MemoryExhaustedError, ModelError
from tutelage.model.folders import check_model_folder, check_no_code, read_json_file
from tutelage.system.platforms import address_space_left
from tutelage.system.runtime import available_memory_bytes, is_out_of_memory

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

# How families name the longest sequence their positions reach.
CONTEXT_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "n_ctx",
    "seq_length",
    "max_seq_len",
)
# Of address space, what is left to the libraries that end the process where they get none.
SPARE_BYTES = 100_000_000
# Biases that fall with the distance (ALiBi) have no last position; this is what Bloom was trained on.
ALIBI_CONTEXT = 2048


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer that the folder's tokenizer.json describes, to the letter; ModelError when there is none.

    AutoTokenizer would rebuild some classes from the vocabulary alone, with a pre-tokenizer of its own: a
    SmolLM2 folder that says GPT2Tokenizer would get its digits split otherwise than in training.
    """
    check_no_code(folder)
    if not (folder / "tokenizer.json").is_file():
        raise ModelError("model.no_tokenizer", f"{folder} has no tokenizer.json. {_TOKENIZER_REMEDY}")
    with quietly(), _loading_faults(folder, "tokenizer"):
        from transformers import PreTrainedTokenizerFast  # noqa: PLC0415 - seconds that --help must not take

        tokenizer = PreTrainedTokenizerFast.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    # Rows are held against the context by name and number; transformers would print a line of its own beside that.
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True
    return tokenizer


_ONE_AT_A_TIME = threading.RLock()


def load_model(
    folder: Path, *, dtype: torch.dtype, device: torch.device, attention: str = "sdpa"
) -> PreTrainedModel:
    """The causal model in `folder` as `dtype` on `device`, in evaluation mode; ModelError if damaged."""
    check_model_folder(folder, needs=["config.json"])  # a checkpoint has no tokenizer, and needs none here
    _require_memory(folder, bytes_per_weight=dtype.itemsize)
    with quietly(), _loading_faults(folder, "model"):
        from transformers import AutoModelForCausalLM  # noqa: PLC0415 - seconds that --help must not take

        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation=attention,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    model, report = loaded
    # transformers would go on with random numbers in their place.
    if report["missing_keys"]:
        raise ModelError(
            "model.weights_missing",
            f"{folder} lacks weights that its config.json requires"
            f" ({', '.join(sorted(report['missing_keys'])[:5])}). Download it again, or fix config.json.",
        )
    _generate_greedily(model)
    return model.to(device).eval()


def _require_memory(folder: Path, *, bytes_per_weight: int) -> None:
    """Stop where the memory does not hold a model: Rust and C++ end the process at an allocation that fails."""
    weights, files = weights_in(folder) * bytes_per_weight, _bytes_of_weights(folder)
    # While they are read, the files are mapped beside the weights.
    wanted = {
        "memory": (weights, available_memory_bytes()),
        "address space": (files + weights + SPARE_BYTES, address_space_left()),
    }
    for what, (needed, left) in wanted.items():
        if needed > left:
            raise MemoryExhaustedError(
                "train.not_enough_memory",
                f"The model in {folder} needs {needed:,} bytes of {what}, but only {left:,} are left. Close"
                " other programs, raise the limit of this process (`ulimit -v`) if it has one, or choose a"
                " smaller model.",
            )


def weights_in(folder: Path) -> int:
    """Return how many weights a model's folder holds."""
    config = (folder / "config.json").read_text(encoding="utf-8")
    is_half = '"bfloat16"' in config or '"float16"' in config
    return _bytes_of_weights(folder) // (2 if is_half else 4)


def _bytes_of_weights(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _generate_greedily(model: PreTrainedModel) -> None:
    """Leave of a generation config what tokens mean alone: what is trained is neither asked nor saved with the rest.

    A penalty for repetitions would stay in what is saved, and some settings cannot be saved without sampling.
    """
    from transformers import GenerationConfig  # noqa: PLC0415 - seconds that --help must not take

    own = getattr(model, "generation_config", None)
    if own is not None:
        roles = ("bos_token_id", "eos_token_id", "pad_token_id")
        model.generation_config = GenerationConfig(**{role: getattr(own, role) for role in roles})


def load_as_anyone(folder: Path, *, base: Path) -> tuple[Any, Any]:
    """The tokenizer in `folder` and the float32 model in `base`, as the card of an export says to load them.

    Nothing of this project stands between the weights and transformers, so that what is found holds for other programs.
    The tokenizer is that of the file: for a qwen2 AutoTokenizer takes Qwen2's own cuts, whatever tokenizer.json says.
    """
    import torch  # noqa: PLC0415 - seconds that --help must not take
    from transformers import AutoModelForCausalLM, GenerationConfig  # noqa: PLC0415 - as above

    tokenizer = load_tokenizer(folder)
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, local_files_only=True, trust_remote_code=False
    )
    if base != folder:  # an adapter brings its own, and its base has another
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return tokenizer, model.eval()


def model_without_weights(folder: Path) -> PreTrainedModel:
    """The causal model that the folder's config.json describes, on no device and without memory for its weights."""
    check_model_folder(folder, needs=["config.json"])
    config = load_config(folder)
    with quietly(), _loading_faults(folder, "configuration"):
        import torch  # noqa: PLC0415 - seconds that --help must not take
        from transformers import AutoModelForCausalLM  # noqa: PLC0415 - as above

        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def load_config(folder: Path) -> Any:
    """The configuration of a model folder as transformers reads it."""
    from transformers import AutoConfig  # noqa: PLC0415 - seconds that --help must not take

    with quietly(), _loading_faults(folder, "configuration"):
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def has_sequence_classifier(family: str) -> bool:
    """Whether transformers has a model for sequence classification of a family, by its model_type."""
    from transformers.models.auto.modeling_auto import (  # noqa: PLC0415 - only where one is asked for
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    )

    return family in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES


def new_sequence_classifier(config: Any) -> Any:
    """transformers' model for sequence classification of a configuration, in float32; its weights are yet to come."""
    import torch  # noqa: PLC0415 - seconds that --help must not take
    from transformers import AutoModelForSequenceClassification  # noqa: PLC0415 - as above

    return AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)


def context_length(folder: Path) -> int:
    """The longest sequence, in tokens, that the model in `folder` takes; ModelError if it does not say."""
    config = read_json_file(folder / "config.json")
    for key in CONTEXT_KEYS:
        if isinstance(config.get(key), int):
            # Within its window a model attends to all before it, as the tree does; beyond, the two would differ.
            window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
            return min(config[key], window or config[key], _steady_positions(config) or config[key])
    if config.get("alibi") or config.get("model_type") == "bloom":
        return ALIBI_CONTEXT
    raise ModelError(
        "model.no_context_length",
        f"{folder / 'config.json'} does not state the context length (none of {', '.join(CONTEXT_KEYS)})."
        " Add max_position_embeddings to it.",
    )


def _steady_positions(config: dict[str, Any]) -> int | None:
    """Return up to which length a token's position does not depend on the rows beside it; None where it never does.

    Beyond it the positions of `longrope` are scaled by the longest row of a batch, those before the longest too.
    """
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rotary.get("rope_type", rotary.get("type")) not in ("longrope", "su"):
        return None
    name = "original_max_position_embeddings"
    found = rotary.get(name) or config.get(name)
    return found if isinstance(found, int) else None


def vocabulary_size(folder: Path) -> int:
    """How many token ids, from 0 on, the model in `folder` has weights for; ModelError if it does not say."""
    path = folder / "config.json"
    size = read_json_file(path).get("vocab_size")
    if not isinstance(size, int):
        raise ModelError(
            "model.no_vocabulary_size",
            f"{path} does not state the vocabulary size. Add vocab_size to it.",
        )
    return size


@contextmanager
def quietly() -> Iterator[None]:
    """Silence the progress bars and the advice of transformers; faults still come as exceptions.

    One thread at a time: that state is the process's, and so is what `from_pretrained` does to `tie_weights` meanwhile.
    """
    from transformers.utils import logging  # noqa: PLC0415 - seconds that --help must not take

    with _ONE_AT_A_TIME:
        verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
            if had_bars:
                logging.enable_progress_bar()


_TOKENIZER_REMEDY = (
    "Load the tokenizer in the program that created the folder and save it again; that writes the file."
)


@contextmanager
def _loading_faults(folder: Path, thing: str) -> Iterator[None]:
    try:
        yield
    except Exception as fault:  # a damaged folder can fail anywhere in the libraries
        reason = str(fault).strip().split("\n")[0]
        if is_out_of_memory(fault):
            raise MemoryExhaustedError(
                "train.not_enough_memory",
                f"Out of memory for the {thing} in {folder} ({reason or type(fault).__name__}). Close other"
                " programs, or choose a smaller model.",
            ) from None
        raise ModelError(
            "model.cannot_be_loaded",
            f"The {thing} in {folder} could not be loaded: {type(fault).__name__}: {reason}. Download"
            " damaged or missing files again; if its model family is not supported, choose another model.",
        ) from fault
