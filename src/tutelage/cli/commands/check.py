"""`tutelage check`: the data doctor."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli.opening import opened_inputs
from tutelage.cli.options import DataOptions
from tutelage.cli.views import console
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.errors import EXIT_USAGE, EXIT_WARNINGS, DataError
from tutelage.stages.check import check as check_data

MESSAGES_SHOWN = 3
ROWS_SHOWN = 6
LABELS_SHOWN = 8
BAR_CHARACTERS = 40
STOPS = (
    "data.empty_split",
    "data.too_few_prompts",
    "data.too_long",
    "data.single_label",
    "data.label_not_in_training",
)  # `prepare` stops at them
FITS = (512, 1024, 2048, 4096)


def check(
    options: DataOptions = DataOptions(),  # noqa: B008 - frozen
    *,
    strict: Annotated[
        bool, Parameter(help="Leave with exit code 1 if there are warnings.", negative="", show_default=False)
    ] = False,
    json: Annotated[
        bool,
        Parameter(help="Print the result as JSON, every finding included.", negative="", show_default=False),
    ] = False,
    near_duplicates: Annotated[bool, Parameter(help="Look for rows whose prompts are nearly alike.")] = True,
) -> int:
    """Say what is wrong with some data, and what they are for the model; nothing is written."""
    try:
        found = _examine(options, with_near_duplicates=near_duplicates, is_quiet=json)
    except DataError as fault:
        if not json or options.debug:
            raise
        console.say_json(_faulty(fault))
        return EXIT_USAGE
    if json:
        console.say_long_json(found.to_record())
    else:
        show_examination(found)
        console.say()
        console.say(_next_step(found, options))
    return EXIT_WARNINGS if strict and found.has_warnings else 0


def _examine(options: DataOptions, *, with_near_duplicates: bool, is_quiet: bool) -> Any:
    with opened_inputs(LoadedRecipe(options.load(), {}), is_quiet=is_quiet) as (inputs, reporter):
        return check_data(inputs, reporter, near_duplicates=with_near_duplicates)


def _faulty(fault: DataError) -> dict[str, Any]:
    """Return what is known of data that cannot be read: the fault."""
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


def show_examination(found: Any) -> None:
    """Print counts, lengths, languages and findings for a person."""
    formats = ", ".join(f"{count:,} {name}" for name, count in found.formats.items())
    console.heading(found.source)
    console.say(f"{found.kind}, {found.rows:,} rows: {formats}.")
    console.say("{kept:,} kept, {repaired:,} repaired, {dropped:,} dropped.".format(**found.outcomes))
    console.say(f"{found.repeated_prompts:,} rows repeat the prompt of an earlier row.")
    console.say(_languages(found.languages))
    if found.labels:
        console.say(_labels(found.labels))
    console.say()
    if found.tokens:
        _show_tokens(found.tokens)
    elif found.outcomes["dropped"] == found.rows:
        console.say("No row was kept, so there are no tokens to count.")
    else:
        console.say(
            "The model is not on this machine, so nothing is told of tokens; `tutelage prepare` fetches it."
        )
    console.say()
    _show_findings(found.findings)


def _next_step(found: Any, options: DataOptions) -> str:
    """Say in one line that the rows are ready, and the command that runs, or what to fix first."""
    if found.outcomes["dropped"] == found.rows:
        return "Not ready: no row can be used. Fix first what the findings above name."
    stops = sorted({one.code for one in found.findings if one.code in STOPS})
    if stops:
        return f"Not ready: fix first {' and '.join(stops)} above."
    words = ["tutelage", "run", *([str(options.recipe)] if options.recipe else [])]
    given = {"--data": options.data, "--prompt": options.prompt, "--split": options.split}
    given["--instruction"] = options.instruction
    words += [word for name, value in given.items() if value is not None for word in (name, value)]
    words += [
        word
        for name, values in (("--map", options.map), ("--set", options.set))
        for value in values
        for word in (name, value)
    ]
    return f"Ready: {shlex.join(words)}"


def _languages(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    shares = ", ".join(f"{name} {count / total:.0%}" for name, count in list(counts.items())[:8])
    return f"Languages, by a look at {total:,} rows: {shares}."


def _labels(counts: dict[str, int]) -> str:
    from tutelage.data.quality.label_names import quoted

    shown = [f"{quoted(label)} {count:,}" for label, count in list(counts.items())[:LABELS_SHOWN]]
    more = f", and {len(counts) - LABELS_SHOWN:,} more" if len(counts) > LABELS_SHOWN else ""
    return f"Labels, by rows: {', '.join(shown)}{more}."


def _show_tokens(tokens: Any) -> None:
    from tutelage.data.lint.examination import LENGTHS

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
    console.say(
        f"Half have up to {lengths[(len(lengths) - 1) // 2]:,}, the longest has {lengths[-1]:,}."
        f" Share that fits {fitting}."
    )
    if tokens.without_end is None:
        console.say("Each text stands alone, without a prompt, and its label counts as one token more.")
    else:
        console.say(f"{tokens.without_end / len(lengths):.0%} of the rows are without an end of turn.")
    by_step, over_all = (1 - nodes / tokens.computed for nodes in (tokens.distinct_by_step, tokens.distinct))
    console.say(f"{sum(lengths):,} tokens, {tokens.supervised:,} supervised.")
    console.say(
        f"Prefix sharing spares {by_step:.0%} of the work in steps of eight rows in this order, up to {over_all:.0%}"
        " over the whole."
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
        console.say("Nothing was found.")
        return
    console.heading("Findings")
    rows = [
        [str(rule), RULES[rule], f"{found.count:,}", found.rows, "" if found.shown[0].is_warning else "note"]
        for rule, found in by_rule.items()
    ]
    console.table(["rule", "what", "count", "rows", ""], rows, numeric=(0, 2))
    console.say()
    for rule, found in by_rule.items():
        for one in found.shown:
            where = "" if one.row is None else f" row {one.row}"
            console.say(f"[{one.code}]{where} {one.message}")
        more = found.count - len(found.shown)
        if more:
            console.say(f"[rule {rule}] … and {more:,} more; --json lists all")


class _OfRule:
    """How many findings of one rule there are, and as many of them as are shown."""

    def __init__(self) -> None:
        self.count = 0
        self.shown: list[Any] = []
        self._rows: dict[int, None] = {}

    def add(self, finding: Any) -> None:
        self.count += 1
        if (
            len(self.shown) < MESSAGES_SHOWN or finding.row is None
        ):  # what is about the source is shown always
            self.shown.append(finding)
        if finding.row is not None and len(self._rows) <= ROWS_SHOWN:
            self._rows[finding.row] = None

    @property
    def rows(self) -> str:
        """The first rows, and whether there are more."""
        more = " …" if len(self._rows) > ROWS_SHOWN else ""
        return ", ".join(map(str, list(self._rows)[:ROWS_SHOWN])) + more
