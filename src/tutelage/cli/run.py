"""`tutelage run`: all stages, from a file to a report."""

from tutelage.cli import console
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.evaluate import evaluate_stage, open_named_sets, refuse_answers_without_room
from tutelage.cli.opening import prepare_in_memory, prepare_what_is_here
from tutelage.cli.options import FailIfWorse, Options, open_new_run
from tutelage.cli.prepare import keep_preparation, show_preparation
from tutelage.cli.report import report_stage
from tutelage.cli.train import open_model, train_stage
from tutelage.errors import EXIT_WORSE
from tutelage.recipe_file import LoadedRecipe
from tutelage.run_folder import RunFolder, read_json_lines

ANSWERS_SHOWN = 3
LONGEST_SHOWN = 300


def run(
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    fail_if_worse: FailIfWorse = False,
) -> int:
    """Prepare, tune, evaluate and report in one go."""
    folder, loaded = open_new_run(options)
    if options.dry_run:
        preparation = prepare_what_is_here(loaded.recipe)
        if preparation and preparation.splits["test"]:
            refuse_answers_without_room(preparation.splits["test"], loaded)
            open_named_sets(loaded, lambda: preparation.splits["train"])
        writes = [
            folder.recipe,
            folder.data,
            folder.events,
            folder.environment,
            folder.checkpoints,
            folder.model,
        ]
        show_dry_run(
            folder,
            loaded,
            writes=[*writes, folder.evaluation, folder.summary, folder.report],
            guarded=[folder.data],
            training=preparation and preparation.splits["train"],
        )
        return 0
    is_worse = run_stages(folder, loaded)
    return EXIT_WORSE if fail_if_worse and is_worse else 0


def run_stages(run: RunFolder, loaded: LoadedRecipe) -> bool:
    """Run all stages and tell whether the verdict is worse; without test rows nothing is evaluated, and it is said.

    An earlier run is not touched before the new one is known to begin: rows, settings and model are tried first.
    """
    console.heading("1 Prepare")
    preparation = prepare_in_memory(loaded.recipe)
    show_preparation(preparation.summary)
    test_rows = preparation.splits["test"]
    sets = open_named_sets(loaded, lambda: preparation.splits["train"])
    if test_rows:
        refuse_answers_without_room(test_rows, loaded)
    opened = open_model(loaded, preparation.splits)
    keep_preparation(run, loaded, preparation)
    console.say()
    console.heading("2 Tune")
    train_stage(run, loaded, opened)
    console.say()
    is_worse = False
    if test_rows:
        is_worse = evaluate_stage(run, loaded, sets)
        console.say()
        show_answers(run)
    else:
        console.say("There are no test rows (data.test_share is 0), so nothing was evaluated.")
    report_stage(run, loaded)
    console.say()
    console.say("What to type next:")
    console.say(f'  tutelage generate {run.root} "Give the plural of cactus." --base   # ask it yourself')
    console.say(
        f"  tutelage run --data my.json --output {run.root.parent / 'mine'}   # tune on your own rows"
    )
    return is_worse


def show_answers(run: RunFolder) -> None:
    """Print a few test prompts with the answers before and after, spread over the test set."""
    from tutelage.evaluation.clusters import shared_frame

    base, tuned = (read_json_lines(run.responses(arm)) for arm in ("base", "tuned"))
    opening, ending = shared_frame([record["prompt"] for record in base])
    step = max(1, len(base) // ANSWERS_SHOWN)
    for index in range(0, len(base), step)[:ANSWERS_SHOWN]:
        console.heading(f"Test row {base[index]['row']}")
        console.say(_shortened(base[index]["prompt"].removeprefix(opening).removesuffix(ending)))
        console.table(
            [],
            [
                ["before", _shortened(base[index]["response"])],
                ["after", _shortened(tuned[index]["response"])],
                ["wanted", _shortened(base[index]["reference"])],
            ],
        )
        console.say()


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} …"
