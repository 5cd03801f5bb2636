import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readLines } from './text-lines.js';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-text-'));
});
afterEach(() => rm(root, { recursive: true }));

async function linesOf(content: string): Promise<string[]> {
  const path = join(root, 'd.csv');
  await writeFile(path, content);
  const lines: string[] = [];
  await readLines({ name: 'd.csv', path }, (text, line) => {
    expect(line).toBe(lines.push(text));
    return true;
  });
  return lines;
}

test('lines are the same whatever ends them and wherever a read of the file stops', async () => {
  const line = fc.string({ unit: fc.constantFrom('a', 'é', '😀', ' '), maxLength: 4 });
  const lineEnd = fc.constantFrom('\n', '\r\n', '\r');
  // Bytes before the lines: reads stop at multiples of 32 KiB.
  const ahead = fc.integer({ min: 32_740, max: 32_768 });
  await fc.assert(
    fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 12 }), lineEnd, ahead, async (lines, end, bytes) => {
      const written = ['x'.repeat(bytes), ...lines, 'last'];
      expect(await linesOf(written.join(end))).toEqual(written);
      expect(await linesOf(written.join(end) + end)).toEqual(written);
    }),
    { numRuns: 100 },
  );
});
