"""`tutelage generate`: ask a tuned model something, in the prompt style that it was trained with."""

from typing import Annotated, Any

from cyclopts import Parameter

from tutelage.cli import console
from tutelage.cli.dry_run import show_dry_run
from tutelage.cli.opening import opened
from tutelage.cli.options import Options, open_earlier_run
from tutelage.config.recipe_file import PLACE_OF_WORK
from tutelage.errors import DataError, RecipeError
from tutelage.run.artifacts import Preparation, TrainingResult, read_artifact
from tutelage.stages.evaluate import warn_of_emulated_bfloat16
from tutelage.stages.session import Session
from tutelage.stages.settings import refuse_classifier, refuse_idle_settings, refuse_untrained_settings


def generate(
    options: Options = Options(),  # noqa: B008 - frozen
    instruction: Annotated[str, Parameter(help="What the model is asked to do.", show_default=False)] = "",
    *,
    input: Annotated[
        str, Parameter(help="The text that the instruction is about, where there is one.", show_default=False)
    ] = "",
    base: Annotated[
        bool, Parameter(help="Show the base model's answer too.", negative="", show_default=False)
    ] = False,
    temperature: Annotated[
        float, Parameter(help="0 takes the most probable token each time; more draws more freely.")
    ] = 0.0,
    top_k: Annotated[
        int | None, Parameter(help="Draw from so many of the most probable tokens.", show_default=False)
    ] = None,
    top_p: Annotated[
        float, Parameter(help="Draw from the fewest tokens that together have so much probability.")
    ] = 1.0,
    seed: Annotated[int, Parameter(help="Another seed draws another answer.")] = 0,
) -> None:
    """Answer an instruction with the tuned model of a run."""
    run, loaded = open_earlier_run(options)
    with opened(run, loaded) as session:
        refuse_untrained_settings(session)
        refuse_idle_settings(session, verb="generate", honoured=("evaluation.max_new_tokens", *PLACE_OF_WORK))
        if options.overwrite:
            raise RecipeError(
                "cli.option_not_supported",
                "`tutelage generate` writes nothing, so there is nothing to --overwrite. Leave it out.",
            )
        refuse_classifier(session)
        if not instruction.strip():
            raise DataError(
                "generate.no_instruction",
                f'There is no instruction. Give one, for example: tutelage generate {run.root} "Name a fruit."',
            )
        refuse_odd_sampling(temperature, top_k, top_p, seed)
        if options.dry_run:
            show_dry_run(session, writes=[])
            return
        drawn = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
        for arm, answer in answers(session, instruction, input, with_base=base, drawn=drawn):
            if base:
                console.heading(arm)
            console.verbatim(answer)


def refuse_odd_sampling(temperature: float, top_k: int | None, top_p: float, seed: int) -> None:
    """Stop at numbers that no token could be drawn with, and at ones that a greedy answer would ignore."""
    for name, value, is_right, right in (
        (
            "temperature",
            temperature,
            temperature == 0 or 0.01 <= temperature <= 100,
            "0, or from 0.01 to 100",
        ),
        ("top-k", top_k, top_k is None or top_k >= 1, "1 or more"),
        ("top-p", top_p, 0 < top_p <= 1, "more than 0 and at most 1"),
        ("seed", seed, 0 <= seed < 2**63, "0 or more, below 2^63"),
    ):
        if not is_right:
            raise RecipeError("cli.value_out_of_range", f"--{name} is {value}, but it has to be {right}.")
    if temperature == 0 and (top_k is not None or top_p < 1 or seed):
        raise RecipeError(
            "generate.sampling_without_temperature",
            "--top-k, --top-p and --seed decide how tokens are drawn, but at --temperature 0 none is."
            " Add a temperature, for example --temperature 0.8, or leave them out.",
        )


def answers(
    session: Session,
    instruction: str,
    input: str,
    *,
    with_base: bool,
    drawn: dict[str, Any],
) -> list[tuple[str, str]]:
    """Return the answer of the tuned model, after that of the base model where it is wanted."""
    run, source = session.run, session.source
    with console.waiting("Loading the model", aside=True):
        from tutelage.data.dataset.model_files import refuse_other_model
        from tutelage.data.prompts.prompts import make_renderer
        from tutelage.data.quality.repairs import repair_text
        from tutelage.data.rows.conversations import single_turn
        from tutelage.evaluation.evaluate import trained_dtype
        from tutelage.generation.generate import answer_texts
        from tutelage.generation.sampling import Sampling
        from tutelage.model.assembly import check_published, open_base, open_tuned
        from tutelage.model.end_tokens import end_tokens
        from tutelage.model.loading import context_length, load_tokenizer
        from tutelage.system.runtime import choose_device, choose_dtype_to_open

        recipe = session.recipe
        refuse_other_model(run, source.identity, source.files)
        check_published(run.model, recipe.adapter)
        tokenizer = load_tokenizer(source.folder)
        device = choose_device(recipe.training.device)
        warn_of_emulated_bfloat16(session)
        model = open_base(
            source,
            device,
            choose_dtype_to_open(trained_dtype(run, recipe), device),
            padded_because=read_artifact(TrainingResult, run.training).padded_because,
        )
    question = single_turn(0, repair_text(instruction)[0], repair_text(input)[0], "")
    prompt = make_renderer(tokenizer, recipe.data.prompt).prompt_ids(question)
    room = context_length(source.folder) - len(prompt)
    if room < recipe.evaluation.max_new_tokens:
        raise DataError(
            "generate.prompt_too_long",
            f"The instruction and its prompt have {len(prompt):,} tokens, which leaves {max(room, 0):,} of the model's"
            f" context for an answer of up to {recipe.evaluation.max_new_tokens:,}. Shorten it, or lower"
            " evaluation.max_new_tokens.",
        )
    ends = end_tokens(source.folder, tokenizer, read_artifact(Preparation, run.preparation).end_of_turn_id)
    found = []
    for arm in ("base", "tuned") if with_base else ("tuned",):
        with console.waiting(f"The {arm} model answers", aside=True):
            model = model if arm == "base" else open_tuned(model, run.model, recipe.adapter)
            texts = answer_texts(
                model,
                [prompt],
                tokenizer=tokenizer,
                end_tokens=ends,
                max_new_tokens=recipe.evaluation.max_new_tokens,
                batch_size=1,
                sampling=Sampling(**drawn) if drawn["temperature"] else None,
            )
        found.append((arm, texts[0]))
    return found
