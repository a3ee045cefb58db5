"""Trains the text-conditioned denoiser of the embedded base model from scratch (v-prediction, zero terminal SNR)."""

import copy
import math
import time
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from assets.build.art import background_colours, centred, compose, contact_sheet
from assets.build.tokenizer import MAX_TOKENS
from assets.build.vocabulary import BACKGROUNDS, all_captions, caption

STEPS = 8_000
DECAY_STEPS = 2_500
"""The learning rate is constant, then falls linearly over the last DECAY_STEPS: before, a run can be lengthened."""
BATCH = 32
LEARNING_RATE = 1e-3
CAPTION_DROPOUT = 0.1
CHECKPOINT_EVERY = 500
GRID_EVERY = 1_000
GRID_PROMPTS: tuple[str, ...] = tuple(
    caption(*words)
    for words in (
        ("noto", "grinning cat", "white"), ("fluent", "grinning cat", "blue"), ("fluent", "fox", "gray"),
        ("noto", "pizza", "green"), ("fluent", "tropical fish", "white"), ("noto", "panda", "pink"),
        ("fluent", "red apple", "white"), ("noto", "grinning face", "blue"), ("noto", "frog", "yellow"),
        ("fluent", "lion", "pink"), ("fluent", "strawberry", "black"), ("noto", "hamburger", "green"),
        ("noto", "dog face", "red"), ("noto", "rose", "yellow"), ("fluent", "robot", "white"),
        ("noto", "octopus", "gray"),
    )
)  # fmt: skip
"""The fixed evaluation grid: sampled with seeds 0..15, never picked."""


def new_text_encoder(vocabulary: int) -> CLIPTextModel:
    """1.3 M parameters: two layers, 192 wide."""
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary, hidden_size=192, intermediate_size=576, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS, projection_dim=192, bos_token_id=0, eos_token_id=1, pad_token_id=1,
        )
    )  # fmt: skip
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=0.05)
    return model


def new_denoiser() -> UNet2DConditionModel:
    """9.3 M parameters: 64, 128 and 160 channels at 16, 8 and 4 pixels of latent."""
    return UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(64, 128, 160), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=192,
        attention_head_dim=4, norm_num_groups=16, addition_embed_type="text", addition_embed_type_num_heads=8,
        resnet_time_scale_shift="scale_shift",
    )  # fmt: skip


def new_scheduler() -> DDIMScheduler:
    """The schedule that is trained on, and the sampler that the pipeline starts with."""
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
        rescale_betas_zero_snr=True, timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True,
        steps_offset=1,
    )  # fmt: skip


@torch.inference_mode()
def encode_training_set(
    art: dict[tuple[str, str], torch.Tensor], autoencoder: AutoencoderTiny, tokenizer: CLIPTokenizer
) -> tuple[torch.Tensor, torch.Tensor]:
    """Every icon on every background: latents (n, 4, 16, 16), scaled, and token ids (n, 24)."""
    rows = list(all_captions())
    colours = dict(zip(BACKGROUNDS, background_colours(), strict=True))
    latents = []
    for start in range(0, len(rows), 64):
        chunk = rows[start : start + 64]
        rgba = torch.stack([art[style, noun] for style, noun, _, _ in chunk])
        background = torch.stack([colours[name] for _, _, name, _ in chunk])
        latents.append(autoencoder.encode(compose(rgba, background, centred(len(chunk)))).latents)
    texts = [text for *_, text in rows]
    return torch.cat(latents).clone() * autoencoder.config["scaling_factor"], token_ids(tokenizer, texts)


def token_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """(n, 24)"""
    encoded = tokenizer(texts, padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    return encoded.input_ids


class BaseTraining:
    """Denoiser, text encoder, their averages and the optimizer, as one resumable thing.

    Every random number is a function of (seed, step), so a run that was cut ends where an undisturbed one does.
    """

    name = "base"
    learning_rate = LEARNING_RATE

    def __init__(self, work: Path, latents: torch.Tensor, tokens: torch.Tensor, empty: torch.Tensor, vocabulary: int):
        torch.manual_seed(0)
        self.work, self.latents, self.tokens, self.empty = work, latents, tokens, empty
        self.text_encoder = new_text_encoder(vocabulary)
        self.denoiser = new_denoiser()
        self.denoiser.set_attn_processor(AttnProcessor())  # on a CPU its backward pass is the faster one at these sizes
        self.text_encoder.config._attn_implementation = "eager"
        self._before_training()
        self.parameters = self.trained()
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=self.learning_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )
        self.alphas_cumprod = new_scheduler().alphas_cumprod
        self.step = 0
        if self.checkpoint.exists():
            self._restore()

    def _before_training(self) -> None:
        """From scratch: the first values stay."""

    def trained(self) -> list[torch.nn.Parameter]:
        """What the optimizer moves."""
        return [*self.denoiser.parameters(), *self.text_encoder.parameters()]

    @property
    def checkpoint(self) -> Path:
        return self.work / f"{self.name}.ckpt.pt"

    def save(self) -> None:
        """Writes the checkpoint aside, then moves it into place."""
        aside = self.checkpoint.with_suffix(".new")
        state = {"parameters": self.parameters, "average": self.average, "optimizer": self.optimizer.state_dict()}
        torch.save({**state, "step": self.step}, aside)
        aside.replace(self.checkpoint)

    def _restore(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True)
        with torch.no_grad():
            for mine, saved in zip(self.parameters, state["parameters"], strict=True):
                mine.copy_(saved)
        self.average, self.step = [tensor.detach() for tensor in state["average"]], state["step"]
        self.optimizer.load_state_dict(state["optimizer"])

    def advance(self, steps: int, decay_steps: int) -> float:
        """One optimizer step; returns the unweighted mean squared error of the velocity."""
        rate = self.learning_rate * min(1.0, (self.step + 1) / 100)
        rate *= min(1.0, max(0.02, (steps - self.step) / decay_steps))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        noisy, timestep, tokens, target, weight = self._batch()
        with torch.autocast("cpu", torch.bfloat16):
            text = self._text(tokens)
            prediction = self.denoiser(noisy, timestep, text).sample.float()
        error = (prediction - target).pow(2).mean((1, 2, 3))
        (error * weight).mean().backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        decay = min((1 + self.step) / (30 + self.step), 0.999)
        torch._foreach_lerp_(self.average, [parameter.detach() for parameter in self.parameters], 1 - decay)
        return error.mean().item()

    def _text(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.text_encoder(tokens).last_hidden_state

    def _batch(self) -> tuple[torch.Tensor, ...]:
        random = torch.Generator().manual_seed(self.step)
        clean, tokens = self._pictures(random)
        timestep = torch.randint(0, 1000, (BATCH,), generator=random)
        noise = torch.randn(clean.shape, generator=random)
        signal = self.alphas_cumprod[timestep]
        alpha, sigma = (value.sqrt()[:, None, None, None] for value in (signal, 1 - signal))
        snr = signal / (1 - signal)
        weight = (snr.clamp(max=5) / (snr + 1)).clamp(min=0.15)  # min-SNR for v, with a floor for the noisiest steps
        return alpha * clean + sigma * noise, timestep, tokens, alpha * noise - sigma * clean, weight

    def _pictures(self, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        picks = torch.randint(0, len(self.latents), (BATCH,), generator=random)
        dropped = torch.rand(BATCH, 1, generator=random) < CAPTION_DROPOUT
        return self.latents[picks], torch.where(dropped, self.empty, self.tokens[picks])

    def scheduler(self) -> SchedulerMixin:
        """What the pipeline samples with."""
        return new_scheduler()

    def pipeline(self, autoencoder: AutoencoderTiny, tokenizer: CLIPTokenizer) -> StableDiffusionPipeline:
        """The averaged weights as a pipeline of their own."""
        denoiser, text_encoder = copy.deepcopy(self.denoiser), copy.deepcopy(self.text_encoder)
        places = {id(mine): place for mine, place in zip(self.trained(), self.average, strict=True)}
        with torch.no_grad():
            for copied, original in ((denoiser, self.denoiser), (text_encoder, self.text_encoder)):
                for mine, theirs in zip(copied.parameters(), original.parameters(), strict=True):
                    if id(theirs) in places:
                        mine.copy_(places[id(theirs)])
        return StableDiffusionPipeline(
            vae=autoencoder, text_encoder=text_encoder, tokenizer=tokenizer, unet=denoiser, scheduler=self.scheduler(),
            safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip


def evaluation_grid(pipeline: StableDiffusionPipeline, steps: int = 20, guidance: float = 2.0):
    """The 16 fixed prompts with seeds 0..15 as one picture."""
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(GRID_PROMPTS))]
    pictures = pipeline(
        list(GRID_PROMPTS), num_inference_steps=steps, guidance_scale=guidance, generator=generators, output_type="pt",
        height=64, width=64,
    ).images  # fmt: skip
    return contact_sheet(pictures * 2 - 1, columns=8)


def train_base(training: BaseTraining, autoencoder, tokenizer, steps: int, decay_steps: int, log=print) -> None:
    """Trains up to ``steps``, from the checkpoint if there is one, with a picture of the grid now and then."""
    started, first, errors = time.time(), training.step, []
    while training.step < steps:
        errors.append(training.advance(steps, decay_steps))
        if not math.isfinite(errors[-1]):
            raise FloatingPointError(f"the loss is not finite at step {training.step}")
        if training.step % 100 == 0:
            rate = (training.step - first) * BATCH / (time.time() - started)
            error = sum(errors) / len(errors)
            log(f"{training.name} {training.step}/{steps}: error {error:.4f}, {rate:.0f} pictures/s")
            errors.clear()
        if training.step % CHECKPOINT_EVERY == 0 or training.step == steps:
            training.save()
        if training.step % GRID_EVERY == 0 or training.step == steps:
            grid = evaluation_grid(training.pipeline(autoencoder, tokenizer))
            grid.save(training.work / f"{training.name}-grid-{training.step:06d}.png")
