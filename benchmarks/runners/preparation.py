"""Prepare one file as `tutelage prepare` does, into a folder that is removed again."""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory


def main() -> None:
    """Print what the preparation took as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path, help="a JSON file with data and model")
    parser.add_argument("--variant", default="prepare", help="there is one")
    options = parser.parse_args()
    print(json.dumps(measure(json.loads(options.job.read_text(encoding="utf-8")))))


def measure(job: dict) -> dict:
    """Return the seconds of the preparation and of opening what it made, with the peak memory after each."""
    from tutelage.config.recipe import DataSettings, ModelSettings
    from tutelage.data.dataset.preparation import prepare
    from tutelage.data.dataset.prepared_rows import map_rows
    from tutelage.data.prompts.prompts import make_renderer
    from tutelage.data.sources.sources import find_source
    from tutelage.model.loading import context_length, load_tokenizer
    from tutelage.run.folder import split_files
    from tutelage.system.platforms import peak_memory_bytes

    path, model = Path(job["data"]), Path(job["model"])
    settings = DataSettings(
        source=job["data"], prompt_template="alpaca", max_file_bytes=path.stat().st_size + 1
    )
    renderer = make_renderer(load_tokenizer(model), settings.prompt_template)
    start_bytes = peak_memory_bytes()
    with TemporaryDirectory(dir=path.parent) as folder:
        begin, busy = time.perf_counter(), time.process_time()
        made = prepare(
            find_source(settings.source, cache=Path("none"), settings=settings),
            settings,
            renderer,
            folder=Path(folder),
            context_length=context_length(model),
            model=ModelSettings(),
            weights="0" * 64,
        )
        seconds, busy = time.perf_counter() - begin, time.process_time() - busy
        peak = peak_memory_bytes()
        begin = time.perf_counter()
        train = map_rows(split_files(Path(folder), "train"))
        opening = time.perf_counter() - begin
        written = sum(file.stat().st_size for file in Path(folder).iterdir())
        return {
            "rows": made.preparation.rows.read,
            "train": len(train),
            "tokens": made.preparation.tokens.train,
            "seconds": seconds,
            "processor_seconds": busy,
            "opening_seconds": opening,
            "written_bytes": written,
            "start_rss_bytes": start_bytes,
            "peak_rss_bytes": peak,
        }


if __name__ == "__main__":
    main()
