#!/bin/sh
# fetch.sh [DIR] puts the ClickHouse engine for this machine into DIR, by default
# .cache/engine at the root of the repository. It does nothing when the right
# version is there, and may run several times at once: each run installs into a
# folder of its own, and only a complete package is moved into place.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/../../.cache/engine}
version=$(sed -n 's/.*"@chdb\/lib-linux-x64-gnu": "\(.*\)".*/\1/p' "$here/package.json")

die() {
	echo "fetch.sh: $*; sextant also works with a ClickHouse server: --clickhouse ADDR" >&2
	exit 1
}

case $(uname -s)/$(uname -m) in
Linux/x86_64) platform=linux-x64-gnu ;;
Linux/aarch64 | Linux/arm64) platform=linux-arm64-gnu ;;
Darwin/x86_64) platform=darwin-x64 ;;
Darwin/arm64) platform=darwin-arm64 ;;
*) die "there is no ClickHouse engine package for $(uname -s) on $(uname -m)" ;;
esac
package=@chdb/lib-$platform
installed=$dir/node_modules/$package

# complete FOLDER: it holds the engine in the right version.
complete() {
	[ -f "$1/libchdb.so" ] && grep -qs "\"version\": *\"$version\"" "$1/package.json"
}

complete "$installed" && exit 0
command -v npm >/dev/null || die "npm is not installed, and the ClickHouse engine comes with it (Debian: apt-get install npm)"

mkdir -p "$dir" 2>/dev/null || die "cannot create $dir"
temp=$(mktemp -d "$dir/.fetch.XXXXXX" 2>/dev/null) || die "cannot write to $dir"
trap 'rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM
cp "$here/package.json" "$here/package-lock.json" "$temp"

echo "fetching the ClickHouse engine $package $version (about 550 MB unpacked) ..." >&2
npm ci --prefix "$temp" --ignore-scripts --no-audit --no-fund --loglevel=error >"$temp/log" 2>&1 ||
	die "npm ci failed: $(grep -m1 error "$temp/log" || echo 'it gave no reason')"

# npm skips an optional package that it cannot get, or whose checksum is wrong,
# without a word: find out which.
fetched=$temp/node_modules/$package
if ! complete "$fetched"; then
	served=$(npm view "$package@$version" dist.integrity 2>"$temp/log") ||
		die "npm cannot get $package@$version: $(grep -m1 error "$temp/log" || echo 'it gave no reason')"
	grep -qF "\"$served\"" "$here/package-lock.json" ||
		die "the $package@$version that npm gets is not the one of package-lock.json: its checksum is $served"
	die "npm got no usable $package@$version"
fi

mkdir -p "$(dirname "$installed")"
complete "$installed" && exit 0 # another run was faster
if [ -e "$installed" ]; then
	mv "$installed" "$temp/old" 2>/dev/null || true
fi
mv "$fetched" "$installed"
# Where another run got in between, mv has moved the folder into its like.
rm -rf "$installed/lib-$platform"
complete "$installed" || die "$installed is not complete"
