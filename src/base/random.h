/* Random numbers from a seed, the same ones on every machine: splitmix64 (Steele, Lea, Flood, "Fast
 * Splittable Pseudorandom Number Generators", 2014). A mixing function turns a counter into numbers; the generator
 * passes BigCrush. The caller owns the state, which starts at the seed. */
#ifndef TSR_BASE_RANDOM_H
#define TSR_BASE_RANDOM_H

#include <stdint.h>

/* The next 64 random bits. */
static inline uint64_t tsr_random(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* A uniform number in [0, 1), of 53 bits. */
static inline double tsr_random_unit(uint64_t *state) {
  return (double)(tsr_random(state) >> 11) * (1.0 / 9007199254740992.0);
}

#endif
