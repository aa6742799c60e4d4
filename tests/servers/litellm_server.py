"""The LiteLLM proxy, before an upstream that speaks the protocol."""
# It runs in the environment of the server: nothing that it imports is there for the type checkers.
# mypy: disable-error-code="import-not-found, no-any-unimported"
# pyright: basic, reportMissingImports=none

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from fastapi import FastAPI


def make_app(upstream: str, key: str) -> FastAPI:
    """Return the proxy of the server at this address; clients send this key."""
    upstream_parameters = {"api_key": "sk-upstream", "api_base": upstream, "max_retries": 0}
    config = {
        "model_list": [],
        "general_settings": {"master_key": key},
        "assistant_settings": {"custom_llm_provider": "openai", "litellm_params": upstream_parameters},
    }
    path = Path.home() / "config.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    os.environ["CONFIG_FILE_PATH"] = str(path)

    from litellm.proxy.proxy_server import app

    return cast("FastAPI", app)
