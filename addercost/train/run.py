"""A training run, from its beginning or from a checkpoint to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from addercost.results.ownership import own_folder
from addercost.train.checkpoint import CHECKPOINT, Position, read_checkpoint, restore, save_checkpoint
from addercost.train.epochs import EpochRow, Trainer
from addercost.train.folder import (
    check_run,
    environment,
    open_run,
    write_log,
    write_predictions,
    write_record,
)
from addercost.train.prepare import check_fit, prepare
from addercost.train.processes import Processes, processes
from addercost.train.rates import make_optimizer, set_learning_rate
from addercost.train.record import record_of
from addercost.train.schedules import learning_rate
from addercost.train.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """The result of a run. rows: the log. correct, tested: numbers of test images. remarks: for the user, one
    line each.
    """

    folder: Path
    rows: tuple[EpochRow, ...]
    correct: int
    tested: int
    began_at_epoch: int
    first_process: bool
    remarks: tuple[str, ...]
    model: nn.Module

    @property
    def accuracy_percent(self) -> float:
        return 100 * self.correct / self.tested

    @property
    def standard_error_percent(self) -> float:
        """The standard error of the accuracy because of the finite number n of test images: 100·√(p(1 -
        p)/n).
        """
        share = self.correct / self.tested
        return float(100 * (share * (1 - share) / self.tested) ** 0.5)


@dataclass(frozen=True, slots=True)
class Watch:
    """Functions that are called during a run.

    step: after each step, with the epoch, the finished steps and the steps of an epoch. row: after each
    epoch, with the log's line and the number of epochs. remark: with each remark, as soon as there is one.
    """

    step: Callable[[int, int, int], None] = lambda epoch, done, steps: None
    row: Callable[[EpochRow, int], None] = lambda row, epochs: None
    remark: Callable[[str], None] = lambda text: None


def train(
    settings: TrainSettings,
    folder: Path,
    *,
    name: str | None = None,
    module: nn.Module | None = None,
    device: str = "cpu",
    resume: bool = False,
    checkpoint_every: int = 0,
    workers: int = 0,
    watch: Watch | None = None,
) -> TrainingReport:
    """Trains by `settings` and stores everything in `folder`.

    name: the name of the run in plots; by default the folder's name. module: a model to train instead of the
    one that the settings name. resume: continue from the folder's checkpoint; if there is none, begin.
    checkpoint_every: steps between checkpoints within an epoch; at the end of each epoch there is one in any
    case. workers: processes that read image files.
    On a CPU, equal settings, versions and threads give the same bits, whether a run was resumed or not.
    Raises TrainingError if training cannot continue; the last checkpoint is kept.
    """
    settings = settings.checked()
    watch = watch or Watch()
    remarks: list[str] = []
    dead: set[str] = set()

    def remark(text: str) -> None:
        remarks.append(text)
        watch.remark(text)

    with contextlib.ExitStack() as own, _own_generator(), processes(device) as together:
        if together.first:
            check_run(folder, settings, resume)
            own.enter_context(own_folder(folder))
        prepared = prepare(settings, module, workers)
        model, data = prepared.model.to(together.device), prepared.data
        with _imports_from(prepared.folder):
            check_fit(model, data, together.device, settings.model)
            optimizer = make_optimizer(model, settings)
            trainer = Trainer(model, optimizer, settings, data, together)
            if together.first:
                for text in open_run(folder, settings, environment(together)):
                    remark(text)
            together.wait()
            position = Position(0, 0, trainer.empty_sums(), ())
            path = folder / CHECKPOINT
            if resume and path.exists():
                position = restore(read_checkpoint(path, together.device), path, settings, model, optimizer)
                if not together.first:
                    # The checkpoint has the sums of all processes. Only the first process continues with
                    # them.
                    position.sums.totals.zero_()
            began = position.epoch
            title = name or folder.resolve().name
            while position.epoch < settings.epochs:
                position = _epoch(trainer, position, path, checkpoint_every, watch)
                row = position.rows[-1]
                if together.first:
                    save_checkpoint(path, settings, position, model, optimizer)
                    write_log(folder, position.rows)
                    write_record(folder, record_of(title, settings, data, position.rows, model))
                for layer, steps in row.zero_gradients.items():
                    if together.first and steps == trainer.steps_per_epoch and layer not in dead:
                        dead.add(layer)
                        remark(f"the gradient of layer {layer} was zero in every step of epoch {row.epoch}")
                watch.row(row, settings.epochs)
            _, predicted = trainer.test(data.test)
            if together.first:
                # Written again, because the process may have been killed between the checkpoint and these
                # files.
                write_log(folder, position.rows)
                write_record(folder, record_of(title, settings, data, position.rows, model))
                write_predictions(folder, data.test.labels.tolist(), predicted.tolist())
    return TrainingReport(
        folder,
        position.rows,
        int((predicted == data.test.labels).sum()),
        len(predicted),
        began,
        together.first,
        tuple(remarks),
        model,
    )


def _epoch(trainer: Trainer, position: Position, path: Path, every: int, watch: Watch) -> Position:
    """Trains the rest of the epoch after `position`."""
    settings, epoch, sums = trainer.settings, position.epoch, position.sums
    rate = learning_rate(settings.schedule, settings.learning_rate, epoch, settings.epochs)
    set_learning_rate(trainer.optimizer, rate)

    def after(done: int) -> None:
        watch.step(epoch, done, trainer.steps_per_epoch)
        if every and done % every == 0 and done < trainer.steps_per_epoch:
            _save_within(trainer, Position(epoch, done, sums, position.rows), path)

    trainer.run_steps(epoch, position.step, sums, after)
    row = trainer.finish(epoch, rate, sums)
    return Position(epoch + 1, 0, trainer.empty_sums(), (*position.rows, row))


def _save_within(trainer: Trainer, position: Position, path: Path) -> None:
    together: Processes = trainer.together
    if together.count > 1:
        # So far the sums are those of this process. The checkpoint needs those of all.
        totals = together.summed(position.sums.totals.clone())
        position.sums.totals.copy_(totals if together.first else torch.zeros_like(totals))
    if together.first:
        save_checkpoint(path, trainer.settings, position, trainer.model, trainer.optimizer)


@contextlib.contextmanager
def _own_generator() -> Iterator[None]:
    """Restores the caller's global random state afterwards."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        yield


@contextlib.contextmanager
def _imports_from(folder: Path) -> Iterator[None]:
    """While active, a forward can import more of the user's files, and what it prints does not go to
    stdout.
    """
    from addercost.sources.build import import_path, user_output

    with import_path(folder), user_output():
        yield
