/* SHA-256 (FIPS 180-4), fed in pieces: checks a model file while it streams in, without holding it.
 * The Web Cryptography digest needs the whole file in one buffer; that is why it is here. */
#ifndef TSR_BASE_SHA256_H
#define TSR_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct tsr_sha256 {
  uint32_t state[8];
  uint64_t length; /* bytes so far */
  uint8_t block[64];
} tsr_sha256;

void tsr_sha256_begin(tsr_sha256 *sha);
void tsr_sha256_feed(tsr_sha256 *sha, const void *bytes, size_t n);
void tsr_sha256_end(tsr_sha256 *sha, uint8_t digest[32]);

#endif
