# Runs kdsweep by the Python that started the head's Ray: whoever started that by its full path may have another
# Python in the PATH, or none. A job's grandparent is the raylet, which was told how to start workers.
raylet=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$PPID/status" 2>/dev/null)
python=$(cat "/proc/$raylet/cmdline" 2>/dev/null | tr '\0' '\n' |
    sed -n 's/^--python_worker_command="\{0,1\}\([^" ]*\).*/\1/p')
[ -x "$python" ] || python=python3
exec "$python" -m orchestrator "$@"
