import math

import pytest
from pydantic import ValidationError

from tutelage.config.recipe import AdapterSettings, Recipe
from tutelage.config.recipe_file import walk


def with_setting(name, value):
    section, key = name.split(".")
    return Recipe.model_validate({section: {key: value}})


def test_every_setting_has_a_default_and_a_description():
    settings = list(walk(Recipe()))
    assert len(settings) >= 35
    for name, _, description in settings:
        assert description.endswith("."), name
        assert len(description.split()) >= 2, name


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().training.max_steps = 5


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "data.prompt_template",
            ["auto", "alpaca", "alpaca-compact", "phi3", "chat"],
            ["Alpaca", "alpca", "", None],
        ),
        ("data.split", ["group", "position"], ["random"]),
        ("data.train_size", [0, 0.5, 0.9], [-0.1, 1.1, math.nan, "much"]),
        ("data.test_size", [0, 0.15], [-0.1, math.inf]),
        ("data.max_length", [None, 1, 4096], [0, -1, 1.5]),
        ("data.overlong", ["error", "drop"], ["cut"]),
        ("data.train_on", ["assistant", "all"], ["prompt"]),
        ("training.method", ["lora", "full"], ["dora", "last_block"]),
        ("adapter.r", [1, 64], [0, -4]),
        ("adapter.lora_alpha", [0.5, 32], [0, -1]),
        ("adapter.lora_dropout", [0, 0.99], [1, -0.1]),
        ("adapter.target_modules", ["all-linear", ["q_proj"]], [5]),
        ("training.seed", [0, 2**32 - 1], [-1, 2**32]),
        ("training.num_train_epochs", [1, 3], [0, 0.5]),
        ("training.max_steps", [None, 1], [0]),
        ("training.learning_rate", [1e-6, 1], [0, -1e-4, math.nan, math.inf]),
        ("training.warmup_ratio", [0, 1], [-0.1, 1.5]),
        ("training.adam_beta2", [0, 0.95], [1]),
        ("training.sample_prompts", [0, 3], [-1]),
        ("training.dtype", ["auto", "float32", "bfloat16"], ["float16"]),
        ("evaluation.limit", [None, 1], [0]),
        ("evaluation.primary_metric", ["chrf", "exact_match"], ["accuracy"]),
    ],
)
def test_a_setting_takes_what_can_be_honoured_and_nothing_else(name, good, bad):
    section, key = name.split(".")
    for value in good:
        assert getattr(getattr(with_setting(name, value), section), key) == value
    for value in bad:
        with pytest.raises(ValidationError):
            with_setting(name, value)


def test_shares_that_sum_to_more_than_one_are_refused_and_rounding_is_not():
    with pytest.raises(ValidationError, match="sum to more than 1"):
        Recipe.model_validate({"data": {"train_size": 0.8, "test_size": 0.3}})
    shares = Recipe.model_validate({"data": {"train_size": 0.7, "test_size": 0.3}}).data
    assert shares.train_size + shares.test_size == pytest.approx(1)


@pytest.mark.parametrize(
    "tables", [{"trainig": {}}, {"training": {"lerning_rate": 1}}, {"training": {"data": {}}}]
)
def test_unknown_tables_and_keys_are_refused(tables):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Recipe.model_validate(tables)


IDLE = [
    ("data.prompt_template", "phi3"),
    ("data.train_on", "all"),
    ("training.sample_prompts", 0),
    ("evaluation.general_text", False),
    ("evaluation.max_new_tokens", 64),
    ("evaluation.primary_metric", "exact_match"),
    ("evaluation.judges", ["ollama:a"]),
]


@pytest.mark.parametrize(("name", "value"), IDLE)
def test_what_has_no_effect_on_a_classification_is_refused_by_name(name, value):
    section, key = name.split(".")
    tables = {section: {key: value}}
    assert Recipe.model_validate(tables)
    tables.setdefault("training", {})["objective"] = "classification"
    with pytest.raises(ValidationError, match=rf"training.objective is classification.*{name} has no"):
        Recipe.model_validate(tables)


@pytest.mark.parametrize("style", ["auto", "chat", "alpaca"])
def test_the_prompt_template_that_a_run_recorded_for_auto_does_not_stop_a_classification(style):
    tables = {"data": {"prompt_template": style}, "training": {"objective": "classification"}}
    assert Recipe.model_validate(tables).data.prompt_template == style


@pytest.mark.parametrize(("key", "value"), [("r", 4), ("lora_alpha", 8.0), ("target_modules", ["q_proj"])])
def test_settings_of_an_adapter_are_refused_where_there_is_none(key, value):
    with pytest.raises(ValidationError, match=rf"training.method is full, so adapter.{key} has no"):
        Recipe.model_validate({"training": {"method": "full"}, "adapter": {key: value}})


@pytest.mark.parametrize("kind", ["last-block", "last-two-blocks", "head"])
def test_the_last_blocks_are_trained_for_labels_alone(kind):
    Recipe.model_validate({"training": {"method": kind, "objective": "classification"}})
    with pytest.raises(ValidationError, match=f"training.method={kind} needs") as raised:
        Recipe.model_validate({"training": {"method": kind}})
    assert [error["type"] for error in raised.value.errors()] == ["settings.not_for_objective"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.split", "stratified"),
        ("training.class_weights", "balanced"),
        ("data.pooling", "first"),
        ("evaluation.zero_shot", True),
        ("data.label_separator", ";"),
    ],
)
def test_what_goes_by_labels_is_refused_where_there_are_none(name, value):
    section, key = name.split(".")
    with pytest.raises(ValidationError, match=name):
        Recipe.model_validate({section: {key: value}})
    tables = {section: {key: value}}
    tables.setdefault("training", {})["objective"] = "classification"
    assert getattr(getattr(Recipe.model_validate(tables), section), key) == value


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("all-linear", "all-linear"),
        ("All-Linear", "all-linear"),
        (["all-linear"], "all-linear"),
        ("q_proj,v_proj", ["q_proj", "v_proj"]),
        ("[q_proj,v_proj]", ["q_proj", "v_proj"]),
        ("['q_proj', \"v_proj\"]", ["q_proj", "v_proj"]),
        ("(q_proj; v_proj)", ["q_proj", "v_proj"]),
        ("q_proj v_proj", ["q_proj", "v_proj"]),
        ("q_proj", ["q_proj"]),
        (["q_proj, v_proj"], ["q_proj", "v_proj"]),
        ([" q_proj "], ["q_proj"]),
        (["self_attn.q_proj"], ["self_attn.q_proj"]),
        (r".*\.(q|v)_proj", r".*\.(q|v)_proj"),
        ("model.layers.[01].*.q_proj", "model.layers.[01].*.q_proj"),
        (".*[qv]_proj", ".*[qv]_proj"),
    ],
)
def test_names_of_modules_in_one_text_are_a_list_and_a_regular_expression_stays_one(given, expected):
    assert AdapterSettings(target_modules=given).target_modules == expected


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([], "settings.target_modules_empty"),
        ("", "settings.target_modules_empty"),
        ("[]", "settings.target_modules_empty"),
        ("*q_proj", "settings.invalid_regex"),
        ("(q_proj|v_proj", "settings.invalid_regex"),
    ],
)
def test_target_modules_that_can_name_nothing_are_refused(given, code):
    with pytest.raises(ValidationError) as refused:
        AdapterSettings(target_modules=given)
    assert [error["type"] for error in refused.value.errors()] == [code]
