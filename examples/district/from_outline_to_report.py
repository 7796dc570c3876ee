"""From a district's outline and scenes to tables and a report, on the simulated landscape of the demo.

    python examples/district/from_outline_to_report.py [FOLDER]

Each step is the command that one would type; it is shown before it runs. docs/district.md explains the results.
"""

import subprocess
import sys
from pathlib import Path

QUICK = True
"""The tests run this example."""

CHECKOUT = Path(__file__).resolve().parents[2]
DISTRICT = Path(__file__).with_name("district.geojson")


def command(*words: object) -> None:
    """Shows and runs `python -m pipeline WORDS`; ends the example where that fails."""
    told = [str(word) for word in words]
    print("\n$ python -m pipeline", *told, flush=True)
    subprocess.run([sys.executable, "-m", "pipeline", *told], cwd=CHECKOUT, check=True)


def main(folder: Path) -> None:
    """Scenes, a map of the district, its hectares, its change, and a report of both."""
    scenes, tiles = folder / "scenes", folder / "tiles"
    if not (scenes / "truth.csv").exists():
        command("simulate", scenes)
    command("run", scenes, "--area", DISTRICT, "--cover", "none", "--tiles", tiles, "--maps", folder / "maps")
    municipalities = ("--regions", DISTRICT, "--name-field", "municipality")
    command("areas", tiles, *municipalities, "--csv", folder / "areas.csv")
    first, second, *_ = sorted(path.parent for path in tiles.glob("*/*/scene.json"))
    command("change", first, second, *municipalities, "--out", folder / "change")
    for report in ("report.html", "report.pdf"):
        command("report", tiles, "--area", DISTRICT, "--between", "2021,2023", "-o", folder / report)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "district").resolve())
