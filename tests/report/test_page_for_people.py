"""What a reader finds first in a page, and that it can be read on a telephone."""

import re
import shlex
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest
from support.fake_examples import decode
from support.fake_run import make_run
from support.pages import Page, offences
from support.reports import write_report

from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import check
from tutelage.data.dataset.sample_prompt import SamplePrompt
from tutelage.evaluation.next_steps import answering_steps, path_argument
from tutelage.objectives import load_objective
from tutelage.report.run_facts import run_facts, short_name
from tutelage.report.summary import Summary
from tutelage.run.artifacts import Preparation, RowCounts
from tutelage.run.folder import write_json
from tutelage.run.history import History, StageRecord, history_file

TELEPHONE = 390 - 2 * 1.1 * 16  # px between the margins of the page
SMALLEST = 11  # px
ASKED = SamplePrompt('Say it\'s "$HOME" `twice`\nand <b>again</b>', "a & b")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("at") / "my run")
    stages = {
        name: {"ended": f"2026-12-01T05:4{minute}:12Z", "seconds": seconds}
        for name, minute, seconds in (("prepare", 0, 2), ("train", 6, 339.2), ("evaluate", 9, 61))
    }
    write_json(history_file(run), {"stages": stages, "origins": {"training.learning_rate": "lora.toml:14"}})
    recipe = check({"training": {"learning_rate": 1e-5}}, {})
    write_report(
        run, decode, recipe, steps=answering_steps(path_argument(run.root), ASKED, is_exported=False)
    )
    return run


@pytest.fixture(scope="module")
def html(run):
    return run.report.read_text(encoding="utf-8")


def texts(html, pattern):
    return [unescape(re.sub("<[^>]*>", "", one)).strip() for one in re.findall(pattern, html, re.S)]


def test_the_head_says_which_run_it_is_of_what_when_and_how_long_it_took(html):
    head = html[: html.index("<h1")]
    assert texts(head, '<p class="eyebrow">(.*?)</p>') == [
        "Tutelage report my run 1 December 2026, 05:49 UTC",
        "instruction tuning smollm2-135m-instruct 900 training rows from starter LoRA, rank 16",
        "prepared in 0:02 min trained in 5:39 min evaluated in 1:01 min",
    ]
    assert texts(head, "<title>(.*?)</title>") == ["my run: Better – Tutelage report"]


@pytest.mark.parametrize(
    ("preparation", "recipe", "facts"),
    [
        (
            {"objective": "classification", "classes": ["ham", "spam"]},
            {"training": {"objective": "classification", "method": "head"}},
            ["classification", "tiny", "65 training rows from my.csv", "2 labels", "the head alone"],
        ),
        (
            {"objective": "dpo"},
            {"training": {"objective": "dpo"}, "adapter": {"r": 2}},
            ["preference tuning", "tiny", "65 training pairs from my.csv", "LoRA, rank 2"],
        ),
    ],
)
def test_the_head_knows_each_objective(preparation, recipe, facts):
    rows = RowCounts.model_construct(train=65)
    preparation = Preparation.model_construct(
        model="/models/tiny", source="../data/my.csv", rows=rows, label_sets=[], **preparation
    )
    recipe = check(recipe, {})
    words = load_objective(preparation.objective).report.words(preparation, recipe)
    history = History({"train": StageRecord(datetime(2026, 1, 2, tzinfo=UTC), 3)}, {})
    found = run_facts(Path("runs/mine"), history, Summary(rows=rows), preparation, words=words, recipe=recipe)
    assert found.name == "mine"
    assert found.facts == facts
    assert (found.ended, found.times) == ("", []), "what is trained no more has no time"


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("starter", "starter"),
        ("owner/name", "owner/name"),
        ("/home/me/my rows.json", "my rows.json"),
        ("../mine.csv", "mine.csv"),
        ("https://example.org/a/rows.jsonl", "rows.jsonl"),
        ("models/of/mine/", "mine"),
    ],
)
def test_a_long_place_is_called_by_its_last_part(place, name):
    assert short_name(place) == name


def test_changed_settings_stand_open_with_their_origin_and_the_rest_is_folded(html):
    settings = html[html.index('<section id="settings">') :]
    before, _, folded = settings.partition("<details>")
    assert texts(before, r"<tr>(<th scope=.row.*?)</tr>") == [
        "training.learning_ratePeak learning rate.1 × 10⁻⁵0.0005lora.toml:14"
    ]
    assert "data.train_size" in folded
    assert "<details open" not in html


def test_every_row_is_folded_and_still_to_be_filtered(html):
    rows = html[html.index('<section id="rows">') : html.index('<section id="general-text">')]
    outside = rows[: rows.index("<details")]
    assert '<details class="all"><summary>Show all 100 rows' in rows
    assert '<input type="radio"' in rows
    assert '<input type="radio"' not in outside
    assert Page(rows).elements["details"] >= 101


def test_next_steps_are_commands_with_the_row_and_the_folder_as_they_are(run, html):
    commands = [shlex.split(one) for one in texts(html, '<pre class="command">(.*?)</pre>')]
    assert [words[:3] for words in commands] == [
        ["tutelage", verb, str(run.root)] for verb in ("generate", "chat", "export", "serve")
    ]
    assert commands[0][3:] == [ASKED.text, "--input", ASKED.input, "--base"]
    assert offences(html) == []
    assert html.index('<section id="next">') > html.index('<section id="settings">')


def test_a_page_without_steps_has_no_section_for_them(run):
    assert 'id="next"' not in write_report(run, decode, Recipe()).read_text(encoding="utf-8")


def letters(html, kind):
    """Return the sizes in px on a telephone of the letters in the drawings of a width."""
    style = html[html.index("<style>") : html.index("</style>")]
    of_page = [float(size) for size in re.findall(r"\.interval-drawn[^{}]*{[^{}]*?(\d+)px", style)]
    sizes = []
    for drawn in re.findall(rf'<div class="chart {kind}".*?</svg>', html, re.S):
        width = float(re.search(r'viewBox="0 0 ([\d.]+)', drawn)[1])
        own = [float(size) for size in re.findall(r'font-size="([\d.]+)px"', drawn)]
        assert "<text" in drawn
        assert own or "interval-drawn" in drawn
        sizes += [size * TELEPHONE / width for size in own or of_page]
    return sizes


def test_letters_in_drawings_are_large_enough_on_a_telephone(html):
    sizes = letters(html, "narrow")
    assert len(sizes) > 30
    assert min(sizes) >= SMALLEST
    assert min(letters(html, "wide")) < SMALLEST, "one drawing for all widths would not do"


def test_what_is_wider_than_a_telephone_scrolls_in_a_box_of_its_own(html):
    for before, table in re.findall(r'(.{20})<table( class="[\w -]*")?', html, re.S):
        is_laid_out_anew = table.startswith((' class="metrics', ' class="settings'))
        assert is_laid_out_anew or before.endswith('<div class="scroll">')
    style = html[html.index("<style>") : html.index("</style>")]
    assert re.search(r"\.scroll {[^}]*overflow-x: auto", style)
    assert not re.search(r"(?<!max-)(?<!min-)width: \d{3,}px", style)


def test_numbers_of_the_training_are_rounded(html):
    training = html[html.index('<section id="training">') : html.index('<section id="data">')]
    losses = texts(training, r'<td class="num">[\d,]+</td><td class="num">(.*?)</td>')
    assert len(losses) == 10
    assert all(re.fullmatch(r"\d\.\d\d|0\.\d{3}", loss) for loss in losses)
    facts = dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", training))
    assert facts["training time"] == "5:39 min"
    assert facts["peak memory"] == "1.99 GiB"
    assert not {"resumed", "allowed_changes", "fallback_reason", "None", "[]"} & {*facts, *facts.values()}
