"""Converts the embedded base model into its flow-matching twin: the same denoiser, trained on to predict velocities."""

import torch
from diffusers import UniPCMultistepScheduler

from assets.build.base import BATCH, BaseTraining

FLOW_STEPS = 5_000
FLOW_DECAY_STEPS = 2_000
UNIFORM_SHARE = 0.2
"""Share of the timesteps that is drawn uniformly; the others are logit-normal (Esser et al. 2024)."""


class FlowTraining(BaseTraining):
    """Starts from the averaged weights of the finished base model; the text encoder stays as it is."""

    name = "flow"
    learning_rate = 5e-4

    def _before_training(self) -> None:
        averages = torch.load(self.work / "base.ckpt.pt", weights_only=True)["average"]
        with torch.no_grad():
            for mine, averaged in zip(super().trained(), averages, strict=True):
                mine.copy_(averaged)
        self.text_encoder.requires_grad_(False)

    def trained(self) -> list[torch.nn.Parameter]:
        """The denoiser's."""
        return list(self.denoiser.parameters())

    @torch.no_grad()
    def _text(self, tokens: torch.Tensor) -> torch.Tensor:
        return super()._text(tokens)

    def _batch(self) -> tuple[torch.Tensor, ...]:
        """On the straight path: sigma = t / 1000, target noise - clean, all timesteps weighted alike."""
        random = torch.Generator().manual_seed(self.step)
        clean, tokens = self._pictures(random)
        even = torch.rand(BATCH, generator=random)
        bell = torch.sigmoid(torch.randn(BATCH, generator=random))
        sigma = torch.where(torch.rand(BATCH, generator=random) < UNIFORM_SHARE, even, bell)
        noise = torch.randn(clean.shape, generator=random)
        share = sigma[:, None, None, None]
        return (1 - share) * clean + share * noise, 1000 * sigma, tokens, noise - clean, torch.ones(BATCH)

    def scheduler(self) -> UniPCMultistepScheduler:
        """The one scheduler of diffusers that samples flow matching inside ``StableDiffusionPipeline``.

        It carries a table of betas too, which means nothing here.
        """
        return UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=1.0)
