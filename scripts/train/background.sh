#!/usr/bin/env bash
# Trains what is not done yet, in the background, on one core that nobody else wants: scripts/train/background.sh
#
# Runs from a copy of the code in <cache>/train/code, so that a checkout may change or go while it trains. A queue that
# already runs takes the new copy when its next model begins. Prints the process's number and what to do with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$(scripts/parity/pyenv.sh)
root=${TESSERAE_CACHE:-$HOME/.cache/tesserae}/train
code=$root/code
mkdir -p "$code.part/scripts" "$code.part/models"
cp -r scripts/train scripts/parity "$code.part/scripts/"
cp models/*_f32.safetensors "$code.part/models/"
rm -rf "$code"
mv "$code.part" "$code"
if [ -e "$root/pid" ] && kill -0 "$(cat "$root/pid")" 2>/dev/null &&
  grep -q train.py "/proc/$(cat "$root/pid")/cmdline"; then
  echo "runs already: $(cat "$root/pid")"
else
  OMP_NUM_THREADS=1 setsid nohup nice -n 19 "$python" "$code/scripts/train/train.py" >>"$root/run.log" 2>&1 </dev/null &
  echo $! >"$root/pid"
  # Linux shares the cores out by session first: of a session of its own the kernel asks this number, not nice's.
  echo 10 >"/proc/$!/autogroup" 2>/dev/null || true
fi
pid=$(cat "$root/pid")
cat <<END
process $pid; log $root/run.log; now $root/*/progress.json
pause: kill -STOP $pid    go on: kill -CONT $pid    end (saves first): kill $pid
END
