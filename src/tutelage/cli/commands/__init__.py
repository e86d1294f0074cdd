"""Which function runs a command, and what `--help` says of it, so that a command imports its own function alone."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """`function` stands as module:name; `help` is its docstring, to the letter."""

    function: str
    help: str


COMMANDS: Mapping[str, Command] = {
    "run": Command(
        "tutelage.cli.commands.run:run",
        "Prepare, tune, evaluate and report in one go; an unfinished run goes on.",
    ),
    "check": Command(
        "tutelage.cli.commands.check:check",
        "Say what is wrong with some data, and what they are for the model; nothing is written.",
    ),
    "preview": Command(
        "tutelage.cli.commands.preview:preview",
        "Show exactly what the model is trained on and what it will be asked; nothing is written.",
    ),
    "prepare": Command(
        "tutelage.cli.commands.prepare:prepare",
        "Read, check and split the data, and render every row as the model will see it.",
    ),
    "train": Command(
        "tutelage.cli.commands.train:train",
        "Tune the model on the prepared rows of a run, and keep the best weights; an unfinished training goes on.",
    ),
    "evaluate": Command(
        "tutelage.cli.commands.evaluate:evaluate",
        "Collect the answers of base and tuned model on the test rows, compare and score them.\n\n"
        "Where the answers are there already and a judge is named, the judge alone is asked.",
    ),
    "compare": Command(
        "tutelage.cli.commands.compare:compare",
        "Compare the tuned models of runs, row by row; runs that differ in their seed alone count as one recipe.",
    ),
    "report": Command(
        "tutelage.cli.commands.report:report",
        "Write report.html and summary.json from what the stages left in the run folder.",
    ),
    "generate": Command(
        "tutelage.cli.commands.generate:generate",
        "Answer an instruction with the tuned model of a run.",
    ),
    "chat": Command(
        "tutelage.cli.commands.chat:chat",
        "Talk with the tuned model of a run; /help inside tells what can be typed.",
    ),
    "serve": Command(
        "tutelage.cli.commands.serve:serve",
        "Answer programs that speak OpenAI's interface, with the tuned model of a run and its base.",
    ),
    "export": Command(
        "tutelage.cli.commands.export:export",
        "Write a tuned model for other programs, load it again in a fresh process, and compare its answers.",
    ),
    "classify": Command(
        "tutelage.cli.commands.classify:classify",
        "Give texts, or the rows of a file, their labels by the tuned model of a run.",
    ),
    "verify": Command(
        "tutelage.cli.commands.verify:verify",
        "Compare every file of a run with its hash, and train the last steps again; nothing is written.",
    ),
    "selftest": Command(
        "tutelage.cli.commands.selftest:selftest",
        "Run one step of eight starter rows in every way on a model, and compare loss and gradients.",
    ),
}

DATA_COMMANDS: Mapping[str, Command] = {
    "convert": Command(
        "tutelage.cli.commands.data.convert:convert",
        "Write rows in another format or another kind of file; each keeps its number as `source_row`.",
    ),
    "filter": Command(
        "tutelage.cli.commands.data.filter:filter_rows",
        "Keep the rows that are what they should be; the reason of every other one is told.",
    ),
    "split": Command(
        "tutelage.cli.commands.data.split:split",
        "Part rows into training, test and validation: OUTPUT rows.jsonl becomes rows.train.jsonl and so on.",
    ),
    "sample": Command(
        "tutelage.cli.commands.data.sample:sample",
        "Draw some rows, which stay in their order; a larger sample of the same seed holds the smaller one.",
    ),
    "stats": Command(
        "tutelage.cli.commands.data.stats:stats",
        "Count rows, fields, turns, languages, lengths and near-duplicates; nothing is judged or written.",
    ),
    "generate": Command(
        "tutelage.cli.commands.data.generate:generate_rows",
        "Ask a language model for new rows like those of DATA; what only repeats a row that is there is not taken.",
    ),
    "improve": Command(
        "tutelage.cli.commands.data.improve:improve_rows",
        "Have a language model say what is lacking in each row and write it anew; all rows are written.",
    ),
}

RECIPE_COMMANDS: Mapping[str, Command] = {
    "list": Command(
        "tutelage.cli.commands.recipes:list_recipes",
        "Name every recipe with what it is for, its model, what it trains, and about how long it takes.",
    ),
    "show": Command(
        "tutelage.cli.commands.recipes:show_recipe",
        "Print a recipe as it stands in its file.",
    ),
    "copy": Command(
        "tutelage.cli.commands.recipes:copy_recipe",
        "Copy a recipe to a file of yours.",
    ),
}
