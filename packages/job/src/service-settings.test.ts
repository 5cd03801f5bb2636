import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { oneOf, redisUrlFrom, wholeNumber } from './service-settings.js';

test('a number out of range, a fraction, words and nothing at all are refused with the range', () => {
  for (const text of ['-1', '65536', '1.5', 'many', '', ' ']) {
    expect(() => wholeNumber('--port', text, 0, 65_535)).toThrow(`--port is ${JSON.stringify(text)}`);
  }
  expect(wholeNumber('--port', '65535', 0, 65_535)).toBe(65_535);
});

test('an unknown word is refused with the words there are', () => {
  expect(() => oneOf('--kernel', 'gpu', ['auto', 'js'])).toThrow('--kernel is "gpu"; it must be one of auto, js');
  expect(oneOf('--kernel', 'js', ['auto', 'js'])).toBe('js');
});

test('no Redis address, or an empty one, says which variable to set', () => {
  expect(() => redisUrlFrom({})).toThrow('ROPETEAM_REDIS_URL is not set');
  expect(() => redisUrlFrom({ ROPETEAM_REDIS_URL: '' })).toThrow('ROPETEAM_REDIS_URL is not set');
  expect(redisUrlFrom({ ROPETEAM_REDIS_URL: 'redis://h' })).toBe('redis://h');
});

test('a password, or the whole URL, is read from a file that is mounted for it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ropeteam-test-'));
  try {
    const secret = (text: string): string => {
      const path = join(folder, 'secret');
      writeFileSync(path, text);
      return path;
    };
    expect(redisUrlFrom({ ROPETEAM_REDIS_URL_FILE: secret('rediss://u:p@h:1\n') })).toBe('rediss://u:p@h:1');
    const url = redisUrlFrom({
      ROPETEAM_REDIS_URL: 'redis://ropeteam@h:6379',
      ROPETEAM_REDIS_PASSWORD_FILE: secret('p:@/ %25#\n'),
    });
    expect(decodeURIComponent(new URL(url).password)).toBe('p:@/ %25#');
    expect(new URL(url).host).toBe('h:6379');
    const both = { ROPETEAM_REDIS_URL: 'redis://:x1@h', ROPETEAM_REDIS_PASSWORD_FILE: secret('s3cret') };
    expect(() => redisUrlFrom(both)).toThrow('has a password already');
    expect(() => redisUrlFrom({ ROPETEAM_REDIS_URL: 'redis://h', ROPETEAM_REDIS_URL_FILE: secret('x') })).toThrow(
      'both set',
    );
    for (const text of ['', '\n', 'two\nlines']) {
      expect(() => redisUrlFrom({ ROPETEAM_REDIS_URL_FILE: secret(text) })).toThrow('must hold one line');
    }
    const missing = { ROPETEAM_REDIS_URL: 'redis://h', ROPETEAM_REDIS_PASSWORD_FILE: join(folder, 'nothing') };
    expect(() => redisUrlFrom(missing)).toThrow('nothing cannot be read');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
