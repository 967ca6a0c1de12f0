// PNG files made in a test. Not a test itself.
import { deflateSync } from 'node:zlib';

/** CRC-32 as PNG chunks have it; node:zlib has one only from 20.15. @param {Uint8Array} data */
function crc(data) {
  let c = ~0;
  for (const byte of data) {
    c ^= byte;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  }
  return ~c >>> 0;
}

/** @param {string} type @param {Buffer} body */
function chunk(type, body) {
  const out = Buffer.alloc(body.length + 12);
  out.writeUInt32BE(body.length);
  out.write(type, 4, 'latin1');
  body.copy(out, 8);
  out.writeUInt32BE(crc(out.subarray(4, 8 + body.length)), 8 + body.length);
  return out;
}

/**
 * An RGB picture, black unless its bytes are given; `claimed` is the width that its header gives.
 * @param {number} width @param {number} height @param {number} [claimed] @param {Uint8Array} [rgb]
 */
export function png(width, height, claimed = width, rgb = new Uint8Array(width * height * 3)) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(claimed, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits, RGB
  const rows = Buffer.alloc(height * (1 + 3 * width)); // each behind a byte that says it is not filtered
  for (let y = 0; y < height; y++) rows.set(rgb.subarray(3 * width * y, 3 * width * (y + 1)), (1 + 3 * width) * y + 1);
  const pixels = deflateSync(rows);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]),
    chunk('IHDR', header),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
