"""One micro-step in which every state that the rollouts visit is trained on."""

from contextlib import nullcontext

import torch
from torch import Tensor

from core.noise.prediction import to_clean
from core.rollout.visited import Visit, visit
from core.training.batches import Batch
from core.training.objective import States, state_losses
from core.training.step import StepOptions, StepOutcome, Trainer, predict_teacher_forced
from core.training.tally import Tally


def visited_step(trainer: Trainer, batch: Batch, options: StepOptions) -> StepOutcome:
    """Trains on all visited states, depth by depth; only one depth's graph exists at a time.

    The training forward runs in training mode, which is the same as evaluation mode here: dropout is refused.
    """
    lesson = _Lesson(trainer, batch, options)
    objective = options.objective
    trained = visit(
        lesson.train, batch.clean, batch.noise, batch.plan, schedule=objective.schedule, kind=objective.kind,
        sampler=options.sampler, order=options.order,
    )  # fmt: skip
    loss = torch.stack(lesson.losses).sum()
    return StepOutcome(loss, lesson.tally, batch.plan, trained, lesson.calls, lesson.forwards)


class _Lesson:
    """What happens at each depth, and what must be remembered from one to the next."""

    def __init__(self, trainer: Trainer, batch: Batch, options: StepOptions):
        self.trainer, self.batch, self.objective = trainer, batch, options.objective
        self.tally = Tally()
        self.losses: list[Tensor] = []
        self.calls = self.forwards = 0
        self.first_clean = self.first_error = torch.empty(0)  # depth 0: the estimates and their errors at the sources

    def train(self, at: Visit) -> Tensor:
        """Trains at one depth; the prediction, detached, moves the items on."""
        trainer, states = self.trainer, self._states(at)
        with torch.enable_grad():  # of a text encoder that is trained
            condition = self.batch.condition[at.items]
        unbiased = None
        if self.objective.reflexflow is not None and at.depth > 0:
            unbiased = predict_teacher_forced(trainer, states, condition)
            self.calls, self.forwards = self.calls + 1, self.forwards + len(at.items)
        share = self.batch.weight[at.items] * self.batch.share[at.depth, at.items]
        # gradients meet those of the other processes once, at the last depth: depths differ between processes
        with torch.enable_grad(), nullcontext() if at.last else trainer.held_back():
            prediction = trainer.predict(trainer.network, states.noisy, states.timestep, condition)
            loss = (state_losses(self.objective, states, prediction, unbiased, self.tally) * share).sum()
            trainer.backward(loss)
        self.losses.append(loss.detach())
        self._note_recovery(at, states, prediction.detach())
        return prediction.detach()

    def _states(self, at: Visit) -> States:
        batch, place = self.batch, at.place
        rolled = at.depth > 0
        everything = torch.arange(len(at.items), device=at.items.device)
        return States(
            noisy=at.noisy, teacher_forced=at.teacher_forced, timestep=place.timestep.float(),
            alpha=place.alpha.float(), sigma=place.sigma.float(), clean=batch.clean[at.items],
            noise=batch.noise[at.items], group=batch.group[at.order],
            rolled=torch.full_like(everything, rolled, dtype=torch.bool), own=everything if rolled else everything[:0],
            mask=None if batch.mask is None else batch.mask[at.items],
        )  # fmt: skip

    def _note_recovery(self, at: Visit, states: States, prediction: Tensor) -> None:
        """G2 against the sources, for nothing: both estimates are the training forwards' own.

        ``G2 = l(x̂_t) - l(x_u) - |D(x̂_t) - D(x_u)|² / d``; see ``core.evaluation.recovery``.
        """
        estimate = to_clean(
            prediction, states.noisy, alpha=states.alpha, sigma=states.sigma, kind=self.objective.kind
        )  # fmt: skip
        error = _mean_square(estimate - states.clean)
        if at.depth == 0:
            self.first_clean, self.first_error = estimate, error
            return
        count = len(at.items)
        moved = _mean_square(estimate - self.first_clean[:count])
        self.tally.add("rollout_g2", error - self.first_error[:count] - moved)


def _mean_square(latent: Tensor) -> Tensor:
    return latent.float().square().flatten(1).mean(1)
