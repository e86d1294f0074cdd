"""Choose the engine: llama.cpp with a verified export if there is one, otherwise torch with the run's weights."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tutelage.errors import RecipeError
from tutelage.generation.llama_cpp import LlamaCpp, load_gguf
from tutelage.model.loading import context_length
from tutelage.model.trained import TrainedModel
from tutelage.serve.answering_model import Served, load_served
from tutelage.serve.exported import VerifiedFile, verified_file
from tutelage.serve.generation_requests import Engine
from tutelage.serve.llama_engine import LlamaEngine
from tutelage.serve.torch_engine import TorchEngine
from tutelage.system.autotune import core_count

EngineName = Literal["auto", "torch", "llama.cpp"]


@dataclass(frozen=True)
class Opened:
    """An engine, the run that it serves, and a sentence that says which engine it is and why."""

    engine: Engine
    served: Served
    description: str


def load_engine(
    wanted: EngineName, trained: TrainedModel, exports: Path, *, context: int, at_once: int
) -> Opened:
    """Load the tuned model; the base is loaded on its first request. `context`: tokens of prompt and answer.

    The GGUF file is searched in the folder `exports`. Raise RecipeError if llama.cpp was requested but cannot
    serve this run.
    """
    context = min(context, context_length(trained.source.folder))
    with ThreadPoolExecutor(1) as beside:
        # Check and read the GGUF file while the prompt renderer is loaded.
        llama = beside.submit(
            _load_llama_cpp, wanted, exports, trained.name, context=context, at_once=at_once
        )
        served = load_served(trained, context=context)
        found = llama.result()
    own = TorchEngine(served.load_variant, served.tokenizer, end_tokens=served.end_tokens, at_once=at_once)
    if isinstance(found, str):
        own.load("tuned")
        return Opened(own, served, f"torch serves both models from the run's own weights: {found}.")
    model, export = found
    return Opened(
        LlamaEngine(model, otherwise=own),
        served,
        f"llama.cpp serves `tuned` from {export.path}, which reproduced the run's own answer to"
        f" {export.answers_equal:,} of {export.prompts:,} prompts when it was exported.",
    )


def _load_llama_cpp(
    wanted: EngineName, exports: Path, run: str, *, context: int, at_once: int
) -> tuple[LlamaCpp, VerifiedFile] | str:
    """Load the verified export, or return why llama.cpp cannot be used; raise RecipeError if it was requested."""
    if wanted == "torch":
        return "requested with --engine torch"
    export = verified_file(exports, run)
    if isinstance(export, str):
        if wanted == "llama.cpp":
            raise RecipeError(
                "serve.no_verified_export",
                f"llama.cpp cannot serve {run}: {export}. Or serve with --engine torch, which needs no"
                " export.",
            )
        return export
    try:
        return load_gguf(export.path, context=context, at_once=at_once, threads=core_count()), export
    except RuntimeError as fault:
        raise RecipeError(
            "serve.cannot_load_export",
            f"llama.cpp cannot load {export.path}: {str(fault).rstrip('.')}. Serve with --engine torch.",
        ) from fault
