#!/usr/bin/env bash
# Runs the Autobahn test suite against the echo server on our WebSocket codec.
#
#   conformance/autobahn/run.sh           every case, about six minutes
#   conformance/autobahn/run.sh --quick   without the large messages (9.*) and most of the
#                                         compression (12.*, 13.*): some ten seconds
#
# Needs a Python with lib2to3, which 3.13 has no more; tested with 3.11. PYTHON names another
# interpreter than `python3`. The packages go into a virtual environment under target/. Exits
# non-zero if a case failed, closed uncleanly or did not run.
set -euo pipefail

quick=false
case "${1-}" in
    '') ;;
    --quick) quick=true ;;
    *) echo "unknown argument: $1 (accepted: --quick)" >&2; exit 2 ;;
esac

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache="${CARGO_TARGET_DIR:-$root/target}/conformance"
venv="$cache/autobahn-venv"
reports="$cache/autobahn-reports"
mkdir -p "$cache" "$reports"

python=${PYTHON:-python3}
if ! "$python" -W ignore -c 'import lib2to3' 2>/dev/null; then
    echo "$python cannot be used: a Python with lib2to3 is needed, such as 3.11." >&2
    echo "Install one and name it: PYTHON=python3.11 $0" >&2
    exit 2
fi

if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi

# Optimised like release: unoptimised, the large cases measure the compiler.
cargo build --quiet --profile bench --manifest-path "$root/Cargo.toml" \
    --package fanfare-websocket --example echo
echo_server="${CARGO_TARGET_DIR:-$root/target}/release/examples/echo"

# Runs cases against a server of their own. $1: the report's name; $2: the server's flag or nothing;
# then the arguments for the driver.
run_cases() {
    local name=$1 flag=$2 address status=0
    shift 2
    # The server ends when its standard input closes, which the end of this script does too.
    coproc SERVER { exec "$echo_server" $flag; }
    local pid=$SERVER_PID input=${SERVER[1]}
    read -r address <&"${SERVER[0]}"
    echo "$name: "
    "$venv/bin/python" "$here/autobahn_cases.py" --url "ws://$address" \
        --out "$reports/$name.json" "$@" || status=$?
    exec {input}>&-
    wait "$pid" || true
    return "$status"
}

failed=0
if $quick; then
    run_cases plain '' --exclude '9.*,12.*,13.*' || failed=$?
    run_cases deflate --deflate --cases '12.1.1,12.1.4,12.1.11,13.1.1,13.3.4,13.5.4,13.7.1' || failed=$?
else
    run_cases plain '' --exclude '12.*,13.*' || failed=$?
    run_cases deflate --deflate --cases '12.*,13.*' || failed=$?
fi
echo "reports: $reports"
exit "$failed"
