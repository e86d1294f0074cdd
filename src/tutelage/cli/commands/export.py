"""`tutelage export`: export a tuned model and verify the result."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from tutelage.cli.options import Debug, RunOptions, SkipChecksums, as_path
from tutelage.cli.sessions import earlier_session
from tutelage.cli.views import console
from tutelage.cli.views.dry_run import show_dry_run
from tutelage.cli.views.exports import show_exports
from tutelage.cli.views.next_steps import show_next_steps
from tutelage.config.extensions import EXPORT_TARGETS, in_words
from tutelage.stages.export import Quantization, check_export, export_folder
from tutelage.stages.export import export as export_run

if TYPE_CHECKING:
    Target = str
else:
    Target = Literal[*EXPORT_TARGETS]  # so that the parser and the help know the names
*OTHERS, LAST = (one.help for one in EXPORT_TARGETS.values())
WRITTEN = f"{', '.join(OTHERS)}, or {LAST}"
QUANTIZED = [name for name, one in EXPORT_TARGETS.items() if one.takes_quantization]


def export(
    run_folder: Annotated[Path, Parameter(help="Run folder of a trained model, e.g. runs/quickstart.")],
    *,
    to: Annotated[
        tuple[Target, ...],
        Parameter(
            help=f"{WRITTEN[0].upper()}{WRITTEN[1:]}. Repeatable.",
            negative="",
        ),
    ],
    quantization: Annotated[
        Quantization | None,
        Parameter(
            help=f"How the weights of {in_words(QUANTIZED)} are stored. Default: f16.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(
            help="Folder to export to. Default: export/ in the run folder.",
            converter=as_path,
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, Parameter(help="Replace an existing export.", negative="", show_default=False)
    ] = False,
    dry_run: Annotated[
        bool,
        Parameter(
            help="Print all settings and the files that would be written; change nothing.",
            negative="",
            show_default=False,
        ),
    ] = False,
    skip_checksums: SkipChecksums = False,
    debug: Debug = False,
) -> None:
    """Export to PEFT, Hugging Face, GGUF or Ollama, verified.

    Each export is loaded again in a fresh process, and its answers are compared with those of the run.
    """
    with earlier_session(
        RunOptions(target=run_folder, skip_checksums=skip_checksums, debug=debug)
    ) as session:
        if dry_run:
            order = check_export(session, to, output=output, quantization=quantization, overwrite=True)
            exports = [*map(order.folder.of, order.targets)]
            show_dry_run(session, writes=[*exports, order.folder.verification], guarded=exports)
            return
        exported = export_run(session, to, output=output, quantization=quantization, overwrite=overwrite)
        show_exports(exported)
        console.print_message(f"\nVerification: {export_folder(session, output).verification}")
        show_next_steps(session, exported=to)
