#!/bin/sh
# Farmland of a region, end to end: an extract, a network, how good it is on a place that it never saw.
# sh examples/farmland/run.sh FOLDER [STEPS] [PYTHON]
set -eu
folder=$1 steps=${2:-400} python=${3:-python}
"$python" examples/farmland/make_extract.py "$folder"
"$python" -m pipeline train-cover --scenes "$folder/scenes" --truth "$folder/extract.geojson" --field osm \
    --hold-out south_20220612 --name farmland --out "$folder/models" --run "$folder/run" --steps "$steps"
"$python" -m pipeline evaluate-cover --scenes "$folder/scenes" --truth "$folder/extract.geojson" --field osm \
    --cover "$folder/models/farmland" --json "$folder/scores.json"
