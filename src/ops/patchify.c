/* patchify: an image cut into patches; see ops.inc. A task is a row of patches. */

#include "ops.h"

int tsr_op_patchify_shape(tsr_op_args *args, char *why) {
  const tsr_shape *x = &args->in[0].shape;
  int ph = args->attrs->patchify.patch_h, pw = args->attrs->patchify.patch_w;
  if (x->ndim != 4 || x->dims[2] < ph || x->dims[3] < pw || x->dims[2] % ph || x->dims[3] % pw) {
    char text[TSR_SHAPE_TEXT];
    tsr_print(why, TSR_WHY, "image %s [B,C,H,W] is not a whole number of %dx%d patches", tsr_shape_print(x, text), ph,
              pw);
    return 0;
  }
  args->out[0].shape = tsr_shape_of(3, x->dims[0], x->dims[2] / ph * (x->dims[3] / pw), ph * pw * x->dims[1]);
  return 1;
}

tsr_op_work tsr_op_patchify_work(const tsr_op_args *args) {
  return (tsr_op_work){.tasks =
                           args->in[0].shape.dims[0] * (args->in[0].shape.dims[2] / args->attrs->patchify.patch_h)};
}

void tsr_op_patchify_run(const tsr_op_args *args, int task, void *scratch) {
  (void)scratch;
  const int32_t *in = args->in[0].shape.dims;
  int channels = in[1], height = in[2], width = in[3];
  int ph = args->attrs->patchify.patch_h, pw = args->attrs->patchify.patch_w, rows = height / ph, columns = width / pw;
  size_t plane = (size_t)height * width;
  const float *image = args->in[0].data + (size_t)(task / rows) * channels * plane + (size_t)(task % rows) * ph * width;
  float *y = args->out[0].data + (size_t)task * columns * ph * pw * channels;
  for (int px = 0; px < columns; px++)
    for (int i = 0; i < ph; i++, y += (size_t)pw * channels)
      args->kernels->transpose(y, channels, image + (size_t)i * width + (size_t)px * pw, (int)plane, channels, pw);
}
