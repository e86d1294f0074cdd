"""Tutelage's greedy generation on the common prompts: variants bf16 and fp32."""

from benchmarks.runners.job import print_result, read_job, time_answers
from tutelage.model.sources import locate_model
from tutelage.system.fetching import user_cache
from tutelage.system.runtime import choose_device, choose_dtype, settle_process

VARIANTS = {"bf16": "bfloat16", "fp32": "float32"}


def main() -> None:
    """Answer every prompt of the job and print what it took."""
    job, variant = read_job(__doc__, tuple(VARIANTS))
    settle_process()  # as the command line does, before torch is imported

    from tutelage.generation.generate import generate
    from tutelage.model.assembly import load_base

    device = choose_device("cpu")
    source = locate_model(job["model"], cache=user_cache(), progress=print)
    model = load_base(source, device, choose_dtype(VARIANTS[variant], device))

    def answer(prompts: list[list[int]], new_tokens: int) -> list[list[int]]:
        responses = generate(
            model,
            prompts,
            end_tokens=[job["end_of_turn"]],
            max_new_tokens=new_tokens,
            batch_size=job["batch"],
        )
        return [list(response.ids) for response in responses]

    print_result(time_answers(job, answer), ("tutelage", "torch", "transformers"))


if __name__ == "__main__":
    main()
