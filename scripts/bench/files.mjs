// The files that the benches run on, made once and kept outside the tree, in ${TESSERAE_CACHE:-~/.cache/tesserae}/bench:
//   peer-VERSION/     onnxruntime-web, exactly as scripts/bench/peer/package-lock.json has it
//   models/NAME-HASH/ each model's weights for both sides (scripts/bench/export.py); HASH is of what they are made from
// What is there is not made again; a run that was interrupted goes on where it stopped.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeParts } from '../build/docs_marks.mjs';

export const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, '..', '..');
const cache = join(process.env.TESSERAE_CACHE || join(homedir(), '.cache', 'tesserae'), 'bench');

/** @type {Record<string, { title: string, arch: string, input: number[], config: any, dtypes?: string[], options?: any }>} */
export const MODELS = JSON.parse(readFileSync(join(here, 'models.json'), 'utf8'));
export const PEER = JSON.parse(readFileSync(join(here, 'peer', 'package.json'), 'utf8')).dependencies['onnxruntime-web'];

export const say = (/** @type {string} */ text) => console.error(`bench: ${text}`);
const size = (/** @type {string} */ path) => `${(statSync(path).size / 1e6).toFixed(1)} MB`;

/** Runs a program; what it prints is shown only when it fails. @param {string} program @param {string[]} args @param {string} [cwd] */
function run(program, args, cwd = root) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed\n${error?.message ?? ''}${stdout ?? ''}${stderr ?? ''}`);
  return stdout.trim();
}

/** The folder of the peer's modules; installs it the first time. */
export function peer() {
  const folder = join(cache, `peer-${PEER}`);
  const dist = join(folder, 'node_modules', 'onnxruntime-web', 'dist');
  const lock = readFileSync(join(here, 'peer', 'package-lock.json'), 'utf8');
  const stamp = join(folder, 'installed');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return dist;
  say(`installing onnxruntime-web ${PEER} into ${folder} (140 MB)`);
  mkdirSync(folder, { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(here, 'peer', file), join(folder, file));
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], folder);
  writeFileSync(stamp, lock);
  return dist;
}

/** A model's folder, named after what its files depend on. @param {string} name */
function modelFolder(name) {
  const pins = readFileSync(join(root, 'scripts', 'parity', 'requirements.txt'), 'utf8').match(/^(torch|onnx|onnxruntime|vit-pytorch|glom-pytorch)==.*$/gm);
  const hash = createHash('sha256').update(readFileSync(join(here, 'export.py'))).update(JSON.stringify({ pins, ...MODELS[name] }));
  return join(cache, 'models', `${name}-${hash.digest('hex').slice(0, 8)}`);
}

/**
 * @typedef {object} Files paths
 * @property {string} f32 our file
 * @property {string} q8 our file quantized; empty where the model is measured in f32 only
 * @property {string} onnx the peer's
 * @property {string} int8 the peer's
 * @property {string} inputs pictures, f32
 * @property {string} outputs what PyTorch says of them, f32
 */

/** A model's files; makes them the first time. @param {string} name @returns {Files} */
export function modelFiles(name) {
  const folder = modelFolder(name);
  const quantized = dtypes(name).includes('q8');
  const at = (/** @type {string} */ ending, within = folder) => join(within, `${name}.${ending}`);
  if (!existsSync(folder)) {
    say(`making the files of ${name} (PyTorch is installed the first time; some minutes then)`);
    const began = Date.now();
    const making = `${folder}-${process.pid}`; // takes its name when it is whole
    mkdirSync(making, { recursive: true });
    try {
      run(run('scripts/parity/pyenv.sh', []), ['scripts/bench/export.py', name, making]);
      if (quantized) run(process.execPath, ['web/cli/cli.js', 'quantize', at('safetensors', making), at('q8.safetensors', making)]);
      if (!existsSync(folder)) renameSync(making, folder);
    } finally {
      rmSync(making, { recursive: true, force: true });
    }
    say(`made the files of ${name} in ${Math.round((Date.now() - began) / 1000)} s: ${size(at('safetensors'))} for us, ${size(at('onnx'))} for the peer`);
  }
  return {
    f32: at('safetensors'), q8: quantized ? at('q8.safetensors') : '', onnx: at('onnx'), int8: at('int8.onnx'),
    inputs: at('inputs.f32'), outputs: at('outputs.f32'),
  };
}

/** @param {string} name @returns {string[]} */
export const dtypes = (name) => MODELS[name].dtypes ?? ['f32', 'q8'];

/** What a bench left in build/, or `otherwise`. @param {string} file @param {any} otherwise */
export const resultOf = (file, otherwise) => (existsSync(join(root, 'build', file)) ? JSON.parse(readFileSync(join(root, 'build', file), 'utf8')) : otherwise);

/** Keeps a bench's result. @param {string} file @param {any} result */
export function keep(file, result) {
  mkdirSync(join(root, 'build'), { recursive: true });
  writeFileSync(join(root, 'build', file), `${JSON.stringify(result, null, 1)}\n`);
}

/** Writes parts of docs/performance.md. @param {Record<string, string>} sections text by the name of its marks */
export const publish = (sections) => writeParts({ 'docs/performance.md': sections });
