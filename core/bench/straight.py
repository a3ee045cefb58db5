"""A LoRA DreamBooth loop as one writes it straightforwardly: pictures, VAE and text encoder at every step."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.optimization import get_scheduler
from peft import LoraConfig
from PIL import Image
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, Dataset
from transformers import CLIPTextModel, CLIPTokenizer


class Pictures(Dataset):
    """Reads, scales and tokenizes a picture whenever it is asked for."""

    def __init__(self, folder: Path, prompt: str, side: int, tokenizer: CLIPTokenizer):
        self.paths = sorted(folder.glob("*.png"))
        self.prompt, self.side, self.tokenizer = prompt, side, tokenizer

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        picture = Image.open(self.paths[index]).convert("RGB").resize((self.side, self.side))
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1
        tokens = self.tokenizer(
            self.prompt, truncation=True, padding="max_length", max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        )  # fmt: skip
        return pixels, tokens.input_ids[0]


class Straight:
    """Loads the parts of a base model; ``steps`` then trains.

    Args:
        base: a Stable Diffusion folder.
        pictures: a folder.
        prompt: of all pictures.
        side: in pixels.
        batch: items of a step.
        rank: of the LoRA on the attention layers.
        rate: learning rate.
    """

    def __init__(self, base: Path, pictures: Path, *, prompt: str, side: int, batch: int, rank: int, rate: float):
        self.accelerator = Accelerator()
        tokenizer = CLIPTokenizer.from_pretrained(base, subfolder="tokenizer")
        self.scheduler = DDPMScheduler.from_pretrained(base, subfolder="scheduler")
        self.text_encoder = CLIPTextModel.from_pretrained(base, subfolder="text_encoder").requires_grad_(False)
        self.vae = AutoencoderKL.from_pretrained(base, subfolder="vae").requires_grad_(False)
        self.unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet").requires_grad_(False)
        for part in (self.text_encoder, self.vae, self.unet):
            part.to(self.accelerator.device)
        self.data = DataLoader(Pictures(pictures, prompt, side, tokenizer), batch_size=batch, shuffle=True)
        self.rank, self.rate = rank, rate

    def steps(self) -> Iterator[None]:
        """Trains for ever; yields after each optimizer step."""
        layers = ["to_k", "to_q", "to_v", "to_out.0"]
        lora = LoraConfig(r=self.rank, lora_alpha=self.rank, init_lora_weights="gaussian", target_modules=layers)
        self.unet.add_adapter(lora)
        parameters = [parameter for parameter in self.unet.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=self.rate)
        rates = get_scheduler("constant", optimizer)
        unet, optimizer, data, rates = self.accelerator.prepare(self.unet, optimizer, self.data, rates)
        unet.train()
        while True:
            for pixels, tokens in data:
                with self.accelerator.accumulate(unet):
                    loss = self._loss(unet, pixels, tokens)
                    self.accelerator.backward(loss)
                    self.accelerator.clip_grad_norm_(parameters, 1.0)
                    optimizer.step()
                    rates.step()
                    optimizer.zero_grad()
                loss.detach().item()  # shown at every step
                yield

    def _loss(self, unet: torch.nn.Module, pixels: Tensor, tokens: Tensor) -> Tensor:
        latents = self.vae.encode(pixels).latent_dist.sample() * self.vae.config["scaling_factor"]
        noise = torch.randn_like(latents)
        timesteps = torch.randint(0, self.scheduler.config["num_train_timesteps"], (len(latents),)).long()
        timesteps = timesteps.to(latents.device)
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        condition = self.text_encoder(tokens)[0]
        prediction = unet(noisy, timesteps, condition).sample
        return mse_loss(prediction.float(), noise.float())
