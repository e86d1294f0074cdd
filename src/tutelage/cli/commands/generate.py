"""`tutelage generate`: answer an instruction with the tuned model, using its prompt template."""

from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.options import DryRunOptions
from tutelage.cli.sessions import earlier_session
from tutelage.cli.views import console
from tutelage.cli.views.dry_run import show_dry_run
from tutelage.config.recipe_file import PLACE_OF_WORK
from tutelage.errors import DataError
from tutelage.stages.answer import check_sampling, load_models
from tutelage.stages.settings import check_trained_settings, check_unused_settings, require_answers


def generate(
    options: DryRunOptions = DryRunOptions(),  # noqa: B008 - frozen
    instruction: Annotated[str, Parameter(help="The instruction.", show_default=False)] = "",
    *,
    input: Annotated[
        str, Parameter(help="Input text that the instruction refers to.", show_default=False)
    ] = "",
    base: Annotated[
        bool, Parameter(help="Also print the base model's answer.", negative="", show_default=False)
    ] = False,
    temperature: Annotated[float, Parameter(help="Sampling temperature; 0 is greedy decoding.")] = 0.0,
    top_k: Annotated[
        int | None, Parameter(help="Sample from the k most probable tokens only.", show_default=False)
    ] = None,
    top_p: Annotated[
        float, Parameter(help="Sample from the smallest set of tokens whose probabilities sum to p.")
    ] = 1.0,
    seed: Annotated[int, Parameter(help="Random seed for sampling.")] = 0,
) -> None:
    """Answer one instruction with the fine-tuned model."""
    with earlier_session(options) as session:
        check_trained_settings(session)
        check_unused_settings(
            session, command="generate", honoured=("evaluation.max_new_tokens", *PLACE_OF_WORK)
        )
        require_answers(session)
        if not instruction.strip():
            raise DataError(
                "generate.no_instruction",
                f'No instruction was given. Give one: tutelage generate {session.run.root} "Name a fruit."',
            )
        check_sampling(temperature, top_k, top_p, seed)
        if options.dry_run:
            show_dry_run(session, writes=[])
            return
        session.inputs.locate()
        variants = ("base", "tuned") if base else ("tuned",)
        models = load_models(session, variants)
        with console.waiting("Loading the model", aside=True):
            first = next(models)
        answers = {}
        for name in variants:
            with console.waiting(f"Generating with the {name} model", aside=True):
                _, model = first if name == variants[0] else next(models)
                answers[name] = model.generate(
                    instruction, input=input, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
                )
        for name, answer in answers.items():
            if base:
                console.heading(name)
            console.verbatim(answer)
