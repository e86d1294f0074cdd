"""A few answers before and after tuning, printed for a person."""

from tutelage.cli.views import console
from tutelage.run.folder import ARMS, RunFolder
from tutelage.run.lines import read_json_lines

ANSWERS_SHOWN = 3
LONGEST_SHOWN = 300


def show_answers(run: RunFolder) -> None:
    """Print test prompts with both answers, spread over the test set; nothing where no answers were asked for."""
    from tutelage.evaluation.stats.clusters import shared_frame

    console.say()
    if not all(run.responses(arm).exists() for arm in ARMS):
        return
    base, tuned = (read_json_lines(run.responses(arm)) for arm in ARMS)
    opening, ending = shared_frame([record["prompt"] for record in base])
    step = max(1, len(base) // ANSWERS_SHOWN)
    for index in range(0, len(base), step)[:ANSWERS_SHOWN]:
        console.heading(f"Test row {base[index]['row']}")
        console.say(_shortened(base[index]["prompt"].removeprefix(opening).removesuffix(ending)))
        console.table(
            [],
            [
                ["before", _shortened(base[index]["response"])],
                ["after", _shortened(tuned[index]["response"])],
                ["wanted", _shortened(base[index]["reference"])],
            ],
        )
        console.say()


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} …"
