"""One map of many scenes: every place once, in one coordinate reference system, cut to an outline, as one file.

`looks.py` chooses which scene speaks for which tile, `ground.py` where the pixels of the map lie, `painting.py` brings
the scenes' pixels there strip by strip, `product.py` says what is painted, and `making.py` writes the file.
"""
