"""Says what a run is: its name, when it ended, how long its stages took, and what was tuned on what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath

from tutelage.config.inactive_settings import describe_method
from tutelage.config.recipe import Recipe
from tutelage.report.numbers import duration
from tutelage.report.objective import ObjectiveWords
from tutelage.report.summary import Summary
from tutelage.run.artifacts import Preparation
from tutelage.run.history import History, StageRecord

# A stage has a time in the page as long as what it made is there, by its key in the summary.
STAGES = {
    "prepare": ("rows", "prepared"),
    "train": ("training", "trained"),
    "evaluate": ("evaluation", "evaluated"),
}


@dataclass(frozen=True)
class RunFacts:
    """`facts` are task, model, rows and method; `ended` is empty where no stage recorded its time."""

    name: str
    ended: str
    facts: list[str]
    times: list[str]


def run_facts(
    root: Path,
    history: History,
    summary: Summary,
    preparation: Preparation,
    *,
    words: ObjectiveWords,
    recipe: Recipe | None,
) -> RunFacts:
    """Gather what stands above the verdict; without a recipe the method is not said."""
    stages = {
        done: history.stages[stage]
        for stage, (made, done) in STAGES.items()
        if getattr(summary, made) is not None and stage in history.stages
    }
    return RunFacts(
        name=root.resolve().name,
        ended=_date(max((record.ended for record in stages.values()), default=None)),
        facts=list(_facts(preparation, words, recipe)),
        times=list(_times(stages)),
    )


def _facts(preparation: Preparation, words: ObjectiveWords, recipe: Recipe | None) -> Iterator[str]:
    yield words.task
    yield short_name(preparation.model)
    yield f"{preparation.rows.train:,} training {words.rows} from {short_name(preparation.source)}"
    yield from words.facts
    if recipe is not None:
        yield describe_method(recipe.training.method, recipe.adapter.r)
        if recipe.model.adapter is not None:
            yield f"started from the adapter {short_name(recipe.model.adapter)}, which is called base here"


def short_name(place: str) -> str:
    """Return the last part of a path or an address; `owner/name` of the hub stays whole."""
    is_longer = place.count("/") > 1 or PurePath(place).is_absolute() or place.startswith(".")
    return PurePath(place.rstrip("/")).name if is_longer else place


def _times(stages: Mapping[str, StageRecord]) -> Iterator[str]:
    for done, record in stages.items():
        yield f"{done} in {duration(record.seconds)}"


def _date(ended: datetime | None) -> str:
    return f"{ended.day} {ended:%B %Y, %H:%M} UTC" if ended else ""
