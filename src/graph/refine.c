/* Slices along tokens, followed backwards; see refine.h. */
#include "refine.h"

#include <string.h>

enum { FINE_SHARE = 16 }; /* at most so large a part of the tokens is fine */

/* How many of a value's first and last tokens are read on their own. */
typedef struct ends {
  int first, last;
} ends;

/* Tokens of a value [B,N,C], else 0. */
static int tokens_of(const tsr_graph *g, tsr_value v) {
  return g->values[v].shape.ndim == 3 ? g->values[v].shape.dims[1] : 0;
}

static int is_few(int count, int tokens) { return count > 0 && (count == 1 || count <= tokens / FINE_SHARE); }

static int cuts_tokens(const tsr_graph *g, const tsr_node *node) {
  return (node->op->traits & TSR_CUTS) && node->attrs.slice.axis == 1 && tokens_of(g, node->in[0]);
}

/* The input, besides the first, of which row n of the output needs row n alone; 0: none. -1: the output is not made
 * by rows, or its tokens are not the inputs' tokens. */
static int second_rows(const tsr_graph *g, const tsr_node *node) {
  int tokens = tokens_of(g, node->out[0]), traits = node->op->traits;
  if (!(traits & TSR_BY_ROWS) || ((traits & TSR_CUTS) && node->attrs.slice.axis == 1)) return -1;
  return tokens && tokens_of(g, node->in[0]) == tokens && tokens_of(g, node->in[node->second]) == tokens ? node->second
                                                                                                         : -1;
}

static void ask(ends *of, int first, int last, int tokens) {
  if (is_few(first, tokens) && first > of->first) of->first = first;
  if (is_few(last, tokens) && last > of->last) of->last = last;
}

/* A slice asks for what it cuts, or hands on what is asked of it. */
static void ask_slice(ends *of, int tokens, const tsr_attrs *attrs, ends here) {
  int begin = attrs->slice.begin, end = attrs->slice.end;
  if (is_few(end - begin, tokens)) ask(of, end, tokens - begin, tokens);
  else ask(of, here.first ? begin + here.first : 0, here.last ? tokens - end + here.last : 0, tokens);
}

static void mark_fine(tsr_builder *b) {
  tsr_graph *g = &b->graph;
  ends *fine = tsr_arena_alloc(b->arena, (size_t)(g->value_count + 1) * sizeof *fine);
  if (!fine) {
    tsr_fail(b, TSR_ERR_OUT_OF_MEMORY, "no memory for the graph");
    return;
  }
  memset(fine, 0, (size_t)g->value_count * sizeof *fine);
  for (int n = g->node_count - 1; n >= 0; n--) {
    tsr_node *node = &g->nodes[n];
    ends here = fine[node->out[0]];
    const tsr_shape *shape = &g->values[node->in[0]].shape;
    int may_14 = node->op->traits & TSR_14_BITS;
    if (may_14 && (shape->ndim == 2 || (shape->ndim == 3 && shape->dims[1] == 1))) node->attrs.linear.fine_first = 1;
    if (cuts_tokens(g, node)) {
      ask_slice(&fine[node->in[0]], tokens_of(g, node->in[0]), &node->attrs, here);
      continue;
    }
    int second = second_rows(g, node), tokens = tokens_of(g, node->out[0]);
    if (second < 0) continue;
    if (may_14 && tokens > 1) node->attrs.linear.fine_first = here.first, node->attrs.linear.fine_last = here.last;
    ask(&fine[node->in[0]], here.first, here.last, tokens);
    if (second) ask(&fine[node->in[second]], here.first, here.last, tokens);
  }
}

static int readers(const tsr_graph *g, tsr_value value) {
  int count = g->output == value;
  for (int n = 0; n < g->node_count; n++)
    for (int i = 0; i < g->nodes[n].n_in; i++) count += g->nodes[n].in[i] == value;
  for (int t = 0; t < g->tap_count; t++) count += g->taps[t].value == value;
  return count;
}

/* Nodes from `at` on have moved. */
static void renumber(tsr_graph *g, int at) {
  for (int n = at; n < g->node_count; n++)
    for (int i = 0; i < g->nodes[n].n_out; i++) g->values[g->nodes[n].out[i]].node = n;
}

/* Moves the last node to place `at`. */
static void move_last(tsr_graph *g, int at) {
  tsr_node last = g->nodes[g->node_count - 1];
  memmove(g->nodes + at + 1, g->nodes + at, (size_t)(g->node_count - 1 - at) * sizeof last);
  g->nodes[at] = last;
  renumber(g, at);
}

/* Another slice that is the same as s; -1: none. */
static int twin_of(const tsr_graph *g, int s) {
  const tsr_node *node = &g->nodes[s];
  for (int n = 0; n < g->node_count; n++) {
    const tsr_node *other = &g->nodes[n];
    if (n != s && cuts_tokens(g, other) && other->in[0] == node->in[0] &&
        other->attrs.slice.begin == node->attrs.slice.begin && other->attrs.slice.end == node->attrs.slice.end)
      return n;
  }
  return -1;
}

static void remove_node(tsr_graph *g, int at) {
  for (int i = 0; i < g->nodes[at].n_out; i++) g->values[g->nodes[at].out[i]].node = -1;
  memmove(g->nodes + at, g->nodes + at + 1, (size_t)(g->node_count - 1 - at) * sizeof *g->nodes);
  g->node_count--;
  renumber(g, at);
}

/* Whoever reads what node `last` makes reads that of `first` instead, and `last` goes. */
static void merge(tsr_graph *g, int first, int last) {
  tsr_value gone = g->nodes[last].out[0], kept = g->nodes[first].out[0];
  for (int n = last + 1; n < g->node_count; n++)
    for (int i = 0; i < g->nodes[n].n_in; i++)
      if (g->nodes[n].in[i] == gone) g->nodes[n].in[i] = kept;
  for (int v = 0; v < g->value_count; v++)
    if (g->values[v].root == gone) g->values[v].root = kept;
  for (int t = 0; t < g->tap_count; t++)
    if (g->taps[t].value == gone) g->taps[t].value = kept;
  if (g->output == gone) g->output = kept;
  remove_node(g, last);
}

/* The slice at s reads only what node p makes: p's inputs are sliced instead, and p stands where the slice was.
 * Returns p's new place. */
static int slice_inputs(tsr_builder *b, int p, int s, int second) {
  tsr_graph *g = &b->graph;
  tsr_node maker = g->nodes[p], slice = g->nodes[s];
  tsr_value narrow = maker.out[0], all = maker.in[0];
  if (second) {
    maker.in[second] = tsr_node_add(b, slice.op, &maker.in[second], 1, &slice.attrs);
    if (tsr_failed(b)) return s;
    move_last(g, p++);
    s++;
  }
  maker.in[0] = narrow, maker.out[0] = slice.out[0];
  slice.in[0] = all, slice.out[0] = narrow;
  g->nodes[p] = slice, g->nodes[s] = maker;
  g->values[narrow].shape = g->values[all].shape;
  g->values[narrow].shape.dims[1] = slice.attrs.slice.end - slice.attrs.slice.begin;
  return s;
}

/* Fine rows of a linear layer of whose `tokens` only [begin, end) are left. */
static void keep_fine(tsr_attrs *attrs, int tokens, int begin, int end) {
  int first = attrs->linear.fine_first, last = tokens - attrs->linear.fine_last;
  if (first > end) first = end;
  if (last < begin) last = begin;
  attrs->linear.fine_first = first > begin ? first - begin : 0;
  attrs->linear.fine_last = end > last ? end - last : 0;
}

/* What can be done without the maker: a slice that nobody reads goes, twins become one, a slice of a slice is one. 1
 * if something was, and *s is where to go on above. */
static int simplify(tsr_graph *g, int *s) {
  tsr_node *node = &g->nodes[*s];
  int twin = twin_of(g, *s), maker = g->values[node->in[0]].node;
  if (!readers(g, node->out[0])) {
    remove_node(g, *s);
  } else if (twin >= 0) {
    merge(g, *s < twin ? *s : twin, *s < twin ? twin : *s);
    if (twin > *s) ++*s; /* this one again */
  } else if (maker >= 0 && cuts_tokens(g, &g->nodes[maker])) {
    node->attrs.slice.begin += g->nodes[maker].attrs.slice.begin;
    node->attrs.slice.end += g->nodes[maker].attrs.slice.begin;
    node->in[0] = g->nodes[maker].in[0];
    ++*s;
  } else {
    return 0;
  }
  return 1;
}

static void leave_out(tsr_builder *b) {
  tsr_graph *g = &b->graph;
  for (int s = g->node_count - 1; s >= 0 && !tsr_failed(b); s--) {
    if (!cuts_tokens(g, &g->nodes[s]) || simplify(g, &s)) continue;
    const tsr_node *slice = &g->nodes[s];
    int begin = slice->attrs.slice.begin, end = slice->attrs.slice.end, tokens = tokens_of(g, slice->in[0]),
        p = g->values[slice->in[0]].node;
    if (p < 0 || end - begin == tokens || readers(g, slice->in[0]) > 1) continue;
    const tsr_node *maker = &g->nodes[p];
    int second = second_rows(g, maker);
    if (second < 0) continue;
    if (maker->whole || maker->n_out > 1) continue;
    int at = slice_inputs(b, p, s, second);
    if (tsr_failed(b)) return;
    if (g->nodes[at].op->traits & TSR_14_BITS) keep_fine(&g->nodes[at].attrs, tokens, begin, end);
    s = p + (second ? 2 : 1); /* the slices of the inputs are next */
  }
}

void tsr_graph_refine(tsr_builder *b) {
  if (tsr_failed(b)) return;
  mark_fine(b);
  if (!tsr_failed(b)) leave_out(b);
}
