import json

import pytest

from tutelage.config.extensions import SET_METRICS
from tutelage.config.recipe_evaluation import EvalSetSettings
from tutelage.errors import DataError
from tutelage.evaluation.metrics import json_values, load_metric, load_set_metric
from tutelage.evaluation.metrics.chrf import chrf
from tutelage.evaluation.metrics.numbers import NumberConvention
from tutelage.evaluation.metrics.set_metrics import score_answer
from tutelage.evaluation.metrics.valid_json import read_schema
from tutelage.text import patterns

PERSON = {"type": "object", "required": ["name"], "properties": {"age": {"type": "integer"}}}


def scored(metric, response, reference="", schema=None, **parameters):
    settings = EvalSetSettings(source="x", metric=metric, **parameters)
    answer = {
        "response": response,
        "reference": reference,
        "stopped": True,
        "reference_log_prob": -1.0,
        "reference_bytes": 3,
    }
    return score_answer(answer, settings, schema)


@pytest.mark.parametrize(
    ("response", "reference", "tolerance", "expected"),
    [
        ("The answer is 7.", "7", None, 100),
        ("The answer is 7.0", "7 apples", None, 100),
        ("The answer is 70.", "7", None, 0),
        ("0.1 + 0.2 is 0.3", "0.3", None, 100),
        ("3.14", "3.14159", None, 0),
        ("3.14", "3.14159", 0.01, 100),
        ("no idea", "7", None, 0),
        ("There are 7 or 70.", "7", None, 0),
        ("It is 1/2.", "3/2", None, 0),
        ("It is 5/10.", "1/2", None, 100),
        ("Es sind 3,5.", "2,5", None, 0),
        ("Es sind 2,5.", "2,5", None, 100),
        ("The balance is -$5.", "5", None, 0),
    ],
)
def test_numbers_are_compared_as_numbers(response, reference, tolerance, expected):
    assert scored("numeric", response, reference, tolerance=tolerance) == expected


def test_a_pair_by_itself_is_refused_if_its_reference_is_not_a_number():
    with pytest.raises(DataError) as refused:
        scored("numeric", "2023-01-15", "2024-03-15")
    assert refused.value.code == "evaluate.reference_not_a_number"


def test_the_convention_of_the_set_holds_for_each_of_its_pairs():
    settings = EvalSetSettings(source="x", metric="numeric")
    pair = {"reference": "1,250", "response": "Es sind 1250."}
    assert score_answer(pair, settings, None) == 100
    assert score_answer(pair, settings, NumberConvention(",", blanks_group=True)) == 0


def test_contains_forgives_case_and_spacing_and_nothing_else():
    assert scored("contains", "It is  NEW\nYork.", "new york") == 100
    assert scored("contains", "It is New-York.", "new york") == 0


@pytest.mark.parametrize(
    ("response", "reference", "expected"),
    [
        ("a party", "art", 0),
        ("partly art, partly craft", "art", 100),
        ("the art.", "art", 100),
        ("(art)", "art", 100),
        ("**art**", "art", 100),
        ("state-of-the-art", "art", 100),
        ("carts and art's", "art", 100),
        ("New Yorkers", "New York", 0),
        ("Straße", "STRASSE", 100),
        ("cafe\u0301s", "café", 0),
        ("the cafe\u0301", "CAFÉ", 100),
        ("the cafe", "café", 0),
        ("ΟΔΥΣΣΕΥΣ", "Οδυσσευς", 100),
        ("партия", "арт", 0),
        ("это арт", "Арт", 100),
        ("हिन्दी", "हिन्द", 0),
        ("हिन्दी भाषा", "हिन्दी", 100),
        ("مدرسة كبيرة", "مدرسة", 100),
        ("我喜欢北京烤鸭", "北京", 100),
        ("使用AI技术", "AI", 100),
        ("東京タワーです", "タワー", 100),
        ("ฉันรักภาษาไทยมาก", "ภาษาไทย", 100),
        ("서울입니다", "서울", 100),
        ("북서울", "서울", 0),
        ("It is 15.", "5", 0),
        ("It is 5.", "5", 100),
        ("It is 5.5 or 1,5", "5", 0),
        ("It is -5.", "5", 0),
        ("pages 3-5", "5", 100),
        ("It is .5", "5", 0),
        ("It is .5", ".5", 100),
        ("It is 2.5", ".5", 0),
        ("the end.5", "5", 100),
        ("wait...5", "5", 100),
        ("–5 and －5", "5", 0),
        ("−$5", "5", 0),
        ("−$5", "$5", 0),
        ("−$5", "−$5", 100),
        ("3-5", "-5", 0),
        ("from -5", "-5", 100),
        ("(a)-5", "5", 100),
        ("2,3,5", "3", 100),
        ("2,3,5", "5", 100),
        ("1,234", "234", 0),
        ("1,234", "1", 0),
        ("1,234,567", "234", 0),
        ("1'234 or 1’234", "234", 0),
        ("1.2.3", "2", 0),
        ("It is 5. And 6, or 7.", "5", 100),
        ("It is 5, or 7", "5", 100),
        ("٣٫٥", "٥", 0),
        ("ก่", "ก", 0),
        ("ก่า", "ก่", 100),
        ("काम", "का", 0),
        ("का काम", "का", 100),
        ("ကို", "က", 0),
        ("ภาษาA", "A", 100),
        ("\u2764\ufe0fart", "art", 100),
        ("well 👍🏽 done", "👍", 100),
        ("a+b", "+", 100),
        ("C++ it is", "c++", 100),
        ("\u2764\ufe0f", "\u2764", 100),
    ],
)
def test_contains_asks_for_whole_words_in_scripts_that_part_them(response, reference, expected):
    assert scored("contains", response, reference) == expected


def test_a_pattern_may_match_anywhere():
    assert scored("regex", "On 2024-05-06.", pattern=r"\d{4}-\d\d-\d\d") == 100
    assert scored("regex", "On 2024-05-06.", pattern=r"^\d{4}") == 0


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ('{"name": "Ada", "age": 36}', 100),
        ('{"name": "Ada", "age": "old"}', 0),
        ('{"age": 36}', 0),
        ('Here you are: {"name": "Ada"}', 0),
        ('{"name": "Ada"', 0),
        ('{"name": NaN}', 0),
        ("[" * 100_000, 0),
        ("", 0),
    ],
)
def test_json_has_to_be_whole_and_to_fit_the_schema(response, expected):
    assert scored("json", response, schema=PERSON) == expected


FENCED = """```json
{"name": "Ada"}
```"""
VALID_OR_NOT = [
    ('{"name": "Ada"}', True),
    ("[1, 2]", True),
    (FENCED, True),
    (FENCED.replace("json", ""), True),
    (FENCED.replace("json", "JSON").replace("`", "~"), True),
    (f"\n{FENCED}\n", True),
    (f"{FENCED}\n{FENCED}", False),
    (f"```\n{FENCED}\n```", False),
    (f"Here you are:\n{FENCED}", False),
    (FENCED.replace("json", "python"), False),
    (FENCED.replace("json", "json5"), False),
    (FENCED.removesuffix("```"), False),
    ("7", False),
    ('"Ada"', False),
    ("true", False),
    ("null", False),
    ("1, 2", False),
]


@pytest.mark.parametrize(("response", "is_valid"), VALID_OR_NOT)
def test_test_rows_and_eval_sets_have_one_rule_for_valid_json(response, is_valid):
    assert scored("json", response) == 100 * is_valid
    assert load_metric("json").score({"response": response, "reference": "{}"}) == 100 * is_valid
    assert scored("json", response, schema={}) == 100 * is_valid


def test_a_rule_without_fences_is_caught(monkeypatch):
    monkeypatch.setattr(json_values, "FENCES", ())
    assert any(scored("json", response) != 100 * is_valid for response, is_valid in VALID_OR_NOT)


def test_json_in_a_code_fence_has_to_fit_the_schema():
    assert scored("json", FENCED, schema=PERSON) == 100
    assert scored("json", FENCED.replace("name", "nickname"), schema=PERSON) == 0


def test_a_number_that_no_float_holds_is_no_valid_json():
    for response in ("1e999", "[-1e999]", '{"a": 1e400}'):
        assert scored("json", response) == 0
    halves = {"items": {"multipleOf": 0.5}}
    assert scored("json", "[1e999]", schema=halves) == 0
    assert scored("json", "[1" + "0" * 400 + "]", schema=halves) == 0  # the division itself overflows
    assert scored("json", "[1.5e3]", schema=halves) == 100


def test_a_choice_is_right_or_wrong():
    assert scored("multiple_choice", "yes", "yes", choices=["yes", "no"]) == 100
    assert scored("multiple_choice", "no", "yes", choices=["yes", "no"]) == 0


def test_graded_metrics_are_those_of_the_main_evaluation():
    assert scored("chrf", "a cat", "the cat") == chrf("a cat", "the cat")
    declared = EvalSetSettings.model_json_schema()["properties"]["metric"]["enum"]
    assert declared == [*SET_METRICS]
    assert [load_set_metric(name).name for name in SET_METRICS] == declared


def schema_of(tmp_path, text):
    path = tmp_path / "schema.json"
    path.write_text(text, encoding="utf-8")
    return read_schema(EvalSetSettings(source="x", metric="json", json_schema=str(path)))


def test_a_schema_is_read_once_and_checked(tmp_path):
    assert schema_of(tmp_path, json.dumps(PERSON)) == PERSON
    for text, told in [("{", "cannot be read as JSON"), ('{"type": "persn"}', "is no JSON schema")]:
        with pytest.raises(DataError, match=told):
            schema_of(tmp_path, text)
    with pytest.raises(DataError, match="cannot be read"):
        read_schema(EvalSetSettings(source="x", metric="json", json_schema=str(tmp_path / "none")))


def test_a_schema_that_refers_to_an_address_asks_for_nothing_and_is_told():
    elsewhere = {"$ref": "https://example.invalid/person.json"}
    with pytest.raises(DataError, match="refers to what is not in it"):
        scored("json", "{}", schema=elsewhere, json_schema="schema.json")


@pytest.mark.parametrize(
    ("metric", "parameters", "schema"),
    [("regex", {"pattern": "(a|aa)+$"}, None), ("json", {}, {"items": {"pattern": "^(a|aa)+$"}})],
)
def test_a_pattern_that_takes_too_long_stops_and_names_the_row(metric, parameters, schema, monkeypatch):
    monkeypatch.setattr(patterns, "SEARCH_SECONDS", 0.05)
    settings = EvalSetSettings(source="x", metric=metric, **parameters)
    response = json.dumps(["a" * 60 + "!"])
    with pytest.raises(DataError) as fault:
        score_answer({"row": 7, "response": response, "reference": ""}, settings, schema)
    assert (fault.value.code, fault.value.row) == ("evaluate.regex_timeout", 7)
