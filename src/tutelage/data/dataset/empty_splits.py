"""Detect splits that would be empty, because there are too few rows or too few different prompts."""

from collections.abc import Iterator
from dataclasses import dataclass

from tutelage.config.recipe import DataSettings
from tutelage.data.dataset.splits import SplitAssigner
from tutelage.run.folder import SPLITS

# Splits are chosen by prompt hash; with enough prompts, an empty split is less likely than this.
CHANCE = 0.001


@dataclass(frozen=True)
class EmptySplit:
    """A split that would be empty: error code, cause and remedy."""

    code: str
    what: str
    remedy: str


def empty_splits(sides: SplitAssigner, settings: DataSettings) -> Iterator[EmptySplit]:
    """Yield the splits that would be empty but must not be."""
    shares = {"train": 1.0, "test": settings.test_size}  # a run needs training rows, whatever train_size is
    stands = sides.splits()
    for name, share in shares.items():
        if share > 0 and not (stands == SPLITS.index(name)).any():
            yield _described(name, sides, settings)
            if not len(stands):
                return  # without rows, all splits are empty for the same reason


def _described(name: str, sides: SplitAssigner, settings: DataSettings) -> EmptySplit:
    groups = sides.groups()
    rows = int(groups.sum())
    alone = "data.test_size=0 trains without an evaluation" if name == "test" else ""
    counted = f"{rows:,} usable row{'' if rows == 1 else 's'}"
    share = settings.train_size if name == "train" else settings.test_size
    if settings.split == "group" and (1 - share) ** len(groups) < CHANCE:
        what = (
            f"the {name} split would be empty: the {counted} look like one part of an earlier split by prompt,"
            " for example by `tutelage data split`"
        )
        options = ["Use the whole file, which is split in the same way", "or --split position", alone]
        return EmptySplit("data.empty_split", what, f"{'; '.join(filter(None, options))}.")
    if rows < 2 * len(groups) or not rows:
        other = "" if settings.split == "position" else ", or try --split position"
        remedy = f"Add rows, or raise data.{name}_size{other}{f'; {alone}' if alone else ''}."
        return EmptySplit("data.empty_split", f"with {counted} the {name} split would be empty", remedy)
    if len(groups) == 1:
        shared = f"all {counted} have the same prompt"
    else:
        shared = (
            f"the {counted} have only {len(groups):,} different prompts, {groups[0]:,} rows with the same one"
        )
    rule = f"data.split={settings.split} keeps rows with the same prompt together"
    what = f"{shared}; {rule}, so the {name} split would be empty"
    options = [
        "Use --split position, which also trains on prompts of the test rows and warns about these leaks",
        *([alone] if alone else []),
        "or add rows with other prompts",
    ]
    return EmptySplit("data.too_few_prompts", what, f"{'; '.join(options)}.")
