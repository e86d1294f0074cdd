"""The table [preference] of the recipe."""

from typing import Annotated

from pydantic import Field, model_validator

from tutelage.config.extensions import PREFERENCE_LOSSES, in_words, one_of
from tutelage.config.recipe_section import Section, setting_error


class PreferenceSettings(Section):
    """The settings of preference losses, for training.objective=dpo, and partly for kto."""

    loss: Annotated[str, one_of(PREFERENCE_LOSSES)] = Field(
        "sigmoid",
        json_schema_extra={"enum": list(PREFERENCE_LOSSES)},
        description="`dpo` only: `sigmoid` is the original DPO loss, `ipo` stops at a margin; `orpo` and `simpo`"
        " need no reference model.",
    )
    beta: Annotated[float, Field(gt=0)] = Field(
        0.1,
        description="Strength of the pull towards the reference model; lower values allow larger changes.",
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.0,
        description="`sigmoid` and `simpo` only: share of pairs assumed to have swapped labels.",
    )
    length_normalized: bool = Field(
        False,
        description="`dpo` only: use mean instead of summed log-probabilities per answer; `orpo` and `simpo` always"
        " do.",
    )
    gamma: Annotated[float, Field(ge=0)] = Field(0.5, description="`simpo` only: target reward margin.")
    desirable_weight: Annotated[float, Field(gt=0)] = Field(
        1.0,
        description="`kto` only: weight of desirable answers. Give the rarer label more weight: the number"
        " of desirable answers times their weight should be 1 to 1.33 times that of undesirable"
        " ones.",
    )
    undesirable_weight: Annotated[float, Field(gt=0)] = Field(
        1.0, description="`kto` only: weight of undesirable answers."
    )

    @model_validator(mode="after")
    def parameters_belong_to_the_loss(self) -> "PreferenceSettings":
        # A recorded recipe contains the defaults.
        changed = {"label_smoothing": self.label_smoothing != 0.0, "gamma": self.gamma != 0.5}
        for name, is_changed in changed.items():
            if is_changed and name not in PREFERENCE_LOSSES[self.loss].parameters:
                takers = [loss for loss, one in PREFERENCE_LOSSES.items() if name in one.parameters]
                raise setting_error(
                    "settings.preference_parameter",
                    f"{name} belongs to the {'losses' if takers[1:] else 'loss'} {in_words(takers)}, but the"
                    f" loss is {self.loss}",
                )
        return self
