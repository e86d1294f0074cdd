"""All that differs between objectives, a folder for each: rows, training, evaluation, report and export.

To add one, write its folder, name it below, and give it an entry in `_ENTRIES` of `config/objectives.py`.
"""

from functools import cache

from tutelage.objectives.spec import ObjectiveSpec

# The package of each objective, by its name in `training.objective`.
PACKAGES: dict[str, str] = {
    "instruction": "tutelage.objectives.sft",
    "classification": "tutelage.objectives.classification",
    "dpo": "tutelage.objectives.preference",
    "kto": "tutelage.objectives.kto",
}


@cache
def load_objective(name: str) -> ObjectiveSpec:
    """Return an objective by its name; its modules are imported when a stage first asks for them."""
    return ObjectiveSpec(PACKAGES[name])
