"""`tutelage export`: take a tuned model away, proven to be the one that was trained."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from tutelage.cli import console
from tutelage.cli.base_model import SkipChecksums
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.opening import opened
from tutelage.cli.options import Debug, Options, as_path, open_earlier_run
from tutelage.cli.views.next_steps import show_next_steps
from tutelage.codes import Message
from tutelage.errors import RecipeError, RunFolderError
from tutelage.run.folder import ExportFolder, RunFolder
from tutelage.run.lock import locked, locked_folder, owner_of
from tutelage.stages.settings import refuse_untrained_settings
from tutelage.system.storage import remove

if TYPE_CHECKING:
    from tutelage.export.record import Exported

Target = Literal["peft", "hf", "gguf", "ollama"]
Quantization = Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"]


def export(
    run_folder: Annotated[Path, Parameter(help="The folder of a trained run, for example runs/quickstart.")],
    *,
    to: Annotated[
        tuple[Target, ...],
        Parameter(
            help="The adapter, merged weights, a GGUF file, or an Ollama folder; may be repeated.",
            negative="",
        ),
    ],
    quantization: Annotated[
        Quantization | None,
        Parameter(help="How the weights of gguf and ollama are stored. Default: f16.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(
            help="Where the exports go. Default: export/ in the run.", converter=as_path, show_default=False
        ),
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="Replace an export that is there.", negative="", show_default=False)
    ] = False,
    dry_run: Annotated[
        bool,
        Parameter(help="Show every setting, and what would be written.", negative="", show_default=False),
    ] = False,
    skip_checksums: SkipChecksums = False,
    debug: Debug = False,
) -> None:
    """Write a tuned model for other programs, load it again in a fresh process, and compare its answers."""
    run, loaded = open_earlier_run(Options(target=run_folder, skip_checksums=skip_checksums, debug=debug))
    with opened(run, loaded) as session:
        refuse_untrained_settings(session)
        if quantization is not None and not {"gguf", "ollama"} & {*to}:
            raise RecipeError(
                "cli.option_needs_another",
                f"--quantization {quantization} is of gguf and ollama alone, and neither is asked for. Leave it out,"
                " or add --to gguf.",
            )
        folder = ExportFolder(output or run.export)
        # A link in place of a stage's folder gives way to a folder, wherever it leads.
        is_link = folder.root.absolute() == run.export.absolute() and folder.root.is_symlink()
        if not is_link:
            _refuse_place(folder.root, run)
        targets = tuple(dict.fromkeys(to))
        for target in targets:
            if folder.of(target).exists() and not overwrite and not dry_run:
                raise RunFolderError(
                    "cli.output_exists",
                    f"{folder.of(target)} already holds an export. Add --overwrite to replace it.",
                )
        if dry_run:
            writes = [*map(folder.of, targets), folder.verification]
            show_dry_run(session, writes=writes, guarded=[*map(folder.of, targets)])
            return
        source = session.source
        from tutelage.export.export import export as make_exports

        with _unchanged(run, folder.root):
            if is_link:
                remove(folder.root)
            with locked_folder(folder.root, folder.root / run.lock.name):
                exported = make_exports(
                    run,
                    session.recipe,
                    source,
                    folder,
                    targets,
                    quantization=quantization or "f16",
                    waiting=console.waiting,
                )
        _show(exported)
        console.say(f"\nVerification: {folder.verification}")
        show_next_steps(session, exported=targets)


@contextmanager
def _unchanged(run: RunFolder, output: Path) -> Iterator[None]:
    """Keep others from changing a run while it is exported; a run that cannot be written is exported to elsewhere."""
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
        yield


def _refuse_place(root: Path, run: RunFolder) -> None:
    if any("\ud800" <= character <= "\udfff" for character in str(root.absolute())):
        raise RunFolderError(
            "cli.path_not_utf8",
            f"{root} is no name in UTF-8, and the libraries that write models take no other. Choose another --output.",
        )
    for path in (root, *root.parents):
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as fault:
            raise RunFolderError(
                "cli.output_not_a_folder",
                f"{str(path)[:80]!r} cannot be a folder: {fault.strerror}. Choose another --output.",
            ) from fault
        if not path.is_dir():
            what = "a link to no folder" if path.is_symlink() else "a file"
            raise RunFolderError(
                "cli.output_not_a_folder",
                f"{path} is {what}; exports need a folder. Choose another --output.",
            )
        break
    place = root.resolve()
    if place.is_relative_to(run.root.resolve()) and not place.is_relative_to(run.export.resolve()):
        raise RunFolderError(
            "export.output_inside_run",
            f"{root} is in the run {run.root}, whose other folders hold what its stages wrote and nothing else. Choose"
            f" another --output, or leave it out: exports then go into {run.export}.",
        )


def _show(exported: "Sequence[Exported]") -> None:
    console.table(
        ["export", "format", "size", "largest difference", "answers equal", "KL", "verified with"],
        [
            [
                str(one.folder),
                one.format,
                f"{one.size_bytes / 1e6:,.1f} MB",
                f"{one.comparison.largest_log_prob_difference:.1e} nats",
                f"{one.comparison.answers_equal} of {one.comparison.prompts}",
                f"{one.comparison.mean_kl:.1e}",
                one.verified_with,
            ]
            for one in exported
        ],
        numeric={2, 3, 4, 5},
    )
    if left_out := exported[0].comparison.left_out:
        console.note(
            "export.prompts_left_out",
            f"{left_out} prompts were left out: written as one text, they have other token ids in any program.",
        )
    for one in exported:
        parted = one.comparison.prompts - one.comparison.answers_equal
        if one.format == "f16" and parted:
            console.note(
                "export.rounding_changes_answers",
                f"f16 rounds the weights, which changes {parted} of {one.comparison.prompts} answers at a near tie;"
                " --quantization f32 keeps them all.",
            )
        if one.format == "f32" and parted:
            console.note(
                "export.rounding_changes_answers",
                f"llama.cpp computes GELU in half precision, which changes {parted} of {one.comparison.prompts} answers"
                " at a near tie.",
            )
        if one.format not in ("f32", "f16"):
            console.say(
                f"{one.format} chooses {one.comparison.same_tokens:.1%} of the tokens as the run does."
            )
        if one.comparison.is_coarse:
            told = (
                f"{one.format} changes what the model says (mean KL {one.comparison.mean_kl:.2f} nats)."
                " Choose a finer --quantization if that matters."
            )
            console.warn(Message("export.coarse_quantization", told))
