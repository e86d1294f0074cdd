"""`tutelage export`: take a tuned model away, proven to be the one that was trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tutelage.cli.opening import opened
from tutelage.cli.options import Debug, Options, SkipChecksums, as_path, open_earlier_run
from tutelage.cli.views import console
from tutelage.cli.views.dry_run import show_dry_run
from tutelage.cli.views.next_steps import show_next_steps
from tutelage.codes import Message
from tutelage.run.folder import ExportFolder
from tutelage.stages.export import Quantization, Target, check_export
from tutelage.stages.export import export as export_run

if TYPE_CHECKING:
    from tutelage.export.record import Exported


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
        if dry_run:
            order = check_export(session, to, output=output, quantization=quantization, overwrite=True)
            exports = [*map(order.folder.of, order.targets)]
            show_dry_run(session, writes=[*exports, order.folder.verification], guarded=exports)
            return
        exported = export_run(session, to, output=output, quantization=quantization, overwrite=overwrite)
        _show(exported)
        console.say(f"\nVerification: {ExportFolder(output or run.export).verification}")
        show_next_steps(session, exported=to)


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
