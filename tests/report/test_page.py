import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from support.fake_examples import decode, encode, example
from support.fake_run import make_run, measure, prepared_row
from support.pages import HOSTILE, Page, offences
from support.reports import write_report
from support.rows import write_split

from tutelage.config.recipe import Recipe, TrainingSettings
from tutelage.errors import RunFolderError
from tutelage.report import page
from tutelage.report.example import first_tree, pieces, shown_examples
from tutelage.report.passages import is_unseen, label_name, passage, visible
from tutelage.report.training_charts import smooth
from tutelage.run.folder import RunFolder, read_json, write_json, write_json_lines, write_text
from tutelage.run.lines import read_json_lines
from tutelage.stages.prepared import read_prepared
from tutelage.tree.batches import epoch_order


def taint(run):
    """Put hostile text wherever data, a model or a stage can put text."""

    def spoil(value):
        if isinstance(value, dict):
            return {key: spoil_text(key, one) for key, one in value.items()}
        return value

    def spoil_text(key, value):
        keep = {
            "event",
            "outcome",
            "split",
            "reasons",
            "leaks",
            "rows",
            "tokens",
            "ids",
            "notes",
            "objective",
        }
        return value + HOSTILE if isinstance(value, str) and key not in keep else value

    for variant in ("base", "tuned"):
        write_json_lines(run.responses(variant), map(spoil, read_json_lines(run.responses(variant))))
    write_json_lines(run.events, map(spoil, read_json_lines(run.events)))
    write_split(
        run.data,
        "train",
        [
            replace(row, prompt=row.prompt + HOSTILE, response=row.response + HOSTILE)
            for row in read_prepared(run, "train")
        ],
    )
    hostile = {"code": "data.empty", "message": HOSTILE}
    ledger = read_json_lines(run.ledger)
    write_json_lines(run.ledger, ({**entry, "reasons": [hostile]} for entry in ledger))
    write_json(
        run.preparation,
        {**spoil(read_json(run.preparation)), "notes": [hostile]},
    )
    write_json(run.environment, {**spoil(read_json(run.environment)), HOSTILE: HOSTILE})
    write_text(run.recipe, run.recipe.read_text() + f"# {HOSTILE}\n")
    measure(run)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("run"))
    write_report(run, decode, Recipe())
    return run


@pytest.fixture(scope="module")
def html(run):
    return run.report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tainted(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("tainted"), test_rows=30)
    taint(run)
    return run


def test_the_page_needs_nothing_from_outside_and_runs_nothing(html):
    assert offences(html) == []


def test_the_page_forbids_itself_all_requests(html):
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in html
    assert html.index("Content-Security-Policy") < html.index("<style>")


@pytest.mark.parametrize("how", [decode, None])
def test_hostile_text_becomes_no_element(tainted, how):
    html = write_report(tainted, how, Recipe()).read_text(encoding="utf-8")
    assert offences(html) == []
    assert Page(html).elements["a"] == 8  # the links between sections
    assert Page(html).text.count("<script>alert(1)</script>") > 20
    assert "{{ 7 * 7 }}" in html


def test_hostile_text_hides_and_reorders_nothing(tainted):
    html = write_report(tainted, decode, Recipe()).read_text(encoding="utf-8")
    assert {character for character in html if is_unseen(character)} == set()
    assert "U+202E" in Page(html).text
    assert "right-to-left override" in html


def test_a_page_that_forgets_to_escape_is_caught(tainted, monkeypatch):
    monkeypatch.setattr(page, "visible", Markup)
    found = offences(write_report(tainted, decode, Recipe()).read_text(encoding="utf-8"))
    assert "<script>" in found
    assert "img onerror" in found


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(run, tmp_path):
    again = make_run(tmp_path / run.root.name)
    assert write_report(again, decode, Recipe()).read_bytes() == run.report.read_bytes()


def test_the_verdict_comes_first_and_in_words(html):
    text = " ".join(Page(html).text.split())
    right = (
        "▲ Better 48 of 100 answers are exactly right; before, 3 were, and 2 that were right are now wrong."
    )
    assert f"{right} chrF rose from" in text
    assert text.index("95 % interval") < text.index("How to read this")


def test_the_metric_table_says_what_the_summary_says(run, html):
    text = " ".join(Page(html).text.split())
    chrf = read_json(run.summary)["evaluation"]["metrics"]["chrf"]
    change = f"+{chrf['difference']:.1f} +{chrf['low']:.1f} to +{chrf['high']:.1f} < 0.001 better"
    assert f"{chrf['base']:.1f} {chrf['tuned']:.1f} {change}" in text


def test_a_bar_to_the_right_is_better_even_where_lower_is_better(html):
    bits_per_byte = html[html.index(">Bits per byte <") :]
    drawn = re.search(r'class="interval" x1="([0-9.]+)" y1="10" x2="([0-9.]+)"', bits_per_byte)
    assert 100 < float(drawn[1]) < float(drawn[2]) <= 200


def test_every_figure_says_how_to_read_it(html):
    assert html.count("How to read this.") == 16


def test_headings_do_not_skip_a_level(html):
    levels = Page(html).headings
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_drawings_are_named_or_hidden_and_tables_have_headers(html):
    parsed = Page(html)
    named = [value for tag, name, value in parsed.attributes if name == "aria-label" and tag == "div"]
    assert len(named) == 8
    assert "Validation loss goes from 2.41 to 0.933; the best is 0.922 at step 196." in named[2]
    assert "and is 68.8 % at the best step, 196." in named[4]
    # And the verdict's own in two widths, one bar a metric and one of wins and losses, whose numbers stand beside them.
    assert parsed.elements["svg"] == len(named) + 2 + 6 + 1
    assert html.count('aria-hidden="true" focusable="false"') == 7
    assert 'role="img" aria-label="The 95 % interval of the change, +' in html
    assert html.count("<table") == html.count("<thead>")


def test_the_two_drawings_of_a_page_do_not_share_ids(html):
    ids = [value for _, name, value in Page(html).attributes if name == "id"]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("until", "first", "absent"),
    [
        ("prepare", "Prepared, not yet trained", ("Metrics", "Training", "Answers side by side")),
        ("tune", "Fine-tuned, not yet evaluated", ("Metrics", "Answers side by side")),
    ],
)
def test_a_report_shows_the_stages_that_have_run(tmp_path, until, first, absent):
    html = write_report(make_run(tmp_path, until=until)).read_text(encoding="utf-8")
    assert first in html
    assert "Lengths of the training examples" in html
    assert not [title for title in absent if f"<h2>{title}</h2>" in html]
    assert offences(html) == []


def test_a_report_before_any_stage_names_the_first(tmp_path):
    with pytest.raises(RunFolderError, match="tutelage prepare"):
        write_report(RunFolder(tmp_path))


def test_leaks_are_told_beside_the_verdict(tmp_path):
    run = make_run(tmp_path, test_rows=20)
    write_json(
        run.preparation, read_json(run.preparation) | {"leaks": {"test": [901, 903], "validation": []}}
    )
    text = " ".join(Page(write_report(run).read_text(encoding="utf-8")).text.split())
    assert text.index("2 test prompts also occur in training") < text.index("Exact match")


def test_two_models_that_answer_alike_are_not_told_apart(tmp_path):
    run = make_run(tmp_path, test_rows=20)
    write_json_lines(run.responses("tuned"), read_json_lines(run.responses("base")))
    measure(run)
    text = " ".join(Page(write_report(run).read_text(encoding="utf-8")).text.split())
    counted, _, rest = text.partition("≈ No difference detectable ")[2].partition("now wrong. ")
    assert counted == "2 of 20 answers are exactly right; before, 2 were, and none that was right is "
    assert rest.startswith("both models have the same chrF on all 20 test rows.")
    assert "No row improved." in text
    assert "No row got worse." in text


def test_no_row_is_shown_twice(html):
    shown = re.findall(r"<h4>Row (\d+) <span", html)
    assert len(shown) == 15
    assert len(set(shown)) == 15


def test_every_row_can_be_browsed_and_each_filter_counts_what_it_shows(html):
    kinds = re.findall(r'<details class="one ([a-z ]*)">', html)
    assert len(kinds) == 100
    labels = re.findall(r'id="show-(\w+)".*?<span class="quiet">(\d+)</span></label>', html)
    assert labels[0] == ("all", "100")
    for kind, count in labels[1:]:
        assert sum(kind in one.split() for one in kinds) == int(count) > 0
        assert f"#show-{kind}:checked ~ .every > :not(.{kind})" in html
    assert len(re.findall(r'<input type="radio" name="show" id="show-all" checked>', html)) == 1


def test_rows_that_improved_stand_before_those_that_got_worse(html):
    kinds = [one.split() for one in re.findall(r'<details class="one ([a-z ]*)">', html)]
    improved = [index for index, one in enumerate(kinds) if "improved" in one]
    worsened = [index for index, one in enumerate(kinds) if "worsened" in one]
    assert max(improved) < min(worsened)


def test_of_an_enormous_test_set_the_middle_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("tutelage.report.answers.ROWS_IN_ALL", 10)
    html = write_report(make_run(tmp_path, test_rows=30)).read_text(encoding="utf-8")
    assert html.count('<details class="one') == 10
    assert "20 rows in the middle are left out" in html


def test_wins_ties_and_losses_fill_the_bar_and_are_counted(run, html):
    chrf = read_json(run.summary)["evaluation"]["metrics"]["chrf"]
    text = " ".join(Page(html).text.split())
    assert f"{chrf['higher']} better {chrf['equal']} the same {chrf['lower']} worse" in text
    split = html[html.index('class="split"') :]
    widths = [
        float(width) for width in re.findall(r'<rect class="\w+" x="[\d.]+" y="0" width="([\d.]+)"', split)
    ]
    assert sum(widths[:3]) == pytest.approx(640, abs=0.3)


def test_tokens_that_share_a_character_are_shown_as_one():
    shown = pieces(prepared_row(example(0, "Say it:\n", "早上好")), decode)
    assert "".join(piece.text for piece in shown) == "Say it:\n早上好<|im_end|>"
    assert [(piece.text, piece.tokens) for piece in shown if piece.is_supervised] == [
        ("早", 3),
        ("上", 3),
        ("好", 3),
        ("<|im_end|>", 1),
    ]


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_the_pieces_of_any_example_are_its_tokens(prompt, response):
    one = example(0, prompt, response)
    shown = pieces(prepared_row(one), decode)
    assert "".join(piece.text for piece in shown) == decode(one["ids"])
    assert sum(piece.tokens for piece in shown if piece.is_supervised) == len(encode(response)) + 1


def test_without_a_tokenizer_prompt_and_response_are_marked():
    shown = pieces(prepared_row(example(0, "Say it:\n", "hi")), None)
    assert [(piece.text, piece.is_supervised) for piece in shown] == [("Say it:\n", False), ("hi", True)]


def test_a_short_a_usual_and_a_long_row_are_shown(tmp_path):
    texts = ["a", "b c d e", "f g", "h i j k l m", "n o p"]
    rows = [prepared_row(example(row, "Say it:\n", text)) for row, text in enumerate(texts)]

    def shown(rows):
        run = RunFolder(tmp_path / str(len(rows)))
        write_split(run.data, "train", rows)
        return shown_examples(read_prepared(run, "train"), decode)

    assert [(one["why"], one["row"]) for one in shown(rows)] == [
        ("shortest", 0),
        ("of median length", 4),
        ("longest", 3),
    ]
    assert [one["row"] for one in shown(rows[:1])] == [0]


def in_rows(nodes):
    """Return the texts of a tree's rows, each joined from its root to where it ends."""
    found = {}
    for node in nodes:
        text = "".join(part for part, _ in node.parts)
        found |= dict.fromkeys((int(end.removeprefix("row ")) for end in node.ends), text)
        found |= {row: text + rest for row, rest in in_rows(node.below).items()}
    return found


def count_runs(nodes):
    return sum(1 + count_runs(node.below) for node in nodes)


def test_the_tree_holds_the_first_micro_batch_and_what_rows_share_once():
    train = [
        prepared_row(example(row, f"Say {'this' if row % 2 else 'that'}:\n", "a b c"[: 1 + row % 5]))
        for row in range(40)
    ]
    settings = TrainingSettings(per_device_train_batch_size=5, gradient_accumulation_steps=2, seed=9)
    drawn = first_tree([row.example for row in train], settings, decode)
    order = epoch_order(40, seed=9, epoch=0)[:10].tolist()
    rows = in_rows(drawn["branches"])
    assert set(rows) < set(order)
    assert len(rows) == drawn["rows"] == 5
    # The last token of a row, the end of its turn, is no node.
    assert rows == {row: decode(list(train[row].example.ids[:-1])).replace("\n", "⏎") for row in sorted(rows)}
    prefixes = {train[row].example.ids[:end] for row in rows for end in range(1, len(train[row].example.ids))}
    assert drawn["nodes"] == len(prefixes)
    assert drawn["apart"] == sum(len(train[row].example.ids) - 1 for row in rows)
    of_one = first_tree([row.example for row in train], settings, decode, max_nodes=1)
    assert of_one["rows"] == 1


def test_a_tree_of_the_page_is_a_list_in_lists_and_marks_what_is_learnt(run, html):
    drawn = html[html.index('<ul class="tree">') : html.index('<section id="settings">')]
    parsed = Page(drawn)
    train = read_prepared(run, "train")
    tree = first_tree(train.examples, TrainingSettings(), decode)
    assert parsed.elements["li"] == count_runs(tree["branches"])
    assert parsed.text.count("Below is an instruction") == 1
    assert all(f"row {row}" in parsed.text for row in in_rows(tree["branches"]))
    assert parsed.elements["mark"] >= tree["rows"]


@given(st.text())
def test_visible_text_holds_no_markup_and_nothing_unseen(text):
    shown = visible(text)
    assert set(Page(shown).elements) <= {"span"}
    assert not any(map(is_unseen, shown))


def test_plain_text_in_any_script_is_left_as_it_is():
    plain = "tab\tline\n早上好 שלום مرحبا हिन्दी 🙂"
    assert visible(plain) == plain


def test_long_texts_are_folded_and_enormous_ones_cut():
    assert not passage("short").is_folded
    assert passage("\n" * 50).is_folded
    enormous = passage("x" * 50_000)
    assert enormous.is_folded
    assert len(enormous.text) + enormous.omitted == enormous.length == 50_000


def test_a_smoothed_constant_is_constant_and_a_smoothed_curve_trails():
    assert smooth([2.0] * 100) == pytest.approx([2.0] * 100)
    assert 0 < smooth([0.0] * 50 + [1.0] * 50)[52] < 1


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("ham", "“ham”"),
        ("a b", "“a b”"),
        ("a\xa0b", "U+00A0"),
        ("a\u3000", "U+3000"),
        ("<b>", "“&lt;b&gt;”"),
        ("", "(none)"),
    ],
)
def test_the_name_of_a_label_is_quoted_and_its_blanks_are_seen(label, shown):
    assert shown in label_name(label)
