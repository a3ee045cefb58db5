"""What a config will do, shown beside its fields before anything runs: curves and differences."""

from __future__ import annotations

from app.form import heading, to_input
from app.html import empty, escape, figures, table
from app.workbench import Workbench
from core.config.flat import difference
from core.config.presets import Preset
from core.config.run import RunConfig
from core.config.spec import option_specs

PREVIEWS = ("ramp", "offsets", "touched", "cost")


def about(preset: Preset) -> str:
    """What a preset is for."""
    whom = f" <strong>For whom:</strong> {escape(preset.for_whom)}" if preset.for_whom else ""
    return f'<p class="rw-text">{escape(preset.summary)}{whom}</p>'


def rollout_charts(workbench: Workbench, config: RunConfig) -> str:
    """The previews, drawn once for each set of options that they depend on."""
    from core.plots.preview import Preview

    shown = Preview.of(config, workbench.measurement(config))
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
