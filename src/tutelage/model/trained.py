"""A trained model: its base, its weights, and everything needed to load them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.config.recipe import Recipe
from tutelage.model.sources import ModelSource
from tutelage.run.artifacts import Preparation, TrainingResult

if TYPE_CHECKING:
    import torch

    from tutelage.model.forward import CausalModel


@dataclass(frozen=True)
class TrainedModel:
    """A base model and the folder with its trained `weights`; both are loaded on demand."""

    recipe: Recipe
    source: ModelSource
    preparation: Preparation
    training: TrainingResult
    weights: Path
    name: str = ""  # of the run, for messages

    @property
    def dtype(self) -> str:
        """The dtype of the recipe, or with `auto` the one chosen in training."""
        return self.training.dtype if self.recipe.training.dtype == "auto" else self.recipe.training.dtype

    def load_base(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> CausalModel:
        """Load the model as it was before training, by default on the device and in the dtype of training."""
        from tutelage.model.assembly import load_base  # noqa: PLC0415
        from tutelage.system.runtime import choose_device, choose_inference_dtype  # noqa: PLC0415

        device = device or choose_device(self.recipe.training.device)
        dtype = dtype or choose_inference_dtype(self.dtype, device)
        return load_base(self.source, device, dtype, fallback_reason=self.training.fallback_reason)

    def load_tuned(self, base: CausalModel) -> CausalModel:
        """Load the trained weights onto `base`, which becomes the fine-tuned model."""
        from tutelage.model.assembly import load_tuned  # noqa: PLC0415

        return load_tuned(base, self.weights, self.recipe.tuning)

    def check(self) -> None:
        """Raise StorageError or ModelError if the weights are not the ones that training wrote."""
        from tutelage.model.assembly import check_checksums  # noqa: PLC0415

        check_checksums(self.weights, self.recipe.tuning)
