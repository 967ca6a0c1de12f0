// @ts-check
/** SHA-256 of bytes as they come (FIPS 180-4): crypto.subtle wants them all at once. */

/**
 * The first 32 bits behind the point of the root of each of the first primes. @param {number} count @param {number}
 * root
 */
function fractions(count, root) {
  /** @type {number[]} */
  const primes = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  return Int32Array.from(primes, (prime) => (prime ** (1 / root) % 1) * 2 ** 32);
}

const K = fractions(64, 3);
/** The message schedule. */
const W = new Int32Array(64);

/** @param {Int32Array} state @param {Uint8Array} bytes @param {number} at where 64 of them begin */
function mix(state, bytes, at) {
  // by index, because iterating over the state for each 64 bytes takes as long as all the rest
  let { 0: a, 1: b, 2: c, 3: d, 4: e, 5: f, 6: g, 7: h } = state;
  for (let i = 0; i < 16; i++, at += 4)
    W[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15];
    const y = W[i - 2];
    const low = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const high = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = W[i - 16] + low + W[i - 7] + high;
  }
  for (let i = 0; i < 64; i++) {
    const ofE = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const ofA = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const one = (h + ofE + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
    const two = ofA + ((a & b) ^ (a & c) ^ (b & c));
    h = g; // one after the other, because an array of all takes ten times as long
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + two) | 0;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

export class Sha256 {
  state = fractions(8, 2);
  /** What does not fill 64 bytes yet. */
  rest = new Uint8Array(64);
  length = 0;

  /** @param {Uint8Array} bytes the next of them */
  update(bytes) {
    const have = this.length % 64;
    let at = have && 64 - have;
    this.length += bytes.length;
    this.rest.set(bytes.subarray(0, at), have);
    if (bytes.length < at) return;
    if (have) mix(this.state, this.rest, 0);
    for (; at + 64 <= bytes.length; at += 64) mix(this.state, bytes, at);
    this.rest.set(bytes.subarray(at));
  }

  /** @returns {string} in base64; nothing can be added afterwards */
  digest() {
    const { length } = this;
    const end = new DataView(new ArrayBuffer(72 - ((length + 8) % 64)));
    end.setUint8(0, 128);
    end.setBigUint64(end.byteLength - 8, BigInt(length) * 8n);
    this.update(new Uint8Array(end.buffer));
    const words = new DataView(new ArrayBuffer(32));
    this.state.forEach((word, i) => words.setInt32(4 * i, word));
    return btoa(String.fromCharCode(...new Uint8Array(words.buffer)));
  }
}
