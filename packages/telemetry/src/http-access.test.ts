import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ROLES, type Role } from '#training';
import { readHttpTokens } from './http-access.js';
import { startMetricsServer } from './metrics-server.js';
import { createWorkerMetrics } from './worker-metrics.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const viewer = 'v'.repeat(64);
const metrics = 'm'.repeat(64);

function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'ropeteam-http-'));
  opened.push(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

async function served(routeRoles: readonly Role[] = ['viewer']) {
  const tokens = readHttpTokens(folderWith({ 'viewer.token': `${viewer}\n`, 'metrics.token': metrics }));
  const registry = createWorkerMetrics({ version: '0', kernel: 'js/1' }, 1);
  const page = { contentType: 'text/plain', body: 'page' };
  const routes = { '/': { for: routeRoles, make: () => page } };
  const server = await startMetricsServer({ host: '127.0.0.1', port: 0, registry, routes, tokens });
  opened.push(() => server.close());
  return async (path: string, authorization?: string) =>
    (await fetch(server.url + path, authorization === undefined ? {} : { headers: { authorization } })).status;
}

test('every page is for the roles of its route, and probes are for everybody', async () => {
  const ask = await served();
  const basic = `Basic ${Buffer.from(`anybody:${viewer}`).toString('base64')}`;
  const expected: readonly (readonly [string, string | undefined, number])[] = [
    ['/', undefined, 401],
    ['/', `Bearer ${viewer}`, 200],
    ['/', basic, 200],
    ['/', `Bearer ${metrics}`, 403],
    ['/', `Digest ${viewer}`, 401],
    ['/metrics', undefined, 401],
    ['/metrics', `Bearer ${metrics}`, 200],
    ['/metrics', `Bearer ${viewer}`, 403],
    ['/nothing', undefined, 401],
    ['/healthz', undefined, 200],
    ['/readyz', undefined, 200],
  ];
  for (const [path, authorization, status] of expected) {
    expect(await ask(path, authorization), `${path} ${authorization}`).toBe(status);
  }
});

test.each(ROLES)('a page for %s alone is shown to no other role', async (role) => {
  const ask = await served([role]);
  expect(await ask('/', `Bearer ${viewer}`)).toBe(role === 'viewer' ? 200 : 403);
  expect(await ask('/', `Bearer ${metrics}`)).toBe(role === 'metrics' ? 200 : 403);
});

test('whoever guesses has to wait, even with the right token at last', async () => {
  const ask = await served();
  const answers: number[] = [];
  for (let guess = 0; guess < 7; guess++) answers.push(await ask('/', `Bearer ${guess}`));
  expect(answers).toEqual([401, 401, 401, 401, 401, 429, 429]);
  expect(await ask('/', `Bearer ${viewer}`)).toBe(429);
  expect(await ask('/healthz')).toBe(200);
});

test('a folder without a token, or with a short one, is refused by name', () => {
  expect(() => readHttpTokens(folderWith({}))).toThrow(/holds no viewer\.token or metrics\.token/);
  expect(() => readHttpTokens(folderWith({ 'viewer.token': 'short' }))).toThrow(/viewer\.token is shorter than 32/);
});
