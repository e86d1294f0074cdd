"""The table [evaluation] of the recipe, and the tables of named test sets."""

import re
from collections import ChainMap
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from tutelage.config.extensions import AUTO, BASELINES, METRICS, OPTIONAL_METRICS, SET_METRICS, one_of
from tutelage.config.recipe_section import Count, FormatName, Name, Section, Sha256, setting_error
from tutelage.text.credentials import KEY_IN_NAME, KEY_VARIABLE, secret_in_name, without_secrets
from tutelage.text.patterns import compile_pattern

PRIMARY_METRICS = ChainMap(OPTIONAL_METRICS, METRICS, {AUTO: ""})
MetricName = Annotated[str, one_of(PRIMARY_METRICS)]
BaselineName = Annotated[str, one_of(BASELINES)]
SetMetricName = Annotated[str, one_of(SET_METRICS)]

Price = Annotated[float, Field(ge=0)]


class EvalSetSettings(Section):
    """A named test set, [evaluation.sets.NAME]: additional rows with their own metric and verdict."""

    source: Name = Field(description="Source of its rows, as for data.source.")
    metric: SetMetricName = Field(
        description="How answers are scored; `judge` uses the judges of evaluation.judges.",
        json_schema_extra={"enum": list(SET_METRICS)},
    )
    sha256: Sha256 | None = Field(None, description="SHA-256 of the source file. Required for an https URL.")
    format: FormatName | None = Field(
        None, description="Format of its rows. Default: detected from their fields."
    )
    column_map: dict[str, str] = Field({}, description="Fields that have another name in these rows.")
    pattern: str | None = Field(None, description="`regex` only: the pattern to find in the answer.")
    tolerance: Annotated[float, Field(ge=0)] | None = Field(
        None, description="`numeric` only: the accepted deviation. Default: none."
    )
    json_schema: Name | None = Field(
        None, description="`json` only: a file with the JSON schema that answers must satisfy."
    )
    choices: list[str] | Name | None = Field(
        None,
        description="`multiple_choice` only: the choices of every row, or the field that holds the choices of each"
        " row.",
    )

    @model_validator(mode="after")
    def parameters_belong_to_the_metric(self) -> "EvalSetSettings":
        owners = {
            "pattern": "regex",
            "tolerance": "numeric",
            "json_schema": "json",
            "choices": "multiple_choice",
        }
        for parameter, owner in owners.items():
            if (
                parameter in self.model_fields_set
                and getattr(self, parameter) is not None
                and self.metric != owner
            ):
                if parameter == "tolerance" and not self.tolerance:
                    continue  # a recorded recipe contains this default
                raise setting_error(
                    "settings.metric_parameter",
                    f"{parameter} belongs to the metric {owner}, but the metric is {self.metric}",
                )
        for parameter in ("pattern", "choices"):
            if self.metric == owners[parameter] and getattr(self, parameter) is None:
                raise setting_error(
                    "settings.metric_parameter", f"the metric {self.metric} needs {parameter}"
                )
        if self.pattern is not None:
            try:
                compile_pattern(self.pattern)
            except re.error as fault:
                raise setting_error(
                    "settings.invalid_regex", f"pattern is not a valid regular expression: {fault}"
                ) from fault
        if isinstance(self.choices, list) and len(set(self.choices)) < 2:
            raise setting_error("settings.too_few_choices", "choices needs at least two different texts")
        return self


class EvaluationSettings(Section):
    limit: Count | None = Field(
        None,
        description="Evaluate only the first rows of each test set, up to this number, and as many passages and"
        " prompts of the general text, but at least 30. Default: all rows.",
    )
    max_new_tokens: Count = Field(128, description="Maximum number of tokens per answer.")
    batch_size: Count = Field(64, description="Number of answers generated at the same time.")
    primary_metric: MetricName = Field(
        AUTO,
        description="Metric that the verdict is based on; it is fixed before any answer is seen. `auto` chooses by the"
        " answers of the training rows: `json_fields` for JSON, `numeric` for numbers, `exact_match` for labels and"
        " short facts, `chrf` for code and other text.",
        json_schema_extra={"enum": list(PRIMARY_METRICS)},
    )
    sets: dict[Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")], EvalSetSettings] = Field(
        {}, description="Additional named test sets, each a table [evaluation.sets.NAME] as described below."
    )
    baselines: list[BaselineName] = Field(
        list(BASELINES),
        description="Baselines beside the base model in the prompt of the run. The verdict rests on the strongest one,"
        " which is chosen on validation rows; an empty list leaves the base model alone.",
        json_schema_extra={"items": {"enum": list(BASELINES)}},
    )
    few_shot: Annotated[int, Field(ge=0)] = Field(
        8,
        description="Maximum number of training rows that the baselines `few_shot` and `few_shot_nearest` put before"
        " each question; fewer where the model's context is too short.",
    )
    general_text: bool = Field(
        True, description="Evaluate both models on general text to see whether fine-tuning caused forgetting."
    )
    general_text_margin: Annotated[float, Field(gt=0)] = Field(
        0.1,
        description="Largest increase on general text, in bits per byte, that does not count as forgetting.",
    )
    general_text_kl_margin: Annotated[float, Field(gt=0)] = Field(
        0.5,
        description="Largest KL divergence from the base model on general prompts, in nats, that"
        " does not count as forgetting.",
    )
    zero_shot: bool = Field(
        False,
        description="Also compare a classification with its base model, which picks a label by its name.",
    )
    judges: list[Name] = Field(
        [],
        description="Models that score the answers: `ollama:MODEL`, `openai:MODEL@URL` or `gguf:PATH`. A judge on"
        " another machine must be named on the command line, with --judge.",
    )
    labels: Name | None = Field(
        None,
        description="JSON or JSONL file of human scores to validate the judges with.",
    )
    judge_aliases: list[Name] = Field(
        [],
        description="Other names under which a server may report a judge; a response under any other name is"
        " rejected.",
    )
    judge_max_tokens: Count = Field(
        64,
        description="Maximum number of tokens of a judge's response, including reasoning; reasoning models"
        " need thousands.",
    )
    judge_limit: Count | None = Field(
        None, description="Maximum number of answers sent to a judge; the rest are not scored. Default: all."
    )
    judge_price_in: Price | None = Field(
        None, description="Price per million input tokens of a judge, in your currency."
    )
    judge_price_out: Price | None = Field(
        None, description="Price per million output tokens of a judge, in the same currency."
    )
    judge_budget: Price | None = Field(
        None,
        description="Maximum cost of one judge per command, at these prices; the remaining answers are not scored."
        " Default: no limit.",
    )
    judge_concurrency: Count = Field(4, description="Number of concurrent requests to a judge.")
    judge_timeout: Annotated[float, Field(gt=0)] = Field(
        300.0, description="Timeout of a judge's request in seconds, including retries."
    )

    @field_validator("judges", "judge_aliases", mode="after")
    @classmethod
    def names_hold_no_secret(cls, names: list[str]) -> list[str]:
        """Reject keys and passwords before any stage stores them; the error does not repeat them."""
        for name in names:
            secret = secret_in_name(name)
            if secret == "key":
                raise setting_error("llm.key_in_name", KEY_IN_NAME)
            if secret == "address":
                address = without_secrets(name.partition("@")[2])
                raise setting_error(
                    "llm.secret_in_url",
                    f"the judge address {address} has more than host, port and path. Put the key into the"
                    f" environment variable {KEY_VARIABLE}, so that no file holds it",
                )
            if not name.strip():
                raise setting_error("llm.no_model", "the name of a judge is empty")
        return names

    @model_validator(mode="after")
    def a_budget_needs_both_prices(self) -> "EvaluationSettings":
        prices = {"judge_price_in": self.judge_price_in, "judge_price_out": self.judge_price_out}
        unknown = [f"evaluation.{name}" for name, price in prices.items() if price is None]
        if len(unknown) == 1 or (unknown and self.judge_budget is not None):
            raise setting_error(
                "settings.budget_without_prices",
                f"evaluation.judge_budget and its prices belong together: set {' and '.join(unknown)} too",
            )
        return self
