"""The options that name judges, and what is shown of what they say."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli import console
from tutelage.config.effects import OF_JUDGES
from tutelage.config.recipe_file import LoadedRecipe, changed_settings, load
from tutelage.errors import EXIT_UNTRUSTWORTHY, RunFolderError
from tutelage.run.artifacts import Note, read_artifact
from tutelage.run.folder import RunFolder
from tutelage.run.judges import JudgedSet, JudgeResult, Judges, LabelFigures

COMMAND_LINE = ("--judge", "--set")


@Parameter(name="*")
@dataclass(frozen=True)
class Judging:
    """The options of the verbs that let judges score the answers."""

    _: KW_ONLY
    judge: Annotated[
        tuple[str, ...],
        Parameter(
            help="A model that scores the answers: ollama:MODEL, openai:MODEL@URL or gguf:PATH; may be repeated.",
            negative="",
            show_default=False,
        ),
    ] = ()
    labels: Annotated[
        str | None,
        Parameter(help="A JSON or JSONL file with scores by people, which the judges are held against."),
    ] = None

    def overrides(self) -> dict[str, Any]:
        given = {
            "--judge evaluation.judges": list(self.judge) or None,
            "--labels evaluation.labels": self.labels,
        }
        return {name: value for name, value in given.items() if value is not None}


def refuse_judges(loaded: LoadedRecipe) -> None:
    """Stop before anything is computed where a judge or the labels of a recipe cannot be used."""
    from tutelage.evaluation.judging.judge import refuse_judges_at_fault

    named_here = loaded.origins.get("evaluation.judges") in COMMAND_LINE
    refuse_judges_at_fault(loaded.recipe.evaluation, named_here=named_here)


def judges_only(run: RunFolder, loaded: LoadedRecipe) -> bool:
    """Tell whether the answers are there and judges are named, so that no model need answer again."""
    return run.metrics.exists() and bool(loaded.recipe.evaluation.judges)


def refuse_other_answers(run: RunFolder, loaded: LoadedRecipe) -> None:
    """Stop where the answers that are there were made with other settings than the recipe says now."""
    own = load(run.evaluated_recipe, {}, [])
    changed = changed_settings(own.recipe, loaded.recipe, sections=("evaluation",), apart_from=OF_JUDGES)
    if changed:
        raise RunFolderError(
            "run.settings_changed",
            f"{run.evaluation} holds answers made with other settings: {', '.join(changed)}. Leave them out to judge"
            " those answers, or add --overwrite to make new ones.",
        )


def judge_stage(run: RunFolder, loaded: LoadedRecipe) -> int:
    """Let the judges score the answers in the folder, print what they say, and return the exit code of the verb."""
    if not loaded.recipe.evaluation.judges:
        return 0
    console.say()
    with console.waiting("Reading the answers"):
        from tutelage.evaluation.judging.judge import judge_run
    with ExitStack() as stack:

        def progress(judge: str, total: int) -> Callable[[int], None]:
            stack.close()  # one bar at a time
            advance = stack.enter_context(console.progress(f"{judge} is asked", total))
            return lambda answered: advance(answered, "")

        def tell(line: str) -> None:
            stack.close()
            console.say(line)

        found = judge_run(run, loaded.recipe.evaluation, progress=progress, tell=tell)
        judges = found.judges
    console.say()
    show_judges(judges)
    said = [one for result in judges.values() for one in (result, *result.sets.values())]
    return 0 if all(one.trusted for one in said) else EXIT_UNTRUSTWORTHY


def has_worse_set(run: RunFolder) -> bool:
    """Tell whether a judge that is trusted on a named set found the tuned model worse there."""
    judges = read_artifact(Judges, run.judges).judges.values() if run.judges.exists() else ()
    return any(one.verdict == "worse" for result in judges for one in result.sets.values())


def show_judges(judges: Mapping[str, JudgeResult]) -> None:
    """Print a table of all judges, then for each its verdict, its failed checks and what it left out."""
    columns = [
        "judge",
        "base",
        "tuned",
        "difference",
        "95 % interval",
        "win / tie / loss",
        "nulls",
        "swaps agree",
    ]
    console.table(
        columns,
        [_row(judge, result) for judge, result in judges.items()],
        numeric={1, 2, 3, 4, 5, 6, 7},
    )
    for judge, result in judges.items():
        console.say()
        console.heading(result.sentence)
        _show_checks(result)
        if result.nulls:
            worst, best = result.bounds.worst, result.bounds.best
            console.say(
                f"With every missing score at its worst or best, the difference is {worst:+.1f} or {best:+.1f}."
            )
        _show_labels(judge, result.labels)
        _show_notes(result.notes)
        for name, one in result.sets.items():
            console.say()
            console.heading(f"Test set {name}, by {judge}")
            console.say(one.sentence)
            _show_checks(one)
            _show_notes(one.notes)


def _show_notes(notes: Iterable[Note]) -> None:
    for note in notes:
        console.note(note.code, note.message)


def _row(judge: str, result: JudgeResult) -> list[str]:
    score, preference = result.score, result.preference
    interval = "unknown" if score.low is None else f"{score.low:+.1f} to {score.high:+.1f}"
    swaps = preference.swaps_agree
    return [
        judge,
        _number(score.base, ".1f"),
        _number(score.tuned, ".1f"),
        _number(score.difference, "+.1f"),
        interval,
        f"{preference.win} / {preference.tie} / {preference.loss}",
        f"{result.nulls} of {result.rows}",
        "unknown" if swaps is None else f"{swaps:.0f} %",
    ]


def _show_checks(result: JudgeResult | JudgedSet) -> None:
    test = result.self_test
    failed = [check for check in test.checks if not check.passed]
    if not failed:
        console.say(f"Its self-test passed, {len(test.checks)} checks.")
        return
    if test.fault and any(check.name == "readable" for check in failed):
        return  # its replies could not be read, and why is said already
    failed = [check for check in failed if check.value is not None]
    if all(check.name == "readable" for check in failed):
        return  # it never replied, and that is said already
    console.table(
        ["what the self-test found", "value", "wanted"],
        [[check.label, _number(check.value, ".1f"), check.wanted] for check in failed],
        numeric={1},
    )


def _show_labels(judge: str, labels: LabelFigures | None) -> None:
    if labels is None:
        return
    agreed, corrected = labels.agreement, labels.corrected
    if agreed is None:
        console.say("Fewer than three of its scores have a label, which is too few to compare.")
        return
    console.say(
        f"Against {agreed.n} labels: rank correlation {_number(agreed.spearman, '.3f')}, bias"
        f" {agreed.bias:+.1f}, mean error {agreed.mean_absolute_error:.1f}, sensitivity"
        f" {_number(agreed.sensitivity, '.2f')}, specificity {_number(agreed.specificity, '.2f')}."
    )
    if corrected:
        console.say(
            f"Corrected by the labels, the difference is {corrected.difference:+.1f} (95 % interval"
            f" {corrected.low:+.1f} to {corrected.high:+.1f}, from {corrected.n} rows with both labels)."
        )


def _number(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
