import json
import re

import numpy as np
import pytest
from sklearn.metrics import f1_score
from support.command_line import contents
from support.fake_further import add_judge, add_set
from support.fake_labels import make_class_run, make_preference_run
from support.fake_run import RECIPE, make_run, measure
from support.pages import Page, offences

import tutelage as api
from tutelage.run.folder import write_json_lines, write_text
from tutelage.run.lines import read_json_lines


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs: a good one, a poor one, and another seed of the good one."""
    root = tmp_path_factory.mktemp("runs")
    for name in ("good", "poor", "seed"):
        run = make_run(root / name, test_rows=40)
        if name == "poor":
            answers = read_json_lines(run.responses("tuned"))
            write_json_lines(run.responses("tuned"), [{**one, "response": "?"} for one in answers])
            write_text(run.recipe, RECIPE.replace("0.0005", "0.9"))
        if name == "seed":
            write_text(run.recipe, RECIPE.replace("learning_rate", "seed = 7\nlearning_rate"))
        measure(run)
    return root


def test_a_table_tells_each_recipe_and_the_verdicts(tutelage, runs):
    before = contents(runs)
    shown = tutelage("compare", runs / "good", runs / "poor", runs / "seed")
    assert (shown.code, shown.err) == (0, "")
    assert "40 test rows" in shown.out
    assert "Worse: chrF fell from" in shown.out
    assert "Differs in training.learning_rate (was 0.0005, now 0.9)." in shown.out
    assert "Its 2 seeds (123, 7) range from" in shown.out
    assert contents(runs) == before


def test_rows_that_a_judge_could_not_score_are_told(tutelage, tmp_path):
    good, poor = (make_run(tmp_path / name, test_rows=30) for name in ("good", "poor"))
    write_text(poor.recipe, RECIPE.replace("0.0005", "0.9"))
    for run, first in ((good, 80), (poor, None)):
        add_judge(run, "ollama:fair", [first, *range(40, 69)])
    out = " ".join(tutelage("compare", good.root, poor.root).out.split())
    assert "rows that lack a score in one of the runs count for neither (1 of 30)" in out
    # 29 rows are equal; the missing one is 80 points lost at worst and 20 won at best.
    assert "would be -2.7 with all of them against this one and +0.7 with all for it" in out


def test_the_table_tells_what_was_paired_beside_the_test_rows_and_what_was_left_out(tutelage, tmp_path):
    good, poor = (make_run(tmp_path / name, test_rows=30) for name in ("good", "poor"))
    write_text(poor.recipe, RECIPE.replace("0.0005", "0.9"))
    for run, score in ((good, 100.0), (poor, 0.0)):
        add_set(run, "facts", dict.fromkeys(range(20), score))
        add_judge(run, "ollama:fair", [80] * 30, trusted=run is good)
    add_set(good, "alone", {1: 100.0})
    shown = tutelage("compare", good.root, poor.root)
    assert (shown.code, shown.err) == (0, "")
    out = " ".join(shown.out.split())
    assert "set facts Contains 100.0 % 0.0 % -100.0" in out
    assert f"Left out: set alone ({poor.root} does not have it)." in out
    assert f"Left out: judge ollama:fair ({poor.root}: the judge is not trusted on it)." in out
    assert out.count("1.100 1.120 +0.020 +0.015 to +0.025 pass") == 2


def test_a_lost_file_of_a_set_is_told_with_the_command_that_makes_it_again(tutelage, tmp_path):
    good, poor = (make_run(tmp_path / name, test_rows=30) for name in ("good", "poor"))
    for run in (good, poor):
        add_set(run, "facts", dict.fromkeys(range(20), 100.0))
    poor.test_set("facts").unlink()
    refused = tutelage("compare", good.root, poor.root)
    assert refused.code == 2
    assert f"write it again with `tutelage evaluate {poor.root} --overwrite`" in " ".join(refused.err.split())


@pytest.mark.parametrize(("baseline", "code"), [("good", 7), ("poor", 0)])
def test_a_worse_run_can_fail_a_script(tutelage, runs, baseline, code):
    words = ["compare", runs / "good", runs / "poor", "--baseline", runs / baseline, "--fail-if-worse"]
    assert tutelage(*words).code == code
    assert tutelage(*words[:-1]).code == 0


def test_json_is_all_that_is_printed(tutelage, runs, tmp_path):
    shown = tutelage("compare", runs / "good", runs / "poor", "--json", "--output", tmp_path / "page.html")
    record = json.loads(shown.out)
    assert record["groups"][1]["comparison"]["verdict"] == "worse"
    assert (tmp_path / "page.html").is_file()


def test_a_page_is_not_written_over_unasked(tutelage, runs, tmp_path):
    page = tmp_path / "page.html"
    words = ["compare", runs / "good", runs / "poor", "--output", page]
    assert f"Page: {page}" in tutelage(*words).out
    first = page.read_bytes()
    refused = tutelage(*words)
    assert (refused.code, "already exists" in refused.err) == (2, True)
    assert tutelage(*words, "--overwrite").code == 0
    assert page.read_bytes() == first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "A comparison needs at least two runs"),
        (["good"], "A comparison needs at least two runs"),
        (["good", "good"], "is given twice"),
        (["good", "nothing"], "is not a folder"),
        (["good", "poor", "--baseline", "seed"], "is not one of the runs"),
        (["good", "poor", "--output", "."], "already exists"),
    ],
)
def test_what_cannot_be_compared_is_one_message(tutelage, runs, monkeypatch, words, said):
    monkeypatch.chdir(runs)
    refused = tutelage("compare", *words)
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert refused.err.count("error[") == 1


WANTED = np.arange(60) % 3
# The good run is wrong on every tenth row, the poor one on every second.
GIVEN = {
    "good": np.where(np.arange(60) % 10, WANTED, (WANTED + 1) % 3),
    "poor": np.where(np.arange(60) % 2, WANTED, 0),
}


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """Two classifications on the same rows."""
    root = tmp_path_factory.mktemp("classes")
    for name, settings in (("good", ""), ("poor", "warmup_ratio = 0.1\n")):
        make_class_run(root / name, WANTED, GIVEN[name], settings=settings)
    return root


def metric_lines(text, labels):
    """The numbers and the word of each metric's line, in a table of the terminal or of a page."""
    plain = " ".join(text.replace("\u2212", "-").split())
    number = r"[-+]?[\d.]+(?: %)?"
    line = rf"({number}) ({number}) ({number}) ({number} to {number}|unknown) (< )?({number}|unknown) (better|worse|no)"
    return {
        label: re.search(rf"{label}(?! decides| rose| fell| \().*? {line}", plain).groups()
        for label in labels
    }


def test_classifications_are_compared_and_terminal_and_page_agree(tutelage, classes, tmp_path):
    shown = tutelage("compare", classes / "good", classes / "poor", "--output", tmp_path / "page.html")
    assert (shown.code, shown.err) == (0, "")
    table = shown.out[shown.out.index("Differs in") :]
    found = metric_lines(table, ["Accuracy", "Macro F1"])
    accuracies = [100 * (GIVEN[name] == WANTED).mean() for name in ("good", "poor")]
    assert found["Accuracy"][:2] == tuple(f"{value:.1f} %" for value in accuracies)
    averages = [f1_score(WANTED, GIVEN[name], average="macro") for name in ("good", "poor")]
    assert found["Macro F1"][:2] == tuple(f"{value:.3f}" for value in averages)
    assert found["Macro F1"][2] == f"{averages[1] - averages[0]:+.3f}"
    assert "Differs in training.warmup_ratio" in table
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert offences(html) == []
    text = Page(html).text
    assert metric_lines(text[text.index("Metric") :], found) == found
    assert "Accuracy 100.0 → 0.0" in " ".join(text.split())
    assert "Reference" not in text, "a text has a label"


def test_a_line_that_differs_on_the_page_would_be_seen(tutelage, classes):
    found = metric_lines(
        tutelage("compare", classes / "good", classes / "poor").out.split("Differs in")[1], ["Accuracy"]
    )
    other = metric_lines(
        tutelage("compare", classes / "poor", classes / "good").out.split("Differs in")[1], ["Accuracy"]
    )
    assert found["Accuracy"][:2] == other["Accuracy"][1::-1]
    assert found != other


@pytest.mark.parametrize(("baseline", "code"), [("good", 7), ("poor", 0)])
def test_a_worse_classification_can_fail_a_script(tutelage, classes, baseline, code):
    words = ["compare", classes / "good", classes / "poor", "--baseline", classes / baseline]
    assert tutelage(*words, "--fail-if-worse").code == code


def test_a_program_compares_classifications_too(classes):
    result = api.compare(api.Run(classes / "good"), classes / "poor")
    assert result.primary.name == "accuracy"
    assert result.groups[1].comparison.verdict.word == "worse"


def test_preferences_are_compared_by_pairs_and_by_answers(tutelage, tmp_path):
    margins = np.random.default_rng(2).normal(0, 2, 40)
    for name, given in (("one", margins), ("other", margins + 2)):
        make_preference_run(tmp_path / name, given, beta=0.1 if name == "one" else 0.2)
    shown = tutelage("compare", tmp_path / "one", tmp_path / "other", "--output", tmp_path / "page.html")
    assert (shown.code, shown.err) == (0, "")
    labels = ["Preference accuracy", "Preference margin", "chrF"]
    found = metric_lines(shown.out[shown.out.index("Differs in") :], labels)
    shares = [100 * (given > 0).mean() for given in (margins, margins + 2)]
    assert found["Preference accuracy"][:2] == tuple(f"{share:.1f} %" for share in shares)
    assert found["Preference margin"][:3] == (f"{margins.mean():.2f}", f"{margins.mean() + 2:.2f}", "+2.00")
    assert found["chrF"][2] == "+0.0"
    text = Page((tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert metric_lines(text[text.index("Metric") :], labels) == found


def test_labels_and_answers_are_refused(tutelage, classes, runs):
    refused = tutelage("compare", classes / "good", runs / "good")
    assert (refused.code, refused.out) == (2, "")
    assert "error[compare.different_objectives]" in refused.err
