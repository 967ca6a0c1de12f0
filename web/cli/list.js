// @ts-check
/** `tesserae list`: the architectures, their presets, and what each preset costs. */
import { describe } from '../engine.js';
import { bareEngine } from '../start.js';
import { grouped, print } from './files.js';

/** @param {string[]} _ no names @param {import('./args.js').Flags} flags */
export async function list(_, flags) {
  const engine = await bareEngine();
  const all = engine.architectures().map(({ presets, ...known }) => ({
    ...known,
    presets: presets.map((/** @type {string} */ name) => {
      const { parameters, operations, input } = describe(engine, known.arch, { preset: name });
      return { name, parameters, operations, input };
    }),
  }));
  if (flags.json) print(JSON.stringify(all, null, 2));
  else printTable(all);
}

/** @param {any[]} architectures */
function printTable(architectures) {
  const heads = ['preset', 'parameters', 'multiply-adds', 'input'];
  const widest = Math.max(...architectures.map(({ arch }) => arch.length));
  for (const { arch, title, paper, presets } of architectures) {
    print(`${arch.padEnd(widest)}  ${title}; ${paper}`);
    const rows = presets.map((/** @type {any} */ { name, parameters, operations, input }) => (
      [name, grouped(parameters), grouped(operations), `[${input.dims}]`]));
    for (const [name, parameters, operations, input] of [heads, ...rows]) {
      print(`  ${name.padEnd(22)}${parameters.padStart(14)} ${operations.padStart(17)}  ${input}`);
    }
    print('');
  }
}
