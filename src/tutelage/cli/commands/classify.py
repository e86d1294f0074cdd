"""`tutelage classify`: label texts, or the rows of a file, with a tuned model."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tutelage.cli.options import DryRunOptions, Map, as_path, column_map
from tutelage.cli.sessions import earlier_session
from tutelage.cli.views import console
from tutelage.cli.views.dry_run import show_dry_run
from tutelage.cli.views.labels import show_label
from tutelage.config.recipe_file import PLACE_OF_WORK
from tutelage.errors import DataError
from tutelage.stages.classify import (
    load_classify,
    read_threshold,
    require_classifier,
    require_text,
)
from tutelage.stages.classify_file import OF_FILE, classify_file
from tutelage.stages.settings import check_trained_settings, check_unused_settings


def classify(
    options: DryRunOptions = DryRunOptions(),  # noqa: B008 - frozen
    *texts: Annotated[str, Parameter(help="Texts to label.", show_default=False)],
    file: Annotated[
        Path | None,
        Parameter(
            help="Label the rows of this file; they are printed with `predicted` and the probabilities.",
            converter=as_path,
        ),
    ] = None,
    map: Map = (),
    threshold: Annotated[
        str | None,
        Parameter(
            help="With two labels, the probability from which the rarer one is predicted: a number, or `validation`"
            " for the threshold that the evaluation chose on the validation rows. Default: 0.5.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Label texts, or the rows of a file."""
    given = column_map(map)
    columns = {"--map data.column_map": given} if given else {}
    with earlier_session(options, columns, is_quiet=file is not None) as session:
        run = session.run
        of_file = [f"data.{name}" for name in OF_FILE] if file is not None else []
        check_trained_settings(session, apart_from=of_file)
        check_unused_settings(session, command="classify", honoured=(*of_file, *PLACE_OF_WORK))
        require_classifier(session)
        if bool(texts) == (file is not None):
            raise DataError(
                "classify.texts_or_file",
                f'Give either texts or --file, not both or neither: tutelage classify {run.root} "Call now'
                ' to win!", or --file my.csv.',
            )
        require_text(texts)
        at = None if threshold is None else read_threshold(run, threshold)
        if options.dry_run:
            show_dry_run(session, writes=[])
            return
        if file is None:
            for place, found in enumerate(load_classify(session, at)(list(texts)), start=1):
                if found is None:
                    raise DataError(
                        "classify.text_too_long",
                        f"Text {place} has no tokens, or does not fit the model's context. Shorten it.",
                    )
                show_label(found)
            return
        for part in classify_file(session, file, threshold=at):
            console.write_verbatim(part)
