"""The app: the third door beside the command line and the offline page, for a browser and for other programs."""
