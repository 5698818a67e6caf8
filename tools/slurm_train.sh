#!/usr/bin/env bash
# Trains on a Slurm cluster, one launcher (torchrun) per node.
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [--max-restarts N]
#       [ARGUMENTS OF tools/train.py]
# Environment: GPUS (8, of all nodes), GPUS_PER_NODE (8), CPUS_PER_TASK (5 per GPU),
# SRUN_ARGS (more options of srun), MASTER_PORT.
set -euo pipefail
if [ $# -lt 4 ]; then
  sed -n '2,6s/^# //p' "$0"
  exit 2
fi
partition=$1 job_name=$2 config=$3 work_dir=$4
shift 4
gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8}
if [ "$gpus" -lt "$per_node" ]; then per_node=$gpus; fi
if [ $((gpus % per_node)) != 0 ]; then
  echo "slurm_train.sh: GPUS=$gpus is not a multiple of GPUS_PER_NODE=$per_node." >&2
  exit 2
fi
export NNODES=$((gpus / per_node))
# Runs on every node. Several jobs may share a node, so the port depends on the job.
# shellcheck disable=SC2016
node='
export NODE_RANK=$SLURM_NODEID
if [ "$NNODES" -gt 1 ]; then
  export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
  export MASTER_PORT=${MASTER_PORT:-$((20000 + SLURM_JOB_ID % 20000))}
fi
exec "$@"'
# shellcheck disable=SC2086
exec srun -p "$partition" --job-name="$job_name" --gres=gpu:"$per_node" \
  --nodes="$NNODES" --ntasks="$NNODES" --ntasks-per-node=1 \
  --cpus-per-task=$((${CPUS_PER_TASK:-5} * per_node)) --kill-on-bad-exit=1 \
  ${SRUN_ARGS:-} bash -c "$node" slurm_train \
  "$(dirname "$0")/dist_train.sh" "$config" "$per_node" --work-dir "$work_dir" "$@"
