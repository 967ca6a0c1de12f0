// The build with relaxed SIMD, which Node 20 cannot run: the reference cases again, under the Node that can.
// Alone: node --test test/relaxed.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from './helpers/make.js';
import { node24 } from './helpers/node24.js';

test('relaxed build: every reference case, output and taps', { skip: node24.skip }, async () => {
  // The library must choose the relaxed build there by itself, or the cases below would prove nothing.
  const probe = `import { compile } from './web/wasm.js';
    const { relaxedSimd } = await compile({ deterministic: false, fetch, signal: new AbortController().signal });
    console.log('relaxed:', relaxedSimd);`;
  const probed = await run(node24.path, ['--input-type=module', '-e', probe]);
  assert.match(probed.output, /relaxed: true/);
  const { code, output } = await run(node24.path, ['--test', '--test-reporter=spec', 'test/golden.test.js']);
  assert.equal(code, 0, output);
  const passed = Number(/pass (\d+)/.exec(output)?.[1] ?? 0);
  assert.ok(passed >= 60, `only ${passed} cases ran:\n${output}`);
});
