"""A Dask cluster on this machine."""

import pytest


@pytest.fixture(scope="module")
def cluster():
    """Two workers in processes of their own."""
    distributed = pytest.importorskip("distributed")
    # Closing workers leave sockets to the garbage collector.
    with distributed.LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None) as found:
        yield found
