#!/usr/bin/env bash
# static-image.sh: what the Dockerfile's last stage holds, without Docker: the binary for musl, alone in a root directory
# with /tmp and /dev/null, as user 65532 and with loopback only, replays the base suite over this project, read-only. Prints the size.
# Needs root, musl-gcc (Debian: musl-tools) and `rustup target add x86_64-unknown-linux-musl`; the build takes minutes.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=x86_64-unknown-linux-musl
cargo build --quiet --locked --profile dist --target "$target" --bin runner
binary=${CARGO_TARGET_DIR:-target}/$target/dist/runner
if readelf --program-headers "$binary" | grep -q INTERP; then
    echo "$binary is not static" >&2
    exit 1
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir --mode=1777 "$root/tmp"
mkdir "$root/project" "$root/dev"
# Containers have it, images do not.
mknod --mode=666 "$root/dev/null" c 1 3
install --mode=755 "$binary" "$root/runner"
cp -r suites setups stacks shapes fixtures schemas test_cases recordings "$root/project"
rm -f "$root/project/recordings"/index.sqlite*
chmod -R a+rX,go-w "$root/project" && chmod a+rx "$root"
stat --format='%s bytes' "$root/runner"
unshare --net -- bash -c 'ip link set lo up && exec "$@"' image \
    env -i XDG_CACHE_HOME=/tmp/cache XDG_STATE_HOME=/tmp/state HOME=/ \
    "$(command -v chroot)" --userspec=65532:65532 "$root" /runner --root=/project --suite=base --setup=llama-cpp --quiet --report=/tmp/run.xml
