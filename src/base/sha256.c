/* SHA-256; see sha256.h. Names are those of the standard. */
#include "sha256.h"

#include <string.h>

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static inline uint32_t word(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* One round. Instead of moving the values, the next round names the variables one place further. */
#define ROUND(a, b, c, d, e, f, g, h, t)                                                         \
  h += (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (g ^ (e & (f ^ g))) + K[(t) + i] + w[t]; \
  d += h;                                                                                        \
  h += (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) | (c & (a | b)));
#define ROUNDS_8(t)                      \
  ROUND(a, b, c, d, e, f, g, h, t)       \
  ROUND(h, a, b, c, d, e, f, g, (t) + 1) \
  ROUND(g, h, a, b, c, d, e, f, (t) + 2) \
  ROUND(f, g, h, a, b, c, d, e, (t) + 3) \
  ROUND(e, f, g, h, a, b, c, d, (t) + 4) \
  ROUND(d, e, f, g, h, a, b, c, (t) + 5) \
  ROUND(c, d, e, f, g, h, a, b, (t) + 6) \
  ROUND(b, c, d, e, f, g, h, a, (t) + 7)

static void compress(uint32_t state[8], const uint8_t block[64]) {
  uint32_t w[16]; /* the message schedule, sixteen words at a time */
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
#pragma GCC unroll 16
  for (int t = 0; t < 16; t++) w[t] = word(block + 4 * t);
  for (int i = 0; i < 64; i += 16) {
#pragma GCC unroll 16
    for (int t = 0; t < 16 && i; t++) {
      uint32_t x = w[(t + 1) % 16], y = w[(t + 14) % 16];
      w[t] += (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + w[(t + 9) % 16] + (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
    }
    ROUNDS_8(0)
    ROUNDS_8(8)
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void tsr_sha256_begin(tsr_sha256 *sha) {
  static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(sha->state, initial, sizeof initial);
  sha->length = 0;
}

void tsr_sha256_feed(tsr_sha256 *sha, const void *bytes, size_t n) {
  const uint8_t *p = bytes;
  while (n) {
    size_t at = sha->length % 64, take = 64 - at < n ? 64 - at : n;
    memcpy(sha->block + at, p, take);
    sha->length += take;
    p += take;
    n -= take;
    if (at + take == 64) compress(sha->state, sha->block);
  }
}

void tsr_sha256_end(tsr_sha256 *sha, uint8_t digest[32]) {
  uint64_t bits = sha->length * 8;
  uint8_t tail[72] = {0x80};
  size_t pad = (sha->length % 64 < 56 ? 56 : 120) - sha->length % 64;
  for (int i = 0; i < 8; i++) tail[pad + i] = (uint8_t)(bits >> (56 - 8 * i));
  tsr_sha256_feed(sha, tail, pad + 8);
  for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(sha->state[i / 4] >> (24 - 8 * (i % 4)));
}
