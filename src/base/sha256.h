/* SHA-256 (FIPS 180-4) computed piece by piece, to check a model file while it streams in. It is here because
 * the digest of Web Cryptography needs the whole file in one buffer. */
#ifndef TSR_BASE_SHA256_H
#define TSR_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct tsr_sha256 {
  uint32_t state[8];
  uint64_t length; /* bytes so far */
  uint8_t block[64];
} tsr_sha256;

/* Starts a digest. */
void tsr_sha256_begin(tsr_sha256 *sha);
/* Adds n bytes. */
void tsr_sha256_feed(tsr_sha256 *sha, const void *bytes, size_t n);
/* Writes the digest of all bytes added; a new digest needs another begin. */
void tsr_sha256_end(tsr_sha256 *sha, uint8_t digest[32]);

#endif
