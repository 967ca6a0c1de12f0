// The C core without WebAssembly: every test/c/test_*.c under address and undefined-behaviour sanitizers, every
// test/c/fuzz_*.c for its share of 30 seconds, and the promise that the library has no mutable globals.
// Run alone: node --test test/native.test.js     Without node: make test-native; make fuzz FUZZ_SECONDS=30
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { make, root, run } from './helpers/make.js';

const FUZZ_SECONDS = Number(process.env.FUZZ_SECONDS || 30);

const programs = (/** @type {string} */ prefix) =>
  readdirSync(`${root}/test/c`)
    .filter((name) => name.startsWith(prefix) && name.endsWith('.c'))
    .sort()
    .map((name) => basename(name, '.c'));

const SANITIZERS = {
  // The library asks for what a file's sizes say and handles NULL; the sanitizer's own malloc would end the program.
  ASAN_OPTIONS: 'detect_leaks=1:allocator_may_return_null=1:detect_stack_use_after_return=1:strict_string_checks=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
};

/**
 * Runs a sanitized program; where leaks cannot be looked for (under ptrace, as in some sandboxes) it says so and goes
 * on.
 */
async function sanitized(t, path) {
  const result = await run(path, [], SANITIZERS);
  if (!/LeakSanitizer has encountered a fatal error/.test(result.output)) return result;
  t.diagnostic('leaks were not looked for: LeakSanitizer does not work here');
  return run(path, [], {
    ...SANITIZERS,
    ASAN_OPTIONS: SANITIZERS.ASAN_OPTIONS.replace('detect_leaks=1', 'detect_leaks=0'),
  });
}

test('native tests', async (t) => {
  const names = programs('test_');
  assert.ok(names.length, 'test/c holds no test_*.c');
  const built = await make('-k', 'native-tests');
  assert.equal(built.code, 0, `make native-tests failed:\n${built.output}`);
  for (const name of names) {
    await t.test(name, async (t) => {
      const { code, signal, output } = await sanitized(t, `build/native/${name}`);
      assert.ok(code === 0, `${name} ended with ${signal ?? code}:\n${output.slice(-8000)}`);
      assert.match(output, /\d+ checks, 0 failed/, `${name} did not end with check_done()`);
      t.diagnostic(output.trim().split('\n').at(-1));
    });
  }
});

test('fuzz smoke', async (t) => {
  const names = programs('fuzz_');
  const seconds = Math.max(1, Math.floor(FUZZ_SECONDS / names.length));
  for (const name of names) {
    await t.test(name, async (t) => {
      const { code, output } = await make('fuzz', `FUZZERS=build/native/${name}`, `FUZZ_SECONDS=${seconds}`);
      assert.equal(code, 0, output.slice(-12000));
      t.diagnostic(output.trim().split('\n').at(-1));
    });
  }
});

test('the library holds no mutable globals', async () => {
  const built = await make('build/libtesserae.a');
  assert.equal(built.code, 0, built.output);
  // Constants that are volatile (src/kernels/simd.h says why) lie in .data although nobody can write to them.
  const constants = readdirSync(`${root}/src/kernels`).flatMap((name) =>
    [...readFileSync(`${root}/src/kernels/${name}`, 'utf8').matchAll(/\bconst volatile \w+ (\w+)/g)].map(
      (match) => match[1],
    ),
  );
  // stb_image: its own failure reason and switches, which nothing here reads; and its hooks have no argument to carry
  // the heap, so that a thread-local pointer does, during one call.
  const allowed = new RegExp(`^(stbi__\\w+|stb_current|${constants.join('|') || '$'})(\\.\\d+)?$`);
  // By section, not by nm's letter: constant tables of pointers are of kind d too, but in .data.rel.ro.
  const { code, output } = await run('nm', ['-A', '-f', 'sysv', 'build/libtesserae.a']);
  assert.equal(code, 0, output);
  const mutable = output
    .split('\n')
    .filter((line) => /\|(\.data|\.bss|\.tdata|\.tbss|\*COM\*)(\.(?!rel\.ro)\S*)?$/.test(line.trim()))
    .filter((line) => !allowed.test(line.split('|')[0].split(':').at(-1).trim()));
  assert.deepEqual(mutable, [], 'state belongs to a context, a heap or a call');
});
