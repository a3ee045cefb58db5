"""What other tools say of flow matching alone: how timesteps are drawn, and which guidance FLUX.1 is told."""

from collections.abc import Callable
from typing import Any

from core.config.foreign.mapping import ABSENT, Key, Took, Values, own
from core.config.foreign.values import number_of

TIMESTEPS = "timesteps are drawn uniformly here, for flow matching logit-normally and without shift"
T5 = "T5 reads as many tokens here as its pipeline gives it: 256 for sd3, 512 for flux"
NOT_READ = "not read for this family"
GUIDED = "for flux alone"
SCHNELL = "schnell"
"""In the names of FLUX.1 models that are told no guidance."""

ByModel = Callable[[Values], Any]


def flow_key(name: str, there: ByModel, here: ByModel, words: str = TIMESTEPS, *, default: Any = None) -> Key:
    """A key of flow matching models whose values but one ask for something which is not done here.

    Args:
        name: The key.
        there: What its tool takes for a model where the file leaves it out; None where that model does not read it.
        here: The value for what is done here; None where there is none.
        words: What is done instead.
        default: What is shown as the tool's default; None where it depends on the model.
    """

    def take(value: Any, values: Values) -> Took:
        usual = there(values)
        if usual is None:
            return Took("ignored", words=NOT_READ)
        said = _plain(usual if value is None else value)
        return Took("ignored", words="as here") if said == _plain(here(values)) else Took("differs", words=words)

    return own(name, "", take, words, standing="differs", default=default)


def guidance_key(name: str, is_flux: Callable[[Values], bool], *, default: Any = ABSENT) -> Key:
    """A key with the guidance that FLUX.1 is told.

    Args:
        name: The key.
        is_flux: Whether the values are of such a model.
        default: What its tool takes where the file leaves it out.
    """

    def take(value: Any, values: Values) -> Took:
        if not is_flux(values):
            return Took("ignored", words=GUIDED)
        if is_schnell(values):
            return Took("ignored", words="schnell is told none")
        return Took("mapped", {"embedded_guidance": value})

    return own(name, "embedded_guidance", take, f"{GUIDED}; schnell is told none", default=default)


def _plain(value: Any) -> Any:
    number = number_of(value)
    return str(value).strip().lower() if number is None else number


def is_schnell(values: Values) -> bool:
    """Whether a model is told no guidance, by its name alone."""
    names = (str(values.get(key, "")).lower() for key in ("pretrained_model_name_or_path", "model_flavour"))
    return any(SCHNELL in name for name in names)
