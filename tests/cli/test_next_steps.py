"""What the end of a stage shows can be typed as it stands: with the run's own folder and a row of its own."""

import shlex

import pytest
from support.rows import write_rows

from tutelage.run.folder import RunFolder
from tutelage.run.lines import read_json_lines

QUICK = [
    "--set", "training.max_steps=1",
    "--set", "training.dtype=float32",
    "--set", "adapter.r=2",
    "--set", "evaluation.limit=2",
    "--set", "evaluation.max_new_tokens=4",
    "--set", "evaluation.general_text=false",
]  # fmt: skip
ROOT = 'it\'s a "run"'
ROWS = [
    {"instruction": f'Say "it\'s" and `$HOME` to guest {row}.', "input": f"Guest\n{row}", "output": "It's."}
    for row in range(60)
]


def commands_in(shown):
    """Return the commands below the heading, each as the words that a shell makes of it."""
    _, found, rest = shown.partition("Next steps\n")
    assert found
    lines = rest.split("\n  tutelage ")[1:]
    return [shlex.split(line.partition(":\n")[0].rpartition("\n")[0] or line) for line in lines]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    write_rows(folder / "my.json", ROWS)
    write_rows(
        folder / "labels.json", [{"text": f"Say '{row}'", "label": "abc"[row % 3]} for row in range(60)]
    )
    return folder


@pytest.mark.usefixtures("few_prompts", "in_this_process")
def test_a_run_ends_with_commands_that_go_on_with_its_own_row(tutelage, place, model, monkeypatch):
    monkeypatch.chdir(place)
    words = ["--data", "my.json", "--output", ROOT, "--set", f"model.name_or_path={model}", *QUICK]
    done = tutelage("run", *words)
    assert (done.code, done.err) == (0, "")

    generate, *others = commands_in(done.out)

    assert [words[0] for words in others] == ["chat", "export", "serve"]
    assert all(words[1] == ROOT for words in (generate, *others))
    tested = {row["row"] for row in read_json_lines(RunFolder(place / ROOT).split("test"))}
    asked = {(ROWS[row]["instruction"], ROWS[row]["input"]) for row in tested}
    assert (generate[2], generate[generate.index("--input") + 1]) in asked
    answered = tutelage(*generate)
    assert (answered.code, answered.out.splitlines()[0]) == (0, "base")

    reported = tutelage("report", ROOT)
    assert commands_in(reported.out) == [generate, *others]
    exported = tutelage("export", ROOT, "--to", "peft")
    assert exported.code == 0, exported
    assert commands_in(exported.out) == [generate, others[0], others[2]]


def test_a_training_leads_to_its_evaluation(tutelage, place, model, monkeypatch):
    monkeypatch.chdir(place)
    words = ["--data", "my.json", "--output", "staged", "--set", f"model.name_or_path={model}", *QUICK]
    prepared = tutelage("prepare", *words)
    assert "Next: tutelage train staged" in prepared.out
    trained = tutelage("train", "staged")
    assert [words[0] for words in commands_in(trained.out)] == [
        "evaluate",
        "generate",
        "chat",
        "export",
        "serve",
    ]


def test_a_classification_is_asked_for_labels(tutelage, place, model, monkeypatch):
    monkeypatch.chdir(place)
    words = ["--data", "labels.json", "--output", "labels", "--set", f"model.name_or_path={model}"]
    done = tutelage("run", *words, *QUICK[:6], "--set", "training.objective=classification")
    assert done.code == 0, done

    classify, export = commands_in(done.out)

    assert (classify[:2], export) == (["classify", "labels"], ["export", "labels", "--to", "hf"])
    tested = {row["prompt"] for row in read_json_lines(RunFolder(place / "labels").split("test"))}
    assert classify[2] in tested
    assert tutelage(*classify).code == 0
