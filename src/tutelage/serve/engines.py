"""Which engine answers: llama.cpp from a verified export where there is one, else torch from the run's own weights."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from tutelage.errors import RecipeError
from tutelage.generation.llama_cpp import open_gguf
from tutelage.machine import core_count
from tutelage.model.loading import context_length
from tutelage.model.sources import ModelSource
from tutelage.recipe import Recipe
from tutelage.run_folder import RunFolder
from tutelage.serve.exported import VerifiedFile, verified_file
from tutelage.serve.llama_engine import LlamaEngine
from tutelage.serve.opening import Served, open_served
from tutelage.serve.questions import Engine
from tutelage.serve.torch_engine import TorchEngine

EngineName = Literal["auto", "torch", "llama.cpp"]


@dataclass(frozen=True)
class Opened:
    """What answers, what it needs of the run, and a sentence that tells which engine it is and why."""

    engine: Engine
    served: Served
    told: str


def open_engine(
    wanted: EngineName, run: RunFolder, recipe: Recipe, source: ModelSource, *, context: int, at_once: int
) -> Opened:
    """Load the tuned model; the base is loaded when it is asked. `context`: tokens of a prompt with its answer.

    RecipeError where llama.cpp is wanted and cannot answer for this run.
    """
    context = min(context, context_length(source.folder))
    export = "it was asked for" if wanted == "torch" else verified_file(run)
    if wanted == "llama.cpp" and not isinstance(export, VerifiedFile):
        raise RecipeError(
            f"llama.cpp cannot answer for {run.root}: {export}. --engine torch needs no export."
        )
    if isinstance(export, VerifiedFile):
        return _open_llama(export, run, recipe, source, context=context, at_once=at_once)
    served, own = _open_own(run, recipe, source, context=context, at_once=at_once)
    own.open("tuned")
    return Opened(own, served, f"Both are answered by torch, from the run's own weights: {export}.")


def _open_own(
    run: RunFolder, recipe: Recipe, source: ModelSource, *, context: int, at_once: int
) -> tuple[Served, TorchEngine]:
    served = open_served(run, recipe, source, context=context)
    engine = TorchEngine(served.open_arm, served.tokenizer, end_of_turn=served.end_of_turn, at_once=at_once)
    return served, engine


def _open_llama(
    export: VerifiedFile, run: RunFolder, recipe: Recipe, source: ModelSource, *, context: int, at_once: int
) -> Opened:
    with ThreadPoolExecutor(1) as beside:
        # llama.cpp reads its file while Python imports what it reads the prompts with.
        model = beside.submit(open_gguf, export.path, context=context, at_once=at_once, threads=core_count())
        served, own = _open_own(run, recipe, source, context=context, at_once=at_once)
    try:
        engine = LlamaEngine(model.result(), otherwise=own)
    except RuntimeError as fault:
        raise RecipeError(
            f"llama.cpp cannot load {export.path}: {fault}. Serve with --engine torch."
        ) from fault
    return Opened(
        engine,
        served,
        f"`tuned` is answered by llama.cpp from {export.path}, which gave the run's own answer to"
        f" {export.answers_equal:,} of {export.prompts:,} prompts when it was exported.",
    )
