"""What the main job costs on this machine, beside what it must cost."""

import json
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from pipeline.cli.console import explain_errors, verbosity

if TYPE_CHECKING:
    from pipeline.batch.measuring import Figures, Side
    from pipeline.scenes.scene import Scene


@click.command()
@click.option(
    "--scene",
    type=click.Path(exists=True, path_type=Path),
    help="Folder or file whose first scene to measure on; else one is simulated.",
)
@click.option(
    "--model", default="eurosat-resnet50", show_default=True, help="Name of the trained model under saved_models/."
)
@click.option(
    "--cover",
    default="none",
    show_default=True,
    help="Network of the cover, such as cover-10m, or none; then the plain way, which makes none, is left out.",
)
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    help="auto, openvino, openvino-int8, openvino-bf16, openvino-f32 or keras.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How often each side runs; the median counts.",
)
@click.option(
    "--plain/--no-plain",
    default=True,
    show_default=True,
    help="Also run the plain way (TensorFlow, minutes for a granule).",
)
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures as JSON.")
@verbosity
@explain_errors
def bench(scene: Path | None, model: str, cover: str, engine: str, rounds: int, plain: bool, out: Path | None) -> None:
    """Measure the main job against decoding alone, inference alone and the plain way, all in one run."""
    import logging

    from pipeline.batch.measuring import Networks
    from pipeline.batch.measuring import bench as measure
    from pipeline.batch.task import ModelChoice

    with tempfile.TemporaryDirectory() as place:
        chosen = _scene(scene or _simulated(Path(place)), model)
        note = logging.getLogger("pipeline").info
        networks = Networks(ModelChoice(model, engine=engine), None if cover == "none" else ModelChoice(cover))
        with_plain = plain and networks.cover is None
        figures = measure(chosen, networks, rounds, with_plain, lambda name: note("measuring: %s", name))
    click.echo(report(figures, chosen.id))
    if out is not None:
        out.write_text(json.dumps(as_json(figures), indent=1) + "\n", encoding="utf-8")


def _simulated(folder: Path) -> Path:
    from pipeline.simulate import simulate

    simulate(folder)
    return folder


def _scene(folder: Path, model: str) -> "Scene":
    from pipeline.errors import NotAScene
    from pipeline.models import store
    from pipeline.scenes.finding.find import find_scenes
    from pipeline.scenes.reading.inspect import inspect_pixels
    from pipeline.scenes.scene import Scene

    for found in find_scenes(folder, store.card(model).input.reading()):
        if isinstance(found, Scene):
            return inspect_pixels(found)
    raise NotAScene(f"{folder}: no usable scene in it; look with: python -m pipeline scenes {folder}")


def _line(name: str, side: "Side", tiles: int) -> str:
    return f"  {name:<34}{side.wall:>9.1f}{side.cpu:>9.1f}{side.memory / 1e9:>10.2f}{tiles / side.wall:>10,.0f}"


class Goal(NamedTuple):
    """A figure beside what it should be."""

    name: str
    """What was measured."""
    value: float | None
    """In `unit`; None where it was not asked for."""
    unit: str
    """Behind the number."""
    bound: float
    """At least or at most."""
    at_most: bool = True
    """Which of the two."""

    @property
    def met(self) -> bool | None:
        """Whether it is what it should be; None where it is not known."""
        if self.value is None:
            return None
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def line(self) -> str:
        """The goal as text."""
        value = "-" if self.value is None else f"{self.value:.2f}{self.unit}"
        bound = f"{'<=' if self.at_most else '>='} {self.bound:g}{self.unit}"
        return f"  {self.name:<58}{value:>10}   goal {bound:<12}{ {None: '', True: 'met', False: 'NOT met'}[self.met] }"


def goals(figures: "Figures") -> list[Goal]:
    """What was measured beside what it should be."""
    main, plain = figures.main, figures.plain
    agreement, large = figures.agreement, figures.agreement_plain
    return [
        Goal("main job over the floor, clock", figures.over_floor, "", 1.25),
        Goal("main job over the floor, CPU seconds", figures.cpu_over_floor, "", 1.25),
        Goal("plain way over the main job, clock", plain.wall / main.wall if plain else None, "", 3.0, False),
        Goal("plain way over the main job, CPU seconds", plain.cpu / main.cpu if plain else None, "", 3.0, False),
        Goal("labels equal to the tile-by-tile float32 reference", agreement and 100 * agreement, " %", 99.5, False),
        Goal("labels equal to the plain way's", large and 100 * large, " %", 99.5, False),
        Goal("peak memory", main.memory / 1e9, " GB", 1.3 if figures.cover else 1.2),
        Goal("from process start to the first block's reading", main.start, " s", 1.5),
    ]


def report(figures: "Figures", scene: str) -> str:
    """The figures as text, each beside its floor or goal."""
    sides = [("decoding alone", figures.decode), ("inference alone", figures.inference), ("main job", figures.main)]
    if figures.cover is not None:
        sides.insert(2, ("the cover's inference alone", figures.cover))
    if figures.plain is not None:
        sides.append(("plain way: strips + model.predict", figures.plain))
    lines = [
        f"{scene}: {figures.tiles:,} tiles, {figures.engine}, {figures.cores} cores of {processor()}",
        f"\n  {'':<34}{'clock s':>9}{'CPU s':>9}{'peak GB':>10}{'tiles/s':>10}",
        *(_line(name, side, figures.tiles) for name, side in sides),
        f"  {'floor: their CPU s / cores':<34}{figures.floor:>9.1f}\n",
        *(goal.line() for goal in goals(figures)),
    ]
    return "\n".join(lines)


def as_json(figures: "Figures") -> dict[str, object]:
    """The figures as plain values."""
    sides = {name: getattr(figures, name) for name in ("decode", "inference", "cover", "main", "plain")}
    return {
        "processor": processor(),
        "cores": figures.cores,
        "tiles": figures.tiles,
        "engine": figures.engine,
        "floor_seconds": figures.floor,
        "over_floor": figures.over_floor,
        "cpu_over_floor": figures.cpu_over_floor,
        "agreement": figures.agreement,
        "agreement_plain": figures.agreement_plain,
        "start_seconds": figures.main.start,
        "goals": [{**goal._asdict(), "met": goal.met} for goal in goals(figures)],
        **{
            name: {"wall": side.wall, "cpu": side.cpu, "memory": side.memory}
            for name, side in sides.items()
            if side is not None
        },
    }


def processor() -> str:
    """The processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
