"""Which modules take an adapter, by ``lora_targets``: how their names end. Imports no torch."""

_UNET_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_UNET_FEED_FORWARD = (*_UNET_ATTENTION, "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
UNET = {
    "attention": _UNET_ATTENTION,
    "attention+feed_forward": _UNET_FEED_FORWARD,
    "all": (*_UNET_FEED_FORWARD, "conv1", "conv2", "conv_shortcut", "time_emb_proj"),
}
"""Of the UNet families."""

_JOINT_ATTENTION = (
    "to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out",
)  # fmt: skip
_JOINT_FEED_FORWARD = (*_JOINT_ATTENTION, "ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2")
SD3 = {
    "attention": _JOINT_ATTENTION,
    "attention+feed_forward": _JOINT_FEED_FORWARD,
    "all": (*_JOINT_FEED_FORWARD, "norm1.linear", "norm1_context.linear"),
}
"""Of Stable Diffusion 3 and 3.5: picture and text stream of each block."""

_SINGLE_FEED_FORWARD = (*_JOINT_FEED_FORWARD, "proj_mlp", "proj_out")
FLUX = {
    "attention": _JOINT_ATTENTION,
    "attention+feed_forward": _SINGLE_FEED_FORWARD,
    "all": (*_SINGLE_FEED_FORWARD, "norm1.linear", "norm1_context.linear", "norm.linear"),
}
"""Of FLUX.1: the blocks with two streams, then those with one. ``proj_out`` is that of the latter alone."""
TARGETS = {"stable_diffusion": UNET, "sdxl": UNET, "sd3": SD3, "flux": FLUX}
"""By family."""
CLIP_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj")
"""Of a CLIP text encoder that is trained: its attention."""
CLIP_ENCODERS = {
    "stable_diffusion": ("text_encoder",),
    "sdxl": ("text_encoder", "text_encoder_2"),
    "sd3": ("text_encoder", "text_encoder_2"),
    "flux": ("text_encoder",),
}
"""By family, by their names in the pipeline."""
