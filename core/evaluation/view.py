"""What a model sees in noisy states: the clean latent and the noise that its prediction implies."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from core.noise.denoiser import Denoiser
from core.noise.prediction import to_clean, to_noise
from core.noise.schedule import Place


@dataclass(frozen=True)
class View:
    """A prediction, whatever its kind, taken apart.

    Attributes:
        clean: D(x, t), the clean estimate.
        noise: the noise estimate.
    """

    clean: Float[Tensor, "n ..."]
    noise: Float[Tensor, "n ..."]


def view_of(prediction: Float[Tensor, "n ..."], states: Float[Tensor, "n ..."], place: Place, kind: str) -> View:
    """Takes a prediction about states apart, in their precision. Formulas: ``core.noise.prediction``."""
    own = prediction.to(states.dtype)
    alpha, sigma = place.alpha.to(states.dtype), place.sigma.to(states.dtype)
    return View(
        to_clean(own, states, alpha=alpha, sigma=sigma, kind=kind),
        to_noise(own, states, alpha=alpha, sigma=sigma, kind=kind),
    )


def look(
    denoiser: Denoiser, states: Float[Tensor, "n ..."], place: Place, items: Int[Tensor, "n"], kind: str
) -> View:  # fmt: skip
    """One forward of each state."""
    return view_of(denoiser(states, place.timestep.to(states.dtype), items), states, place, kind)
