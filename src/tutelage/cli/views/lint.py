"""Print a lint report."""

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tutelage.cli.views import console
from tutelage.errors import DataError
from tutelage.stages.check import what_stops

if TYPE_CHECKING:
    from tutelage.data.lint.report import LintReport

MESSAGES_SHOWN = 3
ROWS_SHOWN = 6
LABELS_SHOWN = 8
BAR_CHARACTERS = 40
FITS = (512, 1024, 2048, 4096)


def show_lint_report(found: "LintReport") -> None:
    """Print counts, lengths, languages and findings."""
    formats = ", ".join(f"{count:,} {name}" for name, count in found.formats.items())
    console.heading(found.source)
    console.print_message(f"{found.kind}, {found.rows:,} rows: {formats}.")
    console.print_message(
        "{kept:,} kept, {repaired:,} repaired, {dropped:,} dropped.".format(**found.outcomes)
    )
    console.print_message(f"{found.repeated_prompts:,} rows repeat the prompt of an earlier row.")
    console.print_message(_languages(found.languages))
    if found.labels:
        console.print_message(_labels(found.labels))
    console.print_message()
    if found.tokens:
        _show_tokens(found.tokens)
    elif found.outcomes["dropped"] == found.rows:
        console.print_message("No row was kept, so there are no tokens to count.")
    else:
        console.print_message(
            "The model is not on this machine, so tokens were not counted; `tutelage prepare` downloads it."
        )
    console.print_message()
    _show_findings(found.findings)


def show_readiness(found: "LintReport", command: Sequence[str]) -> None:
    """Print one line: that the rows are ready, with the command to run, or what to fix first."""
    stops = what_stops(found)
    if found.outcomes["dropped"] == found.rows:
        console.print_message("Not ready: no row can be used. First fix the findings above.")
    elif stops:
        console.print_message(f"Not ready: first fix {' and '.join(stops)} above.")
    else:
        console.print_message(f"Ready: {shlex.join(command)}")


def record_of_fault(fault: DataError) -> dict[str, Any]:
    """Return the JSON record for data that cannot be read."""
    counts = dict.fromkeys(("rows", "kept", "repaired", "dropped"), 0)
    nothing = {
        "format": "",
        "repeated_prompts": 0,
        "leaks": {"test": [], "validation": []},
        "near_duplicates": [],
    }
    return {
        **counts,
        **nothing,
        "findings": [{"code": fault.code, "rule": fault.rule, "row": fault.row, "message": str(fault)}],
    }


def _languages(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    shares = ", ".join(f"{name} {count / total:.0%}" for name, count in list(counts.items())[:8])
    return f"Languages, from a sample of {total:,} rows: {shares}."


def _labels(counts: dict[str, int]) -> str:
    from tutelage.data.quality.label_names import quoted

    shown = [f"{quoted(label)} {count:,}" for label, count in list(counts.items())[:LABELS_SHOWN]]
    more = f", and {len(counts) - LABELS_SHOWN:,} more" if len(counts) > LABELS_SHOWN else ""
    return f"Labels, by rows: {', '.join(shown)}{more}."


def _show_tokens(tokens: Any) -> None:
    from tutelage.data.lint.report import LENGTHS

    lengths = sorted(tokens.lengths.tolist())
    console.heading("Length in tokens")
    lower, rows = 0, []
    for upper in (*LENGTHS, max(lengths[-1], LENGTHS[-1])):
        count = sum(lower < length <= upper for length in lengths)
        if count:
            bar = "█" * max(1, round(BAR_CHARACTERS * count / len(lengths)))
            rows.append([f"{lower + 1:,} to {upper:,}", f"{count:,}", f"{count / len(lengths):.0%}", bar])
        lower = upper
    console.table([], rows, numeric=(0, 1, 2))
    fitting = ", ".join(f"{limit:,}: {_share(lengths, limit)}" for limit in FITS)
    console.print_message(
        f"Median {lengths[(len(lengths) - 1) // 2]:,}, the longest has {lengths[-1]:,}."
        f" Share that fits {fitting}."
    )
    if tokens.without_end is None:
        console.print_message("Each text is read without a prompt, and its label counts as one extra token.")
    else:
        console.print_message(
            f"{tokens.without_end / len(lengths):.0%} of the rows have no end-of-turn token."
        )
    by_step, over_all = (1 - nodes / tokens.computed for nodes in (tokens.distinct_by_step, tokens.distinct))
    console.print_message(f"{sum(lengths):,} tokens, {tokens.supervised:,} supervised.")
    console.print_message(
        f"Prefix sharing saves {by_step:.0%} of the work in batches of eight rows in this order, up to {over_all:.0%}"
        " over all rows."
    )


def _share(lengths: Sequence[int], limit: int) -> str:
    return f"{sum(length <= limit for length in lengths) / len(lengths):.0%}"


def _show_findings(findings: Iterable[Any]) -> None:
    from tutelage.data.quality.rules import RULES

    by_rule: dict[int, _OfRule] = {}
    for one in findings:
        by_rule.setdefault(one.rule, _OfRule()).add(one)
    by_rule = dict(sorted(by_rule.items()))
    if not by_rule:
        console.print_message("Nothing was found.")
        return
    console.heading("Findings")
    rows = [
        [str(rule), RULES[rule], f"{found.count:,}", found.rows, "" if found.shown[0].is_warning else "note"]
        for rule, found in by_rule.items()
    ]
    console.table(["rule", "what", "count", "rows", ""], rows, numeric=(0, 2))
    console.print_message()
    for rule, found in by_rule.items():
        for one in found.shown:
            where = "" if one.row is None else f" row {one.row}"
            console.print_message(f"[{one.code}]{where} {one.message}")
        more = found.count - len(found.shown)
        if more:
            console.print_message(f"[rule {rule}] … and {more:,} more; --json lists all")


class _OfRule:
    """The number of findings under one rule, and those to show."""

    def __init__(self) -> None:
        self.count = 0
        self.shown: list[Any] = []
        self._rows: dict[int, None] = {}

    def add(self, finding: Any) -> None:
        self.count += 1
        if (
            len(self.shown) < MESSAGES_SHOWN or finding.row is None
        ):  # findings about the source are always shown
            self.shown.append(finding)
        if finding.row is not None and len(self._rows) <= ROWS_SHOWN:
            self._rows[finding.row] = None

    @property
    def rows(self) -> str:
        """The first row numbers, and whether there are more."""
        more = " …" if len(self._rows) > ROWS_SHOWN else ""
        return ", ".join(map(str, list(self._rows)[:ROWS_SHOWN])) + more
