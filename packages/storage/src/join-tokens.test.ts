import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { admitCertificate, createJoinToken } from './join-tokens.js';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ropeteam-tokens-'));
  folders.push(folder);
  return folder;
}

const noon = new Date('2026-01-01T12:00:00Z');
const later = (minutes: number) => new Date(noon.getTime() + minutes * 60_000);
const made = { fingerprint: 'aa11', minutes: 10, now: noon };

test('a token lets in the one certificate it is for, once, and that one from then on without', () => {
  const folder = newFolder();
  const token = createJoinToken(folder, made);
  expect(admitCertificate(folder, 'bb22', token, later(1)), 'stolen').toBe('token of another certificate');
  expect(admitCertificate(folder, 'aa11', undefined, later(1))).toBe('no token');
  expect(admitCertificate(folder, 'aa11', token, later(1))).toBeUndefined();
  expect(admitCertificate(folder, 'aa11', undefined, later(100)), 'it comes back').toBeUndefined();
  expect(admitCertificate(folder, 'bb22', token, later(1)), 'replayed').toBe('unknown or used token');
  rmSync(join(folder, 'admitted', 'aa11.json'));
  expect(admitCertificate(folder, 'aa11', token, later(2)), 'revoked').toBe('unknown or used token');
});

test('a token ends after its minutes, and is cleared away when the next is made', () => {
  const folder = newFolder();
  const token = createJoinToken(folder, made);
  expect(admitCertificate(folder, 'aa11', token, later(11))).toBe('expired token');
  createJoinToken(folder, { ...made, now: later(12) });
  expect(readdirSync(join(folder, 'pending'))).toHaveLength(1);
});

test('no token is in the folder, files are for their owner, and what is broken lets nobody in', () => {
  const folder = newFolder();
  const token = createJoinToken(folder, made);
  expect(Buffer.from(token, 'base64url')).toHaveLength(32);
  const [name = ''] = readdirSync(join(folder, 'pending'));
  expect(name + readFileSync(join(folder, 'pending', name), 'utf8')).not.toContain(token);
  expect(statSync(join(folder, 'pending', name)).mode & 0o777).toBe(0o600);
  writeFileSync(join(folder, 'pending', name), '{"fingerprint": "aa11"}');
  expect(admitCertificate(folder, 'aa11', token, later(1))).toBe('unknown or used token');
  expect(admitCertificate(folder, 'aa11', '../../admitted/x', later(1))).toBe('unknown or used token');
  expect(admitCertificate(join(folder, 'nowhere'), 'aa11', token, later(1))).toBe('unreadable folder');
});
