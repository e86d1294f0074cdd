import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import load, to_toml, walk
from tutelage.errors import RecipeError

TEXT = """\
# A recipe with comments.
[data]
source = "my.json"

[training]
max_steps = 5
learning_rate = 1e-4
"""


@pytest.fixture
def recipe_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    return path


def refused(path=None, overrides=None, assignments=()):
    with pytest.raises(RecipeError) as fault:
        load(path, overrides or {}, assignments)
    return str(fault.value)


def of(loaded, name):
    return next(setting for setting in loaded.settings() if setting.name == name)


def test_without_a_file_all_settings_are_defaults():
    loaded = load(None, {}, [])
    assert loaded.recipe == Recipe()
    assert {setting.origin for setting in loaded.settings()} == {"default"}
    assert [setting.name for setting in loaded.settings()] == [name for name, _, _ in walk(Recipe())]


def test_every_value_knows_where_it_came_from(recipe_path):
    loaded = load(
        recipe_path,
        {"--data data.source": "other.json", "--prompt-template data.prompt_template": "chat"},
        ["training.max_steps=7", "training.method=full"],
    )
    seen = {
        name: (of(loaded, name).value, of(loaded, name).origin)
        for name in (
            "data.source",
            "data.prompt_template",
            "training.max_steps",
            "training.learning_rate",
            "training.method",
            "adapter.r",
        )
    }
    assert seen == {
        "data.source": ("other.json", "--data"),
        "data.prompt_template": ("chat", "--prompt-template"),
        "training.max_steps": (7, "--set"),
        "training.learning_rate": (1e-4, "mine.toml:7"),
        "training.method": ("full", "--set"),
        "adapter.r": (16, "default"),
    }


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("training.max_steps=3", "training.max_steps", 3),
        (" training.max_steps = 3 ", "training.max_steps", 3),
        ("training.learning_rate=5e-5", "training.learning_rate", 5e-5),
        ("training.learning_rate=1", "training.learning_rate", 1.0),
        ("training.method=full", "training.method", "full"),
        ('training.method="full"', "training.method", "full"),
        ("adapter.target_modules=['q_proj', 'v_proj']", "adapter.target_modules", ["q_proj", "v_proj"]),
        ("model.name_or_path=models/a=b", "model.name_or_path", "models/a=b"),
        ("model.name_or_path=C:\\models\\x", "model.name_or_path", "C:\\models\\x"),
        ("data.source=my file.json", "data.source", "my file.json"),
        ("data.source=2024.json", "data.source", "2024.json"),
    ],
)
def test_any_value_can_be_set_in_one_grammar(assignment, name, value):
    loaded = load(None, {}, [assignment])
    assert (of(loaded, name).value, of(loaded, name).origin) == (value, "--set")


def test_the_last_assignment_wins():
    assert load(None, {}, ["adapter.r=4", "adapter.r=8"]).recipe.adapter.r == 8


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        (
            "training.lerning_rate=1",
            "Unknown setting training.lerning_rate (--set). Did you mean training.learning_rate?",
        ),
        ("learning_rate=1", "'learning_rate' is not a setting. Did you mean training.learning_rate?"),
        ("max_step=1", "'max_step' is not a setting. Did you mean training.max_steps?"),
        ("zzz=1", "`tutelage run --dry-run` lists all settings"),
        (
            "training.zzzzzz=1",
            "Unknown setting training.zzzzzz (--set). `tutelage run --dry-run` lists all settings.",
        ),
        ("traning.max_steps=1", "Did you mean [training]?"),
        ("training.max_steps.x=1", "Unknown setting training.max_steps.x"),
        ("training.max_steps", "--set 'training.max_steps' does not have the form section.name=value."),
        ("=3", "--set '=3' does not have the form section.name=value."),
        ("training.max_steps=many", "training.max_steps is 'many' (--set), but it should be a valid integer"),
        (
            "training.max_steps=0",
            "training.max_steps is 0 (--set), but it should be greater than or equal to 1.",
        ),
        (
            "training.learning_rate=nan",
            "training.learning_rate is nan (--set), but it should be a finite number.",
        ),
        (
            "training.max_steps=99999999999999999999999",
            "training.max_steps is 99999999999999999999999 (--set), but it should be less than or equal to 16777216.",
        ),
        ("model.name_or_path=", "model.name_or_path is '' (--set), but it should have at least 1 character."),
        (
            "data.prompt_template=alpca",
            "data.prompt_template is 'alpca' (--set), but it should be 'auto', 'alpaca', 'alpaca-compact'",
        ),
        ("data.train_size=0.95", "data.train_size (0.95) and data.test_size (0.1) sum to more than 1"),
    ],
)
def test_a_wrong_assignment_is_told_with_what_to_do(assignment, told):
    assert told in refused(assignments=[assignment])


def test_a_wrong_value_in_a_file_is_told_with_its_line(recipe_path):
    recipe_path.write_text(TEXT.replace("max_steps = 5", "max_stepps = 5\nwarmup_ratio = 2"))
    message = refused(recipe_path)
    assert "Unknown setting training.max_stepps (mine.toml:6). Did you mean training.max_steps?" in message
    assert "training.warmup_ratio is 2 (mine.toml:7), but it should be less than or equal to 1." in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[training\nmax_steps = 5", "mine.toml is not valid TOML: "),
        ("max_steps = 5", "sets 'max_steps' outside any table. Settings belong in [data], [model]"),
        ("[trainin]\nmax_steps = 5", "'trainin' is not a table of a recipe. Did you mean [training]?"),
        ("[training]\nseed = 1\nseed = 2", "mine.toml is not valid TOML: "),
        (
            "[training]\nseed = one",
            "Fix it there: write settings as `name = value`",
        ),
        ("[[data]]\nsource = 'a'", "mine.toml has [[data]], a list of tables. Write [data], once."),
    ],
)
def test_a_malformed_recipe_is_told(recipe_path, text, told):
    recipe_path.write_text(text)
    assert told in refused(recipe_path)


def test_a_byte_order_mark_before_a_recipe_is_no_part_of_it(recipe_path):
    recipe_path.write_text(TEXT, encoding="utf-8-sig")
    assert of(load(recipe_path, {}, []), "training.max_steps").origin == "mine.toml:6"


@pytest.mark.parametrize("content", [b'[{"instruction": "a"}]', b"\xff\xfe"])
def test_rows_in_the_place_of_a_recipe_are_told_with_the_option_for_them(tmp_path, content):
    (tmp_path / "ok.json").write_bytes(content)
    assert f"To give rows to train on, use --data {tmp_path / 'ok.json'}." in refused(tmp_path / "ok.json")


def test_a_recipe_that_cannot_be_read_is_told(tmp_path):
    assert "nothing.toml does not exist, and no built-in recipe has that name" in refused(
        tmp_path / "nothing.toml"
    )
    (tmp_path / "latin.toml").write_bytes(b"[data]\nsource = 'caf\xe9'")
    assert "latin.toml cannot be read: " in refused(tmp_path / "latin.toml")
    assert "cannot be read: " in refused(tmp_path)


def test_a_written_recipe_spells_every_value_out_and_loads_as_itself(tmp_path):
    recipe = load(
        None,
        {"--data data.source": 'a "quoted"\\ näme\n.json'},
        ["training.max_steps=3", "adapter.target_modules=['a']"],
    ).recipe
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(recipe), encoding="utf-8")
    assert load(path, {}, []).recipe == recipe
    written = {f"{table}.{key}" for table, keys in tomllib.loads(path.read_text()).items() for key in keys}
    without_effect = {
        "data.label_separator",
        "data.pooling",
        "training.class_weights",
        "evaluation.zero_shot",
    }
    assert written == {name for name, value, _ in walk(recipe) if value is not None} - without_effect


@given(
    st.sampled_from([name for name, _, _ in walk(Recipe())]), st.integers(0, 40), st.sampled_from("abxyz_")
)
def test_a_slip_of_one_letter_still_finds_the_setting(name, place, letter):
    section, key = name.split(".")
    place = place % len(key)
    slip = f"{section}.{key[:place]}{letter}{key[place:]}"
    if slip not in [known for known, _, _ in walk(Recipe())]:
        assert f"Did you mean {section}." in refused(assignments=[f"{slip}=1"])


def test_a_named_set_can_be_given_by_its_settings_and_says_where_it_came_from():
    loaded = load(None, {}, ["evaluation.sets.sums.source=sums.jsonl", "evaluation.sets.sums.metric=numeric"])
    assert loaded.recipe.evaluation.sets["sums"].metric == "numeric"
    origins = {setting.name: setting.origin for setting in loaded.settings()}
    assert (origins["evaluation.sets"], origins["evaluation.limit"]) == ("--set", "default")
    again = tomllib.loads(to_toml(loaded.recipe))
    assert again["evaluation"]["sets"]["sums"]["source"] == "sums.jsonl"


def test_a_setting_given_by_hand_that_has_no_effect_is_refused_even_with_its_default():
    tuned = ["training.objective=classification"]
    with pytest.raises(RecipeError, match=r"data.prompt_template \(--prompt-template\) has no effect"):
        load(None, {"--prompt-template data.prompt_template": "auto"}, tuned)
    with pytest.raises(RecipeError, match=r"evaluation.general_text \(--set\) has no effect"):
        load(None, {}, [*tuned, "evaluation.general_text=true"])


def test_a_recorded_classification_leaves_out_what_has_no_effect(tmp_path):
    recipe = load(None, {}, ["training.objective=classification"]).recipe
    written = to_toml(recipe)
    for name in ("prompt_template", "train_on", "sample_prompts", "general_text", "max_new_tokens"):
        assert f"\n{name} = " not in written
    path = tmp_path / "recipe.toml"
    path.write_text(written)
    assert load(path, {}, []).recipe == recipe
