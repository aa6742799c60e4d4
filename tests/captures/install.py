"""Install mitmproxy into an environment of its own below the folder given: it pins what others need newer.

Chromium is no package of Python: `apt-get install chromium`, or whatever the system has. It is looked for on the PATH.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tests.servers.install import install

    install(Path(sys.argv[1]) / "mitmproxy", ["mitmproxy==11.0.2"])
