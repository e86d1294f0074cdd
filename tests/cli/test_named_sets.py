import json

import numpy as np
import pytest
from support.command_line import contents
from support.rows import alpaca_values, write_rows

from tutelage.run.folder import RunFolder, read_json
from tutelage.run.lines import read_json_lines

RECIPE = """\
[data]
source = "my.json"
[model]
name_or_path = "MODEL"
[adapter]
r = 2
[training]
max_steps = 2
dtype = "float32"
[evaluation]
limit = 12
max_new_tokens = 6

[evaluation.sets.facts]
source = "facts.jsonl"
metric = "contains"

[evaluation.sets.prices]
source = "prices.jsonl"
metric = "numeric"

[evaluation.sets.yes-or-no]
source = "choices.jsonl"
metric = "multiple_choice"
choices = ["yes", "no", "perhaps"]

[evaluation.sets.own-choices]
source = "choices.jsonl"
metric = "multiple_choice"
choices = "options"
"""


@pytest.fixture
def place(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    write_rows(tmp_path / "my.json", alpaca_values(80))
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("MODEL", str(model)))
    lines(tmp_path / "facts.jsonl", [row(f"Where is town {n}?", "north") for n in range(14)] + [row("", "x")])
    lines(tmp_path / "prices.jsonl", [row(f"What does item {n} cost?", f"{n},50 €") for n in range(14)])
    choices = [
        {**row(f"Is {n} even?", "no" if n % 2 else "yes"), "options": ["yes", "no"]} for n in range(12)
    ]
    lines(tmp_path / "choices.jsonl", choices)
    return tmp_path


def row(instruction, output):
    return {"instruction": instruction, "input": "", "output": output}


def lines(path, values):
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


def test_named_sets_are_answered_by_both_models_and_judged_by_themselves(tutelage, place):
    done = tutelage("run", "recipe.toml", "--output", "run")
    assert (done.code, done.err) == (0, "")
    run = RunFolder(place / "run")
    sets = read_json(run.summary)["evaluation"]["sets"]
    assert {name: one["rows"] for name, one in sets.items()} == {
        "facts": 12,
        "prices": 12,
        "yes-or-no": 12,
        "own-choices": 12,
    }
    assert sets["facts"]["dropped"] == 1
    assert sets["prices"]["number_convention"] == {"decimal_mark": ",", "blanks_group": True}
    assert read_json(run.metrics)["sets"]["prices"] == sets["prices"]
    assert "1 of its rows were left out" in done.out
    for name, one in sets.items():
        paired = read_json_lines(run.test_set(name))
        for variant in ("base", "tuned"):
            assert sum(each[variant]["score"] for each in paired) / 12 == pytest.approx(one[variant])
        assert one["verdict"] in ("better", "worse", "no difference detectable", "no verdict")
        assert f"Test set {name}, by" in done.out
    general_text = read_json(run.metrics)["general_text"]
    passages = read_json_lines(run.passages)
    assert len(passages) == general_text["passages"]
    assert np.mean([one["tuned"] for one in passages]) == pytest.approx(general_text["tuned"])
    check_choices(read_json_lines(run.test_set("yes-or-no")), {"yes", "no", "perhaps"})
    check_choices(read_json_lines(run.test_set("own-choices")), {"yes", "no"})
    assert "<h2>Test sets</h2>" in run.report.read_text()
    # The recipe that is kept names the sets, and evaluates again.
    assert tutelage("evaluate", "run", "--overwrite").code == 0
    assert read_json(run.summary)["evaluation"]["sets"] == sets


def check_choices(paired, options):
    for one in paired:
        for variant in ("base", "tuned"):
            log_probs = one[variant]["choice_log_probs"]
            assert set(log_probs) == options
            assert one[variant]["response"] == max(log_probs, key=log_probs.get)
            assert one[variant]["score"] == 100 * (one[variant]["response"] == one["reference"])


def spoil(place, what):
    facts = [row(f"Where is town {n}?", "north") for n in range(14)]
    if what == "leaked":
        facts[3:5] = [{**one, "instruction": one["instruction"].upper()} for one in alpaca_values(80)[1:3]]
    if what == "empty":
        facts = [row("", "")]
    if what == "choice":
        lines(place / "choices.jsonl", [{**row("Is 1 even?", "never"), "options": ["yes", "no"]}])
    if what == "missing":
        (place / "choices.jsonl").unlink()
    if what == "options":
        lines(place / "choices.jsonl", [{**row("Is 1 even?", "no"), "options": "yes"}])
    lines(place / "facts.jsonl", facts)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("leaked", "rows of the test set facts have a prompt that is trained on (rows 3"),
        (
            "empty",
            "The test set facts (facts.jsonl) has no usable row. Check its rows with `tutelage check`.",
        ),
        (
            "choice",
            "Row 0 of the test set yes-or-no has the answer 'never', which is not one of its choices.",
        ),
        ("missing", "The test set yes-or-no: choices.jsonl does not exist."),
        ("options", "Row 0 of the test set own-choices has no list of at least two texts under 'options'"),
    ],
)
def test_a_set_that_cannot_be_used_stops_before_anything_is_trained(tutelage, place, what, said):
    spoil(place, what)
    before = contents(place)
    refused = tutelage("run", "recipe.toml", "--output", "run")
    assert refused.code == 2
    assert said in refused.err
    assert contents(place) == before


@pytest.mark.parametrize(
    ("reference", "code", "at"),
    [
        ("2024-03-15", "evaluate.reference_not_a_number", 13),
        ("2.5", "evaluate.number_conventions_mixed", 13),
    ],
)
def test_references_that_cannot_be_compared_as_numbers_stop_before_anything_is_trained(
    tutelage, place, reference, code, at
):
    prices = [row(f"What does item {n} cost?", reference if n == at else f"{n},50 €") for n in range(14)]
    lines(place / "prices.jsonl", prices)
    before = contents(place)
    # The row lies beyond evaluation.limit: all references of the set decide.
    refused = tutelage("run", "recipe.toml", "--output", "run")
    assert refused.code == 2
    assert refused.err.startswith(f"error[{code}]: Row {at} of the test set prices")
    assert contents(place) == before


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("facts.pattern=x", "pattern belongs to the metric regex, but the metric is contains"),
        ("new.source=facts.jsonl", "evaluation.sets.new.metric"),
        ("facts.metric=regex", "the metric regex needs pattern"),
        ("facts.metrc=regex", "Did you mean evaluation.sets.facts.metric?"),
        ("facts.metric=rgex", "evaluation.sets.facts.metric is 'rgex'"),
        ("Facts.metric=json", "evaluation.sets.Facts"),
    ],
)
def test_a_set_that_is_declared_wrongly_is_told_by_its_name(tutelage, place, setting, said):
    refused = tutelage("run", "recipe.toml", "--output", "run", "--set", f"evaluation.sets.{setting}")
    assert refused.code == 2
    assert said in refused.err
    assert not (place / "run").exists()


def test_sets_are_not_passed_over_where_there_are_no_test_rows(tutelage, place):
    before = contents(place)
    none_left = ["--set", "data.test_size=0", "--set", "data.train_size=1"]
    refused = tutelage("run", "recipe.toml", "--output", "runs/mine", *none_left)
    assert refused.code == 2
    assert refused.err.strip() == (
        "error[evaluate.no_test_rows]: my.json leaves no test rows, and evaluation.sets is only evaluated"
        " together with test rows. Set data.test_size above 0, or leave evaluation.sets out."
    )
    assert contents(place) == before


def test_a_named_set_is_read_as_the_data_are(tutelage, place):
    numbers = [{**row(f"What does item {n} cost?", n + 0.5), "more": 1} for n in range(14)]
    (place / "my.json").write_text((place / "my.json").read_text(), encoding="utf-16-le")
    for name in ("facts", "choices"):
        path = place / f"{name}.jsonl"
        path.write_text(path.read_text(), encoding="utf-16-le")
    (place / "prices.jsonl").write_text(
        "".join(json.dumps(one) + "\n" for one in numbers), encoding="utf-16-le"
    )
    given = ["run", "recipe.toml", "--output", "run", "--set", "data.encoding=utf-16-le"]
    refused = tutelage(*given)
    assert (refused.code, "error[data.not_text]" in refused.err) == (2, True)
    done = tutelage(*given, "--set", "data.coerce=true")
    assert done.code == 0, done.err
    noted = [
        line for line in done.out.splitlines() if line.startswith("Note[data.field_not_used]: The test set")
    ]
    assert any("prices" in line for line in noted)
