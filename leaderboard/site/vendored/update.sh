#!/usr/bin/env bash
# Fetches the vendored libraries again from the npm registry, at the versions named here, and writes vendored.json.
# Builds are taken as published, but for two that are published as ES modules only: pages opened from a file cannot
# load modules, so esbuild wraps these as plain scripts. Needs npm.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund vega@6.4.0 vega-lite@6.4.3 vega-interpreter@2.3.2 \
    @tanstack/table-core@8.21.3 hyparquet-writer@0.17.0 esbuild@0.28.2
modules=node_modules
bundle() { "$modules/.bin/esbuild" --bundle --minify --format=iife --target=es2020 --legal-comments=none \
    --global-name="$2" --outfile="$here/$3" "$1"; }
cp "$modules/vega/build/vega.min.js" "$here/vega.min.js"
grep -v '^//# sourceMappingURL' "$modules/vega-lite/build/vega-lite.min.js" >"$here/vega-lite.min.js"
grep -v '^//# sourceMappingURL' "$modules/@tanstack/table-core/build/umd/index.production.js" >"$here/table-core.min.js"
echo 'export { expressionInterpreter } from "vega-interpreter";' >interpreter.js
bundle interpreter.js vegaInterpreter vega-interpreter.min.js
echo 'export { parquetWriteBuffer } from "hyparquet-writer";' >parquet.js
bundle parquet.js parquetWriter hyparquet-writer.min.js
for name in vega vega-lite vega-interpreter @tanstack/table-core hyparquet-writer; do
    file=$(basename "$name")
    cp "$modules/$name/LICENSE" "$here/$file.LICENSE"
done
# What is bundled inside: d3 and topojson in vega, hyparquet in hyparquet-writer.
cp "$modules/d3-array/LICENSE" "$here/d3.LICENSE"
cp "$modules/topojson-client/LICENSE" "$here/topojson-client.LICENSE"
cp "$modules/hyparquet/LICENSE" "$here/hyparquet.LICENSE"
python3 - "$here" "$modules" <<'PY'
import hashlib, json, pathlib, sys
here, modules = map(pathlib.Path, sys.argv[1:])
found = []
for name in ("vega", "vega-lite", "vega-interpreter", "@tanstack/table-core", "hyparquet-writer"):
    package = json.loads((modules / name / "package.json").read_text())
    file = here / (name.rpartition("/")[2] + ".min.js")
    found.append({
        "package": name, "version": package["version"], "license": package["license"], "file": file.name,
        "license_file": name.rpartition("/")[2] + ".LICENSE", "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    })
(here / "vendored.json").write_text(json.dumps(found, indent=2) + "\n")
PY
