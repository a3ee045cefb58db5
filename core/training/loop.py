"""The training loop: steps, validations, checkpoints, and the final adapter."""

import contextlib
import json
import math
import time
from contextlib import AbstractContextManager

import psutil
import torch
from torch import Tensor

from core.config.flat import flatten
from core.errors import RunError
from core.rollout.ramp import probability_at
from core.runs import journal
from core.runs.folder import RunFolder
from core.runs.records import StepRecord, record_event
from core.training.batches import Position, seed_dropout
from core.training.build import Parts
from core.training.checkpoints import Checkpoint, list_checkpoints, load_checkpoint, save_checkpoint
from core.training.final_adapter import save_final_adapter
from core.training.heed import heed
from core.training.report import Report, Stopped
from core.training.sharding import meet
from core.training.step import StepOutcome, Trainer, fresh_step
from core.training.summary import summarise
from core.training.tracking import scalars
from core.training.upkeep import cut_back, require_room_to_train, tidy
from core.training.validation import is_probed, validate, warn, was_validated
from core.training.visited_step import visited_step

MIB = 2**20
NAMED = 8  # so many pictures of a batch are named in a sentence
MICRO_STEPS = {"fresh": fresh_step, "visited": visited_step}


class Loop:
    """Advances a run from where it is to its last step.

    Everything that is written belongs to optimizer steps that were taken: step 0 is the untouched base.
    """

    def __init__(self, folder: RunFolder, parts: Parts, report: Report):
        self.folder, self.parts, self.report = folder, parts, report
        self.total = parts.config.training.max_train_steps
        self.keep = parts.config.training.checkpoints_total_limit
        self.step = 0
        self.elapsed = 0.0
        self.saved = self.validated = -1  # the last steps at which a checkpoint was saved, and pictures were drawn
        self.main = parts.accelerator.is_main_process
        self.trainer = _trainer(parts)

    def begin_anew(self) -> None:
        """Begins at step 0; what an earlier life without a checkpoint left in the journals is cut off."""
        if self.main:
            tidy(self.folder, self.keep)
            cut_back(self.folder, -1)

    def resume_from(self, checkpoint: Checkpoint) -> None:
        """Goes back to a checkpoint; what the journals hold of later steps is cut off."""
        parts = self.parts
        network = parts.accelerator.unwrap_model(parts.network)
        load_checkpoint(
            checkpoint, network, parts.optimizer, parts.scheduler, parts.conditions.encoders, parts.accelerator.scaler
        )
        if parts.zero is not None:
            parts.zero.spread()
        self.step = self.saved = checkpoint.step
        self.validated = self.step if was_validated(parts, self.folder, self.step) else -1
        if self.main:
            tidy(self.folder, self.keep)
            lost = cut_back(self.folder, checkpoint.step)
            kept = journal.read_all(self.folder.metrics_path)
            self.elapsed = float(kept[-1].get("elapsed") or 0.0) if kept else 0.0
            again = f"; {lost} steps are taken again" if lost > 0 else ""
            text = f"resumed after step {checkpoint.step}{again}"
            record_event(self.folder.events_path, "resume", text, step=checkpoint.step, lost=lost)
            if self.validated == self.step and is_probed(parts):
                warn(self.folder, self.step)  # a kill may have come between a measurement and its alarms

    def run(self) -> None:
        """Trains to the end and saves the adapter.

        Raises:
            Stopped: on request, after a checkpoint was saved.
            RunError: the loss is not finite, or the disk cannot take what has to be written.
        """
        try:
            self._advance()
        except Stopped:  # it is raised between steps only
            if self.step > 0 and self.saved != self.step:
                self.save()
            raise

    def _advance(self) -> None:
        if self.main and self.step < self.total:
            require_room_to_train(self.folder, self.parts, self.step)
        if self._validation_due():
            self.validate()
        self.training_phase()
        while self.step < self.total:
            heed(self)
            self.take_step()
            if self._checkpoint_due():
                self.save()
            if self._validation_due():
                self.validate()
                self.training_phase()
        heed(self)
        self._finish()

    def training_phase(self) -> None:
        """Says that steps are taken again, where some are left."""
        if self.step < self.total:
            self.report.phase("training", "training", self.total, "step", done=self.step, stoppable=False)
            self.report.step(self.step, self.total)

    def _checkpoint_due(self) -> bool:
        every = self.parts.config.training.checkpointing_steps
        return (every > 0 and self.step % every == 0) or self.step == self.total

    def _validation_due(self) -> bool:
        every = self.parts.config.validation.validation_steps
        due = self.step in (0, self.total) or (every > 0 and self.step % every == 0)
        return due and self.validated != self.step

    def take_step(self) -> None:
        """One optimizer step, and its record."""
        parts, began = self.parts, time.perf_counter()
        config, accelerator = parts.config, parts.accelerator
        rollout = config.scheduled_sampling
        probability = probability_at(self.step, rollout) if rollout.max_step_offset > 0 else 0.0
        outcomes: list[StepOutcome] = []
        grad_norm = math.nan
        for micro in range(config.training.gradient_accumulation_steps):
            position = Position(self.step, micro)
            batch = parts.stream.draw(position, probability).to(accelerator.device)
            seed_dropout(config.training.seed, position, accelerator.process_index)
            with accelerator.accumulate(parts.network):
                with parts.conditions.told(batch, parts.options) as (told, options):
                    outcome = MICRO_STEPS[parts.options.mode](self.trainer, told, options)
                if parts.lockstep is not None:
                    parts.lockstep.wait()  # in mode visited others may have deeper states
                if accelerator.sync_gradients:
                    grad_norm = self._clipped()
                parts.optimizer.step()
                parts.optimizer.zero_grad()
            outcomes.append(outcome)
        grad_norm = grad_norm if parts.zero is None else parts.zero.grad_norm
        rate = parts.scheduler.get_last_lr()[0]
        parts.scheduler.step()
        self.step += 1
        seconds = time.perf_counter() - began
        self.elapsed += seconds
        self._record(outcomes, rate, grad_norm, probability, seconds)
        self.report.step(self.step, self.total)

    def _clipped(self) -> float:
        """Averages the gradients over the processes where nobody else does, and clips them.

        Returns:
            Their norm before; not a number where DeepSpeed does all this in its step.
        """
        parts, accelerator = self.parts, self.parts.accelerator
        parts.conditions.meet()
        if parts.zero is not None:
            return math.nan
        parameters = [p for group in parts.optimizer.param_groups for p in group["params"]]
        if parts.lockstep is not None:
            meet(parameters)
        norm = accelerator.clip_grad_norm_(parameters, parts.config.training.max_grad_norm)
        return float(norm) if norm is not None else math.nan

    def _record(
        self, outcomes: list[StepOutcome], rate: float, grad_norm: float, probability: float, seconds: float
    ) -> None:
        found = summarise(outcomes, self.parts.accelerator)
        scaled = self.parts.accelerator.scaler is not None  # fp16 skips the steps whose gradient overflows
        for name, value in (("loss", found["loss"]), ("gradient", 0.0 if scaled else grad_norm)):
            if not math.isfinite(value):
                raise RunError(self._not_finite(name))
        if not self.main:
            return
        record = StepRecord(
            step=self.step, lr=rate, grad_norm=grad_norm, probability=probability, seconds=seconds,
            elapsed=self.elapsed, memory_mb=_memory_mb(self.parts.accelerator.device), **found,
        )  # fmt: skip
        journal.append(self.folder.metrics_path, record.to_dict())
        self.parts.accelerator.log(scalars("train", record.to_dict()), step=self.step)

    def _not_finite(self, what: str) -> str:
        pictures = self.parts.stream.names(self.step - 1)
        shown = ", ".join(pictures[:NAMED]) + (f" and {len(pictures) - NAMED} others" if len(pictures) > NAMED else "")
        known = self.saved >= 0
        saved = f"the newest checkpoint is that of step {self.saved}" if known else "there is no checkpoint yet"
        return f"the {what} must be a number, but it is not finite at step {self.step}, on {shown}; {saved}"

    def save(self) -> None:
        """Saves a checkpoint on the main process, for which the others wait.

        Raises:
            RunError: a number in it is not finite, or the disk does not take it.
        """
        with self.parts.whole_state():
            if self.main:
                self.write_checkpoint()
        self.saved = self.step
        self.parts.wait_for_all()

    def write_checkpoint(self) -> None:
        """Writes a checkpoint, on the main process alone, which has the whole state.

        Raises:
            RunError: a number in it is not finite, or the disk does not take it.
        """
        parts = self.parts
        journal.settle(self.folder.metrics_path, self.folder.drift_path)
        save_checkpoint(
            self.folder.checkpoints_dir, self.step, parts.accelerator.unwrap_model(parts.network), parts.optimizer,
            parts.scheduler, self.keep, parts.conditions.encoders, parts.accelerator.scaler,
        )  # fmt: skip

    def validate(self) -> None:
        """Draws the validation pictures and runs the drift probe on the main process, for which the others wait.

        A stop cuts it off; the loop leaves at the next look between steps, in all processes alike.
        """
        with contextlib.suppress(Stopped):
            if self.main:
                validate(self.parts, self.folder, self.step, self.report)
            self.validated = self.step
        self.parts.wait_for_all()

    def _finish(self) -> None:
        parts = self.parts
        if not self.main:
            return
        self.report.phase("saving", "saving the adapter")
        options = {key: value for key, value in flatten(parts.config).items() if key.startswith("scheduled_sampling_")}
        facts = {"rollout_options": json.dumps(options), "rollout_steps": str(self.step)}
        network = parts.accelerator.unwrap_model(parts.network)
        save_final_adapter(parts.family, self.folder.adapter_dir, network, facts, self.step)


def latest_checkpoint(folder: RunFolder) -> Checkpoint | None:
    """The newest whole checkpoint of a run."""
    found = list_checkpoints(folder.checkpoints_dir)
    return found[-1] if found else None


def _trainer(parts: Parts) -> Trainer:
    accelerator = parts.accelerator

    def backward(loss: Tensor) -> None:
        accelerator.backward(loss * accelerator.num_processes)  # DDP averages: undo it

    def held_back() -> AbstractContextManager:
        return accelerator.no_sync(parts.network)

    return Trainer(parts.network, parts.family.network, parts.family.predict, backward, held_back)


def _memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    return psutil.Process().memory_info().rss / MIB
