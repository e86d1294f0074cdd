"""A tuned model written for other programs, loaded again in a fresh process, and its answers compared."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from tutelage.config.extensions import EXPORT_TARGETS, in_words
from tutelage.errors import RecipeError, RunFolderError
from tutelage.run.evaluation import read_evaluation
from tutelage.run.folder import ExportFolder, RunFolder
from tutelage.run.lock import locked, locked_folder, owner_of
from tutelage.stages.session import Session
from tutelage.stages.settings import check_trained_settings
from tutelage.system.storage import clean_up, remove, storage_faults

if TYPE_CHECKING:
    from tutelage.export.record import Exported

Quantization = Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"]


@dataclass(frozen=True)
class Order:
    """What is to be exported where: the targets in their order, each once; `quantization` is of those that take one."""

    targets: tuple[str, ...]
    folder: ExportFolder
    quantization: str | None
    is_link: bool  # a link in place of a stage's folder gives way to a folder, wherever it leads


def check_export(
    session: Session,
    targets: Sequence[str],
    *,
    output: Path | None,
    quantization: str | None,
    overwrite: bool,
) -> Order:
    """Stop where an export would before it loads a model; return what is to be done."""
    run = session.run
    if run.step is not None:
        raise RunFolderError(
            "export.of_checkpoint",
            f"{run.name} is a checkpoint, but only a run's final weights can be exported. Export {run.root}.",
        )
    for name, given, known in (
        ("target", targets, EXPORT_TARGETS),
        ("quantization", [quantization], get_args(Quantization)),
    ):
        for value in given:
            if value is not None and value not in known:
                raise RecipeError(
                    "cli.value_out_of_range", f"Unknown {name} {value!r}. Choose from {', '.join(known)}."
                )
    check_trained_settings(session)
    quantized = [name for name, entry in EXPORT_TARGETS.items() if entry.takes_quantization]
    if quantization is not None and not {*quantized} & {*targets}:
        raise RecipeError(
            "cli.option_needs_another",
            f"--quantization {quantization} only applies to {in_words(quantized)}, and neither was"
            " requested. Leave it out, or add --to gguf.",
        )
    folder = export_folder(session, output)
    is_link = folder.root.absolute() == run.export.absolute() and folder.root.is_symlink()
    if not is_link:
        _check_folder(folder.root, run)
    order = Order(tuple(dict.fromkeys(targets)), folder, quantization, is_link)
    for target in order.targets:
        if folder.of(target).exists() and not overwrite:
            raise RunFolderError(
                "cli.output_exists",
                f"{folder.of(target)} already holds an export. Add --overwrite to replace it.",
            )
    return order


def export(
    session: Session,
    targets: Sequence[str],
    *,
    output: Path | None = None,
    quantization: str | None = None,
    overwrite: bool = False,
) -> "list[Exported]":
    """Make, verify and publish each format; ExportError at the first that is not the model that was trained.

    `targets` are names of `EXPORT_TARGETS`, and the folder is export/ in the run unless `output` names another.
    """
    order = check_export(session, targets, output=output, quantization=quantization, overwrite=overwrite)
    run, folder, part = session.run, order.folder, session.objective.export
    session.inputs.locate()  # which may take long, before others are kept out

    with _unchanged(session, folder.root), session.stage("export") as finish:
        trained = session.trained_unchanged()
        held_out = [session.rows(split) for split in ("test", "validation")]
        evaluation = read_evaluation(run.metrics) if run.metrics.exists() else None
        part.check(trained, order.targets)
        if order.is_link:
            remove(folder.root)
        with locked_folder(folder.root, folder.root / run.lock.name):
            with storage_faults(folder.root):
                folder.root.mkdir(parents=True, exist_ok=True)
            clean_up(folder.root)
            session.reporter.begin_work()
            exported = part.export(
                trained,
                chain.from_iterable(held_out),
                evaluation,
                folder.root,
                order.targets,
                quantization=order.quantization or "f16",
                waiting=session.reporter.waiting,
            )
        finish(exported)
    return exported


def export_folder(session: Session, output: Path | None) -> ExportFolder:
    """Return where exports go: into `output`, or into export/ in the run."""
    return ExportFolder(output or session.run.export)


@contextmanager
def _unchanged(session: Session, output: Path) -> Iterator[None]:
    """Keep others from changing a run while it is exported, and write what is reported into its log.

    A run that cannot be written is exported to elsewhere, and its log does not tell of it.
    """
    run = session.run
    is_elsewhere = not output.resolve().is_relative_to(run.root.resolve())
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(run))
        except RunFolderError as fault:
            if not is_elsewhere or fault.code not in ("run.locked", "run.not_writable"):
                raise
            if fault.code == "run.locked":
                owner = owner_of(run.lock) or "another process"
                raise RunFolderError(
                    "run.locked",
                    f"{run.root} is in use by {owner}. Wait until it has ended, then export again.",
                ) from None
        else:
            stack.enter_context(session.reporter.logging(run.events))
        yield


def _check_folder(root: Path, run: RunFolder) -> None:
    if any("\ud800" <= character <= "\udfff" for character in str(root.absolute())):
        raise RunFolderError(
            "cli.path_not_utf8",
            f"{root} is not valid UTF-8, which the libraries that write models require. Choose another"
            " --output.",
        )
    for path in (root, *root.parents):
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as fault:
            raise RunFolderError(
                "cli.output_not_a_folder",
                f"{str(path)[:80]!r} cannot be used as a folder: {fault.strerror}. Choose another --output.",
            ) from fault
        if not path.is_dir():
            what = "a link that does not lead to a folder" if path.is_symlink() else "a file"
            raise RunFolderError(
                "cli.output_not_a_folder",
                f"{path} is {what}, but an export needs a folder. Choose another --output.",
            )
        break
    place = root.resolve()
    if place.is_relative_to(run.root.resolve()) and not place.is_relative_to(run.export.resolve()):
        raise RunFolderError(
            "export.output_inside_run",
            f"{root} is inside the run {run.root}, whose folders are reserved for its stages. Choose another"
            f" --output, or leave it out to export into {run.export}.",
        )
