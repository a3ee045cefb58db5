"""What tools call the architectures: one row a family. Stability AI's ModelSpec, and the names in kohya's scripts.

A LoRA's architecture is its base model's with ``/lora`` behind it. A base of another size than the released ones is
called by the released one whose layout it has.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

SD2_WIDTH = 1024
"""Width of the text encoder of Stable Diffusion 2.x."""
SD35_LARGE_LAYERS = 38
"""Blocks of the transformer of Stable Diffusion 3.5 large; medium has 24, as 3 has."""

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """How a family is called.

    Attributes:
        modelspec: By the network's configuration and what it predicts, without ``/lora``.
        kohya: Its ``ss_base_model_version``.
        tag: On the hub.
    """

    modelspec: Callable[[Facts, str], str]
    kohya: Callable[[Facts, str], str]
    tag: str


def _stable_diffusion(network: Facts, kind: str) -> str:
    if network.get("cross_attention_dim") != SD2_WIDTH:
        return "stable-diffusion-v1"
    return "stable-diffusion-v2-768-v" if kind == "v_prediction" else "stable-diffusion-v2-512"


def _stable_diffusion_kohya(network: Facts, kind: str) -> str:
    version = "sd_v2" if network.get("cross_attention_dim") == SD2_WIDTH else "sd_v1"
    return f"{version}_v" if kind == "v_prediction" else version


def _sd3(network: Facts, kind: str) -> str:
    if network.get("num_layers", 0) >= SD35_LARGE_LAYERS:
        return "stable-diffusion-3.5-large"
    return "stable-diffusion-3.5-medium" if network.get("dual_attention_layers") else "stable-diffusion-3-medium"


def _flux(network: Facts, kind: str) -> str:
    return "Flux.1-dev" if network.get("guidance_embeds") else "Flux.1-schnell"


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "stable_diffusion": Architecture(_stable_diffusion, _stable_diffusion_kohya, "stable-diffusion"),
        "sdxl": Architecture(
            lambda network, kind: "stable-diffusion-xl-v1-base",
            lambda network, kind: "sdxl_base_v1-0",
            "stable-diffusion-xl",
        ),
        "sd3": Architecture(
            _sd3,
            lambda network, kind: "sd3" if _sd3(network, kind).startswith("stable-diffusion-3-") else "sd3.5",
            "stable-diffusion-3",
        ),
        "flux": Architecture(_flux, lambda network, kind: "flux1", "flux"),
    }
)
"""By family."""
