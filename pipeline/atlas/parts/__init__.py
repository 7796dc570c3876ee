"""Parts of the page that bring data, one file each; see `pipeline.atlas.part`."""
