"""What has to be beaten without fine-tuning: prompts for the base model, and answers that need no model.

To add one for answers, write its file and name it in `config/extensions.py`.
"""

from importlib import import_module

from tutelage.config.extensions import BASELINES
from tutelage.evaluation.baselines.baseline import AnswerBaseline, PromptBaseline


def load_baseline(name: str) -> PromptBaseline | AnswerBaseline:
    """Return a baseline by its name; its module is imported when it is first asked for."""
    return import_module(BASELINES[name]).BASELINE
