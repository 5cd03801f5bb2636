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
