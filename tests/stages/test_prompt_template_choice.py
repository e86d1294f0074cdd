"""What the prompt template `auto` stands for: the model decides, and the run records it."""

import json
import shutil
import tomllib

import pytest
from support.rows import write_rows

from tutelage.config.recipe_file import load
from tutelage.errors import RunFolderError
from tutelage.run.artifacts import Preparation, read_artifact
from tutelage.run.events import Message
from tutelage.stages.inputs import Inputs
from tutelage.stages.prepare import prepare, prepare_aside
from tutelage.stages.reporter import Reporter
from tutelage.stages.resume import changes_of_preparation
from tutelage.stages.train import train

TWICE = "{% for m in messages %}{{ m['content'] }} {{ m['content'] }}{% endfor %}"


@pytest.fixture
def model_with(model, tmp_path):
    """Return what makes a copy of the model with another chat template, or none."""

    def made(template):
        folder = shutil.copytree(model, tmp_path / "other")
        for file in folder.glob("*.jinja"):
            file.unlink()
        path = folder / "tokenizer_config.json"
        settings = json.loads(path.read_text(encoding="utf-8"))
        settings.pop("chat_template", None)
        path.write_text(json.dumps(settings), encoding="utf-8")
        if template:
            (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
        return str(folder)

    return made


def recorded(session):
    """Return the prompt template that the recipe, the preparation and its rows have, and the codes of the notes."""
    recipe = tomllib.loads(session.run.recipe.read_text(encoding="utf-8"))["data"]["prompt_template"]
    prepared = read_artifact(Preparation, session.run.preparation)
    assert recipe == prepared.prompt_template == prepared.settings["data"]["prompt_template"]
    prompt = session.rows("train")[0].prompt
    assert ("<|im_start|>user" in prompt) == (recipe == "chat")
    assert ("### Instruction:" in prompt) == (recipe == "alpaca")
    return recipe, [event.code for event in session.heard if isinstance(event, Message)]


def test_a_model_with_a_chat_template_is_asked_in_it(session_on):
    session = session_on()
    assert session.recipe.data.prompt_template == "auto"
    prepare(session)
    assert recorded(session) == ("chat", [])


def test_a_model_without_one_is_asked_in_alpaca(session_on, model_with):
    session = session_on(model__name_or_path=model_with(None))
    prepare(session)
    assert recorded(session) == ("alpaca", [])


def test_a_chat_template_that_cannot_be_trained_with_is_named_in_a_note(session_on, model_with):
    session = session_on(model__name_or_path=model_with(TWICE))
    prepare(session)
    assert recorded(session) == ("alpaca", ["template.not_chosen"])


def test_a_prompt_template_that_is_given_is_kept(session_on):
    session = session_on(data__prompt_template="alpaca")
    prepare(session)
    assert recorded(session) == ("alpaca", [])


def test_what_is_prepared_goes_on_under_auto_and_under_what_it_stands_for(session_on):
    first = session_on(training__max_steps=1)
    prepare(first)
    for style in ("auto", "chat"):
        again = session_on(training__max_steps=1, data__prompt_template=style)
        assert changes_of_preparation(again) == []
        prepare(again)
        train(again, overwrite=True)
        assert recorded(again)[0] == "chat"
    other = session_on(training__max_steps=1, data__prompt_template="alpaca")
    assert changes_of_preparation(other) == ["data.prompt_template (was 'chat', now 'alpaca')"]
    with pytest.raises(RunFolderError) as refused:
        train(other, overwrite=True)
    assert refused.value.code == "run.settings_changed"


def test_another_model_is_decided_on_anew(session_on, model_with):
    prepare(session_on())
    other = session_on(model__name_or_path=model_with(None))
    with pytest.raises(RunFolderError) as refused:
        prepare(other)
    assert refused.value.code == "run.settings_changed"
    prepare(other, overwrite=True)
    assert recorded(other)[0] == "alpaca"


def test_a_classification_needs_no_template_and_asks_the_model_for_none(tmp_path, model, monkeypatch):
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("tutelage.data.prompts.prompts.choose_style", lambda tokenizer: pytest.fail("asked"))
    texts = [{"text": f"Order {n} came late.", "label": "bad" if n % 2 else "good"} for n in range(80)]
    given = {
        "data.source": write_rows(tmp_path / "texts.json", texts),
        "model.name_or_path": model,
        "training.objective": "classification",
    }
    reporter = Reporter(lambda event: None)
    inputs = Inputs(load(None, {}, [f"{name}={value}" for name, value in given.items()]), reporter)
    assert prepare_aside(inputs, reporter).preparation.settings["data"]["prompt_template"] == "auto"
    assert inputs.recipe.data.prompt_template == "auto"
