"""TRL's SFTTrainer on the common work.

Variants: `defaults` as a user gets it (float32 weights, bfloat16 autocast, gradient checkpointing), `defaults-fp32`
(the same without autocast, where bfloat16 is emulated); `bf16` and `fp32` (weights and adapter in that type, no
checkpointing, the rows of each step by length).
"""

import tempfile
from typing import Any

from benchmarks.runners.job import StepClock, by_length_within_steps, print_training, read_job
from benchmarks.runners.trainer import labelled_rows, logged_losses, shared_arguments

VARIANTS = ("defaults", "defaults-fp32", "bf16", "fp32")


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
    extra: dict[str, Any]
    if variant.startswith("defaults"):
        given = {"model": job["model"], "peft_config": lora}
        extra = {} if variant == "defaults" else {"bf16": False}
        rows = job["examples"]
    else:
        dtype = torch.bfloat16 if variant == "bf16" else torch.float32
        base = AutoModelForCausalLM.from_pretrained(job["model"], dtype=dtype)
        torch.manual_seed(job["seed"])
        given = {"model": get_peft_model(base, lora, autocast_adapter_dtype=False)}
        extra = {"bf16": False, "gradient_checkpointing": False}
        rows = by_length_within_steps(job)
    clock = StepClock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            **given,
            args=SFTConfig(**shared_arguments(job, folder), **extra),
            train_dataset=labelled_rows(rows),
            processing_class=PreTrainedTokenizerFast.from_pretrained(job["model"]),
        )
        clock.start()
        trainer.train()
    print_training(job, clock, logged_losses(trainer), ("trl", "transformers", "peft", "torch"))


if __name__ == "__main__":
    main()
