"""Run the data room over one file and time each part: reading, checks, tokens, trees, near-duplicates."""

import argparse
import json
import time
from pathlib import Path


def main() -> None:
    """Print the seconds of each part as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path, help="a JSON file with data, model and near_duplicates")
    parser.add_argument("--variant", default="data", help="there is one")
    options = parser.parse_args()
    print(json.dumps(measure(json.loads(options.job.read_text(encoding="utf-8")))))


def measure(job: dict) -> dict:
    """Return seconds by part; importing the libraries and opening the tokenizer is a part of its own."""
    clock = Clock()
    from tutelage.config.recipe import DataSettings
    from tutelage.data.dataset.preparation import sizes_of
    from tutelage.data.dataset.splits import SplitAssigner
    from tutelage.data.formats.formats import read_conversations
    from tutelage.data.lint.row_checks import Variety, find_in_rows, find_null_fields
    from tutelage.data.prompts.encoding import control_tokens
    from tutelage.data.prompts.prompts import make_renderer
    from tutelage.data.quality.checks import check_rows
    from tutelage.data.quality.near_duplicates import near_duplicates
    from tutelage.data.quality.prompt_fingerprint import normalised_prompt
    from tutelage.data.sources.sources import read_source
    from tutelage.model.loading import load_tokenizer
    from tutelage.system.platforms import peak_memory_bytes
    from tutelage.tree.batches import BatchPlan, micro_batches
    from tutelage.tree.prefix_tree import merge

    settings = DataSettings(source=job["data"], prompt_template="alpaca")
    renderer = make_renderer(load_tokenizer(Path(job["model"])), settings.prompt_template)
    clock.stop("start")
    source = read_source(settings.source, cache=Path("none"), settings=settings)
    read = read_conversations(source.records, source=source.name, settings=settings)
    clock.stop("read")
    checked = check_rows(read.rows, settings, sizes_of(source))
    findings = [*find_null_fields(source.records), *find_in_rows(checked, control_tokens(renderer.tokenizer))]
    variety = Variety()
    for one in checked:
        variety.note(one)
    findings += variety.findings()
    kept = [one.row for one in checked if one.outcome != "dropped"]
    sides = SplitAssigner(rule="position", train_size=0.85, test_size=0.1)
    for row in kept:
        sides.add(row.row, normalised_prompt(row), row.response)
    leaks = sides.leaks()
    clock.stop("check")
    examples = list(renderer.examples(kept, train_on=settings.train_on))
    clock.stop("tokens")
    plan = BatchPlan(len(examples), job["batch"], epochs=1, seed=123)
    nodes = 0
    for step in range(plan.steps):
        chosen = [examples[index] for index in plan.examples_of_step(step)]
        for batch in micro_batches(chosen, size=job["batch"], distinct_tokens=2048):
            nodes += len(merge(batch).token_ids)
    clock.stop("trees")
    pairs = near_duplicates(kept) if job["near_duplicates"] else ()
    clock.stop("near_duplicates")
    return {
        "seconds": clock.seconds,
        "rows": len(checked),
        "kept": len(kept),
        "findings": len(findings),
        "leaks": sum(map(len, leaks.values())),
        "pairs": len(pairs),
        "tokens": sum(len(example.ids) for example in examples),
        "nodes": nodes,
        "peak_rss_bytes": peak_memory_bytes(),
    }


class Clock:
    """Seconds between one stop and the next, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now


if __name__ == "__main__":
    main()
