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
            "How far self-generated states lie from the true path, mean over the inference grid. Compare arms "
            "only: a perfect model is above 0 too.",
            "drift",
            "drift_m1",
        ),
        Plot(
            "drift_m1_timestep",
            "Paired drift M1 by timestep",
            "M1 at each timestep of the inference grid, at the last measurement.",
            "drift",
            "drift_m1_timestep",
        ),
        Plot(
            "drift_heat",
            "Paired drift M1 by timestep and step",
            "Yellow is more drift, one scale for all panels. Noise on the left, the picture on the right; "
            "training goes upward.",
            "drift",
            "drift_heat",
        ),
        Plot(
            "drift_v",
            "Variance V of short paths by timestep",
            "States that the model reached by a few own steps. Below another arm: they shrink; above: they inflate.",
            "drift",
            "drift_v",
        ),
        Plot(
            "drift_free",
            "Variance V along the whole chain",
            "From pure noise on the left to the picture. Read the distance between arms: the sampler's own error "
            "is in all.",
            "drift",
            "drift_free",
        ),
        Plot(
            "drift_lag",
            "Lag M2 by timestep",
            "Above 0 the states are noisier than the noise schedule says (behind), below 0 ahead. Below: what "
            "that leaves unexplained.",
            "drift",
            "drift_lag",
        ),
        Plot(
            "drift_epsilon",
            "Norm of the predicted noise by timestep",
            "On the model's own states against the true ones; about 0 for a perfect model, effects are 0.5 to 2 %.",
            "drift",
            "drift_epsilon",
        ),
        Plot(
            "drift_recovery",
            "Recovery gaps by timestep",
            "Thick G2: above 0 errors are carried along, below 0 over-shrunk. Thin G1, dotted G0: they fall while "
            "samples get worse, so never read them alone.",
            "drift",
            "drift_recovery",
        ),
        Plot(
            "drift_restoring",
            "Restoring coefficient M6 by timestep",
            "Share of a displacement that the clean estimate carries on. Thick: own drift, read against the base "
            "model. Thin: isotropic noise, ideally 0.",
            "drift",
            "drift_restoring",
        ),
        Plot(
            "drift_bands",
            "Band energy M4 by timestep",
            "Clean estimates on own states against those on true ones. Blue: energy is missing; red: too much; "
            "about 0 for a perfect model.",
            "drift",
            "drift_bands",
        ),
        Plot(
            "chain_v",
            "Variance V of finished samples",
            "Below another arm: its pictures are shrunk or washed out; above: inflated. Thin grey line: alarm, 5 "
            "% below the reference.",
            "drift",
            "chain_v",
        ),
        Plot(
            "chain_diversity",
            "Diversity of finished samples",
            "1 is as varied as the training set. Thin grey line: alarm, 10 % below the reference.",
            "drift",
            "chain_diversity",
        ),
        Plot(
            "frontier_seconds",
            "Score against training time",
            "Small: a run. Large: the mean of an arm. What the score is bought for.",
            "scores",
            "frontier_seconds",
        ),
        Plot(
            "frontier_forwards",
            "Score against compute",
            "Forward equivalents: forwards without gradient, plus 3 for each trained state. Small: a run. Large: "
            "the mean of an arm.",
            "scores",
            "frontier_forwards",
        ),
        Plot(
            "differences",
            "Differences from the reference",
            "A dot a training seed, a diamond for the mean, a line for its interval from five seeds on. Left of "
            "0: lower than the reference.",
            "comparisons",
            "differences",
        ),
        Plot(
            "sweep_steps",
            "Scores by sampling steps",
            "Samples of the trained model drawn with fewer or more steps, at the same guidance.",
            "drift",
            "sweep_steps",
        ),
        Plot(
            "sweep_guidance",
            "Scores by guidance",
            "Samples of the trained model drawn with other guidance, at the same number of steps.",
            "drift",
            "sweep_guidance",
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
