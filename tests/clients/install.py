"""Install each client into an environment of its own below the folder given: Python's by pip, Node's by npm.

`python -m tests.clients.install FOLDER`. Node and npm are found on the PATH; without them their clients are left out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.servers.install import install

PYTHON = {
    "openai-1": ["openai<2"],
    "openai-2": ["openai>=2,<3"],
    "openai-3": ["openai>=3,<4"],
    "azure-ai-agents": ["azure-ai-agents>=1.1,<2"],
}
NODE = {
    "openai-node-6": "openai@6",
    "openai-node-7": "openai@7",
    "@azure/ai-agents": "@azure/ai-agents@1",
}


def install_node(folder: Path, package: str) -> None:
    if (folder / "node_modules").is_dir():
        return
    folder.mkdir(parents=True)
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), package]
    subprocess.run(command, cwd=folder, check=True)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for name, required in PYTHON.items():
        install(target / name, required)
    if shutil.which("npm"):
        for name, package in NODE.items():
            install_node(target / name, package)
