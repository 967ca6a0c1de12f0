// A <video> element as a model's input, in Chromium: a clip recorded in the page, of frames that grow brighter.
// Alone: node --test test/browser/video.test.js (after `make wasm`)
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { serve } from '../../scripts/dev/serve.mjs';
import { launchChromium } from '../helpers/chromium.js';
import { drawTensors, safetensors } from '../parity/weights.js';
import { PATIENCE, root } from './harness.js';

const folder = new URL(`build/test-video-${process.pid}/`, root);
const path = folder.pathname.slice(root.pathname.length);
const golden = JSON.parse(readFileSync(new URL('test/golden/models/vit_3d_tiny.json', root), 'utf8'));

/** @type {Awaited<ReturnType<typeof serve>>} */
let server;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').Page} */
let page;

before(
  async () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(new URL('index.html', folder), '<!doctype html><title>test</title><link rel="icon" href="data:,">');
    writeFileSync(new URL('m.safetensors', folder), safetensors(drawTensors(golden), golden));
    server = await serve({ port: 0, root: root.pathname });
    browser = await launchChromium();
    page = await browser.newPage();
    await page.goto(`${server.url}${path}`);
    const clip = await page.evaluate(async () => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 96 });
      const context = canvas.getContext('2d');
      const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: 'video/webm' });
      /** @type {Blob[]} */
      const parts = [];
      recorder.addEventListener('dataavailable', ({ data }) => parts.push(data));
      recorder.start();
      for (let step = 0; step < 40; step++) {
        context.fillStyle = `rgb(${6 * step} ${6 * step} ${6 * step})`;
        context.fillRect(0, 0, 64, 96);
        await new Promise((resolve) => {
          setTimeout(resolve, 40);
        });
      }
      await new Promise((resolve) => {
        recorder.addEventListener('stop', resolve);
        recorder.stop();
      });
      return [...new Uint8Array(await new Blob(parts).arrayBuffer())];
    });
    writeFileSync(new URL('clip.webm', folder), Uint8Array.from(clip));
  },
  { timeout: 2 * PATIENCE },
);

after(async () => {
  await browser?.close();
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

test(
  'a video is asked for frames at even distances, and stands where it stood',
  { timeout: 2 * PATIENCE },
  async () => {
    const { of, first, dims, by, backwards, time, light, codes } = await page.evaluate(async () => {
      const { loadModel } = await import('/web/index.js');
      const model = await loadModel(new URL('m.safetensors', location.href).href, { cache: false });
      const video = Object.assign(document.createElement('video'), { muted: true, src: 'clip.webm' });
      // not even its length is known yet; just loaded, Chromium now and then paints a frame later than it says "seeked"
      const first = await model.forward(video);
      video.currentTime = 0.25;
      await new Promise((resolve) => {
        video.addEventListener('seeked', resolve, { once: true });
      });
      const again = await model.forward(video);
      await new Promise((resolve) => {
        setTimeout(resolve, 200);
      });
      const stands = video.currentTime;
      // the same by hand
      const canvas = new OffscreenCanvas(64, 96);
      const context = canvas.getContext('2d', { willReadFrequently: true });
      /** @type {ImageData[]} */
      const frames = [];
      for (let f = 0; f < 8; f++) {
        const shown = new Promise((resolve) => {
          video.requestVideoFrameCallback(resolve);
        });
        video.currentTime = ((2 * f + 1) / 16) * video.duration;
        await new Promise((resolve) => {
          video.addEventListener('seeked', resolve, { once: true });
        });
        await shown;
        context.drawImage(video, 0, 0);
        frames.push(context.getImageData(0, 0, 64, 96));
      }
      const hand = await model.forward(frames);
      const reverse = await model.forward([...frames].reverse());
      const codeOf = (/** @type {any} */ input, /** @type {any} */ options) =>
        model.classify(input, options).then(
          () => 'none',
          ({ code, message }) => `${code} ${message}`,
        );
      const live = Object.assign(document.createElement('video'), {
        muted: true,
        srcObject: Object.assign(document.createElement('canvas'), { width: 8, height: 8 }).captureStream(25),
      });
      const broken = Object.assign(document.createElement('video'), { src: 'm.safetensors' });
      const told = [
        await codeOf(broken),
        await codeOf(video, { frames: 10 }),
        (await model.classify([video, video], { frames: 4 })).length,
      ];
      const aborted = await model.classify(live, { signal: AbortSignal.timeout(300) }).then(
        () => 'none',
        ({ name, message }) => `${name} ${message}`,
      );
      return {
        of: [...again.output.data],
        first: [...first.output.data],
        dims: first.output.dims,
        by: [...hand.output.data],
        backwards: [...reverse.output.data],
        time: stands,
        light: frames.map(({ data }) => data[0]),
        codes: [...told, aborted],
      };
    });
    assert.deepEqual(dims, [1, by.length]);
    // decoding again may give a grey level more or less (1e-4 here); frames from elsewhere in the clip move these
    // numbers by tenths
    for (const pass of [first, of])
      pass.forEach((value, i) => assert.ok(Math.abs(value - by[i]) < 0.05, `${pass}, by hand ${by}`));
    assert.notDeepEqual(backwards, by);
    assert.equal(time, 0.25);
    light.forEach((value, f) => assert.ok(f === 0 || value > light[f - 1] + 5, `frames grow brighter: ${light}`));
    assert.match(codes[0], /ERR_ARGUMENT.*does not play/);
    assert.match(codes[1], /ERR_SHAPE.*10 frames of 12 x 8 give 31 tokens/);
    assert.equal(codes[2], 2, 'two clips');
    assert.match(codes[3], /live|TimeoutError/);
  },
);
