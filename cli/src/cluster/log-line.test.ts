import { expect, test } from 'vitest';
import { readableLogLine } from './log-line.js';

test('a JSON line becomes level, event and what matters', () => {
  const line = '{"level":40,"time":1,"pid":7,"service":"worker","event":"coordinator_lost","msg":"closed","attempt":3}';
  expect(readableLogLine(line)).toBe('warn coordinator_lost: closed attempt=3');
});

test('a level may be a word, an error an object', () => {
  const line = '{"level":"error","event":"failed","error":{"message":"boom","stack":"at x"}}';
  expect(readableLogLine(line)).toBe('error failed error="boom"');
});

test('any other line stays as it is, shortened', () => {
  expect(readableLogLine('Segmentation fault')).toBe('Segmentation fault');
  expect(readableLogLine('{"level":30,"ev')).toBe('{"level":30,"ev');
  expect(readableLogLine('x'.repeat(500))).toHaveLength(240);
});
