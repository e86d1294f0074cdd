"""A judge's reply counts only in the one form that was asked for (property 34)."""

import itertools
import json
import re

import pytest

from tutelage.evaluation.judge.responses import UnreadableReplyError, read_preference, read_score

GOOD = [
    (form.format(score), score)
    for score in (0, 1, 7, 10, 42, 99, 100)
    for form in (
        '{{"score": {}}}',
        '{{"score":{}}}',
        '\n {{\n  "score" : {}\n}}\n\n',
        '\t{{"\\u0073core":{}}} ',
        '```json\n{{"score": {}}}\n```',
        '\n```\n{{"score": {}}}\n```\n',
        '```JSON {{"score": {}}}```',
        '~~~json\n{{"score": {}}}\n~~~',
        '<think>right, 90</think>{{"score": {}}}',
        '<thinking>\n{{"score": 1}}\n```\n</thinking>\n\n{{"score": {}}}',
        'The template opened the block: {{"score": 1}}.\n</think>\n{{"score": {}}}',
        '<think></think>\n```json\n{{"score": {}}}\n```',
    )
]

PROSE = [
    "{}",
    "{}/100",
    "8/10",
    "score: {} out of 100",
    "Score: {}",
    "I would give this {}.",
    "The answer is good. {}",
    "{} or maybe 90",
    "between 40 and {}",
    "**{}**",
    "{} %",
    "Here is my rating:\n\n{}",
    '```json\n{{"score": {}}}\n```\n```json\n{{"score": 20}}\n```',
    '```json\n{{"score": {}}}\n``` It is right.',
    'Here it is:\n```json\n{{"score": {}}}\n```',
    '```json\n{{"score": {}}}',
    '{{"score": {}}}\n```',
    "```json\nscore: {}\n```",
    '`{{"score": {}}}`',
    'Sure! {{"score": {}}}',
    '{{"score": {}}} I hope this helps.',
    '{{"score": {}}}{{"score": 20}}',
    '[{{"score": {}}}]',
    '{{"Score": {}}}',
    '{{"score ": {}}}',
    '{{"rating": {}}}',
    '{{"score": "{}"}}',
    '{{"score": {}.0}}',
    '{{"score": {}.5}}',
    '{{"score": {}, "reason": "good"}}',
    '{{"reason": "good", "score": {}}}',
    '{{"score": {}, "score": 20}}',
    '{{"score": [{}]}}',
    '{{"score": {{"score": {}}}}}',
    "{{'score': {}}}",
    "{{score: {}}}",
    '{{"score": {},}}',
    '{{"score": +{}}}',
    '{{"score": 0{}}}',
    '{{"score": {}',
    '"score": {}',
    '\ufeff{{"score": {}}}',
    '// yes\n{{"score": {}}}',
    "<think>It is right.</think>{}",
    '<think>right</think>So: {{"score": {}}}',
    '<think>right</think><think>still</think>{{"score": {}}}',
    '<think>right</thinking>{{"score": {}}}',
    '<think>right {{"score": {}}}',
    '{{"score": {}}}<think>right</think>',
    '{{"score": {}}}</think>',
    '<b>right</b>{{"score": {}}}',
    "score={}",
]
ODD = [
    "",
    " ",
    "\n\n",
    "null",
    "true",
    "{}",
    "[]",
    '""',
    "NaN",
    '{"score": null}',
    '{"score": true}',
    '{"score": false}',
    '{"score": NaN}',
    '{"score": Infinity}',
    '{"score": -1}',
    '{"score": -85}',
    '{"score": 101}',
    '{"score": 850}',
    '{"score": 1e2}',
    '{"score": 1E1}',
    '{"score": 8.5e1}',
    '{"score": 0x55}',
    '{"score": 1_0}',
    '{"score": 8 5}',
    '{"score": ٨٥}',
    '{"score": ８５}',
    '{"score": Ⅷ}',
    '{"score": "eighty-five"}',
    '{"score": ""}',
    '{"score": []}',
    '{"score": {}}',
    '{"score": 100000000000000000000000000000}',
    "I cannot grade this answer.",
    "Ich kann das nicht bewerten.",
    "评分：85",
    "85" + " " * 1_000_000,
    '{"score": 85}' + " " * 1_000_000,
    "{" * 1_900,
    "[" * 1_900,
    '{"score":' * 200,
    "9" * 1_900,
    '{"score": ' + "9" * 1_900 + "}",
    "\x00",
    '{"score": 85}\x00',
    "\ud800",
]
BAD = [form.format(score) for form, score in itertools.product(PROSE, (0, 7, 42, 85, 99, 100))] + ODD


def test_there_are_enough_replies_to_go_by() -> None:
    assert len(BAD) + len(GOOD) >= 300


@pytest.mark.parametrize(("reply", "score"), GOOD)
def test_the_form_that_was_asked_for_is_read(reply: str, score: int) -> None:
    assert read_score(reply) == score


@pytest.mark.parametrize("reply", BAD, ids=lambda reply: ascii(reply)[:40])
def test_anything_else_is_nothing_and_has_a_reason(reply: str) -> None:
    with pytest.raises(UnreadableReplyError) as refused:
        read_score(reply)
    assert 5 < len(str(refused.value)) < 200
    with pytest.raises(UnreadableReplyError):
        read_preference(reply)


def test_a_reader_that_fishes_for_numbers_would_be_caught() -> None:
    def fishing(reply: str) -> int | None:
        found = re.search(r"\d+", reply)
        return int(found[0]) if found and int(found[0]) <= 100 else None

    assert sum(fishing(reply) is not None for reply in BAD) > 200


@pytest.mark.parametrize("better", ["first", "second", "tie"])
def test_a_preference_is_read(better: str) -> None:
    assert read_preference(json.dumps({"better": better})) == better


@pytest.mark.parametrize(
    "reply",
    [
        "first",
        '"first"',
        '{"better": "First"}',
        '{"better": "first "}',
        '{"better": "both"}',
        '{"better": 1}',
        '{"better": ["first"]}',
        '{"better": null}',
        '{"best": "first"}',
        '{"better": "first", "better": "second"}',
        '{"better": "first", "why": "shorter"}',
    ],
)
def test_no_other_preference_is_read(reply: str) -> None:
    with pytest.raises(UnreadableReplyError):
        read_preference(reply)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "the reply is empty"),
        ("85", 'not an object with "score" alone'),
        ("8/10", "not JSON alone"),
        ('{"score": 101}', "101, which is not between 0 and 100"),
        ('{"score": 85.0}', "85.0, which is not an integer"),
        ('{"score": true}', "True, which is not an integer"),
    ],
)
def test_the_reason_names_what_is_wrong(reply: str, reason: str) -> None:
    with pytest.raises(UnreadableReplyError, match=re.escape(reason)):
        read_score(reply)
