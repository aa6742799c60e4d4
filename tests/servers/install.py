"""Install each server into an environment of its own below the folder given: what they depend on does not fit together.

The servers are pinned, as the tests say what these versions send. What is installed as it should be is left alone.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

SERVERS = {
    # Its extras pin pydantic below 2.9, which later versions of langsmith cannot be imported with.
    "bridge": ["langchain-openai-api-bridge[langchain,langchain-serve]==1.0.0", "langsmith<0.5"],
    "litellm": ["litellm[proxy]==1.108.7"],
    "llamphouse": ["llamphouse==1.3.0"],
}


def install(folder: Path, requirements: list[str]) -> None:
    installed = folder / "installed.txt"
    lines = "".join(f"{requirement}\n" for requirement in requirements)
    if installed.exists() and lines == installed.read_text(encoding="utf-8"):
        return
    venv.create(folder, clear=True, symlinks=True, with_pip=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", *requirements], check=True)
    installed.write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    for name, required in SERVERS.items():
        install(Path(sys.argv[1]) / name, required)
