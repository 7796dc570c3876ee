"""Scenes x model -> files: the work of one scene, who runs it, resuming, and the run's report."""
