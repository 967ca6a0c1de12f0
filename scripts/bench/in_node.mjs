// One measurement in a process of its own, in the Node that runs this: takes a job (work.mjs) as JSON, prints one JSON line.
//   node in_node.mjs '{"what":"cold","side":"ours",...}'
import { existsSync, readFileSync } from 'node:fs';
import { cold, turns } from './work.mjs';

const job = JSON.parse(process.argv[2]);

/** The most memory this process ever had resident, in bytes. */
function peak() {
  const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'latin1') : '') ?? [];
  return kilobytes ? 1024 * Number(kilobytes) : 1024 * process.resourceUsage().maxRSS;
}

const idle = peak();
const result = job.what === 'cold' ? await cold(job.side, job) : await turns(job);
console.log(JSON.stringify({ ...result, engine: `Node ${process.versions.node}`, peak: peak(), idle }));
process.exit(0); // the peer's threads would keep it alive
