#!/bin/sh
# debian_package.sh COMMAND PACKAGE...: installs Debian packages where COMMAND is missing, and fails where it cannot.
set -eu
command="$1"
shift
command -v "$command" >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
fi
command -v "$command" >/dev/null || {
	echo "$command is missing: install it (Debian: apt-get install $*) and try again" >&2
	exit 1
}
