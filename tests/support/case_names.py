"""Names of the product for a checker of shared cases that was written before they moved.

python check.py FOLDER --tutelage PATH --names tests/support/case_names.py
"""

# Run in Tutelage's own Python: functions that know its modules.
ADAPTERS = """
def tokenizer():
    from tokenizers import Tokenizer

    from tutelage.config.recipe import DEFAULT_MODEL
    from tutelage.model.sources import locate_model
    from tutelage.system.fetching import user_cache

    folder = locate_model(DEFAULT_MODEL, cache=user_cache(), progress=lambda line: None).folder
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def score(metric, reference, answer):
    from tutelage.config.recipe_evaluation import EvalSetSettings
    from tutelage.errors import TutelageError
    from tutelage.evaluation.metrics.set_metrics import score_answer

    record = {
        "row": 0,
        "prompt": "",
        "reference": reference,
        "response": answer,
        "response_tokens": 1,
        "stopped": True,
        "reference_log_prob": -1.0,
        "reference_bytes": len(reference.encode()) + 1,
    }
    try:
        return float(score_answer(record, EvalSetSettings(source="rows.jsonl", metric=metric), None))
    except TutelageError:
        return None


COLUMNS = {
    "row": "row",
    "ids_end": "ids_end",
    "spans_end": "spans_end",
    "prompt": "prompt_tokens",
    "supervised": "supervised",
}
"""

SETTINGS = {
    "data.coerce": "data.coerce",
    "data.encoding": "data.encoding",
    "data.loss_on": "data.train_on",
    "data.max_row_bytes": "data.max_row_bytes",
    "data.prompt": "data.prompt_template",
    "data.split": "data.split",
    "training.objective": "training.objective",
    "data.train_share": "data.train_size",
    "data.test_share": "data.test_size",
    "training.max_steps": "training.max_steps",
    "adapter.type": "training.method",
}

# A value that a case gives, which the checker passes on as it stands in case.json, so that it is renamed as it is read.
VALUES = {'"data.loss_on=everything"': '"data.loss_on=all"'}


def _renamed(text):
    for old, new in VALUES.items():
        text = text.replace(old, new) if isinstance(text, str) else text
    return text


def _read(text, read=json.loads, **named):  # noqa: F821 - the checker's own module
    return read(_renamed(text), **named)


json.loads = _read  # noqa: F821
