"""Through which files a setting goes on its way from the command line to the optimizer."""

import inspect
import json
from pathlib import Path

from support.rows import alpaca_values

import tutelage
from tutelage.config import recipe_file
from tutelage.training import loop

ROOT = Path(tutelage.__file__).parent

# The recipe waits in the session (stages/session.py) between the two; `Recipe` itself is config/recipe.py.
TO_THE_RECIPE = [
    "cli/main.py",
    "cli/commands/run.py",
    "cli/sessions.py",
    "stages/run_folders.py",
    "config/recipe_file.py",
]
TO_THE_OPTIMIZER = [
    "cli/main.py",
    "cli/commands/run.py",
    "stages/run.py",
    "stages/train.py",
    "training/loop.py",
]


def files_on_the_stack():
    """Return the program's files from which the function that is watched is called, the outermost first, each once."""
    files = [Path(frame.filename) for frame in reversed(inspect.stack())]
    ours = [file.relative_to(ROOT).as_posix() for file in files if file.is_relative_to(ROOT)]
    return list(dict.fromkeys(ours))


def test_a_setting_goes_through_eleven_files(tutelage, workplace, model, monkeypatch):
    found = {}

    def watched(name, function):
        def call(*positional, **named):
            found.setdefault(name, files_on_the_stack())
            return function(*positional, **named)

        return call

    monkeypatch.setattr(recipe_file, "check", watched("recipe", recipe_file.check))
    monkeypatch.setattr(loop, "set_learning_rate", watched("optimizer", loop.set_learning_rate))
    (workplace / "my.json").write_text(json.dumps(alpaca_values(60)))
    settings = [f"model.name_or_path={model}", "training.learning_rate=0.002", "training.max_steps=1"]
    settings += ["training.sample_prompts=0", "training.dtype=float32", "evaluation.general_text=false"]
    given = [part for setting in settings for part in ("--set", setting)]
    ended = tutelage("run", "--data", "my.json", "--output", "mine", *given)
    assert ended.code in (0, 3), ended.err
    assert found == {"recipe": TO_THE_RECIPE, "optimizer": TO_THE_OPTIMIZER}
    between = ["config/recipe.py", "stages/session.py", "training/schedule.py"]
    assert len({*TO_THE_RECIPE, *TO_THE_OPTIMIZER, *between}) == 11
