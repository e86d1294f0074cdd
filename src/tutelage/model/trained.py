"""The model that a training left: its base, its weights, and what has to be known to open either."""

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
    """A base model and the `weights` that were trained on it, a folder; both are loaded when they are opened."""

    recipe: Recipe
    source: ModelSource
    preparation: Preparation
    training: TrainingResult
    weights: Path
    name: str = ""  # of its run, for messages

    @property
    def dtype(self) -> str:
        """The dtype of the recipe, or for `auto` the one that the training took."""
        return self.training.dtype if self.recipe.training.dtype == "auto" else self.recipe.training.dtype

    def load_base(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> CausalModel:
        """Load the model as it was before the training, on the device and in the dtype of the training by default."""
        from tutelage.model.assembly import load_base  # noqa: PLC0415
        from tutelage.system.runtime import choose_device, choose_inference_dtype  # noqa: PLC0415

        device = device or choose_device(self.recipe.training.device)
        dtype = dtype or choose_inference_dtype(self.dtype, device)
        return load_base(self.source, device, dtype, fallback_reason=self.training.fallback_reason)

    def load_tuned(self, base: CausalModel) -> CausalModel:
        """Put the trained weights on a base that is open, which is the fine-tuned model from then on."""
        from tutelage.model.assembly import load_tuned  # noqa: PLC0415

        return load_tuned(base, self.weights, self.recipe.tuning)

    def check(self) -> None:
        """Stop where the weights are not as the training wrote them; StorageError or ModelError."""
        from tutelage.model.assembly import check_checksums  # noqa: PLC0415

        check_checksums(self.weights, self.recipe.tuning)
