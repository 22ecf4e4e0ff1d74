/* quern import: a model of another format -> YAML, with its weights in a .safetensors beside it. */
#include "command.h"

qn_status command_import(const qn_options *o) {
  const char *path;
  QN_TRY(qn_one_operand(o, &path));
  if (o->output.count != 1) return qn_io_error("quern", "import needs one output, -o MODEL.yaml");
  qn_module *m = qn_new_module();
  qn_status status = qn_load_model(path, m);
  if (status == QN_OK) status = qn_write_yaml(o->output.at[0], m);
  qn_free_module(m);
  return status;
}
