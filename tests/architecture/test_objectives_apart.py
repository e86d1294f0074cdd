"""Nothing outside `objectives/` and `config/objectives.py` asks which objective runs, by its name or in other words."""

import ast
from pathlib import Path

import pytest

import tutelage
from tutelage.config.objectives import OBJECTIVES
from tutelage.objectives import PACKAGES, load_objective
from tutelage.run.folder import ONE_ANSWER

ROOT = Path(tutelage.__file__).parent
TREES = {
    name: ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
    if not (name := path.relative_to(ROOT).as_posix()).startswith("objectives/")
    and name != "config/objectives.py"
}
NAMES = {*OBJECTIVES} - {"instruction"}  # which is a field of rows too
FORMATS = {one.row_format for one in OBJECTIVES.values()} - {None}
CAPABILITIES = {"writes_answers", "has_pairs", "judges_answers", "gives", "reads_rejected"}
EVALUATIONS = {"AnswerEvaluation", "ClassEvaluation"}
ANSWERS = {answer for name in OBJECTIVES for answer in load_objective(name).rows.answers} - {*ONE_ANSWER}

# What a row of a format holds is no matter of the objective; these read, check and write rows of every format.
OF_ROWS = {
    "data/rows/conversations.py": "says of a row whether its answer is a label",
    "data/formats/formats.py": "reads the fields of each format",
    "data/formats/schemas.py": "reads the fields of each format",
    "data/formats/format_notes.py": "reads the fields of each format",
    "data/formats/instructed_rows.py": "writes an instruction into rows of two formats",
    "data/quality/checks.py": "drops a pair whose answers are to different prompts",
    "data/sources/convert_rows.py": "writes rows in each format",
    "stages/data/convert.py": "writes rows in each format",
    "evaluation/judge/judge.py": "a judge compares two answers, which it calls a preference",
    "report/judges.py": "a judge compares two answers, which it calls a preference",
}
EXCEPTIONS = {
    ("stages/settings.py", "gives"): "the one guard of commands that ask for answers, or for labels",
    ("run/evaluation.py", "gives"): "the one table of what is read from metrics.json",
    (
        "stages/classify.py",
        "tutelage.objectives.classification.evaluation",
    ): "serves `tutelage classify` alone",
}


def questions_in(tree):
    """Return what of a file asks for the objective: a name that stands for the question, and the line."""
    return [
        (found, node.lineno)
        for node in ast.walk(tree)
        if (found := question_in(node) or answers_asked_in(node)) is not None
    ]


def question_in(node):
    if isinstance(node, ast.Attribute) and node.attr in CAPABILITIES:
        return node.attr
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith((*PACKAGES.values(),)):
        return node.module
    if isinstance(node, ast.Compare):
        return compared_in(node)
    if isinstance(node, ast.MatchValue):
        return constant_of(node.value, FORMATS | {*OBJECTIVES})
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "OBJECTIVES":
        return constant_of(node.slice, {*OBJECTIVES})
    return type_asked_in(node) if isinstance(node, ast.Call) else None


def answers_asked_in(node):
    """Return how the answers of a row are asked for as one objective has them: by number, by name, or as pairs."""
    if isinstance(node, ast.keyword | ast.arg) and node.arg == "pairs":
        is_flag = isinstance(node, ast.keyword) or getattr(node.annotation, "id", None) == "bool"
        return "pairs" if is_flag else None
    if isinstance(node, ast.Subscript):
        sides = [node.value, node.slice]
    elif isinstance(node, ast.Compare):
        sides = [node.left, node.comparators[0]]
        if isinstance(node.ops[0], ast.Eq | ast.NotEq) and any(map(counts_answers, sides)):
            return "number of answers" if any(isinstance(side, ast.Constant) for side in sides) else None
    else:
        return None
    has_answers = any(isinstance(side, ast.Attribute) and side.attr == "answers" for side in sides)
    return next(filter(None, (constant_of(side, ANSWERS) for side in sides)), None) if has_answers else None


def counts_answers(node):
    """Tell whether this is the number of answers or examples of something."""
    if not (isinstance(node, ast.Call) and getattr(node.func, "id", None) == "len"):
        return False
    return getattr(node.args[0], "attr", getattr(node.args[0], "id", None)) in ("answers", "examples")


def compared_in(node):
    """Return the name of an objective or format that something is compared with, alone or in a list."""
    sides = [node.left, *node.comparators]
    parts = [part for side in sides for part in ast.walk(side)]
    asks = any(isinstance(part, ast.Attribute) and part.attr in ("objective", "row_format") for part in parts)
    wanted = NAMES | FORMATS | ({"instruction"} if asks else set())
    return next((found for part in parts if (found := constant_of(part, wanted)) is not None), None)


def constant_of(node, among):
    return node.value if isinstance(node, ast.Constant) and node.value in among else None


def type_asked_in(node):
    if not (isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "type") and node.args):
        return None
    named = {part.id for part in ast.walk(node.args[-1]) if isinstance(part, ast.Name)}
    return next(iter(sorted(named & EVALUATIONS)), None)


@pytest.mark.parametrize("name", TREES)
def test_no_file_asks_which_objective_runs(name):
    allowed = FORMATS if name in OF_ROWS else set()
    found = [(what, line) for what, line in questions_in(TREES[name]) if what not in allowed]
    assert [(what, line) for what, line in found if (name, what) not in EXCEPTIONS] == []


def test_every_exception_is_one_and_has_one_reader():
    found = dict.fromkeys(EXCEPTIONS, 0)
    for name, tree in TREES.items():
        for what, _ in questions_in(tree):
            if (name, what) in found:
                found[name, what] += 1
    assert set(found.values()) == {1}
    assert [name for name in OF_ROWS if not FORMATS & {what for what, _ in questions_in(TREES[name])}] == []


@pytest.mark.parametrize(
    "text",
    [
        'if recipe.training.objective == "instruction": pass',
        'if name in ("dpo", "kto"): pass',
        'if objective.row_format == "text-label": pass',
        'if "preference" in (objective.row_format, settings.format): pass',
        "pairs = recipe.objective.has_pairs",
        "if objective.writes_answers: pass",
        "if objective.judges_answers: pass",
        'if recipe.objective.gives == "labels": pass',
        "isinstance(found, ClassEvaluation)",
        "isinstance(found, (str, AnswerEvaluation))",
        'default = OBJECTIVES["instruction"]',
        "from tutelage.objectives.kto.loss import kto_loss",
        'match name:\n    case "classification": pass',
        "if encoder.reads_rejected: pass",
        "check_rows(rows, settings, pairs=True)",
        "def divide(folder, *, pairs: bool): pass",
        'names = ("",) if len(unit.examples) == 1 else ("chosen", "rejected")',
        "Pair(*answers) if len(answers) == 2 else answers[0]",
        'second = rows.answers["rejected"]',
        'if "rejected" in encoder.answers: pass',
    ],
)
def test_the_check_catches_a_question(text):
    assert questions_in(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "load_objective(recipe.objective.name).rows",
        "if row.rejected is not None: pass",
        "if example.predicts_label: pass",
        'if "instruction" in value: pass',
        "OBJECTIVES[recipe.training.objective]",
        "for name, rows in train.answers.items(): pass",
        "first, *others = encoder.answers",
        "def interval(pairs: Pairs): pass",
        'found = judged.answers["base"]',
        "if len(answers) > 1: pass",
    ],
)
def test_the_check_lets_pass_what_is_no_question(text):
    assert not questions_in(ast.parse(text))
