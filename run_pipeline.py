"""Maps a folder of Sentinel-2 scenes: `python run_pipeline.py SCENES`; see --help."""

from pipeline.cli.run import run

if __name__ == "__main__":
    run(prog_name="run_pipeline.py")
