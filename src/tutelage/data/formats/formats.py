"""Find the format of each row from its fields, and report rows that match none or several."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tutelage.codes import Message
from tutelage.config.objectives import DEFAULT, ObjectiveInfo
from tutelage.config.recipe import DataSettings
from tutelage.data.formats.column_map import check_field_names, left_by_map, mapped
from tutelage.data.formats.column_samples import ColumnSamples
from tutelage.data.formats.format_notes import blank_system_notes, format_notes, unknown_key_notes
from tutelage.data.formats.instructed_rows import InstructedRows
from tutelage.data.formats.kto_rows import LABEL, TAG, KtoRows
from tutelage.data.formats.misplaced_texts import MisplacedTexts
from tutelage.data.formats.named_rows import NamedRows, joined
from tutelage.data.formats.schemas import SCHEMAS, fields_of, fields_of_formats, format_of, read_row
from tutelage.data.formats.unknown_columns import FIELDS, BesideTexts, describe_columns
from tutelage.data.quality.label_sets import labels_as_text
from tutelage.data.rows.conversations import Conversation, without_blank_system
from tutelage.data.rows.reading import Reading, RowError, json_kind, require_json
from tutelage.data.rows.records import LEFT_OUT, Record
from tutelage.errors import DataError, EncodingError
from tutelage.text.spelling import did_you_mean, nearest

FIELDS_NAMED = 6
UNREAD = "not read"  # used as the format of a row that is too large to read


@dataclass(frozen=True)
class Conversations:
    """The rows of a source as conversations, the number of rows per format, and notes."""

    rows: list[Conversation]
    formats: dict[str, int]
    notes: list[Message]


def read_conversations(
    records: Iterable[Record],
    *,
    source: str,
    settings: DataSettings = DataSettings(),  # noqa: B008 - frozen
    keeps_fields: bool = False,
    needs_labels: bool = False,
    objective: ObjectiveInfo = DEFAULT,
) -> Conversations:
    """Read every record as a conversation; raise DataError with the rows that match no format or several.

    With `keeps_fields`, which is not used for training, answers may be labelled as undesirable; with
    `needs_labels`, every answer must be labelled as desirable or undesirable.
    """
    reader = ConversationReader(
        source, settings, keeps_fields=keeps_fields, needs_labels=needs_labels, objective=objective
    )
    rows = list(reader.read(records))
    return Conversations(rows, reader.formats(), reader.notes())


class ConversationReader:
    """Reads records as conversations one by one, and collects notes about all of them.

    After the first fault it yields no more conversations but reads on, so that the error can count all faulty
    rows.
    """

    def __init__(
        self,
        source: str,
        settings: DataSettings,
        *,
        keeps_fields: bool = False,
        needs_labels: bool = False,
        objective: ObjectiveInfo = DEFAULT,
    ) -> None:
        self._source, self._settings, self._objective = source, settings, objective
        self._samples = ColumnSamples()  # of rows that match no format
        self._reading = Reading(
            settings.coerce, learns_prompts=settings.train_on == "all", roles=settings.roles
        )
        self._reading_arrow = replace(self._reading, is_from_arrow=True)
        self._fitting: dict[tuple[str, ...], list[str]] = {}  # rows with the same fields share one lookup
        self._rows_by_fields: Counter[tuple[str, ...]] = Counter()
        self._rows_by_format: Counter[str] = Counter()
        self._first_of_format: dict[str, int] = {}
        self._is_chat = settings.prompt_template == "chat"
        self._blank_system = 0  # rows with an empty system message, left to the chat template
        self._other_values = NamedRows()
        self._unclear: dict[tuple[str, ...], NamedRows] = {}
        self._unfitting: dict[tuple[str, ...], NamedRows] = {}
        self._misread: dict[str, tuple[NamedRows, RowError]] = {}
        self._kto = KtoRows(source, settings, are_taken=keeps_fields, are_needed=needs_labels)
        self._misplaced = MisplacedTexts()
        self._beside_texts, self._instructed = BesideTexts(source, settings), InstructedRows(source, settings)

    def read(self, records: Iterable[Record]) -> Iterator[Conversation]:
        """Yield every record as a conversation; raise DataError at the end if any could not be read."""
        try:
            for record in records:
                conversation = self._read(record)
                if conversation is not None and not self._has_faults:
                    self._misplaced.note(conversation)
                    yield conversation
        except EncodingError as fault:
            self._raise_wrong_encoding(fault)
        self._raise_first_fault()

    def formats(self) -> dict[str, int]:
        """Return the number of rows of each format, most frequent first."""
        return dict(self._rows_by_format.most_common())

    def notes(self) -> list[Message]:
        """Return the notes about rows that could be read."""
        formats = self.formats()
        return [
            *format_notes(formats, row_format=self._objective.row_format),
            *blank_system_notes(self._blank_system),
            *unknown_key_notes(self._rows_by_fields, list(formats), beside=self._kto.fields_read),
            *(
                Message("data.field_not_used", f"The key {what} is not used ({count:,} times).")
                for what, count in self._reading.unused.items()
            ),
            *(
                Message(
                    "data.text_read_as_messages",
                    f"The texts of {field!r} hold messages as JSON, and were read as messages ({count:,}"
                    " times).",
                )
                for field, count in self._reading.as_messages.items()
            ),
            *self._misplaced.notes(),
        ]

    def _read(self, record: Record) -> Conversation | None:
        if not record.was_read:
            return Conversation(record.row, (), UNREAD)  # dropped later because of its size
        if record.is_left_out:
            return Conversation(record.row, (), LEFT_OUT)
        if not isinstance(record.value, dict):
            self._other_values.add(record)
            return None
        own = record
        if self._settings.column_map:
            self._reading.unused.update(left_by_map(record.value, self._settings.column_map))
            if not self._rows_by_fields:
                rare = {*fields_of([*SCHEMAS]), TAG}
                check_field_names(self._settings.column_map, fields_of_formats(), rare=rare, there=own.value)
            record = mapped(record, self._settings.column_map)
        if self._settings.instruction is not None:
            record = self._instructed.with_instruction(record)
        fields = tuple(record.value)
        self._rows_by_fields[fields] += 1
        if fields not in self._fitting:
            self._fitting[fields] = self._formats_of(fields)
        fitting = self._fitting[fields]
        if len(fitting) > 1:
            self._unclear.setdefault(tuple(fitting), NamedRows()).add(record)
            return None
        if not fitting:
            self._unfitting.setdefault(fields, NamedRows()).add(record)
            self._samples.add(own.value)
            return None
        name = format_of(record.value, fitting) if self._settings.format is None else fitting[0]
        self._note(record, name)
        return self._read_as(record, name, fields)

    def _note(self, record: Record, name: str) -> None:
        """Record a row for the notes."""
        if LABEL in record.value or TAG in record.value:
            self._kto.note(record, name)
        if name == "text":
            self._beside_texts.note(record)
        if self._settings.instruction is not None:
            self._instructed.note(record, name)
        self._rows_by_format[name] += 1
        self._first_of_format.setdefault(name, record.row)

    def _read_as(self, record: Record, name: str, fields: tuple[str, ...]) -> Conversation | None:
        value = record.value
        try:
            require_json(value, SCHEMAS[name].read_fields(fields))
            if name == "text-label":
                label = labels_as_text(value["label"], self._settings.label_separator)
                value = {**value, "label": label}
            reading = self._reading_arrow if record.is_from_arrow else self._reading
            conversation = read_row(record.row, value, name, reading)
            conversation = self._kto.labelled(conversation, record, name)
            if self._is_chat and without_blank_system(conversation.messages) is not conversation.messages:
                self._blank_system += 1
            return conversation
        except RowError as fault:
            self._misread.setdefault(fault.what, (NamedRows(), fault))[0].add(record)
            return None

    def _formats_of(self, fields: tuple[str, ...]) -> list[str]:
        chosen = self._settings.format
        if chosen is None:
            found = _fitting(frozenset(fields))
            return [] if _is_only_part(found, self._objective.row_format) else found
        return [chosen] if SCHEMAS[chosen].has_fields(fields) or _may_have_two_outputs(chosen, fields) else []

    @property
    def _has_faults(self) -> bool:
        return bool(
            self._other_values.count
            or self._unclear
            or self._unfitting
            or self._misread
            or self._kto.has_faults
        )

    def _raise_wrong_encoding(self, fault: EncodingError) -> None:
        """Re-raise an encoding error, and describe unknown columns too if there are any."""
        if self._samples.names() and not self._rows_by_format:
            settings = self._settings.model_copy(update={"encoding": fault.likely})
            first = joined(list(self._unfitting.values())).first
            told = describe_columns(self._source, self._samples, settings, self._objective, first)
            raise DataError(fault.code, f"{fault}\n{told}", row=first.row) from fault
        raise fault

    def _raise_first_fault(self) -> None:
        if self._other_values.count:
            raise DataError(
                "data.row_not_object",
                f"{self._source}: {self._other_values} should be an object with instruction, input and"
                f" output, but the first is {json_kind(self._other_values.first.value)}.",
                row=self._other_values.first.row,
            )
        for found, rows in self._unclear.items():
            raise DataError(
                "data.ambiguous_format",
                f"{self._source}: {rows} could be {' or '.join(found)}. Choose one with --set"
                f" data.format={found[0]}, or remove the fields of the other.",
                row=rows.first.row,
            )
        self._check_fields()
        self._instructed.check()
        self._kto.check()
        if not self._kto.are_taken:
            self._beside_texts.check()
        for what, (rows, fault) in self._misread.items():
            raise DataError(
                fault.code,
                f"{self._source}: {rows} {what}; the first has {fault.found}. {fault.remedy}",
                row=rows.first.row,
            )

    def _check_fields(self) -> None:
        """Raise DataError for rows that lack a field of their format, by the first such field."""
        # A row that fits no format is compared with the most common one, or with the nearest.
        usual = next(iter(self.formats()), None)
        by_format: dict[str, list[NamedRows]] = {}
        for fields, rows in self._unfitting.items():
            name = self._settings.format or _nearest_format(fields, usual)
            by_format.setdefault(name, []).append(rows)
        if not self._rows_by_format and self._are_unknown(by_format):
            groups = [rows for groups in by_format.values() for rows in groups]
            first = joined(groups).first
            told = describe_columns(self._source, self._samples, self._settings, self._objective, first)
            raise DataError("data.unknown_columns", told, row=first.row)
        first = {name: min(rows.first.row for rows in groups) for name, groups in by_format.items()}
        for name in sorted(
            by_format, key=lambda name: min(first[name], self._first_of_format.get(name, first[name]))
        ):
            for field in SCHEMAS[name].required:
                missing = [rows for rows in by_format[name] if field not in rows.first.value]
                if missing:
                    rows = joined(missing)
                    told = _missing(rows, field, name, self._source, self._settings.column_map)
                    raise DataError("data.missing_field", told, row=rows.first.row)

    def _are_unknown(self, by_format: Mapping[str, Sequence[NamedRows]]) -> bool:
        """Return whether the missing fields may be under other names, rather than misspelled or absent."""
        known = fields_of(list(by_format))
        if self._settings.format not in (None, *FIELDS) or "preference" in by_format:
            return False
        others = {str(key) for fields in self._unfitting for key in fields} - known
        are_misspelt = all(_misspelt(name, fields) for name in by_format for fields in self._unfitting)
        return bool(others) and not are_misspelt


def _misspelt(name: str, fields: Sequence[str]) -> bool:
    """Return whether a row lacks only one field of a format and has one with a similar name."""
    keys = [str(key) for key in fields]
    missing = [field for field in SCHEMAS[name].required if field not in keys]
    unknown = [key for key in keys if key not in fields_of([name])]
    near = [field for field in missing if nearest(field, unknown)]
    has_others = len(SCHEMAS[name].required) > 1 or len(keys) == 1
    return has_others and len(missing) == len(near) == 1


def _fitting(fields: frozenset[str]) -> list[str]:
    """Return the formats whose required fields all exist, except those included in another of them."""
    whole = [name for name, schema in SCHEMAS.items() if schema.has_fields(fields)]
    included = {inner for name in whole for inner in SCHEMAS[name].includes}
    return [name for name in whole if name not in included]


def _is_only_part(found: list[str], wanted: str | None) -> bool:
    """Return whether a row only matches the format that the wanted one extends."""
    return wanted in SCHEMAS and found == [*SCHEMAS[wanted].includes]


def _may_have_two_outputs(name: str, fields: Sequence[str]) -> bool:
    return name == "preference" and SCHEMAS["alpaca"].has_fields(fields)


def _nearest_format(fields: Sequence[str], usual: str | None) -> str:
    pair = SCHEMAS["preference"].required
    if any(field in str(key) for key in fields for field in pair):
        return "preference"

    def likeness(name: str) -> tuple[int, bool]:
        keys = [str(key) for key in fields]
        near = sum(bool(nearest(field, keys)) for field in SCHEMAS[name].required)
        if name == "preference" and near < len(pair):
            near = 0  # a single similar name does not indicate a pair
        return near, name == (usual or "alpaca")

    return max(SCHEMAS, key=likeness)


def _missing(missing: NamedRows, field: str, name: str, source: str, paths: Mapping[str, str]) -> str:
    keys = [str(key) for key in missing.first.value]
    near = nearest(field, [key for key in keys if key not in fields_of([name])])
    hint = f" Rename {near!r} to {field!r}." if near else ""
    if field in paths:
        column = nearest(paths[field], keys)
        meant = did_you_mean(column and repr(column))
        hint = f" data.column_map fills it from {paths[field]!r}, which does not exist.{meant}"
    has = ", ".join(repr(key) for key in keys[:FIELDS_NAMED]) or "no fields at all"
    needs = " and ".join(repr(required) for required in SCHEMAS[name].required)
    may = f" (and may have {', '.join(map(repr, SCHEMAS[name].optional))})" if SCHEMAS[name].optional else ""
    other = "" if near else f" If the field has another name, add --map {field}=NAME."
    return (
        f"{source}: {missing} without {field!r}; the first has {has}.{hint} Rows of the format {name} need"
        f" {needs}{may}.{other}"
    )
