"""Commands with their functions and help texts, listed here so that each command only imports its own module."""

from collections.abc import Mapping
from dataclasses import dataclass

# Sections of the help page, in the order of a typical workflow.
START, DATA, TRAIN, EVALUATE, USE, VERIFY = (
    "Start here",
    "Data",
    "Train",
    "Evaluate",
    "Use the model",
    "Verify",
)
WORKFLOW = (START, DATA, TRAIN, EVALUATE, USE, VERIFY)


@dataclass(frozen=True, slots=True)
class Command:
    """`function` is module:name; `help` is identical to its docstring; `purpose` is a section of the help page."""

    function: str
    help: str
    purpose: str = START
    examples: tuple[str, ...] = ()


COMMANDS: Mapping[str, Command] = {
    "run": Command(
        "tutelage.cli.commands.run:run",
        "Fine-tune, evaluate and report in one command.\n\nAn unfinished run resumes where it stopped.",
        START,
        (
            "tutelage run --data my.csv",
            "tutelage run --data my.jsonl --model runs/first/export/hf --epochs 3 --output runs/second",
            "tutelage run quickstart --dry-run",
        ),
    ),
    "check": Command(
        "tutelage.cli.commands.check:check",
        "Find problems in your data; nothing is written.",
        DATA,
        (
            "tutelage check my.csv",
            "tutelage check my.jsonl --strict --json",
        ),
    ),
    "preview": Command(
        "tutelage.cli.commands.preview:preview",
        "Show the exact text and tokens that the model will see.",
        DATA,
        ("tutelage preview my.csv --row 3 --ids",),
    ),
    "prepare": Command(
        "tutelage.cli.commands.prepare:prepare",
        "Read, check, split and tokenize the data.",
        TRAIN,
        ("tutelage prepare --data my.csv --output runs/mine",),
    ),
    "train": Command(
        "tutelage.cli.commands.train:train",
        "Fine-tune the model on the prepared rows of a run."
        "\n\nThe best weights are kept. An unfinished training resumes where it stopped.",
        TRAIN,
        (
            "tutelage train runs/mine",
            "tutelage train runs/mine --learning-rate 2e-4 --overwrite",
        ),
    ),
    "evaluate": Command(
        "tutelage.cli.commands.evaluate:evaluate",
        "Compare base and fine-tuned model on the test rows.\n\nIf the answers already exist and a judge is"
        " given, only the judge runs.",
        EVALUATE,
        (
            "tutelage evaluate runs/mine",
            "tutelage evaluate runs/mine --judge ollama:llama3",
        ),
    ),
    "compare": Command(
        "tutelage.cli.commands.compare:compare",
        "Compare the fine-tuned models of several runs, row by row."
        "\n\nRuns that differ only in their seed count as one recipe.",
        EVALUATE,
        (
            "tutelage compare runs/first runs/second",
            "tutelage compare runs/first runs/second --output comparison.html",
        ),
    ),
    "report": Command(
        "tutelage.cli.commands.report:report",
        "Write report.html and summary.json from a run's results.",
        EVALUATE,
        ("tutelage report runs/mine",),
    ),
    "generate": Command(
        "tutelage.cli.commands.generate:generate",
        "Answer one instruction with the fine-tuned model.",
        USE,
        (
            'tutelage generate runs/mine "Name a fruit."',
            'tutelage generate runs/mine "Translate to German." --input "Good morning" --base',
        ),
    ),
    "chat": Command(
        "tutelage.cli.commands.chat:chat",
        "Chat with the fine-tuned model; /help lists the commands.",
        USE,
        ("tutelage chat runs/mine",),
    ),
    "serve": Command(
        "tutelage.cli.commands.serve:serve",
        "Serve the model over an OpenAI-compatible API."
        "\n\nThe fine-tuned model and its base are served side by side.",
        USE,
        ("tutelage serve runs/mine --port 8000",),
    ),
    "export": Command(
        "tutelage.cli.commands.export:export",
        "Export to PEFT, Hugging Face, GGUF or Ollama, verified."
        "\n\nEach export is loaded again in a fresh process, and its answers are compared with those of the run.",
        USE,
        (
            "tutelage export runs/mine --to gguf --quantization q8_0",
            "tutelage export runs/mine --to hf --to peft",
        ),
    ),
    "classify": Command(
        "tutelage.cli.commands.classify:classify",
        "Label texts, or the rows of a file.",
        USE,
        (
            'tutelage classify runs/spam "You won a prize!"',
            "tutelage classify runs/spam --file messages.csv > labelled.jsonl",
        ),
    ),
    "verify": Command(
        "tutelage.cli.commands.verify:verify",
        "Check a run's hashes and retrain its last steps.\n\nNothing is written. The retrained weights must"
        " be bit-identical to the run's.",
        VERIFY,
        ("tutelage verify runs/mine",),
    ),
    "selftest": Command(
        "tutelage.cli.commands.selftest:selftest",
        "Check that every way to run a step gives equal gradients.\n\nEight starter rows, on any model.",
        VERIFY,
        ("tutelage selftest Qwen/Qwen2.5-0.5B-Instruct",),
    ),
}

DATA_COMMANDS: Mapping[str, Command] = {
    "convert": Command(
        "tutelage.cli.commands.data.convert:convert",
        "Write rows in another format or file type.\n\nEach row keeps its number as `source_row`.",
        examples=("tutelage data convert my.csv talks.jsonl --to messages",),
    ),
    "filter": Command(
        "tutelage.cli.commands.data.filter:filter_rows",
        "Keep rows by rule, language, length or pattern.\n\nThe reason for every dropped row is printed, and"
        " listed with `--ledger`.",
        examples=(
            "tutelage data filter my.jsonl clean.jsonl --without-rule 11",
            "tutelage data filter my.jsonl short.csv --max-answer-characters 120 --per-cluster 1",
        ),
    ),
    "split": Command(
        "tutelage.cli.commands.data.split:split",
        "Split rows into training, test and validation files."
        "\n\nrows.jsonl becomes rows.train.jsonl, rows.test.jsonl and rows.validation.jsonl.",
        examples=("tutelage data split my.jsonl parts/rows.jsonl --train-size 0.8",),
    ),
    "sample": Command(
        "tutelage.cli.commands.data.sample:sample",
        "Draw a random sample of rows, in their original order."
        "\n\nWith the same seed, a larger sample contains the smaller one.",
        examples=("tutelage data sample my.jsonl some.jsonl --rows 100",),
    ),
    "stats": Command(
        "tutelage.cli.commands.data.stats:stats",
        "Count rows, fields, messages, languages and near-duplicates.",
        examples=("tutelage data stats my.jsonl",),
    ),
    "generate": Command(
        "tutelage.cli.commands.data.generate:generate_rows",
        "Have a language model write new rows like yours.\n\nNear-repeats of existing rows are discarded.",
        examples=("tutelage data generate my.jsonl new.jsonl --rows 100 --model ollama:llama3",),
    ),
    "improve": Command(
        "tutelage.cli.commands.data.improve:improve_rows",
        "Have a language model criticize and rewrite each row.\n\nEvery row is written, changed or not.",
        examples=("tutelage data improve my.jsonl better.jsonl --model ollama:llama3",),
    ),
}

RECIPE_COMMANDS: Mapping[str, Command] = {
    "list": Command(
        "tutelage.cli.commands.recipes:list_recipes",
        "List the recipes with their purpose, model and duration.",
        examples=("tutelage recipes list",),
    ),
    "show": Command(
        "tutelage.cli.commands.recipes:show_recipe",
        "Print a recipe.",
        examples=("tutelage recipes show quickstart",),
    ),
    "copy": Command(
        "tutelage.cli.commands.recipes:copy_recipe",
        "Copy a recipe to a file that you can edit.",
        examples=("tutelage recipes copy classify mine.toml",),
    ),
}
