/* Every row of ops.inc: its op over random odd shapes (one row, none, widths that are no multiple of four) against a
 * computation in double written here, and inputs that its shape rule must refuse. Tasks run in reverse order, and each
 * must write its own part only.
 * Alone: make build/native/test_ops && build/native/test_ops */
#include "ops_attention.h"
#include "ops_moves.h"
#include "ops_products.h"
#include "ops_rows.h"

static void check_op(tsr_op op, void (*check)(tsr_op op)) {
  compared = judged = views = rows_left = repeats = 0;
  check(op);
  if (!CHECK(compared > 0)) printf("%s: no output was compared\n", op->name);
  if (!CHECK(judged > 0)) printf("%s: the shape rule refused nothing, and takes_any_shape was not called\n", op->name);
  if (!CHECK(!(op->traits & TSR_VIEW) || views)) printf("%s: TSR_VIEW was not tried\n", op->name);
  if (!CHECK(!(op->traits & TSR_BY_ROWS) || rows_left)) printf("%s: TSR_BY_ROWS was not tried\n", op->name);
  if (!CHECK(!(op->traits & TSR_REPEATS) || repeats)) printf("%s: TSR_REPEATS was not tried\n", op->name);
}

int main(void) {
  /* A row whose op has no check in these headers does not compile. */
#define TSR_OP(name, ...) check_op(TSR_OP_##name, check_##name);
#include "ops/ops.inc"
#undef TSR_OP
  return check_done("ops");
}
