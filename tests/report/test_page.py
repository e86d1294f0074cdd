import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from support.fake_examples import decode, encode, example
from support.fake_run import make_run, measure

from tutelage.errors import RunFolderError
from tutelage.report import page
from tutelage.report.charts import smooth
from tutelage.report.example import pieces
from tutelage.report.page import write_report
from tutelage.report.passages import is_unseen, passage, visible
from tutelage.run_folder import (
    RunFolder,
    read_json,
    read_json_lines,
    write_json,
    write_json_lines,
    write_text,
)

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)></style></title></details>--> \" ' {{ 7 * 7 }}"
    ' &lt; <a href="https://evil.example/">x</a> \u202eright to left\u202c zero\u200bwidth \u2028'
    " \x1b[31m \x00 \ufeff"
)
ELEMENT = re.compile(
    "html|head|meta|title|style|body|header|main|nav|section|article|figure|figcaption|h[1-5]|p|b|a|span"
    "|dl|dt|dd|div|ul|li|table|thead|tbody|tr|th|td|details|summary|mark|pre|svg|g|path|line|circle|text"
)


class Page(HTMLParser):
    """What a browser would build from the file, as far as the checks need it."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.attributes, self.styles, self.text = Counter(), [], [], ""
        self.headings, self.open = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        if "style" in self.open:
            self.styles.append(data)
        else:
            self.text += data


def offences(html):
    """List everything in a page that could act, or ask for something outside."""
    parsed = Page(html)
    found = [f"<{tag}>" for tag in parsed.elements if not ELEMENT.fullmatch(tag)]
    for tag, name, value in parsed.attributes:
        is_namespace = name in ("xmlns", "xmlns:xlink")
        if name.startswith("on") or name in ("src", "srcset", "style", "action", "data", "xlink:href"):
            found.append(f"{tag} {name}")
        if name == "href" and not re.fullmatch("#[a-z]+", value):
            found.append(f"{tag} href={value}")
        if "//" in value and not is_namespace:
            found.append(f"{tag} {name}={value}")
    style = "".join(parsed.styles)
    return found + re.findall(r"url\(|@import|expression\(|//", style)


def taint(run):
    """Put hostile text wherever data, a model or a stage can put text."""

    def spoil(value):
        if isinstance(value, dict):
            return {key: spoil_text(key, one) for key, one in value.items()}
        return value

    def spoil_text(key, value):
        keep = {"event", "outcome", "split", "reasons", "leaks", "rows", "tokens", "ids", "notes"}
        return value + HOSTILE if isinstance(value, str) and key not in keep else value

    for arm in ("base", "tuned"):
        write_json_lines(run.responses(arm), map(spoil, read_json_lines(run.responses(arm))))
    for lines in (run.events, run.split("train")):
        write_json_lines(lines, map(spoil, read_json_lines(lines)))
    ledger = read_json_lines(run.ledger)
    write_json_lines(run.ledger, ({**entry, "reasons": [HOSTILE]} for entry in ledger))
    write_json(run.preparation, {**spoil(read_json(run.preparation)), "notes": [HOSTILE]})
    write_json(run.environment, {**spoil(read_json(run.environment)), HOSTILE: HOSTILE})
    write_text(run.recipe, run.recipe.read_text() + f"# {HOSTILE}\n")
    measure(run)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("run"))
    write_report(run, decode)
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
    html = write_report(tainted, how).read_text(encoding="utf-8")
    assert offences(html) == []
    assert Page(html).elements["a"] == 6  # the links between sections
    assert Page(html).text.count("<script>alert(1)</script>") > 20
    assert "{{ 7 * 7 }}" in html


def test_hostile_text_hides_and_reorders_nothing(tainted):
    html = write_report(tainted, decode).read_text(encoding="utf-8")
    assert {character for character in html if is_unseen(character)} == set()
    assert "U+202E" in Page(html).text
    assert "right-to-left override" in html


def test_a_page_that_forgets_to_escape_is_caught(tainted, monkeypatch):
    monkeypatch.setattr(page, "visible", Markup)
    found = offences(write_report(tainted, decode).read_text(encoding="utf-8"))
    assert "<script>" in found
    assert "img onerror" in found


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(run, tmp_path):
    again = make_run(tmp_path)
    assert write_report(again, decode).read_bytes() == run.report.read_bytes()


def test_the_verdict_comes_first_and_in_words(html):
    text = " ".join(Page(html).text.split())
    assert "▲ Better chrF rose from" in text
    assert text.index("95 % interval") < text.index("How to read this")


def test_the_metric_table_says_what_the_summary_says(run, html):
    text = " ".join(Page(html).text.split())
    chrf = read_json(run.summary)["evaluation"]["metrics"]["chrf"]
    change = f"+{chrf['difference']:.1f} +{chrf['low']:.1f} to +{chrf['high']:.1f} better"
    assert f"{chrf['base']:.1f} {chrf['tuned']:.1f} {change}" in text


def test_a_bar_to_the_right_is_better_even_where_lower_is_better(html):
    bits_per_byte = html[html.index(">Bits per byte <") :]
    drawn = re.search(r'class="interval" x1="([0-9.]+)" y1="10" x2="([0-9.]+)"', bits_per_byte)
    assert 100 < float(drawn[1]) < float(drawn[2]) <= 200


def test_every_figure_says_how_to_read_it(html):
    assert html.count("How to read this.") == 8


def test_headings_do_not_skip_a_level(html):
    levels = Page(html).headings
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_drawings_are_named_or_hidden_and_tables_have_headers(html):
    parsed = Page(html)
    named = [value for tag, name, value in parsed.attributes if name == "aria-label" and tag == "div"]
    assert len(named) == 4
    assert "Validation loss goes from 2.41 to 0.93; the best is 0.92 at step 196." in named[0]
    assert parsed.elements["svg"] == len(named) + 6  # and one bar a metric, whose numbers stand beside it
    assert html.count('aria-hidden="true" focusable="false"') == 6
    assert html.count("<table") == html.count("<thead>")


def test_the_two_drawings_of_a_page_do_not_share_ids(html):
    ids = [value for _, name, value in Page(html).attributes if name == "id"]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("until", "first", "absent"),
    [
        ("prepare", "Prepared, not yet tuned", ("Metrics", "Training", "Answers side by side")),
        ("tune", "Tuned, not yet evaluated", ("Metrics", "Answers side by side")),
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
    assert "No difference detectable both models have the same chrF on every one of 20 test rows." in text
    assert "No row improved." in text
    assert "No row got worse." in text


def test_no_row_is_shown_twice(html):
    shown = re.findall(r"<h4>Row (\d+) <span", html)
    assert len(shown) == 15
    assert len(set(shown)) == 15


def test_tokens_that_share_a_character_are_shown_as_one():
    shown = pieces(example(0, "Say it:\n", "早上好"), decode)
    assert "".join(piece.text for piece in shown) == "Say it:\n早上好<|im_end|>"
    assert [(piece.text, piece.tokens) for piece in shown if piece.is_supervised] == [
        ("早", 3),
        ("上", 3),
        ("好", 3),
        ("<|im_end|>", 1),
    ]


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_pieces_of_any_example_are_its_tokens(prompt, response):
    one = example(0, prompt, response)
    shown = pieces(one, decode)
    assert "".join(piece.text for piece in shown) == decode(one["ids"])
    assert sum(piece.tokens for piece in shown if piece.is_supervised) == len(encode(response)) + 1


def test_without_a_tokenizer_prompt_and_response_are_marked():
    shown = pieces(example(0, "Say it:\n", "hi"), None)
    assert [(piece.text, piece.is_supervised) for piece in shown] == [("Say it:\n", False), ("hi", True)]


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
