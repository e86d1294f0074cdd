"""llama.cpp's own server on one GGUF file, on a free port of the loopback, until its standard input ends."""

import argparse
import sys
from importlib import import_module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gguf")
    parser.add_argument("--at-once", type=int, default=8)
    chosen = parser.parse_args()
    xllamacpp = import_module("xllamacpp")  # compiled, and without types
    settings = xllamacpp.CommonParams()
    settings.model.path = chosen.gguf
    settings.n_parallel = chosen.at_once
    settings.n_ctx = 1024 * chosen.at_once  # shared out among those who are answered at once
    settings.cpuparams.n_threads = 2
    settings.use_jinja = True
    settings.verbosity = 0
    server = xllamacpp.Server(settings)
    print(f"{server.listening_address}/v1 answers", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
