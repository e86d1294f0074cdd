"""What has no effect is named in full, and nothing that has one."""

from typing import get_args

import pytest

from tutelage.config.inactive_settings import describe_method, inactive_settings
from tutelage.config.objectives import OBJECTIVES
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_adapter import Method
from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.config.recipe_file import walk

KNOWN = {name for name, _, _ in walk(Recipe())}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", ["lora", "full"])
@pytest.mark.parametrize("several", [False, True])
def test_every_idle_setting_is_one_that_there_is(objective, kind, several):
    inactive = OBJECTIVES[objective].inactive
    several = several and "data.label_separator" not in inactive
    idle = inactive_settings(objective, inactive, kind, several_labels=several)
    named = [name for names in idle.values() for name in names]
    assert set(named) < KNOWN
    assert len(named) == len(set(named))


def test_of_the_evaluation_a_classification_honours_the_limit_and_its_base_line_alone():
    inactive = OBJECTIVES["classification"].inactive
    [names] = inactive_settings("classification", inactive, "lora", several_labels=False).values()
    of_evaluation = {f"evaluation.{name}" for name in EvaluationSettings.model_fields}
    assert of_evaluation - set(names) == {"evaluation.limit", "evaluation.zero_shot"}
    assert not {"data.max_length", "adapter.r", "training.seed", "training.class_weights"} & set(names)


def test_every_kind_of_adapter_is_said_in_words():
    for kind in get_args(Method):
        assert describe_method(kind, 7)
    assert describe_method("lora", 7) == "LoRA, rank 7"
