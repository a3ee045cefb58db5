"""Which modules take an adapter, by ``lora_targets``: how their names end. Imports no torch."""

_UNET_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_UNET_FEED_FORWARD = (*_UNET_ATTENTION, "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
UNET = {
    "attention": _UNET_ATTENTION,
    "attention+feed_forward": _UNET_FEED_FORWARD,
    "all": (*_UNET_FEED_FORWARD, "conv1", "conv2", "conv_shortcut", "time_emb_proj"),
}
"""Of the UNet families."""
