"""What a data set holds before anything is trained: counts, sizes, spectra, duplicates, places."""
