"""`addercost train SPEC --data DATA -o DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from addercost.cli.numbers import FiniteRange
from addercost.cli.options import debug_option, folder_option, quiet_option
from addercost.cli.spec import SpecCommand, spec_argument
from addercost.cli.train_progress import train_progress
from addercost.errors import ArgumentError

if TYPE_CHECKING:
    from addercost.train.settings import TrainSettings


@click.command(cls=SpecCommand)
@spec_argument("spec", metavar="SPEC")
@click.option(
    "--data",
    default="digits",
    show_default=True,
    metavar="DATA",
    help="digits, mnist:DIR, cifar10:DIR, cifar100:DIR, imagenet:DIR, or folder:DIR of image files.",
)
@folder_option("For the run.")
@click.option("--name", help="What pictures call the run. Default: the name of DIR.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in DIR, or begin if there is none.")
@click.option("--epochs", type=int, default=50, show_default=True)
@click.option("--batch", type=int, default=64, show_default=True, help="Images a step, over all processes.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, order and augmentation.")
@click.option(
    "--optimizer", default="sgd", show_default=True, metavar="NAME", help="sgd, or nag: Nesterov's."
)
@click.option(
    "--lr", type=FiniteRange(), default=0.1, show_default=True, help="Learning rate γ of the first epoch."
)
@click.option("--momentum", type=FiniteRange(), default=0.9, show_default=True)
@click.option("--weight-decay", type=FiniteRange(), default=5e-4, show_default=True)
@click.option(
    "--schedule", default="cosine", show_default=True, metavar="NAME", help="cosine, poly (0.9) or constant."
)
@click.option(
    "--rate",
    default="adaptive",
    show_default=True,
    metavar="NAME",
    help="Of adder layers: adaptive (γ·η√k/‖g‖), increased (γ × --increase) or plain.",
)
@click.option("--eta", type=FiniteRange(), default=0.2, show_default=True, help="η of the adaptive rate.")
@click.option(
    "--increase", type=FiniteRange(), default=3.0, show_default=True, help="Factor of --rate increased."
)
@click.option(
    "--gradient",
    default="full",
    show_default=True,
    metavar="NAME",
    help="Of adder layers: full precision, or sign.",
)
@click.option(
    "--augment/--no-augment", default=None, help="Random crops and flips. Default: as the data's custom."
)
@click.option("--image-size", type=int, metavar="N", help="N×N images. Default: what the model takes.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option(
    "--checkpoint-every", type=click.IntRange(min=0), default=0, metavar="STEPS", help="Also within an epoch."
)
@click.option(
    "--workers", type=click.IntRange(min=0), default=0, help="Processes that read image files. Default: none."
)
@click.option("--dry-run", is_flag=True, help="Say what would be trained on what, and stop.")
@quiet_option
@debug_option
def train(
    spec: str,
    data: str,
    folder: Path | None,
    name: str | None,
    resume: bool,
    epochs: int,
    batch: int,
    seed: int,
    optimizer: str,
    lr: float,
    momentum: float,
    weight_decay: float,
    schedule: str,
    rate: str,
    eta: float,
    increase: float,
    gradient: str,
    augment: bool | None,
    image_size: int | None,
    device: str,
    checkpoint_every: int,
    workers: int,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Train SPEC, such as zoo:lenet5-bn:adder, and keep log, checkpoint and record in DIR.

    Adder layers learn as in the AdderNet paper; --gradient and --rate choose its ablations. Killed at any
    moment, the same command with --resume goes on to the same result. `torchrun --nproc-per-node N -m
    addercost train …` trains on N processes. `addercost plot curves DIR` (gradients, filters, histogram,
    features) draws the run.
    """
    if folder is None and not dry_run:
        raise ArgumentError("nowhere to keep the run", "name a folder with -o DIR")
    from addercost.results.stdout import write_stdout
    from addercost.train.run import train as run_training
    from addercost.train.settings import (
        AdderGradient,
        AdderRate,
        Optimizer,
        RateSchedule,
        TrainSettings,
        chosen,
    )

    settings = TrainSettings(
        model=spec,
        data=data,
        epochs=epochs,
        batch=batch,
        seed=seed,
        optimizer=chosen("optimizer", optimizer, Optimizer),
        learning_rate=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule=chosen("schedule", schedule, RateSchedule),
        rate=chosen("rate", rate, AdderRate),
        eta=eta,
        increase=increase,
        adder_gradient=chosen("gradient", gradient, AdderGradient),
        augment=augment,
        image_size=image_size,
    ).checked()
    if dry_run:
        write_stdout(_plan(settings) + "\n")
        return
    assert folder is not None
    with train_progress(quiet) as watch:
        report = run_training(
            settings,
            folder,
            name=name,
            device=device,
            resume=resume,
            checkpoint_every=checkpoint_every,
            workers=workers,
            watch=watch,
        )
    if report.first_process:
        from addercost.text import printable

        error = report.standard_error_percent
        write_stdout(
            f"{report.accuracy_percent:.2f} % of {report.tested:,} test images "
            f"(standard error {error:.2f}) after {_epochs(len(report.rows))}; in {printable(str(folder))}\n"
        )


def _plan(settings: TrainSettings) -> str:
    """The text of what a run would do, from the model and the data."""
    from addercost.text import printable
    from addercost.train.prepare import prepare
    from addercost.train.rates import adder_weights, layer_weights

    made = prepare(settings)
    learn = sum(p.numel() for p in made.model.parameters() if p.requires_grad)
    layers, adders = len(layer_weights(made.model)), len(adder_weights(made.model))
    train_images, test_images = len(made.data.train.labels), len(made.data.test.labels)
    steps = train_images // settings.batch
    shape = "x".join(map(str, made.data.shape))
    rate = {"adaptive": f"η {settings.eta:g}", "increased": f"γ × {settings.increase:g}", "plain": "γ"}
    lines = (
        f"model: {printable(settings.model)}, {learn:,} parameters, {layers} layers, {adders} of them adder",
        f"data: {printable(made.data.title)}, {train_images:,} images to train with, {test_images:,} to "
        f"test with, {len(made.data.classes)} classes, {shape}",
        f"steps: {_epochs(settings.epochs)} of {steps:,} with {settings.batch} images, "
        f"{train_images - steps * settings.batch} images of an epoch left out",
        f"learning rate: γ {settings.learning_rate:g}, {settings.schedule}, {settings.optimizer}; adder "
        f"layers {settings.rate}, {rate[settings.rate]}, {settings.adder_gradient} gradients",
    )
    return "\n".join(lines)


def _epochs(number: int) -> str:
    return f"{number} epoch" + "s" * (number != 1)
