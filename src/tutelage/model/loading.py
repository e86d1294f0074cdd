"""Load tokenizers and models from local folders; torch and transformers are imported on first use."""

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

# Names of the longest supported sequence in different model families.
CONTEXT_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "n_ctx",
    "seq_length",
    "max_seq_len",
)
# Address space left for libraries that end the process when an allocation fails.
SPARE_BYTES = 100_000_000
# Biases that decrease with distance (ALiBi) have no last position; Bloom was trained on this length.
ALIBI_CONTEXT = 2048


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Return the tokenizer exactly as the folder's tokenizer.json describes it; raise ModelError if there is
    none.

    AutoTokenizer would rebuild some classes from the vocabulary alone, with their own pre-tokenizer: for a
    SmolLM2 folder that names GPT2Tokenizer, digits would be split differently than in training.
    """
    check_no_code(folder)
    if not (folder / "tokenizer.json").is_file():
        raise ModelError("model.no_tokenizer", f"{folder} has no tokenizer.json. {_TOKENIZER_REMEDY}")
    with quietly(), _loading_faults(folder, "tokenizer"):
        from transformers import PreTrainedTokenizerFast  # noqa: PLC0415 - seconds that --help must not take

        tokenizer = PreTrainedTokenizerFast.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    # Long rows are reported by file and row number; transformers would add a warning of its own.
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True
    return tokenizer


_ONE_AT_A_TIME = threading.RLock()


def load_model(
    folder: Path, *, dtype: torch.dtype, device: torch.device, attention: str = "sdpa"
) -> PreTrainedModel:
    """Load the causal model in `folder` as `dtype` on `device`, in evaluation mode; raise ModelError if
    damaged.
    """
    check_model_folder(folder, needs=["config.json"])  # a checkpoint has no tokenizer and needs none here
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
    # transformers would initialize them randomly and continue.
    if report["missing_keys"]:
        raise ModelError(
            "model.weights_missing",
            f"{folder} lacks weights that its config.json requires"
            f" ({', '.join(sorted(report['missing_keys'])[:5])}). Download it again, or fix config.json.",
        )
    _generate_greedily(model)
    return model.to(device).eval()


def _require_memory(folder: Path, *, bytes_per_weight: int) -> None:
    """Raise MemoryExhaustedError if a model does not fit: in Rust and C++ a failed allocation ends the process."""
    weights, files = weights_in(folder) * bytes_per_weight, _bytes_of_weights(folder)
    # While they are read, the files are mapped in addition to the weights.
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
    """Return the number of weights in a model folder."""
    config = (folder / "config.json").read_text(encoding="utf-8")
    is_half = '"bfloat16"' in config or '"float16"' in config
    return _bytes_of_weights(folder) // (2 if is_half else 4)


def _bytes_of_weights(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _generate_greedily(model: PreTrainedModel) -> None:
    """Keep only the token roles of the generation config, because it is saved along with the trained model.

    A repetition penalty would remain in the saved model, and some settings cannot be saved without sampling.
    """
    from transformers import GenerationConfig  # noqa: PLC0415 - seconds that --help must not take

    own = getattr(model, "generation_config", None)
    if own is not None:
        roles = ("bos_token_id", "eos_token_id", "pad_token_id")
        model.generation_config = GenerationConfig(**{role: getattr(own, role) for role in roles})


def load_as_anyone(folder: Path, *, base: Path) -> tuple[Any, Any]:
    """Load the tokenizer in `folder` and the float32 model in `base`, in the way the model card of an export
    describes.

    Only transformers is used, so the results hold for other programs. The tokenizer is the exception: for
    qwen2, AutoTokenizer splits text as Qwen2 does, whatever tokenizer.json says, so the file itself is loaded.
    """
    import torch  # noqa: PLC0415 - seconds that --help must not take
    from transformers import AutoModelForCausalLM, GenerationConfig  # noqa: PLC0415 - as above

    tokenizer = load_tokenizer(folder)
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, local_files_only=True, trust_remote_code=False
    )
    if base != folder:  # an adapter has its own, different from that of the base
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return tokenizer, model.eval()


def model_without_weights(folder: Path) -> PreTrainedModel:
    """Build the causal model described by the folder's config.json on the meta device, without memory for
    weights.
    """
    check_model_folder(folder, needs=["config.json"])
    config = load_config(folder)
    with quietly(), _loading_faults(folder, "configuration"):
        import torch  # noqa: PLC0415 - seconds that --help must not take
        from transformers import AutoModelForCausalLM  # noqa: PLC0415 - as above

        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def load_config(folder: Path) -> Any:
    """Return the configuration of a model folder as transformers reads it."""
    from transformers import AutoConfig  # noqa: PLC0415 - seconds that --help must not take

    with quietly(), _loading_faults(folder, "configuration"):
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def has_sequence_classifier(family: str) -> bool:
    """Return whether transformers has a sequence classification model for a family, given by its model_type."""
    from transformers.models.auto.modeling_auto import (  # noqa: PLC0415 - only where one is asked for
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    )

    return family in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES


def new_sequence_classifier(config: Any) -> Any:
    """Return a float32 sequence classification model for a configuration; its weights are not loaded yet."""
    import torch  # noqa: PLC0415 - seconds that --help must not take
    from transformers import AutoModelForSequenceClassification  # noqa: PLC0415 - as above

    return AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)


def context_length(folder: Path) -> int:
    """Return the longest sequence, in tokens, that the model in `folder` supports; raise ModelError if unknown."""
    config = read_json_file(folder / "config.json")
    for key in CONTEXT_KEYS:
        if isinstance(config.get(key), int):
            # Up to the window, the model attends to all earlier tokens, like the tree; beyond it the two would
            # differ.
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
    """Return the length up to which positions do not depend on other rows in the batch; None if there is no
    limit.

    Beyond it, `longrope` scales all positions of a batch by its longest row, even those before the limit.
    """
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rotary.get("rope_type", rotary.get("type")) not in ("longrope", "su"):
        return None
    name = "original_max_position_embeddings"
    found = rotary.get(name) or config.get(name)
    return found if isinstance(found, int) else None


def vocabulary_size(folder: Path) -> int:
    """Return the number of token ids that the model in `folder` has weights for; raise ModelError if unknown."""
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
    """Suppress progress bars and advice from transformers; errors are still raised.

    Only one thread at a time: the setting is global, and so is what `from_pretrained` does to `tie_weights`.
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
