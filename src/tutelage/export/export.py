"""Exports a run in the formats that are asked for: made beside its place, verified, and only then published."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch

from tutelage.config.extensions import EXPORT_TARGETS
from tutelage.errors import ExportError
from tutelage.export.model_card import model_card
from tutelage.export.record import Exported, record
from tutelage.export.style import make_style
from tutelage.export.targets import ExportWork, load_target
from tutelage.export.verification import ExportComparison, ask_reference
from tutelage.model.assembly import load_merged
from tutelage.model.end_tokens import end_tokens
from tutelage.model.loading import context_length, load_tokenizer, vocabulary_size
from tutelage.model.trained import TrainedModel
from tutelage.run.evaluation import Evaluation
from tutelage.run.folder import rejected_name, write_json, write_text
from tutelage.system.storage import staged_folder, storage_faults
from tutelage.tree.examples import PreparedRow

CARD = "README.md"

# Shows that something of unknown length is under way.
Waiting = Callable[[str], AbstractContextManager[None]]


def export_answering(
    trained: TrainedModel,
    held_out: Iterable[PreparedRow],
    evaluation: Evaluation | None,
    folder: Path,
    targets: Sequence[str],
    *,
    quantization: str,
    waiting: Waiting,
) -> list[Exported]:
    """Make, verify and publish each format; ExportError at the first that is not the model that was trained.

    The prompts of the rows that were `held_out` prove it, and the card tells of the `evaluation`.
    """
    recipe, source = trained.recipe, trained.source
    tokenizer = load_tokenizer(source.folder)
    style = make_style(tokenizer, recipe.data.prompt_template)
    ends = end_tokens(source.folder, tokenizer, style.end_of_turn_id)
    made = [load_target(name) for name in targets]
    for check_style in dict.fromkeys(target.check_style for target in made):
        if check_style is not None:
            check_style(source, style)  # before anything long is begun
    with waiting("Merging the weights"):
        needs_merged = any(target.needs_merged for target in made)
        merged = load_merged(source, trained.weights, recipe.tuning) if needs_merged else None
    with waiting("Generating answers with the run's model"):
        reference = ask_reference(
            held_out,
            # As evaluation does, but in float32, so that no rounding hides a difference.
            trained.load_tuned(trained.load_base(torch.device("cpu"), torch.float32)),
            style,
            ends,
            room=context_length(source.folder),
            vocabulary=vocabulary_size(source.folder),
        )
    compared = None if evaluation is None else evaluation.compared_answers
    work = ExportWork(trained, compared, style, ends, reference, merged, quantization)
    done: list[Exported] = []
    for target in targets:
        done.append(_write(work, folder, target, done, waiting))
    return done


def check_answering_export(trained: TrainedModel, targets: Sequence[str]) -> None:
    """Stop where a model that writes answers cannot be exported so."""
    in_order = [load_target(name) for name in EXPORT_TARGETS if name in targets]
    for check in dict.fromkeys(target.check for target in in_order):
        if check is not None:
            check(trained)


def _write(
    work: ExportWork, folder: Path, target: str, earlier: Sequence[Exported], waiting: Waiting
) -> Exported:
    made = load_target(target)
    return write_export(
        work.trained,
        folder,
        target,
        work.quantization if EXPORT_TARGETS[target].takes_quantization else "f32",
        make=partial(made.make, work),
        card=model_card(work.trained, work.evaluation, made.loading, work.quantization, library=made.library),
        verify=lambda staged: made.verify(work, staged, earlier),
        waiting=waiting,
    )


def write_export(
    trained: TrainedModel,
    folder: Path,
    target: str,
    precision: str,
    *,
    make: Callable[[Path], None],
    card: str,
    verify: Callable[[Path], tuple[ExportComparison, str]],
    waiting: Waiting,
) -> Exported:
    """Make an export beside its place, and put it there once it is found to be the model that was trained."""
    place = folder / target
    with staged_folder(place) as staged:
        with waiting(f"Writing {target}"), storage_faults(place):
            make(staged)
            write_text(staged / CARD, card)
        with waiting(f"Verifying {target} in a fresh process"):
            comparison, verified_with = verify(staged)
        if comparison.mismatch is not None:
            write_json(folder / rejected_name(target), asdict(comparison))
            raise ExportError(
                "export.not_the_trained_model",
                f"The {target} export does not behave like the model of {trained.name}:"
                f" {comparison.mismatch}. It was not published. {folder / rejected_name(target)} lists the"
                " differences; please report this as a bug.",
            )
        size = sum(file.stat().st_size for file in staged.rglob("*") if file.is_file())
    exported = Exported(target, precision, place, size, verified_with, comparison)
    record(folder, exported, is_checked=trained.source.is_checked)
    return exported
