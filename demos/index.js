import { band } from './mosaic.js';

band(/** @type {HTMLCanvasElement} */ (document.getElementById('band')))();
