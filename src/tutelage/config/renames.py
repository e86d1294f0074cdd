"""Former names of settings, values and options, so that errors can point to the new ones."""

from collections.abc import Mapping

SETTINGS: Mapping[str, str] = {
    "data.licence": "data.license",
    "data.map": "data.column_map",
    "data.prompt": "data.prompt_template",
    "data.train_share": "data.train_size",
    "data.test_share": "data.test_size",
    "data.loss_on": "data.train_on",
    "data.class_token": "data.pooling",
    "adapter.type": "training.method",
    "preference.length_normalised": "preference.length_normalized",
    "evaluation.forgetting": "evaluation.general_text",
    "evaluation.forgetting_margin": "evaluation.general_text_margin",
    "evaluation.forgetting_kl_margin": "evaluation.general_text_kl_margin",
}
# By the new name of the setting.
VALUES: Mapping[str, Mapping[str, str]] = {
    "data.train_on": {"response": "assistant", "last_response": "last", "everything": "all"},
    "data.overlong": {"stop": "error"},
    "training.method": {"none": "full"},
}
OPTIONS: Mapping[str, str] = {
    "--prompt": "--prompt-template",
    "--fresh": "--new",
    "--accept-changes": "--allow-changes",
    "--train-share": "--train-size",
    "--test-share": "--test-size",
    "--max-questions": "--max-requests",
    "--rows-per-question": "--rows-per-request",
}


def renamed_setting(name: str) -> str | None:
    """Return the new name of a setting, given in full or by its last part; None if it was not renamed."""
    of_a_set = name.startswith("evaluation.sets.") and name.endswith(".map")
    if of_a_set:
        return f"{name.removesuffix('.map')}.column_map"
    return SETTINGS.get(name) or {old.partition(".")[2]: new for old, new in SETTINGS.items()}.get(name)


def describe_rename(name: str, new: str) -> str:
    """Describe the renaming of a setting and its values."""
    values = "".join(f"; {old!r} is now {value!r}" for old, value in VALUES.get(new, {}).items())
    return f"{name} was renamed to {new}{values}."
