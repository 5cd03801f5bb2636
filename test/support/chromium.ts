/** The browser of this machine, and what a page looks like in it. */
import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';

/** Undefined: none is installed. */
export const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);

export const launchChromium = (): Promise<Browser> =>
  chromium.launch({ executablePath: CHROMIUM ?? '', args: ['--no-sandbox'] });

export interface Window {
  readonly colorScheme?: 'light' | 'dark';
  readonly width?: number;
}

/** A page, and what the browser complained of: errors of scripts, and whatever the content security policy forbids. */
export async function openPage(browser: Browser, url: string, { colorScheme = 'light', width = 1400 }: Window = {}) {
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
  const troubles: string[] = [];
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') troubles.push(message.text());
  });
  await page.goto(url);
  return { page, troubles };
}

/** Every text on the page whose colour is too near to its ground for WCAG 2, level AA. Runs in the browser. */
export async function unreadableTexts(page: Page): Promise<readonly string[]> {
  return page.evaluate(`(() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const rgb = (colour) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (channels) => channels.slice(0, 3)
      .map((channel) => channel / 255)
      .map((share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4))
      .reduce((sum, share, index) => sum + share * [0.2126, 0.7152, 0.0722][index], 0);
    const groundOf = (element) => {
      for (let at = element; at !== null; at = at.parentElement) {
        const ground = rgb(getComputedStyle(at).backgroundColor);
        if (ground[3] === 255) return ground;
      }
      return [255, 255, 255, 255];
    };
    const found = [];
    for (const element of document.querySelectorAll('body *')) {
      const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '');
      if (!own || !element.checkVisibility()) continue;
      const style = getComputedStyle(element);
      const colour = rgb(element instanceof SVGElement ? style.fill : style.color);
      const [light, dark] = [luminance(colour), luminance(groundOf(element))].sort((a, b) => b - a);
      const ratio = (light + 0.05) / (dark + 0.05);
      if (ratio < 4.5) found.push(ratio.toFixed(2) + ' ' + element.tagName + ' ' + element.textContent.trim().slice(0, 40));
    }
    return found;
  })()`);
}

/** Form controls without a name, pictures without a description, ids that come twice, headings that are left out. */
export async function unnamedParts(page: Page): Promise<readonly string[]> {
  return page.evaluate(`(() => {
    const found = [];
    for (const control of document.querySelectorAll('input, select, progress, button')) {
      const named = control.labels?.length > 0 || control.getAttribute('aria-label');
      if (!named) found.push('no name: ' + control.outerHTML);
    }
    for (const picture of document.querySelectorAll('[role=img], svg:not([aria-hidden]):not([role])'))
      if (!picture.getAttribute('aria-label')) found.push('no description: ' + picture.outerHTML.slice(0, 80));
    for (const part of document.querySelectorAll('[aria-labelledby]'))
      if (document.getElementById(part.getAttribute('aria-labelledby')) === null) found.push('no label: ' + part.id);
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push('twice: ' + id);
    for (const table of document.querySelectorAll('table:not(.u-legend)'))
      if (table.caption === null) found.push('a table without a caption');
    if (document.querySelectorAll('h1').length !== 1 || document.documentElement.lang !== 'en') found.push('h1, lang');
    return found;
  })()`);
}
