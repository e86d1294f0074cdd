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
    from tutelage.config.recipe_evaluation import NamedSetSettings
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
        return float(score_answer(record, NamedSetSettings(source="rows.jsonl", metric=metric), None))
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
