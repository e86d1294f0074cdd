"""The recipes that ship: found by name, listed, shown, copied, and each trained for two steps on a tiny model."""

import pytest
from support.judged import labelled_values
from support.pairs import preference_values
from support.rows import alpaca_values, write_rows
from support.tiny_tokenizer import write_tiny_gpt2, write_tiny_model

from tutelage.config.recipe_file import load
from tutelage.config.recipes import shipped_path, shipped_recipes
from tutelage.data.dataset.splits import SplitAssigner
from tutelage.run.folder import SPLITS, RunFolder, read_json
from tutelage.run.lines import read_json_lines

RECIPES = shipped_recipes()
BOOK = sorted(name for name in RECIPES if name.startswith("book-"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in, with rows and an empty cache; nothing is to be fetched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write_rows(tmp_path / "my.json", alpaca_values(40))
    labelled = [{"text": f"Message {n} of many.", "label": ("ham", "spam")[n % 2]} for n in range(120)]
    write_rows(tmp_path / "labels.json", labelled)
    write_rows(tmp_path / "pairs.json", preference_values(60))
    write_rows(tmp_path / "wanted.json", labelled_values(preference_values(30)))
    of_the_book = "".join(f"{n % 2},Message {n} of many.\n" for n in range(120))
    (tmp_path / "sms-spam.csv").write_text("Label,Text\n" + of_the_book)
    return tmp_path


def test_the_recipes_that_the_guide_speaks_of_ship():
    named = {"quickstart", "laptop", "one-gpu", "full", "article", "chat"}
    book = {"book-ch7", "book-ch7-phi3", "book-ch7-masked", "book-ch7-alpaca-52k", "book-ch7-lora"}
    assert (
        named | book | {"book-ch6", "book-ch6-lora", "classify", "prefer", "book-ch7-dpo"} <= RECIPES.keys()
    )


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_recipe_says_what_it_is_for_and_sets_something(recipe):
    assert recipe.purpose
    assert recipe.takes
    assert load(recipe.path, {}, []).origins


@pytest.mark.parametrize("name", BOOK)
def test_recipes_of_the_book_make_every_step_that_the_book_makes(name):
    assert load(RECIPES[name].path, {}, []).recipe.training.early_stopping_patience == 0


@pytest.mark.parametrize("name", ["../quickstart", "quickstart.toml", "", "no-such", "a/b", "QUICKSTART"])
def test_only_a_name_finds_a_recipe_that_ships(name):
    assert shipped_path(name) is None


@pytest.mark.parametrize("name", BOOK)
def test_the_exercises_differ_from_the_chapter_in_nothing_but_what_they_are_about(name):
    about = {
        "book-ch6": set(),
        "book-ch6-lora": {"training.method", "adapter.lora_alpha"},
        "book-ch7": set(),
        "book-ch7-phi3": {"data.prompt_template"},
        "book-ch7-masked": {"data.train_on"},
        "book-ch7-lora": {"training.method", "adapter.lora_alpha"},
        "book-ch7-alpaca-52k": {
            "data.source", "data.format", "data.keep_empty_output", "data.max_length", "data.overlong",
            "training.per_device_train_batch_size", "evaluation.limit",
        },
        "book-ch7-dpo": {
            "data.source", "data.train_on", "training.objective", "training.num_train_epochs", "training.learning_rate",
            "training.weight_decay", "preference.length_normalized",
        },
    }[name]  # fmt: skip
    chapter, exercise = (load(RECIPES[one].path, {}, []).settings() for one in (name[:8], name))
    differing = {one.name for one, other in zip(chapter, exercise, strict=True) if one.value != other.value}
    assert differing == about


def test_every_recipe_pins_what_it_takes_from_the_hub():
    for recipe in RECIPES.values():
        settings = load(recipe.path, {}, []).recipe
        for name in (settings.model.name_or_path, settings.data.source):
            if "/" in name:
                _, at, commit = name.partition("@")
                assert at, name
                assert len(commit) == 40, name


def test_the_list_names_every_recipe_with_its_model_and_what_it_trains(tutelage):
    said = tutelage("recipes", "list")
    assert said.code == 0
    for recipe in RECIPES.values():
        assert f"{recipe.name}\n  {recipe.purpose}\n" in said.out
    assert "openai-community/gpt2-medium, full fine-tuning; 16 minutes" in said.out


def test_show_prints_the_file_as_it_is(tutelage):
    assert tutelage("recipes", "show", "book-ch7").out == RECIPES["book-ch7"].text


def test_a_name_that_no_recipe_has_is_answered_with_those_that_there_are(tutelage):
    for verb in ("show", "copy"):
        said = tutelage("recipes", verb, "book-ch8")
        assert said.code == 2
        assert "error[settings.unknown_recipe]" in said.err
        assert "'book-ch8'" in said.err
        assert ", ".join(RECIPES) in said.err


def test_copy_writes_the_same_recipe_and_replaces_nothing_unasked(tutelage, place):
    assert tutelage("recipes", "copy", "quickstart").code == 0
    mine = place / "quickstart.toml"
    assert mine.read_text() == RECIPES["quickstart"].text
    mine.write_text("# mine\n")
    said = tutelage("recipes", "copy", "quickstart")
    assert said.code == 2
    assert "quickstart.toml already exists" in said.err
    assert mine.read_text() == "# mine\n"
    assert tutelage("recipes", "copy", "quickstart", "--overwrite").code == 0
    assert mine.read_text() == RECIPES["quickstart"].text


def test_copy_into_a_folder_keeps_the_name(tutelage, place):
    (place / "kept").mkdir()
    assert tutelage("recipes", "copy", "full", "kept").code == 0
    assert (place / "kept" / "full.toml").is_file()


def shown(outcome):
    """What stood on standard output, each run of white space as one space."""
    return " ".join(outcome.out.split())


def test_a_recipe_is_found_by_its_name_and_a_file_of_that_name_wins(tutelage, place):
    assert "data.source instruction-data article.toml:8 " in shown(tutelage("run", "article", "--dry-run"))
    (place / "article").write_text('[data]\nsource = "my.json"\n')
    said = shown(tutelage("run", "article", "--dry-run"))
    assert "data.source my.json article:2 " in said
    assert "article.toml:" not in said


def test_a_name_that_is_neither_here_nor_ships_says_so(tutelage, place):
    said = tutelage("run", "book-ch8", "--dry-run")
    assert said.code == 2
    assert (
        "book-ch8 does not exist, and no built-in recipe has that name (`tutelage recipes list`)" in said.err
    )


def test_chapter_6_is_split_where_the_book_splits_it():
    """Of its 1,045, 300 and 149 messages 112 are repeats of earlier ones, and are dropped before."""
    settings = load(RECIPES["book-ch6"].path, {}, []).recipe.data
    sides = SplitAssigner(rule=settings.split, train_size=settings.train_size, test_size=settings.test_size)
    for row in range(1_494 - 112):
        sides.add(row, f"message {row}", "0")
    counts = [int((sides.splits() == side).sum()) for side in range(3)]
    assert dict(zip(SPLITS, counts, strict=True)) == {"train": 990, "test": 270, "validation": 122}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A tiny random model of each architecture that the recipes name, by what stands in the name."""
    folder = tmp_path_factory.mktemp("models")
    return {"gpt2": write_tiny_gpt2(folder / "gpt2"), "smollm2": write_tiny_model(folder / "smollm2")}


# What chapter 6 tries beside its recipes, each a setting away.
EXPERIMENTS = [
    "data.pooling=first",
    "training.method=last-two-blocks",
    "training.method=head",
    "training.method=full",
]


@pytest.mark.parametrize(
    ("name", "setting"), [*((name, None) for name in RECIPES), *(("book-ch6", one) for one in EXPERIMENTS)]
)
def test_every_recipe_runs_dry_and_trains_two_steps(name, setting, tutelage, place, models):
    recipe = load(RECIPES[name].path, {}, []).recipe
    [model] = [path for kind, path in models.items() if kind in recipe.model.name_or_path.lower()]
    rows = {
        "instruction": "my.json",
        "classification": "labels.json",
        "dpo": "pairs.json",
        "kto": "wanted.json",
    }
    is_chapter_6 = name.startswith("book-ch6")
    words = [
        "--data", recipe.data.source if is_chapter_6 else rows[recipe.training.objective],
        "--set", f"model.name_or_path={model}",
        "--set", "training.device=cpu",
        "--set", "training.dtype=float32",
        "--set", "training.max_steps=2",
        "--set", "data.max_length=512",
    ]  # fmt: skip
    if recipe.training.objective != "classification":
        words += ["--set", "training.sample_prompts=0", "--set", "evaluation.max_new_tokens=64"]
    words += ["--set", setting] if setting else []
    dry = tutelage("run", name, *words, "--dry-run")
    assert dry.code == 0, dry.err
    assert "2 steps over" in dry.out
    assert not (place / "runs").exists()
    assert tutelage("prepare", name, *words).code == 0
    trained = tutelage("train", f"runs/{name}")
    assert trained.code == 0, trained.err
    run = RunFolder(place / "runs" / name)
    steps = [event for event in read_json_lines(run.events) if event["event"] == "step"]
    assert len(steps) == 2
    facts = read_json(run.training)
    assert facts["fallback_reason"] is None
    assert facts["loss"]["after"] != facts["loss"]["before"]
