/** An exported safetensors file in PyTorch: the same outputs from the same tensors, layer by layer. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openForwardPass } from '#engine';
import { compileModel, initialWeights, type ModelSpec } from '#kernel';
import { exportModel } from '#model';
import { weightsSha256 } from '#storage';

/** Reads the file without any package of ours or of its format's: eight bytes, JSON, tensors. */
const READ_AND_RUN = `
import json, struct, sys
import torch
from torch import nn
path, rows = sys.argv[1], json.load(sys.stdin)
data = open(path, 'rb').read()
length = struct.unpack('<Q', data[:8])[0]
header = json.loads(data[8:8 + length])
metadata = header.pop('__metadata__')
tensors = {}
for name, entry in header.items():
    begin, end = entry['data_offsets']
    flat = torch.frombuffer(bytearray(data[8 + length + begin:8 + length + end]), dtype=torch.float32)
    tensors[name.removeprefix('layers.')] = flat.reshape(entry['shape'])
spec = json.loads(metadata['architecture'])
make = {
    'dense': lambda layer, width: nn.Linear(width, layer['units']),
    'relu': lambda layer, width: nn.ReLU(),
    'leakyRelu': lambda layer, width: nn.LeakyReLU(layer['slope']),
    'gelu': lambda layer, width: nn.GELU(),
    'sigmoid': lambda layer, width: nn.Sigmoid(),
    'tanh': lambda layer, width: nn.Tanh(),
    'softmax': lambda layer, width: nn.Softmax(-1),
    'dropout': lambda layer, width: nn.Dropout(layer['rate']),
    'layerNorm': lambda layer, width: nn.LayerNorm(width, layer['epsilon']),
}
layers, width = [], spec['inputs']
for layer in spec['layers']:
    layers.append(make[layer['kind']](layer, width))
    width = layer.get('units', width)
model = nn.Sequential(*layers)
model.load_state_dict(tensors, strict=True)
model.eval()
with torch.no_grad():
    print(json.dumps(model(torch.tensor(rows, dtype=torch.float32)).flatten().tolist()))
`;

/** The first Python that has PyTorch: the one on the PATH may be another than the system's. */
const python = ['python3', '/usr/bin/python3'].find((name) => spawnSync(name, ['-c', 'import torch']).status === 0);

const SPEC: ModelSpec = {
  inputs: 6,
  outputs: 3,
  layers: [
    { kind: 'dense', units: 16 },
    { kind: 'layerNorm', epsilon: 1e-5 },
    { kind: 'gelu' },
    { kind: 'dropout', rate: 0.3 },
    { kind: 'dense', units: 14 },
    { kind: 'leakyRelu', slope: 0.1 },
    { kind: 'dense', units: 12 },
    { kind: 'tanh' },
    { kind: 'dense', units: 10 },
    { kind: 'sigmoid' },
    { kind: 'dense', units: 8 },
    { kind: 'relu' },
    { kind: 'softmax' },
    { kind: 'dense', units: 3 },
  ],
  loss: { kind: 'softmaxCrossEntropy' },
  init: 'torch',
};

test.skipIf(python === undefined)(
  'PyTorch loads every layer by its name and gives the same outputs (needs python3 with torch)',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ropeteam-torch-'));
    try {
      const program = compileModel(SPEC);
      const weights = initialWeights(program, 11);
      const columns = Array.from({ length: SPEC.inputs }, (_, index) => ({
        kind: 'number' as const,
        name: `x${index}`,
        shift: 0,
        factor: 1,
      }));
      const path = join(folder, 'model.safetensors');
      const trained = {
        run: 'torch-1',
        kernelId: 'wasm-simd128/1',
        spec: SPEC,
        parameters: program.parameters,
        weights,
        weightsSha256: await weightsSha256(weights),
        dataset: {
          task: 'classification' as const,
          featureCount: SPEC.inputs,
          targetCount: 1,
          targetNames: ['y'],
          classes: ['a', 'b', 'c'],
          preprocessing: { scale: 'none' as const, columns },
          dataSha256: '',
          samples: { train: 1, validation: 0, test: 0 },
        },
        metrics: {},
        jobSha256: '',
      };
      await exportModel(trained, 'safetensors', path);
      const rows = Array.from({ length: 40 }, (_, row) => columns.map((_column, at) => Math.sin(row * 7 + at * 3) * 2));
      const done = spawnSync(python ?? '', ['-c', READ_AND_RUN, path], {
        input: JSON.stringify(rows),
        encoding: 'utf8',
      });
      expect(done.stderr).toBe('');
      const found = JSON.parse(done.stdout) as readonly number[];
      const expected = (await openForwardPass(SPEC, weights)).outputs(Float32Array.from(rows.flat()));
      expect(found).toHaveLength(expected.length);
      const worst = found.reduce((most, value, at) => Math.max(most, Math.abs(value - expected[at]!)), 0);
      expect(worst).toBeLessThan(1e-5);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  60_000,
);
