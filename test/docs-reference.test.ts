/** The pages of reference that are written from the code: are they what would be written now, and is nothing unexplained? */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { PROTOCOL_VERSION } from '#training';
import { recordContext } from '../cli/src/terminal.fixture.js';
import { commandLinePage } from '../docs/reference/command-line.js';
import { protocolPage, undocumented } from '../docs/reference/wire.js';
import { readText } from './support/documents.js';

/** dist/test/docs-reference.test.js -> the checkout. */
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const HOW = 'after a change: npm run build && node scripts/write-reference.mjs';

describe('docs/cli.md', () => {
  const { context } = recordContext();

  test('is what the definitions of the commands make', () => {
    expect(readText(root, 'docs/cli.md'), HOW).toBe(commandLinePage(context));
  });

  test('has every command, those of certs too', () => {
    const headings = [...commandLinePage(context).matchAll(/^###+ (.*)$/gm)].map(([, heading]) => heading);
    expect(headings).toEqual(expect.arrayContaining(['train', 'worker', 'certs', 'certs token']));
    expect(headings.length).toBeGreaterThan(20);
  });
});

describe('docs/protocol.md', () => {
  test('is what the comments of the proto make', () => {
    expect(readText(root, 'docs/protocol.md'), HOW).toBe(protocolPage());
  });

  test('every call, message, field and value has a comment', () => {
    expect(undocumented()).toEqual([]);
  });

  test('says the version that the code speaks', () => {
    expect(protocolPage()).toContain(`the two sides must have the same. Now: ${PROTOCOL_VERSION}.`);
  });
});
