// @ts-check
/** What a command line says: the command, its names and its flags, checked. What is not understood is a UsageError. */
import { parseArgs } from 'node:util';
import { nearest } from '../options.js';

/** A command line that was not understood: exit code 2. */
export class UsageError extends Error {}

/** @typedef {Record<string, any>} Flags by name: a text, or true */

const FLAGS = /** @type {const} */ ({
  model: { type: 'string' },
  top: { type: 'string' },
  scores: { type: 'string' },
  dtype: { type: 'string' },
  header: { type: 'string' },
  threads: { type: 'string' },
  json: { type: 'boolean' },
  attention: { type: 'boolean' },
  'expect-from-name': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
});

/**
 * What each command takes: flags, and how many names at least and at most.
 * @type {Record<string, [string[], number, number]>}
 */
const COMMANDS = {
  classify: [
    ['model', 'top', 'scores', 'dtype', 'threads', 'header', 'json', 'attention', 'expect-from-name'],
    1,
    Infinity,
  ],
  inspect: [['json', 'header'], 1, 1],
  quantize: [['dtype', 'header'], 2, 2],
  list: [['json'], 0, 0],
};

/** @param {string} what @param {string} word @param {readonly string[]} known @param {string} [dashes] */
function unknown(what, word, known, dashes = '') {
  const guess = nearest(word, known);
  return new UsageError(`unknown ${what} "${dashes}${word}"${guess ? `; did you mean "${dashes}${guess}"?` : ''}`);
}

/** Refuses what the command does not take. @param {string} command @param {string[]} names @param {Flags} flags */
function checkCommand(command, names, flags) {
  if (!COMMANDS[command]) throw unknown('command', command, Object.keys(COMMANDS));
  const [known, least, most] = COMMANDS[command];
  for (const name of Object.keys(flags)) {
    if (known.includes(name)) continue;
    throw new UsageError(`${command} takes no --${name}; it takes ${known.map((flag) => `--${flag}`).join(', ')}`);
  }
  if (names.length >= least && names.length <= most) return;
  const expected = most === Infinity ? `${least} name or more` : `${least} name${least === 1 ? '' : 's'}`;
  throw new UsageError(`${command} takes ${expected}, got ${names.length}`);
}

/**
 * @param {string[]} argv without the program's own name @returns {{ command?: string, names: string[], flags: Flags }}
 */
export function understand(argv) {
  const { tokens } = parseArgs({ args: argv, options: FLAGS, strict: false, tokens: true, allowPositionals: true });
  /** @type {Flags} */
  const flags = {};
  const words = [];
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = FLAGS[/** @type {keyof typeof FLAGS} */ (token.name)];
    if (!flag) throw unknown('flag', token.name, Object.keys(FLAGS), '--');
    const takesValue = flag.type === 'string';
    if (takesValue !== (token.value !== undefined)) {
      throw new UsageError(`--${token.name} takes ${takesValue ? 'a value' : 'no value'}`);
    }
    flags[token.name] = token.value ?? true;
  }
  const [command, ...names] = words;
  if (!flags.help && !flags.version && command !== undefined) checkCommand(command, names, flags);
  return { command, names, flags };
}

/** A flag's whole number. @param {string} name @param {string | undefined} text @returns {number | undefined} */
export function count(name, text) {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d*$/.test(text)) throw new UsageError(`--${name} is "${text}"; give a whole number from 1`);
  return Number(text);
}

/** A flag of some words. @param {string} name @param {string | undefined} text @param {string[]} known */
export function choice(name, text, known) {
  if (text === undefined || known.includes(text)) return text;
  throw new UsageError(`--${name} is "${text}"; give ${known.join(', ')}`);
}

/** The flag --header, "Name: value". @param {string | undefined} text @returns {Record<string, string> | undefined} */
export function headersOf(text) {
  if (text === undefined) return undefined;
  const [, name, value] = /^([\w-]+):\s*(\S.*)$/.exec(text) ?? [];
  if (!name) throw new UsageError('--header takes a name and a value: "Authorization: Bearer hf_..."');
  return { [name]: value };
}
