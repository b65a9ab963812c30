"""Where points come from: invariants of each design, statistics of the adaptive ones with fixed seeds."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from core.choices import SamplingKind
from core.sampling import ADAPTIVE, Group, Sampler, Sampling

F64 = torch.float64
# an interior of 2-D points, one face on which the second column moves, and a point that cannot move
GROUPS = (Group(0, 81, (0, 1), 2, True, "the interior"), Group(81, 106, (1,), 2, False), Group(106, 107, (), 2, False))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def hump(draws: torch.Tensor) -> torch.Tensor:
    """A residual that grows along the first axis from 0 to 1."""
    return draws[:, 0]


def interior(kind: str, points: int, axes: int, seed: int = 0) -> np.ndarray:
    sampler = Sampler(Sampling(kind), [Group(0, points, tuple(range(axes)), axes, True)], F64)
    return sampler.draw(generator(seed)).numpy()


# ---------------------------------------------------------------------- all kinds

@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_uniform_is_what_torch_draws(dtype: torch.dtype) -> None:
    """Runs made before there was a choice stay the same, bit for bit."""
    ours, theirs = generator(4), generator(4)
    sampler = Sampler(Sampling(), GROUPS, dtype)
    for _ in range(2):
        assert torch.equal(sampler.draw(ours), torch.rand(107, 2, generator=theirs, dtype=dtype))


@pytest.mark.parametrize("kind", get_args(SamplingKind))
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_draws_are_in_the_unit_cube_and_follow_from_the_generator_and_the_last_draws(
        kind: str, dtype: torch.dtype) -> None:
    sampler = Sampler(Sampling(kind, candidates=100), GROUPS, dtype)
    random = generator(1)
    draws = sampler.draw(random, None, hump)
    for _ in range(3):
        assert draws.shape == (107, 2)
        assert draws.dtype == dtype
        assert float(draws.min()) >= 0
        assert float(draws.max()) <= 1
        state, previous, before = random.get_state(), draws, draws.clone()
        draws = sampler.draw(random, previous, hump)
        assert torch.equal(previous, before), "the last draws are left as they are"
        resumed = generator()
        resumed.set_state(state)
        again = Sampler(Sampling(kind, candidates=100), GROUPS, dtype).draw(resumed, previous, hump)
        assert torch.equal(again, draws)
        assert torch.equal(resumed.get_state(), random.get_state())


@pytest.mark.parametrize("kind", [k for k in get_args(SamplingKind) if k != "grid"])
def test_new_draws_differ_in_every_group(kind: str) -> None:
    sampler = Sampler(Sampling(kind, candidates=100), GROUPS, F64)
    random = generator()
    first = sampler.draw(random)
    second = sampler.draw(random, first, hump)
    for group in GROUPS[:2]:
        assert not torch.equal(first[group.start:group.stop], second[group.start:group.stop])


def test_torch_s_own_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    for kind in get_args(SamplingKind):
        sampler = Sampler(Sampling(kind, candidates=100), GROUPS, F64)
        sampler.draw(generator(), sampler.draw(generator()), hump)
    assert torch.equal(torch.get_rng_state(), before)


def test_points_are_due_at_the_start_and_then_every_so_often() -> None:
    def due(every: int) -> list[int]:
        sampler = Sampler(Sampling(every=every), GROUPS, F64)
        return [k for k in range(8) if sampler.due(k)]

    assert due(1) == list(range(8))
    assert due(3) == [0, 3, 6]
    assert due(0) == [0]


# ---------------------------------------------------------------------- designs

@pytest.mark.parametrize("points", [1, 7, 100])
def test_a_latin_hypercube_has_one_point_in_every_slice(points: int) -> None:
    draws = interior("latin-hypercube", points, 3)
    for axis in range(3):
        assert sorted((draws[:, axis] * points).astype(int)) == list(range(points))
    if points > 1:
        assert (draws[:, 0].argsort() != draws[:, 1].argsort()).any()


def test_each_group_is_a_design_of_its_own_on_its_free_axes() -> None:
    draws = Sampler(Sampling("latin-hypercube"), GROUPS, F64).draw(generator()).numpy()
    assert sorted((draws[:81, 0] * 81).astype(int)) == list(range(81))
    assert sorted((draws[81:106, 1] * 25).astype(int)) == list(range(25))


@pytest.mark.parametrize("seed", range(4))
def test_sobol_puts_one_point_in_every_box_of_a_net(seed: int) -> None:
    """The first two axes make a (0, m, 2)-net in base 2: 64 points, one in each box of 2^-a by 2^-(6-a)."""
    draws = interior("sobol", 64, 2, seed)
    for a in range(7):
        boxes = np.floor(draws * [2**a, 2 ** (6 - a)]) @ [2 ** (6 - a), 1]
        assert sorted(boxes.astype(int)) == list(range(64))


@pytest.mark.parametrize("seed", range(4))
def test_halton_puts_one_point_in_every_box_of_its_bases(seed: int) -> None:
    """2^3 x 3^2 points: one in each box of 1/8 by 1/9; and along the third axis one in each fifth of any five."""
    draws = interior("halton", 72, 3, seed)
    boxes = np.floor(draws[:, :2] * [8, 9]) @ [9, 1]
    assert sorted(boxes.astype(int)) == list(range(72))
    for k in range(0, 70, 5):
        assert sorted((draws[k:k + 5, 2] * 5).astype(int)) == list(range(5))


@pytest.mark.parametrize("kind", ["sobol", "halton", "latin-hypercube"])
def test_a_design_is_anywhere_with_equal_chance(kind: str) -> None:
    """Scrambled, each single point is uniform: the mean and mean square of the first over 150 draws."""
    first = np.array([interior(kind, 3, 2, seed)[0] for seed in range(150)])
    np.testing.assert_allclose(first.mean(0), 0.5, atol=4 / np.sqrt(12 * 150))
    np.testing.assert_allclose((first**2).mean(0), 1 / 3, atol=4 * np.sqrt(4 / 45 / 150))


@pytest.mark.parametrize("kind", ["sobol", "halton"])
def test_low_discrepancy_integrates_better_than_chance(kind: str) -> None:
    """The mean of exp(x + y + z), (e - 1)^3: 512 points at random are off by about 0.1."""
    errors = [np.exp(interior(kind, 512, 3, seed).sum(1)).mean() - (np.e - 1) ** 3 for seed in range(8)]
    assert np.sqrt(np.mean(np.square(errors))) < 0.02


def test_a_grid_has_its_ends() -> None:
    draws = Sampler(Sampling("grid"), GROUPS, F64).draw(generator()).numpy()
    ticks = np.arange(9) / 8
    assert {tuple(p) for p in draws[:81]} == {(x, y) for x in ticks for y in ticks}
    np.testing.assert_allclose(sorted(draws[81:106, 1]), np.arange(25) / 24)


def test_a_grid_that_does_not_come_out_even_is_refused_with_the_next_numbers() -> None:
    with pytest.raises(ValueError, match="a grid on 2 axes has m\\^2 points, and 128 of the interior is no such "
                                         "number; 121 or 144 would be"):
        Sampler(Sampling("grid"), [Group(0, 128, (0, 1), 2, True, "the interior")], F64)
    with pytest.raises(ValueError, match="rows 0 to 99 .* 64 or 125 would be"):
        Sampler(Sampling("grid"), [Group(0, 100, (0, 1, 2), 3, True)], F64)
    Sampler(Sampling("grid"), [Group(0, 1000, (0, 1, 2), 3, True)], F64)  # whose cube root is not exactly 10


# ---------------------------------------------------------------------- adaptive

def adapt(spec: Sampling, points: int, residual: Any, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An interior before and after one adaptive draw."""
    sampler = Sampler(spec, [Group(0, points, (0, 1), 2, True)], F64)
    random = generator(seed)
    before = sampler.draw(random)
    return before.numpy(), sampler.draw(random, before, residual).numpy()


@pytest.mark.parametrize("kind", ADAPTIVE)
def test_the_first_draws_are_uniform_and_later_ones_need_the_residual(kind: str) -> None:
    sampler = Sampler(Sampling(kind, candidates=100), GROUPS, F64)
    first = sampler.draw(generator(2))
    assert torch.equal(first, torch.rand(107, 2, generator=generator(2), dtype=F64))
    assert sampler.adaptive
    with pytest.raises(ValueError, match="follows the residual"):
        sampler.draw(generator(), first)


@pytest.mark.parametrize(("exponent", "offset"), [(1.0, 1.0), (2.0, 0.0), (1.0, 0.0)])
def test_rad_draws_by_its_density(exponent: float, offset: float) -> None:
    """Residual x: p(x) = (x^k (k + 1) + c) / (1 + c). Chi-square of 2000 points in 10 bins, 9 degrees of freedom."""
    _, after = adapt(Sampling("rad", candidates=200_000, exponent=exponent, offset=offset), 2000, hump, seed=3)
    edges = np.linspace(0, 1, 11)
    mass = np.diff(edges ** (exponent + 1) + offset * edges) / (1 + offset)
    counts = np.histogram(after[:, 0], edges)[0]
    assert ((counts - 2000 * mass) ** 2 / (2000 * mass)).sum() < 27.9  # exceeded by chance once in a thousand
    flat = np.histogram(after[:, 1], edges)[0]
    assert ((flat - 200) ** 2 / 200).sum() < 27.9
    assert len(np.unique(after, axis=0)) == 2000, "chosen without repetition"


def test_rad_chooses_among_its_candidates_and_needs_enough() -> None:
    seen = []
    adapt(Sampling("rad", candidates=300), 50, lambda draws: seen.append(len(draws)) or hump(draws))  # type: ignore[func-returns-value]
    assert seen == [300]
    with pytest.raises(ValueError, match="rad chooses 81 points of the interior among 80 candidates"):
        Sampler(Sampling("rad", candidates=80), GROUPS, F64)


def test_rad_lives_with_residuals_that_are_zero_or_not_finite() -> None:
    def spoilt(draws: torch.Tensor) -> torch.Tensor:
        return torch.where(draws[:, 0] > 0.5, torch.nan, torch.where(draws[:, 1] > 0.5, torch.inf, 0.0))

    for residual in (spoilt, lambda draws: torch.zeros(len(draws), dtype=F64)):
        _, after = adapt(Sampling("rad", candidates=120, offset=0.0), 100, residual)
        assert len(np.unique(after, axis=0)) == 100


def test_rar_d_replaces_the_share_with_the_smallest_residual() -> None:
    before, after = adapt(Sampling("rar-d", candidates=5000, share=0.25), 400, hump)
    moved = (before != after).any(1)
    assert moved.sum() == 100
    assert before[moved, 0].max() < before[~moved, 0].min()
    assert after[moved, 0].mean() == pytest.approx(0.75, abs=4 * np.sqrt(3 / 80 / 100)), "p(x) = 3 x^2"


def test_r3_retains_what_is_above_the_mean_and_draws_the_rest_uniformly() -> None:
    before, after = adapt(Sampling("r3"), 4000, hump)
    high = before[:, 0] > before[:, 0].mean()
    assert (before[high] == after[high]).all()
    assert (before[~high] != after[~high]).any(1).all()
    counts = np.histogram(after[~high, 0], np.linspace(0, 1, 11))[0]
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 27.9


@pytest.mark.parametrize("kind", ADAPTIVE)
def test_only_the_interior_follows_the_residual(kind: str) -> None:
    sampler = Sampler(Sampling(kind, candidates=100), GROUPS, F64)
    random, alike = generator(7), generator(7)
    first = sampler.draw(random)
    torch.rand(107, 2, generator=alike, dtype=F64)
    second = sampler.draw(random, first, hump)
    assert torch.equal(second[81:], torch.rand(107, 2, generator=alike, dtype=F64)[81:])


@pytest.mark.parametrize(("wrong", "words"), [
    ({"kind": "sobel"}, "no sampling 'sobel'"),
    ({"every": -1}, "-1 is negative"),
    ({"exponent": -1.0}, "exponent is zero or positive"),
    ({"share": 0.0}, "above 0 and at most 1"),
])
def test_wrong_parameters_get_a_sentence(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sampling(**wrong)


def test_groups_must_follow_each_other() -> None:
    with pytest.raises(ValueError, match="rows 5 to 9 .* does not go on from row 4"):
        Sampler(Sampling(), [Group(0, 4, (0,), 1, True), Group(5, 10, (0,), 1, True)], F64)
