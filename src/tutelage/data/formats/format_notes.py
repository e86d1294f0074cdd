"""Notes about rows that could be read: their formats, and fields that are not used."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from tutelage.codes import Message
from tutelage.config.objectives import objective_of_rows, objective_that_reads
from tutelage.data.formats.kto_rows import LABEL, TAG
from tutelage.data.formats.schemas import SCHEMAS, fields_of
from tutelage.text.spelling import did_you_mean, nearest


def format_notes(formats: Mapping[str, int], *, row_format: str | None) -> list[Message]:
    """Note that rows have several formats, and what a format means when training on rows of `row_format`."""
    notes: list[Message] = []
    if len(formats) > 1:
        counted = ", ".join(f"{count:,} {name}" for name, count in formats.items())
        notes.append(
            Message(
                "data.several_formats", f"The rows have several formats, each row exactly one: {counted}."
            )
        )
    if formats.get("preference") and row_format != "preference":
        told = (
            f"{formats['preference']:,} preference rows: only the chosen answer is trained on, and the"
            f" rejected one is not used. training.objective={objective_of_rows('preference')} trains on"
            " both."
        )
        notes.append(Message("data.rejected_not_used", told))
    if formats.get("text"):
        told = (
            f"{formats['text']:,} rows are plain text and are trained on as they are, without the prompt"
            " template."
        )
        notes.append(Message("data.plain_text", told))
    return notes


def blank_system_notes(rows: int) -> list[Message]:
    """Note how many rows have an empty system message."""
    if not rows:
        return []
    told = (
        f"{rows:,} rows have an empty system message. For them, the model's chat template may omit the"
        " default system text that it adds to rows without a system message."
    )
    return [Message("data.empty_system_message", told)]


def unknown_key_notes(
    rows_by_fields: Mapping[tuple[str, ...], int], names: Sequence[str], *, beside: Collection[str] = ()
) -> list[Message]:
    """Note which fields of the rows are not used; fields in `beside` count as used."""
    counts: Counter[str] = Counter()
    for fields, count in rows_by_fields.items():
        known = fields_of(names, fields) | {*beside}
        if "preference" in names and not SCHEMAS["preference"].has_fields(fields):
            known |= fields_of(["alpaca"])  # its output may hold both answers
        counts.update({key: count for key in fields if key not in known})
    return [_unused_field(key, count, names) for key, count in counts.items()]


def _unused_field(key: str, count: int, names: Sequence[str]) -> Message:
    are_pairs = "preference" in names
    if key.startswith("rejected") and not are_pairs:
        told = (
            f"{count:,} rows have a field {key!r}, which is not used: only their answers are trained on."
            f" training.objective={objective_of_rows('preference')} trains on both, from the fields 'chosen'"
            " and 'rejected'; use `--map chosen=FIELD` if a field has another name."
        )
        return Message("data.rejected_not_used", told)
    if key in (LABEL, TAG) and not are_pairs:
        told = (
            f"{count:,} rows have a field {key!r}, which is not used: only their answers are trained on. To"
            f" train on labels, choose training.objective={objective_of_rows('text-label')}, whose rows are"
            f" a text and its label; or training.objective={objective_that_reads(LABEL)}, if a label marks"
            " an answer as desirable or undesirable."
        )
        return Message("data.label_not_used", told)
    told = f"The field {key!r} ({count:,} rows) is not used.{_meant(key, fields_of(names))}"
    return Message("data.field_not_used", told)


def _meant(key: str, known: set[str]) -> str:
    near = nearest(key, sorted(known))
    return did_you_mean(near and repr(near))
