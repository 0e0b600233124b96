#!/usr/bin/env bash
# Rewrites the lock files from the .in files. They name no registry: the user's own index is used.
set -euo pipefail
cd "$(dirname "$0")"
uv="${UV:-../.venv/bin/uv}"
for name in uv runtime dev; do
  "$uv" pip compile "$name.in" --output-file "$name.lock" --universal --python-version 3.11 \
    --generate-hashes --no-header --no-emit-index-url --no-annotate --quiet "$@"
done
