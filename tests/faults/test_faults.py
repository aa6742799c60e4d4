"""Each fault of a server, over each client: what is folded, how the body ends, and what is raised."""

from __future__ import annotations

import tracemalloc
from functools import cache

import pytest

from tests.faults import clients
from tests.faults.clients import NAMES, Cell
from tests.faults.server import BOMB_SIZE, ROUTES, bomb
from tests.faults.table import FAULTS, README, ROWS, in_readme, put, render

cell_of = cache(clients.cell_of)


def test_each_route_has_its_cells_and_its_row() -> None:
    assert set(ROUTES) == set(FAULTS)
    assert sorted(ROUTES) == sorted(fault for faults in ROWS.values() for fault in faults)
    assert [] == [fault for fault, row in FAULTS.items() if tuple(row.cells) != NAMES]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_comes_to_what_its_cells_say(fault: str) -> None:
    assert FAULTS[fault].cells == {name: cell_of(fault, name) for name in NAMES}


def test_the_table_of_the_readme_is_what_the_runs_give() -> None:
    runs = {(fault, name): cell_of(fault, name) for fault in FAULTS for name in NAMES}
    assert render(runs) == in_readme(README.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_is_held_in_small_parts(name: str) -> None:
    bomb()
    tracemalloc.start()
    try:
        clients.cell_of("sends_a_gzip_bomb", name)
        assert tracemalloc.get_traced_memory()[1] < BOMB_SIZE // 8
    finally:
        tracemalloc.stop()


def test_a_client_that_differs_is_named() -> None:
    cells = {(fault, name): FAULTS[fault].cells[name] for fault in FAULTS for name in NAMES}
    usual = render(cells)
    assert "| sends comments until the caller gives up | all | truncated | `TruncatedError` | `TimeoutError` |" in usual
    cells["keeps_alive_for_ever", "aiohttp"] = Cell(1, "truncated", "accumulator.TruncatedError", "aiohttp.ClientError")
    row = "| all (aiohttp: 1 of 4) | truncated | `TruncatedError` | `TimeoutError` (aiohttp: the client's) |"
    assert row in render(cells)


def test_what_folds_to_nothing_is_said_so() -> None:
    cells = {(fault, name): FAULTS[fault].cells[name] for fault in FAULTS for name in NAMES}
    assert "another content type | none | None | `ResponseError` | none |" in render(cells)


def test_the_table_is_put_between_its_marks() -> None:
    readme = put("before\n<!-- faults -->\nold\n<!-- /faults -->\nafter\n", "new\n")
    assert "before\n<!-- faults -->\nnew\n<!-- /faults -->\nafter\n" == readme
    assert "new\n" == in_readme(readme)
