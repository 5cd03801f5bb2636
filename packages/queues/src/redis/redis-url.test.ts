import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RopeteamError } from '#training';
import { maskPassword, parseRedisUrl } from './redis-url.js';

const secret = fc.stringMatching(/^[A-Za-z0-9@:/#%!-]{1,20}$/).map((text) => `s3cr3t${text}`);

test('no password is ever in what is shown, however it is written', () => {
  fc.assert(
    fc.property(secret, fc.constantFrom('', 'user', 'us.er'), (password, user) => {
      expect(maskPassword(`redis://${user}:${password}@host:6379/0`)).not.toContain('s3cr3t');
      expect(maskPassword(`http://${user}:${password}@host`)).not.toContain('s3cr3t');
      expect(maskPassword(`redis://host:6379/0?password=${password}`)).not.toContain('s3cr3t');
    }),
  );
});

test('what is shown keeps user, host, port and database', () => {
  expect(maskPassword('redis://joe:secret@db.example:7000/2')).toBe('redis://joe:***@db.example:7000/2');
  expect(maskPassword('redis://127.0.0.1:6379')).toBe('redis://127.0.0.1:6379');
});

test('an address of another scheme is refused by name, without its password', () => {
  for (const text of ['http://u:secret@127.0.0.1:6379', '127.0.0.1:6379', 'postgres://secret@h', 'redis://', '']) {
    const attempt = (): unknown => parseRedisUrl(text);
    expect(attempt, text).toThrow(RopeteamError);
    expect(attempt, text).toThrow(/starts with redis:\/\//);
    expect(attempt, text).not.toThrow(/secret/);
  }
  expect(() => parseRedisUrl('http://127.0.0.1:6379')).toThrow('is a web address');
});

test('the port is 6379 unless the address says otherwise', () => {
  expect(parseRedisUrl('redis://h').port).toBe(6379);
  expect(parseRedisUrl('rediss://h:1/3')).toMatchObject({ port: 1, tls: true, host: 'h' });
});
