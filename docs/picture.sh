#!/usr/bin/env bash
# Takes the picture of the README: a charge in Temporal Web whose answer was lost. Needs Chromium, which
# Debian has as the package chromium.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v chromium >/dev/null || { echo "picture: chromium is not installed (apt-get install chromium)" >&2; exit 1; }

work=$(mktemp -d)
sandbox/bin/sandbox >"$work/log" 2>&1 &
sandbox=$!
trap 'kill "$sandbox" 2>/dev/null || true; wait "$sandbox" || true; rm -rf "$work"' EXIT
until grep -q '^demo: ' "$work/log"; do
    kill -0 "$sandbox" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.5
done

url=$(grep -o 'http://[^ ]*order-1009' "$work/log" | head -n 1)
chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$work/profile" \
    --window-size=1400,1010 --virtual-time-budget=15000 --screenshot="$work/picture.png" "$url" >"$work/chromium" 2>&1
mv "$work/picture.png" docs/temporal-web.png
echo "picture: docs/temporal-web.png"
