"""The data doctor: everything that can be told of a source without training on it, and without writing anything."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.data.checks import check_rows, count_repeated_prompts
from tutelage.data.conversations import Conversation
from tutelage.data.encoding import control_tokens
from tutelage.data.examples import Example
from tutelage.data.findings import find_in_rows, find_little_variety, find_nulls
from tutelage.data.formats import Conversations, read_conversations
from tutelage.data.languages import language_of
from tutelage.data.near_duplicates import NearDuplicate, near_duplicates
from tutelage.data.prefix_tree import count_distinct
from tutelage.data.preparation import sizes_of
from tutelage.data.prompts import PromptRenderer
from tutelage.data.records import Source
from tutelage.data.rules import Finding
from tutelage.data.splits import find_leaks, split_rows
from tutelage.recipe import DataSettings

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
ROWS_READ_FOR_LANGUAGE = 2_000
EXAMPLES_A_STEP = 8


@dataclass(frozen=True)
class TokenFigures:
    """What the rows are for a model: lengths in tokens, and how many tokens prefix sharing spares it."""

    lengths: list[int]
    supervised: int
    longest_allowed: int
    without_end: int
    computed: int  # tokens that a model has to run over one example at a time
    distinct: int  # over the whole source
    distinct_by_step: int  # over steps of eight rows in the order of the file


@dataclass(frozen=True)
class Examination:
    """All that was found; `outcomes` counts kept, repaired and dropped rows, and they sum up to `rows`."""

    source: str
    kind: str
    formats: dict[str, int]
    rows: int
    outcomes: dict[str, int]
    repeated_prompts: int
    leaks: dict[str, list[int]]
    near_duplicates: list[NearDuplicate]
    findings: list[Finding]
    languages: dict[str, int]
    tokens: TokenFigures | None

    @property
    def has_warnings(self) -> bool:
        return any(finding.is_warning for finding in self.findings)

    def to_record(self) -> dict[str, Any]:
        """Return what `tutelage check --json` prints."""
        return {
            "rows": self.rows,
            **self.outcomes,
            "format": " + ".join(self.formats),
            "repeated_prompts": self.repeated_prompts,
            "leaks": self.leaks,
            "near_duplicates": [
                {"rows": [pair.other, pair.row], "similarity": round(pair.similarity, 4)}
                for pair in self.near_duplicates
            ],
            "findings": [finding_record(finding) for finding in self.findings],
        }


def finding_record(finding: Finding) -> dict[str, Any]:
    return {"rule": finding.rule, "row": finding.row, "message": finding.message}


def examine(
    source: Source,
    settings: DataSettings,
    renderer: PromptRenderer | None,
    *,
    context_length: int = 0,
    with_near_duplicates: bool = True,
    progress: Callable[[str], None] = lambda doing: None,
) -> Examination:
    """Look at every row of a source; without a renderer nothing is told of tokens."""
    progress("Checking the rows")
    read = read_conversations(source.records, source=source.name, settings=settings)
    checked = check_rows(read.rows, settings, sizes_of(source))
    kept = [one.row for one in checked if one.outcome != "dropped"]
    progress("Counting tokens")
    examples = list(renderer.examples(kept, loss_on=settings.loss_on)) if renderer else []
    limit = min(settings.max_length or context_length, context_length)
    tokens = _token_figures(examples, limit, renderer.end_of_turn) if renderer and examples else None
    leaks = _leaks(kept, settings)
    alike: list[NearDuplicate] = []
    if with_near_duplicates:
        progress("Looking for near-duplicates")
        alike = near_duplicates(kept)
    controls = control_tokens(renderer.tokenizer) if renderer else ()
    findings = [
        *_find_in_source(source, read),
        *find_nulls(source.records),
        *find_in_rows(checked, controls),
        *_find_overlong(examples, limit),
        *_find_leaks(leaks),
        *(Finding(13, pair.row, f"{pair.similarity:.0%} like row {pair.other}") for pair in alike),
        *find_little_variety(checked),
        *_find_empty_splits(kept, settings),
    ]
    counted = Counter(one.outcome for one in checked)
    return Examination(
        source=source.name,
        kind=source.kind,
        formats=read.formats,
        rows=len(checked),
        outcomes={outcome: counted[outcome] for outcome in ("kept", "repaired", "dropped")},
        repeated_prompts=count_repeated_prompts(kept),
        leaks=leaks,
        near_duplicates=alike,
        findings=_with_files(findings, source),
        languages=_languages(kept),
        tokens=tokens,
    )


def _leaks(kept: Sequence[Conversation], settings: DataSettings) -> dict[str, list[int]]:
    """Return what a split in the order of the file would leak, whatever rule is set: it is what most tools do."""
    return find_leaks(
        split_rows(kept, rule="position", train_share=settings.train_share, test_share=settings.test_share)
    )


def _find_in_source(source: Source, read: Conversations) -> list[Finding]:
    rules = {"byte-order mark": 3, "UTF-16": 4, "several formats": 22, "is not used": 23}
    notes = [*source.notes, *read.notes]
    return [
        Finding(next((rule for words, rule in rules.items() if words in note), 2), None, note)
        for note in notes
    ]


def _find_overlong(examples: Sequence[Example], limit: int) -> list[Finding]:
    return [
        Finding(
            15,
            example.row,
            f"{len(example.ids):,} tokens, more than {limit:,}: `prepare` stops at it, or drops it",
        )
        for example in examples
        if len(example.ids) > limit
    ]


def _find_leaks(leaks: Mapping[str, Sequence[int]]) -> list[Finding]:
    return [
        Finding(
            12,
            row,
            f"would be a {name} row whose prompt is also trained on; --split group keeps them together",
        )
        for name, rows in leaks.items()
        for row in rows
    ]


def _find_empty_splits(kept: Sequence[Conversation], settings: DataSettings) -> list[Finding]:
    split = split_rows(
        kept, rule=settings.split, train_share=settings.train_share, test_share=settings.test_share
    )
    shares = {"train": 1.0, "test": settings.test_share}
    counted = f"{len(kept):,} usable row{'' if len(kept) == 1 else 's'}"
    return [
        Finding(25, None, f"with {counted} the {name} split would be empty, and `prepare` stops")
        for name, share in shares.items()
        if not split[name] and share > 0
    ]


def _with_files(findings: list[Finding], source: Source) -> list[Finding]:
    """Say in which file of several a row stands, and on which line."""
    places = {
        record.row: f"{record.file}{f', line {record.line}' if record.line else ''}: "
        for record in source.records
        if record.file is not None
    }
    return [
        finding
        if finding.row not in places
        else Finding(finding.rule, finding.row, places[finding.row] + finding.message)
        for finding in findings
    ]


def _languages(kept: Sequence[Conversation]) -> dict[str, int]:
    """Count the languages of rows spread over the source."""
    some = kept[:: -(-len(kept) // ROWS_READ_FOR_LANGUAGE) or 1]
    counts = Counter(language_of(spoken(row)) for row in some)
    return dict(counts.most_common())


def spoken(row: Conversation) -> str:
    """Return all that a conversation says, by which its language is told."""
    return " ".join(turn.said if turn.role == "assistant" else turn.asked for turn in row.turns)


def _token_figures(examples: Sequence[Example], limit: int, end_of_turn: int) -> TokenFigures:
    lengths = [len(example.ids) for example in examples]
    steps = (examples[begin : begin + EXAMPLES_A_STEP] for begin in range(0, len(examples), EXAMPLES_A_STEP))
    return TokenFigures(
        lengths=lengths,
        supervised=sum(example.supervised for example in examples),
        longest_allowed=limit,
        without_end=sum(example.ids[-1] != end_of_turn for example in examples),
        computed=sum(lengths) - len(lengths),  # nothing follows the last token of an example
        distinct=count_distinct(examples),
        distinct_by_step=sum(count_distinct(step) for step in steps),
    )
