"""The pages say what the program does: settings, links, commands and command lines are checked."""

import json
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import CycloptsError
from support.fake_judges import judge_script
from support.fake_run import make_run
from support.scripted_server import scripted_server

from tutelage.cli.main import app
from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.config.recipe_file import load
from tutelage.config.recipes import FOLDER
from tutelage.objectives.preference.loss import METRICS as PREFERENCE_METRICS
from tutelage.run.folder import RunFolder, read_json, write_json
from tutelage.run.lines import read_json_lines
from tutelage.stages.judge import judge_run
from tutelage.stages.report import summarise
from tutelage.training.step import StepResult
from tutelage.tree.examples import Example, PreparedRow

ROOT = Path(__file__).parents[2]
DOCS, GUIDE = ROOT / "docs", ROOT / "docs" / "guide"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
RECIPES = sorted(FOLDER.glob("*.toml"))
VERBS = [name for name in app.resolved_commands() if not name.startswith("-")]
RUN_FOLDER_PAGE = (DOCS / "reference" / "run-folder.md").read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def read_pages() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        yield page, page.read_text(encoding="utf-8")


def relative_links(text: str) -> list[str]:
    """Return the targets of links and pictures that lead to another file, without their anchors."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r'(?:src|href|srcset)="([^"]+)"', prose)
    return [target.split("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]


def command_lines(text: str) -> list[str]:
    """Return every `tutelage …` of a page: lines of fenced blocks, and code inside a sentence."""
    found: list[str] = []
    prose: list[str] = []
    is_fenced = False
    for line in text.replace("\\\n", " ").splitlines():
        if line.lstrip().startswith("```"):
            is_fenced = not is_fenced
        elif is_fenced:
            found += re.findall(r"^\s*(?:\$ )?(tutelage(?: .*)?)$", line)
        else:
            prose.append(line)
    return found + re.findall(r"`(tutelage(?:\s[^`]*)?)`", "\n".join(prose))


def parse(command_line: str) -> None:
    """Parse a command line as the program would, without running it."""
    _, *words = shlex.split(command_line, comments=True)
    app.parse_args(words, exit_on_error=False, print_error=False)


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all numbers and texts in a summary; metrics and judges by one name for all."""
    if not isinstance(value, dict):
        yield prefix
        return
    for key, part in value.items():
        names = {
            "evaluation.metrics": "<name>",
            "evaluation.judges": "<name>",
            "evaluation.general_text.kinds": "<kind>",
        }
        name = names.get(prefix, key)
        yield from paths(part, f"{prefix}.{name}".lstrip("."))


def test_the_pages_of_settings_and_codes_are_what_the_generator_writes() -> None:
    generator = runpy.run_path(str(DOCS / "reference" / "generate.py"))
    for page, written in (("PAGE", "settings_page"), ("CODES_PAGE", "codes_page")):
        committed = generator[page].read_text(encoding="utf-8")
        assert committed == generator[written](), "run `make docs`"


def test_the_settings_page_names_every_setting_once() -> None:
    page = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    for setting in load(None, {}, []).settings():
        assert page.count(f"| `{setting.name}` |") == 1


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = [
        link for link in relative_links(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()
    ]
    assert not broken


def test_a_broken_link_is_found() -> None:
    assert relative_links('[a](no.md#top) [b](https://x.y) ![c](p.png) [d](#e) <img src="q.png">') == [
        "no.md",
        "p.png",
        "q.png",
    ]


# Pages of the guide that are about no single verb.
OTHER_PAGES = ("book", "install", "prefer", "python")


@pytest.mark.parametrize("folder", [GUIDE, GUIDE / "zh-CN"], ids=name_of)
def test_every_verb_has_a_guide_page_that_the_index_names(folder: Path) -> None:
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert {page.stem for page in folder.glob("*.md")} - {"README"} == {*VERBS, *OTHER_PAGES}
    assert all(f"({page}.md)" in index for page in (*VERBS, *OTHER_PAGES))


def test_both_languages_show_the_same_code() -> None:
    texts = [(folder / "python.md").read_text(encoding="utf-8") for folder in (GUIDE, GUIDE / "zh-CN")]
    english, chinese = (re.findall(r"^```python\n.*?^```", text, re.DOTALL | re.MULTILINE) for text in texts)
    assert english == chinese
    assert english


def test_both_languages_show_the_same_commands_and_their_output() -> None:
    for verb in (*VERBS, "book"):
        english, chinese = (
            (folder / f"{verb}.md").read_text(encoding="utf-8") for folder in (GUIDE, GUIDE / "zh-CN")
        )
        shown = [
            re.findall(r"^```console\n.*?^```", text, re.DOTALL | re.MULTILINE) for text in (english, chinese)
        ]
        assert shown[0] == shown[1], verb
        assert shown[0], verb


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_line_shown_parses(page: Path) -> None:
    faults = []
    for line in command_lines(page.read_text(encoding="utf-8")):
        try:
            parse(line)
        except (CycloptsError, ValueError) as fault:
            faults.append(f"{line}: {fault}")
    assert not faults


def test_command_lines_are_found_and_a_wrong_one_is_caught() -> None:
    text = "see `tutelage prepare x` or\n```sh\n$ tutelage run a.toml --outputt b   # no\ntutelage train \\\n  c\n```\n"
    assert [shlex.split(line, comments=True) for line in command_lines(text)] == [
        ["tutelage", "run", "a.toml", "--outputt", "b"],
        ["tutelage", "train", "c"],
        ["tutelage", "prepare", "x"],
    ]
    with pytest.raises(CycloptsError):
        parse("tutelage run a.toml --outputt b")
    with pytest.raises(CycloptsError):
        parse("tutelage fly")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_setting_given_in_a_page_is_one(page: Path) -> None:
    given = re.findall(r"--set ['\"]?([\w.]+=[^\s`'\"|]+)", page.read_text(encoding="utf-8"))
    examples = [assignment for assignment in given if assignment != "section.name=value"]
    about_labels = ["training.objective=classification"] if page.stem in ("classify", "classifier") else []
    load(None, {}, [*about_labels, *examples])


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_every_recipe_loads(recipe: Path) -> None:
    loaded = load(recipe, {}, [])
    assert loaded.origins, "a recipe sets something"


def test_the_quickstart_recipe_holds_the_defaults() -> None:
    assert load(FOLDER / "quickstart.toml", {}, []).recipe == load(None, {}, []).recipe


def test_the_run_folder_page_names_every_file() -> None:
    run = RunFolder(Path("run"))
    named = [run.split(split) for split in ("train", "test", "validation")]
    named += [run.responses(variant) for variant in ("base", "tuned")]
    named += [getattr(run, name) for name, value in vars(RunFolder).items() if isinstance(value, property)]
    for path in (place for place in named if isinstance(place, Path)):
        assert path.name in RUN_FOLDER_PAGE, path


def test_the_run_folder_page_names_every_key(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    row = PreparedRow("a", "b", Example(0, (1, 2), prompt_tokens=1, supervised=1))
    result = StepResult(0.0, 0.0, 0, 0, 0, 0, 0.0, dict.fromkeys(PREFERENCE_METRICS, 0.0))
    keys = {*row.to_record(), *result.to_record()}
    for lines in (run.responses("tuned"), run.ledger):
        keys |= read_json_lines(lines)[0].keys()
    for record in (run.preparation, run.environment):
        keys |= read_json(record).keys()
    missing = [key for key in sorted(keys) if f"`{key}`" not in RUN_FOLDER_PAGE]
    assert not missing


def test_the_run_folder_page_names_every_key_of_the_summary(tmp_path: Path) -> None:
    summary = json.loads(make_run(tmp_path / "run").summary.read_text(encoding="utf-8"))
    assert not [path for path in set(paths(summary)) if not is_named(path)]


def is_named(path: str) -> bool:
    """Tell whether the page names a key: in full, or as `.key` behind another key of the same part."""
    parent, _, key = path.rpartition(".")
    return f"`{path}`" in RUN_FOLDER_PAGE or (
        f"`{parent}." in RUN_FOLDER_PAGE and f"`.{key}`" in RUN_FOLDER_PAGE
    )


def test_the_run_folder_page_names_what_is_said_of_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    run = make_run(tmp_path / "run", test_rows=4)
    write_json(tmp_path / "labels.json", {"base": [10, 20, 30, 40], "tuned": [50, 60, 70, 80]})
    with scripted_server(judge_script()) as server:
        settings = EvaluationSettings(
            judges=[f"openai:judge@{server.address}"], labels=str(tmp_path / "labels.json")
        )
        judge_run(run, settings, progress=lambda name, total: lambda n: None)
    (judge,) = summarise(run).to_record()["evaluation"]["judges"].values()
    prefix = "evaluation.judges.<name>"
    for table in ("labels.agreement", "labels.corrected"):
        part, _, name = table.partition(".")
        assert all(f"`{key}`" in RUN_FOLDER_PAGE for key in judge[part].pop(name))
    assert all(f"`{key}`" in RUN_FOLDER_PAGE for check in judge["self_test"]["checks"] for key in check)
    del judge["labels"]
    assert not [path for path in set(paths(judge, prefix)) if not is_named(path)]
    for record in read_json_lines(run.judgements):
        assert all(f"`{key}`" in RUN_FOLDER_PAGE for key in record)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_still_waits_for_its_figures(page: Path) -> None:
    assert "FIGURES" not in page.read_text(encoding="utf-8")
