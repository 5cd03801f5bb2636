import { expect, test } from 'vitest';
import { renderUp } from './up.js';

test('the box is closed on every side and says where everything is', () => {
  const facts = {
    grpc: '127.0.0.1:50051',
    statusPage: 'http://127.0.0.1:9464/',
    metrics: 'http://127.0.0.1:9464/metrics',
    runs: '/srv/somewhere/a/rather/long/path/runs',
    workers: 2,
    redis: { engine: 'redis', version: '7.0.15', source: 'path' },
  };
  const lines = renderUp(facts, 'ropeteam', (_style, text) => text).split('\n');
  const box = lines.slice(0, 8);
  expect(new Set(box.map((line) => line.length)).size).toBe(1);
  for (const fact of [facts.grpc, facts.statusPage, facts.metrics, facts.runs, '2 processes', 'redis 7.0.15 (path)']) {
    expect(box.join('\n')).toContain(fact);
  }
  expect(lines.join('\n')).toContain('ropeteam submit JOB.yaml --watch --coordinator 127.0.0.1:50051');
});
