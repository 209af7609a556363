#!/bin/sh
# debian.sh PACKAGE... installs what is missing of the Debian packages that end-to-end tests run against: as root, as
# it is in a container that runs the checks.
set -eu

missing=
for package in "$@"; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "debian.sh: there is no apt-get; install what Debian packs as:$missing" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "debian.sh: only root can install them: apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
# Nothing starts: a test starts what it needs, on ports of its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod +x $policy
	trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 || {
	apt-get update -qq
	apt-get install -qq -y --no-install-recommends $missing >/dev/null
}
