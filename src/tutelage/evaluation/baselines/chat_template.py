"""The base model in its own chat template, where the run uses another prompt template."""

from tutelage.evaluation.baselines.baseline import PromptBaseline

BASELINE = PromptBaseline(name="chat_template", label=lambda examples: "chat template", style="chat")
