"""What a recipe names, located and opened once: the base model with its tokenizer, and the rows of its data."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.codes import Message
from tutelage.config.recipe import Recipe
from tutelage.config.recipe_file import LoadedRecipe
from tutelage.errors import EncodingError, ModelError
from tutelage.objectives import load_objective
from tutelage.stages.functions import NO_FUNCTIONS, OwnFunctions, formatted, known_functions
from tutelage.stages.reporter import Reporter
from tutelage.system.importing import import_modules
from tutelage.system.runtime import require_memory_for_libraries

if TYPE_CHECKING:
    from tutelage.data.prompts.prompts import PromptRenderer
    from tutelage.data.rows.records import Source, SourceReader
    from tutelage.model.sources import ModelSource
    from tutelage.objectives.spec import ObjectiveSpec

TOKENS_NAMED = 3
# What a stage imports first, and takes seconds for.
FOR_TOKENS = ("transformers.tokenization_utils_tokenizers",)
FOR_TRAINING = (*FOR_TOKENS, "tutelage.training.saving", "tutelage.generation.generate")


class Inputs:
    """The data and the base model of a recipe; each is located, hashed and opened when it is first asked for.

    Once the model is located, `recipe` names the prompt template that `auto` stands for.

    `preload` imports modules, while the model is hashed.
    """

    def __init__(
        self,
        loaded: LoadedRecipe,
        reporter: Reporter,
        *,
        preload: Callable[[Sequence[str]], None] = import_modules,
        functions: OwnFunctions = NO_FUNCTIONS,
    ) -> None:
        self.recipe: Recipe = loaded.recipe
        self._functions_in, self._given = loaded.functions_in, functions
        self.preload = preload
        self._unchecked, self._adapter_at = loaded.unchecked, loaded.adapter_at
        self._data_at = loaded.data_at or loaded.recipe.data.source
        self._model_at = loaded.model_at or loaded.recipe.model.name_or_path
        self._reporter = reporter
        self._hashes: dict[Path, str] = {}
        self._source: ModelSource | None = None

    def locate(self, *, beside: Sequence[str] = FOR_TOKENS) -> "ModelSource":
        """Return the base model, fetched, converted and hashed where that is needed.

        The modules in `beside` are imported meanwhile, which takes longer than hashing half a gigabyte.
        """
        if self._source is None:
            require_memory_for_libraries()
            with ThreadPoolExecutor(1) as importing:
                importing.submit(self.preload, beside)
                self._source = self._locate()
            if self.recipe.data.prompt_template == "auto" and self._uses_template:
                self._choose_prompt_template()
        return self._source

    @property
    def _uses_template(self) -> bool:
        return self.recipe.objective.has_effect("data.prompt_template")

    def _choose_prompt_template(self) -> None:
        """Put what `auto` stands for with this model into the recipe."""
        from tutelage.data.prompts.prompts import choose_style

        style, fault = choose_style(self.tokenizer)
        if fault is not None:
            self._reporter.note(
                "template.not_chosen",
                f"the chat template of {self.source.name} cannot be used, so data.prompt_template is {style}."
                f" {fault}",
            )
        data = self.recipe.data.model_copy(update={"prompt_template": style})
        self.recipe = self.recipe.model_copy(update={"data": data})

    def _locate(self) -> "ModelSource":
        from tutelage.model.sources import locate_model
        from tutelage.system.fetching import user_cache

        with self._reporter.locating() as tell:
            source = locate_model(
                self._model_at,
                cache=user_cache(),
                progress=tell,
                unchecked=self._unchecked,
                hashes=self._hashes,
            )
        return self._with_adapter(source) if self.recipe.model.adapter else source

    def _with_adapter(self, source: "ModelSource") -> "ModelSource":
        from tutelage.stages.starting_adapter import check_adapter_base, check_adapter_settings, find_adapter

        assert self.recipe.model.adapter is not None, "only asked where there is one"
        adapter = find_adapter(str(self._adapter_at or self.recipe.model.adapter))
        # Which modules it is on shows in its weights; a copy of a run's adapter names one by one what all-linear meant.
        check_adapter_settings(self.recipe, adapter, ("r", "lora_alpha"))
        check_adapter_base(adapter, source)
        return replace(source, adapter=adapter)

    @property
    def objective(self) -> "ObjectiveSpec":
        """What is particular to the objective of the recipe."""
        return load_objective(self.recipe.training.objective)

    @property
    def source(self) -> "ModelSource":
        return self.locate()

    def has_model(self) -> bool:
        """Tell whether the model can be opened without a network or a conversion; ModelError where there is none."""
        from tutelage.model.sources import is_local
        from tutelage.system.fetching import user_cache

        with self._reporter.locating() as tell:
            return is_local(
                self._model_at,
                cache=user_cache(),
                progress=tell,
                unchecked=self._unchecked,
                hashes=self._hashes,
            )

    @cached_property
    def tokenizer(self) -> Any:
        from tutelage.model.loading import load_tokenizer

        return load_tokenizer(self.source.folder)

    @cached_property
    def renderer(self) -> "PromptRenderer":
        from tutelage.data.prompts.prompts import WITHOUT_TEMPLATE, make_renderer

        tokenizer = self.tokenizer  # locates the model, which decides what `auto` stands for
        style = self.recipe.data.prompt_template if self._uses_template else WITHOUT_TEMPLATE
        return make_renderer(tokenizer, style)

    @property
    def context_length(self) -> int:
        from tutelage.model.loading import context_length

        return context_length(self.source.folder)

    @cached_property
    def functions(self) -> OwnFunctions:
        """The user's own functions: those given, and those that the run records."""
        return known_functions(self._functions_in, self._given)

    def find_data(self) -> "SourceReader":
        """Return the data, of which no row is read yet, as the user's own format function gives it."""
        from tutelage.data.sources.sources import find_source
        from tutelage.system.fetching import user_cache

        opened = find_source(self._data_at, cache=user_cache(), settings=self.recipe.data)
        own = self.functions.row_format
        if own is None:
            return opened
        told = f"Each row was converted by the function {own.record.path} (SHA-256 {own.record.sha256})."
        return replace(
            opened,
            records=lambda: formatted(opened.records(), own),
            notes=[*opened.notes, Message("functions.rows_formatted", told)],
        )

    def has_data(self) -> bool:
        """Tell whether the data can be read without a network."""
        from tutelage.data.sources.sources import is_here
        from tutelage.system.fetching import user_cache

        return is_here(self.recipe.data, cache=user_cache())

    def read_data(self, *, keeps_large_rows: bool = False) -> "Source":
        """Return all rows of the data; those above data.max_row_bytes have a value only if it keeps them."""
        from tutelage.data.rows.records import NO_LIMIT
        from tutelage.data.sources.sources import read_source
        from tutelage.system.fetching import user_cache

        data = self.recipe.data
        settings = data.model_copy(update={"max_row_bytes": NO_LIMIT}) if keeps_large_rows else data
        try:
            return read_source(self._data_at, cache=user_cache(), settings=settings)
        except EncodingError:
            self.require_readable_rows()  # which may have more to say
            raise

    def require_readable_rows(self) -> None:
        """Read all rows, and stop where they are at fault, which needs no model to be seen."""
        from tutelage.data.formats.formats import ConversationReader

        data, recipe = self.find_data(), self.recipe
        needs_labels = self.objective.rows.needs_labels
        reader = ConversationReader(
            data.name, recipe.data, needs_labels=needs_labels, objective=recipe.objective
        )
        for _ in reader.read(data.records()):
            pass

    def check_targets(self, *, beside: Sequence[str] = FOR_TOKENS) -> None:
        """Stop where adapter.target_modules does not fit the model; `beside` is as `locate` has it."""
        from tutelage.model.target_modules import check_targets_of_folder

        check_targets_of_folder(self.locate(beside=beside).folder, self.recipe.tuning)

    def check_local_targets(self, *, beside: Sequence[str] = FOR_TOKENS) -> bool:
        """Do what `check_targets` does if no network and no conversion is needed; tell what `has_model` does."""
        from tutelage.model.sources import hub_model_here
        from tutelage.model.target_modules import check_targets_of_folder

        if self.has_model():
            self.check_targets(beside=beside)
            return True
        folder = hub_model_here(self._model_at)
        if folder is not None:
            with suppress(ModelError):  # what was fetched in part is fetched whole before it is needed
                check_targets_of_folder(folder, self.recipe.tuning)
        return False

    def warn_of_larger_tokenizer(self) -> None:
        """Warn of tokens that the model's embedding has no row for; text that holds one cannot be trained on."""
        from tutelage.model.loading import vocabulary_size

        folder = self.source.folder
        rows = vocabulary_size(folder)
        known = self.tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True)
        beyond = sorted((number, token) for token, number in known.items() if number >= rows)
        if beyond:
            named = ", ".join(f"{token!r} (id {number})" for number, token in beyond[:TOKENS_NAMED])
            more = f" and {len(beyond) - TOKENS_NAMED:,} more" if beyond[TOKENS_NAMED:] else ""
            self._reporter.warn(
                "model.tokenizer_larger_than_embedding",
                f"the tokenizer in {folder} has {named}{more}, but the model's embedding ends at id"
                f" {rows - 1}. Rows with such a token are rejected. Use the tokenizer that belongs to the"
                " model.",
            )

    def note_about_adapter(self) -> None:
        """Report what speaks against going on from an adapter, and what of it cannot be known."""
        from tutelage.stages.starting_adapter import is_other_hub_model

        adapter, prompt = self.source.adapter, self.recipe.data.prompt_template
        if adapter is None:
            return
        if is_other_hub_model(adapter, self.source):
            self._reporter.warn(
                "model.adapter_of_other_hub_model",
                f"the adapter {adapter.name} names {adapter.named_base} as its base model, but"
                f" model.name_or_path is {self.recipe.model.name_or_path}. If these weights differ, the"
                f" adapter does not fit them: --set model.name_or_path={adapter.named_base}",
            )
        elif adapter.base_sha256 is None:
            self._reporter.note(
                "model.adapter_base_unknown",
                f"the adapter {adapter.name} names {adapter.base_name} as its base model. Tutelage cannot"
                f" check that this is the same model as {self.source.name}, and it must be.",
            )
        if adapter.prompt not in (None, prompt):
            self._reporter.note(
                "model.adapter_other_prompt",
                f"the adapter {adapter.name} was trained with the prompt template {adapter.prompt}, but this"
                f" run continues with {prompt}. To keep the first: --set"
                f" data.prompt_template={adapter.prompt}",
            )
