// The band of tiles on the list of demos.
import { band } from './mosaic.js';

band(/** @type {HTMLCanvasElement} */ (document.getElementById('band')))();
