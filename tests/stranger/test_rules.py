"""Every command that README.md and the guide's first page show is run by tests/stranger/run.py."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from stranger.rules import PAGES, RULES, commands_of, shown_commands

CHECKOUT = Path(__file__).parents[2]
CHINESE = ("README.zh-CN.md", "docs/guide/zh-CN/README.md")
SHOWN = shown_commands(CHECKOUT)


@pytest.mark.parametrize("command", dict.fromkeys(SHOWN))
def test_every_command_that_is_shown_has_a_rule(command):
    assert command in RULES


def test_every_rule_is_for_a_command_that_is_shown():
    assert RULES.keys() - set(SHOWN) == set()


def test_a_rule_runs_something_or_says_why_not():
    assert all(not (rule.run and rule.left_out) for rule in RULES.values())
    assert sum(rule.left_out is None for rule in RULES.values()) > len(RULES) / 2


def test_both_languages_show_the_same_commands():
    english, chinese = (
        [commands_of((CHECKOUT / page).read_text(encoding="utf-8")) for page in pages]
        for pages in (PAGES, CHINESE)
    )
    assert english == chinese


def test_a_command_is_read_without_its_remark_and_over_two_lines():
    page = (
        "text\n```sh\nmake all   # 5 min\n\n# a remark alone\ntutelage run \\\n  --data '#1'\n```\n"
        "```\nno shell\n```\n"
    )
    assert [shlex.split(command) for command in commands_of(page)] == [
        ["make", "all"],
        ["tutelage", "run", "--data", "#1"],
    ]


def test_a_page_with_a_command_that_has_no_rule_is_refused(tmp_path):
    program = (
        "import sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[1])\nimport run\n"
        "run.CHECKOUT = Path(sys.argv[2])\nsys.exit(run.main(Path(sys.argv[2])))"
    )
    for page in PAGES:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text("```sh\ntutelage recipes frobnicate\n```\n", encoding="utf-8")
    command = [sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "frobnicate" in done.stdout) == (1, True)
