#!/usr/bin/env bash
# Trains on several GPUs, or with several processes on a CPU.
#   tools/dist_train.sh CONFIG GPUS [--max-restarts N] [ARGUMENTS OF tools/train.py]
# Several machines: NNODES, NODE_RANK, MASTER_ADDR, MASTER_PORT.
# One machine: MASTER_PORT if it is set and free, otherwise any free port.
# --max-restarts: if a process dies, all of them restart from the newest complete
# checkpoint, at most N times. It implies --resume.
set -euo pipefail
if [ $# -lt 2 ]; then
  sed -n '2,7s/^# //p' "$0"
  exit 2
fi
config=$1 gpus=$2 restarts=0
shift 2
arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --max-restarts) restarts=${2:-} ;;
    --max-restarts=*) restarts=${1#*=} ;;
    *) arguments+=("$1") ;;
  esac
  if [ "$1" = --max-restarts ] && [ $# -gt 1 ]; then shift; fi
  shift
done
if ! [[ $restarts =~ ^[0-9]+$ ]]; then
  echo "dist_train.sh: --max-restarts: expected a whole number, found '$restarts'." >&2
  exit 2
fi
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
address=${MASTER_ADDR:-127.0.0.1}
if [ "$restarts" = 0 ]; then
  meeting=(--node_rank="${NODE_RANK:-0}" --master_addr="$address"
           --master_port="$port")
else
  # With fixed ranks, a launcher would not notice a restart on another machine. With
  # the launcher's store, processes read the addresses of those before the restart.
  export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
  meeting=(--rdzv-backend=c10d --rdzv-endpoint="$address:$port"
           --rdzv-id="${SLURM_JOB_ID:-$port}" --max-restarts="$restarts")
fi
exec python -m torch.distributed.run --nnodes="${NNODES:-1}" "${meeting[@]}" \
  --nproc_per_node="$gpus" "$(dirname "$0")/train.py" "$config" \
  --launcher pytorch ${arguments[@]+"${arguments[@]}"}
