"""Print a few answers before and after fine-tuning."""

from tutelage.cli.views import console
from tutelage.run.folder import VARIANTS, RunFolder
from tutelage.run.lines import read_json_lines

ANSWERS_SHOWN = 3
LONGEST_SHOWN = 300


def show_answers(run: RunFolder) -> None:
    """Print some test prompts with both answers, spread over the test set; nothing if there are no answers."""
    from tutelage.evaluation.stats.clusters import shared_frame

    console.print_message()
    if not all(run.responses(variant).exists() for variant in VARIANTS):
        return
    base, tuned = (read_json_lines(run.responses(variant)) for variant in VARIANTS)
    opening, ending = shared_frame([record["prompt"] for record in base])
    step = max(1, len(base) // ANSWERS_SHOWN)
    for index in range(0, len(base), step)[:ANSWERS_SHOWN]:
        console.heading(f"Test row {base[index]['row']}")
        console.print_message(_shortened(base[index]["prompt"].removeprefix(opening).removesuffix(ending)))
        console.table(
            [],
            [
                ["before", _shortened(base[index]["response"])],
                ["after", _shortened(tuned[index]["response"])],
                ["wanted", _shortened(base[index]["reference"])],
            ],
        )
        console.print_message()


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} …"
