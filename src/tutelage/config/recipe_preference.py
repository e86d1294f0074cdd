"""The table [preference] of the recipe."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tutelage.config.recipe_section import Section, setting_error


class PreferenceSettings(Section):
    """What preference tuning makes smaller, [preference]; for training.objective=dpo, and in part for kto."""

    loss: Literal["sigmoid", "ipo", "orpo", "simpo"] = Field(
        "sigmoid",
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
        if self.label_smoothing and self.loss not in ("sigmoid", "simpo"):
            raise setting_error(
                "settings.preference_parameter",
                f"label_smoothing is for the losses sigmoid and simpo, and the loss is {self.loss}",
            )
        # A recorded recipe spells out the default.
        if self.gamma != 0.5 and self.loss != "simpo":
            raise setting_error(
                "settings.preference_parameter", f"gamma is for the loss simpo, and the loss is {self.loss}"
            )
        return self
