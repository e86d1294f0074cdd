"""Check that every name in adapter.target_modules fits a model, using only the headers of its weight files.

Names work as in peft: each name in a list is a whole module name or its suffix after a dot; a single string is
a regular expression that matches a whole module name.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NoReturn

from tutelage.config.recipe_adapter import ALL_LINEAR, Tuning
from tutelage.errors import ModelError, RecipeError
from tutelage.model.folders import (
    check_model_folder,
    raise_if_short_of_memory,
    read_json_file,
    read_shapes,
)
from tutelage.model.fused_experts import dimensions_of_loaded
from tutelage.text.patterns import PatternTimeoutError, compile_pattern

# Weight files of a body without a head lack the prefix that modules have in the full model.
BODY_PREFIXES = ("model.", "transformer.", "gpt_neox.", "backbone.")
HEAD = "lm_head"  # absent from files if the head is tied to the embedding
EMBEDDINGS_AND_HEADS = (HEAD, "wte", "head", "output", "tok_embeddings")
LONGEST_REASON = 200
NAMES_LISTED = 40


def check_targets_of_folder(folder: Path, tuning: Tuning) -> None:
    """Raise RecipeError if adapter.target_modules does not fit the model in a folder; only weight headers are
    read.
    """
    if not tuning.is_lora or tuning.adapter.target_modules == ALL_LINEAR:
        return
    shapes: dict[str, tuple[int, ...]] = {}
    for weights in check_model_folder(folder, needs=["config.json"]):
        try:
            shapes |= read_shapes(weights)
        except Exception as fault:  # the library's own errors, and the system's
            raise_if_short_of_memory(fault, f"the headers of {weights}")
            reason = " ".join(str(fault).split())[:LONGEST_REASON].rstrip(".")
            raise ModelError(
                "model.file_unreadable",
                f"{weights} could not be read: {reason}. Download the model folder again.",
            ) from fault
    of_modules = {
        name.removesuffix(".weight"): shape for name, shape in shapes.items() if name.endswith(".weight")
    }
    dimensions = {name: len(shape) for name, shape in of_modules.items()}
    for name in of_modules:
        parts = name.split(".")
        dimensions |= {
            container: 0
            for end in range(1, len(parts))
            if (container := ".".join(parts[:end])) not in of_modules
        }
    # If experts are loaded as one parameter, the names in the files differ from the module names.
    dimensions = dimensions_of_loaded(folder, dimensions, prefixes=("", *BODY_PREFIXES)) or dimensions
    tied = _tied_modules(folder, of_modules)
    dimensions |= dict.fromkeys(tied, 2)
    check_targets(tuning.adapter.target_modules, dimensions, tied=tied, prefixes=("", *BODY_PREFIXES))


def _tied_modules(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> set[str]:
    """Return the embedding and head if they share weights, else an empty set."""
    config = read_json_file(folder / "config.json")
    config = {**config, **(config.get("text_config") or {})}
    of_vocabulary = {
        name
        for name, shape in shapes.items()
        if len(shape) == 2 and shape[0] == config.get("vocab_size") and _is_embedding_or_head(name)
    }
    has_own_head = len(of_vocabulary) > 1 and not config.get("tie_word_embeddings")
    return set() if has_own_head else of_vocabulary | {HEAD}


def _is_embedding_or_head(name: str) -> bool:
    """Decide by name; other matrices can also have as many rows as the vocabulary."""
    last = name.rsplit(".", 1)[-1]
    return last in EMBEDDINGS_AND_HEADS or ("embed" in last and "position" not in last)


def check_targets(
    targets: str | list[str],
    dimensions: Mapping[str, int],
    *,
    tied: Collection[str],
    prefixes: Collection[str] = ("",),
) -> list[str]:
    """Return the matching modules; raise RecipeError if a target matches none, or one that cannot take an
    adapter.

    `dimensions` holds the number of dimensions of each module's weight, or 0 if it has none. `tied` are the
    embedding and the head if they share weights. `prefixes` may precede a module's name in the loaded model.
    """

    def fail(code: str, what: str) -> NoReturn:
        suitable = {name.rsplit(".", 1)[-1] for name, count in dimensions.items() if count >= 2}
        names = sorted(suitable - {name.rsplit(".", 1)[-1] for name in tied})
        more = ", …" if len(names) > NAMES_LISTED else ""
        raise RecipeError(
            code,
            f"adapter.target_modules is {targets!r}, which does not fit this model: {what}. Its modules that can"
            f" take an adapter are named {', '.join(names[:NAMES_LISTED])}{more}. Set adapter.target_modules to some of"
            f" these, or to {ALL_LINEAR}.",
        )

    found: set[str] = set()
    for target in [targets] if isinstance(targets, str) else targets:
        matches = compile_pattern(target).fullmatch if isinstance(targets, str) else _ends_on(target)
        try:
            matched = {name for name in dimensions if any(matches(prefix + name) for prefix in prefixes)}
        except PatternTimeoutError as fault:
            fail("settings.target_modules_timeout", f"{fault} in the name of a module")
        shared = sorted(matched & set(tied))
        if shared:
            fail(
                "settings.target_modules_tied",
                f"{shared[0]} shares its weights between the embeddings and the head, so an adapter on one"
                " of them could not be merged",
            )
        if not matched:
            fail("settings.target_modules_unknown", f"no module matches {target!r}")
        unsuitable = sorted(name for name in matched if dimensions[name] < 2)
        if unsuitable:
            fail(
                "settings.target_modules_unsuitable",
                f"{target!r} matches {unsuitable[0]}, which has no weight matrix of its own",
            )
        found |= matched
    return sorted(found)


def _ends_on(target: str) -> Callable[[str], bool]:
    return lambda name: name == target or name.endswith(f".{target}")
