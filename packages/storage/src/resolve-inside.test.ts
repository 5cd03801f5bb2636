import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fileError, resolveInside } from './resolve-inside.js';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-root-'));
});
afterEach(() => rm(root, { recursive: true }));

test('an unreadable file says so', () => {
  // Root may read everything, so the system's refusal is made here.
  const error = fileError('secret.csv', Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' }));
  expect([error.code, error.message, error.place]).toEqual([
    'DATA.FILE',
    'secret.csv may not be read',
    { file: 'secret.csv' },
  ]);
});

test.each([
  '../d.csv',
  '../../etc/passwd',
  'sub/../../d.csv',
  '/etc/passwd',
  '..\\d.csv',
  'C:\\data.csv',
  '%2e%2e/d.csv',
  '..%2fd.csv',
  'd.csv\0.txt',
  'link-out/passwd',
  'link.csv',
])('the path %j is outside the root', async (path) => {
  await symlink('/etc', join(root, 'link-out'));
  await symlink('/etc/passwd', join(root, 'link.csv'));
  await expect(resolveInside(root, path)).rejects.toMatchObject({ code: 'DATA.OUTSIDE_ROOT' });
});

test('a path below the root is resolved, also through a link that stays inside and with dots in its name', async () => {
  await mkdir(join(root, 'sub'));
  await writeFile(join(root, 'sub', 'a..b.csv'), 'a,y\n1,2\n');
  await symlink('sub/a..b.csv', join(root, 'link.csv'));
  expect(await resolveInside(root, './sub/a..b.csv')).toBe(await resolveInside(root, 'link.csv'));
});
