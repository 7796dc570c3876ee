"""The main job beside what people would use instead: one granule, the same weights, the same machine.

    python benchmarks/peers.py [--part 2744] [--scene SAFE-FOLDER] [--rounds 3] [--only NAME] [--json OUT]

Each peer is a small script of its own under benchmarks/peers/, written as its documentation suggests, in an environment
that is made here from pinned packages and kept in `--work` (14 GB in all, nearly half of it for graphics cards, which
`--torch-index` with PyTorch's index of CPU builds should leave out). What cannot be made is skipped with the reason.
Every side runs in a process of its own, the sides interleaved; the median counts. Memory is that of a side's largest
process.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
SNIPPETS = ROOT / "benchmarks" / "peers"
MODEL = ROOT / "saved_models" / "eurosat-resnet50" / "model.keras"
OURS, FULL, GOAL = "landcover-atlas", 10_980, 2.0

TORCH = ("torch==2.14.1", "torchvision==0.29.1")
ENVIRONMENTS = {
    "keras": (
        "tensorflow-cpu==2.21.0; platform_system != 'Darwin' and platform_machine in 'x86_64 AMD64'",
        "tensorflow==2.21.0; platform_system == 'Darwin' or platform_machine not in 'x86_64 AMD64'",
        "keras==3.15.1",
        "rasterio==1.4.4",
        "pillow==13.0.0",
    ),
    "torchgeo": (*TORCH, "torchgeo==0.8.1", "requests==2.34.2"),  # which torchgeo imports and does not ask for
    "raster-vision": (*TORCH, "rastervision-core==0.31.1", "rastervision-pytorch-learner==0.31.1"),
}


@dataclass(frozen=True)
class Peer:
    """Another way to the classes of a granule."""

    environment: str
    """Which of `ENVIRONMENTS` it runs in."""
    snippet: str
    """Its script, which is given the folder of scenes, an empty folder and the weights."""
    comes_out: str
    """What a user then has."""


PEERS = {
    "torchgeo": Peer(
        "torchgeo", "torchgeo_grid.py", "CSV of corners, classes, probabilities; no map, not calibrated, no page"
    ),
    "raster-vision": Peer(
        "raster-vision", "rastervision_chips.py", "GeoJSON with scores; georeferenced, not calibrated, no page"
    ),
    "keras over chips": Peer(
        "keras",
        "keras_chips.py",
        "PNGs, CSV of names and classes; not georeferenced, calibrated as the weights, no page",
    ),
    "rasterio windows": Peer(
        "keras", "rasterio_windows.py", "GeoTIFF of classes; georeferenced, no probabilities, no page"
    ),
}
OURS_COMES_OUT = "table, map, true colour, STAC Item, page; georeferenced, calibrated, unfamiliar and cloudy tiles told"


@dataclass(frozen=True)
class Used:
    """What one side used."""

    seconds: float
    """On the clock."""
    cpu: float
    """Of all cores and all its processes."""
    memory: float
    """GB of its largest process."""
    tiles: int
    """How many tiles it answered."""


class Unusable(Exception):
    """Why a side cannot run."""


def lines_of_code(snippet: Path) -> int:
    """Lines that are neither empty nor comment nor the docstring's one line."""
    lines = (line.strip() for line in snippet.read_text(encoding="utf-8").splitlines())
    return sum(1 for line in lines if line and not line.startswith(("#", '"""')))


def python_of(environment: str, work: Path, torch_index: str | None) -> str:
    """The interpreter of an environment, which is made where it is not there."""
    place, wanted = work / environment, "\n".join(ENVIRONMENTS[environment])
    python, made = place / ("Scripts" if os.name == "nt" else "bin") / "python", place / "packages.txt"
    if made.is_file() and made.read_text(encoding="utf-8") == wanted:
        return str(python)
    print(f"making the environment {environment}", file=sys.stderr, flush=True)
    index = ["--extra-index-url", torch_index] if torch_index else []
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(place)],
        [str(python), "-m", "pip", "install", "--quiet", "--no-cache-dir", *index, *ENVIRONMENTS[environment]],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unusable(f"its environment cannot be made: {last_line(done.stderr)}")
    made.write_text(wanted, encoding="utf-8")
    return str(python)


def last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def measured(command: list[str], log: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak GB of a command."""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as heard:
        process = subprocess.Popen(command, stdout=heard, stderr=subprocess.STDOUT, cwd=ROOT, env=quiet)
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Unusable(f"it ended with {process.returncode}: {last_line(log.read_text(encoding='utf-8'))}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / (1e9 if sys.platform == "darwin" else 1e9 / 1024)


def one_side(name: str, python: str, scenes: Path, work: Path) -> Used:
    """Runs a side once, into an empty folder."""
    place = work / "out"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    if name == OURS:
        command = [python, "run_pipeline.py", str(scenes), "--cover", "none", "--quiet"]
        used = measured([*command, "--tiles", str(place / "tiles"), "--maps", str(place / "maps")], place / "log.txt")
        (report,) = (place / "tiles").glob("*/run.json")
        done = json.loads(report.read_text(encoding="utf-8"))["scenes"]
        return Used(*used, tiles=sum(sum(scene["counts"].values()) for scene in done))
    peer = PEERS[name]
    weights = MODEL if peer.environment == "keras" else work / "weights.npz"
    used = measured([python, str(SNIPPETS / peer.snippet), str(scenes), str(place), str(weights)], place / "log.txt")
    told = last_line((place / "log.txt").read_text(encoding="utf-8"))
    return Used(*used, tiles=int(told.removesuffix(" tiles")))


def made_scene(work: Path, part: int) -> Path:
    folder = work / f"scene-{part}"
    if not folder.is_dir():
        # In another process: a child's peak memory starts at that of the process that makes it.
        script = [sys.executable, str(ROOT / "benchmarks" / "make_granule.py"), str(folder), "--format", "cog"]
        subprocess.run([*script, "--size", str(part)], check=True, stdout=sys.stderr)
    return folder


def usable_peers(names: list[str], work: Path, torch_index: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """The interpreter of each peer, and of the others why they cannot run; the weights lie in `work` then."""
    pythons: dict[str, str] = {}
    skipped: dict[str, str] = {}
    # The weights are Keras's, so its environment comes first.
    for environment in ("keras", *(one for one in ENVIRONMENTS if one != "keras")):
        users = [name for name in names if PEERS[name].environment == environment]
        if not users and environment != "keras":
            continue
        try:
            python = python_of(environment, work, torch_index)
            if environment == "keras":
                exporter = [python, str(SNIPPETS / "export_weights.py"), str(MODEL), str(work / "weights.npz")]
                measured(exporter, work / "export.txt")
            pythons |= dict.fromkeys(users, python)
        except Unusable as error:
            skipped |= dict.fromkeys(users if environment != "keras" else names, str(error))
    return {name: pythons[name] for name in names if name in pythons and name not in skipped}, skipped


def median(used: list[Used]) -> Used:
    """The one whose seconds are the middle."""
    return sorted(used, key=lambda one: one.seconds)[len(used) // 2]


def row(name: str, middle: Used, ours: Used, lines: int, comes_out: str) -> str:
    clock, cpu = middle.seconds / ours.seconds, middle.cpu / ours.cpu
    goal = "" if name == OURS else "met" if clock >= GOAL else "NOT met"
    figures = f"{middle.tiles:,} | {middle.seconds:.1f} | {middle.cpu:.1f} | {middle.memory:.2f} | {lines}"
    return f"| {name} | {figures} | {comes_out} | {clock:.2f} | {cpu:.2f} | {goal} |"


@click.command(help=__doc__)
@click.option("--part", type=click.IntRange(128, FULL), default=FULL, show_default=True, help="Pixels a side; even.")
@click.option(
    "--scene", type=click.Path(exists=True, path_type=Path), help="A folder with one product, not a made one."
)
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True)
@click.option("--only", multiple=True, type=click.Choice(list(PEERS)), help="These peers alone.")
@click.option("--work", type=click.Path(path_type=Path), default=ROOT / "build" / "peers", show_default=True)
@click.option("--torch-index", metavar="URL", help="Where else pip looks for torch.")
@click.option("--json", "out", type=click.Path(path_type=Path))
def main(
    part: int, scene: Path | None, rounds: int, only: tuple[str, ...], work: Path, torch_index: str | None, out: Path
) -> None:
    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    pythons, skipped = usable_peers(list(only or PEERS), work, torch_index)
    scenes = scene.resolve() if scene else made_scene(work, part)
    found: dict[str, list[Used]] = {}
    for _ in range(rounds):
        for name, python in {OURS: sys.executable, **pythons}.items():
            if name in skipped:
                continue
            try:
                used = one_side(name, python, scenes, work)
            except Unusable as error:
                skipped[name] = str(error)
                continue
            found.setdefault(name, []).append(used)
            print(json.dumps({"side": name, **asdict(used)}), file=sys.stderr, flush=True)
    if OURS in skipped:
        raise SystemExit(skipped[OURS])
    told = {OURS: (1, OURS_COMES_OUT)}
    told |= {name: (lines_of_code(SNIPPETS / peer.snippet), peer.comes_out) for name, peer in PEERS.items()}
    middle = {name: median(used) for name, used in found.items() if name not in skipped}
    where = scene or f"a made granule, {part:,} of {FULL:,} px a side, GeoTIFF"
    print(f"{where}; {rounds} rounds, {os.cpu_count()} cores")
    print("| | tiles | s | CPU s | peak GB | lines | what comes out | over ours, clock | CPU | goal 2 |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, used in middle.items():
        print(row(name, used, middle[OURS], *told[name]))
    for name, why in skipped.items():
        print(f"| {name} | skipped: {why} |")
    if out is not None:
        facts = {name: [asdict(one) for one in used] for name, used in found.items()}
        out.write_text(json.dumps({"sides": facts, "skipped": skipped}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
