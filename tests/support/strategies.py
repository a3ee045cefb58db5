"""Hypothesis strategies for rollouts and configurations, and the settings under which they repeat themselves."""

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from noise_schedules import SCHEDULES, options

from core.config.spec import OptionSpec
from core.noise.prediction import KINDS
from core.noise.schedule import NoiseSchedule
from core.rollout.offsets import STRATEGIES
from core.rollout.plan import RolloutPlan, draw_plan
from core.rollout.samplers import ORDERS, SAMPLERS
from core.rollout.visited import draw_blocks
from core.training.timesteps import TIMESTEPS

SMALLEST = 2.0**-8
"""The cleanest fractional timestep above 0; trainings draw none below 1."""
SEEDS = st.integers(0, 999)
VISITING = [name for name, entry in SAMPLERS.items() if entry.calls_per_step == 1]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip)


def repeatable(examples: int) -> settings:
    """So many examples, the same ones every time; a slow machine is no failure."""
    return settings(
        max_examples=examples, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


@dataclass(frozen=True)
class Case:
    """What a rollout of one batch depends on, the network apart."""

    name: str
    kind: str
    options: SimpleNamespace
    timesteps: torch.Tensor
    grid: torch.Tensor | None
    probability: float
    seed: int

    @property
    def schedule(self) -> NoiseSchedule:
        return SCHEDULES[self.name]

    @property
    def solver(self) -> dict:
        return {"schedule": self.schedule, "kind": self.kind} | {
            name: getattr(self.options, name) for name in ("sampler", "order")
        }

    def plan(self) -> RolloutPlan:
        """Of mode fresh."""
        return draw_plan(self.options, self.timesteps, **self._draw())

    def blocks(self) -> tuple[RolloutPlan, torch.Tensor]:
        """Of mode visited."""
        density = TIMESTEPS[self.kind].density(self.schedule.last)
        return draw_blocks(self.options, self.timesteps, density=density, **self._draw())

    def latents(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Clean latents and noise of the batch."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn((2, len(self.timesteps), *shape), generator=generator).to(dtype)

    def _draw(self) -> dict:
        generator = torch.Generator().manual_seed(self.seed)
        return {
            "probability": self.probability, "last": self.schedule.last, "generator": generator, "grid": self.grid
        }  # fmt: skip


@st.composite
def cases(draw, longest=1000, batch=9, kinds=KINDS, names=tuple(SCHEDULES), modes=("fresh", "visited"), near=None):
    """Any valid combination; `near` pushes timesteps towards the noisy end, no further than that from it."""
    name, kind, mode = draw(st.sampled_from(names)), draw(st.sampled_from(kinds)), draw(st.sampled_from(modes))
    last = SCHEDULES[name].last
    stride = draw(st.just("inference") | st.integers(1, 60) | st.integers(1, last))
    grid = draw(grids(last)) if stride == "inference" else None
    reach = min(longest, len(grid) if stride == "inference" else last // stride)
    chosen = options(
        mode=mode, stride=stride, max_step_offset=draw(st.integers(0, reach)),
        strategy=draw(st.sampled_from(sorted(STRATEGIES))), order=draw(st.sampled_from(ORDERS)),
        sampler=draw(st.sampled_from(VISITING if mode == "visited" else sorted(SAMPLERS))),
    )  # fmt: skip
    low = 0 if near is None else last - near
    return Case(
        name=name, kind=kind, options=chosen, timesteps=draw(timesteps(low, last, batch)), grid=grid,
        probability=draw(st.sampled_from([0.0, 0.5, 1.0, 1.0]) | st.floats(0, 1)), seed=draw(SEEDS),
    )  # fmt: skip


@st.composite
def timesteps(draw, low, last, batch):
    """(1..batch,) whole or fractional, both ends often among them."""
    whole = st.sampled_from([low, last]) | st.integers(low, last)
    if draw(st.booleans()):
        return torch.tensor(draw(st.lists(whole, min_size=1, max_size=batch)))
    between = whole.map(float) | st.floats(max(low, SMALLEST), last, width=32)
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return torch.tensor(draw(st.lists(between, min_size=1, max_size=batch)), dtype=dtype)


@st.composite
def grids(draw, last):
    """Ascending timesteps up to the noisy end or not, evenly spaced, shifted or at random."""
    count = draw(st.integers(1, 40))
    even = torch.arange(1, count + 1, dtype=torch.float64) / count
    match draw(st.sampled_from(["even", "shifted", "whole", "random"])):
        case "even":
            return even * last
        case "shifted":
            shift = draw(st.floats(0.3, 6.0))
            return last * shift * even / (1 + (shift - 1) * even)
        case "whole":
            points = st.integers(0, last)
        case "random":
            points = st.floats(1.0, last, width=32)
    found = draw(st.lists(points, min_size=1, max_size=40, unique=True).filter(lambda some: max(some) > 0))
    return torch.tensor(sorted(found), dtype=torch.float32)


def valid_values(spec: OptionSpec) -> st.SearchStrategy:
    """Values that an option accepts by itself."""
    bounds = spec.bounds
    low = bounds.minimum if bounds.minimum is not None else bounds.above
    high = bounds.maximum if bounds.maximum is not None else bounds.below
    match spec.kind:
        case "bool":
            found = st.booleans()
        case "int":
            step = bounds.multiple_of if bounds.multiple_of is not None else 1
            found = st.integers(-(-low // step), high // step).map(lambda number: number * step)
        case "float":
            found = st.floats(low, high, exclude_min=bounds.above is not None, exclude_max=bounds.below is not None)
        case "choice":
            found = st.sampled_from(spec.choices)
        case "text":
            found = TEXT
        case "texts":
            found = st.lists(TEXT, max_size=4).map(tuple)
        case "int_or_choice":
            found = st.integers(low, high) | st.sampled_from(spec.choices)
    return st.none() | found if spec.nullable else found
