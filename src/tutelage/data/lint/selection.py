"""Select rows: by criteria, at random, or by the number of near-duplicates."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tutelage.codes import Message
from tutelage.data.lint.report import spoken
from tutelage.data.lint.row_checks import find_in_rows, find_null_fields
from tutelage.data.quality.checks import CheckedRow
from tutelage.data.quality.label_names import SeenLabels
from tutelage.data.quality.languages import language_of
from tutelage.data.quality.near_duplicates import near_duplicates
from tutelage.data.quality.rules import RULES
from tutelage.data.rows.conversations import Conversation
from tutelage.data.rows.records import Record
from tutelage.errors import DataError
from tutelage.text.patterns import BoundedPattern, PatternTimeoutError

# The rules about a single row, or about a row and an earlier equal one.
RULES_OF_ROWS = (6, 7, 8, 9, 10, 11, 14, 16, 17, 18, 19, 20, 21, 28, 31, 32)
NOTHING_BEFORE: Mapping[int, Message] = {}
Note = Callable[[Message], None]  # called with messages about the selection as a whole


def unheard(message: Message) -> None:
    """Ignore a message."""


@dataclass(frozen=True)
class Criteria:
    """Criteria for selecting rows; empty values and None impose no condition."""

    without_rules: Collection[int] = ()
    only_rules: Collection[int] = ()
    languages: Collection[str] = ()
    without_languages: Collection[str] = ()
    matching: Sequence[BoundedPattern] = ()
    not_matching: Sequence[BoundedPattern] = ()
    min_tokens: int | None = None
    max_tokens: int | None = None
    min_answer_characters: int | None = None
    max_answer_characters: int | None = None
    per_cluster: int | None = None

    @property
    def rules(self) -> set[int]:
        return {*self.without_rules, *self.only_rules}

    @property
    def needs_tokens(self) -> bool:
        return self.min_tokens is not None or self.max_tokens is not None


def leave_out(
    records: Sequence[Record],
    rows: Sequence[Conversation],
    checked: Sequence[CheckedRow],
    criteria: Criteria,
    *,
    tokens: Mapping[int, int],
    controls: Collection[str] = (),
    label_separator: str | None = None,
    before: Mapping[int, Message] = NOTHING_BEFORE,
    note: Note = unheard,
) -> dict[int, Message]:
    """Return the rows that are not selected, each with the first reason; rows in `before` are already excluded.

    `tokens` are example lengths, if the criteria need them; `controls` are the model's control tokens, for rule
    20. `note` is called if clusters are uncertain. Cluster limits are applied last, to the rows that pass all
    other criteria.
    """
    told = _findings(records, checked, criteria.rules, controls, label_separator)
    reasons = {
        row.row: before.get(row.row) or next(_reasons(row, criteria, told.get(row.row, {}), tokens), None)
        for row in rows
    }
    left_out = {row: reason for row, reason in reasons.items() if reason is not None}
    if criteria.per_cluster is not None:
        chosen = [row for row in rows if row.messages and row.row not in left_out]
        left_out |= _beyond_their_cluster(chosen, criteria.per_cluster, note)
    return left_out


def sample_rows(rows: Sequence[int], count: int, *, seed: int) -> set[int]:
    """Sample rows by a hash of seed and row, so that a larger sample with the same seed contains the smaller
    one.
    """

    def lot(row: int) -> bytes:
        return hashlib.sha256(f"{seed} {row}".encode()).digest()

    return set(sorted(rows, key=lot)[:count])


def clusters(rows: Sequence[Conversation], *, note: Note = unheard) -> list[list[int]]:
    """Return groups of rows that are near-duplicates, directly or transitively, largest first.

    `note` is called if some rows were not compared with all candidates.
    """
    groups: dict[int, list[int]] = {}
    alike = near_duplicates(rows)
    for message in alike.notes():
        note(message)
    for row, first in zip(rows, alike.first_of.tolist(), strict=True):
        groups.setdefault(first, []).append(row.row)
    return sorted(
        (group for group in groups.values() if len(group) > 1), key=lambda group: (-len(group), group)
    )


def _findings(
    records: Sequence[Record],
    checked: Sequence[CheckedRow],
    rules: Collection[int],
    controls: Collection[str],
    label_separator: str | None,
) -> dict[int, dict[int, str]]:
    """Return the findings for each row under `rules`: {row: {rule: message}}."""
    if not rules:
        return {}
    told: dict[int, dict[int, str]] = {}
    labels = SeenLabels(label_separator)
    for one in checked:
        if one.outcome != "dropped":
            labels.note(one.row)
    for finding in (*find_in_rows(checked, controls), *find_null_fields(records), *labels.findings()):
        if finding.row is not None and finding.rule in rules:
            told.setdefault(finding.row, {}).setdefault(finding.rule, finding.message)
    return told


def _reasons(
    row: Conversation, criteria: Criteria, told: Mapping[int, str], tokens: Mapping[int, int]
) -> Iterator[Message]:
    """Yield the reasons why a row is not selected."""
    yield from (
        Message("filter.rule", f"rule {rule}, {RULES[rule]}")
        for rule in criteria.without_rules
        if rule in told
    )
    if criteria.only_rules and not any(rule in told for rule in criteria.only_rules):
        yield Message("filter.no_rule", "no finding of the requested rules")
    yield from _language_reasons(row, criteria)
    yield from _text_reasons(row, criteria)
    answer = len(row.response) if row.messages else 0
    yield from _length_reasons(
        answer, "characters in the answer", criteria.min_answer_characters, criteria.max_answer_characters
    )
    if criteria.needs_tokens:
        yield from _length_reasons(tokens[row.row], "tokens", criteria.min_tokens, criteria.max_tokens)


def _language_reasons(row: Conversation, criteria: Criteria) -> Iterator[Message]:
    if criteria.languages or criteria.without_languages:
        language = language_of(spoken(row))
        is_chosen = not criteria.languages or language in criteria.languages
        if not is_chosen or language in criteria.without_languages:
            yield Message("filter.language", f"language {language}")


def _text_reasons(row: Conversation, criteria: Criteria) -> Iterator[Message]:
    if criteria.matching or criteria.not_matching:
        text = spoken(row)
        yield from (
            Message("filter.no_match", f"nothing matches {one.pattern}")
            for one in criteria.matching
            if not _is_found(one, text, row)
        )
        yield from (
            Message("filter.match", f"matches {one.pattern}")
            for one in criteria.not_matching
            if _is_found(one, text, row)
        )


def _is_found(pattern: BoundedPattern, text: str, row: Conversation) -> bool:
    try:
        return pattern.search(text)
    except PatternTimeoutError as fault:
        raise DataError(
            "filter.regex_timeout",
            f"Row {row.row}: {fault} and was stopped. Write the pattern without nested repetitions.",
            row=row.row,
        ) from fault


def _length_reasons(length: int, unit: str, least: int | None, most: int | None) -> Iterator[Message]:
    if least is not None and length < least:
        yield Message("filter.too_short", f"fewer than {least:,} {unit}")
    if most is not None and length > most:
        yield Message("filter.too_long", f"more than {most:,} {unit}")


def _beyond_their_cluster(rows: Sequence[Conversation], most: int, note: Note) -> dict[int, Message]:
    reason = Message("filter.cluster_full", f"more than {most:,} in one cluster of near-duplicates")
    return {row: reason for group in clusters(rows, note=note) for row in sorted(group)[most:]}
