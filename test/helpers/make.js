// Runs make, or any program, from the repository's root and gathers what it prints.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/**
 * @param {string} program
 * @param {string[]} args
 * @param {Record<string, string>} [env] added to the environment
 * @returns {Promise<{ code: number | null, signal: string | null, output: string }>} output: stdout and stderr, in
 *   order
 */
export function run(program, args, env = {}) {
  // The tests may themselves run under make and node --test: what those tell their children is not for the ones started
  // here.
  const { MAKEFLAGS, MFLAGS, MAKELEVEL, MAKEOVERRIDES, NODE_TEST_CONTEXT, ...rest } = process.env;
  return new Promise((done) => {
    const child = spawn(program, args, { cwd: root, env: { ...rest, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('error', (error) => done({ code: null, signal: null, output: `${program}: ${error.message}` }));
    child.on('close', (code, signal) => done({ code, signal, output }));
  });
}

/** @param {...string} args */
export const make = (...args) => run('make', args);
