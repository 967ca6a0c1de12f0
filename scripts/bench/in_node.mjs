// One measurement in a process of its own, in the Node that runs this: takes a job (work.mjs) as JSON, prints one JSON
// line.
//   node in_node.mjs '{"what":"cold","side":"ours",...}'
import { peak, watch } from './machine.mjs';
import { cold, turns } from './work.mjs';

const job = JSON.parse(process.argv[2]);
const resident = () => peak(String(process.pid)) ?? 1024 * process.resourceUsage().maxRSS;
const idle = resident();
const others = watch();
const result = job.what === 'cold' ? await cold(job.side, job) : await turns(job);
console.log(
  JSON.stringify({ ...result, engine: `Node ${process.versions.node}`, peak: resident(), idle, others: others() }),
);
process.exit(0); // the peer's threads would keep it alive
