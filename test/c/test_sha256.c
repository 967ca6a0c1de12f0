/* SHA-256 against the standard's own examples (FIPS 180-4 / NIST CAVP) and Python's hashlib, fed whole and in pieces.
 * Alone: make native-tests && build/native/test_sha256 */
#include "base/sha256.h"

#include <stdlib.h>

#include "check.h"

static const char *hex_of(const char *text, size_t n, size_t piece) {
  static char hex[65];
  tsr_sha256 sha;
  uint8_t digest[32];
  tsr_sha256_begin(&sha);
  for (size_t at = 0; at < n; at += piece) tsr_sha256_feed(&sha, text + at, n - at < piece ? n - at : piece);
  tsr_sha256_end(&sha, digest);
  for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  return hex;
}

int main(void) {
  static char million[1000000];
  memset(million, 'a', sizeof million);
  CHECK_TEXT(hex_of("", 0, 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK_TEXT(hex_of("abc", 3, 1), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  CHECK_TEXT(hex_of(two_blocks, 56, 56), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK_TEXT(hex_of(million, sizeof million, 777), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  /* hashlib.sha256(b"a" * n) at the lengths where the padding changes */
  CHECK_TEXT(hex_of(million, 55, 7), "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  CHECK_TEXT(hex_of(million, 56, 9), "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
  CHECK_TEXT(hex_of(million, 64, 64), "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
  return check_done("sha256");
}
