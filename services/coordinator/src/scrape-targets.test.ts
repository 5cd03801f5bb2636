import { expect, test } from 'vitest';
import { PROTOCOL_VERSION, workerId } from '#training';
import { scrapeTargets } from './scrape-targets.js';

test('only workers that serve metrics are targets, each labelled with its name', () => {
  const hello = { pid: 1, protocolVersion: PROTOCOL_VERSION, host: 'h', threads: 1, kernelIds: [] };
  const members = [
    { hello: { ...hello, worker: workerId('w0'), metricsAddress: '127.0.0.1:9465' } },
    { hello: { ...hello, worker: workerId('w1') } },
  ];
  expect(JSON.parse(scrapeTargets(members))).toEqual([{ targets: ['127.0.0.1:9465'], labels: { worker: 'w0' } }]);
  expect(JSON.parse(scrapeTargets([]))).toEqual([]);
});
