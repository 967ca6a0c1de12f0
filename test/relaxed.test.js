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
  const files = ['golden', 'taps', 'pretraining', 'wrong_models'].map((name) => `test/${name}.test.js`);
  const { code, output } = await run(node24.path, ['--test', '--test-reporter=spec', ...files]);
  assert.equal(code, 0, output);
  const passed = Number(/pass (\d+)/.exec(output)?.[1] ?? 0);
  assert.ok(passed >= 60, `only ${passed} cases ran:\n${output}`);
});

// test/c/test_kernels.c as WebAssembly: natively the relaxed and fused rows of kernels.inc do not exist.
const WASI = `
  import { readFileSync } from 'node:fs';
  import { WASI } from 'node:wasi';
  const wasi = new WASI({ version: 'preview1' });
  const imports = { ...wasi.getImportObject(), env: { emscripten_notify_memory_growth() {} } };
  const { instance } = await WebAssembly.instantiate(readFileSync('build/wasm/test_kernels.wasm'), imports);
  process.exitCode = wasi.start(instance);`;

test('relaxed build: every kernel against its reference', { skip: node24.skip }, async () => {
  const { code, output } = await run(node24.path, ['--no-warnings', '--input-type=module', '-e', WASI]);
  assert.equal(code, 0, output);
  // more than natively, where the rows of two isas are missing
  const checks = Number(/kernels: (\d+) checks, 0 failed/.exec(output)?.[1] ?? 0);
  const native = Number(
    /kernels: (\d+) checks/.exec((await run('build/native/test_kernels', [])).output)?.[1] ?? Infinity,
  );
  assert.ok(checks > native * 1.2, `${checks} checks, ${native} natively`);
});
