"""Steps in tiles make the eager engine's numbers, whatever is cut and whatever is left over."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from core import tiles
from core.crew import Crew
from core.engine import EagerEngine
from core.tiles import Cut, Run, Tile, refused, tiles_of
from studio.build import build_trainer
from studio.gallery import load
from tests.core.test_trainer import small


def engine_of(name: str, **changes: object) -> EagerEngine:
    engine = build_trainer(small(name, training__precision="float64", compare=[], **changes)).engine
    assert isinstance(engine, EagerEngine)
    return engine


def listed(function: Any) -> Run:
    return lambda given: list(function(*given))


@pytest.mark.parametrize(("size", "near", "threads", "rows"), [
    (1000, 1000, 1, 0), (1300, 1000, 1, 0), (1301, 1000, 1, 1000), (5000, 333, 1, 250), (2048, 600, 1, 512),
    (997, 100, 1, 96), (5000, 7, 1, 0), (4000, 400, 1, 500),
    (5000, 333, 2, 250), (1000, 1000, 2, 500), (2000, 1000, 2, 500), (500, 1000, 2, 0), (5000, 333, 3, 250),
    (5400, 333, 3, 360), (8000, 1000, 4, 1000),
])
def test_tiles_are_near_the_limit_equal_where_they_can_be_and_some_for_every_thread(
        size: int, near: int, threads: int, rows: int) -> None:
    assert tiles._rows(size, near, threads) == rows
    assert tiles._rows(size, near, threads, limit=70) in range(28, 71) or size <= 70 or near < 8


def test_what_is_carried_decides_how_many_points_a_tile_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "NEAR", 8 * 8 * 4 * 8)  # eight points, eight neurons, four channels, float64
    assert tiles_of(engine_of("helmholtz-m2"), 1) == (Tile(0, 8, 2),)
    assert tiles_of(engine_of("helmholtz-m2"), 2) == (Tile(0, 8, 2),), "a tile is one thread's"
    assert tiles_of(engine_of("helmholtz-m2", network__hidden=[80, 8]), 1) == (), "fewer than eight points are no tile"
    weighted = engine_of("helmholtz-m2", balancing__points="residual-attention", balancing__rule="fixed",
                         sampling__every=0)
    assert tiles_of(weighted, 1) == (), "each point's weight is of all points"


@pytest.mark.parametrize(("name", "changes"), [
    ("helmholtz-m2", {}), ("helmholtz-m4", {}), ("cavity-vp-m2", {}), ("cavity-psi-m1", {}), ("kdv", {
        "balancing__points": "equal"}),
    ("accurate-allen-cahn", {"phases": []}),
    ("helmholtz-m1", {"network__slopes": "layer", "network__recovery": "paper"}),
    ("accurate-helmholtz-hard", {"phases": []}),
])
@pytest.mark.parametrize(("rows", "threads"), [(8, 1), (5, 2), (3, 3)])
def test_the_sum_over_tiles_is_the_step(name: str, changes: dict[str, Any], rows: int, threads: int) -> None:
    engine = engine_of(name, **changes)
    blocks = [block for block in engine.objective.blocks if block.equations.carried.order and not block.data]
    cut = Cut(engine, [Tile(block.start, rows, (block.stop - block.start) // rows) for block in blocks])
    assert sum(tile.count * tile.rows for tile in cut.tiles) > 0
    step, gradient, _ = engine.examples()
    generator = torch.Generator().manual_seed(2)

    def drawn(like: Tensor) -> Tensor:
        return torch.rand(like.shape, generator=generator, dtype=like.dtype)

    parts = [listed(cut.part(number)) for number in range(cut.parts)]
    crew = Crew(threads)
    given = [drawn(t) for t in step]
    for mine, theirs in zip(cut.step(parts, crew.results, listed(engine.optimizer.update), given),
                            engine.step(*given), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
    given = [drawn(t) for t in gradient]
    found = cut.gradient(parts, crew.results, given)
    for a, b in zip(found, engine.gradient(*given), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    for a, b in zip(found, cut.gradient(parts, Crew(1).results, given), strict=True):
        assert torch.equal(a, b), "the same bits, whoever computes"


def test_where_nothing_is_left_there_is_no_part_for_it() -> None:
    engine = engine_of("accurate-helmholtz-hard", phases=[])
    whole = engine.objective.blocks[0]
    assert Cut(engine, [Tile(0, whole.stop // 2, 2)]).parts == 1
    assert Cut(engine, [Tile(0, whole.stop // 2, 1)]).parts == 2


@pytest.mark.parametrize(("chunk", "cut", "why"), [
    (0, (Tile(0, 8, 2),), ""), (40, (Tile(0, 8, 2),), ""), (31, (), "portions"), (4, (), "portions"),
])
def test_portions_are_cut_where_all_but_one_is_inside(chunk: int, cut: tuple[Tile, ...], why: str,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "NEAR", 8 * 8 * 4 * 8)
    engine = engine_of("helmholtz-m2", training__chunk=chunk)
    assert engine.objective.points == 16 + 4 * 8 and bool(engine.portions) == (chunk > 0)
    assert tiles_of(engine, 1) == cut
    assert why in refused(engine) and bool(why) == bool(refused(engine))


@pytest.mark.parametrize(("bounds", "together"), [
    ({"FEWEST": 2, "TOGETHER": 5}, [5, 5, 5, 2]), ({"WAITING": 0}, [8, 8, 1]), ({}, [17]),
])
def test_many_tiles_are_added_up_a_few_at_a_time(bounds: dict[str, int], together: list[int],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of("helmholtz-m2")
    cut, crew, seen = Cut(engine, [Tile(0, 1, 16)]), Crew(2), []
    given = list(engine.examples()[1])
    parts = [listed(cut.part(number)) for number in range(cut.parts)]
    whole = cut.gradient(parts, crew.results, given)
    for name, value in bounds.items():
        monkeypatch.setattr(tiles, name, value)

    def made(calls: Any) -> list[list[Tensor]]:
        seen.append(len(calls))
        return crew.results(calls)

    for a, b in zip(cut.gradient(parts, made, given), whole, strict=True):
        assert torch.equal(a, b)
    assert seen == together


def test_where_tiles_do_not_pay_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "NEAR", 8 * 8 * 4 * 8)
    engine = engine_of("helmholtz-m2")
    assert len(tiles_of(engine, 2)) == 1
    monkeypatch.setattr(tiles, "LARGE", 0.1)
    assert tiles_of(engine, 2) == (), "the parameters are more to read than the points"
    monkeypatch.undo()
    monkeypatch.setattr(tiles, "NEAR", 14 * 8 * 4 * 8)  # the 16 points are near as they are, so for one thread only
    assert tiles_of(engine, 2) == (Tile(0, 8, 2),) and tiles_of(engine, 1) == ()
    conditions = [{"name": "walls", "equation": "u", "term": "boundary", "points": 40}]  # 160 values, 16 points of four
    engine = engine_of("helmholtz-m2", problem__conditions=conditions)
    assert tiles_of(engine, 2) == (), "one thread would have most of it"


def test_points_on_several_faces_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "NEAR", 8 * 8 * 4 * 8)
    walls = [{"name": "wall", "on": "boundary", "equation": "u_x = 0", "term": "boundary", "points": 40}]
    engine = engine_of("helmholtz-m2", problem__conditions=walls)
    assert engine.objective.points == 16 + 4 * 40
    cut = tiles_of(engine, 1)
    assert cut == (Tile(0, 8, 2),)


def test_sub_domains_and_averages_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "NEAR", 20_000)
    for name in ("burgers-cpinn-fixed", "eigenvalue-box-d1"):
        engine = build_trainer(load(name)).engine
        assert isinstance(engine, EagerEngine)
        assert tiles_of(engine, 1) == ()
