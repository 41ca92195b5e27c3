#!/bin/sh
# Starts a program of this bundle with the bundle's own Node.
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")/.." && pwd -P)
# Without a home, kernels that CUDA compiles are kept here.
if [ -z "${XDG_CACHE_HOME:-}" ] && [ ! -w "${HOME:-/nowhere}" ]; then
  export XDG_CACHE_HOME="$here/.cache"
fi
export PATH="${PATH:+$PATH:}$here/node/bin:$here/bin"
# Libraries that TensorFlow opens and the test never calls are stood in for, where the bundle is slim.
case @PROGRAM@ in scripts/gpu/*)
  [ ! -d "$here/stubs" ] || export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$here/stubs"
  ;;
esac
exec "$here/node/bin/node" "$here/@PROGRAM@" "$@"
