"""`tutelage run`: all stages, from a file to a report."""

from tutelage.cli import console
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.evaluate import evaluate_stage, open_named_sets, refuse_answers_without_room
from tutelage.cli.judging import Judging, judge_stage, refuse_judges
from tutelage.cli.opening import prepare_what_is_here
from tutelage.cli.options import FailIfWorse, Options, open_new_run
from tutelage.cli.prepare import preparing
from tutelage.cli.report import report_stage
from tutelage.cli.train import open_model, train_stage
from tutelage.errors import EXIT_WORSE
from tutelage.recipe_file import LoadedRecipe
from tutelage.run_folder import RunFolder, read_json_lines

ANSWERS_SHOWN = 3
LONGEST_SHOWN = 300


def run(
    options: Options = Options(),  # noqa: B008 - frozen
    judging: Judging = Judging(),  # noqa: B008 - frozen
    *,
    fail_if_worse: FailIfWorse = False,
) -> int:
    """Prepare, tune, evaluate and report in one go."""
    folder, loaded = open_new_run(options, judging.overrides())
    refuse_judges(loaded)
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
    has_worsened, code = run_stages(folder, loaded)
    return EXIT_WORSE if fail_if_worse and has_worsened else code


def run_stages(run: RunFolder, loaded: LoadedRecipe) -> tuple[bool, int]:
    """Run all stages; tell whether the verdict is worse, and the exit code that judges ask for.

    Without test rows there is nothing to evaluate, and it is said.

    An earlier run is not touched before the new one is known to begin: rows, settings and model are tried first.
    """
    console.heading("1 Prepare")
    with preparing(run, loaded) as preparation:
        test_rows = preparation.splits["test"]
        sets = open_named_sets(loaded, lambda: preparation.splits["train"])
        if test_rows:
            refuse_answers_without_room(test_rows, loaded)
        opened = open_model(loaded, preparation.splits)
    console.say()
    console.heading("2 Tune")
    train_stage(run, loaded, opened)
    console.say()
    has_worsened, code = False, 0
    if test_rows:
        has_worsened = evaluate_stage(run, loaded, sets)
        code = judge_stage(run, loaded)
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
    return has_worsened, code


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
