"""Made scenes with known truth: dates of one landscape, for the demonstration and the tests."""

from pipeline.simulate.simulation import DEMO as DEMO
from pipeline.simulate.simulation import DEMO_PERIOD as DEMO_PERIOD
from pipeline.simulate.simulation import Look as Look
from pipeline.simulate.simulation import simulate as simulate
from pipeline.simulate.truth import TileTruth as TileTruth
from pipeline.simulate.truth import Truth as Truth
from pipeline.simulate.truth import read_truth as read_truth
