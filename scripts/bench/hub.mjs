// Sizes and milliseconds of one checkpoint of the Hub for each family, for docs/models/hub.md: one thread, relaxed SIMD
// where Node has it (24), f32 and q8 in turn, medians. The libraries write the folders (hub_models.py), with random
// weights, so that nothing is downloaded.
//   node scripts/bench/hub.mjs [--fresh] [--docs] [NAME ...]
// What was measured with the same builds is known. --docs writes the table from what is known of these builds, and
// measures nothing.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeParts } from '../build/docs_marks.mjs';
import { draw, inTurn, nodeOf } from './turns.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = join(process.env.TESSERAE_CACHE ?? join(homedir(), '.cache/tesserae'), 'bench');
const script = join(root, 'scripts/bench/hub_models.py');

/** What a model gives, from what its info says. */
function gives({ info }) {
  const taps = info.taps.filter(({ kind }) => kind === 'attention');
  return [
    info.output.kind === 'logits' && 'classes',
    'embedding',
    taps.length && 'attention',
    info.arch === 'plain_vit' && info.config.decoder && 'reconstruct()',
  ].filter(Boolean);
}

/** In a process of its own: the folder's model. @param {string} folder */
async function measure(folder) {
  const { loadModel } = await import('../../web/index.js');
  const options = { worker: false, threads: 1 };
  const { models, ...times } = await inTurn(
    (dtype) => loadModel(folder, { ...options, dtype }),
    (model) => {
      const dims = [1, ...model.info.input.dims.slice(1)];
      return model.forward({
        data: draw(
          dims.reduce((a, b) => a * b),
          1,
          0,
        ),
        dims,
      });
    },
  );
  const file = join(folder, 'q8.safetensors');
  execFileSync(process.execPath, [join(root, 'web/cli/cli.js'), 'quantize', folder, file]);
  const weights = readdirSync(folder).filter((name) => /^model.*\.safetensors$/.test(name));
  const { info } = models.f32;
  console.log(
    JSON.stringify({
      ...times,
      arch: info.arch,
      parameters: info.parameters,
      image: info.input.dims.slice(2),
      gives: gives(models.f32),
      bytes: weights.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0),
      q8Bytes: statSync(file).size,
    }),
  );
}

/** The lines of hub.md's table. @param {Record<string, any>} known */
function tableOf(known) {
  const megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
  const head = ['checkpoint', 'picture', 'parameters, millions', 'MB, file / q8', 'ms, f32 / q8', 'gives', 'runs as'];
  const rows = Object.entries(known).map(([name, row]) => [
    `\`${name}\``,
    row.image.join(' × '),
    (row.parameters / 1e6).toFixed(1),
    `${megabytes(row.bytes)} / ${megabytes(row.q8Bytes)}`,
    `${Number(row.f32.toPrecision(3))} / ${Number(row.q8.toPrecision(3))}`,
    row.gives.join(', '),
    `[${row.arch}](${row.arch}.md)`,
  ]);
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

async function main() {
  const { values: flags, positionals } = parseArgs({
    allowPositionals: true,
    options: { fresh: { type: 'boolean' }, docs: { type: 'boolean' } },
  });
  const builds = createHash('sha256')
    .update(readFileSync(join(root, 'dist/tesserae-simd-all.wasm')))
    .update(readFileSync(join(root, 'dist/tesserae-relaxed-all.wasm')))
    .digest('hex');
  const path = join(cache, 'hub.json');
  const kept = existsSync(path) && !flags.fresh ? JSON.parse(readFileSync(path, 'utf8')) : {};
  const known = kept.builds === builds ? kept.models : {};
  const python = execFileSync('bash', [join(root, 'scripts/parity/pyenv.sh'), 'hub'], { encoding: 'utf8' }).trim();
  const names = JSON.parse(execFileSync(python, [script], { encoding: 'utf8' }));
  const unknown = positionals.filter((name) => !names.includes(name));
  if (unknown.length)
    throw new Error(`no such checkpoint: ${unknown.join(', ')}; scripts/bench/hub_models.py lists them`);
  if (flags.docs) {
    const rows = names.filter((name) => name in known).map((name) => [name, known[name]]);
    writeParts({ 'docs/models/hub.md': { checkpoints: tableOf(Object.fromEntries(rows)) } });
    return;
  }
  for (const name of positionals.length ? positionals : names.filter((one) => !(one in known))) {
    const folder = mkdtempSync(join(tmpdir(), 'tesserae-hub-'));
    try {
      execFileSync(python, [script, name.replace(/^timm\//, ''), folder], { stdio: ['ignore', 'ignore', 'pipe'] });
      const child = spawnSync(nodeOf(root, existsSync), [fileURLToPath(import.meta.url), '--folder', folder], {
        encoding: 'utf8',
      });
      if (child.status) {
        console.log(`${name}: ${child.stderr.match(/^\w*Error.*$/m)?.[0] ?? child.stderr}`);
        process.exitCode = 1;
        continue;
      }
      known[name] = JSON.parse(child.stdout);
      const { f32, q8, runs } = known[name];
      console.log(`${name.padEnd(48)} f32 ${f32.toFixed(1)} ms, q8 ${q8.toFixed(1)} ms (${runs} runs)`);
      mkdirSync(cache, { recursive: true });
      writeFileSync(path, JSON.stringify({ builds, models: known }));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

if (process.argv[2] === '--folder') await measure(process.argv[3]);
else await main();
