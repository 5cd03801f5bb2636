/** What OpenBLAS's adapter asks of the system besides products. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'vitest';
import { BLAS_LIBRARY, hasBlas } from './blas.fixture.js';
import { openBlas } from './blas-library.js';
import { createSharedMemory } from './linear-memory.js';

/** Linux lists each stretch of memory with its flags; `hg` is the advice to use huge pages. */
function flagsAt(address: number): readonly string[] {
  const stretches = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const around = stretches.find((stretch) => {
    const [begin, end] = stretch.split(' ', 1)[0]?.split('-') ?? [];
    return Number.parseInt(begin ?? '', 16) <= address && address < Number.parseInt(end ?? '', 16);
  });
  return (
    /^VmFlags: (.*)$/m
      .exec(around ?? '')?.[1]
      ?.trim()
      .split(' ') ?? []
  );
}

test.skipIf(process.platform !== 'linux' || !hasBlas)('a memory can be put on huge pages', async () => {
  const { addressOf, adviseHugePages } = await openBlas(BLAS_LIBRARY);
  const memory = createSharedMemory(32 << 20);
  assert.ok(!flagsAt(addressOf(memory)).includes('hg'));
  adviseHugePages(memory);
  assert.ok(flagsAt(addressOf(memory)).includes('hg'));
  assert.ok(flagsAt(addressOf(memory) + (31 << 20)).includes('hg'));
});
