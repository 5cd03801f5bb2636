/** Every command that the tutorial, the README and the how-to on speed show, run as it stands there. */
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type BlockResult, blocksOf, CHECKOUT, hashIn, runBlock } from '../support/shell-blocks.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-tutorial-'));
  await symlink(join(CHECKOUT, 'examples'), join(folder, 'examples'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const run = (block: string): BlockResult => runBlock(block, folder);

describe('the tutorial', () => {
  test('every command does what is said of it, and both trainings end with the same hash', {
    timeout: 240_000,
  }, async () => {
    const blocks = await blocksOf('docs/tutorial.md');
    expect(blocks.length).toBeGreaterThanOrEqual(9);
    const hashes: string[] = [];
    for (const block of blocks) {
      const expected = Number(/# exits with (\d)/.exec(block)?.[1] ?? 0);
      const { status, output } = run(block);
      expect({ block, status, output }).toMatchObject({ status: expected });
      if (block.includes('ropeteam train')) hashes.push(hashIn(output));
    }
    expect(hashes).toHaveLength(2);
    expect(new Set(hashes).size).toBe(1);
    expect(await readFile(join(folder, 'first/predicted.csv'), 'utf8')).toContain('predicted_digit');
  });
});

describe('the README', () => {
  test('its job of your own reaches the accuracy and the hash that it names', { timeout: 120_000 }, async () => {
    const [block = ''] = await blocksOf('README.md', 'A job of your own');
    const { status, output } = run(block);
    expect({ status, output }).toMatchObject({ status: 0 });
    const readme = await readFile(join(CHECKOUT, 'README.md'), 'utf8');
    const [, accuracy = 'none', hash = 'none'] =
      /It reaches ([\d.]+ %) on the test rows, and its weights have the sha256 `([0-9a-f]+)…`/.exec(readme) ?? [];
    expect(output).toContain(`test accuracy ${accuracy}`);
    expect(hashIn(output).startsWith(hash)).toBe(true);
  });
});

describe('the how-to on throughput', () => {
  test('every command works, and only what it says changes the bits', { timeout: 180_000 }, async () => {
    const blocks = await blocksOf('docs/how-to/tune-throughput.md');
    expect(blocks.length).toBeGreaterThanOrEqual(7);
    const hashes = new Map<string, string>();
    for (const line of blocks.join('').trim().split('\n')) {
      const { status, output } = run(line);
      expect({ line, status, output }).toMatchObject({ status: 0 });
      const id = /--run-id (\w+)/.exec(line)?.[1];
      if (id !== undefined) hashes.set(id, hashIn(output));
    }
    const sameAs = (id: string): readonly string[] =>
      [...hashes].filter(([, hash]) => hash === hashes.get(id)).map(([other]) => other);
    // `kernel` is whatever this machine has.
    expect(sameAs('before').filter((id) => id !== 'kernel')).toEqual(['before', 'threads']);
    expect(sameAs('half').filter((id) => id !== 'kernel')).toEqual(['half']);
  });
});
