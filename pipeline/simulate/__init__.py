"""Made scenes with known truth: two dates of one landscape, for the demonstration and the tests."""

from pipeline.simulate.simulation import simulate as simulate
from pipeline.simulate.truth import TileTruth as TileTruth
from pipeline.simulate.truth import Truth as Truth
from pipeline.simulate.truth import read_truth as read_truth
