"""Every stored model of tiles on pictures of its own size, of other sizes and of other kinds."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pipeline.cli import main
from pipeline.models import store
from pipeline.models.card import TILE

MODELS = [name for name in store.names() if store.card(name).kind == TILE]


def _write(path: Path, width: int, height: int, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(width + height).integers(20, 200, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def _call(*told: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in told])


@pytest.mark.parametrize("model", MODELS)
def test_classify_cuts_what_is_larger_and_does_with_smaller_ones_what_the_card_says(model: str, tmp_path: Path) -> None:
    card = store.card(model)
    size = card.input.size
    own, large = _write(tmp_path / "own.png", size, size), _write(tmp_path / "large.png", 3 * size + 5, size + 1)
    small, grey = _write(tmp_path / "small.png", size - 9, size - 5), _write(tmp_path / "grey.tif", size, size, "L")
    answer = _call("classify", own, large, small, grey, "--model", model, "--json")
    found = json.loads(answer.stdout)
    places = {path: [(e["x"], e["y"]) for e in found if e["image"] == str(path) and "x" in e] for path in (own, large)}
    assert places == {own: [(0, 0)], large: [(0, 0), (size, 0), (2 * size, 0)]}
    assert all(set(entry["probabilities"]) == set(card.legend.labels) for entry in found if "x" in entry)
    (told,) = [entry for entry in found if entry["image"] == str(small)]
    if card.input.sensor == "aerial":
        assert (told["x"], told["y"], answer.exit_code) == (0, 0, 0)
    else:
        assert f"smaller than one patch of {size}x{size}" in told["error"]
        assert answer.exit_code == 3


@pytest.mark.parametrize("model", MODELS)
def test_evaluate_resamples_mixed_sizes_and_modes(model: str, tmp_path: Path) -> None:
    card = store.card(model)
    size = card.input.size
    for label in card.legend.labels[:2]:
        _write(tmp_path / "data" / label / "own.png", size, size)
        _write(tmp_path / "data" / label / "large.jpg", size + 70, 2 * size)
        _write(tmp_path / "data" / label / "small.png", size // 2, size // 3, "P")
    answer = _call("evaluate", "--data", tmp_path / "data", "--model", model, "--json", tmp_path / "found.json")
    assert answer.exit_code == 0, answer.output
    assert json.loads((tmp_path / "found.json").read_text())["n"] == 6
    assert "6 pictures" in answer.stdout
