"""The machine and the versions with which a measurement was made."""

from __future__ import annotations

import datetime
import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from addercost.measure.devices.device import DeviceFacts
from addercost.version import __version__

LIBRARIES = ("torch", "halide", "triton", "llvmlite", "numpy")


def environment(facts: DeviceFacts, today: str | None = None) -> dict[str, str]:
    """Facts about the machine and the versions, one line of text for each name. People read them, and
    `addercost.results.environment.differences` compares them.
    """
    lines = {facts.kind: facts.name, **facts.environment}
    lines["system"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    lines["python"] = platform.python_version()
    lines |= {name: found for name in LIBRARIES if (found := _version(name))}
    lines["addercost"] = __version__
    lines["kernels"] = kernels_digest()
    commit = git_commit(Path(__file__).parent.parent)
    if commit:
        lines["commit"] = commit
    lines["date"] = today or datetime.datetime.now(datetime.UTC).date().isoformat()
    return lines


def kernels_digest() -> str:
    """A hash of the source files of our kernels and layers. Only changes of these files change what is
    timed.
    """
    package, digest = Path(__file__).parent.parent, hashlib.sha256()
    for folder in ("kernels", "layers"):
        for file in sorted((package / folder).rglob("*.py")):
            digest.update(f"{file.relative_to(package)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def git_commit(folder: Path) -> str:
    """The commit that is checked out in `folder`, followed by `+` where tracked files are changed; "" where
    `folder` is no checkout.
    """
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        tracked = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit}{'+' if changed else ''}" if tracked else ""


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
