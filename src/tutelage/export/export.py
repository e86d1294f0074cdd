"""Exports a run in the formats that are asked for: made beside its place, verified, and only then published."""

import copy
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tutelage.errors import ExportError, RunFolderError
from tutelage.export.converter import convert, refuse_unwritable
from tutelage.export.gguf_file import is_written_here, rewrite_gguf, write_gguf
from tutelage.export.gguf_metadata import further_ends
from tutelage.export.model_card import model_card
from tutelage.export.ollama import modelfile
from tutelage.export.record import Exported, record
from tutelage.export.style import TEMPLATE, Style, make_style
from tutelage.export.verification import Comparison, Reference, ask_reference, compare
from tutelage.generation.llama_cpp import is_installed
from tutelage.model.assembly import open_merged
from tutelage.model.end_tokens import end_tokens
from tutelage.model.folders import read_json_file
from tutelage.model.forward import CausalModel
from tutelage.model.gguf_conversion import convert_gguf
from tutelage.model.loading import context_length, load_tokenizer, quietly, vocabulary_size
from tutelage.model.other_programs import adapt_config, adapt_tokenizer, name_base, write_generation_config
from tutelage.model.sources import ModelSource
from tutelage.model.trained import TrainedModel
from tutelage.run.evaluation import AnswerEvaluation, Evaluation
from tutelage.run.folder import ExportFolder, gguf_name, write_json, write_text
from tutelage.system.storage import MANIFEST, file_sha256, staged_folder, storage_faults
from tutelage.tree.examples import PreparedRow

PEFT, HF, GGUF, OLLAMA = TARGETS = ("peft", "hf", "gguf", "ollama")
ACTIVATION_KEYS = ("activation_function", "hidden_activation", "hidden_act")
SENTENCEPIECE = "tokenizer.model"  # a vocabulary that only the converter wants
MODELFILE, CARD = "Modelfile", "README.md"
# What an export was verified with.
TRANSFORMERS = "transformers' generate()"
TRAINING_RECORDS = (
    "training.json",
    "recipe.toml",
    CARD,
    MANIFEST,
)  # of model/, what an export has no use for

# Shows that something of unknown length is under way.
Waiting = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class _Work:
    """What all formats of one export share."""

    trained: TrainedModel
    evaluation: AnswerEvaluation | None
    style: Style
    ends: frozenset[int]
    reference: Reference
    merged: Any  # None where only the adapter is wanted
    quantization: str

    @property
    def source(self) -> ModelSource:
        return self.trained.source


def export_answering(
    trained: TrainedModel,
    held_out: Iterable[PreparedRow],
    evaluation: Evaluation | None,
    folder: ExportFolder,
    targets: Sequence[str],
    *,
    quantization: str,
    waiting: Waiting,
) -> list[Exported]:
    """Make, verify and publish each format; ExportError at the first that is not the model that was trained.

    The prompts of the rows that were `held_out` prove it, and the card tells of the `evaluation`.
    """
    assert evaluation is None or isinstance(evaluation, AnswerEvaluation), "the model writes answers"
    recipe, source = trained.recipe, trained.source
    tokenizer = load_tokenizer(source.folder)
    style = make_style(tokenizer, recipe.data.prompt)
    ends = end_tokens(source.folder, tokenizer, style.end_of_turn_id)
    if {GGUF, OLLAMA} & {*targets}:
        further_ends(source, style, end_of_text=tokenizer.eos_token_id)  # before anything long is begun
    with waiting("Merging the weights"):
        merged = open_merged(source, trained.weights, recipe.adapter) if {*targets} != {PEFT} else None
    with waiting("The run's model answers"):
        reference = ask_reference(
            held_out,
            # As evaluation does, but in float32, so that no rounding hides a difference.
            trained.open_tuned(trained.open_base(torch.device("cpu"), torch.float32)),
            style,
            ends,
            room=context_length(source.folder),
            vocabulary=vocabulary_size(source.folder),
        )
    work = _Work(trained, evaluation, style, ends, reference, merged, quantization)
    done: list[Exported] = []
    for target in targets:
        done.append(_publish(work, folder, target, done, waiting))
    return done


def check_answering_export(trained: TrainedModel, targets: Sequence[str]) -> None:
    """Stop where a model that writes answers cannot be exported so."""
    if PEFT in targets and trained.recipe.adapter.type != "lora":
        raise RunFolderError(
            "export.no_adapter",
            f"{trained.name} trained every weight, so there is no adapter for --to peft. Export with --to hf or gguf.",
        )
    if {GGUF, OLLAMA} & {*targets}:
        family = str(read_json_file(trained.source.folder / "config.json").get("model_type"))
        refuse_unwritable(family, load_tokenizer(trained.source.folder))


def _publish(
    work: _Work, folder: ExportFolder, target: str, earlier: Sequence[Exported], waiting: Waiting
) -> Exported:
    return publish_export(
        work.trained,
        folder,
        target,
        work.quantization if target in (GGUF, OLLAMA) else "f32",
        make=partial(MAKERS[target], work),
        card=model_card(work.trained, work.evaluation, target, work.quantization),
        verify=lambda staged: _verify(work, target, staged, earlier),
        waiting=waiting,
    )


def publish_export(
    trained: TrainedModel,
    folder: ExportFolder,
    target: str,
    precision: str,
    *,
    make: Callable[[Path], None],
    card: str,
    verify: Callable[[Path], tuple[Comparison, str]],
    waiting: Waiting,
) -> Exported:
    """Make an export beside its place, and put it there once it is found to be the model that was trained."""
    place = folder.of(target)
    with staged_folder(place) as staged:
        with waiting(f"Writing {target}"), storage_faults(place):
            make(staged)
            write_text(staged / CARD, card)
        with waiting(f"Verifying {target} in a fresh process"):
            comparison, verified_with = verify(staged)
        if comparison.mismatch is not None:
            write_json(folder.rejected(target), asdict(comparison))
            raise ExportError(
                "export.not_the_trained_model",
                f"The {target} export is not the model that {trained.name} trained: {comparison.mismatch}. It was not"
                f" published. {folder.rejected(target)} shows what differed; please report it.",
            )
        size = sum(file.stat().st_size for file in staged.rglob("*") if file.is_file())
    exported = Exported(target, precision, place, size, verified_with, comparison)
    record(folder, exported, is_checked=trained.source.is_checked)
    return exported


def _make_adapter(work: _Work, folder: Path) -> None:
    for file in work.trained.weights.iterdir():
        if file.is_file() and file.name not in TRAINING_RECORDS:
            shutil.copyfile(file, folder / file.name)
    if work.source.original is not None:
        name_base(folder, work.source.original.name, work.source.original.revision)
    _save_tokenizer(work, folder)
    _write_generation_config(work, folder)


def _make_merged(work: _Work, folder: Path) -> None:
    with quietly():
        work.merged.save_pretrained(folder)
    adapt_config(folder)
    _save_tokenizer(work, folder)
    _write_generation_config(work, folder)


def _write_generation_config(work: _Work, folder: Path) -> None:
    vocabulary = vocabulary_size(work.source.folder)
    write_generation_config(folder, work.style.tokenizer, work.ends, vocabulary=vocabulary)


def _save_tokenizer(work: _Work, folder: Path) -> None:
    """Write the tokenizer with the run's template, as a file and in its configuration: some runtimes read only one."""
    tokenizer = work.style.tokenizer
    own = tokenizer.chat_template
    tokenizer.chat_template = work.style.jinja
    try:
        with quietly():
            tokenizer.save_pretrained(folder)
    finally:
        tokenizer.chat_template = own
    adapt_tokenizer(folder, chat_template=work.style.jinja)
    write_text(folder / TEMPLATE, work.style.jinja)


def _make_gguf(work: _Work, folder: Path) -> None:
    path = folder / gguf_name(work.quantization)
    if is_written_here(work.merged.config.model_type, work.style.tokenizer):
        write_gguf(path, work.merged, work.source, work.style, work.quantization)
        return
    with _passing_folder(folder / ".to-convert") as hf:
        _make_merged(work, hf)
        vocabulary = work.source.folder / SENTENCEPIECE
        if vocabulary.is_file():
            shutil.copyfile(vocabulary, hf / SENTENCEPIECE)
        convert(hf, hf / "model.gguf")
        rewrite_gguf(path, hf / "model.gguf", work.source, work.style, work.quantization)


@contextmanager
def _passing_folder(folder: Path) -> Iterator[Path]:
    """Make a folder inside of an export, which is not to be there when it is published."""
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_ollama(work: _Work, folder: Path) -> None:
    _make_gguf(work, folder)
    context = context_length(work.source.folder)
    told = modelfile(gguf_name(work.quantization), work.style, context=context, licence=work.source.licence)
    write_text(folder / MODELFILE, told)


MAKERS: dict[str, Callable[[_Work, Path], None]] = {
    PEFT: _make_adapter,
    HF: _make_merged,
    GGUF: _make_gguf,
    OLLAMA: _make_ollama,
}


def _verify(work: _Work, target: str, folder: Path, earlier: Sequence[Exported]) -> tuple[Comparison, str]:
    """Return the comparison of a staged export, and what read it."""
    base = work.source.folder
    if target in (PEFT, HF):
        return compare(work.reference, target, folder, base=base, precision="f32"), TRANSFORMERS
    file = folder / gguf_name(work.quantization)
    for one in earlier:  # the same file in another folder behaves the same
        if one.target in (GGUF, OLLAMA) and file_sha256(one.folder / file.name) == file_sha256(file):
            return one.comparison, one.verified_with
    if is_installed():
        comparison = compare(
            work.reference,
            "gguf",
            file,
            base=base,
            precision=_precision_in_llama_cpp(work),
            rounded=lambda: _as_stored(work),
        )
        return comparison, "llama.cpp"
    with _passing_folder(folder / ".read-back") as read_back:
        convert_gguf(file, read_back)
        comparison = compare(
            work.reference,
            "hf",
            read_back,
            base=base,
            precision=work.quantization,
            rounded=lambda: _as_stored(work),
        )
    return comparison, "transformers' GGUF loader; llama.cpp is not installed"


def _precision_in_llama_cpp(work: _Work) -> str:
    """Return the precision of what llama.cpp computes: it looks GELU up in a table of half precision."""
    config = work.merged.config
    activation = next((name for key in ACTIVATION_KEYS if (name := getattr(config, key, None))), "")
    return "f16" if work.quantization == "f32" and "gelu" in activation else work.quantization


def _as_stored(work: _Work) -> CausalModel:
    """Return the model with its matrices as a file in half precision has them; one in float32 has them as they are."""
    module = copy.deepcopy(work.merged)
    if work.quantization == "f16":
        with torch.no_grad():
            for weight in module.parameters():
                if weight.ndim > 1:
                    weight.copy_(weight.half())
    return CausalModel(
        module, torch.device("cpu"), torch.float32, padded_because="transformers' own way is wanted"
    )
