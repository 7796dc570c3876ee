"""How far a map agrees with another: with ESA WorldCover, CORINE, a national map, or another map of one's own.

`reference_map.py` brings the other raster to the tiles, `comparing.py` counts, `disagreement.py` holds the figures, and
`writing.py` the files. Agreement is no truth: both maps err, and may err alike.
"""
