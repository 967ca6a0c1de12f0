/* Elementary functions for tables and scalars: short, and good to 1e-15; the C library's are longer by 3 kB. Never in a kernel. */
#ifndef TSR_BASE_ELEMENTARY_H
#define TSR_BASE_ELEMENTARY_H

/* NaN beyond |x| = 1e6, where a position's angle never is. */
double tsr_sin(double x);
double tsr_cos(double x);
/* 0 below -708, without the numbers under the normal ones. */
double tsr_exp(double x);
/* Of a normal number above 0; anything for others. */
double tsr_log(double x);

#endif
