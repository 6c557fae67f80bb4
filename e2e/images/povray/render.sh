#!/bin/sh
# render.sh [SCENE] [WIDTH] [HEIGHT]: renders one of POV-Ray's sample scenes,
# says which NVIDIA devices this container holds and what came out.
set -eu
scene=${1:-advanced/chess2.pov} width=${2:-320} height=${3:-240}
echo "devices: $(cd /dev && echo nvidia[0-9]*)"
povray "+I/usr/share/doc/povray/examples/$scene" +O/tmp/scene.png "+W$width" "+H$height" \
  +L/usr/share/povray-3.7/include -D +A0.3 2>&1 | grep -E 'Scene Statistics|Resolution|Pixels|Render Time|Trace Time|Error|error' || true
[ -s /tmp/scene.png ] || { echo "no picture was made of $scene"; exit 1; }
echo "rendered $scene ${width}x$height: $(sha256sum /tmp/scene.png)"
