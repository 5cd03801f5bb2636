import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { renderFindings } from './commands/doctor.js';
import { readEnvironment } from './environment.js';
import {
  checkClock,
  checkDisk,
  checkKernel,
  checkMemory,
  checkNode,
  checkPorts,
  checkRedis,
  describeRedis,
} from './machine-checks.js';

test('Node is judged by its version', () => {
  expect(
    ['18.20.0', '20.18.3', '20.19.0', '21.7.0', '22.1.0', '24.0.0'].map((version) => checkNode(version).status),
  ).toEqual(['problem', 'problem', 'warning', 'warning', 'ok', 'ok']);
});

test('little memory is a warning, almost none a problem', () => {
  expect([100e6, 500e6, 4e9].map((bytes) => checkMemory(bytes).status)).toEqual(['problem', 'warning', 'ok']);
});

test('the disk is measured without leaving anything, even where the runs folder is not there yet', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-doctor-test-'));
  try {
    const finding = await checkDisk(join(folder, 'not', 'yet'));
    expect(finding.found).toMatch(new RegExp(`free in ${folder}, fsync [\\d.]+ ms`));
    expect(await readdir(folder)).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a place that cannot be written is a problem with a way out', async () => {
  expect(await checkDisk('/proc/runs')).toMatchObject({ status: 'problem', fix: expect.stringContaining('--out') });
});

test('a taken port is a warning that names it', async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const address = holder.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  try {
    expect(await checkPorts([port])).toMatchObject({ status: 'warning', found: `${port} in use on 127.0.0.1` });
  } finally {
    await new Promise((resolve) => holder.close(resolve));
  }
  expect(await checkPorts([port])).toMatchObject({ status: 'ok' });
});

test('a Redis that does not answer is a problem, the stand-in a warning', async () => {
  const environment = readEnvironment({});
  const signal = new AbortController().signal;
  const absent = await checkRedis({ environment, signal, redisUrl: 'redis://:secret@127.0.0.1:1' });
  expect(absent).toMatchObject({ status: 'problem', fix: expect.any(String) });
  expect(JSON.stringify(absent)).not.toContain('secret');
  expect(describeRedis({ kind: 'javascript', hint: 'install one', refused: [] })).toMatchObject({
    status: 'warning',
    fix: 'install one',
  });
});

test('a clock behind the program is a warning', () => {
  const built = Date.parse('2026-06-01');
  expect(checkClock(Date.parse('1970-01-02'), built).status).toBe('warning');
  expect(checkClock(built - 60_000, built).status).toBe('ok');
});

test.each([
  ['wasm', 'wasm-simd128/1'],
  ['js', 'js/1'],
  ['wasm-fma', 'wasm-fma/1'],
] as const)('the kernel %s computes the bits it must, on this machine too', async (name, id) => {
  const found = expect.stringMatching(new RegExp(`^${id}, [\\d.]+ GFLOP/s`));
  expect(await checkKernel(name)).toMatchObject({ subject: `kernel ${name}`, status: 'ok', found });
});

test('a library that is not there is a warning that says how to get it, not a problem', async () => {
  expect(await checkKernel('blas', '/not/there/libopenblas.so')).toEqual({
    subject: 'kernel blas',
    status: 'warning',
    found: expect.stringContaining('/not/there/libopenblas.so'),
    fix: expect.stringContaining('apt-get install libopenblas0-pthread'),
  });
});

test('findings line up, each fix under its finding, the verdict last', () => {
  const text = renderFindings(
    [
      { subject: 'Node', status: 'ok', found: '24' },
      { subject: 'memory', status: 'problem', found: 'none', fix: 'buy some' },
    ],
    (_style, words) => words,
  );
  expect(text).toBe('✓ Node    24\n✗ memory  none\n    fix: buy some\n\nTo be mended first: 1 (marked ✗).');
});
