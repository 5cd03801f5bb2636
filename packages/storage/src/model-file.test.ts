import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadModel, saveModel, type TrainedModel } from './model-file.js';
import { weightsSha256 } from './weights.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-model-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function model(seed: number): Promise<TrainedModel> {
  const weights = Float32Array.from({ length: 9 }, (_, i) => Math.sin(seed + i));
  return {
    run: 'digits-1',
    kernelId: 'wasm-simd128/1',
    spec: {
      inputs: 2,
      outputs: 3,
      layers: [{ kind: 'dense', units: 3 }],
      loss: { kind: 'softmaxCrossEntropy' },
      init: 'auto',
    },
    parameters: [
      { name: 'layers.0.weight', shape: [3, 2], offset: 0, size: 6 },
      { name: 'layers.0.bias', shape: [3], offset: 6, size: 3 },
    ],
    weights,
    weightsSha256: await weightsSha256(weights),
    dataset: {
      task: 'classification',
      featureCount: 2,
      targetCount: 1,
      targetNames: ['digit'],
      classes: ['0', '1', 'é'],
      preprocessing: { scale: 'standard', columns: [{ kind: 'number', name: 'a', shift: 0.1, factor: 1 / 3 }] },
      dataSha256: 'd'.repeat(64),
      samples: { train: 8, validation: 1, test: 1 },
    },
    metrics: { train: { loss: 0.25, accuracy: 1 } },
    jobSha256: 'a'.repeat(64),
  };
}

test('a model comes back as it was saved, and the same model is the same bytes', async () => {
  await saveModel(folder, await model(1));
  expect(await loadModel(folder)).toEqual(await model(1));
  const first = await readFile(join(folder, 'model.safetensors'));
  await saveModel(folder, await model(2));
  await saveModel(folder, await model(1));
  expect(await readFile(join(folder, 'model.safetensors'))).toEqual(first);
  expect((await readdir(folder)).sort()).toEqual(['model.json', 'model.safetensors']);
});

test('the architecture comes back with the settings of its layers and its loss', async () => {
  const layers: TrainedModel['spec']['layers'] = [
    { kind: 'leakyRelu', slope: 0.1 },
    { kind: 'dropout', rate: 1 / 3 },
    { kind: 'dense', units: 3 },
  ];
  const loss = { kind: 'softmaxCrossEntropy', labelSmoothing: 0.1 } as const;
  const saved = await model(1);
  const spec = { ...saved.spec, layers, loss };
  await saveModel(folder, { ...saved, spec });
  expect((await loadModel(folder)).spec).toEqual(spec);
});

test('the fingerprint of weights is the SHA-256 of their little-endian bytes', async () => {
  expect(await weightsSha256(Float32Array.of(1, -2))).toBe(
    createHash('sha256').update(Buffer.from('0000803f000000c0', 'hex')).digest('hex'),
  );
  const large = new Float32Array(3_000_001).fill(0.5); // more than one turn of the event loop
  expect(await weightsSha256(large)).toBe(createHash('sha256').update(new Uint8Array(large.buffer)).digest('hex'));
});

test('weights that are not the ones described, other formats and half a model are refused', async () => {
  await saveModel(folder, await model(1));
  const weights = await readFile(join(folder, 'model.safetensors'));
  const json = await readFile(join(folder, 'model.json'), 'utf8');
  await saveModel(folder, await model(2));
  await writeFile(join(folder, 'model.safetensors'), weights); // as a crash between the two files leaves it
  await expect(loadModel(folder)).rejects.toMatchObject({ code: 'STORAGE.CORRUPT', message: /another/ });

  for (const [text, message] of [
    [json.replace('ropeteam-model/1', 'ropeteam-model/2'), /this program reads ropeteam-model\/1/],
    [json.slice(0, -5), /not JSON/],
    ['{"format":"ropeteam-model/1"}', /no architecture/],
    [json.replace('layers.0.bias', 'layers.1.bias'), /no tensor layers\.1\.bias/],
  ] as const) {
    await writeFile(join(folder, 'model.json'), text);
    await expect(loadModel(folder)).rejects.toMatchObject({ code: 'STORAGE.CORRUPT', message });
  }
  await rm(join(folder, 'model.json'));
  await expect(loadModel(folder)).rejects.toMatchObject({ code: 'STORAGE.CORRUPT' });
  await expect(saveModel(folder, { ...(await model(1)), weightsSha256: 'x' })).rejects.toThrow(RangeError);
});
