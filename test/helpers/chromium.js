// Chromium for the browser tests: the system's own, driven through playwright-core.
//
//   const browser = await launchChromium();
//   const page = await browser.newPage();
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']; // as in scripts/build/setup.sh

/** The browser's path: TESSERAE_CHROMIUM, or the first of the usual names on the PATH. Throws when there is none. */
export function chromiumPath() {
  if (process.env.TESSERAE_CHROMIUM) return process.env.TESSERAE_CHROMIUM;
  for (const name of NAMES) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        /* not here */
      }
    }
  }
  throw new Error('no Chromium was found: run make setup, or set TESSERAE_CHROMIUM to its path');
}

/** @param {import('playwright-core').LaunchOptions} [options] */
export async function launchChromium(options = {}) {
  const { chromium } = await import('playwright-core');
  return chromium.launch({
    executablePath: chromiumPath(),
    // No sandbox: tests run as root in containers. No GPU and no background traffic: the same on every machine.
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    ...options,
  });
}
