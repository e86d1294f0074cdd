"""transformers' Trainer with PEFT on the common work, the rows of each step by length.

Variants are the type of weights and adapter: `bf16`, `fp32`.
"""

import tempfile
from typing import Any

from benchmarks.runners.job import StepClock, by_length_within_steps, print_training, read_job

VARIANTS = ("bf16", "fp32")


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

    bf16 = variant == "bf16"
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
            args=TrainingArguments(**shared_arguments(job, folder)),
            train_dataset=labelled_rows(by_length_within_steps(job)),
            data_collator=DataCollatorForSeq2Seq(tokenizer),
            processing_class=tokenizer,
        )
        clock.start()
        trainer.train()
    print_training(job, clock, logged_losses(trainer), ("transformers", "peft", "torch"))


def shared_arguments(job: dict[str, Any], folder: str) -> dict[str, Any]:
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
        "train_sampling_strategy": "sequential",  # grouping by length would put other rows into a step
        "use_cpu": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def labelled_rows(rows: list[dict[str, Any]]) -> Any:
    """Return a data set of ids, and of labels that are -100 where nothing is supervised."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "input_ids": row["ids"],
                "labels": [-100] * (len(row["ids"]) - row["supervised"]) + row["ids"][-row["supervised"] :],
            }
            for row in rows
        ]
    )


def logged_losses(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


if __name__ == "__main__":
    main()
