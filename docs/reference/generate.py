"""Writes settings.md and codes.md from their declarations; run as `python docs/reference/generate.py`."""

from pathlib import Path
from typing import Any

from tutelage.codes import all_codes, areas
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_evaluation import EvalSetSettings

PAGE = Path(__file__).with_name("settings.md")
CODES_PAGE = Path(__file__).with_name("codes.md")

OPENING = """\
# Settings

Every setting of a run, as `src/tutelage/config/recipe.py` declares it. This page is generated: change the declaration,
then run `make docs`.

A recipe is a TOML file with these tables. Any setting can also be given on the command line, and then wins over the
recipe: `--set training.learning_rate=1e-4`. A setting that is not listed here is an error. `--dry-run` on any verb
of a run prints each value and where it came from.
"""

CODES_OPENING = """\
# Codes

Every error, warning, note, finding of `tutelage check` and reason in a ledger carries one of these codes, so that a
program need not read messages: `error[code]: …` on standard error, `code` in `--json`, in ledgers and in the
server's errors, `error.code` in Python. Messages may change; a code is never renamed or reused. The rule is the one of
[data-rules.md](data-rules.md) that a finding belongs to. This page is generated: change `src/tutelage/codes.toml`, then
run `make docs`.
"""

SECTIONS = {
    "data": "The rows, how they become prompts, and how they are split.",
    "model": "The model that is tuned.",
    "adapter": "What is trained: a small adapter, or every weight.",
    "training": "Steps, optimiser, and what is watched and kept on the way.",
    "preference": 'The loss of preference tuning; for `training.objective = "dpo"`, and in part for `"kto"`.',
    "evaluation": "The answers to the test rows, and what decides.",
}
NAMED_SET = (
    "A test set in addition to the test rows, with its own metric and verdict; NAME is yours to choose."
)


def settings_page() -> str:
    """Return the whole page as Markdown."""
    tables = [_section(name, SECTIONS[name], field.annotation) for name, field in Recipe.model_fields.items()]
    named_set = _section("evaluation.sets.NAME", NAMED_SET, EvalSetSettings)
    return "\n".join([OPENING, *tables, named_set])


def codes_page() -> str:
    """Return the whole page of codes as Markdown."""
    parts = [CODES_OPENING]
    for area, heading in areas().items():
        own = {code: entry for code, entry in all_codes().items() if code.startswith(f"{area}.")}
        rows = [f"| `{code}` | {entry.rule or ''} | {entry.meaning} |\n" for code, entry in own.items()]
        head = "| code | rule | meaning |\n| --- | --- | --- |\n"
        parts.append(f"## {area}\n\n{heading}\n\n{head}{''.join(rows)}")
    return "\n".join(parts)


def _section(name: str, heading: str, section: Any) -> str:
    properties: dict[str, dict[str, Any]] = section.model_json_schema()["properties"]
    rows = [
        f"| `{name}.{key}` | {_type(declared)} | {_default(declared)} | {declared['description']} |\n"
        for key, declared in properties.items()
    ]
    head = "| setting | value | default | meaning |\n| --- | --- | --- | --- |\n"
    return f"## [{name}]\n\n{heading}\n\n{head}{''.join(rows)}"


def _type(declared: dict[str, Any]) -> str:
    """Describe what a setting takes: its choices, or its type with its bounds."""
    if "enum" in declared:
        return ", ".join(f"`{choice}`" for choice in declared["enum"])
    if "anyOf" in declared:
        return " or ".join(_type(option) for option in declared["anyOf"] if option["type"] != "null")
    if declared["type"] == "array":
        return "list of texts"
    if declared["type"] == "object":
        return "tables" if "$ref" in str(declared) else "table of texts"
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return names[declared["type"]] + _bounds(declared)


def _bounds(declared: dict[str, Any]) -> str:
    words = {
        "minimum": "from {}",
        "exclusiveMinimum": "above {}",
        "maximum": "to {}",
        "exclusiveMaximum": "below {}",
    }
    found = [text.format(f"{declared[key]:,}") for key, text in words.items() if key in declared]
    return f" {' '.join(found)}" if found else ""


def _default(declared: dict[str, Any]) -> str:
    if "default" not in declared:
        return "needed"
    return "—" if declared["default"] is None else f"`{declared['default']}`"


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8", newline="\n")
    CODES_PAGE.write_text(codes_page(), encoding="utf-8", newline="\n")
