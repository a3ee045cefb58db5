"""What every sampler is given and gives back.

A sampler holds no state: it is handed what it needs to remember. It moves some items at once, each between its own
two places. Places are in float64 where the device has it, so that coefficients are exact; they come to the device
before the rollout begins (`core.rollout.journey`), so that no step waits for one.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from core.noise.denoiser import Denoiser
from core.noise.prediction import expand, to_clean, to_velocity
from core.noise.schedule import NoiseSchedule, Place

State = Float[Tensor, "n ..."]


@dataclass(frozen=True)
class Past:
    """One earlier step of a rollout.

    Attributes:
        place: where the items stood.
        state: (n, ...), the state that they left from.
        clean: (n, ...), the model's clean estimate there.
    """

    place: Place
    state: State
    clean: State

    def first(self, count: int) -> "Past":
        """The first `count` items."""
        return Past(self.place.first(count), self.state[:count], self.clean[:count])


Memory = tuple[Past, ...]
"""The past of the items that are still on their way, oldest first. Empty at the start of every rollout."""


class Model:
    """A denoiser during one rollout: answers with clean estimates or velocities, and counts.

    Attributes:
        schedule: the noise schedule.
        kind: what the denoiser predicts.
        calls: calls made so far.
        sample_forwards: items in those calls.
    """

    def __init__(
        self, denoiser: Denoiser, items: Tensor, *, schedule: NoiseSchedule, kind: str, dtype: torch.dtype
    ) -> None:
        """Takes the items' batch indices (each call concerns the first n) and the dtype of the network's inputs."""
        self.schedule = schedule
        self.kind = kind
        self.calls = 0
        self.sample_forwards = 0
        self._denoiser = denoiser
        self._items = items
        self._dtype = dtype

    def clean(self, state: State, place: Place) -> State:
        """The clean latent that the model sees in the first n items; one call."""
        alpha, sigma = _like(state, place.alpha), _like(state, place.sigma)
        return to_clean(self._predict(state, place), state, alpha=alpha, sigma=sigma, kind=self.kind)

    def velocity(self, state: State, place: Place) -> State:
        """`noise - clean` as the model sees them in the first n items; one call."""
        alpha, sigma = _like(state, place.alpha), _like(state, place.sigma)
        return to_velocity(self._predict(state, place), state, alpha=alpha, sigma=sigma, kind=self.kind)

    def _predict(self, state: Tensor, place: Place) -> Tensor:
        count = state.shape[0]
        noisy = state.to(self._dtype)
        prediction = self._denoiser(noisy, _like(noisy, place.timestep), self._items[:count])
        if prediction.shape != state.shape:
            raise ValueError(
                f"denoiser must predict the shape of its input {tuple(state.shape)}, got {tuple(prediction.shape)}"
            )
        self.calls += 1
        self.sample_forwards += count
        return prediction.to(state.dtype)


@runtime_checkable
class Sampler(Protocol):
    """Moves items one rollout step towards the clean end."""

    def step(self, model: Model, state: State, here: Place, there: Place, memory: Memory) -> tuple[State, Memory]:
        """Moves.

        Args:
            model: asked for estimates; `calls_per_step` of the registry says how often.
            state: (n, ...), the items' states at `here`; not to be changed in place.
            here: (n,), where they are.
            there: (n,), where they go; cleaner, item by item.
            memory: what this sampler returned one step earlier, cut to the n items that are still on their way.

        Returns:
            The states at `there`, and the memory for the next step.
        """
        ...


def times(weight: Float[Tensor, " n"], latent: State) -> State:
    """A (n,) coefficient times a (n, ...) latent, item by item, in the latent's precision."""
    return expand(_like(latent, weight), latent) * latent


def first_order(state: State, clean: State, here: Place, there: Place) -> State:
    """The exact solution while the clean estimate does not change: DDIM (Song et al. 2021, eq. 12 with eta = 0).

    `x_t = (s_t / s_s) x_s + (a_t - a_s s_t / s_s) D`, where the last bracket is the `-a_t (e^-h - 1)` of DPM-Solver++
    (Lu et al. 2022), written so that it is finite at a_s = 0 (h infinite) and at s_t = 0.
    """
    shrink = there.sigma / here.sigma
    return times(shrink, state) + times(there.alpha - here.alpha * shrink, clean)


def _like(latent: Tensor, weight: Tensor) -> Tensor:
    return weight.to(latent.dtype)
