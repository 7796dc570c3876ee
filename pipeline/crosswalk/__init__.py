"""Other people's legends: documented tables, and results seen through them.

A table is a CSV in `shipped/`, found by being there, or a user's own file. `correspondence.py` reads one,
`translation.py` turns tiles and pixels, and `view.py` is the door: a folder of results in another legend.
"""
