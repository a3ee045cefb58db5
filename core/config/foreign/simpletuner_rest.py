"""SimpleTuner's keys that change nothing of what is learnt here."""

from core.config.foreign.mapping import Key, ignored

STORE = "runs have their own folder here"
MACHINE = "concerns the machine, not what is learnt"

REST: tuple[Key, ...] = (
    *(
        ignored(name, STORE)
        for name in ("output_dir", "cache_dir", "cache_dir_text", "cache_dir_vae", "logging_dir")
    ),
    ignored("resume_from_checkpoint", "`core resume RUN` goes on here"),
    *(
        ignored(name, "nothing is pushed from a training here")
        for name in ("push_to_hub", "push_checkpoints_to_hub", "hub_model_id", "model_card_private", "model_card_note")
    ),
    *(ignored(name, "concerns its tracking") for name in ("tracker_run_name", "tracker_project_name")),
    *(
        ignored(name, MACHINE)
        for name in (
            "quantize_via", "base_model_default_dtype", "vae_batch_size", "vae_dtype", "vae_enable_tiling",
            "vae_enable_slicing", "vae_cache_ondemand", "vae_cache_preprocess", "attention_mechanism",
            "fuse_qkv_projections", "dataloader_prefetch", "dataloader_prefetch_qlen", "write_batch_size",
            "read_batch_size", "image_processing_batch_size", "max_workers", "num_workers", "disable_tf32",
            "gradient_precision", "gradient_checkpointing_interval", "ema_device", "ema_decay",
            "offload_during_startup", "seed_for_each_device", "train_num_processes",
            "preserve_data_backend_cache",
        )
    ),
)  # fmt: skip
