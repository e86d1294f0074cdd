"""The commands that README.md and the guide's first page show, and what is run for each.

A command without a rule is an error, so that nobody can show one that was never run.
"""

import re
from dataclasses import dataclass
from pathlib import Path

PAGES = ("README.md", "docs/guide/README.md")
SHELL_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"\s+#\s.*$")

FEW_STEPS = (
    "--set training.max_steps=4 --set evaluation.limit=8 --set evaluation.max_new_tokens=8"
    " --set evaluation.general_text=false"
)


@dataclass(frozen=True)
class Rule:
    """What is run in place of a command, or why nothing is."""

    run: str | None = None
    left_out: str | None = None


AS_SHOWN = Rule()

# In the folder of README's first command; `$CHECKOUT` is this repository.
RULES = {
    "git clone <this repository> tutelage": Rule(run='git clone -q "$CHECKOUT" tutelage'),
    "cd tutelage": AS_SHOWN,
    "make quickstart": Rule(run=f"make quickstart SETTINGS='{FEW_STEPS}'"),
    "make test": Rule(left_out="CI runs it by itself"),
    ". .venv/bin/activate": AS_SHOWN,
    "tutelage run --data my.json --output runs/mine": Rule(
        run="tutelage data sample starter my.json --rows 60\n"
        f"tutelage run --data my.json --output runs/mine {FEW_STEPS}"
    ),
    'tutelage generate runs/mine "Give the plural of cactus." --base': AS_SHOWN,
    "tutelage export runs/mine --to gguf": AS_SHOWN,
}

# What is run behind them once more, with the extras that the guide's other pages install.
EXTRAS = (
    "pip install -qq --editable '.[judges]'",
    "pip install -qq --editable '.[converter]'",
    f"tutelage run --data my.json --output runs/extras {FEW_STEPS}",
    'tutelage generate runs/extras "Give the plural of cactus." --base',
    "tutelage export runs/extras --to gguf",
)


def shown_commands(root: Path) -> list[str]:
    """Return the commands of the pages' `sh` blocks in their order, each without its remark."""
    return [command for page in PAGES for command in commands_of((root / page).read_text(encoding="utf-8"))]


def commands_of(text: str) -> list[str]:
    """Return the commands of the `sh` blocks of a page."""
    lines = [line for block in SHELL_BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return [command for line in lines if (command := COMMENT.sub("", f" {line}").strip())]


def rule_for(command: str) -> Rule:
    """Return the rule of a command; KeyError where it has none."""
    return RULES[command]
