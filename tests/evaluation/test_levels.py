import numpy as np
import pytest

from pipeline.evaluation.levels import clear, fit_harmonisation, harmonised


def test_a_line_between_levels_is_found_again() -> None:
    surface = np.random.default_rng(6).uniform(0.02, 0.2, (5000, 3))
    scale, offset = np.array([0.97, 0.93, 0.88]), np.array([0.018, 0.033, 0.065])
    line = fit_harmonisation(surface, surface * scale + offset)
    assert line.scale == pytest.approx(scale)
    assert line.offset == pytest.approx(offset)
    np.testing.assert_allclose(harmonised(surface, line), surface * scale + offset)
    assert harmonised(surface, None) is surface


def test_clouded_patches_are_not_clear() -> None:
    codes = np.full((2, 64, 64, 3), 90, np.uint8)
    codes[1, :16, :16] = 230  # 6 %
    assert clear(codes).tolist() == [True, False]
