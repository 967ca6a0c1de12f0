// Milliseconds of one picture for each architecture of docs/models.md, f32 and q8: one thread, relaxed SIMD where Node
// has it (24), the two in turn, medians. Weights are random, from the names and shapes that scripts/parity/parity.py
// --shapes says, so that nothing is downloaded.
//   node scripts/bench/rows.mjs [--seconds 80] [--fresh] [--docs] [ARCH ...]
// Rows that were measured with the same builds are known; with --seconds it stops after so many (and the row under
// way), and goes on the next time. --docs writes what is known of these builds into docs/models/measured.json and
// measures nothing (`make docs` then makes the tables).
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { draw, inTurn, nodeOf } from './turns.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(process.env.TESSERAE_CACHE ?? join(homedir(), '.cache/tesserae'), 'bench');
const measured = join(root, 'docs/models/measured.json');
const product = (dims) => dims.reduce((a, b) => a * b, 1);

/** Values as they are when training starts, or thereabouts. */
function weightOf(name, shape) {
  const count = product(shape);
  if (name.endsWith('running_var') || (shape.length === 1 && name.endsWith('.weight'))) return draw(count, 0.1, 1);
  if (!shape.length && name.endsWith('temperature')) return draw(count, 0.1, -2);
  return draw(count, shape.length > 1 && name.endsWith('.weight') ? Math.sqrt(3 / product(shape.slice(1))) : 0.1, 0);
}

/** The bytes of a model file. @param {{ arch: string, config: any, tensors: [string, number[], boolean][] }} row */
function fileOf({ arch, config, tensors }) {
  const header = { __metadata__: { tesserae: JSON.stringify({ arch, config }) } };
  let at = 0;
  for (const [name, shape, isFloat] of tensors) {
    const bytes = product(shape) * (isFloat ? 4 : 8);
    header[name] = { dtype: isFloat ? 'F32' : 'I64', shape, data_offsets: [at, (at += bytes)] };
  }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (Buffer.byteLength(text) % 8)) % 8);
  const start = 8 + Buffer.byteLength(text);
  const file = new Uint8Array(start + at);
  new DataView(file.buffer).setBigUint64(0, BigInt(start - 8), true);
  file.set(Buffer.from(text), 8);
  for (const [name, shape, isFloat] of tensors) {
    if (isFloat) file.set(new Uint8Array(weightOf(name, shape).buffer), start + header[name].data_offsets[0]);
  }
  return file;
}

/** In a process of its own: one row. */
async function measure(row) {
  const { loadModel } = await import('../../web/index.js');
  const file = fileOf(row);
  const inputs = Object.fromEntries(
    Object.entries(row.inputs).map(([name, given]) => [
      name,
      Array.isArray(given)
        ? { data: draw(product(given), 1, 0), dims: given }
        : { data: Float32Array.from(given.values), dims: given.dims }, // a mask is given
    ]),
  );
  const { models: _, ...times } = await inTurn(
    (dtype) => loadModel(file, { worker: false, threads: 1, dtype }),
    (model) => {
      const { [model.info.input.name]: main, ...others } = inputs;
      return model.forward(main, { inputs: others, options: row.options });
    },
  );
  console.log(JSON.stringify(times));
}

/** One of each architecture: the document's own. */
function rows() {
  const python = execFileSync('bash', [join(root, 'scripts/parity/pyenv.sh')], { encoding: 'utf8' }).trim();
  return JSON.parse(
    execFileSync(python, [join(root, 'scripts/parity/parity.py'), '--shapes'], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    }),
  );
}

/** The file's part of milliseconds; the rest, which scripts/parity/parity.py writes, stays letter for letter. */
function write(known) {
  const text = readFileSync(measured, 'utf8');
  const { milliseconds } = JSON.parse(text);
  const rounded = (ms) => Number(ms.toPrecision(3));
  for (const [arch, { f32, q8 }] of Object.entries(known)) milliseconds[arch] = { f32: rounded(f32), q8: rounded(q8) };
  const lines = Object.entries(milliseconds).map(([arch, times]) => `${JSON.stringify(arch)}:${JSON.stringify(times)}`);
  writeFileSync(
    measured,
    text.replace(/(?<="milliseconds":\{\n)[^]*?(?=\n\})/, () => lines.join(',\n')),
  );
}

async function main() {
  const { values: flags, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: 'Infinity' },
      fresh: { type: 'boolean' },
      docs: { type: 'boolean' },
    },
  });
  const builds = createHash('sha256')
    .update(readFileSync(join(root, 'dist/tesserae-simd-all.wasm')))
    .update(readFileSync(join(root, 'dist/tesserae-relaxed-all.wasm')))
    .digest('hex');
  const path = join(folder, 'rows.json');
  const kept = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {};
  const known = flags.fresh ? {} : kept;
  if (flags.docs) return write(Object.fromEntries(Object.entries(known).filter(([, row]) => row.builds === builds)));
  const end = performance.now() + 1000 * Number(flags.seconds);
  for (const row of rows()) {
    if (positionals.length ? !positionals.includes(row.arch) : known[row.arch]?.builds === builds) continue;
    if (performance.now() > end) {
      console.log('to be continued');
      return;
    }
    const child = spawnSync(nodeOf(root, existsSync), [fileURLToPath(import.meta.url), '--row'], {
      input: JSON.stringify(row),
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    if (child.status) {
      console.log(`${row.arch}: ${child.stderr.match(/^\w*Error.*$/m)?.[0] ?? child.stderr}`);
      continue;
    }
    known[row.arch] = { ...JSON.parse(child.stdout), builds, when: new Date().toISOString() };
    const { f32, q8, runs } = known[row.arch];
    console.log(`${row.arch.padEnd(24)} f32 ${f32.toFixed(1)} ms, q8 ${q8.toFixed(1)} ms (${runs} runs)`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, JSON.stringify(known));
  }
  console.log('all rows measured');
}

if (process.argv[2] === '--row') await measure(JSON.parse(readFileSync(0, 'utf8')));
else await main();
