"""The options of the base model and of the subject that it learns; diffusers' names are kept where it has them."""

from typing import Literal

from core.config.fields import Block, Text, option


class ModelOptions(Block):
    """Which base model is fine-tuned."""

    family: Literal["stable_diffusion", "sdxl", "sd3", "flux"] = option(
        "stable_diffusion",
        "Architecture of the base model: it decides how the model is loaded, prompted and noised.",
        label="Model family",
    )
    pretrained_model_name_or_path: Text = option(
        ...,
        "Base model: 'embedded' for the small one that ships with the workbench, 'embedded-flow' for its flow matching "
        "twin, a folder in diffusers' layout, a model's name on the hub, or a single .safetensors file.",
        label="Base model",
        basic=True,
    )
    single_file_config: Text | None = option(
        None,
        "For a base model that is a single .safetensors file: a local folder in diffusers' layout, of a model of the "
        "same kind, which lends configurations, scheduler and tokenizers, and text encoders and autoencoder where the "
        "file has none.",
        label="Folder for a single file",
    )
    revision: Text | None = option(
        None, "Branch, tag or commit of a hub model; unset takes its main branch.", label="Revision"
    )
    variant: Text | None = option(
        None, "Weight files of a hub model to prefer, such as fp16; unset takes the plain ones.", label="Variant"
    )
    embedded_guidance: float | None = option(
        None,
        "Guidance that a FLUX.1 base with a guidance embedding is told while it trains, rolls out and is probed; unset "
        "is 3.5.",
        label="Embedded guidance",
        ge=1.0,
        le=100.0,
    )

    @property
    def described_by(self) -> str:
        """What names the folder with the base model's configurations: itself, for a single file the lent one."""
        return self.pretrained_model_name_or_path if self.single_file_config is None else self.single_file_config


class DataOptions(Block):
    """What is learnt, and what must not be forgotten."""

    instance_data_dir: Text = option(
        ...,
        "Folder with the subject's pictures, and kohya's N_prompt folders in it; a .txt or .caption file beside a "
        "picture, or a line of metadata.jsonl, replaces the prompt for it.",
        label="Pictures of the subject",
        basic=True,
    )
    instance_prompt: Text = option(
        ...,
        "Prompt of every subject picture without a caption of its own; it should hold a rare word for the subject "
        "and the word for its class.",
        label="Instance prompt",
        basic=True,
    )
    class_data_dir: Text | None = option(
        None,
        "Folder with pictures of the class; unset, or with fewer than num_class_images, the base model draws the "
        "missing ones.",
        label="Pictures of the class",
    )
    class_prompt: Text | None = option(
        None,
        "Prompt of the class pictures, the instance prompt without the subject's word; needed for prior preservation.",
        label="Class prompt",
        basic=True,
    )
    with_prior_preservation: bool = option(
        False,
        "Trains on class pictures beside the subject's, so that the class prompt keeps drawing what it drew before.",
        label="Prior preservation",
        basic=True,
    )
    prior_loss_weight: float = option(
        1.0,
        "Weight of the class pictures' loss against the subject's; higher protects the class more and learns the "
        "subject more slowly.",
        label="Prior loss weight",
        ge=0.0,
        le=100.0,
    )
    num_class_images: int = option(
        100, "Class pictures that prior preservation uses.", label="Class pictures", unit="pictures", ge=1, le=10_000
    )
    resolution: int = option(
        512,
        "Side of the square that pictures are resized to; the base model's own resolution works best.",
        label="Resolution",
        unit="pixels",
        basic=True,
        ge=8,
        le=4096,
        multiple_of=8,
    )
    aspect_ratio_buckets: Text | None = option(
        None,
        "Sizes for pictures of different shapes, as height,width;height,width: each is trained at the one whose shape "
        "is nearest, and a batch holds one size; unset trains squares of resolution.",
        label="Aspect ratio buckets",
        unit="pixels",
    )
    center_crop: bool = option(
        True, "Cuts pictures that are not square in the middle; off cuts at a random place.", label="Centre crop"
    )
    random_flip: bool = option(
        False,
        "Mirrors pictures left to right half of the time; leave it off for subjects with writing or a parting.",
        label="Random flip",
    )
    masked_loss: bool = option(
        False,
        "Lets only what a picture's mask shows in white count in the loss; a mask is NAME-masklabel.png beside the "
        "picture, or masks/NAME.png. Pictures without one count whole.",
        label="Masked loss",
    )
    unmasked_weight: float = option(
        0.1,
        "With masked_loss, how much what a mask shows in black counts against what it shows in white; 0 lets the model "
        "do there whatever it likes.",
        label="Weight of the unmasked",
        ge=0.0,
        le=1.0,
    )
    caption_dropout: float = option(
        0.0,
        "Chance that an item is trained with an empty prompt, which keeps guidance working in long trainings.",
        label="Caption dropout",
        ge=0.0,
        le=1.0,
    )
