"""One inference engine a file."""

import sys

# OpenVINO reports each import and conversion to its maker over the network, unless this package of its is absent.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
