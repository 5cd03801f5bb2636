import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { checkArchitecture, findLongFiles, type PartRule, readSources } from './support/architecture-rules.js';

const packages = [
  'limits',
  'kernel',
  'engine',
  'training',
  'job',
  'protocol',
  'queues',
  'storage',
  'objects',
  'model',
  'telemetry',
];

/** The table of the style guide: which way the arrows point. Any other edge fails. */
const rules: Readonly<Record<string, PartRule>> = {
  // Types of training alone: it runs before anything else is loaded.
  limits: { parts: ['training'], packages: [], node: true },
  kernel: { parts: [], packages: [], node: false },
  engine: { parts: ['kernel'], packages: ['koffi'], node: true },
  training: { parts: ['kernel'], packages: [], node: false },
  // fastest-levenshtein: "did you mean" for keys and names.
  job: { parts: ['training'], packages: ['zod', 'yaml', 'fastest-levenshtein'], node: true },
  // grpc-health-check: the standard health service, which probes and load balancers ask. @peculiar/x509: `certs` makes
  // certificates with it, and it wants reflect-metadata; nothing else loads either.
  protocol: {
    parts: ['training', 'kernel'],
    packages: ['@grpc/grpc-js', '@grpc/proto-loader', 'grpc-health-check', '@peculiar/x509', 'reflect-metadata'],
    node: true,
  },
  // js-redis-server: the last resort where no Redis can be had, in a process of its own.
  queues: { parts: ['training', 'kernel'], packages: ['bullmq', 'ioredis', 'js-redis-server'], node: true },
  // pino-pretty: logs for people where the stream is a terminal. @opentelemetry/api: spans for whoever loads an SDK.
  telemetry: {
    parts: ['training', 'limits'],
    packages: ['prom-client', 'pino', 'pino-pretty', '@opentelemetry/api'],
    node: true,
  },
  // hyparquet: Parquet files, hyparquet-compressors: what they are compressed with.
  storage: {
    parts: ['training', 'kernel'],
    packages: ['csv-parse', 'hyparquet', 'hyparquet-compressors', 'picomatch', 'tinyglobby', 'yauzl'],
    node: true,
  },
  // s3mini: signs requests to S3-compatible storage; it pulls in nothing.
  objects: { parts: ['training'], packages: ['s3mini'], node: true },
  // protobufjs: ONNX files are protobuf. engine: predictions come from the kernel that training evaluates with.
  model: { parts: ['kernel', 'engine', 'training', 'storage'], packages: ['protobufjs'], node: true },
  'services/coordinator': { parts: packages, packages: [], node: true },
  'services/worker': { parts: packages, packages: [], node: true },
  // commander: the command line; string-width: how many columns a text takes.
  cli: {
    parts: packages,
    packages: ['commander', 'string-width'],
    node: true,
    starts: ['services/coordinator', 'services/worker'],
  },
};

/** dist/test/architecture.test.js -> the checkout: rules are about sources. */
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

test('every import follows the arrows, and every file the rules of the house', () => {
  const sources = readSources(root);
  expect(sources.length).toBeGreaterThan(50);
  const violations = [...checkArchitecture(sources, rules), ...findLongFiles(root)];
  expect(violations.map(({ path, rule, message }) => `${path}: ${rule}: ${message}`)).toEqual([]);
});
