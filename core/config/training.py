"""The options of the optimisation and of the adapter; diffusers' names are kept where it has them."""

from typing import Annotated, Literal

from pydantic import Field

from core.config.fields import MOST_STEPS, Block, Text, option


class TrainingOptions(Block):
    """How the LoRA is optimised."""

    train_batch_size: int = option(
        1,
        "Items per forward on each device; prior preservation adds as many class items.",
        label="Batch size",
        unit="items",
        basic=True,
        ge=1,
        le=1024,
    )
    gradient_accumulation_steps: int = option(
        1,
        "Batches whose gradients are summed up before one optimizer step; multiplies the effective batch at no memory.",
        label="Gradient accumulation",
        unit="batches",
        ge=1,
        le=1024,
    )
    num_processes: int = option(
        1,
        "Processes that train together, a device each, under accelerate launch; multiplies the effective batch. 1 "
        "takes as many as a launcher of your own starts.",
        label="Processes",
        unit="processes",
        ge=1,
        le=1024,
    )
    accelerate_config_path: Text | None = option(
        None,
        "File that accelerate config wrote, for what num_processes does not say, such as several machines; a copy is "
        "frozen into the run. With FSDP 2 the base model is split over the processes.",
        label="Accelerate config",
    )
    gradient_checkpointing: bool = option(
        False,
        "Recomputes the denoiser's activations in the backward pass: much less memory, a third more time per step.",
        label="Gradient checkpointing",
    )
    optimizer: Literal["adamw", "adamw_8bit", "prodigy"] = option(
        "adamw",
        "AdamW, the same with its state in 8 bits, which saves memory, or Prodigy, which finds its own step size; the "
        "last two are extras to install.",
        label="Optimizer",
    )
    learning_rate: float = option(
        1e-4,
        "Peak step size of the optimizer; too high breaks the pictures, too low leaves the subject unlearnt. Prodigy "
        "multiplies its own by it: take 1.",
        label="Learning rate",
        basic=True,
        gt=0.0,
        le=1.0,
    )
    text_encoder_lr: Annotated[float, Field(gt=0.0, le=1.0)] | None = option(
        None,
        "Learning rate of the text encoders' LoRA with train_text_encoder, on the same course; unset takes "
        "learning_rate.",
        label="Text encoder learning rate",
    )
    lr_scheduler: Literal["constant", "constant_with_warmup", "linear", "cosine", "polynomial"] = option(
        "constant",
        "Course of the learning rate over the run; all but constant begin with the warm-up.",
        label="Learning rate course",
    )
    lr_warmup_steps: int = option(
        0,
        "Optimizer steps over which the learning rate rises from 0; not used by constant.",
        label="Warm-up",
        unit="optimizer steps",
        ge=0,
        le=MOST_STEPS,
    )
    max_train_steps: int = option(
        500,
        "Optimizer steps of the whole run; more learns the subject better and copies its pictures more.",
        label="Training length",
        unit="optimizer steps",
        basic=True,
        ge=1,
        le=MOST_STEPS,
    )
    checkpointing_steps: int = option(
        500,
        "Optimizer steps between checkpoints that a run can resume from; 0 keeps only the final one.",
        label="Checkpoint every",
        unit="optimizer steps",
        ge=0,
        le=MOST_STEPS,
    )
    checkpoints_total_limit: Annotated[int, Field(ge=1, le=10_000)] | None = option(
        2, "Checkpoints that are kept, the newest ones; unset keeps all.", label="Checkpoints kept", unit="checkpoints"
    )
    mixed_precision: Literal["no", "bf16", "fp16"] = option(
        "no",
        "Number format of the frozen network, of the text encoders' linear layers, and of their forwards: no is "
        "float32; bf16 and fp16 halve their memory and need a device that has them. The LoRA, its optimizer and the "
        "rollout's states stay in float32.",
        label="Mixed precision",
    )
    seed: int = option(
        42,
        "Start of every random stream; equal seeds give equal pictures, timesteps and noises, whatever the rollout "
        "options.",
        label="Seed",
        basic=True,
        ge=0,
        le=2**32 - 1,
    )
    max_grad_norm: float = option(
        1.0,
        "Longer gradients are shortened to this norm, which tames outliers.",
        label="Gradient clipping",
        gt=0.0,
        le=1e6,
    )
    snr_gamma: Annotated[float, Field(gt=0.0, le=1000.0)] | None = option(
        None,
        "Min-SNR weighting of the loss over the timesteps, 5 is usual; unset weights all timesteps alike.",
        label="Min-SNR gamma",
    )
    input_perturbation: float = option(
        0.0,
        "Fresh noise, times this, that the network sees on top of the noise it has to predict (Ning et al. 2023: 0.1); "
        "a control without rollout, 0 is off.",
        label="Input perturbation",
        ge=0.0,
        le=10.0,
    )
    placebo_of: Text | None = option(
        None,
        "Run folder beside this one, trained with the same rollout: its measured drift is put in as plain noise where "
        "this run would roll out; a control, unset is off.",
        label="Placebo of",
    )
    adam_beta1: float = option(
        0.9,
        "AdamW and Prodigy: share of the running mean of gradients kept each step.",
        label="Adam beta 1",
        ge=0.0,
        lt=1.0,
    )
    adam_beta2: float = option(
        0.999,
        "AdamW and Prodigy: share of the running mean of squared gradients kept each step.",
        label="Adam beta 2",
        ge=0.0,
        lt=1.0,
    )
    adam_weight_decay: float = option(
        0.01,
        "AdamW and Prodigy: pull of the LoRA weights towards zero, times the learning rate.",
        label="Weight decay",
        ge=0.0,
        le=10.0,
    )
    adam_epsilon: float = option(
        1e-8,
        "AdamW and Prodigy: added to the root of the squared gradients so that nothing is divided by zero.",
        label="Adam epsilon",
        gt=0.0,
        le=1.0,
    )


class LoraOptions(Block):
    """The size and the place of the adapter."""

    rank: int = option(
        8,
        "Rank of the LoRA matrices: higher can learn more, in a larger file, and copies the pictures sooner.",
        label="LoRA rank",
        basic=True,
        ge=1,
        le=1024,
    )
    lora_alpha: float = option(
        8.0,
        "The LoRA's output is scaled by lora_alpha / rank; equal to rank means 1.",
        label="LoRA alpha",
        gt=0.0,
        le=10_000.0,
    )
    lora_dropout: float = option(
        0.0,
        "Share of the LoRA's inputs set to zero while training; never inside a rollout, and 0 in visited mode.",
        label="LoRA dropout",
        ge=0.0,
        lt=1.0,
    )
    lora_targets: Literal["attention", "attention+feed_forward", "all"] = option(
        "attention",
        "Layers of the denoiser that get a LoRA: attention alone, with feed-forward and projections, or all, which "
        "adds convolutions and the time embedding and is what small base models need.",
        label="LoRA layers",
    )
    train_text_encoder: bool = option(
        False,
        "Gives the attention of the CLIP text encoders a LoRA too, of the same rank and alpha: new words are learnt "
        "better and old ones bent sooner. Each step then encodes its prompts anew.",
        label="Train text encoders",
    )
