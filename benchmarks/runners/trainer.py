"""transformers' Trainer with PEFT on the common work.

Variants: `defaults` (float32), `bf16` (weights and adapter in bfloat16, rows in the order given), `best` (bf16, rows
grouped by length).
"""

import tempfile
from typing import Any

from benchmarks.runners.job import StepClock, print_training, read_job

VARIANTS = ("defaults", "bf16", "best")


def main() -> None:
    """Train for the steps of the job and print what they took."""
    job, variant = read_job(__doc__, VARIANTS)

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        DataCollatorForSeq2Seq,
        PreTrainedTokenizerFast,
        Trainer,
        TrainingArguments,
    )

    bf16 = variant != "defaults"
    base = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.bfloat16 if bf16 else torch.float32)
    lora = LoraConfig(
        r=job["rank"], lora_alpha=job["alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
    )
    torch.manual_seed(job["seed"])
    model: Any = get_peft_model(base, lora, autocast_adapter_dtype=not bf16)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(job["model"])
    clock = StepClock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(**shared_arguments(job, folder, by_length=variant == "best")),
            train_dataset=labelled_rows(job),
            data_collator=DataCollatorForSeq2Seq(tokenizer),
            processing_class=tokenizer,
        )
        clock.start()
        trainer.train()
    print_training(job, clock, logged_losses(trainer), ("transformers", "peft", "torch"))


def shared_arguments(job: dict[str, Any], folder: str, *, by_length: bool) -> dict[str, Any]:
    """Return the settings that make the work what it is, for Trainer and for those built on it."""
    return {
        "output_dir": folder,
        "max_steps": job["steps"],
        "per_device_train_batch_size": job["peer_micro_batch"],
        "gradient_accumulation_steps": job["batch"] // job["peer_micro_batch"],
        "learning_rate": job["learning_rate"],
        "lr_scheduler_type": "constant",
        "weight_decay": job["weight_decay"],
        "max_grad_norm": job["max_grad_norm"],
        "seed": job["seed"],
        "train_sampling_strategy": "group_by_length" if by_length else "sequential",
        "use_cpu": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def labelled_rows(job: dict[str, Any]) -> Any:
    """Return a data set of ids, and of labels that are -100 where nothing is supervised."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "input_ids": row["ids"],
                "labels": [-100] * (len(row["ids"]) - row["supervised"]) + row["ids"][-row["supervised"] :],
            }
            for row in job["examples"]
        ]
    )


def logged_losses(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


if __name__ == "__main__":
    main()
