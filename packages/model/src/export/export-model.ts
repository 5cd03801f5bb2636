/** A model in a format that others read, as files. */
import { type TrainedModel, writeFileAtomically } from '#storage';
import { toJsModule } from './to-js-module.js';
import { toJson } from './to-json.js';
import { toOnnx } from './to-onnx.js';
import { toSafetensors } from './to-safetensors.js';

export type ExportFormat = 'onnx' | 'safetensors' | 'json' | 'js';

export interface ExportedFile {
  readonly path: string;
  readonly bytes: number;
}

/**
 * Writes `path`, and for `js` the types beside it (`model.js`: `model.d.ts`). Each is there whole or not at all.
 * @throws RopeteamError STORAGE.WRITE, MODEL.TOO_LARGE, MODEL.EXPORT
 */
export async function exportModel(
  model: TrainedModel,
  format: ExportFormat,
  path: string,
): Promise<readonly ExportedFile[]> {
  const files: ExportedFile[] = [];
  for (const [target, bytes] of await contentsOf(model, format, path)) {
    await writeFileAtomically(target, [bytes]);
    files.push({ path: target, bytes: bytes.byteLength });
  }
  return files;
}

async function contentsOf(
  model: TrainedModel,
  format: ExportFormat,
  path: string,
): Promise<readonly (readonly [string, Uint8Array])[]> {
  const text = new TextEncoder();
  switch (format) {
    case 'onnx':
      return [[path, toOnnx(model)]];
    case 'safetensors':
      return [[path, toSafetensors(model)]];
    case 'json':
      return [[path, text.encode(toJson(model))]];
    case 'js': {
      const { code, types } = await toJsModule(model);
      const typesPath = path.replace(/\.(m?)js$/, '.d.$1ts');
      const beside = typesPath === path ? `${path}.d.ts` : typesPath;
      return [
        [path, text.encode(code)],
        [beside, text.encode(types)],
      ];
    }
    default:
      return format satisfies never;
  }
}
