"""What a config will do, shown beside its fields before anything runs: cost, curves, differences."""

from __future__ import annotations

from app.form import heading, to_input
from app.html import cards, empty, escape, figures, table
from app.workbench import Workbench
from core.config.flat import difference
from core.config.presets import Preset
from core.config.run import RunConfig
from core.config.spec import option_specs
from core.rollout.cost import forecast

PREVIEWS = ("ramp", "offsets", "touched", "cost")


def about(preset: Preset) -> str:
    """What a preset is for."""
    whom = f" <strong>For whom:</strong> {escape(preset.for_whom)}" if preset.for_whom else ""
    return f'<p class="rw-text">{escape(preset.summary)}{whom}</p>'


def cost_cards(config: RunConfig) -> str:
    """Forecast cost of the rollout, means over the training."""
    options = config.scheduled_sampling
    if not options.enabled:
        return cards(
            {
                "Step time": ("1 ×", "plain training"),
                "Model calls": ("0", "per step, extra"),
                "Forwards": ("0", "per item, extra"),
            }
        )
    cost = forecast(options, items_per_step(config), config.training.max_train_steps, last=config.last_timestep)
    low, high = cost.relative_step_time, cost.relative_step_time_upper
    return cards(
        {
            "Step time": (
                f"{low:.2f} ×" if high - low < 0.005 else f"{low:.2f} to {high:.2f} ×",
                "of plain training, forecast",
            ),
            "Model calls": (f"{cost.rollout_calls_per_step:.1f}", "per step, extra"),
            "Forwards": (f"{cost.rollout_forwards_per_item:.2f}", "per item, extra"),
        }
    )


def items_per_step(config: RunConfig) -> int:
    """Items that advance together: prior preservation adds as many class items."""
    return config.training.train_batch_size * (2 if config.data.with_prior_preservation else 1)


def rollout_charts(workbench: Workbench, config: RunConfig) -> str:
    """The previews, drawn once for each set of options that they depend on."""
    from core.plots.preview import Preview

    shown = Preview.of(config)
    signature = repr(shown)
    names = PREVIEWS if shown.options.enabled else ()
    return figures(workbench.charts.show(name, signature, signature, lambda: {"rollout": [shown]})[0] for name in names)


def differences(base: Preset, config: RunConfig) -> str:
    """Options that differ from the preset."""
    specs = option_specs()
    rows = [
        [heading(specs[name]), str(to_input(specs[name], before)), str(to_input(specs[name], now))]
        for name, (before, now) in difference(base.config, config).items()
    ]
    if not rows:
        return empty(f"Nothing differs from the preset “{base.title}”.")
    return table(["Setting", "Preset", "Now"], rows, f"What differs from the preset “{base.title}”")
