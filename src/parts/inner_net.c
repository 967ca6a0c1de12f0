/* Builds a network inside a wrapper; see inner_net.h. */
#include "inner_net.h"

#include "graph/architecture.h"
#include "graph/settings.h"

tsr_value tsr_net_build(tsr_builder *b, const tsr_net *net, tsr_value *watched) {
  const char *name;
  char prefix[TSR_PATH_BYTES];
  tsr_inside *around = b->inside;
  tsr_inside inside = {.tap_prefix = prefix,
                       .taps_optional = net->optional || (around && around->taps_optional),
                       .handed_names = {"image", net->input},
                       .handed = {net->image, net->given},
                       .watch = net->watch,
                       .outer = around};
  tsr_print(prefix, sizeof prefix, "%s%s", around ? around->tap_prefix : "", net->prefix);
  tsr_settings outer = tsr_config_open(b, net->key, net->what, net->archs, &name);
  const tsr_arch *arch = b->find_arch(name);
  /* The smaller .wasm files may have the wrapper and not this one; the page then takes the file with all. */
  if (!arch && !tsr_failed(b))
    tsr_fail(b, TSR_ERR_WASM_ARCH, "arch \"%s\" is not in this .wasm; give the one whose name ends in -all", name);
  tsr_meaning meaning = b->graph.output_meaning;
  b->inside = &inside;
  tsr_enter(b, "%s", net->scope);
  tsr_value output = tsr_failed(b) ? TSR_NO_VALUE : arch->build(b);
  tsr_leave(b);
  b->inside = around;
  tsr_config_close(b, outer);
  b->graph.output_meaning = meaning;
  *watched = inside.watched;
  return output;
}
