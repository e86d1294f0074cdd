"""Users' regular expressions: found as `re` finds them, and stopped where they take too long."""

import re
import time
import warnings

import pytest

from tutelage.text import patterns
from tutelage.text.patterns import PatternTimeoutError, compile_pattern

PATTERNS = """
a|^a|a$|\\bword\\b|\\d{3}-\\d{4}|^\\s*$|(?i)hello|[A-Z][a-z]+|(\\w+) \\1|colou?r|\\.$|[^abc]+$|(?s)a.b|(?m)^x$|\\{.*\\}
{|a{|a{2}|a{2,}|a{,2}|a{e}|a{e<=1}|x{}|x{,}|[[:alpha:]]|[[a]|[]a]|[^]a]|[\\]a]|[\\[a]|(?P<n>a)(?P=n)|(?=a)b|(?<=a)b
(?<!a)b|\\Aab\\Z|日本|[一-龥]+|(?x) a b # c|\\\\|https?://\\S+|(a)(?(1)b)|a*+b|(?>a+)b|^```json|\\u00e9|\\x41|é|ß|[a-z&&b]
\\$\\d+(?:\\.\\d\\d)?|(?i:X)y|\\S+@\\S+|[\\w.-]+|"key":\\s*\\{|[a{b]|(?i)İ|[\\d-]|#|(?#c)a|(?:a{1,2}){3}
\\N{BULLET}|[\\N{BULLET}-]x|\\\\N{2}|a\\N{EN DASH}{2}
\\N{BULLET}|^\\N{BULLET}{2}|[\\N{BULLET}x]b|\\\\N{|\\N{LATIN SMALL LETTER A}{2}
""".strip().replace("\n", "|")
TEXTS = """
|a|ab|aab|aaa|b|word|a word here|555-1234|Hello HELLO|hello|go go gone|color|colour|end.|xyz|{a}|{|a{|a{e}|a{e<=1}|x{}
x|x{,}|:alpha:]|a]|l]|[|]|aa|abc|bc|日本語|https://x.y|ac|```json|é|É|A|ß|SS|&|a-b|$12.50|Xy|xy|me@x.org|"key": {
{b|4-x|   |i̇|•|•x|\\NN|a––
{b|4-x|   |i̇|•|••|•b|\\N{|N
""".strip().replace("\n", "|")


@pytest.mark.parametrize("pattern", [one for one in re.split(r"(?<![\\|])\|", PATTERNS) if one])
def test_a_pattern_is_found_where_re_finds_it(pattern):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, compiled = re.compile(pattern), compile_pattern(pattern)
    for text in [*TEXTS.split("|"), "a\nb", "x\ny", "y\nx", "\n"]:
        assert compiled.search(text) == bool(expected.search(text)), text


def test_a_full_match_is_from_end_to_end_as_in_re(monkeypatch):
    for pattern, text in [
        ("a|ab", "ab"),
        ("a", "ab"),
        ("b", "ab"),
        (r"layers\.\d+\.q", "layers.12.q"),
        ("a", "a\n"),
    ]:
        assert compile_pattern(pattern).fullmatch(text) == bool(re.fullmatch(pattern, text)), pattern
    monkeypatch.setattr(patterns, "SEARCH_SECONDS", 0.05)
    with pytest.raises(PatternTimeoutError):
        compile_pattern("(.|.|..)+[XYZ]").fullmatch("model.layers.0.self_attn.q_proj" * 3)


def test_the_comparison_catches_a_pattern_that_is_not_translated(monkeypatch):
    compile_pattern.cache_clear()
    monkeypatch.setattr(patterns, "_as_in_re", lambda part: part)
    assert compile_pattern("a{e<=1}").search("b") != bool(re.search("a{e<=1}", "b"))
    compile_pattern.cache_clear()


@pytest.mark.parametrize(
    "pattern", ["(a|aa)+$", "(?:a|a)*?(?:a|a)*?(?:a|a)*?[bc]$", "(a+)+$", r"^(\w+\s?)*$"]
)
def test_no_search_takes_longer_than_its_limit(pattern, monkeypatch):
    monkeypatch.setattr(patterns, "SEARCH_SECONDS", 0.05)
    begin = time.process_time()
    try:
        assert not compile_pattern(pattern).search("a" * 200 + "!")
    except PatternTimeoutError as fault:
        assert fault.pattern == pattern
    assert time.process_time() - begin < 1


def test_what_takes_too_long_is_an_error_of_its_own(monkeypatch):
    monkeypatch.setattr(patterns, "SEARCH_SECONDS", 0.05)
    with pytest.raises(PatternTimeoutError):
        compile_pattern("(a|aa)+$").search("a" * 60 + "!")


@pytest.mark.parametrize(
    "pattern", ["(", "[", "a**", "(?P<x>", "a{99999999999}", "(" * 5_000 + ")" * 5_000, r"\p{L}"]
)
def test_what_re_does_not_take_is_refused(pattern):
    with pytest.raises(re.error):
        compile_pattern(pattern)
