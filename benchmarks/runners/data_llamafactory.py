"""LLaMA-Factory's way from a file of rows to tokens with their mask, without packing."""

import argparse
import json
import os
import sys
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

# Its preparation imports this for sounds; the one that its installer finds needs a CUDA build of torch.
SOUNDS = "torchaudio"


def main() -> None:
    """Print what the preparation took as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path, help="a JSON file with data and model")
    parser.add_argument("--variant", default="data", help="there is one")
    options = parser.parse_args()
    stand_in = ModuleType(SOUNDS)
    stand_in.__spec__ = ModuleSpec(SOUNDS, None)
    sys.modules[SOUNDS] = stand_in
    print(json.dumps(measure(json.loads(options.job.read_text(encoding="utf-8")))))


def measure(job: dict) -> dict:
    """Return the seconds of reading, tokenising and masking, on as many processes as there are cores."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    path = Path(job["data"])
    with TemporaryDirectory() as folder:
        # Its cache would answer the second round.
        os.environ["HF_DATASETS_CACHE"] = folder
        (Path(folder) / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": str(path)}}))
        model_args, data_args, training_args, *_ = get_train_args({
            "model_name_or_path": job["model"],
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "lora",
            "dataset": "rows",
            "dataset_dir": folder,
            "template": "alpaca",
            "cutoff_len": 2048,
            "overwrite_cache": True,
            "preprocessing_num_workers": os.cpu_count(),
            "output_dir": folder,
            "use_cpu": True,
            "report_to": "none",
        })  # fmt: skip
        model_args.cache_dir = folder
        loaded = load_tokenizer(model_args)
        template = get_template_and_fix_tokenizer(loaded["tokenizer"], data_args)
        begin = time.perf_counter()
        made = get_dataset(template, model_args, data_args, training_args, stage="sft", **loaded)
        seconds = time.perf_counter() - begin
        rows = made["train_dataset"]
        return {
            "seconds": seconds,
            "rows": len(rows),
            "tokens": sum(map(len, rows["input_ids"])),
        }


if __name__ == "__main__":
    main()
