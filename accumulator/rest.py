"""The run steps of a run over HTTP: the two endpoints of the API, and a run that survives a cut of its stream.

`list_run_steps` and `retrieve_run_step` ask for run steps. `resume` completes a run whose stream was cut. Each has an
async version, which runs under asyncio and trio. The requests are made with a client of httpx or httpx2 that the caller
hands in, and are sent again by stamina: `pip install 'delta-accumulator[rest]'`.

A `Service` says where the API is, and what its requests carry. `Service.openai()`, `Service.azure_openai(endpoint)` and
`Service.azure_foundry(endpoint)` name three, a base URL any other.
"""

from __future__ import annotations

from accumulator._assistants.run_steps import RunStepInclude
from accumulator._rest.endpoints import (
    alist_run_steps,
    aresume,
    aretrieve_run_step,
    list_run_steps,
    resume,
    retrieve_run_step,
)
from accumulator._rest.services import Service

__all__ = [
    "RunStepInclude",
    "Service",
    "alist_run_steps",
    "aresume",
    "aretrieve_run_step",
    "list_run_steps",
    "resume",
    "retrieve_run_step",
]

for _each in (Service, alist_run_steps, aresume, aretrieve_run_step, list_run_steps, resume, retrieve_run_step):
    _each.__module__ = __name__  # as in `accumulator`: pickles name the public module
