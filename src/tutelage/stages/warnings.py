"""What a person should know before a model of a run is opened."""

from tutelage.stages.session import Session


def warn_of_emulated_bfloat16(session: Session) -> None:
    """Warn that a model trained in bfloat16 is opened in float32 here, so that its answers may differ in a token."""
    from tutelage.system.runtime import choose_device, choose_inference_dtype, name_dtype

    run, recipe = session.run, session.recipe
    device, trained = choose_device(recipe.training.device), session.trained().dtype
    opened = name_dtype(choose_inference_dtype(trained, device))
    if opened != trained:
        session.reporter.warn(
            "device.bfloat16_emulated",
            f"{run.root} was trained in {trained}, which this processor only emulates and which would be"
            f" many times slower. The model is loaded in {opened}; its answers may differ in single tokens"
            " from those on the training machine.",
        )
