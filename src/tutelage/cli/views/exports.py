"""Print exports and how they differ from the run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tutelage.cli.views import console
from tutelage.codes import Message

if TYPE_CHECKING:
    from tutelage.export.record import Exported


def show_exports(exported: "Sequence[Exported]") -> None:
    """Print one line per export with the result of its verification."""
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
            f"{left_out} prompts were left out: as one text, they have different token ids in every program.",
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
            console.print_message(
                f"{one.format} picks the same token as the run in {one.comparison.same_tokens:.1%} of the"
                " positions."
            )
        if one.comparison.is_coarse:
            told = (
                f"{one.format} changes the model's answers (mean KL {one.comparison.mean_kl:.2f} nats)."
                " Choose a finer --quantization if that matters."
            )
            console.warn(Message("export.coarse_quantization", told))
