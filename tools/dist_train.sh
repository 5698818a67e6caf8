#!/usr/bin/env bash
# Trains on several GPUs, or with several processes on a CPU.
#   tools/dist_train.sh CONFIG GPUS [ARGUMENTS OF tools/train.py]
# Several machines: NNODES, NODE_RANK, MASTER_ADDR, MASTER_PORT.
# One machine: MASTER_PORT if it is set and free, otherwise any free port.
set -euo pipefail
if [ $# -lt 2 ]; then
  sed -n '2,5s/^# //p' "$0"
  exit 2
fi
config=$1 gpus=$2
shift 2
if [ "${NNODES:-1}" = 1 ]; then
  port=$(python - "${MASTER_PORT:-0}" <<'END'
import socket
import sys

wanted = int(sys.argv[1])
for port in (wanted, 0):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('', port))
        except OSError as error:
            print(f'dist_train.sh: port {port}: {error.strerror}; using another one.',
                  file=sys.stderr)
            continue
        print(probe.getsockname()[1])
        break
END
)
else
  port=${MASTER_PORT:-29500}
fi
exec python -m torch.distributed.run \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="$port" \
  --nproc_per_node="$gpus" \
  "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
