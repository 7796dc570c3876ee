"""What a run leaves behind and others read: names of files, the record of every scene, the tile table."""
