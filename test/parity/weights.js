// Weights and inputs from names alone: the same bits as scripts/parity/references/__init__.py (which explains the
// rules). Golden files need not hold them; each holds their SHA-256 instead.

const MASK = (1n << 64n) - 1n;

function fnv1a64(text) {
  let h = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) h = ((h ^ BigInt(byte)) * 0x100000001b3n) & MASK;
  return h;
}

/** Float64Array of `count` values in [-1, 1): splitmix64, the upper 53 bits. */
export function uniform(seed, count) {
  const values = new Float64Array(count);
  let state = fnv1a64(seed);
  for (let i = 0; i < count; i++) {
    state = (state + 0x9e3779b97f4a7c15n) & MASK;
    let z = state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
    z ^= z >> 31n;
    values[i] = Number(z >> 11n) * (2 / 9007199254740992) - 1;
  }
  return values;
}

const product = (dims) => dims.reduce((a, b) => a * b, 1);

/** Float32Array of a weight's values; the rule knows its name and shape only. */
export function draw(caseName, name, shape) {
  const u = uniform(`${caseName}/${name}`, product(shape));
  if (name.endsWith('running_var')) for (let i = 0; i < u.length; i++) u[i] = u[i] * 0.5 + 1;
  else if (shape.length === 1) {
    const base = name.endsWith('.weight') ? 1 : 0;
    for (let i = 0; i < u.length; i++) u[i] = u[i] * 0.2 + base;
  } else if (!shape.length && name.endsWith('temperature')) {
    u[0] = u[0] * 0.2 - 2;
  } else if (name.endsWith('.weight') && !name.endsWith('emb.weight')) {
    const scale = Math.sqrt(3 / product(shape.slice(1)));
    for (let i = 0; i < u.length; i++) u[i] *= scale;
  }
  return Float32Array.from(u);
}

/** Of dims, or of { dims, values } as they are. */
export function drawInput(caseName, name, dims) {
  if (!Array.isArray(dims)) return Float32Array.from(dims.values);
  return Float32Array.from(uniform(`${caseName}/input/${name}`, product(dims)));
}

/** A golden case's weights: [{ name, dtype, shape, bytes: Uint8Array }], in state_dict order. */
export function drawTensors(golden) {
  return golden.tensors.map(([name, shape, dtype, data]) => ({
    name,
    shape,
    dtype: dtype ?? 'F32',
    bytes: dtype ? new Uint8Array(Buffer.from(data, 'base64')) : new Uint8Array(draw(golden.name, name, shape).buffer),
  }));
}

/** The bytes of a safetensors file. `about` becomes __metadata__.tesserae: { arch, config, ... }. */
export function safetensors(tensors, about) {
  const header = { __metadata__: { format: 'pt', tesserae: JSON.stringify(about) } };
  let offset = 0;
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (Buffer.byteLength(text) % 8)) % 8);
  const start = 8 + Buffer.byteLength(text);
  const file = new Uint8Array(start + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(start - 8), true);
  file.set(Buffer.from(text), 8);
  offset = start;
  for (const { bytes } of tensors) {
    file.set(bytes, offset);
    offset += bytes.length;
  }
  return file;
}
