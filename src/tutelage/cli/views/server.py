"""Print the endpoints of a server and how to try them."""

import json
import shlex

from tutelage.cli.views import console
from tutelage.run.folder import ExportFolder, RunFolder
from tutelage.stages.serve import KEY_VARIABLE, Serving


def show_server(serving: Serving, run: RunFolder) -> None:
    """Print the endpoints of a server and how to try them."""
    host = f"[{serving.host}]" if ":" in serving.host else serving.host
    url = f"http://{host}:{serving.port}/v1"
    console.heading(f"{url} answers with the models `tuned` and `base`")
    console.print_message(serving.engine)
    key = f" -H 'Authorization: Bearer '\"${KEY_VARIABLE}\"" if serving.has_key else ""
    message = {"role": "user", "content": serving.question}
    body = shlex.quote(json.dumps({"model": "tuned", "messages": [message]}, ensure_ascii=False))
    console.verbatim(f"  curl {url}/chat/completions{key} -H 'Content-Type: application/json' -d {body}")
    _show_larger_servers(run)
    console.print_message("Press Ctrl-C to stop.")


def _show_larger_servers(run: RunFolder) -> None:
    """Print how to load existing exports in servers for many users."""
    from tutelage.evaluation.next_steps import path_argument

    exports = ExportFolder(run.export)
    file = next(iter(sorted(exports.of("gguf").glob("*.gguf"))), "")
    commands = {
        "gguf": ["llama-server", "-m", str(file), "--jinja"],
        "hf": ["vllm", "serve", str(exports.of("hf")), "--served-model-name", "tuned"],
        "ollama": ["ollama", "create", run.root.name, "-f", str(exports.of("ollama") / "Modelfile")],
    }
    there = [shlex.join(command) for target, command in commands.items() if exports.of(target).exists()]
    console.print_message("For many users, load an export in another server:")
    for command in there or [f"tutelage export {path_argument(run.root)} --to gguf"]:
        console.verbatim(f"  {command}")
