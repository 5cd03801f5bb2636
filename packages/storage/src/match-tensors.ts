/**
 * Which tensor of a file is which parameter of a model.
 *
 * By name where the names are there. Else whole modules (`0.weight` and `0.bias` are module `0`) are matched: in order, when
 * the file's names differ in one number only and every shape agrees; or by shape, when no two modules have the same shapes.
 * Anything that leaves a choice is no match: a wrong guess would train from noise and look like training.
 */
import type { Parameter } from '#kernel';
import type { TensorEntry } from './safetensors-header.js';

export type MatchedBy = 'names' | 'order' | 'shapes';

export interface TensorPair {
  readonly parameter: Parameter;
  readonly tensor: TensorEntry;
}

export type Mismatch =
  | { readonly kind: 'missing'; readonly parameter: Parameter }
  | { readonly kind: 'left-over'; readonly tensor: TensorEntry }
  | ({ readonly kind: 'shape' } & TensorPair)
  /** Every shape is there, but more than one assignment fits and the names give no order. */
  | { readonly kind: 'ambiguous'; readonly tensors: readonly TensorEntry[] };

export type Matching =
  | { readonly by: MatchedBy; readonly pairs: readonly TensorPair[] }
  | { readonly by: undefined; readonly mismatches: readonly Mismatch[] };

/** Pairs come in the order of the parameters. */
export function matchTensors(parameters: readonly Parameter[], tensors: readonly TensorEntry[]): Matching {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const named = parameters.flatMap((parameter) => {
    const tensor = byName.get(parameter.name);
    return tensor === undefined ? [] : [{ parameter, tensor }];
  });
  const whole = named.length === parameters.length && named.length === tensors.length;
  if (whole && named.every(sameShape)) return { by: 'names', pairs: named };
  if (named.length < parameters.length) {
    const found = matchModules(modulesOf(parameters), modulesOf(tensors));
    if (found !== undefined) return found;
  }
  return { by: undefined, mismatches: mismatchesOf(parameters, tensors, named) };
}

interface Module<Tensor> {
  readonly name: string;
  /** By the last word of their names: `weight`, `bias`. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

interface Shaped {
  readonly name: string;
  readonly shape: readonly number[];
}

/** In the order in which they come first. */
function modulesOf<Tensor extends Shaped>(tensors: readonly Tensor[]): readonly Module<Tensor>[] {
  const modules = new Map<string, Map<string, Tensor>>();
  for (const tensor of tensors) {
    const dot = tensor.name.lastIndexOf('.');
    const name = tensor.name.slice(0, Math.max(0, dot));
    const inside = modules.get(name) ?? new Map<string, Tensor>();
    modules.set(name, inside.set(tensor.name.slice(dot + 1), tensor));
  }
  return [...modules].map(([name, inside]) => ({ name, tensors: inside }));
}

function matchModules(
  wanted: readonly Module<Parameter>[],
  given: readonly Module<TensorEntry>[],
): (Matching & { readonly by: MatchedBy }) | undefined {
  if (wanted.length !== given.length) return undefined;
  const inOrder = inNumberOrder(given);
  if (inOrder?.every((module, index) => signatureOf(module) === signatureOf(wanted[index]!))) {
    return { by: 'order', pairs: wanted.flatMap((module, index) => pairsOf(module, inOrder[index]!)) };
  }
  const bySignature = new Map(given.map((module) => [signatureOf(module), module]));
  const signatures = new Set(wanted.map(signatureOf));
  if (bySignature.size < given.length || signatures.size < wanted.length) return undefined;
  const partners = wanted.flatMap((module) => bySignature.get(signatureOf(module)) ?? []);
  if (partners.length < wanted.length) return undefined;
  return { by: 'shapes', pairs: wanted.flatMap((module, index) => pairsOf(module, partners[index]!)) };
}

/** The modules by the one number in which their names differ; undefined when they differ in anything else. */
function inNumberOrder<Tensor>(modules: readonly Module<Tensor>[]): readonly Module<Tensor>[] | undefined {
  const numbered = modules.map((module) => ({ module, numbers: (module.name.match(/\d+/g) ?? []).map(Number) }));
  const [first] = numbered;
  if (first === undefined || new Set(modules.map(({ name }) => name.replaceAll(/\d+/g, '#'))).size !== 1) {
    return undefined;
  }
  const differing = first.numbers.flatMap((_, place) =>
    new Set(numbered.map(({ numbers }) => numbers[place])).size > 1 ? [place] : [],
  );
  if (differing.length > 1) return undefined;
  const place = differing[0] ?? 0;
  return numbered.toSorted((a, b) => (a.numbers[place] ?? 0) - (b.numbers[place] ?? 0)).map(({ module }) => module);
}

function pairsOf(wanted: Module<Parameter>, given: Module<TensorEntry>): readonly TensorPair[] {
  return [...wanted.tensors].flatMap(([leaf, parameter]) => {
    const tensor = given.tensors.get(leaf);
    return tensor === undefined ? [] : [{ parameter, tensor }];
  });
}

function signatureOf({ tensors }: Module<Shaped>): string {
  return [...tensors]
    .map(([leaf, { shape }]) => `${leaf}[${shape}]`)
    .toSorted((a, b) => (a < b ? -1 : 1))
    .join(' ');
}

function sameShape({ parameter, tensor }: TensorPair): boolean {
  return parameter.shape.join() === tensor.shape.join();
}

/** Everything that does not fit, told for the pairing that comes nearest. */
function mismatchesOf(
  parameters: readonly Parameter[],
  tensors: readonly TensorEntry[],
  named: readonly TensorPair[],
): readonly Mismatch[] {
  const wanted = modulesOf(parameters);
  const given = modulesOf(tensors);
  if (named.length === 0 && isRearrangement(wanted, given)) return [{ kind: 'ambiguous', tensors }];
  const ordered = named.length === 0 && wanted.length === given.length ? inNumberOrder(given) : undefined;
  const pairs = ordered === undefined ? named : wanted.flatMap((module, index) => pairsOf(module, ordered[index]!));
  const met = new Set<Shaped>(pairs.flatMap(({ parameter, tensor }) => [parameter, tensor]));
  return [
    ...pairs.filter((pair) => !sameShape(pair)).map((pair) => ({ kind: 'shape', ...pair }) as const),
    ...parameters.filter((one) => !met.has(one)).map((parameter) => ({ kind: 'missing', parameter }) as const),
    ...tensors.filter((one) => !met.has(one)).map((tensor) => ({ kind: 'left-over', tensor }) as const),
  ];
}

function isRearrangement(wanted: readonly Module<Shaped>[], given: readonly Module<Shaped>[]): boolean {
  if (inNumberOrder(given) !== undefined) return false; // an order there is: what does not fit is told pair by pair
  const sorted = (modules: readonly Module<Shaped>[]): string =>
    modules
      .map(signatureOf)
      .toSorted((a, b) => (a < b ? -1 : 1))
      .join('\n');
  return sorted(wanted) === sorted(given);
}
