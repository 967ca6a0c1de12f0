#!/usr/bin/env node
// @ts-check
/**
 * The command line program of the package; `tesserae --help` says what it does. It runs in Node only: node: imports
 * stand in this folder and nowhere else in web/. Exit codes: 0 done, 1 it failed, 2 the command was not understood.
 */
import { version } from '../index.js';
import { understand, UsageError } from './args.js';
import { classify } from './classify.js';
import { print } from './files.js';
import { inspect } from './inspect.js';
import { list } from './list.js';
import { quantize } from './quantize.js';

// a backslash at a line's end: the text goes on without a break
const HELP = `tesserae ${version}: vision transformers on your own device

  tesserae classify <image...>       what each picture shows; or all of them together, \
as the frames of one clip, if the model takes video
      --model <model>                a file, a folder or an address (default: the model that ships; ten classes)
      --header <'name: value'>       sent to the address's own server, such as 'Authorization: Bearer hf_...'; \
also of the next two
      --top <n>                      how many classes for each picture (default 5)
      --scores <softmax|sigmoid|raw> what scores are made by (default: as the file's problem_type says; \
for a single output sigmoid)
      --dtype <auto|f32|q8>          how weights are kept (default auto: as the file has them)
      --threads <n>                  threads at work (default: the cores there are, four at most)
      --json                         one JSON object per picture
      --attention                    under each picture, where the answer draws from \
(attention rollout, or the last layer); a model that has
                                     none to draw says so, and prints its classes all the same
      --expect-from-name             compare with the class that a file's name starts with (cat_1.png: cat), and count
  tesserae inspect <model>           architecture, config, tensors, taps and labels, without the numbers
      --json                         as JSON
  tesserae quantize <in> <out>       write a model with its matrices in 8 bits
      --dtype <q8>                   the only kind there is
  tesserae list                      the architectures this version runs, their presets, \
and parameters and operations of each
      --json                         as JSON
  tesserae --help | --version
`;

/** @type {Record<string, (names: string[], flags: import('./args.js').Flags) => Promise<void>>} */
const RUN = { classify, inspect, quantize, list };

/** @param {string[]} argv */
async function main(argv) {
  const { command, names, flags } = understand(argv);
  if (flags.version) return print(version);
  if (flags.help || command === undefined) {
    process.stdout.write(HELP);
    if (!flags.help) process.exitCode = 2;
    return;
  }
  await RUN[command](names, flags);
}

// a reader that stops early (head) is no failure
process.stdout.on('error', (error) => process.exit(/** @type {any} */ (error).code === 'EPIPE' ? 0 : 1));
main(process.argv.slice(2)).catch((error) => {
  const flag = (/** @type {string} */ _, /** @type {string} */ name, /** @type {string} */ value) =>
    `--header '${name}: ${value}'`;
  process.stderr.write(`tesserae: ${error.message.replace(/headers: \{ (\w+): '(.*?)' \}/, flag)}\n`);
  if (error instanceof UsageError) process.stderr.write('tesserae --help says what there is\n');
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
