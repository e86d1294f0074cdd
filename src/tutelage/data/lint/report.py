"""Lint a source: report everything that can be found without training and without writing anything."""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tutelage.config.objectives import DEFAULT, ObjectiveInfo
from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.empty_splits import empty_splits
from tutelage.data.dataset.row_encoder import ANSWERS, Labels, RowEncoder
from tutelage.data.dataset.splits import SplitAssigner
from tutelage.data.dataset.token_figures import TokenCounter, TokenFigures
from tutelage.data.formats.formats import ConversationReader
from tutelage.data.formats.misplaced_texts import CODES as MISPLACED  # reported per row
from tutelage.data.lint.finding_log import FindingLog, Findings
from tutelage.data.lint.row_checks import RowLook, Variety, find_null_fields
from tutelage.data.prompts.encoding import control_tokens, naming_row_of_surrogate, vocabulary_of
from tutelage.data.prompts.prompts import PromptRenderer
from tutelage.data.quality.checks import check_each
from tutelage.data.quality.label_names import SeenLabels
from tutelage.data.quality.languages import language_of
from tutelage.data.quality.near_duplicates import NearDuplicates, Prompts
from tutelage.data.quality.prompt_fingerprint import compared_prompt
from tutelage.data.quality.rules import Finding
from tutelage.data.rows.conversations import Conversation
from tutelage.data.rows.records import Record, SourceReader
from tutelage.run.folder import SPLITS

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
MOST_READ_FOR_LANGUAGE = 4_000
ROWS_COMPARED = 1_000_000  # sketches and buckets of this many rows take 250 MB


@dataclass(frozen=True)
class LintReport:
    """The result of linting; `outcomes` counts kept, repaired and dropped rows, which add up to `rows`."""

    source: str
    kind: str
    formats: dict[str, int]
    rows: int
    outcomes: dict[str, int]
    repeated_prompts: int
    leaks: dict[str, list[int]]
    near_duplicates: NearDuplicates | None
    findings: Iterable[Finding]  # can be iterated any number of times
    languages: dict[str, int]
    labels: dict[str, int]  # number of rows with each label
    tokens: TokenFigures | None

    @property
    def has_warnings(self) -> bool:
        return any(finding.is_warning for finding in self.findings)

    def to_record(self) -> dict[str, Any]:
        """Return the output of `tutelage check --json`; the two long lists are generators."""
        return {
            "rows": self.rows,
            **self.outcomes,
            "format": " + ".join(self.formats),
            "repeated_prompts": self.repeated_prompts,
            "leaks": self.leaks,
            "near_duplicates": (
                {"rows": [pair.other, pair.row], "similarity": round(pair.similarity, 4)}
                for pair in self.near_duplicates or ()
            ),
            "findings": (finding.to_record() for finding in self.findings),
        }


def lint_rows(
    source: SourceReader,
    settings: DataSettings,
    renderer: PromptRenderer | None,
    *,
    context_length: int = 0,
    with_near_duplicates: bool = True,
    objective: ObjectiveInfo = DEFAULT,
    encoder: RowEncoder = ANSWERS,
) -> LintReport:
    """Lint every row of a source; without a renderer, tokens are not counted.

    For preferences both answers are checked, for classification only the text. Only hashes of each row are kept
    in memory; token ids, prompts and findings go to temporary files.
    """
    controls = control_tokens(renderer.tokenizer) if renderer else ()
    most_compared = ROWS_COMPARED if with_near_duplicates else 0
    look = _Look(
        source, settings, controls, most_compared=most_compared, objective=objective, encoder=encoder
    )
    limit = min(settings.max_length or context_length, context_length)
    counter = None
    if renderer:
        counter = TokenCounter(
            longest_allowed=limit,
            end_of_turn=renderer.end_of_turn,
            vocabulary=vocabulary_of(renderer.tokenizer),
        )
        encoded = encoder.encode(renderer, look.kept_rows(), settings, Labels())
        with naming_row_of_surrogate(lambda row: look.places.file_of(row) or source.name):
            for row in chain.from_iterable(rows for _, rows in encoded):
                counter.add(row.example)
    else:
        for conversation in look.kept_rows():
            encoder.check(conversation)
    tokens = counter.figures() if counter else None
    rest = FindingLog()
    rest.add(_find_overlong(counter.overlong, limit) if counter else ())
    del counter  # free its file and lengths for what follows
    leaks = look.sides.under("position").leaks()
    rest.add(_find_leaks(leaks))
    alike = look.prompts.near_duplicates() if with_near_duplicates else None
    if alike is not None:
        rest.add(_find_alike(alike))
        rest.add(_find_uncompared(look.prompts, alike))
    rest.add(look.variety.findings())
    rest.add(
        Finding(empty.code, None, f"{empty.what}, and `prepare` stops")
        for empty in empty_splits(look.sides, settings)
    )
    if encoder.learns_labels:
        rest.add(look.labels.find_untrained((look.sides.splits() == SPLITS.index("train")).tolist()))
    in_source = [
        *_find_in_source(source, look.reader),
        *look.labels.findings(are_classes=encoder.learns_labels),
    ]
    return LintReport(
        source=source.name,
        kind=source.kind,
        formats=look.reader.formats(),
        rows=look.outcomes.total(),
        outcomes={outcome: look.outcomes[outcome] for outcome in ("kept", "repaired", "dropped")},
        repeated_prompts=look.row_look.repeated_prompts,
        leaks=leaks,
        near_duplicates=alike,
        findings=Findings((in_source, look.nulls, look.in_rows, rest), look.places.placed),
        languages=look.languages.counts(),
        labels=look.labels.counts(),
        tokens=tokens,
    )


class _Look:
    """Everything that is collected while reading the rows."""

    def __init__(
        self,
        source: SourceReader,
        settings: DataSettings,
        controls: Collection[str],
        *,
        most_compared: int,
        objective: ObjectiveInfo,
        encoder: RowEncoder,
    ) -> None:
        self.reader = ConversationReader(
            source.name, settings, needs_labels=encoder.needs_labels, objective=objective
        )
        # Leaks of a split by position are reported whatever the setting: most tools split that way.
        self.sides = SplitAssigner(
            rule=settings.split, train_size=settings.train_size, test_size=settings.test_size
        )
        self.row_look, self.variety, self.languages = RowLook(controls), Variety(), _Languages()
        self.labels = SeenLabels(settings.label_separator)
        self.prompts = Prompts(most_compared)
        self.places = _Places()
        self.outcomes: Counter[str] = Counter()
        self.nulls, self.in_rows = FindingLog(), FindingLog()
        self._trains_all = encoder.trains_earlier_answers(settings)
        self._source, self._settings, self._row_format = source, settings, objective.row_format
        self._oversized: dict[int, int] = {}

    def kept_rows(self) -> Iterator[Conversation]:
        """Check all rows, and yield those that are not dropped."""
        read = self.reader.read(self._records())
        for checked in check_each(read, self._settings, self._oversized, row_format=self._row_format):
            self.outcomes[checked.outcome] += 1
            self.in_rows.add(self.row_look.find(checked))
            self.variety.note(checked)
            if checked.outcome != "dropped":
                self.sides.add_row(checked.row, trains_all=self._trains_all)
                self.prompts.add(checked.row.row, compared_prompt(checked.row))
                self.labels.note(checked.row)
                self.languages.note(checked.row)
                yield checked.row

    def _records(self) -> Iterator[Record]:
        for record in self._source.records():
            self.places.note(record)
            self.nulls.add(find_null_fields([record]))
            if record.size is not None and record.size > self._settings.max_row_bytes:
                self._oversized[record.row] = record.size
            yield record


class _Places:
    """The file and line of each row."""

    def __init__(self) -> None:
        self._begins: list[int] = []  # first row of each file
        self._files: list[str] = []
        self._lines = array("q")

    def note(self, record: Record) -> None:
        if record.file is None:
            return
        if self._files[-1:] != [record.file]:
            self._begins.append(record.row)
            self._files.append(record.file)
        self._lines.append(record.line or 0)

    def file_of(self, row: int) -> str | None:
        return self._files[bisect_right(self._begins, row) - 1] if self._files else None

    def placed(self, finding: Finding) -> Finding:
        """Return the finding with the location of its row in front of the message."""
        file = None if finding.row is None else self.file_of(finding.row)
        if finding.row is None or file is None:
            return finding
        line = self._lines[finding.row]
        return Finding(
            finding.code, finding.row, f"{file}{f', line {line}' if line else ''}: {finding.message}"
        )


class _Languages:
    """Languages of a sample of rows, spread evenly over a source of unknown length."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._stride, self._rows = 1, 0

    def note(self, row: Conversation) -> None:
        if len(self._found) == MOST_READ_FOR_LANGUAGE:
            self._found = self._found[::2]
            self._stride *= 2
        if self._rows % self._stride == 0:
            self._found.append(language_of(spoken(row)))
        self._rows += 1

    def counts(self) -> dict[str, int]:
        return dict(Counter(self._found).most_common())


def _find_in_source(source: SourceReader, reader: ConversationReader) -> list[Finding]:
    notes = (*source.notes, *reader.notes())
    return [Finding(note.code, None, note.text) for note in notes if note.code not in MISPLACED]


def _find_overlong(overlong: Mapping[int, int], limit: int) -> Iterator[Finding]:
    for row, tokens in overlong.items():
        told = f"{tokens:,} tokens, more than {limit:,}: `prepare` stops at this row, or drops it"
        yield Finding("data.too_long", row, told)


def _find_leaks(leaks: Mapping[str, Sequence[int]]) -> Iterator[Finding]:
    for name, rows in leaks.items():
        told = f"would be a {name} row whose prompt is also trained on; --split group keeps them together"
        yield from (Finding("data.leak", row, told) for row in rows)


def _find_alike(alike: NearDuplicates) -> Iterator[Finding]:
    for pair in alike:
        yield Finding("data.near_duplicate", pair.row, f"{pair.similarity:.0%} like row {pair.other}")


def _find_uncompared(prompts: Prompts, alike: NearDuplicates) -> Iterator[Finding]:
    """Report rows that were not compared with all candidates."""
    if prompts.uncompared:
        told = (
            f"near-duplicates were searched among the first {prompts.most_compared:,} rows; in the"
            f" {prompts.uncompared:,} rows after them, only equal prompts were found"
        )
        yield Finding("data.near_duplicates_not_compared", None, told)
    yield from (Finding(note.code, None, note.text) for note in alike.notes())


def spoken(row: Conversation) -> str:
    """Return all text of a conversation, to detect its language."""
    return " ".join(turn.content for turn in row.messages)
