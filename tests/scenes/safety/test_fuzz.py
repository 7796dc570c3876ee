"""A small draw of the fuzzer; `tests/fuzz_inputs.py` runs thousands."""

import sys

import pytest

from tests.fuzz_inputs import fuzz

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the reader's memory is limited by POSIX means")


@pytest.mark.parametrize("seed", [1, 2])
def test_every_mutant_is_refused_or_read_as_stored(seed):
    outcomes, bad = fuzz(64, seed)
    assert bad == []
    assert outcomes["refused"] > 10 and outcomes["correct"] > 10
