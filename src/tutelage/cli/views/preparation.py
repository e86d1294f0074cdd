"""Print the result of preparing the rows."""

from tutelage.cli.views import console
from tutelage.codes import Message, all_codes
from tutelage.run.artifacts import KINDS, Preparation, TaskChoice

LABELS_NAMED = 8


def show_preparation(preparation: Preparation) -> None:
    """Print the result of preparing the rows."""
    rows, tokens = preparation.rows, preparation.tokens
    console.print_message(
        f"{rows.read:,} rows from {preparation.source}: {rows.kept:,} kept,"
        f" {rows.repaired:,} repaired, {rows.dropped:,} dropped."
    )
    console.print_message(
        f"Split by {preparation.split}: {rows.train:,} train, {rows.test:,} test,"
        f" {rows.validation:,} validation. {_what_is_read(preparation)}"
    )
    if tokens.train:
        computed = tokens.train - rows.train  # nothing follows the last token of an example
        shared = 1 - tokens.distinct / computed
        console.print_message(
            f"{tokens.train:,} training tokens, {tokens.supervised:,} supervised; the longest example has"
            f" {tokens.longest:,}. Over all rows {shared:.0%} of the work is shared prefixes."
        )
    if preparation.task is not None:
        console.print_message(_kind_of_answers(preparation.task))
    for name, leaked in preparation.leaks.items():
        if leaked:
            told = (
                f"{len(leaked)} {name} rows have a prompt that is also trained on: "
                f"{', '.join(map(str, leaked[:10]))}. --split group keeps equal prompts together."
            )
            console.warn(Message("data.leak", told))
    if not rows.validation:
        told = "there are no validation rows, so the last weights are kept instead of the best."
        console.warn(Message("data.no_validation_rows", told))
    for note in preparation.notes:
        if not all_codes()[note.code].warns:  # the stage warns about the others
            console.note(note.code, note.message)


def _kind_of_answers(task: TaskChoice) -> str:
    from tutelage.evaluation.metrics import load_metric

    return (
        f"Answers: {KINDS[task.kind]}. The metric that suits them: {load_metric(task.primary_metric).label}."
    )


def _what_is_read(preparation: Preparation) -> str:
    if not preparation.classes:
        return f"Prompt template {preparation.prompt_template}."
    from tutelage.data.quality.label_names import quoted

    labels = ", ".join(map(quoted, preparation.classes[:LABELS_NAMED]))
    more = (
        f" and {len(preparation.classes) - LABELS_NAMED:,} more" if preparation.classes[LABELS_NAMED:] else ""
    )
    return f"Read as {preparation.prompt_template}; labels: {labels}{more}."
