import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileModel, type LayerSpec, type Parameter } from '#kernel';
import { matchTensors } from './match-tensors.js';
import type { TensorEntry } from './safetensors-header.js';

function parametersOf(inputs: number, ...units: readonly number[]): readonly Parameter[] {
  const layers = units.flatMap((size): LayerSpec[] => [{ kind: 'dense', units: size }, { kind: 'relu' }]).slice(0, -1);
  const outputs = units.at(-1) ?? 0;
  return compileModel({ inputs, outputs, layers, loss: { kind: 'meanSquaredError' }, init: 'auto' }).parameters;
}

/** The parameters as tensors of a file under other names, in the order of these names, as PyTorch's files have them. */
function renamed(parameters: readonly Parameter[], rename: (name: string) => string): readonly TensorEntry[] {
  return parameters
    .map(({ name, shape }) => ({ name: rename(name), dtype: 'F32' as const, shape, begin: 0, end: 0 }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

const matched = (parameters: readonly Parameter[], tensors: readonly TensorEntry[]): Record<string, string> => {
  const matching = matchTensors(parameters, tensors);
  if (matching.by === undefined) throw new Error(JSON.stringify(matching.mismatches));
  return Object.fromEntries(matching.pairs.map(({ parameter, tensor }) => [parameter.name, tensor.name]));
};

const layerOf = (name: string): number => Number(name.split('.')[1]);

describe('tensors are matched', () => {
  test('by name, whatever their order in the file', () => {
    const parameters = parametersOf(3, 5, 5, 2);
    fc.assert(
      fc.property(fc.shuffledSubarray([...renamed(parameters, (name) => name)], { minLength: 6 }), (tensors) => {
        expect(matchTensors(parameters, tensors)).toMatchObject({ by: 'names' });
        for (const [parameter, tensor] of Object.entries(matched(parameters, tensors))) expect(tensor).toBe(parameter);
      }),
    );
  });

  test('by the number in their names, as a number and not as a text, even where every shape is the same', () => {
    const parameters = parametersOf(4, 4, 4, 4, 4, 4, 4);
    const prefix = fc.constantFrom('', 'model.', 'net.0.', 'fc', 'encoder.layer', 'a.b.linear_');
    fc.assert(
      fc.property(prefix, fc.integer({ min: 0, max: 120 }), fc.integer({ min: 1, max: 7 }), (before, from, by) => {
        const tensors = renamed(parameters, (name) =>
          name.replace(/^layers\.\d+/, `${before}${from + by * layerOf(name)}`),
        );
        expect(matchTensors(parameters, tensors)).toMatchObject({ by: 'order' });
        for (const [parameter, tensor] of Object.entries(matched(parameters, tensors))) {
          expect(tensor).toBe(parameter.replace(/^layers\.\d+/, `${before}${from + by * layerOf(parameter)}`));
        }
      }),
    );
  });

  test('by shape where names give no order and no two modules are alike', () => {
    const parameters = parametersOf(3, 5, 7, 2);
    const names = ['output', 'hidden', 'input'];
    const tensors = renamed(parameters, (name) => name.replace(/^layers\.\d+/, names[layerOf(name) / 2] ?? ''));
    expect(matchTensors(parameters, tensors)).toMatchObject({ by: 'shapes' });
    expect(matched(parameters, tensors)).toMatchObject({
      'layers.0.weight': 'output.weight',
      'layers.4.bias': 'input.bias',
    });
  });
});

describe('tensors are not matched', () => {
  const parameters = parametersOf(4, 4, 4, 2);

  test('when two modules have the same shapes and names give no order', () => {
    const names = ['first', 'second', 'third'];
    const tensors = renamed(parameters, (name) => name.replace(/^layers\.\d+/, names[layerOf(name) / 2] ?? ''));
    expect(matchTensors(parameters, tensors)).toMatchObject({ by: undefined, mismatches: [{ kind: 'ambiguous' }] });
  });

  test('when a shape differs: each that does is told, under either name', () => {
    const other = parametersOf(4, 3, 4, 2);
    for (const rename of [(name: string) => name, (name: string) => name.replace('layers.', '')]) {
      const matching = matchTensors(parameters, renamed(other, rename));
      if (matching.by !== undefined) throw new Error('matched');
      expect(matching.mismatches.map((one) => [one.kind, one.kind === 'shape' ? one.parameter.name : ''])).toEqual([
        ['shape', 'layers.0.weight'],
        ['shape', 'layers.0.bias'],
        ['shape', 'layers.2.weight'],
      ]);
    }
  });

  test('when one is missing or left over: all of these are told at once', () => {
    const deeper = parametersOf(4, 4, 4, 2, 2);
    const tooMany = matchTensors(
      parameters,
      renamed(deeper, (name) => name),
    );
    expect(tooMany).toMatchObject({
      mismatches: [
        { kind: 'left-over', tensor: { name: 'layers.6.bias' } },
        { kind: 'left-over', tensor: { name: 'layers.6.weight' } },
      ],
    });
    const tooFew = matchTensors(
      deeper,
      renamed(parameters, (name) => name),
    );
    expect(tooFew).toMatchObject({
      mismatches: [
        { kind: 'missing', parameter: { name: 'layers.6.weight' } },
        { kind: 'missing', parameter: { name: 'layers.6.bias' } },
      ],
    });
    const without = renamed(parameters, (name) => name.replace('layers.', '')).filter(({ name }) => name !== '2.bias');
    expect(matchTensors(parameters, without)).toMatchObject({
      by: undefined,
      mismatches: [{ kind: 'missing', parameter: { name: 'layers.2.bias' } }],
    });
  });

  test('when the file is empty', () => {
    expect(matchTensors(parameters, [])).toMatchObject({ by: undefined });
  });
});
