"""TRL's SFTTrainer on the common work.

Variants: `defaults` as a user gets it (float32 weights, bfloat16 autocast, gradient checkpointing), `best` (weights and
adapter in bfloat16, no checkpointing, rows grouped by length).
"""

import tempfile
from typing import Any

from benchmarks.runners.job import StepClock, print_training, read_job
from benchmarks.runners.trainer import labelled_rows, logged_losses, shared_arguments

VARIANTS = ("defaults", "best")


def main() -> None:
    """Train for the steps of the job and print what they took."""
    job, variant = read_job(__doc__, VARIANTS)

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    lora = LoraConfig(
        r=job["rank"], lora_alpha=job["alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
    )
    given: dict[str, Any]
    if variant == "defaults":
        given = {"model": job["model"], "peft_config": lora}
        extra: dict[str, Any] = {}
    else:
        base = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.bfloat16)
        torch.manual_seed(job["seed"])
        given = {"model": get_peft_model(base, lora, autocast_adapter_dtype=False)}
        extra = {"bf16": False, "gradient_checkpointing": False}
    clock = StepClock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            **given,
            args=SFTConfig(**shared_arguments(job, folder, by_length=variant == "best"), **extra),
            train_dataset=labelled_rows(job),
            processing_class=PreTrainedTokenizerFast.from_pretrained(job["model"]),
        )
        clock.start()
        trainer.train()
    print_training(job, clock, logged_losses(trainer), ("trl", "transformers", "peft", "torch"))


if __name__ == "__main__":
    main()
