"""The full measurement: zero where the exact denoiser has zero, the known floor where it has one, and nothing twice."""

import math

import pytest
import torch
from analytic_flows import BentDenoiser, GaussianFlow, NoiseBlindOracle, ScaledFlow, euler_factor, predict_from_clean
from hypothesis import given
from hypothesis import strategies as st
from noise_schedules import SCHEDULES
from strategies import SEEDS, repeatable

from core.evaluation.chain import BANDS
from core.evaluation.drift import paired_probe
from core.evaluation.full import FULL_TARGETS, Material, full_forwards, full_record
from core.evaluation.recovery import recovery
from core.evaluation.short import REACH
from core.noise.prediction import KINDS
from core.runs import journal
from core.runs.drift import DriftRecord

GRID = torch.linspace(50, 950, 19)
PER_POINT = ("m1", "v", "v_channels", "lag", "lag_residual", "epsilon_norm", "g0", "g1", "g2", "restoring")


def schedule_of(kind):
    return SCHEDULES["flow" if kind == "flow_matching" else "stable_diffusion"]


def material(kind="flow_matching", *, count=8, side=16, mean=0.0, spread=1.0, seed=0, grid=GRID):
    generator = torch.Generator().manual_seed(seed)
    clean, noise = (torch.randn(count, 4, side, side, generator=generator) for _ in range(2))
    clean = mean + spread * clean
    return Material(clean, noise, torch.arange(count), clean, grid, schedule_of(kind), kind)


def record(denoiser, given, **changes):
    """The condition of a pair is its number, which is what the analytic denoisers call an item."""
    return full_record(denoiser, given, **changes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_knows_the_clean_latent_has_zero_where_zero_is_said(kind):
    given = material(kind)
    found = record(NoiseBlindOracle(given.clean, given.schedule, kind), given)
    for name in ("m1", "lag_residual", "epsilon_norm", "g0", "g1", "g2"):
        assert max(abs(value) for value in getattr(found, name)) < 1e-4, name
    assert max(abs(value) for value in found.lag) < 1e-3
    assert max(abs(value) for row in found.bands for value in row) < 1e-3
    assert max(abs(value) for row in found.free_bands for value in row) < 1e-3
    assert found.m1_mean < 1e-5


def test_the_exact_denoiser_of_gaussian_data_has_the_floors_of_m1_and_m6_in_closed_form():
    """Flow matching, Euler: x̂ = r x_u, so x̂ - x_t = (r a_u - a_t) x0 + (r s_u - s_t) e; D(x) = gain x."""
    spread = 0.6
    given = material(count=32, spread=spread)
    found = record(GaussianFlow(given.schedule, given.kind, mean=0.0, spread=spread), given)
    c2 = spread**2
    for index, t in enumerate(found.grid):
        sigmas = [t / 1000 + 0.05 * step for step in range(REACH, -1, -1)]
        ratio, u, s = euler_factor(sigmas, spread), sigmas[0], sigmas[-1]
        signal, noise = ratio * (1 - u) - (1 - s), ratio * u - s
        floor = math.sqrt((signal**2 * c2 + noise**2) / ((1 - s) ** 2 * c2 + s**2))
        assert found.m1[index] == pytest.approx(floor, rel=0.02)
        gain = (1 - s) * c2 / ((1 - s) ** 2 * c2 + s**2)
        assert found.restoring[index] == pytest.approx(gain, rel=1e-3)
        assert found.restoring_noise[index] == pytest.approx(gain, rel=1e-3)
    assert all(lag > 0 for lag in found.lag)  # less of this pair's clean latent than a true state has


@pytest.mark.parametrize("kind", KINDS)
def test_g2_is_zero_for_the_exact_denoiser_and_takes_the_sign_of_its_scale(kind):
    """Away from the clean end, where a shrunk denoiser's estimate has stopped growing."""
    given = material(kind, count=64, mean=0.4, spread=0.5, grid=GRID[4:])
    flow = GaussianFlow(given.schedule, kind, mean=0.4, spread=0.5)
    exact, shrunk, inflated = (record(ScaledFlow(flow, scale), given) for scale in (1.0, 0.8, 1.25))
    for g1, g2 in zip(exact.g1, exact.g2, strict=True):
        standard_error = 2 * (g1 - g2) ** 0.5 * 0.5 / given.clean.numel() ** 0.5
        assert abs(g2) < 4 * standard_error
    assert max(shrunk.g2) < -1e-4
    assert min(inflated.g2) > 1e-4


def test_a_planted_constant_error_of_the_velocity_is_found_by_every_paired_metric():
    """Off by c everywhere: each path ends off by c times the sigma it travelled, the clean estimate by -c sigma."""
    given, error = material(count=32), 0.25
    exact = NoiseBlindOracle(given.clean, given.schedule, given.kind)
    travelled = REACH * 0.05

    def denoiser(noisy, timestep, items):
        sigma = given.schedule.sigma(timestep).view(-1, 1, 1, 1)
        true = (1 - sigma) * given.clean[items] + sigma * given.noise[items]
        return exact(true, timestep, items) + error

    found = record(denoiser, given)
    m2 = given.clean.square().mean().item()
    for index, t in enumerate(found.grid):
        sigma = t / 1000
        strength = math.sqrt((1 - sigma) ** 2 * m2 + sigma**2)
        assert found.m1[index] == pytest.approx(error * travelled / strength, rel=1e-3)
        assert found.lag_residual[index] == pytest.approx(error * travelled / strength, rel=0.02)
        assert abs(found.lag[index]) < 0.05
        # D = x - s v, and the velocity ignores where the state is: the estimate moves as the state does
        assert found.restoring[index] == pytest.approx(1.0, abs=1e-3)
        # eps = x + a v: off by a c on true states, by a c less the distance travelled on its own
        off = [
            (given.noise + error * shift).flatten(1).norm(dim=1).mean() for shift in (1 - sigma - travelled, 1 - sigma)
        ]
        assert found.epsilon_norm[index] == pytest.approx((off[0] / off[1] - 1).item(), abs=1e-4)
        own = error * (-travelled - sigma)
        assert found.g0[index] == pytest.approx(own**2 - (error * sigma) ** 2, rel=1e-2)


def test_band_energy_finds_the_band_that_is_lost_off_the_true_path():
    """A model that errs once, and blurs whatever is off its pair's true path."""
    given = material("sample", count=8, grid=torch.tensor([100.0, 200.0, 300.0, 400.0, 600.0]))
    spectrum = torch.fft.fft2(given.clean)
    radius = (torch.fft.fftfreq(16)[:, None] ** 2 + torch.fft.fftfreq(16) ** 2).sqrt()
    blurred = torch.fft.ifft2(spectrum * (radius < 0.2)).real

    def denoiser(noisy, timestep, items):
        alpha, sigma = (f(timestep).view(-1, 1, 1, 1) for f in (given.schedule.alpha, given.schedule.sigma))
        true = alpha * given.clean[items] + sigma * given.noise[items]
        away = (noisy - true).abs().flatten(1).amax(1).view(-1, 1, 1, 1) > 1e-3
        return torch.where(away, blurred[items], given.clean[items]) + 0.1 * (timestep.view(-1, 1, 1, 1) > 500)

    (bands,) = record(denoiser, given).bands
    assert len(bands) == BANDS
    assert max(abs(value) for value in bands[:2]) < 0.1
    assert max(bands[-2:]) < -3


@pytest.mark.parametrize("slope", [0.2, 0.9])
def test_restoring_of_a_linear_denoiser_is_its_slope(slope):
    given = material("sample")
    found = record(lambda noisy, timestep, items: slope * noisy, given)
    assert list(found.restoring) == pytest.approx([slope] * len(found.grid), abs=1e-4)
    assert list(found.restoring_noise) == pytest.approx([slope] * len(found.grid), abs=1e-4)


def test_the_chain_of_the_exact_denoiser_ends_with_the_samplers_own_loss():
    grid, spread = torch.linspace(1000 / 8, 1000, 8), 0.6
    given = material(count=32, spread=spread, grid=grid)
    found = record(GaussianFlow(given.schedule, given.kind, mean=0.0, spread=spread), given)
    assert found.free_grid == tuple(grid.tolist())
    sigmas = [place / 8 for place in range(8, -1, -1)]
    for points in range(1, 9):
        sigma = sigmas[points - 1]
        strength = (1 - sigma) ** 2 * spread**2 + sigma**2
        expected = math.log(euler_factor(sigmas[:points], spread) ** 2 / strength)
        assert found.free_v[8 - points] == pytest.approx(expected, abs=0.03)
    end = 2 * math.log(euler_factor(sigmas, spread) / spread)
    assert end < -0.2
    assert found.free_bands[0] == pytest.approx([end] * BANDS, abs=0.3)
    assert found.free_bands[-1][0] < -5  # at the top the estimate is the mean, which has no energy


@pytest.mark.parametrize("points", [1, 2, 5, 6, 19])
def test_every_forward_is_made_once_and_announced(points):
    given = material(count=2, side=4, grid=GRID[:points])
    model, steps = BentDenoiser(given.schedule, given.kind), []
    found = record(model, given, on_step=lambda: steps.append(None))
    assert len(steps) == len(model.states) == full_forwards(points)
    asked = model.states[: -len(found.free_grid)]
    assert not any(torch.allclose(a, b) for index, a in enumerate(asked) for b in asked[:index])


def test_the_measurement_can_be_stopped():
    given = material(count=2)

    class Stop(BaseException):
        pass

    def stop():
        raise Stop

    with pytest.raises(Stop):
        record(BentDenoiser(given.schedule, given.kind), given, on_step=stop)


def test_all_fields_have_a_value_for_each_timestep():
    given = material(count=3)
    found = record(BentDenoiser(given.schedule, given.kind), given)
    assert (found.scope, found.step, found.base, found.pairs, found.chain) == ("full", 0, False, 3, None)
    assert len(found.grid) == FULL_TARGETS
    assert {len(getattr(found, name)) for name in (*PER_POINT, "restoring_noise", "bands")} == {FULL_TARGETS}
    assert {len(row) for row in found.v_channels} == {4}
    assert len(found.free_v) == len(found.free_bands) == len(found.free_grid) == 19
    assert found.m1_mean == pytest.approx(sum(found.m1) / FULL_TARGETS)


def test_a_record_survives_its_journal(tmp_path):
    given = material(count=2, grid=GRID[:3])
    found = record(NoiseBlindOracle(given.clean, given.schedule, given.kind), given)
    journal.append(tmp_path / "drift.jsonl", found.to_dict())
    (line,) = journal.read_all(tmp_path / "drift.jsonl")
    back = DriftRecord.from_dict(line)
    assert (back.scope, back.g2, back.free_bands, back.v_channels) == (
        "full", found.g2, found.free_bands, found.v_channels,
    )  # fmt: skip


def test_short_grids_and_tiny_latents_have_what_can_be_had():
    model = BentDenoiser(schedule_of("flow_matching"), "flow_matching")
    alone = record(model, material(count=2, grid=GRID[-1:]))
    assert (alone.grid, alone.m1, alone.bands) == ((), (), ())
    assert math.isnan(alone.m1_mean)
    assert len(alone.free_v) == 1
    tiny = record(model, material(count=2, side=4))
    assert tiny.bands == tiny.free_bands == ()
    assert len(tiny.m1) == FULL_TARGETS


def test_the_cheap_subset_and_the_recovery_gaps_are_the_same_numbers():
    given = material(count=4)
    flow = GaussianFlow(given.schedule, given.kind)
    found = record(flow, given)
    how = {"schedule": given.schedule, "kind": given.kind, "grid": given.grid, "targets": FULL_TARGETS}
    cheap, gaps = (take(flow, given.clean, given.noise, **how) for take in (paired_probe, recovery))
    assert (cheap.timesteps, cheap.m1, cheap.v, cheap.lag) == (found.grid, found.m1, found.v, found.lag)
    assert (gaps.g0, gaps.g1, gaps.g2) == (found.g0, found.g1, found.g2)


@repeatable(12)
@given(kind=st.sampled_from(KINDS), seed=SEEDS, points=st.integers(2, 8), side=st.sampled_from([4, 16]))
def test_two_arms_with_equal_noises_and_equal_denoisers_have_equal_records(kind, seed, points, side):
    """Whatever the global random state, which is left alone."""
    arms = [material(kind, count=2, side=side, seed=seed, grid=GRID[-points:]) for _ in range(2)]
    found = []
    for offset, arm in enumerate(arms):
        torch.manual_seed(seed + offset)
        before = torch.get_rng_state()
        found.append(record(BentDenoiser(arm.schedule, kind), arm).to_dict())
        assert torch.equal(torch.get_rng_state(), before)
    assert repr(found[0]) == repr(found[1])


def test_what_the_network_is_given_is_its_own_pairs_condition_without_gradient():
    given = material("sample", count=3)
    seen = []

    def predict(noisy, timestep, condition):
        seen.append((noisy.requires_grad, condition.tolist()))
        return predict_from_clean(noisy, noisy, timestep, given.schedule, "sample")

    record(predict, given)
    assert all(not gradient and items == [0, 1, 2] for gradient, items in seen)
