"""The entry point: commands by name, and one message and exit code for every error."""

import sys
import tempfile
from collections.abc import Sequence

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    Group,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
)

from tutelage.cli.commands import COMMANDS, DATA, DATA_COMMANDS, RECIPE_COMMANDS, START, WORKFLOW, Command
from tutelage.cli.views import console
from tutelage.config.renames import OPTIONS
from tutelage.errors import (
    EXIT_CODES,
    EXIT_INTERRUPTED,
    EXIT_STORAGE,
    EXIT_UNEXPECTED,
    EXIT_USAGE,
    StorageError,
    TutelageError,
    describe_exit_codes,
    exit_codes_of,
)
from tutelage.system.fetching import user_cache
from tutelage.system.interruption import INTERRUPTION, NOTHING_CHANGED
from tutelage.system.runtime import settle_process
from tutelage.system.storage import is_out_of_space
from tutelage.system.streams import give_up_the_rest, settle_streams
from tutelage.system.system_errors import is_short_of_memory, system_refusal
from tutelage.text.credentials import without_keys
from tutelage.version import __version__

CODES_OF_USAGE = {
    UnknownOptionError: "cli.unknown_option",
    UnknownCommandError: "cli.unknown_command",
    MissingArgumentError: "cli.missing_argument",
    CoercionError: "cli.invalid_value",
}

# Commands that keep finished work: checkpoints, answers, or replies of a language model.
GOES_ON = ("run", "train", "evaluate", "data generate", "data improve")
# Commands whose only result is what they print.
PRINTS = ("generate", "chat", "classify", "preview", "data stats", "recipes list", "recipes show")
# Commands that write their files completely or not at all.
WRITES = ("prepare", "report", "data convert", "data filter", "data split", "data sample", "recipes copy")

GROUPS = {purpose: Group(purpose, sort_key=place) for place, purpose in enumerate(WORKFLOW)}


def end_of_help(command: Command, verb: str) -> str:
    """Return the examples and exit codes of a command, in Markdown."""
    examples = "\n".join(f"- `{example}`" for example in command.examples)
    codes = describe_exit_codes(exit_codes_of(verb))
    return f"Examples:\n\n{examples}\n\n{codes}" if examples else codes


app = App(
    name="tutelage",
    suppress_keyboard_interrupt=False,
    version=__version__,
    version_flags=["--version", "-V"],
    group_commands=Group("Options", sort_key=len(WORKFLOW)),
    help="Fine-tune a language model on your own data, and see with evidence whether it got better.",
    help_epilogue=describe_exit_codes(EXIT_CODES),
)
for place, (name, command) in enumerate(COMMANDS.items()):
    app.command(
        command.function,
        sort_key=place,
        name=name,
        group=GROUPS[command.purpose],
        help=command.help,
        help_epilogue=end_of_help(command, name),
    )

data = App(
    name="data",
    group_commands=Group("Commands"),
    sort_key=len(COMMANDS),
    help_epilogue=describe_exit_codes(exit_codes_of("data")),
    group=GROUPS[DATA],
    help="Convert, filter, split, sample, count, generate or improve rows.",
)
for name, command in DATA_COMMANDS.items():
    data.command(
        command.function, name=name, help=command.help, help_epilogue=end_of_help(command, f"data {name}")
    )
app.command(data)

recipes = App(
    name="recipes",
    group_commands=Group("Commands"),
    sort_key=len(COMMANDS),
    help_epilogue=describe_exit_codes(exit_codes_of("recipes")),
    group=GROUPS[START],
    help="List, show or copy the recipes that ship with Tutelage.",
)
for name, command in RECIPE_COMMANDS.items():
    recipes.command(
        command.function, name=name, help=command.help, help_epilogue=end_of_help(command, f"recipes {name}")
    )
app.command(recipes)
app.register_install_completion_command(help="Install completion for your shell.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    with INTERRUPTION.listening():
        settle_streams()
        settle_process()
        code = _exit_code(words)
        with INTERRUPTION.deferred():
            give_up_the_rest()
            sys.exit(code)


def _exit_code(words: list[str]) -> int:
    try:
        if _verb(words) in PRINTS:
            console.require_stdout()
        left = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        console.finish()
    except CycloptsError as fault:
        # The parser may repeat a key that was typed in the wrong place.
        told = f"{without_keys(str(fault).strip())} {_where_options_are_listed(_verb(words))}"
        renamed = next((name for word in words if (name := word.partition("=")[0]) in OPTIONS), None)
        if renamed:
            console.report_error("cli.option_renamed", f"{renamed} was renamed to {OPTIONS[renamed]}.")
        else:
            console.report_error(_usage_code(fault), told)
        return EXIT_USAGE
    except TutelageError as fault:
        if "--debug" in words:
            raise
        fault = _name_cache_variables(fault)
        console.report_error(fault.code, str(fault))
        return fault.exit_code
    except KeyboardInterrupt:
        console.report_error("run.interrupted", f"Interrupted. {_left_behind(words)}")
        return EXIT_INTERRUPTED
    except Exception as fault:
        return _report_unexpected(fault, words)
    return left if isinstance(left, int) else 0  # commands with a verdict return their own exit code


def _name_cache_variables(fault: TutelageError) -> TutelageError:
    """If the cache could not be written, name the environment variables that set its location."""
    cache = user_cache()
    if not isinstance(fault, StorageError) or fault.path is None or is_out_of_space(fault):
        return fault
    if not fault.path.absolute().is_relative_to(cache.absolute()):
        return fault
    reason = getattr(fault.__cause__, "strerror", None) or fault
    return StorageError(
        "storage.cache_not_writable",
        f"Could not write the cache, {cache}: {reason}. Set HOME to a writable folder, or TUTELAGE_CACHE to"
        " move only the cache, then run the same command again.",
    )


def _left_behind(words: Sequence[str]) -> str:
    """Describe what an interrupted command leaves behind, and what running it again does."""
    verb = _verb(words)
    if verb in GOES_ON:
        # Old results stay until new ones are complete; only a training has started to replace them.
        again = " without --overwrite" if "--overwrite" in words and verb in ("run", "train") else ""
        return f"Finished work is kept. Run the same command again{again} to resume."
    if verb == "export":
        return "The unfinished export was discarded; finished exports are kept. Export it again."
    if verb in WRITES:
        return "No partial files were left. Run the same command to start over."
    return NOTHING_CHANGED


def _verb(words: Sequence[str]) -> str:
    plain = [word for word in words if not word.startswith("-")]
    return " ".join(plain[: 2 if plain[:1] in (["data"], ["recipes"]) else 1])


def _where_options_are_listed(verb: str) -> str:
    known = [
        *COMMANDS,
        *(f"data {name}" for name in DATA_COMMANDS),
        *(f"recipes {name}" for name in RECIPE_COMMANDS),
    ]
    if verb in known:
        return f"`tutelage {verb} --help` lists its options."
    return "`tutelage --help` lists the commands and options."


def _usage_code(fault: CycloptsError) -> str:
    return next((code for kind, code in CODES_OF_USAGE.items() if isinstance(fault, kind)), "cli.usage")


def _report_unexpected(fault: Exception, words: Sequence[str]) -> int:
    """The last resort: print one message; --debug shows the traceback."""
    if "--debug" in words:
        raise fault
    if is_short_of_memory(fault):
        console.report_error(
            "device.out_of_memory",
            "Out of memory. Finished work is kept. Close other programs, or use fewer or shorter rows or a"
            " smaller model, then run the same command again.",
        )
        return EXIT_USAGE
    refusal = system_refusal(fault)
    if refusal is not None and is_out_of_space(refusal) and console.takes_more():
        place = refusal.filename or tempfile.gettempdir()
        console.report_error(
            "storage.write_failed",
            f"Could not write {place}: {refusal.strerror}. Free some space there, then run the same command again.",
        )
        return EXIT_STORAGE
    if is_out_of_space(fault):
        console.abandon()
        console.report_error(
            "storage.output_full",
            "Could not write the output: No space left on device. Free some space there, then run the same command"
            " again.",
        )
        return EXIT_STORAGE
    console.report_error(
        "internal.unexpected",
        f"Unexpected {type(fault).__name__}: {fault}. This is a bug in Tutelage. Run again with --debug and"
        " report the traceback.",
    )
    return EXIT_UNEXPECTED
