// @ts-check
/** Every family of checkpoints. */
import { plainVit } from './plain_vit.js';

/** @type {import('./family.js').Family[]} */
export const families = [...plainVit];
