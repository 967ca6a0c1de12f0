// The JavaScript that the package ships: every module of web/ that a page loads (not the command line program), bundled
// and minified into dist/, because a page, and again its worker, would fetch them one after the other, five deep.
//   node scripts/build/bundle.mjs        writes dist/index.js, dist/worker.js, dist/thread.js and what they share
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const ENTRIES = ['web/index.js', 'web/worker.js', 'web/thread.js'];
/** Fetched when they are needed: bundles of their own, so that they take nothing out of the others. */
const LAZY = ['web/hub/index.js', 'web/hub/headers.js'];

/** @type {import('esbuild').BuildOptions & { write: false }} */
const SETTINGS = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  write: false,
  outdir: 'dist',
  outbase: 'web',
  chunkNames: 'shared-[hash]',
  legalComments: 'none',
  logLevel: 'warning',
};

/**
 * The bundle's files; what page and worker share is a file of its own.
 * @returns {Promise<{ path: string, contents: Uint8Array }[]>}
 */
export async function bundle() {
  const { outputFiles } = await build({
    ...SETTINGS,
    entryPoints: ENTRIES,
    splitting: true,
    external: ['./hub/*'],
  });
  return outputFiles;
}

/**
 * The loader of folders, and beside it one file for each module that it fetches by itself.
 * @returns {Promise<{ path: string, contents: Uint8Array }[]>}
 */
export async function bundleLazy() {
  const folder = join(root, 'web/hub');
  const sources = readdirSync(folder).map((name) =>
    readFileSync(join(folder, name), 'utf8').replace(/\/\*[^]*?\*\//g, ''),
  );
  const found = sources.flatMap((text) => [...text.matchAll(/\bimport\('(\.\/\w+\.js)'\)/g)]);
  const external = [...new Set(found.map(([, name]) => name))];
  const entryPoints = [...LAZY, ...external.map((name) => join('web/hub', name))];
  return (await build({ ...SETTINGS, entryPoints, external })).outputFiles;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const dist = join(root, 'dist');
  mkdirSync(dist, { recursive: true });
  const files = [...(await bundle()), ...(await bundleLazy())];
  // shared files of an earlier bundle have other names
  for (const name of readdirSync(dist)) if (name.endsWith('.js')) rmSync(join(dist, name));
  mkdirSync(join(dist, 'hub'), { recursive: true });
  for (const { path, contents } of files) writeFileSync(path, contents);
}
