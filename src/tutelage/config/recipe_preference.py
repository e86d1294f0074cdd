"""The table [preference] of the recipe."""

from typing import Annotated

from pydantic import Field, model_validator

from tutelage.config.extensions import PREFERENCE_LOSSES, in_words, one_of
from tutelage.config.recipe_section import Section, setting_error


class PreferenceSettings(Section):
    """The loss of preference tuning, [preference]; for training.objective=dpo, and in part for kto."""

    loss: Annotated[str, one_of(PREFERENCE_LOSSES)] = Field(
        "sigmoid",
        json_schema_extra={"enum": list(PREFERENCE_LOSSES)},
        description="`dpo` only: `sigmoid` is DPO's own; `ipo` stops at a margin; `orpo` and `simpo` ask nothing of the"
        " model that the training starts from.",
    )
    beta: Annotated[float, Field(gt=0)] = Field(
        0.1,
        description="How much a difference of log-probabilities counts; lower goes farther from the start.",
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.0, description="`sigmoid` and `simpo` only: share of the pairs that may be the wrong way round."
    )
    length_normalised: bool = Field(
        False,
        description="`dpo` only: compare means over the tokens of an answer rather than sums; `orpo` and `simpo`"
        " always do.",
    )
    gamma: Annotated[float, Field(ge=0)] = Field(
        0.5, description="`simpo` only: the margin that a pair should reach, in units of the reward."
    )
    desirable_weight: Annotated[float, Field(gt=0)] = Field(
        1.0,
        description="`kto` only: how much the loss of a desirable answer counts. Give the rarer kind more weight:"
        " desirable answers times their weight should be 1 to 1.33 times undesirable ones times theirs.",
    )
    undesirable_weight: Annotated[float, Field(gt=0)] = Field(
        1.0, description="`kto` only: how much the loss of an undesirable answer counts."
    )

    @model_validator(mode="after")
    def parameters_belong_to_the_loss(self) -> "PreferenceSettings":
        # A recorded recipe spells out the defaults.
        changed = {"label_smoothing": self.label_smoothing != 0.0, "gamma": self.gamma != 0.5}
        for name, is_changed in changed.items():
            if is_changed and name not in PREFERENCE_LOSSES[self.loss].parameters:
                takers = [loss for loss, one in PREFERENCE_LOSSES.items() if name in one.parameters]
                raise setting_error(
                    "settings.preference_parameter",
                    f"{name} is for the {'losses' if takers[1:] else 'loss'} {in_words(takers)}, and the loss is"
                    f" {self.loss}",
                )
        return self
