"""Builds a wheel and an sdist into dist/, and uses each in an environment of its own, without this checkout.

Usage: python tools/distributions.py [--without-torch]

--without-torch: the environments take torch and other packages of this one; the distributions alone are
installed; without the option they install everything that the distribution asks for.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import man_pages

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"


def build(folder: Path) -> list[Path]:
    """The wheel and the sdist. The wheel is built from the sdist, so that nothing is missing there."""
    man_pages.write(ROOT / "output" / "man1")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], check=True)
    return sorted(folder.iterdir())


def try_out(distribution: Path, folder: Path, borrow: bool) -> str:
    """The output of an installed distribution for the paper's network. Raises CalledProcessError where it
    fails.
    """
    environment = folder / distribution.suffix.strip(".")
    options = ["--system-site-packages"] if borrow else []
    subprocess.run([sys.executable, "-m", "venv", *options, str(environment)], check=True)
    python = str(environment / "bin" / "python")
    if borrow:
        lend(environment)
    install = [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--constraint",
        str(ROOT / "constraints.txt"),
    ]
    alone = ["--no-deps", "--ignore-installed"] if borrow else []
    subprocess.run([python, "-m", "pip", *install, *alone, str(distribution)], check=True)
    example = folder / "lenet5_bn.py"
    shutil.copy(ROOT / "examples" / "lenet5_bn.py", example)
    command = [str(environment / "bin" / "addercost"), "profile", str(example), "--cpu", "via-nano-2000"]
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=own, check=True, capture_output=True, text=True)
    where = [python, "-c", "import addercost; print(addercost.__file__)"]
    home = subprocess.run(where, cwd=folder, env=own, check=True, capture_output=True, text=True).stdout
    if not home.startswith(str(environment)):
        raise RuntimeError(f"the distribution was not used, but {home.strip()}")
    if not (environment / "share" / "man" / "man1" / "addercost-profile.1").is_file():
        raise RuntimeError("the distribution installs no manual pages")
    if not (environment / "share" / "doc" / "addercost" / "CITATION.cff").is_file():
        raise RuntimeError("the distribution installs no citation file")
    return done.stdout


def lend(environment: Path) -> None:
    """Adds this environment's packages to the path of the other environment, without the editable install of
    addercost.
    """
    import sysconfig

    (own,) = environment.glob("lib/python*/site-packages")
    (own / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--without-torch", action="store_true", help="Borrow the packages of this environment."
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = build(folder / "dist")
        for distribution in made:
            print(try_out(distribution, folder, options.without_torch).splitlines()[0])
        DIST.mkdir(exist_ok=True)
        for distribution in made:
            shutil.copy(distribution, DIST / distribution.name)
            print(f"built and used: dist/{distribution.name}, {distribution.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
