// What Linux says of processes and of the machine; elsewhere these give null, and the benches do without.
import { readdirSync, readFileSync } from 'node:fs';

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // the process has ended, or there is no /proc
  }
}

/** This process and all that come from it: their numbers. @returns {string[]} */
export function family() {
  /** @type {string[]} */
  let pids = [];
  try {
    pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    /* not Linux */
  }
  const parents = new Map(pids.map((pid) => [pid, /^PPid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1]]));
  return pids.filter((pid) => {
    for (let at = /** @type {string | undefined} */ (pid); at && at !== '0'; at = parents.get(at))
      if (Number(at) === process.pid) return true;
    return false;
  });
}

/** The command line of a process. @param {string} pid */
export const command = (pid) => read(`/proc/${pid}/cmdline`);

/** The most memory that a process ever had resident, in bytes, or null. @param {string} pid */
export function peak(pid) {
  const kilobytes = /VmHWM:\s+(\d+) kB/.exec(read(`/proc/${pid}/status`))?.[1];
  return kilobytes ? 1024 * Number(kilobytes) : null;
}

/**
 * Processor time so far, in ticks: of all processors, of them at work (or taken by a hypervisor), and for this
 * process's family.
 */
function ticks() {
  const all = read('/proc/stat').split('\n')[0].split(/\s+/).slice(1, 9).map(Number);
  const sum = all.reduce((a, b) => a + b, 0);
  const own = family().reduce((total, pid) => {
    const fields = read(`/proc/${pid}/stat`)
      .replace(/^.*\) /, '')
      .split(' ');
    return total + Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  }, 0);
  return { all: sum, busy: sum - all[3] - all[4], own }; // less idle and iowait
}

/** A watch: the part of the machine's time that went to others since it was made, 0 to 1, or null. */
export function watch() {
  const from = ticks();
  return () => {
    const to = ticks();
    const all = to.all - from.all;
    return all > 0 ? Math.max(0, (to.busy - from.busy - (to.own - from.own)) / all) : null;
  };
}
