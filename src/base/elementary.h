/* The functions sin, cos, exp and log for tables and scalars, with an error of about 1e-15. They are 3 kB shorter
 * than the C library's. Kernels do not use them. */
#ifndef TSR_BASE_ELEMENTARY_H
#define TSR_BASE_ELEMENTARY_H

/* NaN for |x| > 1e6; the angles of position embeddings stay below. */
double tsr_sin(double x);
double tsr_cos(double x);
/* 0 for x < -708, so no result is subnormal. */
double tsr_exp(double x);
/* For normal x > 0; the result for other x is undefined. */
double tsr_log(double x);

#endif
