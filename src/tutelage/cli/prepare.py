"""`tutelage prepare`: stage 1."""

from pathlib import Path

from tutelage.cli import console
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.options import Options, open_new_run, record_recipe
from tutelage.recipe_file import LoadedRecipe
from tutelage.run_folder import RunFolder, remove


def prepare(options: Options = Options()) -> None:  # noqa: B008 - frozen
    """Read, check and split the data, and render every row as the model will see it."""
    run, loaded = open_new_run(options)
    if options.dry_run:
        show_dry_run(
            run, loaded, writes=[run.recipe, run.data], guarded=[run.data], removes=later_results(run)
        )
        return
    prepare_stage(run, loaded)
    console.say(f"\nNext: tutelage train {run.root}")


def prepare_stage(run: RunFolder, loaded: LoadedRecipe) -> None:
    """Prepare in memory, and only when all went well put it into the run folder, which then holds nothing else."""
    from tutelage.cli.opening import prepare_in_memory
    from tutelage.data.preparation import write_preparation

    console.heading("1 Prepare")
    preparation = prepare_in_memory(loaded.recipe)
    for path in later_results(run):
        remove(path)
    write_preparation(run, preparation)
    record_recipe(run, loaded)
    show_preparation(preparation.summary)
    console.say(f"Written to {run.data}")


def later_results(run: RunFolder) -> list[Path]:
    """Return what the later stages made of earlier data; it says nothing about the new ones."""
    later = (run.events, run.environment, run.checkpoints, run.model, run.evaluation, run.summary, run.report)
    return [path for path in later if path.exists()]


def show_preparation(summary: dict) -> None:
    """Print what became of the rows."""
    rows, tokens = summary["rows"], summary["tokens"]
    console.say(
        f"{rows['read']:,} rows from {summary['source']}: {rows['kept']:,} kept,"
        f" {rows['repaired']:,} repaired, {rows['dropped']:,} dropped."
    )
    console.say(
        f"Split by {summary['split']}: {rows['train']:,} train, {rows['test']:,} test,"
        f" {rows['validation']:,} validation. Prompt style {summary['prompt']}."
    )
    if tokens["train"]:
        computed = tokens["train"] - rows["train"]  # nothing follows the last token of an example
        shared = 1 - tokens["distinct"] / computed
        console.say(
            f"{tokens['train']:,} training tokens, {tokens['supervised']:,} supervised; the longest example has"
            f" {tokens['longest']:,}. Over the whole set {shared:.0%} of the work is shared prefixes."
        )
    for name, leaked in summary["leaks"].items():
        if leaked:
            console.say(
                f"Warning: {len(leaked)} {name} rows have a prompt that is also trained on: "
                f"{', '.join(map(str, leaked[:10]))}. --split group keeps equal prompts together."
            )
    if not rows["validation"]:
        console.say("Warning: there are no validation rows, so the last weights are kept, not the best.")
    for note in summary["notes"]:
        console.say(f"Note: {note}")
