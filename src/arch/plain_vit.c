/* The plain ViT as published checkpoints have it: one network with options for what transformers' and timm's models
 * add to
 * or leave out of "An Image is Worth 16x16 Words" (Dosovitskiy et al., 2020, arXiv 2010.11929). ViT, DeiT and its
 * distilled
 * form, DeiT III, CLIP's and SigLIP's picture towers, DINOv2 and v3, BEiT, data2vec, EVA-02 and MAE's encoder are
 * configs of it.
 * Reference: timm 1.0.31, models.vision_transformer, class VisionTransformer, and models.eva, class Eva. Weights have
 * timm's names.
 *
 *   x_p = Conv(image) + positions of the patches            kernel and stride P
 *   z = [class, distillation and register tokens; x_p]      with positions of their own
 *   z = LN(z)                                               norm_pre, CLIP
 *   z = z + s1 W_o MSA(LN(z));  z = z + s2 MLP(LN(z))       depth times; s: layer scale
 *   y = Linear(pool(LN(z)))                                 the norm before or after pooling
 *
 * Options, by key
 *   class_token, dist_token, reg_tokens   tokens in front of the patches', in this order
 *   positions  'all': a table with rows for these tokens too; 'class': for the class token; 'patches'; 'none'
 *   grid, interpolate   the table's rows and columns; how it becomes another grid: 'bicubic' or 'antialias'
 *   rope       'halves' (DINOv3), 'pairs' (EVA): rotated queries and keys of the patches; rope_theta; rope_grid: EVA's
 *              angles are those of a grid of so many rows
 *   relative_bias   'layers', 'shared': BEiT's table of biases by distance, with three more rows for the class token
 *   activation, gated: GELU and others; SwiGLU: fc1 gives gates and values, gates first
 *   attn_norm, mlp_norm   EVA's norms in front of the output projections
 *   pool       'cls'; 'mean' over patches; 'all': over all tokens; 'cls_mean': both, side by side; 'dist': two heads,
 *   of the
 *              class and the distillation token, averaged (the embedding is the mean of these tokens; of 'dist_cls' the
 *              class token); 'map': attention of a learned query (SigLIP)
 *   norm, fc_norm   a norm of all tokens behind the layers; of what was pooled
 *   pooler     tanh(W x + b) on what was pooled (transformers' ViTModel): the embedding
 *   projection a Linear to so many numbers, which are the embedding (CLIP); projection_bias
 *   decoder    MAE's (He et al., 2021, arXiv 2111.06377): an object with embed_dim, depth, num_heads, mlp_dim,
 *   masking_ratio,
 *              norm_pix_loss. The output is the image, whose hidden patches are predicted from the others; layers
 *              that are
 *              looked into see all patches
 *
 * Traps
 *   - Means are over patches alone, never over registers or the class token, but for pool 'all'.
 *   - CLIP's norm is eps 1e-5, timm's 1e-6, transformers' ViT's 1e-12.
 *   - BEiT's class token is not part of the grid that distances are counted in.
 *   - An image that is no multiple of the patch loses what is left over, as a convolution loses it.
 *
 * Shapes: B batch, N tokens, C embed_dim, H heads, D head width. */
#include <math.h>
#include <string.h>

#include "arch.h"

enum { POS_ALL, POS_CLASS, POS_PATCHES, POS_NONE };
enum { ROPE_NONE, ROPE_HALVES, ROPE_PAIRS };
enum { BIAS_NONE, BIAS_LAYERS, BIAS_SHARED };
enum { POOL_CLS, POOL_MEAN, POOL_ALL, POOL_CLS_MEAN, POOL_DIST, POOL_DIST_CLS, POOL_MAP };

typedef struct plain {
  int image[2], patch[2], grid[2], channels, num_classes, dim, depth, heads, mlp_dim, activation;
  int class_token, dist_token, registers, prefix; /* prefix: all three */
  int positions, resize, rope, rope_grid, relative, gated, attn_norm, mlp_norm;
  int scaled, norm_pre, final_norm, fc_norm, pool, pooler, projection, projection_bias, qkv_bias, patch_bias;
  double rope_theta;
  int decodes, untapped;
  tsr_norm norm;
  tsr_meaning tokens;
  tsr_value bias, cosines, sines; /* of attention; TSR_NO_VALUE without */
} plain;

static void read_tokens(tsr_builder *b, plain *c) {
  static const char *const positions[] = {"all", "class", "patches", "none", NULL};
  static const char *const ways[] = {"bicubic", "antialias", NULL};
  static const char *const ropes[] = {"none", "halves", "pairs", NULL};
  static const char *const biases[] = {"none", "layers", "shared", NULL};
  c->class_token = tsr_config_bool(b, "class_token", 1);
  c->dist_token = tsr_config_bool(b, "dist_token", 0);
  c->registers = tsr_config_int(b, "reg_tokens", 0, 0, 1024);
  c->prefix = c->class_token + c->dist_token + c->registers;
  c->positions = tsr_config_choice(b, "positions", positions, POS_ALL);
  c->resize = tsr_config_choice(b, "interpolate", ways, 1) ? TSR_RESIZE_ANTIALIAS : TSR_RESIZE_BICUBIC;
  c->rope = tsr_config_choice(b, "rope", ropes, ROPE_NONE);
  c->rope_theta = tsr_config_number(b, "rope_theta", c->rope == ROPE_PAIRS ? 10000 : 100, 1, 1e9);
  c->rope_grid = tsr_config_int(b, "rope_grid", 16, 1, TSR_MAX_SIDE);
  c->relative = tsr_config_choice(b, "relative_bias", biases, BIAS_NONE);
}

static void read_head(tsr_builder *b, plain *c) {
  static const char *const pools[] = {"cls", "mean", "all", "cls_mean", "dist", "dist_cls", "map", NULL};
  c->pool = tsr_config_choice(b, "pool", pools, POOL_CLS);
  c->final_norm = tsr_config_bool(b, "norm", 1);
  c->fc_norm = tsr_config_bool(b, "fc_norm", 0);
  c->pooler = tsr_config_bool(b, "pooler", 0);
  c->projection = tsr_config_int(b, "projection", 0, 0, TSR_MAX_DIM);
  c->projection_bias = tsr_config_bool(b, "projection_bias", 0);
  int class_token = c->pool != POOL_MEAN && c->pool != POOL_ALL && c->pool != POOL_MAP;
  if (class_token && !c->class_token)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"pool\" is '%s', which needs \"class_token\"", pools[c->pool]);
  if ((c->pool == POOL_DIST || c->pool == POOL_DIST_CLS) && !c->dist_token)
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"pool\" is '%s', which needs \"dist_token\"", pools[c->pool]);
}

static plain read_config(tsr_builder *b) {
  static const char *const names[] = {"gelu", "relu", "silu", "quick_gelu", "gelu_tanh", NULL};
  static const int activations[] = {TSR_ACT_GELU, TSR_ACT_RELU, TSR_ACT_SILU, TSR_ACT_QUICK_GELU, TSR_ACT_GELU_TANH};
  plain c = {.tokens = {"tokens"}};
  tsr_config_pair(b, "image_size", 224, 1, TSR_MAX_SIDE, c.image);
  tsr_config_pair(b, "patch_size", 16, 1, TSR_MAX_SIDE, c.patch);
  for (int i = 0; i < 2; i++) c.grid[i] = c.image[i] / c.patch[i];
  if (tsr_setting_is_given(&b->config, "grid")) tsr_config_pair(b, "grid", TSR_REQUIRED, 1, TSR_MAX_SIDE, c.grid);
  c.channels = tsr_config_int(b, "channels", 3, 1, 64);
  c.num_classes = tsr_config_int(b, "num_classes", 1000, 0, TSR_MAX_CLASSES);
  c.dim = tsr_config_int(b, "embed_dim", 768, 1, TSR_MAX_DIM);
  c.depth = tsr_config_int(b, "depth", 12, 0, TSR_MAX_DEPTH);
  c.heads = tsr_config_int(b, "num_heads", 12, 1, TSR_MAX_HEADS);
  c.mlp_dim = tsr_config_int(b, "mlp_dim", 4 * c.dim, 1, TSR_MAX_DIM * 4);
  c.activation = activations[tsr_config_choice(b, "activation", names, 0)];
  c.norm.eps = (float)tsr_config_number(b, "eps", 1e-6, 1e-15, 1);
  c.gated = tsr_config_bool(b, "gated", 0);
  c.attn_norm = tsr_config_bool(b, "attn_norm", 0);
  c.mlp_norm = tsr_config_bool(b, "mlp_norm", 0);
  c.scaled = tsr_config_bool(b, "layer_scale", 0);
  c.norm_pre = tsr_config_bool(b, "norm_pre", 0);
  c.qkv_bias = tsr_config_bool(b, "qkv_bias", 1);
  c.patch_bias = tsr_config_bool(b, "patch_bias", 1);
  read_tokens(b, &c);
  read_head(b, &c);
  c.decodes = tsr_setting_is_given(&b->config, "decoder");
  if (c.decodes && (c.rope || c.relative || c.norm_pre))
    tsr_fail(b, TSR_ERR_CONFIG,
             "config key \"decoder\" goes with neither \"rope\", \"relative_bias\" nor \"norm_pre\"");
  if (c.relative && (c.prefix != 1 || !c.class_token))
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"relative_bias\" needs a class token and no other token in front");
  if (c.image[0] < c.patch[0] || c.image[1] < c.patch[1])
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"patch_size\" is [%d,%d], larger than \"image_size\" [%d,%d]", c.patch[0],
             c.patch[1], c.image[0], c.image[1]);
  if (c.dim % c.heads || (c.rope && c.dim / c.heads % 4))
    tsr_fail(b, TSR_ERR_CONFIG, "config key \"embed_dim\" is %d; %d heads need a multiple of %d", c.dim, c.heads,
             c.heads * (c.rope ? 4 : 1));
  return c;
}

/* x w^T, scaled by the vector `scale` (NULL: not), plus x0: a layer's output projection. */
static tsr_value join(tsr_builder *b, const char *name, tsr_value x, const plain *c, const char *scale, tsr_value x0) {
  if (!c->scaled) return tsr_nn_linear_add(b, name, x, c->dim, TSR_BIAS, x0);
  return tsr_nn_linear_scale_add(b, name, scale, x, x0);
}

/* ---- positions ---- */

/* The tokens in front of the patches', [1,K,C], plus their rows of the table [1,R,C]. */
static tsr_value prefix_tokens(tsr_builder *b, const plain *c, tsr_value table, int rows) {
  tsr_value parts[3];
  int count = 0;
  if (c->class_token) parts[count++] = tsr_weight_vector(b, "cls_token", tsr_shape_of(3, 1, 1, c->dim));
  if (c->dist_token) parts[count++] = tsr_weight_vector(b, "dist_token", tsr_shape_of(3, 1, 1, c->dim));
  if (c->registers) parts[count++] = tsr_weight_vector(b, "reg_token", tsr_shape_of(3, 1, c->registers, c->dim));
  if (!count) return TSR_NO_VALUE;
  tsr_value x = count > 1 ? tsr_nn_concat(b, 1, count, parts) : parts[0];
  if (!rows) return x;
  tsr_value with = tsr_nn_add(b, tsr_nn_slice(b, x, 1, 0, rows), tsr_nn_slice(b, table, 1, 0, rows));
  if (rows == c->prefix) return with;
  return tsr_nn_concat(b, 1, 2, (tsr_value[]){with, tsr_nn_slice(b, x, 1, rows, c->prefix)});
}

/* The table's rows of patches as those of the image's grid, [1,N,C]. */
static tsr_value patch_positions(tsr_builder *b, const plain *c, tsr_value table, int rows) {
  int n = c->grid[0] * c->grid[1], h = c->tokens.grid_h, w = c->tokens.grid_w;
  tsr_value x = rows ? tsr_nn_slice(b, table, 1, rows, rows + n) : table;
  if (h == c->grid[0] && w == c->grid[1]) return x;
  x = tsr_nn_reshape(b, x, tsr_shape_of(4, 1, c->grid[0], c->grid[1], c->dim));
  x = tsr_nn_resize(b, x, h, w, c->resize);
  return tsr_nn_reshape(b, x, tsr_shape_of(3, 1, h * w, c->dim));
}

/* The patches [B,N,C] with positions. *front gets the tokens in front of them with theirs, [B,K,C]; TSR_NO_VALUE:
 * none. */
static tsr_value embed(tsr_builder *b, plain *c, tsr_value x, tsr_value *front) {
  tsr_value table = TSR_NO_VALUE;
  int rows = c->positions == POS_ALL ? c->prefix : c->positions == POS_CLASS ? c->class_token : 0;
  if (c->positions != POS_NONE) {
    table = tsr_weight_vector(b, "pos_embed", tsr_shape_of(3, 1, rows + c->grid[0] * c->grid[1], c->dim));
    tsr_value patches = patch_positions(b, c, table, rows);
    tsr_meaning meaning = c->tokens;
    meaning.kind = "position", meaning.prefix_tokens = (short)rows;
    tsr_shape shape = tsr_shape_of(2, rows + c->tokens.grid_h * c->tokens.grid_w, c->dim);
    if (tsr_tap_offer(b, shape, meaning, "pos_embedding")) {
      tsr_value all =
          rows ? tsr_nn_concat(b, 1, 2, (tsr_value[]){tsr_nn_slice(b, table, 1, 0, rows), patches}) : patches;
      tsr_tap_give(b, tsr_nn_reshape(b, all, shape));
    }
    x = tsr_nn_add(b, x, patches);
  }
  *front = prefix_tokens(b, c, table, rows);
  c->tokens.prefix_tokens = (short)c->prefix;
  if (c->prefix) *front = tsr_nn_expand(b, *front, tsr_shape_of(3, tsr_dim(b, x, 0), c->prefix, c->dim));
  return x;
}

/* Factors [1,N,1,D] of the rotation: of each number its cosine, of the other one of its pair its sine, negative for the
 * first of a pair. Tokens in front of the patches' have angle 0. */
static void rotations(tsr_builder *b, plain *c) {
  int width = c->dim / c->heads, quarter = width / 4, h = c->tokens.grid_h, w = c->tokens.grid_w, n = c->prefix + h * w;
  float *cosine, *sine;
  tsr_shape shape = tsr_shape_of(4, 1, n, 1, width);
  c->cosines = tsr_constant(b, shape, &cosine), c->sines = tsr_constant(b, shape, &sine);
  for (int t = 0; cosine && sine && t < n; t++)
    for (int j = 0; j < width; j++) {
      /* which angle: those of the row first, then those of the column; where the second of a pair has the same one */
      int k = c->rope == ROPE_HALVES ? j % (width / 2) : j / 2,
          second = c->rope == ROPE_HALVES ? j >= width / 2 : j % 2;
      int by_row = k < quarter, cell = t - c->prefix, length = by_row ? h : w, at = by_row ? cell / w : cell % w;
      double frequency = tsr_exp(-tsr_log(c->rope_theta) * (k % quarter) / quarter);
      double place = c->rope == ROPE_HALVES ? 6.283185307179586 * (2 * (at + 0.5) / length - 1)
                                            : (double)at / length * c->rope_grid;
      double angle = cell < 0 ? 0 : place * frequency;
      *cosine++ = (float)tsr_cos(angle);
      *sine++ = (float)(second ? tsr_sin(angle) : -tsr_sin(angle));
    }
}

/* The first `heads` heads of x [B,N,*], rotated: [B,N,heads*D]. */
static tsr_value rotate(tsr_builder *b, tsr_value x, int heads, const plain *c) {
  int batch = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1), width = c->dim / c->heads;
  tsr_shape by_head = tsr_shape_of(4, batch, n, heads, width), flat = tsr_shape_of(3, batch, n, heads * width);
  tsr_shape pairs = c->rope == ROPE_HALVES ? tsr_shape_of(4, batch * n, heads, 2, width / 2)
                                           : tsr_shape_of(4, batch * n, heads * width / 2, 2, 1);
  x = tsr_nn_slice(b, x, 2, 0, heads * width);
  tsr_value y = tsr_nn_reshape(b, x, pairs);
  y = tsr_nn_concat(b, 2, 2, (tsr_value[]){tsr_nn_slice(b, y, 2, 1, 2), tsr_nn_slice(b, y, 2, 0, 1)});
  y = tsr_nn_mul(b, tsr_nn_reshape(b, y, by_head), c->sines);
  x = tsr_nn_mul(b, tsr_nn_reshape(b, x, by_head), c->cosines);
  return tsr_nn_reshape(b, tsr_nn_add(b, x, y), flat);
}

/* The row of BEiT's table for tokens i and j; token 0 is the class token. */
static int bias_row(const void *user, int i, int j) {
  const plain *c = user;
  int h = c->tokens.grid_h, w = c->tokens.grid_w, last = (2 * h - 1) * (2 * w - 1) + 2;
  if (!i || !j) return i ? last - 1 : j ? last - 2 : last;
  i--, j--;
  return (i / w - j / w + h - 1) * (2 * w - 1) + i % w - j % w + w - 1;
}

static tsr_value relative_bias(tsr_builder *b, const char *name, const plain *c) {
  int h = c->tokens.grid_h, w = c->tokens.grid_w, n = h * w + 1;
  int high = 2 * c->grid[0] - 1, wide = 2 * c->grid[1] - 1, rows = high * wide;
  tsr_value table = tsr_weight_vector(b, name, tsr_shape_of(2, rows + 3, c->heads));
  if (c->resize == TSR_RESIZE_BICUBIC) {
    /* transformers takes the table of a grid that is no square with its sides exchanged, and stretches it back */
    tsr_value map = tsr_nn_reshape(b, tsr_nn_slice(b, table, 0, 0, rows), tsr_shape_of(4, 1, wide, high, c->heads));
    map = tsr_nn_resize(b, map, 2 * h - 1, 2 * w - 1, TSR_RESIZE_BILINEAR);
    map = tsr_nn_reshape(b, map, tsr_shape_of(2, (2 * h - 1) * (2 * w - 1), c->heads));
    table = tsr_nn_concat(b, 0, 2, (tsr_value[]){map, tsr_nn_slice(b, table, 0, rows, rows + 3)});
  }
  return tsr_nn_bias_table(b, table, n, n, 1, bias_row, c);
}

/* ---- layers ---- */

static tsr_value attend(tsr_builder *b, tsr_value x, const plain *c, int layer) {
  int width = c->dim;
  tsr_attention a = tsr_nn_heads(c->heads, width / c->heads, c->tokens, layer);
  if (c->untapped) a.tap = NULL;
  a.bias = c->relative == BIAS_LAYERS ? relative_bias(b, "relative_position_bias_table", c) : c->bias;
  x = tsr_nn_linear(b, "qkv", x, 3 * width, c->qkv_bias);
  if (!c->rope) return tsr_nn_attention_qkv(b, x, a);
  return tsr_nn_attention_at(b, rotate(b, x, 2 * c->heads, c), x, (int[]){0, width, 2 * width}, a);
}

static tsr_value mlp(tsr_builder *b, tsr_value x, const plain *c) {
  if (!c->gated) return tsr_nn_linear_act(b, "fc1", x, c->mlp_dim, TSR_BIAS, c->activation);
  x = tsr_nn_linear(b, "fc1", x, 2 * c->mlp_dim, TSR_BIAS);
  tsr_value gates = tsr_nn_activate(b, tsr_nn_slice(b, x, 2, 0, c->mlp_dim), TSR_ACT_SILU);
  return tsr_nn_mul(b, gates, tsr_nn_slice(b, x, 2, c->mlp_dim, 2 * c->mlp_dim));
}

static tsr_value block(tsr_builder *b, tsr_value x, const plain *c, int layer) {
  tsr_enter(b, "blocks.%d", layer);
  tsr_value y = tsr_nn_norm(b, "norm1", x, c->norm);
  tsr_enter(b, "attn");
  y = attend(b, y, c, layer);
  if (c->attn_norm) y = tsr_nn_norm(b, "norm", y, c->norm);
  tsr_leave(b);
  x = join(b, "attn.proj", y, c, "ls1.gamma", x);
  y = tsr_nn_norm(b, "norm2", x, c->norm);
  tsr_enter(b, "mlp");
  y = mlp(b, y, c);
  if (c->mlp_norm) y = tsr_nn_norm(b, "norm", y, c->norm);
  tsr_leave(b);
  x = join(b, "mlp.fc2", y, c, "ls2.gamma", x);
  tsr_leave(b);
  if (!c->untapped) tsr_tap_add(b, x, c->tokens, "blocks.%d", layer);
  return x;
}

/* ---- head ---- */

/* Attention of one learned query over the patches, then an MLP: SigLIP's pooling. */
static tsr_value attention_pool(tsr_builder *b, tsr_value x, const plain *c) {
  int batch = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1) - c->prefix;
  tsr_attention a = tsr_nn_heads(c->heads, c->dim / c->heads, (tsr_meaning){0}, 0);
  tsr_meaning weights = c->tokens;
  weights.prefix_tokens = 0;
  a.meaning = weights;
  weights.kind = "pool_weights";
  a.tap = "pool.attn", a.kind = "pool_attention", a.store = 1;
  x = tsr_nn_slice(b, x, 1, c->prefix, c->prefix + n);
  tsr_enter(b, "attn_pool");
  tsr_value query = tsr_weight_vector(b, "latent", tsr_shape_of(3, 1, 1, c->dim));
  query = tsr_nn_linear(b, "q", query, c->dim, TSR_BIAS);
  query = tsr_nn_expand(b, query, tsr_shape_of(3, batch, 1, c->dim));
  tsr_value y = tsr_nn_attention_kv(b, query, tsr_nn_linear(b, "kv", x, 2 * c->dim, TSR_BIAS), a);
  if (tsr_tap_offer(b, tsr_shape_of(2, batch, n), weights, "pool.weights"))
    tsr_tap_give(b, tsr_nn_reshape(b, tsr_nn_mean(b, tsr_node_output(b, y, 1), 1), tsr_shape_of(2, batch, n)));
  y = tsr_nn_linear(b, "proj", y, c->dim, TSR_BIAS);
  tsr_value z =
      tsr_nn_linear_act(b, "mlp.fc1", tsr_nn_norm(b, "norm", y, c->norm), c->mlp_dim, TSR_BIAS, c->activation);
  y = tsr_nn_linear_add(b, "mlp.fc2", z, c->dim, TSR_BIAS, y);
  tsr_leave(b);
  return tsr_nn_token(b, y, 0);
}

static tsr_value pool(tsr_builder *b, tsr_value x, const plain *c) {
  int n = tsr_dim(b, x, 1);
  if (c->pool == POOL_MAP) return attention_pool(b, x, c);
  if (c->pool == POOL_CLS || c->pool == POOL_DIST_CLS) return tsr_nn_token(b, x, 0);
  if (c->pool == POOL_DIST) return tsr_nn_mean(b, tsr_nn_slice(b, x, 1, 0, 2), 1);
  if (c->pool == POOL_ALL) return tsr_nn_mean(b, x, 1);
  tsr_value mean = tsr_nn_mean(b, tsr_nn_slice(b, x, 1, c->prefix, n), 1);
  if (c->pool == POOL_MEAN) return mean;
  return tsr_nn_concat(b, 1, 2, (tsr_value[]){tsr_nn_token(b, x, 0), mean});
}

static tsr_value embedding(tsr_builder *b, tsr_value x) {
  tsr_meaning meaning = {.kind = "embedding"};
  tsr_tap_add(b, x, meaning, "embedding");
  tsr_output_means(b, meaning);
  return x;
}

static tsr_value head(tsr_builder *b, tsr_value tokens, const plain *c) {
  tsr_value x = pool(b, tokens, c);
  if (c->pool == POOL_MEAN) tsr_head_reads(b, TSR_READS_CELLS);
  if (c->pool == POOL_ALL) tsr_head_reads(b, TSR_READS_ALL);
  if (c->fc_norm) x = tsr_nn_norm(b, "fc_norm", x, c->norm);
  if (c->pooler) x = tsr_nn_linear_act(b, "pooler", x, c->dim, TSR_BIAS, TSR_ACT_TANH);
  if (c->projection) x = tsr_nn_linear(b, "projection", x, c->projection, c->projection_bias);
  /* what embed() gives: of the two side by side, the class token */
  embedding(b, c->pool == POOL_CLS_MEAN ? tsr_nn_token(b, tokens, 0) : x);
  if (!c->num_classes) return x;
  tsr_output_means(b, (tsr_meaning){.kind = "logits"});
  if (c->pool != POOL_DIST && c->pool != POOL_DIST_CLS) return tsr_nn_linear(b, "head", x, c->num_classes, TSR_BIAS);
  tsr_value first = tsr_nn_linear(b, "head", tsr_nn_token(b, tokens, 0), c->num_classes, TSR_BIAS);
  tsr_value both = tsr_nn_linear_add(b, "head_dist", tsr_nn_token(b, tokens, 1), c->num_classes, TSR_BIAS, first);
  return tsr_nn_times(b, both, 0.5f);
}

/* ---- MAE ---- */

typedef struct mae {
  plain net;
  double ratio;
  int norm_pixels;
} mae;

static mae read_decoder(tsr_builder *b, const plain *c) {
  mae m = {.net = {.norm = c->norm, .activation = c->activation, .qkv_bias = c->qkv_bias, .untapped = 1}};
  tsr_settings outer = tsr_config_open(b, "decoder", "decoder key", NULL, NULL);
  m.net.dim = tsr_config_int(b, "embed_dim", 512, 1, TSR_MAX_DIM);
  m.net.depth = tsr_config_int(b, "depth", 8, 0, TSR_MAX_DEPTH);
  m.net.heads = tsr_config_int(b, "num_heads", 16, 1, TSR_MAX_HEADS);
  m.net.mlp_dim = tsr_config_int(b, "mlp_dim", 4 * m.net.dim, 1, TSR_MAX_DIM * 4);
  m.ratio = tsr_masking_ratio(b, 0.75);
  m.norm_pixels = tsr_config_bool(b, "norm_pix_loss", 0);
  if (m.net.dim % m.net.heads)
    tsr_fail(b, TSR_ERR_CONFIG, "decoder key \"embed_dim\" is %d; %d heads need a multiple of that", m.net.dim,
             m.net.heads);
  tsr_config_close(b, outer);
  return m;
}

/* The layers, and the norm behind them. */
static tsr_value layers(tsr_builder *b, tsr_value x, const plain *c, const char *norm) {
  for (int i = 0; i < c->depth; i++) x = block(b, x, c, i);
  return c->final_norm || norm ? tsr_nn_norm(b, norm ? norm : "norm", x, c->norm) : x;
}

/* The image with its hidden patches predicted. x [B,N,C]: the patches' tokens, with positions. */
static tsr_value reconstruct(tsr_builder *b, const plain *c, tsr_value front, tsr_value x, tsr_value image) {
  plain encoder = *c;
  mae d = read_decoder(b, c);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  int batch = tsr_dim(b, x, 0), n = tsr_dim(b, x, 1), width = d.net.dim;
  tsr_meaning grid = c->tokens;
  grid.prefix_tokens = 0;
  tsr_masking m = tsr_masking_read(b, batch, grid, d.ratio, 1);
  encoder.untapped = 1;
  x = tsr_nn_gather(b, x, m.seen);
  if (front != TSR_NO_VALUE) x = tsr_nn_concat(b, 1, 2, (tsr_value[]){front, x});
  x = layers(b, x, &encoder, NULL);
  tsr_enter(b, "decoder");
  x = tsr_nn_linear(b, "embed", x, width, TSR_BIAS);
  tsr_value cls = tsr_nn_slice(b, x, 1, 0, c->prefix), seen = tsr_nn_slice(b, x, 1, c->prefix, tsr_dim(b, x, 1));
  x = tsr_masking_fill(b, &m, tsr_weight_vector(b, "mask_token", tsr_shape_of(3, 1, 1, width)), seen);
  if (c->prefix) x = tsr_nn_concat(b, 1, 2, (tsr_value[]){cls, x});
  x = tsr_nn_add(b, x, tsr_weight_vector(b, "pos_embed", tsr_shape_of(3, 1, c->prefix + n, width)));
  x = layers(b, x, &d.net, "norm");
  tsr_leave(b);
  x = tsr_nn_gather(b, tsr_nn_slice(b, x, 1, c->prefix, c->prefix + n), m.hidden);
  tsr_value patches = tsr_nn_patchify(b, image, c->patch[0], c->patch[1]);
  tsr_vit sizes = {.patch = {c->patch[0], c->patch[1]}, .channels = c->channels};
  return tsr_masking_image(b, &m, x, patches, &sizes, grid, (tsr_pixel_loss){1, 1, d.norm_pixels});
}

/* Whether a run looks at more than the image that MAE predicts. */
static int looks_inside(const tsr_builder *b) {
  for (int i = 0; i < b->pattern_count; i++)
    if (strcmp(b->patterns[i], "mask") && strcmp(b->patterns[i], "loss") && strcmp(b->patterns[i], "prediction"))
      return 1;
  return b->declaring;
}

static tsr_value build(tsr_builder *b) {
  plain c = read_config(b);
  tsr_value image = tsr_input_image(b, c.channels, c.image[0], c.image[1]);
  if (tsr_failed(b)) return TSR_NO_VALUE;
  int h = tsr_dim(b, image, 2) / c.patch[0], w = tsr_dim(b, image, 3) / c.patch[1];
  c.tokens.grid_h = (short)h, c.tokens.grid_w = (short)w;
  int one_size = c.decodes || (c.relative && c.resize == TSR_RESIZE_ANTIALIAS);
  if (!h || !w || (one_size && (h != c.grid[0] || w != c.grid[1])))
    return tsr_fail(b, TSR_ERR_SHAPE, "an image of %d x %d does not fit; this model takes %d x %d%s",
                    tsr_dim(b, image, 2), tsr_dim(b, image, 3), c.image[0], c.image[1],
                    one_size ? "" : ", and any that has a patch");
  image = tsr_nn_slice(b, tsr_nn_slice(b, image, 2, 0, h * c.patch[0]), 3, 0, w * c.patch[1]);
  tsr_value x = tsr_nn_conv_patches(b, "patch_embed.proj", image, c.patch, c.dim, c.patch_bias); /* [B,N,C] */
  tsr_tap_add(b, x, c.tokens, "patch_embed");
  tsr_value front, patches = embed(b, &c, x, &front), output = TSR_NO_VALUE;
  if (c.decodes) output = reconstruct(b, &c, front, patches, image);
  if (c.decodes && !looks_inside(b)) return output;
  x = front == TSR_NO_VALUE ? patches : tsr_nn_concat(b, 1, 2, (tsr_value[]){front, patches}); /* [B,K+N,C] */
  if (c.norm_pre) x = tsr_nn_norm(b, "norm_pre", x, c.norm);
  if (c.rope) rotations(b, &c);
  if (c.relative == BIAS_SHARED) c.bias = relative_bias(b, "rel_pos_bias.relative_position_bias_table", &c);
  x = layers(b, x, &c, NULL);
  tsr_tap_add(b, x, c.tokens, "tokens");
  tsr_meaning meaning = b->graph.output_meaning;
  x = head(b, x, &c);
  if (!c.decodes) return x;
  tsr_output_means(b, meaning);
  return output;
}

#define SIZE(dim, depth, heads) "{\"embed_dim\":" dim ",\"depth\":" depth ",\"num_heads\":" heads "}"

static const tsr_preset presets[] = {
    {"tiny", "{\"image_size\":32,\"patch_size\":8,\"num_classes\":10,\"embed_dim\":32,\"depth\":2,\"num_heads\":2}"},
    {"vit_tiny_patch16_224", SIZE("192", "12", "3")},
    {"vit_small_patch16_224", SIZE("384", "12", "6")},
    {"vit_base_patch16_224", SIZE("768", "12", "12")},
    {NULL, NULL},
};

const tsr_arch tsr_arch_plain_vit = {
    .name = "plain_vit",
    .title = "Vision Transformer, as published checkpoints have it",
    .paper = "Dosovitskiy et al. 2020, arXiv 2010.11929",
    .reference = "timm 1.0.31, models.vision_transformer.VisionTransformer",
    .presets = presets,
    .build = build,
};
