"""Every picture of numbers: a registry of matplotlib plots, drawn alike on the page, in reports and in files.

A plot is a function ``draw(series) -> Figure`` over a mapping from a label (an arm or a run) to its records. Nothing
here imports matplotlib until a plot is drawn, so listing the plots costs nothing.
"""

from __future__ import annotations

from core.plots.registry import Plot

PLOTS: dict[str, Plot] = {
    plot.name: plot
    for plot in (
        Plot("loss", "Training loss", "The loss of each step, thin, and its running mean, thick.", "steps", "loss"),
        Plot(
            "probability",
            "Rollout probability",
            "Thick: planned chance. Thin: share of items rolled out, lower by design, since k = 0 is drawn too.",
            "steps",
            "probability",
        ),
        Plot(
            "rollout_length",
            "Rollout length",
            "Mean rollout steps over all items of a step, those with k = 0 included.",
            "steps",
            "rollout_length",
        ),
        Plot(
            "rollout_drift",
            "Drift of the live rollouts",
            "How far the rolled states of the training itself lie from the true path.",
            "steps",
            "rollout_drift",
        ),
        Plot(
            "rollout_v",
            "Variance V of the live rollouts",
            "Paired with the true path at the same timesteps. Below another arm: rolled states shrink; above: they "
            "inflate.",
            "steps",
            "rollout_v",
        ),
        Plot(
            "rollout_g2",
            "Recovery gap G2 of the live rollouts",
            "Visited mode only. Above 0: errors are carried along; below 0: over-shrunk; a perfect model has 0.",
            "steps",
            "rollout_g2",
        ),
        Plot(
            "posterior_entropy",
            "Entropy of the posterior target",
            "How many training pictures the target mixes, as a logarithm; at 0 it is one picture.",
            "steps",
            "posterior_entropy",
        ),
        Plot(
            "posterior_nearest",
            "Nearest picture in the posterior target",
            "Share of the nearest training picture; at 1 the target is that picture alone.",
            "steps",
            "posterior_nearest",
        ),
        Plot(
            "reflexflow",
            "Parts of ReflexFlow's loss",
            "Thick: direction loss. Thin: weighted squared error. Running means before beta 1 and beta 2.",
            "steps",
            "reflexflow",
        ),
        Plot(
            "reflexflow_spread",
            "Spread of ReflexFlow's weights",
            "How far the weights of the squared error lie from 1; at 0 they do nothing.",
            "steps",
            "reflexflow_spread",
        ),
        Plot(
            "drift_m1",
            "Paired drift M1",
            "How far self-generated states lie from the true path, mean over the inference grid. Compare arms only: "
            "a perfect model is above 0 too.",
            "drift",
            "drift_m1",
        ),
        Plot(
            "drift_m1_timestep",
            "Paired drift M1 by timestep",
            "M1 at each timestep of the inference grid, at the last probe.",
            "drift",
            "drift_m1_timestep",
        ),
        Plot(
            "drift_v",
            "Variance V at the end of the chain",
            "Below another arm: its pictures are shrunk or washed out; above: inflated.",
            "drift",
            "drift_v",
        ),
        Plot("grad_norm", "Gradient norm", "Norm of the gradient before clipping.", "steps", "grad_norm"),
        Plot("learning_rate", "Learning rate", "Learning rate of each step.", "steps", "learning_rate"),
        Plot("ramp", "Probability over the training", "The chance of a rollout at each step.", "preview", "ramp"),
        Plot("offsets", "Rollout lengths drawn", "How often each length k is drawn.", "preview", "offsets"),
        Plot(
            "touched",
            "Timesteps touched",
            "Where rollouts start and what they pass. Safe: up to there anchored targets do not smooth, if measured.",
            "preview",
            "touched",
        ),
        Plot("cost", "Cost of a training step", "Time of a step relative to plain training.", "preview", "cost"),
    )
}
