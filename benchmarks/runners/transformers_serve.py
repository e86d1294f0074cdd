"""`transformers serve` on one exported folder, on a free port of the loopback, until its standard input ends.

Run with the Python of the environment `hf`: it says where it answers once it does.
"""

import argparse
import socket
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--continuous-batching", action="store_true")
    chosen = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", chosen.folder]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", chosen.dtype]
    command += ["--continuous-batching"] if chosen.continuous_batching else []
    silent = subprocess.DEVNULL  # it logs every request
    with subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent) as server:
        try:
            wait_for(port, server)
            print(f"http://127.0.0.1:{port}/v1 answers", flush=True)
            sys.stdin.read()
        finally:
            server.terminate()


def wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Return once a port takes connections; RuntimeError where the server has ended before."""
    while True:
        if server.poll() is not None:
            raise RuntimeError(f"transformers serve ended with {server.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    main()
