"""Verbs about scenes: what is in a folder, and simulated ones."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.console import explain_errors, reading_options, verbosity

if TYPE_CHECKING:
    from pipeline.scenes.scene import Refusal, Scene


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@reading_options
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of text.")
@verbosity
@explain_errors
def scenes(folder: Path, as_json: bool, **told: Any) -> None:  # noqa: ANN401 - the options above
    """Tell what scenes a FOLDER holds, without reading pixels."""
    from pipeline.scenes.finding.find import find_scenes
    from pipeline.scenes.scene import ReadOptions, Scene

    found = list(find_scenes(folder, ReadOptions(**told, sensor=None)))
    if as_json:
        click.echo(
            json.dumps(
                [_facts(entry) if isinstance(entry, Scene) else asdict(entry) for entry in found], indent=1, default=str
            )
        )
    else:
        for entry in found:
            click.echo(_scene_text(entry) if isinstance(entry, Scene) else _refusal_text(entry))
        usable = sum(isinstance(entry, Scene) for entry in found)
        click.echo(f"{usable} scenes, {len(found) - usable} refused")
    if not any(isinstance(entry, Scene) for entry in found):
        sys.exit(1)


def _facts(scene: "Scene") -> dict[str, Any]:
    return {
        "id": scene.id,
        "layout": scene.layout,
        "sensor": scene.sensor,
        "acquired": scene.acquired.isoformat() if scene.dated else None,
        "level": str(scene.level),
        "platform": scene.platform,
        "epsg": scene.epsg,
        "bounds": scene.bounds,
        "bands": sorted(scene.assets),
        "quality": scene.quality is not None,
        "cloud_cover": scene.cloud_cover,
        "radiometry": asdict(scene.radiometry),
        "warnings": list(scene.warnings),
    }


def _scene_text(scene: "Scene") -> str:
    passport = scene.radiometry
    offsets = sorted({round(asset.offset, 6) for band, asset in scene.assets.items() if band in ("B02", "B03", "B04")})
    read = "; ".join(f"{fact} from {source}" for fact, source in passport.sources.items())
    cloud = "unknown" if scene.cloud_cover is None else f"{scene.cloud_cover:.0f} %"
    moment = f"{scene.acquired:%Y-%m-%d %H:%M} UTC" if scene.dated else "date unknown"
    lines = [
        scene.id,
        f"  {scene.layout}, {moment}, {scene.level}, baseline {passport.baseline or 'unknown'}, EPSG:{scene.epsg}",
        f"  bands {' '.join(sorted(scene.assets))}{' + SCL' if scene.quality is not None else ''}; cloud {cloud}",
        f"  reflectance offset {', '.join(map(str, offsets)) or 'n/a'}"
        f"{'; approximate' if passport.approximate else ''}{f' ({read})' if read else ''}",
    ]
    return "\n".join([*lines, *(f"  warning: {warning}" for warning in scene.warnings)])


def _refusal_text(refusal: "Refusal") -> str:
    return f"{refusal.id}\n  refused, {refusal.error}: {refusal.reason}"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed, another landscape.")
@verbosity
@explain_errors
def simulate(folder: Path, seed: int) -> None:
    """Write three dates of a made landscape with known truth into FOLDER."""
    from pipeline.simulate import simulate as make

    make(folder, seed=seed)
    click.echo(f"three scenes in {folder}; map them with: python run_pipeline.py {folder}")
