/** A trained model, read and verified, ready to answer. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type ForwardPass, openForwardPass } from '#engine';
import { compileModel } from '#kernel';
import { loadModel as readModel, type TrainedModel } from '#storage';
import { RopeteamError } from '#training';
import { type Decision, decide } from './predictions.js';
import { type CellValue, createRowEncoder, type RowEncoder } from './row-encoder.js';

/** What a model says about one row. */
export type Prediction =
  | {
      readonly kind: 'class';
      /** As it stands in the training data. */
      readonly label: string;
      /** By label, adding up to 1; absent for a model trained on a hinge. */
      readonly probabilities?: Readonly<Record<string, number>>;
    }
  /** By name of the target column. */
  | { readonly kind: 'numbers'; readonly values: Readonly<Record<string, number>> };

/** By name of the input column; others are ignored, absent ones are empty cells. */
export type Row = Readonly<Record<string, CellValue>>;

export interface Model {
  readonly trained: TrainedModel;
  readonly encoder: RowEncoder;
  readonly forward: ForwardPass;
  /**
   * Predicts any number of rows.
   * @throws RopeteamError DATA.CELL naming row and column of a value the model cannot take
   */
  predict(rows: readonly Row[]): readonly Prediction[];
}

/**
 * Opens a model's folder: `model/` of a run, or the run's folder itself. Hashes of both files, the shapes of the tensors
 * and their number against the architecture are checked before anything is computed.
 * @throws RopeteamError STORAGE.CORRUPT
 */
export async function loadModel(folder: string): Promise<Model> {
  const path = await modelFolder(folder);
  const trained = await readModel(path);
  const encoder = createRowEncoder(trained.dataset.preprocessing);
  checkFit(path, trained, encoder);
  const forward = await openForwardPass(trained.spec, trained.weights);
  const model: Model = { trained, encoder, forward, predict: (rows) => predictRows(model, rows) };
  return model;
}

/** What a decision is called in words of the data. */
export function nameDecision({ dataset }: TrainedModel, decision: Decision): Prediction {
  if (decision.kind === 'numbers') {
    const entries = dataset.targetNames.map((name, index): [string, number] => [name, decision.values[index]!]);
    return { kind: 'numbers', values: Object.fromEntries(entries) };
  }
  const label = dataset.classes[decision.index]!;
  const { probabilities } = decision;
  if (probabilities === undefined) return { kind: 'class', label };
  const entries = dataset.classes.map((name, index): [string, number] => [name, probabilities[index]!]);
  return { kind: 'class', label, probabilities: Object.fromEntries(entries) };
}

/** The decisions about encoded samples, in as many turns of the kernel as it takes. @param features [n, F] */
export function decideAll({ trained, forward }: Pick<Model, 'trained' | 'forward'>, features: Float32Array) {
  const { spec, dataset } = trained;
  const decisions: Decision[] = [];
  const turn = forward.mostSamples * spec.inputs;
  for (let begin = 0; begin < features.length; begin += turn) {
    const outputs = forward.outputs(features.subarray(begin, begin + turn));
    for (let at = 0; at < outputs.length; at += spec.outputs) {
      decisions.push(decide(spec, outputs.subarray(at, at + spec.outputs), dataset.preprocessing.targets));
    }
  }
  return decisions;
}

function predictRows(model: Model, rows: readonly Row[]): readonly Prediction[] {
  const { trained, encoder } = model;
  const features = new Float32Array(rows.length * encoder.featureCount);
  for (const [index, row] of rows.entries()) {
    const cells = encoder.names.map((name) => (Object.hasOwn(row, name) ? row[name] : undefined));
    const problem = encoder.encode(cells, features, index * encoder.featureCount);
    if (problem === undefined) continue;
    const { column, reason, hint } = problem;
    const where = { file: `row ${index + 1}`, line: index + 1, column };
    throw new RopeteamError('DATA.CELL', where, `row ${index + 1}, column ${column}: ${reason}`, { hint });
  }
  return decideAll(model, features).map((decision) => nameDecision(trained, decision));
}

async function modelFolder(folder: string): Promise<string> {
  const inRun = join(folder, 'model');
  return await stat(join(inRun, 'model.json')).then(
    () => inRun,
    () => folder, // reading it says what is wrong with it
  );
}

/** The hashes say that the files are whole; this says that they make a model. */
function checkFit(path: string, trained: TrainedModel, encoder: RowEncoder): void {
  const { spec, parameters, dataset } = trained;
  const shapes = (list: typeof parameters): string => list.map(({ name, shape }) => `${name}[${shape}]`).join(' ');
  const classification = dataset.task === 'classification';
  const answers = classification ? dataset.classes.length : dataset.targetNames.length;
  const outputs = classification && spec.outputs === 1 ? 2 : spec.outputs;
  const { targets } = dataset.preprocessing;
  let reason: string | undefined;
  let cause: unknown;
  try {
    if (shapes(compileModel(spec).parameters) !== shapes(parameters)) {
      reason = 'its tensors are not those of its architecture';
    } else if (encoder.featureCount !== spec.inputs) {
      reason = `its preprocessing makes ${encoder.featureCount} numbers of a row, its first layer takes ${spec.inputs}`;
    } else if (answers !== outputs) {
      reason = `it has ${answers} classes or targets for ${spec.outputs} outputs`;
    } else if (targets !== undefined && targets.length !== spec.outputs) {
      reason = `it says of ${targets.length} targets how they were scaled, and has ${spec.outputs}`;
    }
  } catch (error) {
    cause = error;
    reason = error instanceof Error ? error.message : String(error);
  }
  if (reason === undefined) return;
  throw new RopeteamError('STORAGE.CORRUPT', { file: path }, `${path} is not a whole model: ${reason}`, { cause });
}
