// @ts-check
/**
 * Waiting for workers, the browser's and Node's alike: they say `{ ready: true }` when their script runs, threads again
 * when they have a core.
 */
import { isNode } from './platform.js';

/** How long a worker's script may take to load. */
const START_MS = 3000;

/**
 * Resolves when the worker is ready. Ends it and rejects when it fails or takes too long.
 * @param {any} worker just made
 * @param {(message: any) => void} [receive] takes what it says after that
 * @param {(why: string) => void} [lost] hears why it stopped, at any time
 * @returns {Promise<void>}
 */
export const started = (worker, receive = () => {}, lost = () => {}) => new Promise((resolve, reject) => {
  /** @param {any} event */
  const broken = (event) => {
    const text = event?.message ?? (typeof event === 'number' ? `it ended with code ${event}` : 'its script did not load');
    clearTimeout(timer);
    worker.terminate();
    reject(new Error(text));
    lost(text);
  };
  const timer = setTimeout(() => broken({ message: `it did not start within ${START_MS} ms` }), START_MS);
  /** @param {string} name @param {(event: any) => void} listener */
  const on = (name, listener) => (isNode ? worker.on(name, listener) : worker.addEventListener(name, listener));
  on('message', (event) => {
    const message = isNode ? event : event.data;
    if (!message.ready) return receive(message);
    clearTimeout(timer);
    resolve();
  });
  for (const name of ['error', 'messageerror', 'exit']) on(name, broken);
});
