"""Make the virtual environments of the peers, each when it is first wanted: python -m benchmarks.environments hf"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "peers"
ENVIRONMENTS = HERE / ".environments"
# What an installer takes along for pictures and sounds needs a CUDA build of torch, and does not load beside another.
LEFT_OUT = {"llamafactory": ("torchaudio", "torchvision")}


def main() -> None:
    """Make the environments named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "name", nargs="+", choices=environment_names(), help="which peers' environment to make"
    )
    for name in parser.parse_args().name:
        print(make_environment(name))


def environment_names() -> list[str]:
    """Return the names for which there is a requirements file."""
    return sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


def make_environment(name: str) -> Path:
    """Return the Python of a peer's environment, installed anew when its requirements have changed."""
    requirements, folder = REQUIREMENTS / f"{name}.txt", ENVIRONMENTS / name
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    wanted = requirements.read_text(encoding="utf-8")
    if installed.is_file() and installed.read_text(encoding="utf-8") == wanted:
        return python
    print(
        f"Installing {requirements.name} into {folder} (torch is the large part; once) ...", file=sys.stderr
    )
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(python), "-m", "pip"]
        subprocess.run([*pip, "install", "-qq", "-r", str(requirements)], check=True)
        if name in LEFT_OUT:
            subprocess.run([*pip, "uninstall", "-qq", "-y", *LEFT_OUT[name]], check=True)
    except subprocess.CalledProcessError as fault:
        raise SystemExit(
            f"{requirements} could not be installed. Look up why above; `--only tutelage` needs no peer."
        ) from fault
    installed.write_text(wanted, encoding="utf-8")
    return python


if __name__ == "__main__":
    main()
