"""Land-cover atlases from folders of Sentinel-2 scenes."""

__version__ = "0.2.0"
